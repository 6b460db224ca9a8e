"""`python -m zeroq_asr.demo` (`make demo`): the whole job on one shipped model, then all of them in one table.

Each command is shown before it runs.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence

from zeroq_asr.cli import run, run_verb
from zeroq_asr.config import OUTPUT_DIR
from zeroq_asr.models.shipped import DEFAULT_MODEL, manifest_path

VERIFIED_UTTERANCES = 20
ALONE = ("transcribe",)
"""Verbs that run in a process of their own: this one prints the memory of its process, which here would be torch's."""


def commands() -> list[list[str]]:
    """The verbs and their flags, in order. Everything lands in `zeroq-out/`."""
    programs = [str(OUTPUT_DIR / f"{DEFAULT_MODEL}-w{bits}a8.safetensors") for bits in (8, 6)]
    speech = [str(path) for path in sorted(manifest_path("clean").parent.glob("*.flac"))[:3]]
    return [
        ["generate", "--resume", "--reference", "clean", "--picture", str(OUTPUT_DIR / "synthetic-mels.png")],
        ["quantize", "--bits", "8"],
        ["quantize", "--bits", "6"],
        ["verify", programs[1], "--limit", str(VERIFIED_UTTERANCES)],
        ["transcribe", "--model", programs[1], *speech],
        ["evaluate", "--model", DEFAULT_MODEL, "--model", programs[0], "--model", programs[1]],
        ["table", "--model", "all", "--bits", "8", "6", "--seeds", "1", "--calibrations", "synthetic"],
    ]


def run_alone(verb: str, flags: Sequence[str]) -> int:
    """Run a verb in a process of its own and return its exit code."""
    return subprocess.run([sys.executable, "-m", f"zeroq_asr.{verb}", *flags], check=False).returncode


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m zeroq_asr.demo", description=__doc__)
    return run(_main, parser, argv)


def _main(arguments: argparse.Namespace) -> int:
    started = time.monotonic()
    for verb, *flags in commands():
        print(f"\n$ python -m zeroq_asr.{verb} {shlex.join(flags)}", flush=True)
        code = run_alone(verb, flags) if verb in ALONE else run_verb(verb, flags)
        if code != 0:
            return code
    print(f"\nDone in {time.monotonic() - started:.0f} s. The results:")
    print(f"  integer programs     {OUTPUT_DIR}/*.safetensors")
    print(f"  synthetic speech     {OUTPUT_DIR / 'synthetic'}")
    print(f"  picture of it        {OUTPUT_DIR / 'synthetic-mels.png'}")
    print(f"  TensorBoard          .venv/bin/tensorboard --logdir {OUTPUT_DIR / 'tensorboard'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
