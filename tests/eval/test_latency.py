from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from eval.latency import (
    LatencyError,
    Note,
    Opened,
    TimedEngine,
    Timing,
    ratio,
    reset_peak_memory,
    time_engines,
)
from eval.memory import peak_memory_bytes


def open_logger(path: str, name: str) -> Callable[[], object]:
    """An engine that writes its name and its process into a file whenever it runs."""

    def run() -> None:
        with open(path, "a") as stream:
            stream.write(f"{name} {os.getpid()} {sorted(os.sched_getaffinity(0))}\n")

    return run


def open_sleeper(seconds: float) -> Callable[[], object]:
    return lambda: time.sleep(seconds)


def open_counter(start: int) -> Opened:
    """An engine that notes how often it has run, and whose results cannot be sent."""
    calls = [start]

    def run() -> Note:
        calls[0] += 1
        return Note(calls[0], run)

    return Opened(run, {"start": start})


def open_broken(message: str) -> Callable[[], object]:
    raise RuntimeError(message)


def open_dying() -> Callable[[], object]:
    return lambda: os._exit(3)


def test_engines_take_turns_in_rotating_order_each_in_its_own_process(tmp_path: Path) -> None:
    log, heard = tmp_path / "log", []
    core = max(os.sched_getaffinity(0))
    timings = time_engines(
        [TimedEngine(n, open_logger, (str(log), n)) for n in "abc"], 2, core, lambda: heard.append(1)
    )
    lines = [line.split(" ", 2) for line in log.read_text().splitlines()]
    assert [name for name, _, _ in lines] == [*"aabbcc", *"bbccaa"]  # one run in the dark, one timed; then rotated
    assert len({pid for _, pid, _ in lines} | {str(os.getpid())}) == 4
    assert {cores for _, _, cores in lines} == {f"[{core}]"}
    assert [timing.name for timing in timings] == [*"abc"] and len(heard) == 2
    assert all(len(timing.wall_s) == len(timing.cpu_s) == 2 for timing in timings)
    assert all(1 << 20 < timing.peak_bytes < 1 << 30 for timing in timings)


def test_wall_time_is_time_and_sleep_takes_no_processor() -> None:
    (timing,) = time_engines([TimedEngine("sleeper", open_sleeper, (0.05,))], 1)
    assert timing.min_ms >= 50
    assert timing.cpu_per_wall < 0.5


def test_what_runs_note_and_what_opening_tells_comes_back() -> None:
    counter, sleeper = time_engines([TimedEngine("c", open_counter, (10,)), TimedEngine("s", open_sleeper, (0.0,))], 2)
    assert counter.notes == (12, 14) and counter.facts == {"start": 10}  # every second run is timed
    assert sleeper.notes == (None, None) and sleeper.facts == {}


def test_an_engine_that_fails_is_named() -> None:
    with pytest.raises(LatencyError, match=r"engine bad: RuntimeError: no such kernel"):
        time_engines([TimedEngine("bad", open_broken, ("no such\nkernel",))], 1)
    with pytest.raises(LatencyError, match=r"engine dying: .*exit code 3"):
        time_engines([TimedEngine("dying", open_dying, ())], 1)
    with pytest.raises(LatencyError, match="at least 1 round"):
        time_engines([], 0)


def test_ratios_are_paired_by_round() -> None:
    ours = Timing("ours", (1.0, 2.0, 4.0, 1.0, 1.0), (1.0,) * 5, 0)
    theirs = Timing("theirs", (2.0, 4.0, 8.0, 3.0, 1.5), (1.0,) * 5, 0)
    assert ratio(theirs, ours) == (2.0, 2.0, 2.0)  # though the medians are 3 and 1
    assert ratio(Timing("one", (3.0,), (1.0,), 0), Timing("two", (2.0,), (1.0,), 0)) == (1.5, 1.5, 1.5)
    assert (ours.median_ms, ours.min_ms, ours.cpu_ms, ours.cpu_per_wall) == (1000.0, 1000.0, 1000.0, 5 / 9)


def test_the_peak_can_be_forgotten() -> None:
    reset_peak_memory()  # what other tests in this process took
    before = peak_memory_bytes()
    block = bytearray(200 << 20)
    assert peak_memory_bytes() > before + (100 << 20)
    del block
    reset_peak_memory()
    assert peak_memory_bytes() < before + (100 << 20)
