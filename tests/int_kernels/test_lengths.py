"""Lengths of frames, positions and once."""

from __future__ import annotations

import pytest

from int_kernels import MAX_FRAMES, KernelError, Length
from int_kernels.lengths import ONCE


@pytest.mark.parametrize("frames", range(1, 30))
def test_positions_are_one_less_than_twice_the_frames(frames: int) -> None:
    length = Length(3, 4)
    assert length.positions.of(frames) == 2 * length.of(frames) - 1
    assert length.positions.shortest_input == length.shortest_input
    assert ONCE.of(frames) == 1


@pytest.mark.parametrize("length", [Length(), Length(5, 3), Length().positions, Length(-7, 4).positions])
@pytest.mark.parametrize("limit", [1, 2, 7, 100])
def test_the_longest_input_is_the_last_that_fits(length: Length, limit: int) -> None:
    longest = length.longest_input(limit)
    assert length.of(longest) <= limit < length.of(longest + 1)
    assert ONCE.longest_input(limit) == MAX_FRAMES


def test_kinds_are_told_apart() -> None:
    assert len({Length(), Length().positions, ONCE, Length(1), Length(0, 2)}) == 5
    assert Length(2, 3).positions == Length(2, 3, "positions") != Length(2, 3)


@pytest.mark.parametrize("length", [Length(2, 3), Length(2, 3).positions, ONCE])
def test_a_pointwise_convolution_changes_no_length(length: Length) -> None:
    assert length.after_conv(1, 1, 1, 0) == length


@pytest.mark.parametrize("kind", ["", "frame", "Once", None])
def test_other_kinds_are_refused(kind: object) -> None:
    with pytest.raises(KernelError, match="Length kind: expected one of frames, positions, once"):
        Length(kind=kind)  # type: ignore[arg-type]


def test_lengths_say_what_they_are() -> None:
    assert str(ONCE) == "once" and "positions" in str(Length().positions)
