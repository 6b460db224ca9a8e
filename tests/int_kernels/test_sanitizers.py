"""Random programs, on every table of inner loops, under the address, undefined-behaviour and thread sanitizers."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from support.builds import compile_library, run

import int_kernels

TESTS = Path(__file__).parents[1]
SCRIPT = TESTS / "support" / "sanitized_run.py"
ROOT = Path(int_kernels.__file__).parent.parent


def run_sanitized(
    tmp_path: Path, flags: list[str], runtime: str, options: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    preload = run("gcc", f"-print-file-name={runtime}").strip()
    if not Path(preload).is_absolute():
        pytest.skip(f"gcc has no {runtime} here")
    library = compile_library(tmp_path / "sanitized.so", "-O1", "-g1", "-DZQ_SINGLE_VERSION", *flags)
    environment = os.environ | {"LD_PRELOAD": preload, "PYTHONPATH": os.pathsep.join([str(ROOT), str(TESTS)])} | options
    command = [sys.executable, str(SCRIPT), str(library), "40"]
    if "thread" in runtime or "tsan" in runtime:  # its runtime wants a fixed layout of memory
        command = ["setarch", platform.machine(), "-R", *command]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.slow
def test_no_bad_address_and_no_undefined_behaviour(tmp_path: Path) -> None:
    flags = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    done = run_sanitized(tmp_path, flags, "libasan.so", {"ASAN_OPTIONS": "detect_leaks=0"})
    assert done.returncode == 0 and done.stdout == "sound\n", done.stderr


@pytest.mark.slow
@pytest.mark.nightly
def test_no_data_race(tmp_path: Path) -> None:
    done = run_sanitized(tmp_path, ["-fsanitize=thread"], "libtsan.so", {"TSAN_OPTIONS": "halt_on_error=1"})
    assert done.returncode == 0 and done.stdout == "sound\n", done.stderr
