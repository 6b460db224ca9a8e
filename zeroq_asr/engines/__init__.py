"""Engines to compare speed with: each module opens one, each `open_*` returns the function that is timed.

An engine is opened in a process of its own (see `eval.latency`), so it takes plain values only. `peers` says which of
the other vendors' engines are installed.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import numpy.typing as npt

PEERS = {"onnxruntime": ("onnx", "onnxruntime"), "openvino": ("onnx", "openvino", "nncf")}
"""Peer -> the packages that it needs; all are in the extra `peers`."""


def installed_peers() -> tuple[str, ...]:
    """Return the peers that can run here."""
    return tuple(peer for peer, packages in PEERS.items() if all(map(find_spec, packages)))


def noise(batch: int, n_mels: int, frames: int) -> npt.NDArray[np.float32]:
    """Return what every engine is fed with: N(0, 1), float32 [batch, n_mels, frames], always the same."""
    return np.random.default_rng(0).normal(0, 1, (batch, n_mels, frames)).astype(np.float32)
