"""The engines whose speed is compared. Each module opens one; each `open_*` returns the function that is timed.

An engine is opened in its own process (see `eval.latency`), so it takes plain values only, among them the folder of its
inputs. `installed_peers` returns which of the other vendors' engines are installed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from eval.latency import Note

PEERS = {"onnxruntime": ("onnx", "onnxruntime"), "openvino": ("onnx", "openvino", "nncf")}
"""Another vendor's engine -> the packages that it needs; all are in the extra `peers`."""

Mel = npt.NDArray[np.float32]
"""One input: float32 [B, n_mels, T]; all B utterances have T frames."""

X = TypeVar("X")


def installed_peers() -> tuple[str, ...]:
    """Return the peers whose packages are installed."""
    return tuple(peer for peer, packages in PEERS.items() if all(map(find_spec, packages)))


def noise(batch: int, n_mels: int, frames: int) -> Mel:
    """Return the default input: N(0, 1) noise, float32 [batch, n_mels, frames], always the same."""
    return np.random.default_rng(0).normal(0, 1, (batch, n_mels, frames)).astype(np.float32)


def save_inputs(folder: Path, inputs: Sequence[Mel]) -> str:
    """Write the inputs, float32 [B, n_mels, T_i] each, for `load_inputs`; return the path of the folder."""
    folder.mkdir(exist_ok=True)
    for number, mel in enumerate(inputs):
        np.save(folder / f"{number:06}.npy", mel, allow_pickle=False)
    return str(folder)


def load_inputs(folder: str) -> list[Mel]:
    """Return the inputs that `save_inputs` wrote, float32 [B, n_mels, T_i] each, in order."""
    return [np.load(path, allow_pickle=False) for path in sorted(Path(folder).glob("*.npy"))]


def one_by_one(infer: Callable[[X], object], inputs: Sequence[X]) -> Callable[[], Note]:
    """Return a run that calls `infer` on one input after the other.

    Its note is the seconds of each call, its result that of the last call.
    """

    def run() -> Note:
        seconds, result = [], None
        for x in inputs:
            started = time.perf_counter()
            result = infer(x)
            seconds.append(time.perf_counter() - started)
        return Note(tuple(seconds), result)

    return run
