"""`python -m zeroq_asr.transcribe FILE...`: transcribe audio files of any rate and number of channels."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence

from zeroq_asr.cli import add_common_flags, run
from zeroq_asr.config import OUTPUT_DIR, THREADS, QuantizeConfig
from zeroq_asr.errors import ZeroqError


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    parser = argparse.ArgumentParser(
        prog="python -m zeroq_asr.transcribe",
        description=__doc__,
        epilog="Prints one line per file: its name, a tab, the text. A file that cannot be read is reported on "
        "standard error, the others are still transcribed, and the exit code is 2. Without --model: the result of "
        "`quantize` with default options if it exists, else the shipped float model; standard error says which.",
    )
    parser.add_argument(
        "files", nargs="+", metavar="FILE", help="audio that libsndfile reads: wav, flac, ogg, mp3, ..."
    )
    add_common_flags(parser, "model")
    parser.add_argument(
        "--backend",
        choices=("native", "reference", "float"),
        default="native",
        help="how a quantized file is computed (default: native)",
    )
    add_common_flags(parser, "threads", "json", "quiet", threads=THREADS)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    return run(_main, build_parser(), argv)


def _main(arguments: argparse.Namespace) -> int:
    from eval.memory import peak_memory_bytes
    from zeroq_asr.files import write_atomically
    from zeroq_asr.models.open import open_transcriber
    from zeroq_asr.runtime.memory import map_large_arrays_separately

    map_large_arrays_separately()
    model = open_transcriber(arguments.model or find_default_model(), arguments.backend, arguments.threads)
    if not arguments.quiet:
        print(f"model: {model.name} ({model.bits}, {model.backend})", file=sys.stderr)
    results: list[dict[str, object]] = []
    longest = 0.0
    for name in arguments.files:
        try:
            (transcript,) = model.transcribe([name])
        except ZeroqError as error:
            print(f"error: {error}", file=sys.stderr)
            continue
        print(f"{name}\t{transcript.text}", flush=True)
        longest = max(longest, transcript.seconds)
        results.append(
            {"file": name, "text": transcript.text, "seconds": transcript.seconds, "tokens": list(transcript.tokens)}
        )
    memory = {"peak": peak_memory_bytes(), **model.memory_bytes(longest)} if results else {}
    if memory and not arguments.quiet:
        print(describe_memory(memory), file=sys.stderr)
    if arguments.json:
        about = {"model": model.name, "bits": model.bits, "backend": model.backend}
        document = {**about, "memory": memory, "results": results}
        write_atomically(arguments.json, (json.dumps(document, indent=2) + "\n").encode())
    return 0 if len(results) == len(arguments.files) else 2


def describe_memory(memory: Mapping[str, int]) -> str:
    """Return the memory of the process, and the parts that the backend counts, as a line in MB of 10^6 bytes."""
    parts = {"model": "weights and tables", "utterance": "the longest file while it ran"}
    counted = [f"{memory[key] / 1e6:.1f} MB {text}" for key, text in parts.items() if key in memory]
    return f"memory: {memory['peak'] / 1e6:.1f} MB at most" + (f", of it {', '.join(counted)}" if counted else "")


def find_default_model() -> str:
    """Return the default output file of `quantize` if it exists, else the name of the shipped float model."""
    from zeroq_asr.models.shipped import DEFAULT_MODEL

    bits = QuantizeConfig()
    quantized = OUTPUT_DIR / f"{DEFAULT_MODEL}-w{bits.bits}a{bits.act_bits}.safetensors"
    return str(quantized) if quantized.is_file() else DEFAULT_MODEL


if __name__ == "__main__":
    raise SystemExit(main())
