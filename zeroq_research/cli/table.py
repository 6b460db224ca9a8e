"""`zeroq-asr table`: the main table, float against W8A8, W6A8 and W4A8 with synthetic, random and real
calibration. A run that was killed resumes where it stopped."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from zeroq_asr.cli import add_common_flags, progress, run
from zeroq_asr.config import ANALYTIC, CALIBRATIONS
from zeroq_research.cli.flags import add_experiment_flags, chosen_models, table_spec

if TYPE_CHECKING:
    from zeroq_research.report.table import ReportTable


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
