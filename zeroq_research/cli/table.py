"""`zeroq-asr table`: the main table, float against W8A8, W6A8 and W4A8 with synthetic, random and real
calibration. A run that was killed resumes where it stopped."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from zeroq_asr.cli import add_common_flags, add_quantize_flags, chosen_configs, progress, run
from zeroq_asr.config import (
    ANALYTIC,
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
    from zeroq_research.report.table import ReportTable
    from zeroq_research.tables import TableSpec


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    parser = argparse.ArgumentParser(prog="zeroq-asr table", description=__doc__)
    parser.add_argument(
        "--model",
        action="append",
        metavar="MODEL",
        help="a .nemo file, a shipped model, a hub name, or `all`: every shipped model; repeatable "
        "(default: the shipped QuartzNet)",
    )
    add_common_flags(parser, "manifest")
    parser.add_argument(
        "--calibrations",
        nargs="+",
        choices=(*CALIBRATIONS, ANALYTIC),
        default=list(CALIBRATIONS),
        help=f"rows (default: {' '.join(CALIBRATIONS)})",
    )
    add_experiment_flags(parser)
    parser.add_argument(
        "--real", default="clean", metavar="FILE", help="manifest or shipped set for real calibration (default: clean)"
    )
    parser.add_argument("--output", metavar="DIR", help="also write table.md, table.csv and table.json there")
    parser.add_argument("--markdown", metavar="FILE", help="also write the table as Markdown")
    parser.add_argument("--csv", metavar="FILE", help="also write the table as CSV")
    add_common_flags(parser, "json")
    return parser


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
    parser.add_argument(
        "--cells", default=str(CELLS_DIR), metavar="DIR", help="folder of cached results (default: %(default)s)"
    )
    parser.add_argument("--fresh", action="store_true", help="ignore cached results of earlier runs")
    add_common_flags(parser, "threads", "device", "quiet", threads=THREADS, device=DEVICE)


def chosen_models(names: Sequence[str] | None) -> tuple[str, ...]:
    """Return the models that --model names, each once; `all` means every shipped model."""
    from zeroq_asr.models.shipped import DEFAULT_MODEL, shipped_models

    listed = [one for name in names or [DEFAULT_MODEL] for one in (shipped_models() if name == "all" else [name])]
    return tuple(dict.fromkeys(listed))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    return run(_main, build_parser(), argv)


def _main(arguments: argparse.Namespace) -> int:
    from zeroq_asr.models.shipped import shipped_sets
    from zeroq_asr.pipelines.evaluate import read_test_set
    from zeroq_research.result_cache import ResultCache
    from zeroq_research.tables import TableRunner, main_table, overview_table

    sets = [read_test_set(name, arguments.limit) for name in dict.fromkeys(arguments.manifest or shipped_sets())]
    spec = table_spec(arguments, chosen_models(arguments.model), read_test_set(arguments.real))
    spec = replace(spec, calibrations=tuple(dict.fromkeys(arguments.calibrations)))
    cache = ResultCache(Path(arguments.cells), arguments.fresh)
    with progress(TableRunner(spec, sets, cache).count_steps(), "table", arguments.quiet) as bar:
        rows = TableRunner(spec, sets, cache, bar.advance).run()
    tables = [main_table(rows), *([overview_table(rows)] if len(spec.models) > 1 else [])]
    print("\n".join(table.to_text() for table in tables), end="", flush=True)
    _write(arguments, tables)
    return 0


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


def _write(arguments: argparse.Namespace, tables: Sequence[ReportTable]) -> None:
    """Write the files that the flags ask for; CSV and JSON hold the records of the first table."""
    from zeroq_asr.files import write_atomically

    document = json.dumps({"results": list(tables[0].records)}, indent=2, allow_nan=False) + "\n"
    for ending, named, content in (
        ("md", arguments.markdown, "\n".join(table.to_markdown() for table in reversed(tables))),
        ("csv", arguments.csv, tables[0].to_csv()),
        ("json", arguments.json, document),
    ):
        folder = [Path(arguments.output) / f"table.{ending}"] if arguments.output else []
        for path in [*folder, *([Path(named)] if named else [])]:
            write_atomically(path, content.encode())


if __name__ == "__main__":
    raise SystemExit(main())
