"""`python -m zeroq_asr.export MODEL --format NAME`: a float model as a file of another program.

ONNX Runtime, TensorRT and NVIDIA's ModelOpt calibrate on recordings or on random numbers; with ranges measured here
they need neither. `--list` names the formats.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from zeroq_asr.cli import add_common_flags, check_percentile, run
from zeroq_asr.config import (
    ANALYTIC,
    DEVICE,
    OUTPUT_DIR,
    PRESET,
    PRESETS,
    SEED,
    TENSORRT_VERSION,
    THREADS,
    QuantizeConfig,
)
from zeroq_asr.errors import ConfigError
from zeroq_asr.quantize import chosen_data, synthesis_progress

if TYPE_CHECKING:
    from zeroq_asr.pipelines.export import ExportJob


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    parser = argparse.ArgumentParser(prog="python -m zeroq_asr.export", description=__doc__)
    parser.add_argument("model", nargs="?", metavar="MODEL", help="a float model, as --model of `quantize` takes it")
    parser.add_argument("--format", metavar="NAME", help="one of those that --list names")
    parser.add_argument("--list", action="store_true", help="print the formats and who reads them")
    add_common_flags(parser, "data")
    add_export_flags(parser)
    parser.add_argument("--output", metavar="FILE", help="the file (default: one in zeroq-out/MODEL-export)")
    return parser


def add_export_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say how ranges are measured."""
    parser.add_argument(
        "--calibration",
        default="synthetic",
        metavar="WHAT",
        help="synthetic, random (noise), or a manifest of real speech: FILE, clean, other (default: synthetic)",
    )
    parser.add_argument(
        "--preset",
        choices=sorted(PRESETS),
        default=PRESET,
        help="how synthetic data is made if it has to be (default: %(default)s)",
    )
    usual = QuantizeConfig()
    add_common_flags(parser, "ranges", "percentile", ranges=usual.range_method, percentile=usual.percentile)
    parser.add_argument(
        "--tensorrt-version",
        default=TENSORRT_VERSION,
        metavar="NNNN",
        help="in the first line of the TensorRT cache: what yours writes (default: %(default)s)",
    )
    add_common_flags(parser, "seed", "device", "threads", "quiet", seed=SEED, device=DEVICE, threads=THREADS)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    return run(_main, build_parser(), argv)


def _main(arguments: argparse.Namespace) -> int:
    from zeroq_asr.exporters.registry import FORMATS

    if arguments.list:
        return _print_formats()
    if arguments.model is None or arguments.format not in FORMATS:
        found = "no model" if arguments.model is None else f"--format {arguments.format}"
        raise ConfigError(f"export: expected MODEL --format NAME, NAME one of {', '.join(FORMATS)}; got {found}")
    check_export_flags(arguments)
    format = FORMATS[arguments.format]
    format.require()  # before synthesis takes its time
    from zeroq_asr.files import check_writable, write_atomically

    default = OUTPUT_DIR / f"{Path(arguments.model).stem}-export" / format.file
    output = Path(arguments.output) if arguments.output else default
    check_writable(output)
    with export_job(arguments) as job:
        write_atomically(output, format.write(job))
    print(f"{output}  {format.readers}")
    return 0


def check_export_flags(arguments: argparse.Namespace) -> None:
    """Raise ConfigError for flags of `add_export_flags` that do not go together or are out of their domain."""
    check_percentile([arguments.ranges], [arguments.percentile])
    if arguments.calibration == ANALYTIC:
        raise ConfigError(
            "--calibration: expected synthetic, random or a manifest, got analytic; it gives ranges only for what our "
            "integer programs store, other programs store more"
        )
    if not arguments.tensorrt_version.isdecimal():
        raise ConfigError(f"--tensorrt-version: expected digits such as 8601, got {arguments.tensorrt_version!r}")


@contextmanager
def export_job(arguments: argparse.Namespace) -> Iterator[ExportJob]:
    """Load the model and yield the job; progress is shown while it makes synthetic data. Raises ZeroqError."""
    from zeroq_asr.models.resolve import load_float_model
    from zeroq_asr.models.shipped import DEFAULT_MODEL
    from zeroq_asr.pipelines.export import ExportJob

    config = QuantizeConfig(range_method=arguments.ranges, percentile=arguments.percentile)
    model = load_float_model(arguments.model or DEFAULT_MODEL)
    with synthesis_progress(model, arguments.preset, arguments.seed, arguments.quiet) as on_record:
        yield ExportJob(
            model,
            lambda: chosen_data(model, arguments, on_record),
            config,
            tensorrt_version=arguments.tensorrt_version,
            threads=arguments.threads,
        )


def _print_formats() -> int:
    from zeroq_asr.exporters.registry import FORMATS
    from zeroq_asr.report.text_table import align

    rows = [("format", "extra", "file", "readers")]
    rows += [(format.name, format.extra, format.file, format.readers) for format in FORMATS.values()]
    print("\n".join(align(rows, left=range(4))))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
