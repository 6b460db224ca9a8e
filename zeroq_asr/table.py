"""`python -m zeroq_asr.table`: the main table, float against W8A8 and W6A8 with synthetic, random and real
calibration."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

from zeroq_asr.cli import add_common_flags, progress, run
from zeroq_asr.config import (
    DEVICE,
    OUTPUT_DIR,
    PRESET,
    PRESETS,
    RANGE_METHODS,
    TABLE_BITS,
    TABLE_SEEDS,
    THREADS,
    QuantizeConfig,
)
from zeroq_asr.errors import ConfigError

CALIBRATIONS = ("synthetic", "random", "real")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    parser = argparse.ArgumentParser(prog="python -m zeroq_asr.table", description=__doc__)
    add_common_flags(parser, "model", "manifest")
    parser.add_argument(
        "--bits", type=int, nargs="+", default=list(TABLE_BITS), metavar="N", help="weight bits (default: 8 6)"
    )
    act_bits = QuantizeConfig.act_bits
    parser.add_argument("--act-bits", type=int, default=act_bits, metavar="N", help="activation bits (default: 8)")
    ranges = QuantizeConfig.range_method
    parser.add_argument("--ranges", choices=RANGE_METHODS, default=ranges, help="clipping (default: %(default)s)")
    parser.add_argument(
        "--calibrations", nargs="+", choices=CALIBRATIONS, default=list(CALIBRATIONS), help="rows (default: all three)"
    )
    parser.add_argument(
        "--real", default="clean", metavar="FILE", help="manifest or shipped set for real calibration (default: clean)"
    )
    parser.add_argument(
        "--seeds", type=int, default=TABLE_SEEDS, metavar="N", help="independent runs (default: %(default)s)"
    )
    parser.add_argument(
        "--preset", choices=PRESETS, default=PRESET, help="how synthetic data is made (default: %(default)s)"
    )
    parser.add_argument("--limit", type=int, metavar="N", help="only the first N utterances of each set")
    add_common_flags(parser, "threads", "device", "json", "quiet", threads=THREADS, device=DEVICE)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    return run(_main, build_parser(), argv)


def _main(arguments: argparse.Namespace) -> int:
    if not 1 <= arguments.seeds <= 100:
        raise ConfigError(f"--seeds: needed 1 to 100, came {arguments.seeds}")
    from zeroq_asr.files import write_atomically
    from zeroq_asr.pipeline.evaluate import read_test_set, split_into_blocks
    from zeroq_asr.pipeline.table import Plan, fill_table, render_table
    from zeroq_asr.zoo import DEFAULT_MODEL, shipped_sets

    plan = Plan(
        model=arguments.model or DEFAULT_MODEL,
        bits=tuple(arguments.bits),
        act_bits=arguments.act_bits,
        ranges=arguments.ranges,
        calibrations=tuple(arguments.calibrations),
        real=arguments.real,
        seeds=tuple(range(arguments.seeds)),
        preset=arguments.preset,
        threads=arguments.threads,
        device=arguments.device,
    )
    sets = [read_test_set(name, arguments.limit) for name in arguments.manifest or shipped_sets()]
    blocks = sum(len(split_into_blocks(test_set.utterances)) for test_set in sets)
    steps = len(plan.programs) + blocks
    with progress(steps, "table", arguments.quiet) as bar:
        rows = fill_table(plan, sets, OUTPUT_DIR / "table", bar.advance, bar.advance)
    print(render_table(rows), end="", flush=True)
    if arguments.json:
        write_atomically(arguments.json, (json.dumps({"results": rows}, indent=2) + "\n").encode())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
