"""Listings of machine code, and which instructions compute with real numbers."""

from __future__ import annotations

import platform
import re
import shutil
import sys
from pathlib import Path

import pytest

from support.builds import run

needs_x86 = pytest.mark.skipif(
    platform.machine() != "x86_64" or sys.platform != "linux",
    reason="the loops are for x86-64, their stand-in for Linux",
)

X86_REAL_SUFFIX = re.compile(r"(ps|pd|ss|sd|ph|sh|bf16)$")
X86_PACKED_INTEGER = re.compile(r"^(v?p(?!erm)|tdpb[su][su]d$)")  # vpmaxsd, vpabsd, vpcompressd, tdpbssd, ...
X86_MOVES = re.compile(
    r"^v?(mov\w*|(and|andn|or|xor)p[sd]|unpck[lh]p[sd]|shufp[sd]|perm\w*|blend\w*|broadcasts[sd]|insertps|extractps|"
    r"(compress|expand)p[sd]|shuff\w*|gather\w*|scatter\w*|maskmov\w*)$"
)
X86_PREFIXES = re.compile(r"^((rep\w*|lock|notrack|data16|bnd|cs|ds) )*")


def is_real_arithmetic(mnemonic: str, machine: str) -> bool:
    """True for arithmetic, comparison or conversion of real numbers; moves, shuffles and bitwise logic are none."""
    if machine == "aarch64":
        return mnemonic in ("scvtf", "ucvtf") or (mnemonic.startswith("f") and mnemonic != "fmov")
    if mnemonic.startswith("f") or re.match(r"^v?cvt", mnemonic):  # all of x87; all conversions
        return True
    if X86_PACKED_INTEGER.match(mnemonic) or X86_MOVES.match(mnemonic):
        return False
    return bool(X86_REAL_SUFFIX.search(mnemonic)) or mnemonic.startswith(("vfm", "vfn", "tdpbf", "tdpfp"))


def real_arithmetic_in(listing: str, machine: str) -> dict[str, list[str]]:
    """Function -> the offending instructions, from `objdump -d --no-show-raw-insn`."""
    found: dict[str, list[str]] = {}
    function = ""
    for line in listing.splitlines():
        if header := re.match(r"^[0-9a-f]+ <(.+)>:$", line):
            function = header[1]
        mnemonic = re.split(r"\s", X86_PREFIXES.sub("", line.partition(":\t")[2]), maxsplit=1)[0]
        if mnemonic and is_real_arithmetic(mnemonic, machine):
            found.setdefault(function, []).append(line.strip())
    return found


def disassemble(path: Path) -> str:
    if shutil.which("objdump") is None:
        pytest.skip("objdump is not installed (apt-get install binutils)")
    if platform.machine() not in ("x86_64", "aarch64"):
        pytest.skip(f"no list of real-number instructions for {platform.machine()}")
    return run("objdump", "-d", "--no-show-raw-insn", str(path))


def instructions(listing: str) -> dict[str, list[str]]:
    """Function -> its instructions without addresses and padding; jumps count by their kind."""
    found: dict[str, list[str]] = {}
    for part in re.split(r"\n(?=[0-9a-f]+ <)", listing)[1:]:
        header, *lines = part.splitlines()
        name = header.split("<")[1].rstrip(">:")
        texts = (re.sub(r"\s+", " ", line.partition(":\t")[2]).strip() for line in lines)
        kept = [
            text.partition(" #")[0] for text in texts if text and not re.match(r"nop|data16|cs nop|xchg %ax,%ax", text)
        ]
        found[name] = [re.sub(r"^(j\w+|call) .*|<.*>|\S*\(%rip\)", r"\1", text).strip() for text in kept]
    return found
