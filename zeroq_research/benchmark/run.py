"""One model in every engine that can run it here, timed in alternation."""

from __future__ import annotations

import multiprocessing
import signal
import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from eval.latency import LatencyError, TimedEngine, Timing, ratio, time_engines
from zeroq_asr.artifact import IntegerModel, load_model
from zeroq_asr.config import LOW_MEMORY_FLOAT_MB, SEED
from zeroq_asr.errors import ConfigError
from zeroq_asr.models.kind import find_model_kind
from zeroq_research.benchmark.engines import (
    Engine,
    native_engines,
    peer_engines,
    quantize_ours,
    torch_engines,
    write_onnx,
)
from zeroq_research.benchmark.inputs import Work, make_inputs, measure_work
from zeroq_research.benchmark.profile import summarize_profile
from zeroq_research.engines import installed_peers, load_inputs, save_inputs
from zeroq_research.engines.native import kernels_in_use, open_limit, open_profile
from zeroq_research.progress import OnStep, ignore_step

if TYPE_CHECKING:
    from zeroq_asr.adapters import FloatModel

Row = dict[str, Any]
T = TypeVar("T")

_MB = 1e6
_INPUTS = "inputs"


@dataclass(frozen=True)
class BenchmarkPlan:
    """What is measured: a model on `batch` utterances of `frames` frames, `rounds` times for each number of threads.

    core: the only core that may be used, or None. kernels: names of our kernels, empty for the default. bits: of our
    weights, empty for 8 or those of a quantized file. manifest: a test set of which `percent` of the utterances are run
    at their real lengths instead of a batch of noise. low_memory: see `prepare` and `run`.
    """

    model: str
    frames: int
    batch: int
    threads: tuple[int, ...]
    rounds: int
    core: int | None = None
    kernels: tuple[str, ...] = ()
    bits: tuple[int, ...] = ()
    profile: bool = False
    low_memory: bool = False
    device: str = "cpu"
    manifest: str | None = None
    percent: float = 100.0
    seed: int = SEED


@dataclass
class BenchmarkResults:
    """The measurements so far, as plain JSON values.

    rows: one per engine and number of threads. limits: GMAC/s of the multiply-accumulate instructions of each kernels.
    profiles: of our engines. missing: engines that failed, and why.
    """

    rows: list[Row] = field(default_factory=list)
    limits: list[Row] = field(default_factory=list)
    profiles: list[Row] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def prepare(
    plan: BenchmarkPlan, folder: Path, on_step: OnStep = ignore_step, peers: bool = True
) -> tuple[list[Engine], Work]:
    """Write every engine's file into `folder`; return the engines, ours first, and the work of a run.

    peers: include other vendors' engines that are installed. Only our kernels run a quantized file, which has no float
    weights. `on_step` is called before each file. With low_memory every file is written by a separate process, whose
    memory is released when it ends; a peer whose process dies is omitted, and so are float32 engines of large models.
    Raises ZeroqError.
    """
    if find_model_kind(plan.model) in ("quantized", "synthetic"):  # load_model reports the error of synthetic data
        return _prepare_file(plan, folder)
    engines, work = _call_isolated(plan, _prepare_ours, plan, folder, on_step)
    for peer in installed_peers() if peers else ():
        try:
            engines += _call_isolated(plan, _prepare_peer, folder, plan.model, peer, on_step)
        except BrokenProcessPool:
            on_step(f"without {peer}, whose preparation died; is there enough memory?")
    float_mb = max(engine.size_bytes for engine in engines) / _MB
    if plan.low_memory and float_mb > LOW_MEMORY_FLOAT_MB:
        on_step(f"without float32 engines: {float_mb:.0f} MB of weights are more than {LOW_MEMORY_FLOAT_MB} MB")
        engines = [engine for engine in engines if engine.limit]
    return engines, work


