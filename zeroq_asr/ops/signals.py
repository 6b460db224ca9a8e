"""Values on their way through the torch executor.

Inside, a value [B, C, T] is held as [B, C, 1, T]. Its memory is channels-last where an operation needs it so: a layer
over channels sees [B, T, C] without copying, and on a CPU torch runs a depthwise convolution several times faster in
that form than as a one-dimensional one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Signal:
    """`data` [B, C, 1, T] and, in a padded batch, the true length of each row.

    Relative positions are one for all rows, [1, C, 1, 2T - 1] of the padded T, and have no lengths; nor has a mean.
    """

    data: Tensor
    lengths: Tensor | None


def frames_within(lengths: Tensor, frames: int) -> Tensor:
    """Return which of `frames` frames lie within each row's length: bool [B, 1, 1, T]."""
    import torch

    return (torch.arange(frames, device=lengths.device) < lengths.unsqueeze(1))[:, None, None, :]


def masked_data(x: Signal, masked: bool = True) -> Tensor:
    """Return the data, with zeros beyond each row's end if `masked`."""
    if x.lengths is None or not masked:
        return x.data
    return x.data * frames_within(x.lengths, x.data.shape[3])


def lengths_after(lengths: Tensor | None, kernel: int, stride: int, dilation: int, padding: int) -> Tensor | None:
    """Return each row's length behind a convolution or a pooling."""
    import torch

    if lengths is None:
        return None
    return torch.div(lengths + 2 * padding - dilation * (kernel - 1) - 1, stride, rounding_mode="floor") + 1


def to_frames(data: Tensor) -> Tensor:
    """[B, C, 1, T] -> [B, T, C], contiguous; no copy where the memory is channels-last."""
    return data.squeeze(2).transpose(1, 2).contiguous()


def from_frames(rows: Tensor) -> Tensor:
    """[B, T, C] -> [B, C, 1, T], channels-last."""
    return rows.transpose(1, 2).unsqueeze(2)
