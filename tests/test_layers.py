"""Which package may import which, no import circles, and what must stay light. Each rule can fail."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from zeroq_asr.cli import VERBS

ROOT = Path(__file__).parents[1]

BASE = ("int_kernels", "synth", "eval")
"""Know nothing of each other or of anything above."""

ORDER = (
    *BASE,
    "zeroq_asr.errors",
    "zeroq_asr.files",
    "zeroq_asr.config",
    "zeroq_asr.tensor_file",
    "zeroq_asr.ir",
    "zeroq_asr.frontend",
    "zeroq_asr.quant",
    "zeroq_asr.ops",
    "zeroq_asr.artifact",
    "zeroq_asr.adapters",
    "zeroq_asr.runtime",
    "zeroq_asr.models",
    "zeroq_asr.analyses",
    "zeroq_asr.passes",
    "zeroq_asr.calibrate",
    "zeroq_asr.bit_allocation",
    "zeroq_asr.exporters",
    "zeroq_asr.report",
    "zeroq_asr.pipelines",
    "zeroq_asr.callable_module",
    "zeroq_asr.cli",
    "zeroq_asr.generate",
    "zeroq_asr.quantize",
    "zeroq_asr.evaluate",
    "zeroq_asr.transcribe",
    "zeroq_asr.inspect",
    "zeroq_asr.verify",
    "zeroq_asr.recognizers",
    "zeroq_asr.api",
    "zeroq_asr.export",
    "zeroq_asr.ranges",
    "zeroq_asr.table",
    "zeroq_asr.reproduce",
    "zeroq_asr.analyze",
    "zeroq_asr.ablate",
    "zeroq_asr.benchmark",
    "zeroq_asr.demo",
    "zeroq_recipes",
    "zeroq_research",
)
"""Packages from the lowest to the highest; a module imports from its own package and from lower ones."""

HEAVY = {
    "torch": (
        "synth",
        "zeroq_asr.adapters",
        "zeroq_asr.models.full_size",
        "zeroq_asr.runtime.float_executor",
        "zeroq_asr.ops",
        "zeroq_asr.runtime.float_tokens",
        "zeroq_asr.runtime.simulation",
        "zeroq_research.engines.torch_float",
        "zeroq_recipes",
    ),
    "nemo": ("zeroq_asr.models.hub", "zeroq_recipes"),
    "tensorboard": ("zeroq_asr.report.tensorboard",),
    "onnx": ("zeroq_asr.exporters",),
    "onnxruntime": ("zeroq_asr.exporters", "zeroq_research.engines.onnx_runtime"),
    "openvino": ("zeroq_research.engines.open_vino",),
    "nncf": ("zeroq_research.engines.open_vino",),
    "flashlight": ("eval.beam",),
}
"""Library -> the only packages that may name it."""


def package_of(module: str) -> str | None:
    """The longest name in ORDER that `module` lies in."""
    fits = [package for package in ORDER if module == package or module.startswith(package + ".")]
    return max(fits, key=len) if fits else None


def imports_of(source: str, *, skip_type_checking: bool = True) -> Iterator[str]:
    """Every module that `source` imports, wherever the import stands."""
    tree = ast.parse(source)
    skipped: set[int] = set()
    for node in ast.walk(tree):
        if skip_type_checking and isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            skipped.update(id(inner) for inner in ast.walk(node))
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module


def violations(module: str, source: str) -> list[str]:
    """The rules that `source`, as the module of that name, breaks."""
    package = package_of(module)
    if package is None and module != "zeroq_asr":
        return [f"{module} lies in no package of ORDER"]
    broken = []
    for imported in imports_of(source):
        target = package_of(imported)
        if package is not None and target is not None and target != package:
            both_base = package in BASE and target in BASE
            if ORDER.index(target) > ORDER.index(package) or both_base:
                broken.append(f"{module} imports {imported}")
        for library, packages in HEAVY.items():
            names_it = imported == library or imported.startswith(library + ".") or imported == f"torch.utils.{library}"
            if names_it and not any(module == p or module.startswith(p + ".") for p in packages):
                broken.append(f"{module} imports {imported}")
    return broken


def find_circle(imports: Mapping[str, Iterable[str]]) -> list[str]:
    """One circle of imports, first module repeated at the end; empty where there is none."""
    done: set[str] = set()

    def visit(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        for target in imports.get(module, ()):
            if circle := visit(target, [*path, module]):
                return circle
        done.add(module)
        return []

    return next((circle for module in imports if (circle := visit(module, []))), [])


def modules() -> Iterator[tuple[str, Path]]:
    for folder in ("zeroq_asr", *BASE, "zeroq_research", "zeroq_recipes"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__"), path


def test_nobody_imports_upwards() -> None:
    broken = [rule for name, path in modules() for rule in violations(name, path.read_text())]
    assert broken == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    """Imports inside functions count too; those of a package's name count for its `__init__`."""
    names = {name for name, _ in modules()}
    imports = {
        name: [target for target in imports_of(path.read_text()) if target in names and target != name]
        for name, path in modules()
    }
    assert find_circle(imports) == []


def test_a_circle_is_found() -> None:
    assert find_circle({"a": ["b"], "b": ["c"], "c": ["d", "b"], "d": []}) == ["b", "c", "b"]
    assert find_circle({"a": ["b", "c"], "b": ["c"], "c": []}) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("int_kernels.ops", "import zeroq_asr.ir"),
        ("eval.wer", "def f():\n    from synth import losses"),
        ("zeroq_asr.quant.ranges", "from zeroq_asr.passes import x"),
        ("zeroq_asr.passes.fold", "import torch.nn"),
        ("zeroq_asr.evaluate", "from torch.utils.tensorboard import SummaryWriter"),
        ("zeroq_asr.frontend.audio", "import nemo.collections.asr"),
        ("zeroq_asr.runtime.transcriber", "def f():\n    from zeroq_asr.models import open"),
        ("zeroq_asr.quantize", "import zeroq_research.tables"),
        ("zeroq_asr.nowhere", "import math"),
    ],
)
def test_the_rules_can_fail(module: str, source: str) -> None:
    assert violations(module, source)


def test_type_checking_imports_are_allowed() -> None:
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from zeroq_asr.pipelines import x\n"
    assert violations("zeroq_asr.report.tables", source) == []


LIGHT = ("torch", "nemo", "scipy", "matplotlib", "tensorboard", "jiwer", "transformers")


def loaded(command: str) -> set[str]:
    """Which of the heavy libraries a fresh interpreter has loaded after `command`."""
    names = f"{{m.split('.')[0] for m in sys.modules}} & set({LIGHT!r})"
    script = f"{command}\nimport sys\nprint('LOADED', *({names}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.strip().splitlines()[-1].split()[1:])


def test_the_package_and_the_integer_path_import_nothing_heavy() -> None:
    assert (
        loaded("import zeroq_asr, zeroq_asr.artifact, zeroq_asr.runtime.integer_executor, zeroq_asr.models.shipped")
        == set()
    )


def test_every_help_is_light() -> None:
    for verb, module in VERBS.items():
        command = f"from {module} import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    print()"
        assert loaded(command) == set(), verb


def test_the_light_check_can_fail() -> None:
    assert loaded("import torch") == {"torch"}
