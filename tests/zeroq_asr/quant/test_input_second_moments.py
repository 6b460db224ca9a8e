"""Second moments: against sums over all windows of the same data."""

from __future__ import annotations

import numpy as np
import pytest

from zeroq_asr.quant.input_second_moments import Moments, Window

WINDOWS = {
    "linear": Window(1, 6, 1, 1),
    "dense": Window(1, 6, 1, 3, dilation=2),
    "groups": Window(2, 3, 1, 4),
    "depthwise": Window(6, 1, 1, 5, dilation=2),
    "map": Window(1, 2, 3, 3, height=3),
    "depthwise map": Window(2, 1, 2, 3, height=3),
}


def by_windows(x: np.ndarray, window: Window) -> np.ndarray:
    """Mean of v v^T over all windows v that touch the data, zeros around it; divided by the numbers of one channel."""
    maps = x.reshape(len(x), window.groups, window.channels, window.height, -1).astype(np.float64)
    gap, reach = window.rows - 1, (window.frames - 1) * window.dilation
    padded = np.pad(maps, ((0, 0), (0, 0), (0, 0), (gap, gap), (reach, reach)))
    seen = np.lib.stride_tricks.sliding_window_view(padded, (window.rows, reach + 1), axis=(3, 4))
    seen = seen[..., :: window.dilation].transpose(1, 2, 5, 6, 0, 3, 4)
    v = seen.reshape(window.groups, window.channels * window.rows * window.frames, -1)
    moments: np.ndarray = v @ v.transpose(0, 2, 1) / (len(x) * window.height * maps.shape[4])
    return moments


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS.keys())
@pytest.mark.parametrize("centred", [False, True])
def test_it_is_the_mean_over_all_windows(window: Window, centred: bool) -> None:
    rng = np.random.default_rng(0)
    batches = [rng.normal(1, 1, (2, 6, t)).astype(np.float32) for t in (20, 33)]
    moments = Moments(window, centred)
    for batch in batches:
        moments.update(batch)
    channel = (window.groups * window.channels, window.height, -1)
    parts = []
    for x in batches:
        maps = x.reshape(len(x), *channel)
        maps = maps - maps.mean(axis=(0, 2, 3), keepdims=True) if centred else maps
        parts.append(by_windows(maps.reshape(x.shape), window))
    expected = (20 * parts[0] + 33 * parts[1]) / 53
    found = moments.matrix(0, window.channels)
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert np.linalg.eigvalsh(found).min() > -1e-5


def test_a_block_of_channels_is_that_block_of_the_whole() -> None:
    window = WINDOWS["dense"]
    moments = Moments(window, False)
    moments.update(np.random.default_rng(0).normal(0, 1, (2, 6, 30)).astype(np.float32))
    whole = moments.matrix(0, 6)
    np.testing.assert_array_equal(moments.matrix(2, 4), whole[:, 6:12, 6:12])


def test_memory_is_said_beforehand() -> None:
    for window in WINDOWS.values():
        assert window.bytes == sum(array.nbytes for array in Moments(window, False)._sums.values())
