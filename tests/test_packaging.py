"""What is shipped: a source archive that builds elsewhere, and a clear word where it cannot."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

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


@pytest.mark.slow
def test_a_wheel_of_it_holds_kernels_models_and_speech(source: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-q",
        "-w",
        str(tmp_path),
        str(source),
    ]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert any(name.startswith("int_kernels/_native") and name.endswith(".so") for name in names)
    assert any(name.endswith(".nemo") for name in names)
    assert sum(name.endswith(".flac") for name in names) >= 500
    assert not any(name.startswith("tests/") for name in names)


def test_without_a_compiler_it_says_what_to_install(source: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "CC": "/nonexistent/cc"}
    command = [sys.executable, "setup.py", "build_ext", "-f", "-b", str(tmp_path / "b"), "-t", str(tmp_path / "t")]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode != 0
    assert "apt-get install gcc" in done.stderr
    assert "Traceback" not in done.stderr
