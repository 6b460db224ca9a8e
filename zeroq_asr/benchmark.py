"""`python -m zeroq_asr.benchmark`: how long a model takes in our kernels, in torch and in other vendors' engines."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from zeroq_asr.cli import add_common_flags, progress, run
from zeroq_asr.config import BENCHMARK_FRAMES, BENCHMARK_ROUNDS, BENCHMARK_THREADS
from zeroq_asr.errors import ConfigError
from zeroq_asr.zoo import DEFAULT_MODEL
from zeroq_asr.zoo.full_size import full_size_names

if TYPE_CHECKING:
    from zeroq_asr.pipeline.benchmark import Plan

_PACKAGES = ("zeroq-asr", "numpy", "torch", "onnx", "onnxruntime", "openvino", "nncf")
_WHOLE_CORE = 0.9
_HEADINGS = (
    "engine",
    "threads",
    "median ms",
    "min ms",
    "x ours",
    "[quartiles]",
    "GMAC/s",
    "CPU ms",
    "CPU/wall",
    "RSS MB",
    "file MB",
)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the rows as text, one line per engine and number of threads."""
    from zeroq_asr.report.columns import align

    cells = [
        (
            row["engine"],
            str(row["threads"]),
            f"{row['median_ms']:.1f}",
            f"{row['min_ms']:.1f}",
            f"{row['ratio']:.2f}",
            f"[{row['ratio_low']:.2f}, {row['ratio_high']:.2f}]",
            f"{row['gmac_per_s']:.0f}",
            f"{row['cpu_ms']:.1f}",
            f"{row['cpu_per_wall']:.2f}",
            f"{row['rss_mb']:.0f}",
            f"{row['file_mb']:.1f}",
        )
        for row in rows
    ]
    lines = align([_HEADINGS, *cells], left={0, 5})
    if any(row["cpu_per_wall"] < _WHOLE_CORE for row in rows):
        lines.append(
            "The machine was busy: an engine did not get one whole core. What holds: CPU ms, ratios of 1 thread."
        )
    return "\n".join(lines) + "\n"


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    parser = argparse.ArgumentParser(prog="python -m zeroq_asr.benchmark", description=__doc__)
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="a .nemo file, a quantized file (our kernels only), a shipped model's or a hub name, or a published size "
        f"with random weights: {', '.join(full_size_names())} (default: {DEFAULT_MODEL})",
    )
    parser.add_argument(
        "--frames",
        type=int,
        default=BENCHMARK_FRAMES,
        metavar="N",
        help="length of an utterance; a frame is 10 ms (default: %(default)s)",
    )
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="utterances per run (default: %(default)s)")
    parser.add_argument(
        "--threads", type=int, nargs="+", metavar="N", help="numbers of threads, one table part each (default: 1 2)"
    )
    parser.add_argument(
        "--rounds", type=int, default=BENCHMARK_ROUNDS, metavar="N", help="timed runs each (default: %(default)s)"
    )
    parser.add_argument("--single-core", action="store_true", help="everything on one core, with one thread")
    parser.add_argument("--plot", metavar="FILE", help="also draw the medians as bars into a PNG file")
    add_common_flags(parser, "json", "quiet")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    policy = os.environ.get("OMP_WAIT_POLICY")

    def measure(arguments: argparse.Namespace) -> int:
        if (
            policy is None
        ):  # the other verbs make torch's threads sleep while they wait; here torch gets its own default
            os.environ.pop("OMP_WAIT_POLICY", None)
        return _main(arguments)

    return run(measure, build_parser(), argv)


def _plan(arguments: argparse.Namespace) -> Plan:
    from zeroq_asr.pipeline.benchmark import Plan
    from zeroq_asr.zoo import DEFAULT_MODEL

    for flag, most in (("frames", 1_000_000), ("batch", 1024), ("rounds", 1_000_000)):
        value = getattr(arguments, flag)
        if not 1 <= value <= most:
            raise ConfigError(f"--{flag}: needed 1 to {most}, came {value}")
    threads = tuple(dict.fromkeys(arguments.threads or ((1,) if arguments.single_core else BENCHMARK_THREADS)))
    if min(threads) < 1 or max(threads) > 1024:
        raise ConfigError(f"--threads: needed 1 to 1024, came {' '.join(map(str, threads))}")
    core = None
    if arguments.single_core:
        if threads != (1,):
            raise ConfigError(f"--single-core: goes with --threads 1, came --threads {' '.join(map(str, threads))}")
        if not hasattr(os, "sched_setaffinity"):
            raise ConfigError("--single-core: needed Linux, which can bind a process to a core; leave the flag away")
        core = max(os.sched_getaffinity(0))
    return Plan(arguments.model or DEFAULT_MODEL, arguments.frames, arguments.batch, threads, arguments.rounds, core)


def _main(arguments: argparse.Namespace) -> int:
    from eval.machine import describe_machine, load
    from zeroq_asr.engines import PEERS, installed_peers
    from zeroq_asr.files import write_atomically
    from zeroq_asr.pipeline.benchmark import prepare
    from zeroq_asr.pipeline.benchmark import run as run_rounds

    plan = _plan(arguments)
    if missing := [peer for peer in PEERS if peer not in installed_peers()]:
        print(f"without {', '.join(missing)}: pip install -e '.[peers]' adds them", file=sys.stderr)

    def tell(step: str) -> None:
        if not arguments.quiet:
            print(f"preparing {step}", file=sys.stderr, flush=True)

    machine = describe_machine(_PACKAGES)
    with TemporaryDirectory(prefix="zeroq-benchmark-") as folder:
        engines, macs = prepare(plan, Path(folder), tell)
        machine["load_before"] = load()
        with progress(plan.rounds * len(plan.threads), "benchmark, rounds", arguments.quiet) as bar:
            rows = run_rounds(plan, engines, macs, bar.advance)
        machine["load_after"] = load()
    title = f"{plan.model}, {plan.batch} x {plan.frames} frames, {macs / 1e9:.3f} GMAC, {plan.rounds} rounds"
    print(title + "\n" + table(rows), end="")
    print(
        f"{machine['cpu']}, {machine['cores']} cores ({' '.join(machine['features'])}), "
        f"load {machine['load_before']} before, {machine['load_after']} after"
    )
    if arguments.json:
        document = {"results": rows, "machine": machine, "plan": vars(plan), "macs": macs}
        write_atomically(arguments.json, (json.dumps(document, indent=2) + "\n").encode())
    if arguments.plot:
        from zeroq_asr.report.latency_figure import latencies_png

        write_atomically(arguments.plot, latencies_png(rows, title))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
