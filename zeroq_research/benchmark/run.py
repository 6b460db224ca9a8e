"""One model in every engine that can run it here, raced against each other."""

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

from eval.latency import Contestant, LatencyError, Timing, race, ratio
from zeroq_asr.artifact import IntegerModel, load_model
from zeroq_asr.config import LOW_MEMORY_FLOAT_MB, SEED
from zeroq_asr.errors import ConfigError
from zeroq_asr.models.kind import find_model_kind
from zeroq_research.benchmark.engines import (
    Engine,
    OnStep,
    native_engines,
    peer_engines,
    quantize_ours,
    torch_engines,
    write_onnx,
)
from zeroq_research.benchmark.inputs import Work, make_inputs, measure_work
from zeroq_research.benchmark.profile import profile_of
from zeroq_research.engines import installed_peers, load_inputs, save_inputs
from zeroq_research.engines.native import kernels_in_use, open_limit, open_profile

if TYPE_CHECKING:
    from zeroq_asr.adapters import FloatModel

Row = dict[str, Any]
T = TypeVar("T")

_MB = 1e6
_INPUTS = "inputs"


@dataclass(frozen=True)
class Plan:
    """What is measured: a model on `batch` utterances of `frames` frames, `rounds` times for each number of threads.

    core: the only core that may be used, or None. kernels: our tables of inner loops; none: the one in use. bits: our
    weight bits; none: 8, or those of a quantized file. manifest: `percent` of its utterances at their real lengths in
    place of a batch of noise. low_memory: see `prepare` and `run`.
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
class Results:
    """What has been measured so far; all of it plain JSON.

    rows: one per engine and number of threads. limits: GMAC/s of each table's instructions. profiles: of our engines.
    missing: engines that fell out, and why.
    """

    rows: list[Row] = field(default_factory=list)
    limits: list[Row] = field(default_factory=list)
    profiles: list[Row] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def prepare(plan: Plan, folder: Path, on_step: OnStep, peers: bool = True) -> tuple[list[Engine], Work]:
    """Write every engine's file into `folder`; return the engines, ours first, and the work of a run.

    peers: other vendors' engines too, where they are installed. A quantized file has no float weights: only our kernels
    run it. `on_step` hears what is done next. With low_memory every file is written by a process of its own, which
    gives all its memory back; a peer whose process dies falls out, and so do float32 engines of large models.
    Raises ZeroqError.
    """
    is_quantized = find_model_kind(plan.model) in (
        "quantized",
        "synthetic",
    )  # load_model tells what is wrong with those
    if is_quantized:
        return _prepare_file(plan, folder)
    engines, work = _apart(plan, _prepare_ours, plan, folder, on_step)
    for peer in installed_peers() if peers else ():
        try:
            engines += _apart(plan, _prepare_peer, folder, plan.model, peer, on_step)
        except BrokenProcessPool:
            on_step(f"without {peer}, whose preparation died; is there enough memory?")
    float_mb = max(engine.size_bytes for engine in engines) / _MB
    if plan.low_memory and float_mb > LOW_MEMORY_FLOAT_MB:
        on_step(f"without float32 engines: {float_mb:.0f} MB of weights are more than {LOW_MEMORY_FLOAT_MB} MB")
        engines = [engine for engine in engines if engine.limit]
    return engines, work


def _apart(plan: Plan, function: Callable[..., T], *arguments: object) -> T:
    """Call the function; to save memory, in a process of its own. Raises BrokenProcessPool when that dies."""
    if not plan.low_memory:
        return function(*arguments)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _die_on_interrupt) as pool:
        return pool.submit(function, *arguments).result()


def _die_on_interrupt() -> None:
    """Ctrl-C reaches this process too: it ends without a word, ours says what there is to say."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _prepare_file(plan: Plan, folder: Path) -> tuple[list[Engine], Work]:
    """A quantized file in our kernels."""
    model = load_model(plan.model)
    for flag, given in (("--bits", plan.bits), ("--device cuda", plan.device == "cuda")):
        if given:
            raise ConfigError(f"{flag}: expected a float model, got the quantized file {plan.model}")
    inputs, work = _inputs(plan, folder, model)
    mixed = len(model.weights) > 1
    bits = model.mean_bits if mixed else model.bits[0]
    return native_engines(Path(plan.model), inputs, _tables(plan), bits, mixed), work


