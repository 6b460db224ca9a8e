"""`python -m zeroq_asr.transcribe FILE...`: what is said in audio files of any rate and number of channels."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from zeroq_asr.cli import add_common_flags, run
from zeroq_asr.config import OUTPUT_DIR, THREADS
from zeroq_asr.errors import FileError, ZeroqError


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    parser = argparse.ArgumentParser(
        prog="python -m zeroq_asr.transcribe",
        description=__doc__,
        epilog="Prints one line per file: its name, a tab, the text. A file that cannot be read is reported on the "
        "error output, the others are still transcribed, and the exit code is 2.",
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="audio that libsndfile reads: wav, flac, ogg, mp3, ..."
    )
    add_common_flags(parser, "model")
    parser.add_argument(
        "--backend",
        choices=("native", "reference", "float"),
        default="native",
        help="how a quantized file computes (default: native)",
    )
    add_common_flags(parser, "threads", "json", "quiet", threads=THREADS)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    return run(_main, build_parser(), argv)


def _main(arguments: argparse.Namespace) -> int:
    from zeroq_asr.files import write_atomically
    from zeroq_asr.runtime.transcriber import open_transcriber

    model = open_transcriber(arguments.model or find_default_model(), arguments.backend, arguments.threads)
    if not arguments.quiet:
        print(f"model: {model.name} ({model.bits}, {model.backend})", file=sys.stderr)
    results: list[dict[str, object]] = []
    for name in arguments.files:
        try:
            (transcript,) = model.transcribe([name])
        except ZeroqError as error:
            print(f"error: {error}", file=sys.stderr)
            continue
        print(f"{name}\t{transcript.text}", flush=True)
        results.append(
            {"file": name, "text": transcript.text, "seconds": transcript.seconds, "tokens": list(transcript.tokens)}
        )
    if arguments.json:
        document = {"model": model.name, "bits": model.bits, "backend": model.backend, "results": results}
        write_atomically(arguments.json, (json.dumps(document, indent=2) + "\n").encode())
    return 0 if len(results) == len(arguments.files) else 2


def find_default_model() -> str:
    """Return the only quantized file in the default output folder, or the shipped float model when there is none.

    Raises FileError when there are several: which one is meant is not ours to guess.
    """
    from zeroq_asr.zoo import DEFAULT_MODEL

    found = [path for path in sorted(OUTPUT_DIR.glob("*.safetensors")) if _is_quantized(path)]
    if len(found) > 1:
        names = ", ".join(str(path) for path in found[:4])
        raise FileError(f"{OUTPUT_DIR}: needed one quantized model, came {len(found)} ({names}); choose with --model")
    return str(found[0]) if found else DEFAULT_MODEL


def _is_quantized(path: Path) -> bool:
    from zeroq_asr.runtime.model_kind import find_model_kind

    try:
        return find_model_kind(str(path)) == "quantized"
    except FileError:
        return False


if __name__ == "__main__":
    raise SystemExit(main())
