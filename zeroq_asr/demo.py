"""`python -m zeroq_asr.demo` (`make demo`): the whole job on one shipped model, then all of them in one table.

Each command is shown before it runs.
"""

from __future__ import annotations

import argparse
import importlib
import shlex
import time
from collections.abc import Sequence

from zeroq_asr.cli import run
from zeroq_asr.config import OUTPUT_DIR
from zeroq_asr.models.shipped import DEFAULT_MODEL, manifest_path

VERIFIED_UTTERANCES = 20


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


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m zeroq_asr.demo", description=__doc__)
    return run(_main, parser, argv)


def _main(arguments: argparse.Namespace) -> int:
    started = time.monotonic()
    for verb, *flags in commands():
        print(f"\n$ python -m zeroq_asr.{verb} {shlex.join(flags)}", flush=True)
        code: int = importlib.import_module(f"zeroq_asr.{verb}").main(flags)
        if code != 0:
            return code
    print(f"\nDone in {time.monotonic() - started:.0f} s. What lies where:")
    print(f"  integer programs     {OUTPUT_DIR}/*.safetensors")
    print(f"  synthetic speech     {OUTPUT_DIR / 'synthetic'}")
    print(f"  picture of it        {OUTPUT_DIR / 'synthetic-mels.png'}")
    print(f"  TensorBoard          .venv/bin/tensorboard --logdir {OUTPUT_DIR / 'tensorboard'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