def _prepare_ours(plan: Plan, folder: Path, on_step: OnStep) -> tuple[list[Engine], Work]:
    """Our forms of a float model, and torch, which reads the model itself."""
    from zeroq_asr.models.resolve import load_float_model

    model = load_float_model(plan.model)
    inputs, work = _inputs(plan, folder, model)
    engines, ranges = [], None
    for bits in plan.bits or (8,):
        on_step(f"our form with {bits} bits")
        path = folder / f"w{bits}.safetensors"
        ranges = quantize_ours(model, path, load_inputs(inputs), bits, ranges)
        engines += native_engines(path, inputs, _tables(plan), bits)
    size = sum(array.nbytes for array in model.graph.constants.values())
    return engines + torch_engines(plan.model, inputs, size, plan.device, plan.low_memory), work


def _prepare_peer(folder: Path, reference: str, peer: str, on_step: OnStep) -> list[Engine]:
    source, inputs = folder / "float32.onnx", str(folder / _INPUTS)
    if not source.exists():
        from zeroq_asr.models.resolve import load_float_model

        write_onnx(load_float_model(reference), load_inputs(inputs), source)
    return peer_engines(peer, source, inputs, load_inputs(inputs), on_step)


def _inputs(plan: Plan, folder: Path, model: FloatModel | IntegerModel) -> tuple[str, Work]:
    """Write the inputs; return their folder and what a run over them computes."""
    mels, audio_s = make_inputs(model.frontend, plan.batch, plan.frames, plan.manifest, plan.percent, plan.seed)
    return save_inputs(folder / _INPUTS, mels), measure_work(model.graph, mels, audio_s)


def _tables(plan: Plan) -> tuple[str, ...]:
    return plan.kernels or (kernels_in_use(),)


def count_rounds(plan: Plan, engines: Sequence[Engine]) -> int:
    """Return how often `run` calls `on_round`."""
    ours = sum(engine.bits > 0 for engine in engines)
    return plan.rounds * (len(plan.threads) * (len(engines) if plan.low_memory else 1) + plan.profile * ours)


def run(
    plan: Plan,
    engines: Sequence[Engine],
    work: Work,
    on_round: Callable[[], None],
    on_results: Callable[[Results], None] = lambda _: None,
) -> Results:
    """Race the engines once for each number of threads, and beside them the instructions that set the limit.

    With low_memory one engine is there at a time: rounds of different engines then lie apart, and one that dies falls
    out. `on_results` hears of the results whenever there are more. Raises LatencyError.
    """
    results = Results()
    for threads in plan.threads:
        ours: Timing | None = None
        for group in [[engine] for engine in engines] if plan.low_memory else [list(engines)]:
            tables = list(dict.fromkeys(engine.limit for engine in group if engine.limit))
            contestants = [Contestant(engine.name, engine.open, (*engine.arguments, threads)) for engine in group]
            contestants += [Contestant(f"limit of {table}", open_limit, (table, threads)) for table in tables]
            try:
                timings = race(contestants, plan.rounds, plan.core, on_round)
            except LatencyError as error:
                if ours is None or not plan.low_memory:
                    raise
                results.missing.append(f"{threads} thread(s): {error}")
                continue
            ours = ours or timings[0]
            limits = dict(zip(tables, timings[len(group) :], strict=True))
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


def _add_limits(results: Results, limits: Mapping[str, Timing], threads: int) -> None:
    known = {(limit["kernels"], limit["threads"]) for limit in results.limits}
    results.limits += [
        {"kernels": table, "threads": threads, "gmac_per_s": statistics.median(timing.notes)}
        for table, timing in limits.items()
        if (table, threads) not in known
    ]


def _profile(plan: Plan, engine: Engine, on_round: Callable[[], None]) -> Row:
    path, inputs, _ = engine.arguments
    contestant = Contestant(f"{engine.name}, layer by layer", open_profile, engine.arguments)
    (timing,) = race([contestant], plan.rounds, plan.core, on_round)
    frames = max(mel.shape[2] for mel in load_inputs(inputs))
    return profile_of(engine.name, load_model(path).program, frames, timing.notes)


def make_row(engine: Engine, timing: Timing, ours: Timing, threads: int, work: Work, limit: Timing | None) -> Row:
    """Return one line of the table as plain JSON.

    ratio: to ours, paired by round. limit_share: macs / wall time / what the instructions alone reached in that round,
    median; limit_share_cpu: the same with the CPU time of all threads, for a busy machine. utterance_ms: of each input,
    median over the rounds. rtf: wall time over time of audio.
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
