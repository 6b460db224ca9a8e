"""Flags that several verbs of the research bench share, and what they describe."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from zeroq_asr.cli import add_common_flags, add_quantize_flags, chosen_configs
from zeroq_asr.config import (
    CALIBRATIONS,
    CELLS_DIR,
    DEVICE,
    PRESET,
    PRESETS,
    TABLE_BITS,
    TABLE_SEEDS,
    THREADS,
    QuantizeConfig,
)
from zeroq_asr.errors import ConfigError

if TYPE_CHECKING:
    from zeroq_asr.pipelines.evaluate import TestSet
    from zeroq_research.tables import TableSpec


def add_cache_flags(parser: argparse.ArgumentParser) -> None:
    """Add --cells and --fresh, the arguments of `ResultCache`."""
    parser.add_argument(
        "--cells", default=str(CELLS_DIR), metavar="DIR", help="folder of cached results (default: %(default)s)"
    )
    parser.add_argument("--fresh", action="store_true", help="ignore cached results of earlier runs")


def add_experiment_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of every verb that runs experiments with cached results."""
    parser.add_argument(
        "--bits", type=int, nargs="+", default=list(TABLE_BITS), metavar="N", help="weight bits (default: 8 6 4)"
    )
    act_bits = QuantizeConfig.act_bits
    parser.add_argument("--act-bits", type=int, default=act_bits, metavar="N", help="activation bits (default: 8)")
    add_common_flags(parser, "nonlinear", nonlinear=QuantizeConfig.nonlinear)
    add_quantize_flags(parser, several=True)
    parser.add_argument(
        "--seeds", type=int, default=TABLE_SEEDS, metavar="N", help="independent runs (default: %(default)s)"
    )
    parser.add_argument(
        "--preset", choices=PRESETS, default=PRESET, help="settings of synthesis (default: %(default)s)"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N utterances of each set")
    add_cache_flags(parser)
    add_common_flags(parser, "threads", "device", "quiet", threads=THREADS, device=DEVICE)


def chosen_models(names: Sequence[str] | None) -> tuple[str, ...]:
    """Return the models that --model names, each once; `all` means every shipped model."""
    from zeroq_asr.models.shipped import DEFAULT_MODEL, shipped_models

    listed = [one for name in names or [DEFAULT_MODEL] for one in (shipped_models() if name == "all" else [name])]
    return tuple(dict.fromkeys(listed))


def table_spec(arguments: argparse.Namespace, models: tuple[str, ...], real: TestSet) -> TableSpec:
    """Return what the flags of `add_experiment_flags` describe, with every calibration. Raises ConfigError."""
    from zeroq_research.experiments import ExperimentSettings
    from zeroq_research.tables import TableSpec

    if not 1 <= arguments.seeds <= 100:
        raise ConfigError(f"--seeds: expected 1 to 100, got {arguments.seeds}")
    for bits in arguments.bits:  # some parts of `reproduce` do not use them
        QuantizeConfig(bits=bits)
    return TableSpec(
        models=models,
        bits=tuple(dict.fromkeys(arguments.bits)),
        configs=chosen_configs(arguments, QuantizeConfig(act_bits=arguments.act_bits, nonlinear=arguments.nonlinear)),
        calibrations=CALIBRATIONS,
        seeds=tuple(range(arguments.seeds)),
        settings=ExperimentSettings(arguments.preset, real, arguments.threads, arguments.device),
    )
