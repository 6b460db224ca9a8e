"""What SPEC.md states about accuracy, for the tests that measure it; and real arithmetic beside the integer ops."""

from __future__ import annotations

import re
from pathlib import Path

import int_kernels

SPEC = Path(int_kernels.__file__).parent / "SPEC.md"


def stated(op: str, what: str) -> float:
    """The number behind `what` in the "Maximal error" paragraph of an op."""
    section = SPEC.read_text().split(f"\n### {op}(")[1].split("\n#")[0]
    paragraph = re.sub(r"\s+", " ", section.split("\nMaximal error")[1].split("\n\n")[0])
    found = re.search(rf"\b{re.escape(what)} ([0-9.]+(?:e-?\d+)?)", paragraph)
    assert found, f"SPEC.md, {op}: no maximal error of {what!r}"
    return float(found[1].rstrip("."))


def assert_stated(op: str, what: str, measured: float) -> None:
    """The stated maximum holds, and by no more than a tenth too much: SPEC.md quotes what was measured."""
    limit = stated(op, what)
    assert 0.9 * limit <= measured <= limit, f"{op}, {what}: SPEC.md states {limit}, measured {measured}"
