"""Description of the machine and of package versions, to be stored with a measurement."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx512_bf16", "amx_int8", "asimd", "asimddp", "i8mm")


def describe_machine(packages: Iterable[str] = ()) -> dict[str, Any]:
    """Return processor, relevant instruction sets, cores that this process may use, memory and versions.

    All values are JSON types. Facts that this system does not provide are omitted.
    """
    lines = _lines("/proc/cpuinfo")
    facts: dict[str, Any] = {
        "cpu": lines.get("model name", platform.machine()),
        "cores": available_cores(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }
    flags = set(lines.get("flags", lines.get("Features", "")).split())
    facts["features"] = [name for name in _FEATURES if name in flags]
    memory = _lines("/proc/meminfo").get("MemTotal", "").split()
    if memory:
        facts["memory_mb"] = int(memory[0]) // 1024
    facts["versions"] = {name: found for name in packages if (found := _version(name)) is not None}
    return facts


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load() -> float:
    """Return the load average of the last minute: the number of processes that ran or waited to run."""
    return round(os.getloadavg()[0], 2)


def _lines(path: str) -> dict[str, str]:
    """Return the `key: value` lines of a file, the first of each key; empty if there is no such file."""
    result: dict[str, str] = {}
    if Path(path).exists():
        for line in Path(path).read_text().splitlines():
            key, _, value = line.partition(":")
            result.setdefault(key.strip(), value.strip())
    return result


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
