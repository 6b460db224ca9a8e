"""`python -m zeroq_asr.quantize --bits 6`: convert a float model to an integer-only program, without data."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from zeroq_asr.callable_module import make_callable
from zeroq_asr.cli import Progress, add_common_flags, add_quantize_flags, chosen_config, progress, run
from zeroq_asr.config import (
    ANALYTIC,
    DEVICE,
    OUTPUT_DIR,
    PRESET,
    PRESETS,
    SEED,
    Budget,
    GenerateConfig,
    QuantizeConfig,
)

if TYPE_CHECKING:
    from synth import StepRecord
    from zeroq_asr.adapters import FloatModel
    from zeroq_asr.pipelines.calibration import CalibrationData
    from zeroq_asr.pipelines.generate import OnRecord
    from zeroq_asr.pipelines.quantize import Quantized

make_callable(__name__)  # `zeroq_asr.quantize(...)` is the function of the Python API


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    defaults = QuantizeConfig()
    parser = argparse.ArgumentParser(prog="python -m zeroq_asr.quantize", description=__doc__)
    add_common_flags(parser, "float_model", "data")
    parser.add_argument(
        "--bits", type=int, default=defaults.bits, metavar="N", help="weight bits, 2 to 8 (default: %(default)s)"
    )
    _add_budget_flags(parser)
    parser.add_argument(
        "--act-bits",
        type=int,
        default=defaults.act_bits,
        metavar="N",
        help="activation bits, 2 to 8 (default: %(default)s)",
    )
    parser.add_argument(
        "--calibration",
        default="synthetic",
        metavar="WHAT",
        help="synthetic, random (noise, the baseline of the paper), analytic (no data: ranges and means follow from "
        "the parameters of BatchNorms and LayerNorms), or a manifest of real speech: FILE, clean, other "
        "(default: synthetic)",
    )
    parser.add_argument(
        "--preset",
        choices=sorted(PRESETS),
        default=PRESET,
        help="settings of the synthetic data (default: %(default)s)",
    )
    parser.add_argument(
        "--per-tensor", action="store_true", help="one weight scale per tensor instead of one per output channel"
    )
    parser.add_argument(
        "--activations",
        choices=("auto", "symmetric"),
        default=defaults.activations,
        help="auto: unsigned behind a ReLU, unsigned with an offset behind a swish, one scale per channel before a "
        "depthwise convolution; symmetric: all signed as in the paper (default: %(default)s)",
    )
    add_common_flags(parser, "nonlinear", nonlinear=defaults.nonlinear)
    add_quantize_flags(parser)
    add_common_flags(parser, "seed", "device", "output", "json", "quiet", seed=SEED, device=DEVICE)
    return parser


def _add_budget_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--budget-mb",
        type=float,
        metavar="MB",
        help="choose bits for each layer (at most --bits) with the least divergence on the calibration data, for a "
        "file of at most this size in 10^6 bytes",
    )
    parser.add_argument(
        "--budget-gbop", type=float, metavar="N", help="the same, for at most this many 10^9 bit operations for 10 s"
    )
    parser.add_argument("--mean-bits", type=float, metavar="N", help="the same, for at most this mean over the weights")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    return run(_main, build_parser(), argv)


def _main(arguments: argparse.Namespace) -> int:
    config = QuantizeConfig(
        bits=arguments.bits,
        act_bits=arguments.act_bits,
        granularity="per-tensor" if arguments.per_tensor else "per-channel",
        activations=arguments.activations,
        nonlinear=arguments.nonlinear,
    )
    config = chosen_config(arguments, config)
    budget = _budget(arguments)
    from zeroq_asr.artifact import save_model
    from zeroq_asr.files import check_writable, write_atomically
    from zeroq_asr.models.resolve import load_float_model
    from zeroq_asr.models.shipped import DEFAULT_MODEL
    from zeroq_asr.report.quantization import describe_quantized, render_quantized
    from zeroq_asr.runtime.transcriber import weight_bits_of

    check_writable(arguments.output, arguments.json)
    float_model = load_float_model(arguments.model or DEFAULT_MODEL)
    if budget is not None:
        _check_budget(float_model, config, budget, arguments)
    started = time.monotonic()
    with synthesis_progress(float_model, arguments.preset, arguments.seed, arguments.quiet) as on_record:
        data = chosen_data(float_model, arguments, on_record)
    made = time.monotonic()
    quantized, divergences = _quantized(float_model, data, config, budget, arguments)
    if not arguments.quiet:
        print(f"data {made - started:.1f} s, quantization {time.monotonic() - made:.1f} s", file=sys.stderr)
    bits = weight_bits_of(quantized.model)
    name = default_name(float_model, config, data.source, bits)
    output = Path(arguments.output) if arguments.output else OUTPUT_DIR / name
    save_model(quantized.model, output)
    document = describe_quantized(quantized, output, divergences)
    print(render_quantized(document), end="", flush=True)
    if arguments.json:
        write_atomically(arguments.json, (json.dumps(document, indent=2) + "\n").encode())
    return 0


def _budget(arguments: argparse.Namespace) -> Budget | None:
    limits = (arguments.budget_mb, arguments.budget_gbop, arguments.mean_bits)
    return None if limits == (None, None, None) else Budget(*limits)


def _check_budget(model: FloatModel, config: QuantizeConfig, budget: Budget, arguments: argparse.Namespace) -> None:
    """Raise ConfigError for a budget out of reach, before minutes of synthesis."""
    from zeroq_asr.pipelines.calibration import expected_provenance
    from zeroq_asr.pipelines.mixed_precision import check_budget_early

    data = Path(arguments.data) if arguments.data else None
    provenance = expected_provenance(
        model, arguments.calibration, data=data, preset=arguments.preset, seed=arguments.seed
    )
    check_budget_early(model, arguments.calibration, config, budget, provenance)


def _quantized(
    model: FloatModel,
    data: CalibrationData,
    config: QuantizeConfig,
    budget: Budget | None,
    arguments: argparse.Namespace,
) -> tuple[Quantized, Mapping[str, float]]:
    """Return the integer model; with a budget also the divergences of its weights, summed over layers and together."""
    from zeroq_asr.pipelines.mixed_precision import count_steps, quantize_within
    from zeroq_asr.pipelines.quantize import quantize_model

    given = (model, data.batches, data.source, config)
    if budget is None:
        return quantize_model(*given, data.provenance, arguments.device), {}
    with progress(count_steps(model, config), "bits for each layer", arguments.quiet) as bar:
        mixed = quantize_within(*given, budget, data.provenance, arguments.device, bar.advance)
    return mixed.quantized, {"summed": mixed.summed, "together": mixed.together}


def chosen_data(model: FloatModel, arguments: argparse.Namespace, on_record: OnRecord) -> CalibrationData:
    """Return the data that the flags --calibration, --data, ... select. Raises what `calibration_data` raises."""
    from zeroq_asr.pipelines.calibration import calibration_data

    return calibration_data(
        model,
        arguments.calibration,
        data=Path(arguments.data) if arguments.data else None,
        preset=arguments.preset,
        seed=arguments.seed,
        device=arguments.device,
        on_record=on_record,
    )


@contextmanager
def synthesis_progress(model: FloatModel, preset: str, seed: int, quiet: bool) -> Iterator[OnRecord]:
    """Show the progress of a synthesis; the bar appears with the first step, so not at all without a synthesis."""
    from zeroq_asr.pipelines.generate import synthesis_settings

    settings = synthesis_settings(replace(GenerateConfig.of_preset(preset), seed=seed), model)
    with ExitStack() as stack:
        bars: list[Progress] = []

        def on_record(record: StepRecord) -> None:
            if not bars:
                bars.append(
                    stack.enter_context(progress(settings.total_iterations + settings.batches, "generate", quiet))
                )
            bars[0].advance(f"batch {record.batch + 1}/{settings.batches} loss {record.total:.4g}")

        yield on_record


def default_name(model: FloatModel, config: QuantizeConfig, source: str, bits: str = "") -> str:
    """Return the file name of the result: model, bits, and ranges, methods and data if not the default.

    bits: weight bits as text if they are not `config.bits`.
    """
    data = [] if source == "synthetic" else [Path(source).stem]
    ranges = () if source == ANALYTIC else (part.replace(" ", "-") for part in config.unusual_ranges)
    suffix = "".join(f"-{part}" for part in (*ranges, *config.unusual_methods, *data))
    return f"{Path(model.name).stem}-w{bits or config.bits}a{config.act_bits}{suffix}.safetensors"


if __name__ == "__main__":
    raise SystemExit(main())
