"""`zeroq-asr analyze MODEL`: the quantization error of every layer, alone and left out, ranked."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from zeroq_asr.cli import add_common_flags, add_quantize_flags, chosen_config, progress, run
from zeroq_asr.config import (
    ANALYTIC,
    CALIBRATIONS,
    DEVICE,
    OUTPUT_DIR,
    PRESET,
    PRESETS,
    PROBES,
    SEED,
    THREADS,
    QuantizeConfig,
)
from zeroq_asr.errors import ConfigError
from zeroq_research.cli.flags import add_cache_flags

TOP = 20


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    parser = argparse.ArgumentParser(prog="zeroq-asr analyze", description=__doc__)
    parser.add_argument(
        "model",
        nargs="?",
        metavar="MODEL",
        help="a .nemo file, a shipped model or a hub name (default: the shipped QuartzNet)",
    )
    defaults = QuantizeConfig()
    parser.add_argument("--bits", type=int, default=defaults.bits, metavar="N", help="default: %(default)s")
    parser.add_argument("--act-bits", type=int, default=defaults.act_bits, metavar="N", help="default: %(default)s")
    add_common_flags(parser, "nonlinear", nonlinear=defaults.nonlinear)
    add_quantize_flags(parser)
    parser.add_argument(
        "--calibration", choices=(*CALIBRATIONS, ANALYTIC), default="synthetic", help="default: %(default)s"
    )
    parser.add_argument("--real", default="clean", metavar="FILE", help="speech of --calibration real (default: clean)")
    parser.add_argument("--preset", choices=PRESETS, default=PRESET, help="default: %(default)s")
    parser.add_argument(
        "--manifest", default="other", metavar="FILE", help="manifest or shipped set to measure on (default: other)"
    )
    parser.add_argument(
        "--probes",
        type=int,
        default=PROBES,
        metavar="N",
        help="number of its utterances to use, evenly spread (default: %(default)s)",
    )
    parser.add_argument("--top", type=int, default=TOP, metavar="N", help="layers to print (default: %(default)s)")
    add_cache_flags(parser)
    parser.add_argument(
        "--output",
        default=str(OUTPUT_DIR / "analyze"),
        metavar="DIR",
        help="report.html, tables and the TensorBoard log are written to DIR/MODEL-BITS (default: %(default)s)",
    )
    parser.add_argument("--no-tensorboard", action="store_true", help="write no TensorBoard log")
    add_common_flags(parser, "seed", "threads", "device", "quiet", seed=SEED, threads=THREADS, device=DEVICE)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    return run(_main, build_parser(), argv)


def _main(arguments: argparse.Namespace) -> int:
    for flag in ("probes", "top"):
        if getattr(arguments, flag) < 1:
            raise ConfigError(f"--{flag}: expected at least 1, got {getattr(arguments, flag)}")
    from zeroq_asr.files import write_atomically
    from zeroq_asr.models.resolve import load_float_model
    from zeroq_asr.models.shipped import DEFAULT_MODEL
    from zeroq_asr.pipelines.evaluate import read_test_set
    from zeroq_research.experiments import ExperimentConfig, ExperimentRunner, ExperimentSettings
    from zeroq_research.result_cache import ResultCache
    from zeroq_research.sensitivity_report import analysis_page, analyze, choose_probes, count_steps, layers_table

    model = load_float_model(arguments.model or DEFAULT_MODEL)
    usual = QuantizeConfig(bits=arguments.bits, act_bits=arguments.act_bits, nonlinear=arguments.nonlinear)
    config = chosen_config(arguments, usual)
    experiment = ExperimentConfig(config, arguments.calibration, arguments.seed)
    probes = choose_probes(read_test_set(arguments.manifest), arguments.probes)
    settings = ExperimentSettings(arguments.preset, read_test_set(arguments.real), arguments.threads, arguments.device)
    cache = ResultCache(Path(arguments.cells), arguments.fresh)
    steps = count_steps(ExperimentRunner(cache, model, settings), experiment)
    with progress(steps, "analyze", arguments.quiet) as bar:
        analysis = analyze(ExperimentRunner(cache, model, settings, on_step=bar.advance), experiment, probes)
    print(layers_table(analysis, arguments.top).to_text(), end="")
    folder = Path(arguments.output) / f"{Path(model.name).stem}-{experiment.bits.lower()}"
    table = layers_table(analysis)
    document = json.dumps(analysis.to_json(), indent=2, allow_nan=False) + "\n"
    contents = {"layers.md": table.to_markdown(), "layers.csv": table.to_csv(), "analysis.json": document}
    for name, text in {**contents, "report.html": analysis_page(analysis)}.items():
        write_atomically(folder / name, text.encode())
    if not arguments.no_tensorboard:
        from zeroq_asr.report.tensorboard import write_analysis

        write_analysis(folder, analysis.to_json(), {n: (e.counts, e.edges) for n, e in analysis.codes.items()})
    print(f"report: {folder / 'report.html'}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
