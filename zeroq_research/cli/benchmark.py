"""`zeroq-asr benchmark`: latency of a model in our kernels, in torch and in other vendors' engines."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from zeroq_asr.cli import add_common_flags, progress, run
from zeroq_asr.config import (
    BENCHMARK_FRAMES,
    BENCHMARK_ROUNDS,
    BENCHMARK_THREADS,
    DEVICE,
    LOW_MEMORY_FLOAT_MB,
    LOW_MEMORY_PERCENT,
    SEED,
    QuantizeConfig,
)
from zeroq_asr.errors import ConfigError
from zeroq_asr.files import check_writable, write_atomically
from zeroq_asr.models.full_size import full_size_names
from zeroq_asr.models.shipped import DEFAULT_MODEL, shipped_sets

if TYPE_CHECKING:
    from zeroq_research.benchmark.inputs import Work
    from zeroq_research.benchmark.run import BenchmarkPlan, BenchmarkResults

_PACKAGES = ("zeroq-asr", "numpy", "torch", "onnx", "onnxruntime", "openvino", "nncf")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of this verb."""
    parser = argparse.ArgumentParser(prog="zeroq-asr benchmark", description=__doc__)
    parser.add_argument(
        "--model",
        metavar="MODEL",
        help="a .nemo file, a quantized file (our kernels only), a shipped model's or a hub name, or a published size "
        f"with random weights: {', '.join(full_size_names())} (default: {DEFAULT_MODEL})",
    )
    _add_input_flags(parser)
    _add_engine_flags(parser)
    parser.add_argument(
        "--threads",
        type=int,
        nargs="+",
        metavar="N",
        help="numbers of threads, each with rows of its own (default: 1 2)",
    )
    parser.add_argument(
        "--rounds", type=int, default=BENCHMARK_ROUNDS, metavar="N", help="timed runs each (default: %(default)s)"
    )
    parser.add_argument("--profile", action="store_true", help="also time every layer of our engines on one thread")
    parser.add_argument("--single-core", action="store_true", help="run everything on one core, with one thread")
    parser.add_argument("--plot", metavar="FILE", help="also write a bar chart of the medians as a PNG file")
    add_common_flags(parser, "seed", "json", "quiet", seed=SEED)
    return parser


def _add_input_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--frames",
        type=int,
        default=BENCHMARK_FRAMES,
        metavar="N",
        help="length of an utterance; a frame is 10 ms (default: %(default)s)",
    )
    parser.add_argument("--batch", type=int, default=1, metavar="N", help="utterances per run (default: %(default)s)")
    parser.add_argument(
        "--manifest",
        metavar="SET",
        help=f"speech at its real lengths instead of noise, one utterance after the other: a NeMo manifest or "
        f"{', '.join(shipped_sets())}",
    )
    parser.add_argument(
        "--sample-percent",
        type=float,
        metavar="P",
        help="use P %% of the manifest, with the same distribution of lengths (default: 100)",
    )