def _call_isolated(plan: BenchmarkPlan, function: Callable[..., T], *arguments: object) -> T:
    """Call the function; with low_memory in a separate process. Raises BrokenProcessPool if that process dies."""
    if not plan.low_memory:
        return function(*arguments)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _die_on_interrupt) as pool:
        return pool.submit(function, *arguments).result()


def _die_on_interrupt() -> None:
    """Ctrl-C reaches this process too: it ends silently, and the parent process reports the interrupt."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _prepare_file(plan: BenchmarkPlan, folder: Path) -> tuple[list[Engine], Work]:
    """Return our engines for a quantized file."""
    model = load_model(plan.model)
    for flag, given in (("--bits", plan.bits), ("--device cuda", plan.device == "cuda")):
        if given:
            raise ConfigError(f"{flag}: expected a float model, got the quantized file {plan.model}")
    inputs, work = _write_inputs(plan, folder, model)
    mixed = len(model.weights) > 1
    bits = model.mean_bits if mixed else model.bits[0]
    return native_engines(Path(plan.model), inputs, _kernels(plan), bits, mixed), work


def _prepare_ours(plan: BenchmarkPlan, folder: Path, on_step: OnStep) -> tuple[list[Engine], Work]:
    """Return our engines for a float model, and those of torch, which loads the model itself."""
    from zeroq_asr.models.resolve import load_float_model

    model = load_float_model(plan.model)
    inputs, work = _write_inputs(plan, folder, model)
    engines, ranges = [], None
    for bits in plan.bits or (8,):
        on_step(f"our form with {bits} bits")
        path = folder / f"w{bits}.safetensors"
        ranges = quantize_ours(model, path, load_inputs(inputs), bits, ranges)
        engines += native_engines(path, inputs, _kernels(plan), bits)
    size = sum(array.nbytes for array in model.graph.constants.values())
    return engines + torch_engines(plan.model, inputs, size, plan.device, plan.low_memory), work


def _prepare_peer(folder: Path, reference: str, peer: str, on_step: OnStep) -> list[Engine]:
    source, inputs = folder / "float32.onnx", str(folder / _INPUTS)
    if not source.exists():
        from zeroq_asr.models.resolve import load_float_model

        write_onnx(load_float_model(reference), load_inputs(inputs), source)
    return peer_engines(peer, source, inputs, load_inputs(inputs), on_step)


def _write_inputs(plan: BenchmarkPlan, folder: Path, model: FloatModel | IntegerModel) -> tuple[str, Work]:
    """Write the inputs; return their folder and the work of a run over them."""
    mels, audio_s = make_inputs(model.frontend, plan.batch, plan.frames, plan.manifest, plan.percent, plan.seed)
    executed = model.program if isinstance(model, IntegerModel) else model.graph
    return save_inputs(folder / _INPUTS, mels), measure_work(executed, mels, audio_s)


def _kernels(plan: BenchmarkPlan) -> tuple[str, ...]:
    return plan.kernels or (kernels_in_use(),)


def count_rounds(plan: BenchmarkPlan, engines: Sequence[Engine]) -> int:
    """Return how often `run` will call `on_round`."""
    ours = sum(engine.bits > 0 for engine in engines)
    return plan.rounds * (len(plan.threads) * (len(engines) if plan.low_memory else 1) + plan.profile * ours)


def run(
    plan: BenchmarkPlan,
    engines: Sequence[Engine],
    work: Work,
    on_round: Callable[[], None],
    on_results: Callable[[BenchmarkResults], None] = lambda _: None,
) -> BenchmarkResults:
    """Time the engines for each number of threads, together with the instructions that limit them.

    With low_memory there is one engine at a time: the rounds of different engines then do not alternate, and an engine
    that dies is listed as missing. `on_results` is called whenever there are new results. Raises LatencyError.
    """
    results = BenchmarkResults()
    for threads in plan.threads:
        ours: Timing | None = None
        for group in [[engine] for engine in engines] if plan.low_memory else [list(engines)]:
            kernels = list(dict.fromkeys(engine.limit for engine in group if engine.limit))
            timed = [engine.timed(threads) for engine in group]
            timed += [TimedEngine(f"limit of {name}", open_limit, (name, threads)) for name in kernels]
            try:
                timings = time_engines(timed, plan.rounds, plan.core, on_round)
            except LatencyError as error:
                if ours is None or not plan.low_memory:
                    raise
                results.missing.append(f"{threads} thread(s): {error}")
                continue
            ours = ours or timings[0]
            limits = dict(zip(kernels, timings[len(group) :], strict=True))
            results.rows += [
                make_row(engine, timing, ours, threads, work, limits.get(engine.limit))
                for engine, timing in zip(group, timings, strict=False)
            ]
            _add_limits(results, limits, threads)
            on_results(results)
    if plan.profile:
        for engine in engines:
            if engine.bits:
                results.profiles.append(_profile(plan, engine, on_round))
                on_results(results)
    return results


def _add_limits(results: BenchmarkResults, limits: Mapping[str, Timing], threads: int) -> None:
    present = {(limit["kernels"], limit["threads"]) for limit in results.limits}
    results.limits += [
        {"kernels": name, "threads": threads, "gmac_per_s": statistics.median(timing.notes)}
        for name, timing in limits.items()
        if (name, threads) not in present
    ]


def _profile(plan: BenchmarkPlan, engine: Engine, on_round: Callable[[], None]) -> Row:
    path, inputs, _ = engine.arguments
    timed = TimedEngine(f"{engine.name}, layer by layer", open_profile, engine.arguments)
    (timing,) = time_engines([timed], plan.rounds, plan.core, on_round)
    frames = max(mel.shape[2] for mel in load_inputs(inputs))
    return summarize_profile(engine.name, load_model(path).program, frames, timing.notes)


def make_row(engine: Engine, timing: Timing, ours: Timing, threads: int, work: Work, limit: Timing | None) -> Row:
    """Return one line of the table as plain JSON values.

    ratio: of the wall time to that of `ours`, median over the rounds, with quartiles. limit_share: median over the
    rounds of macs / wall time / the rate of the instructions alone in that round; limit_share_cpu: the same with the
    CPU time of all threads, for a busy machine. utterance_ms: of each input, median over the rounds. rtf: wall time
    divided by the duration of the audio.
    """
    median, low, high = ratio(timing, ours)
    peaks = limit.notes if limit else ()
    shares = [work.macs / wall / 1e9 / peak for wall, peak in zip(timing.wall_s, peaks, strict=False)]
    cpu_shares = [work.macs / cpu / 1e9 * threads / peak for cpu, peak in zip(timing.cpu_s, peaks, strict=False)]
    return {
        "engine": engine.name,
        "threads": threads,
        "median_ms": timing.median_ms,
        "min_ms": timing.min_ms,
        "per_utterance_ms": timing.median_ms / work.utterances,
        "rtf": timing.median_ms / 1e3 / work.audio_s,
        "ratio": median,
        "ratio_low": low,
        "ratio_high": high,
        "cpu_ms": timing.cpu_ms,
        "gmac_per_s": work.macs / timing.median_ms / 1e6,
        "limit": engine.limit or None,
        "limit_share": statistics.median(shares) if shares else None,
        "limit_share_cpu": statistics.median(cpu_shares) if shares else None,
        "cpu_per_wall": timing.cpu_per_wall,
        "rss_mb": timing.peak_bytes / _MB,
        "file_mb": engine.size_bytes / _MB,
        "bits": engine.bits or None,
        **{f"{name}_mb": count / _MB for name, count in timing.facts.items()},
        "wall_ms": [1e3 * wall for wall in timing.wall_s],
        "utterance_ms": [1e3 * float(x) for x in np.median(timing.notes, axis=0)],
    }
