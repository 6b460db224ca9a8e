"""Which utterances are run whole and which are shared, that each is run once, and threads that stay between calls.
Bytes: test_determinism.py."""

from __future__ import annotations

import os
import platform
import random
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from support.builds import NATIVE, run
from support.small_programs import conv, program

from int_kernels import INT32, compile_program

SOURCE = Path(__file__).parent / "native" / "run_shares.c"
WHOLE, SHARED = (1, 0, 0, 0, 0, 0), (0, 1, 0, 37, 0, 1)
OK, BAD_LENGTH, NO_MEMORY = 0, 2, 4


class Shares:
    """scheduler.c with steps that only count."""

    def __init__(self, folder: Path, *flags: str, before: tuple[str, ...] = ()) -> None:
        self._program, self._before = str(folder / "run_shares"), before
        warnings = ("-Wall", "-Wextra", "-Werror")
        run("gcc", "-std=c99", "-O1", "-pthread", *warnings, *flags, f"-I{NATIVE}", str(SOURCE), "-o", self._program)

    def run(self, threads: int, frames: list[int]) -> tuple[int, list[tuple[int, ...]]]:
        """(status, what was done with every utterance)."""
        status, *lines = run(*self._before, self._program, str(threads), *map(str, frames)).splitlines()
        return int(status), [tuple(map(int, line.split())) for line in lines]


@pytest.fixture(scope="module")
def shares(tmp_path_factory: pytest.TempPathFactory) -> Shares:
    return Shares(tmp_path_factory.mktemp("shares"))


@pytest.mark.parametrize(
    ("threads", "frames", "shared"),
    [
        (1, [5, 900, 70], []),
        (2, [100] * 8, []),
        (2, [100] * 9, [100]),  # a ninth one would leave a worker idle
        (2, [100], [100]),
        (3, [100] * 7, [100]),
        (4, [100] * 6, [100] * 2),
        (2, [100, 99], []),  # sharing costs more than waiting for so little
        (2, [20, 1000, 30], [20, 30, 1000]),  # the last frames are the long one's
        (2, [40, 1000, 300, 300, 300], []),
        (2, [90, 400, 300, 400], [90, 300]),
        (16, [100] * 15, []),
    ],
)
def test_nobody_is_idle_while_others_have_a_long_way_to_go(
    shares: Shares, threads: int, frames: list[int], shared: list[int]
) -> None:
    status, done = shares.run(threads, frames)
    assert status == OK and set(done) <= {WHOLE, SHARED}
    assert sorted(size for size, what in zip(frames, done, strict=True) if what == SHARED) == shared


@pytest.mark.parametrize("sanitized", [False, True], ids=["plain", "thread sanitizer"])
def test_every_unit_is_run_once(tmp_path: Path, shares: Shares, sanitized: bool) -> None:
    if sanitized:
        if not Path(run("gcc", "-print-file-name=libtsan.so").strip()).is_absolute():
            pytest.skip("gcc has no libtsan.so here")
        before = ("setarch", platform.machine(), "-R", "env", "TSAN_OPTIONS=atexit_sleep_ms=0")
        shares = Shares(tmp_path, "-fsanitize=thread", before=before)
    draws = random.Random(0)
    modes = set()
    for _ in range(60):
        threads, frames = draws.randint(1, 5), [draws.choice((1, 9, 64, 200, 900)) for _ in range(draws.randint(1, 9))]
        status, done = shares.run(threads, frames)
        assert status == OK and set(done) <= {WHOLE, SHARED}, f"{threads} threads, {frames}"
        modes.add(frozenset(done))
    assert len(modes) == 3, "expected runs of all whole, all shared and both"


@pytest.mark.parametrize("frames", [[100, 0], [0], [0, 100, 100]])
def test_one_wrong_length_stops_all_before_the_first(shares: Shares, frames: list[int]) -> None:
    status, done = shares.run(2, frames)
    assert status == BAD_LENGTH and set(done) == {(0,) * 6}


@pytest.mark.parametrize(
    ("threads", "frames"),
    [(1, [10, 1_000_000]), (2, [1_000_000]), (2, [1_000_000] * 2), (2, [1_000_000] * 3), (4, [1_000_000] * 4)],
)
def test_no_memory_is_told_whole_and_shared(shares: Shares, threads: int, frames: list[int]) -> None:
    assert shares.run(threads, frames)[0] == NO_MEMORY


def test_nothing_to_do_is_done(shares: Shares) -> None:
    assert shares.run(3, []) == (OK, [])


def count_threads() -> int:
    return len(os.listdir("/proc/self/task"))


needs_linux = pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
X = np.random.default_rng(0).integers(0, 256, (6, 900))
EXECUTABLE = compile_program(program(conv("x", "y"), y=(6, INT32)))


@needs_linux
def test_threads_stay_and_sleep() -> None:
    """Of three that help one may be done, and be taken again, before the last is started."""
    expected = EXECUTABLE.run([X])[0][0]
    before = count_threads()
    for _ in range(50):
        np.testing.assert_array_equal(EXECUTABLE.run([X], 4)[0][0], expected)
    assert count_threads() <= before + 3
    start = time.process_time()
    time.sleep(0.3)
    assert time.process_time() - start < 0.1


@needs_linux
def test_several_callers_have_threads_of_their_own() -> None:
    xs = [X[:, :length] for length in (900, 300, 70, 900)]
    expected = [EXECUTABLE.run([x])[0][0] for x in xs]
    with ThreadPoolExecutor(len(xs)) as callers:
        for _ in range(20):
            for (found,), wanted in zip(callers.map(lambda x: EXECUTABLE.run([x], 3)[0], xs), expected, strict=True):
                np.testing.assert_array_equal(found, wanted)


@needs_linux
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork")
def test_a_forked_child_starts_threads_of_its_own() -> None:
    expected = EXECUTABLE.run([X], 3)[0][0]
    child = os.fork()
    if child == 0:
        is_equal = all(np.array_equal(EXECUTABLE.run([X], 3)[0][0], expected) for _ in range(3))
        os._exit(0 if is_equal and count_threads() in (2, 3) else 1)
    deadline = time.monotonic() + 60
    while (done := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.01)
    if done == (0, 0):
        os.kill(child, 9)
    assert done == (child, 0)
