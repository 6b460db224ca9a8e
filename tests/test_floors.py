"""The floors of the house: who may import whom, and what must stay light. Each rule is shown to be able to fail."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from zeroq_asr.cli import VERBS

ROOT = Path(__file__).parents[1]

GROUND = ("int_kernels", "synth", "eval")

FLOORS: dict[str, int] = {
    "int_kernels": 0,
    "synth": 0,
    "eval": 0,
    "zeroq_asr.errors": 1,
    "zeroq_asr.files": 1,
    "zeroq_asr.tensor_file": 1,
    "zeroq_asr.config": 1,
    "zeroq_asr.ir": 1,
    "zeroq_asr.quant": 2,
    "zeroq_asr.artifact": 2,
    "zeroq_asr.adapters": 3,
    "zeroq_asr.calibrate": 3,
    "zeroq_asr.passes": 3,
    "zeroq_asr.analyses": 3,
    "zeroq_asr.runtime": 3,
    "zeroq_asr.report": 3,
    "zeroq_asr.export": 3,
    "zeroq_asr.engines": 3,
    "zeroq_asr.zoo": 3,
    "zeroq_asr.pipeline": 4,
    "zeroq_asr.cli": 5,
    "zeroq_asr.generate": 6,
    "zeroq_asr.quantize": 6,
    "zeroq_asr.evaluate": 6,
    "zeroq_asr.transcribe": 6,
    "zeroq_asr.inspect": 6,
    "zeroq_asr.verify": 6,
    "zeroq_asr.table": 6,
    "zeroq_asr.ablate": 6,
    "zeroq_asr.benchmark": 6,
    "zeroq_asr.ranges": 6,
    "zeroq_asr.reproduce": 6,
    "zeroq_asr.analyze": 6,
    "zeroq_asr.demo": 7,
}
"""Room -> floor. A module may import from its own floor and from those below it."""

HEAVY = {
    "torch": (
        "synth",
        "zeroq_asr.adapters",
        "zeroq_asr.engines.torch_float",
        "zeroq_asr.runtime.float_executor",
        "zeroq_asr.runtime.float_ops",
        "zeroq_asr.runtime.float_tokens",
        "zeroq_asr.runtime.simulation",
        "zeroq_asr.zoo",
    ),
    "nemo": ("zeroq_asr.adapters.hub", "zeroq_asr.zoo"),
    "tensorboard": ("zeroq_asr.report.tensorboard",),
    "onnx": ("zeroq_asr.export", "zeroq_asr.engines.onnx_runtime", "zeroq_asr.engines.onnx_calibration"),
    "onnxruntime": ("zeroq_asr.engines.onnx_runtime", "zeroq_asr.engines.onnx_calibration"),
    "openvino": ("zeroq_asr.engines.open_vino",),
    "nncf": ("zeroq_asr.engines.open_vino",),
    "flashlight": ("eval.beam",),
}
"""Library -> the only rooms that may name it."""


def room_of(module: str) -> str | None:
    """The longest room name that `module` lies in."""
    fits = [room for room in FLOORS if module == room or module.startswith(room + ".")]
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
    """The rules that `source`, standing as `module`, breaks."""
    room = room_of(module)
    if room is None and module != "zeroq_asr":
        return [f"{module} lies in no room"]
    broken = []
    for imported in imports_of(source):
        target = room_of(imported)
        if room is not None and target is not None and target != room:
            both_ground = room in GROUND and target in GROUND
            if FLOORS[target] > FLOORS[room] or both_ground:
                broken.append(f"{module} imports {imported}")
        for library, rooms in HEAVY.items():
            names_it = imported == library or imported.startswith(library + ".") or imported == f"torch.utils.{library}"
            if names_it and not any(module == r or module.startswith(r + ".") for r in rooms):
                broken.append(f"{module} imports {imported}")
    return broken


def modules() -> Iterator[tuple[str, Path]]:
    for house in ("zeroq_asr", *GROUND):
        for path in sorted((ROOT / house).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__"), path


def test_nobody_imports_upwards() -> None:
    broken = [rule for name, path in modules() for rule in violations(name, path.read_text())]
    assert broken == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("int_kernels.ops", "import zeroq_asr.ir"),
        ("eval.wer", "def f():\n    from synth import losses"),
        ("zeroq_asr.quant.ranges", "from zeroq_asr.passes import x"),
        ("zeroq_asr.passes.fold", "import torch.nn"),
        ("zeroq_asr.evaluate", "from torch.utils.tensorboard import SummaryWriter"),
        ("zeroq_asr.runtime.audio", "import nemo.collections.asr"),
        ("zeroq_asr.nowhere", "import math"),
    ],
)
def test_the_rules_can_fail(module: str, source: str) -> None:
    assert violations(module, source)


def test_type_checking_imports_are_allowed() -> None:
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from zeroq_asr.pipeline import x\n"
    assert violations("zeroq_asr.report.tables", source) == []


LIGHT = ("torch", "nemo", "scipy", "matplotlib", "tensorboard", "jiwer", "transformers")


def loaded(command: str) -> set[str]:
    """Which of the heavy libraries a fresh interpreter has loaded after `command`."""
    names = f"{{m.split('.')[0] for m in sys.modules}} & set({LIGHT!r})"
    script = f"{command}\nimport sys\nprint('LOADED', *({names}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.strip().splitlines()[-1].split()[1:])


def test_the_package_and_the_integer_path_import_nothing_heavy() -> None:
    assert loaded("import zeroq_asr, zeroq_asr.artifact, zeroq_asr.runtime.integer_executor, zeroq_asr.zoo") == set()


def test_every_help_is_light() -> None:
    for verb in VERBS:
        command = f"from zeroq_asr.{verb} import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    print()"
        assert loaded(command) == set(), verb


def test_the_light_check_can_fail() -> None:
    assert loaded("import torch") == {"torch"}
