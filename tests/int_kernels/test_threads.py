"""Which utterances are run whole and which are shared, and that each is run once; bytes: test_determinism.py."""

from __future__ import annotations

import platform
import random
from pathlib import Path

import pytest
from builds import NATIVE, run

SOURCE = Path(__file__).parent / "run_shares.c"
WHOLE, SHARED = (1, 0, 0, 0, 0, 0), (0, 1, 0, 37, 0, 1)
OK, BAD_LENGTH, NO_MEMORY = 0, 2, 4


class Shares:
    """threads.c with steps that only count."""

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
        shares = Shares(tmp_path, "-fsanitize=thread", before=("setarch", platform.machine(), "-R"))
    draws = random.Random(0)
    modes = set()
    for _ in range(60):
        threads, frames = draws.randint(1, 5), [draws.choice((1, 9, 64, 200, 900)) for _ in range(draws.randint(1, 9))]
        status, done = shares.run(threads, frames)
        assert status == OK and set(done) <= {WHOLE, SHARED}, f"{threads} threads, {frames}"
        modes.add(frozenset(done))
    assert len(modes) == 3, "needed runs of all whole, all shared and both"


@pytest.mark.parametrize("frames", [[100, 0], [0], [0, 100, 100]])
def test_one_wrong_length_stops_all_before_the_first(shares: Shares, frames: list[int]) -> None:
    status, done = shares.run(2, frames)
    assert status == BAD_LENGTH and set(done) == {(0,) * 6}


@pytest.mark.parametrize(
    ("threads", "frames"), [(1, [10, 1_000_000]), (2, [1_000_000]), (2, [1_000_000] * 2), (2, [1_000_000] * 3)]
)
def test_no_memory_is_told_whole_and_shared(shares: Shares, threads: int, frames: list[int]) -> None:
    assert shares.run(threads, frames)[0] == NO_MEMORY


def test_nothing_to_do_is_done(shares: Shares) -> None:
    assert shares.run(3, []) == (OK, [])
