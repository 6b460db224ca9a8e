"""The phase-wise dilated convolution against torch's own: values and gradients, every remainder of the length."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from zeroq_asr.ops.conv1d import dilated_depthwise


@pytest.mark.parametrize("frames", [17, 18, 19, 40])
@pytest.mark.parametrize("dilation, kernel", [(2, 5), (3, 4), (2, 1), (4, 5)])
@pytest.mark.parametrize("padding", [0, 4, 7])
def test_equals_the_dilated_convolution(frames: int, dilation: int, kernel: int, padding: int) -> None:
    generator = torch.Generator().manual_seed(frames)
    x = torch.randn(3, 6, 1, frames, generator=generator, dtype=torch.float64)
    x = x.contiguous(memory_format=torch.channels_last).requires_grad_()
    weight = torch.randn(6, 1, 1, kernel, generator=generator, dtype=torch.float64)
    ours = dilated_depthwise(x, weight, dilation, padding)
    theirs = F.conv2d(x, weight, padding=(0, padding), dilation=(1, dilation), groups=6)
    torch.testing.assert_close(ours, theirs)
    wave = torch.randn(theirs.shape, generator=generator, dtype=torch.float64)
    (a,), (b,) = (torch.autograd.grad((y * wave).sum(), x) for y in (ours, theirs))
    torch.testing.assert_close(a, b)
