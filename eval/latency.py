"""Latency of several engines, measured fairly.

Each engine lives in a process of its own. One works at a time; they take turns, in an order that rotates from round to
round. Each turn is one run that is not timed and one that is: caches and clocks are then the engine's own.
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
    """An engine that does not open or does not run."""


@dataclass(frozen=True)
class Note:
    """What a run may return: a plain `value` that comes back with its times; `result` stays in its process."""

    value: Any
    result: object = None


@dataclass(frozen=True)
class Opened:
    """What `open` may return in place of the run alone: plain facts about the engine beside it."""

    run: Run
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Contestant:
    """An engine: `open(*arguments)` is called in its own process and returns the function that is timed.

    `open` is a function of a module and `arguments` are plain values, so that they can be sent to the process.
    """

    name: str
    open: Callable[..., Run | Opened]
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Timing:
    """What one engine took: wall and CPU seconds of each round (all its threads), and the peak of its memory.

    notes: what its runs noted, one per round (None where a run noted nothing). facts: what its opening told.
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
        """Least wall time in milliseconds."""
        return 1e3 * min(self.wall_s)

    @property
    def cpu_ms(self) -> float:
        """Median CPU time in milliseconds, all threads together: it suffers less from a busy machine."""
        return 1e3 * statistics.median(self.cpu_s)

    @property
    def cpu_per_wall(self) -> float:
        """Cores in use: about the number of threads when nobody else held them."""
        return sum(self.cpu_s) / sum(self.wall_s)


def ratio(one: Timing, other: Timing) -> tuple[float, float, float]:
    """Return median and quartiles of one / other over the rounds: (median, low, high).

    Paired by round, so that what slows down both for a while falls out.
    """
    ratios = [a / b for a, b in zip(one.wall_s, other.wall_s, strict=True)]
    if len(ratios) == 1:
        return ratios[0], ratios[0], ratios[0]
    low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return median, low, high


def race(
    contestants: Sequence[Contestant],
    rounds: int,
    core: int | None = None,
    on_round: Callable[[], None] | None = None,
) -> list[Timing]:
    """Time every contestant `rounds` times; results in their order.

    core: the only core that all processes may use. on_round hears of every finished round. Raises LatencyError.
    """
    if rounds < 1:
        raise LatencyError(f"race: expected at least 1 round, got {rounds}")
    lanes: list[_Lane] = []
    turns: list[list[tuple[float, float, Any]]] = [[] for _ in contestants]
    try:
        for contestant in contestants:  # opened one after the other: opening takes memory and both cores
            lanes.append(_Lane(contestant, core))
        for number in range(rounds):
            for place in range(len(lanes)):
                index = (number + place) % len(lanes)
                turns[index].append(lanes[index].turn())
            if on_round is not None:
                on_round()
        peaks = [lane.finish() for lane in lanes]
    finally:
        for lane in lanes:
            lane.close()
    return [_timing(lane, turn, peak) for lane, turn, peak in zip(lanes, turns, peaks, strict=True)]


def _timing(lane: _Lane, turns: Sequence[tuple[float, float, Any]], peak: int) -> Timing:
    walls, cpus, notes = zip(*turns, strict=True)
    return Timing(lane.name, walls, cpus, peak, notes, lane.facts)


class _Lane:
    """The near end of one engine's process."""

    def __init__(self, contestant: Contestant, core: int | None) -> None:
        self.name = contestant.name
        spawn = multiprocessing.get_context("spawn")
        self._pipe, far_end = spawn.Pipe()
        self._process = spawn.Process(target=_serve, args=(far_end, contestant, core), daemon=True)
        self._process.start()
        far_end.close()
        try:
            self.facts: Mapping[str, Any] = self._answer()
        except BaseException:
            self.close()
            raise

    def turn(self) -> tuple[float, float, Any]:
        """Return wall and CPU seconds of one timed run, and what it noted."""
        self._pipe.send("run")
        wall, cpu, note = self._answer()
        return wall, cpu, note

    def finish(self) -> int:
        """Return the peak of the process's memory in bytes."""
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


def _serve(pipe: Connection, contestant: Contestant, core: int | None) -> None:
    """The far end: open the engine, then run it when told to."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the near end decides
    try:
        if core is not None:
            os.sched_setaffinity(0, {core})
        opened = contestant.open(*contestant.arguments)
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
    except EOFError:  # the near end is gone
        pass
    except Exception as error:  # whatever an engine may throw is told in one line
        pipe.send((False, f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"))


def forget_peak_memory() -> None:
    """Start the peak anew (Linux only): what an engine's preparations took is not the engine's."""
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")
