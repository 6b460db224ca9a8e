"""`python -m zeroq_asr.ranges`: a float model as ONNX and the ranges of its tensors, for other programs to quantize it.

All formats of `python -m zeroq_asr.export` at once, in one folder. Needs the extra `peers`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from zeroq_asr.cli import add_common_flags, run
from zeroq_asr.config import OUTPUT_DIR
from zeroq_asr.export import add_export_flags, check_export_flags, export_job


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    parser = argparse.ArgumentParser(prog="python -m zeroq_asr.ranges", description=__doc__)
    add_common_flags(parser, "float_model", "data")
    add_export_flags(parser)
    parser.add_argument("--int8", action="store_true", help="also let ONNX Runtime write its int8 form (QDQ)")
    parser.add_argument("--output", metavar="DIR", help="folder of the files (default: zeroq-out/MODEL-onnx)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    return run(_main, build_parser(), argv)


def _main(arguments: argparse.Namespace) -> int:
    check_export_flags(arguments)
    from zeroq_asr.exporters.registry import FORMATS
    from zeroq_asr.files import check_writable
    from zeroq_asr.pipelines.export import export

    formats = [format for format in FORMATS.values() if arguments.int8 or format.name != "onnx-int8"]
    for format in formats:
        format.require()  # before synthesis takes its time
    with export_job(arguments) as job:
        folder = Path(arguments.output) if arguments.output else OUTPUT_DIR / f"{Path(job.model.name).stem}-onnx"
        check_writable(*(folder / format.file for format in formats))
        table = job.ranges
        files = export(job, formats, folder)
    print(f"{job.model.name}: ranges of {len(table.ranges)} tensors, {table.source} calibration")
    for path, format in zip(files, formats, strict=True):
        print(f"{path}  {format.readers}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
