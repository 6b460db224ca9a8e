"""Second moments of the receptive field of a convolution, from the autocorrelation of its input.

    H[(c, i, k), (c', i', k')] = E[x_c(u + i, t + d k) x_c'(u + i', t + d k')] = R_cc'(i' - i, d (k' - k))
    R_cc'(n, l) = 1/N sum_{u,t} x_c(u, t) x_c'(u + n, t + l)

c: input channels of one group, (i, k): taps, u: rows of a feature map (one row in a conv1d), t: frames, d: dilation.
The input is taken to be stationary, so that the autocorrelation R gives all pairs of taps. This takes K times fewer
products and K times less memory than the moments of explicit windows. Values beyond the ends count as zeros, which
keeps H positive semidefinite. With `centred` the mean of every batch is subtracted first, and H is a covariance.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Window:
    """The receptive field of one output: `channels` per group times `rows` x `frames` taps; a map has `height` rows."""

    groups: int
    channels: int
    rows: int
    frames: int
    dilation: int = 1
    height: int = 1

    @property
    def bytes(self) -> int:
        """Bytes of the autocorrelation."""
        return 4 * self.groups * self.channels**2 * len(self.lags)

    @property
    def lags(self) -> list[tuple[int, int]]:
        """The distances (rows, taps) between two positions of the window, each of n, -n once."""
        aside = [(n, k) for n in range(1, self.rows) for k in range(1 - self.frames, self.frames)]
        return [*((0, k) for k in range(self.frames)), *aside]


class Moments:
    """Accumulates the autocorrelation over batches; its memory does not depend on their number."""

    def __init__(self, window: Window, centred: bool) -> None:
        self._window, self._centred = window, centred
        side = (window.groups, window.channels, window.channels)
        self._sums: dict[tuple[int, int], Singles] = {lag: np.zeros(side, np.float32) for lag in window.lags}
        self._count = 0

    def update(self, x: Singles) -> None:
        """Add the batch x, float32 [B, C, T] without padding; C = groups * channels * height."""
        w = self._window
        maps = x.reshape(len(x), w.groups * w.channels, w.height, -1)
        if self._centred:
            maps = maps - maps.mean(axis=(0, 2, 3), keepdims=True)
        self._count += len(x) * w.height * maps.shape[3]
        # With zeros behind every row and every map a lag is one offset in memory, and it wraps to zeros only.
        gap = (w.frames - 1) * w.dilation
        padded = np.pad(maps.transpose(1, 0, 2, 3), ((0, 0), (0, 0), (0, w.rows - 1), (0, gap)))
        line, width = padded.reshape(w.groups, w.channels, -1), padded.shape[3]
        for (n, k), total in self._sums.items():
            offset = n * width + k * w.dilation
            early, late = line[:, :, : line.shape[2] - offset], line[:, :, offset:]
            if w.channels == 1:
                total += np.einsum("gct,gct->gc", early, late)[:, :, None]
            else:
                total += early @ late.transpose(0, 2, 1)

    def matrix(self, first: int, last: int) -> Reals:
        """Return H of the input channels first .. last - 1 of every group: float64 [groups, D, D], D their taps."""
        w, count = self._window, last - first
        h = np.empty((w.groups, count, w.rows, w.frames, count, w.rows, w.frames))
        for (n, k), total in self._sums.items():
            part = total[:, first:last, first:last] / max(1, self._count)
            for i in range(w.rows - n):
                for j in range(max(0, -k), min(w.frames, w.frames - k)):
                    h[:, :, i, j, :, i + n, j + k] = part
                    h[:, :, i + n, j + k, :, i, j] = part.transpose(0, 2, 1)
        side = count * w.rows * w.frames
        return h.reshape(w.groups, side, side)
