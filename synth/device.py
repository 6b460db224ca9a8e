"""The torch device and the number of CPU threads of a synthesis."""

from __future__ import annotations

import torch

from synth.errors import SynthError


def use_device(device: str, threads: int) -> None:
    """Set the number of CPU threads of torch; raise SynthError unless torch can compute on `device`.

    The number is fixed because the order of additions, and with it the last bits of a sum, depends on it.
    """
    torch.set_num_threads(threads)
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = (str(error).splitlines() or ["no reason given"])[0]
        raise SynthError(f"--device: expected a device that torch can use here, got {device!r} ({reason})") from error