def _add_engine_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bits", type=int, nargs="+", metavar="B", help="our weight bits, one engine each, 2 to 8 (default: 8)"
    )
    parser.add_argument(
        "--kernels",
        nargs="+",
        metavar="NAME",
        help="our kernels, one engine each, or all (default: the best ones here)",
    )
    parser.add_argument(
        "--device",
        choices=("cpu", "cuda"),
        default=DEVICE,
        help="cuda: torch also on the first GPU (float32, TF32, float16); our program always runs on the CPU",
    )
    parser.add_argument(
        "--low-memory",
        action="store_true",
        help="one engine in memory at a time, files prepared in separate processes, one torch layout, no float32 "
        f"above {LOW_MEMORY_FLOAT_MB} MB, {LOW_MEMORY_PERCENT:g} %% of a manifest; failed engines are omitted",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    policy = os.environ.get("OMP_WAIT_POLICY")

    def measure(arguments: argparse.Namespace) -> int:
        if policy is None:  # undo what `run` sets for the other verbs: torch is timed with its own default
            os.environ.pop("OMP_WAIT_POLICY", None)
        return _main(arguments)

    return run(measure, build_parser(), argv)


def _plan(arguments: argparse.Namespace) -> BenchmarkPlan:
    from zeroq_research.benchmark.run import BenchmarkPlan

    for flag, most in (("frames", 1_000_000), ("batch", 1024), ("rounds", 1_000_000)):
        value = getattr(arguments, flag)
        if not 1 <= value <= most:
            raise ConfigError(f"--{flag}: expected 1 to {most}, got {value}")
    threads = tuple(dict.fromkeys(arguments.threads or ((1,) if arguments.single_core else BENCHMARK_THREADS)))
    if min(threads) < 1 or max(threads) > 256:
        raise ConfigError(f"--threads: expected 1 to 256, got {' '.join(map(str, threads))}")
    for bits in arguments.bits or ():
        QuantizeConfig(bits=bits)
    if arguments.device == "cuda":
        _require_gpu()
    return BenchmarkPlan(
        model=arguments.model or DEFAULT_MODEL,
        frames=arguments.frames,
        batch=arguments.batch,
        threads=threads,
        rounds=arguments.rounds,
        core=_core(threads) if arguments.single_core else None,
        kernels=_kernels(arguments.kernels or ()),
        bits=tuple(dict.fromkeys(arguments.bits or ())),
        profile=arguments.profile,
        low_memory=arguments.low_memory,
        device=arguments.device,
        manifest=arguments.manifest,
        percent=_percent(arguments),
        seed=arguments.seed,
    )


def _core(threads: tuple[int, ...]) -> int:
    if threads != (1,):
        raise ConfigError(f"--single-core: goes with --threads 1, got --threads {' '.join(map(str, threads))}")
    if not hasattr(os, "sched_setaffinity"):
        raise ConfigError("--single-core: expected Linux, which can bind a process to a core; remove the flag")
    return max(os.sched_getaffinity(0))


def _kernels(names: Sequence[str]) -> tuple[str, ...]:
    from int_kernels import available_kernels

    available = available_kernels()
    if unknown := [name for name in names if name not in (*available, "all")]:
        raise ConfigError(f"--kernels: expected some of {', '.join(available)} or all, got {unknown[0]!r}")
    return available if "all" in names else tuple(dict.fromkeys(names))


def _percent(arguments: argparse.Namespace) -> float:
    percent = arguments.sample_percent
    if arguments.manifest is None:
        if percent is not None:
            raise ConfigError(f"--sample-percent: goes with --manifest, got {percent:g} alone")
        return 100.0
    if arguments.batch != 1 or arguments.frames != BENCHMARK_FRAMES:
        raise ConfigError("--manifest: expected no --frames and no --batch, utterances run one by one at their lengths")
    if percent is None:
        return LOW_MEMORY_PERCENT if arguments.low_memory else 100.0
    if not 0 < percent <= 100:
        raise ConfigError(f"--sample-percent: expected a number above 0 and at most 100, got {percent:g}")
    return float(percent)


def _require_gpu() -> None:
    from zeroq_research.engines.torch_float import has_cuda

    if not has_cuda():
        raise ConfigError("--device cuda: expected a GPU that torch can use, found none; remove the flag")


def _report_step(step: str) -> None:
    print(f"preparing {step}", file=sys.stderr, flush=True)


def _main(arguments: argparse.Namespace) -> int:
    from eval.machine import describe_machine, load
    from zeroq_research.benchmark.run import count_rounds, prepare
    from zeroq_research.benchmark.run import run as run_rounds
    from zeroq_research.engines import PEERS, installed_peers
    from zeroq_research.progress import ignore_step

    plan = _plan(arguments)
    check_writable(arguments.json, arguments.plot)
    if missing := [peer for peer in PEERS if peer not in installed_peers()]:
        print(f"without {', '.join(missing)}: pip install -e '.[peers]' adds them", file=sys.stderr)
    machine = describe_machine(_PACKAGES)
    with TemporaryDirectory(prefix="zeroq-benchmark-") as folder:
        engines, work = prepare(plan, Path(folder), ignore_step if arguments.quiet else _report_step)
        machine["load_before"] = load()

        def save(results: BenchmarkResults) -> None:
            machine["load_after"] = load()
            if arguments.json:
                document = {**vars(results), "machine": machine, "plan": vars(plan), **vars(work)}
                document["results"] = document.pop("rows")
                write_atomically(arguments.json, (json.dumps(document, indent=2) + "\n").encode())

        with progress(count_rounds(plan, engines), "benchmark, rounds", arguments.quiet) as bar:
            results = run_rounds(plan, engines, work, bar.advance, save)
    title = _title(plan, work)
    _show(plan, work, results, title)
    print(
        f"{machine['cpu']}, {machine['cores']} cores ({' '.join(machine['features'])}), "
        f"load {machine['load_before']} before, {machine['load_after']} after"
    )
    if arguments.plot:
        from zeroq_research.report.latency_figure import latencies_png

        fastest: dict[int, float] = {}
        for limit in results.limits:
            fastest[limit["threads"]] = max(limit["gmac_per_s"], fastest.get(limit["threads"], 0.0))
        limit_ms = {threads: work.macs / rate / 1e6 for threads, rate in fastest.items()}
        write_atomically(arguments.plot, latencies_png(results.rows, title, limit_ms))
    return 0


def _title(plan: BenchmarkPlan, work: Work) -> str:
    what = f"{plan.batch} x {plan.frames} frames"
    if plan.manifest is not None:
        what = f"{work.utterances} utterances of {plan.manifest} ({work.audio_s:.1f} s)"
    return f"{plan.model}, {what}, {work.macs / 1e9:.3f} GMAC, {plan.rounds} rounds"


def _show(plan: BenchmarkPlan, work: Work, results: BenchmarkResults, title: str) -> None:
    from zeroq_research.report.latency_table import (
        latency_table,
        limit_line,
        memory_table,
        profile_table,
        scaling_lines,
    )

    print(title + "\n" + latency_table(results.rows, work.utterances, plan.manifest is not None), end="")
    print("\n".join([limit_line(results.limits), *scaling_lines(results.rows)]))
    print(memory_table(results.rows), end="")
    for line in results.missing:
        print(f"failed, {line}")
    for profile in results.profiles:
        print(profile_table(profile), end="")


if __name__ == "__main__":
    raise SystemExit(main())
