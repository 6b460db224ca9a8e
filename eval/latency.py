"""Measure and compare the latency of several engines.

Each engine has its own process. The engines run one at a time, in an order that rotates from round to round. In each
round an engine makes one run that is not timed and one that is, so that caches and clock frequencies are those of the
engine itself.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from eval.errors import EvalError
from eval.memory import peak_memory_bytes

Run = Callable[[], object]


class LatencyError(EvalError):
    """An engine does not open or does not run."""


@dataclass(frozen=True)
class Note:
    """A possible return value of a run: `value`, which is sent back with the times, and `result`, which is not."""

    value: Any
    result: object = None


@dataclass(frozen=True)
class Opened:
    """A possible return value of `open`: the function to time and plain facts about the engine."""

    run: Run
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class TimedEngine:
    """An engine: `open(*arguments)` is called in its own process and returns the function that is timed.

    `open` must be a function at module level and `arguments` plain values, so that they can be sent to the process.
    """

    name: str
    open: Callable[..., Run | Opened]
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Timing:
    """The times of one engine: wall and CPU seconds of each round (all threads), and its peak memory in bytes.

    notes: `Note.value` of each round, None where the run returned no Note. facts: `Opened.facts`.
    """

    name: str
    wall_s: tuple[float, ...]
    cpu_s: tuple[float, ...]
    peak_bytes: int
    notes: tuple[Any, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def median_ms(self) -> float:
        """Median wall time in milliseconds."""
        return 1e3 * statistics.median(self.wall_s)

    @property
    def min_ms(self) -> float:
        """Smallest wall time in milliseconds."""
        return 1e3 * min(self.wall_s)

    @property
    def cpu_ms(self) -> float:
        """Median CPU time in milliseconds, summed over threads; other load on the machine affects it less."""
        return 1e3 * statistics.median(self.cpu_s)

    @property
    def cpu_per_wall(self) -> float:
        """Cores in use: about the number of threads if the machine has no other load."""
        return sum(self.cpu_s) / sum(self.wall_s)


def ratio(one: Timing, other: Timing) -> tuple[float, float, float]:
    """Return median and quartiles of one / other over the rounds: (median, low, high).

    The ratio is taken per round, so that a temporary slowdown of both cancels out.
    """
    ratios = [a / b for a, b in zip(one.wall_s, other.wall_s, strict=True)]
    if len(ratios) == 1:
        return ratios[0], ratios[0], ratios[0]
    low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return median, low, high


def time_engines(
    engines: Sequence[TimedEngine],
    rounds: int,
    core: int | None = None,
    on_round: Callable[[], None] | None = None,
) -> list[Timing]:
    """Time every engine `rounds` times; return the results in the order of `engines`.

    core: the only core that all processes may use. on_round is called after every round. Raises LatencyError.
    """
    if rounds < 1:
        raise LatencyError(f"time_engines: expected at least 1 round, got {rounds}")
    processes: list[_EngineProcess] = []
    results: list[list[tuple[float, float, Any]]] = [[] for _ in engines]
    try:
        for engine in engines:  # one after the other, because opening needs memory and all cores
            processes.append(_EngineProcess(engine, core))
        for number in range(rounds):
            for position in range(len(processes)):
                index = (number + position) % len(processes)
                results[index].append(processes[index].measure())
            if on_round is not None:
                on_round()
        peaks = [process.finish() for process in processes]
    finally:
        for process in processes:
            process.close()
    return [_timing(process, result, peak) for process, result, peak in zip(processes, results, peaks, strict=True)]


def _timing(process: _EngineProcess, results: Sequence[tuple[float, float, Any]], peak: int) -> Timing:
    walls, cpus, notes = zip(*results, strict=True)
    return Timing(process.name, walls, cpus, peak, notes, process.facts)


class _EngineProcess:
    """The parent's side of the process of one engine."""

    def __init__(self, engine: TimedEngine, core: int | None) -> None:
        self.name = engine.name
        spawn = multiprocessing.get_context("spawn")
        self._pipe, child_end = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(child_end, engine, core), daemon=True)
        self._process.start()
        child_end.close()
        try:
            self.facts: Mapping[str, Any] = self._answer()
        except BaseException:
            self.close()
            raise

    def measure(self) -> tuple[float, float, Any]:
        """Return wall and CPU seconds of one timed run, and its note."""
        self._pipe.send("run")
        wall, cpu, note = self._answer()
        return wall, cpu, note

    def finish(self) -> int:
        """Stop the engine; return the peak memory of its process in bytes."""
        self._pipe.send("stop")
        peak: int = self._answer()
        return peak

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.terminate()
        self._process.join()

    def _answer(self) -> Any:
        try:
            good, answer = self._pipe.recv()
        except EOFError:
            self._process.join()
            raise LatencyError(
                f"engine {self.name}: its process ended early (exit code {self._process.exitcode}); is there enough"
                " memory?"
            ) from None
        if not good:
            raise LatencyError(f"engine {self.name}: {answer}")
        return answer


def _serve(pipe: Connection, engine: TimedEngine, core: int | None) -> None:
    """Run in the child process: open the engine, then run it on request."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles interrupts
    try:
        if core is not None:
            os.sched_setaffinity(0, {core})
        opened = engine.open(*engine.arguments)
        run, facts = (opened.run, dict(opened.facts)) if isinstance(opened, Opened) else (opened, {})
        pipe.send((True, facts))
        while pipe.recv() == "run":
            run()
            wall, cpu = time.perf_counter(), time.process_time()
            result = run()
            times = time.perf_counter() - wall, time.process_time() - cpu
            pipe.send((True, (*times, result.value if isinstance(result, Note) else None)))
            del result
        pipe.send((True, peak_memory_bytes()))
    except EOFError:  # the parent has ended
        pass
    except Exception as error:  # an engine may raise anything; report it in one line
        pipe.send((False, f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"))


def reset_peak_memory() -> None:
    """Reset the peak memory (Linux only), so that the preparation of an engine does not count."""
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")
