"""Compiling the C sources by hand, the way setup.py does and in other ways."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import int_kernels

NATIVE = Path(int_kernels.__file__).parent / "native"
SOURCES = sorted(NATIVE.rglob("*.c"))
CORE = [path for path in SOURCES if path.parent != NATIVE / "host"]  # all that needs no operating system
INCLUDE = f"-I{NATIVE}"


def compile_library(target: Path, *flags: str) -> Path:
    """All sources as a shared object with the given flags."""
    run("gcc", "-std=c99", "-fPIC", "-shared", "-pthread", INCLUDE, *flags, *map(str, SOURCES), "-o", str(target))
    return target


def compile_core(folder: Path, *flags: str) -> list[str]:
    """An object file in `folder` for every source of the core."""
    objects = [str(folder / f"{object_name(source)}.o") for source in CORE]
    for source, target in zip(CORE, objects, strict=True):
        run("gcc", "-std=c99", INCLUDE, *flags, "-c", str(source), "-o", target)
    return objects


def object_name(source: Path) -> str:
    """A name for the object file of `source` that no other folder's source has: "x86.amx.dense"."""
    return ".".join(source.relative_to(NATIVE).with_suffix("").parts)


def run(*command: str) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
    return done.stdout


def has_processor_flags(*flags: str) -> bool:
    """True when /proc/cpuinfo lists all of them."""
    info = Path("/proc/cpuinfo")
    return platform.machine() == "x86_64" and info.exists() and set(flags) <= set(info.read_text().split())


def ways_to_build() -> dict[str, tuple[str, ...]]:
    """Name -> flags of builds that must all give the same bytes."""
    ways = {
        "O0": ("-O0",),
        "O3 single version": ("-O3", "-DZQ_SINGLE_VERSION"),
        "Os, tiny tiles": ("-Os", "-DZQ_TILE=8", "-DZQ_SINGLE_VERSION"),
    }
    if has_processor_flags("avx2", "bmi2", "fma"):
        ways["x86-64-v3"] = ("-O3", "-march=x86-64-v3", "-DZQ_SINGLE_VERSION")
    if has_processor_flags("avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512cd"):
        ways["x86-64-v4"] = ("-O3", "-march=x86-64-v4", "-DZQ_SINGLE_VERSION")
    return ways
