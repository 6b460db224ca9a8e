"""`python -m zeroq_asr.ranges`: a float model as ONNX and the ranges of its tensors, for other programs to quantize it.

ONNX Runtime, TensorRT and NVIDIA's ModelOpt calibrate on recordings or on random numbers; with these files they need
neither. Needs the extra `peers`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

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


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    parser = argparse.ArgumentParser(prog="python -m zeroq_asr.ranges", description=__doc__)
    add_common_flags(parser, "float_model", "data")
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
    parser.add_argument("--int8", action="store_true", help="also let ONNX Runtime write its int8 form (QDQ)")
    parser.add_argument(
        "--tensorrt-version",
        default=TENSORRT_VERSION,
        metavar="NNNN",
        help="in the first line of the TensorRT cache: what yours writes (default: %(default)s)",
    )
    add_common_flags(parser, "seed", "device", "threads", "quiet", seed=SEED, device=DEVICE, threads=THREADS)
    parser.add_argument("--output", metavar="DIR", help="folder of the files (default: zeroq-out/MODEL-onnx)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    return run(_main, build_parser(), argv)


def _main(arguments: argparse.Namespace) -> int:
    check_percentile([arguments.ranges], [arguments.percentile])
    config = QuantizeConfig(range_method=arguments.ranges, percentile=arguments.percentile)
    if arguments.calibration == ANALYTIC:
        raise ConfigError(
            "--calibration: expected synthetic, random or a manifest, got analytic; it knows only what our "
            "integer programs store, other programs store more"
        )
    if not arguments.tensorrt_version.isdecimal():
        raise ConfigError(f"--tensorrt-version: expected digits such as 8601, got {arguments.tensorrt_version!r}")
    from zeroq_asr.exporters.onnx_calibration import require_onnxruntime
    from zeroq_asr.files import check_writable
    from zeroq_asr.models.resolve import load_float_model
    from zeroq_asr.models.shipped import DEFAULT_MODEL
    from zeroq_asr.pipelines.ranges import READERS, export_ranges

    require_onnxruntime()  # before synthesis takes its time
    model = load_float_model(arguments.model or DEFAULT_MODEL)
    folder = Path(arguments.output) if arguments.output else OUTPUT_DIR / f"{Path(model.name).stem}-onnx"
    check_writable(*(folder / name for name in READERS))
    with synthesis_progress(model, arguments.preset, arguments.seed, arguments.quiet) as on_record:
        data = chosen_data(model, arguments, on_record)
    made = export_ranges(
        model,
        data,
        config,
        folder,
        int8=arguments.int8,
        version=arguments.tensorrt_version,
        threads=arguments.threads,
    )
    print(f"{model.name}: ranges of {len(made.table.ranges)} tensors, {data.source} calibration")
    for path in made.files:
        print(f"{path}  {READERS[path.name]}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
