"""Serialization of synthetic data: one safetensors file, never a pickle; everything read is checked.

Tensors (k batches so far, S_j steps of batch j, t BatchNorms, called "taps" in the file):
    mel float32 [sum_j B * n_mels * T_j], batch after batch
    steps int32 [k]
    losses float64 [sum_j (S_j + 1)]
    tap_losses_start, tap_losses_end float64 [k, t]
Metadata: one key "synth" = JSON {format, settings, fingerprint, taps}. There is only one key because safetensors
writes several keys in any order, and equal data must give equal bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import safetensors
import safetensors.numpy

from synth.errors import SynthError
from synth.settings import SynthesisSettings
from synth.types import SyntheticBatch

FORMAT = "zeroq-asr synthetic mel 2"
MAX_BYTES = 4 * 2**30
MAX_HEADER_BYTES = 8 * 2**20
DTYPES = {
    "mel": np.float32,
    "steps": np.int32,
    "losses": np.float64,
    "tap_losses_start": np.float64,
    "tap_losses_end": np.float64,
}


@dataclass(frozen=True, eq=False)
class SyntheticData:
    """The batches made so far for one model. Raises SynthError for fields that do not fit each other.

    fingerprint: SHA-256 (hex) of the model. batchnorms: names of the values that the BatchNorms read, in the order of
    their losses.
    """

    settings: SynthesisSettings
    fingerprint: str
    batchnorms: tuple[str, ...]
    batches: tuple[SyntheticBatch, ...]

    def __post_init__(self) -> None:
        if len(self.batches) > self.settings.batches:
            raise SynthError(
                f"synthetic data: expected at most {self.settings.batches} batches, got {len(self.batches)}"
            )
        if len(self.fingerprint) != 64 or set(self.fingerprint) - set("0123456789abcdef"):
            raise SynthError(f"synthetic data: expected a sha256 in hex as fingerprint, got {self.fingerprint!r}")
        for number, batch in enumerate(self.batches):
            shape = self.settings.batch_spec(number).shape
            if batch.mel.shape != shape or batch.batchnorm_losses_end.shape != (len(self.batchnorms),):
                raise SynthError(
                    f"synthetic data, batch {number}: expected mel {shape} and {len(self.batchnorms)} "
                    f"BatchNorm losses, got {batch.mel.shape} and {batch.batchnorm_losses_end.shape}"
                )

    @property
    def complete(self) -> bool:
        """Whether all batches of the settings are present."""
        return len(self.batches) == self.settings.batches

    @property
    def spectrograms(self) -> int:
        """Number of spectrograms in all batches."""
        return sum(batch.mel.shape[0] for batch in self.batches)

    def matches(self, settings: SynthesisSettings, fingerprint: str) -> bool:
        """Return whether the data was made with these settings for this model, so that a new run would repeat it."""
        return self.settings == settings and self.fingerprint == fingerprint


def to_bytes(data: SyntheticData) -> bytes:
    """Return `data` as the bytes of a safetensors file; equal data give equal bytes."""
    batches = data.batches
    rows = (len(batches), len(data.batchnorms))
    starts = [batch.batchnorm_losses_start for batch in batches]
    ends = [batch.batchnorm_losses_end for batch in batches]
    losses = [np.zeros(0), *(batch.losses for batch in batches)]
    tensors: dict[str, npt.NDArray[Any]] = {
        "mel": np.concatenate([np.zeros(0, np.float32), *(batch.mel.ravel() for batch in batches)]),
        "steps": np.array([batch.losses.size - 1 for batch in batches], np.int32),
        "losses": np.concatenate(losses).astype(np.float64),
        "tap_losses_start": np.array(starts, np.float64).reshape(rows),
        "tap_losses_end": np.array(ends, np.float64).reshape(rows),
    }
    header = {
        "format": FORMAT,
        "settings": data.settings.to_json(),
        "fingerprint": data.fingerprint,
        "taps": list(data.batchnorms),
    }
    return safetensors.numpy.save(tensors, metadata={"synth": json.dumps(header, sort_keys=True, allow_nan=False)})


def from_bytes(content: bytes, where: str = "synthetic data") -> SyntheticData:
    """Return the data that `to_bytes` wrote. Raises SynthError for other bytes; `where` names the file in messages."""
    header = _header(content, where)
    tensors = _tensors(content, where)
    try:
        settings = SynthesisSettings.from_json(header["settings"])
        batches = _split(settings, tensors, len(header["taps"]))
        return SyntheticData(settings, header["fingerprint"], tuple(header["taps"]), batches)
    except SynthError as error:
        raise SynthError(f"{where}: damaged, or not made by this program ({error})") from error


def _header(content: bytes, where: str) -> dict[str, Any]:
    """Return the JSON of the metadata key after a check of the types of its fields. Raises SynthError."""
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or size > min(MAX_HEADER_BYTES, len(content) - 8):
        raise SynthError(f"{where}: expected a safetensors file of synthetic data, got another or a truncated file")
    try:
        outer = json.loads(content[8 : 8 + size])
        text = outer["__metadata__"]["synth"]
        header = json.loads(text)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SynthError(
            f"{where}: expected a file written by `generate`, got another kind of file; give the right --data"
        ) from error
    if not isinstance(header, Mapping) or header.get("format") != FORMAT:
        raise SynthError(
            f"{where}: expected the format {FORMAT!r}, got another; run `generate` again with this version"
        )
    names, fingerprint = header.get("taps"), header.get("fingerprint")
    names_are_text = isinstance(names, list) and all(isinstance(name, str) for name in names)
    if (
        set(header) != {"format", "settings", "fingerprint", "taps"}
        or not names_are_text
        or not isinstance(fingerprint, str)
    ):
        raise SynthError(f"{where}: expected settings, fingerprint and taps in the header; the file is damaged")
    return cast("dict[str, Any]", dict(header))


def _tensors(content: bytes, where: str) -> dict[str, npt.NDArray[Any]]:
    """Return the tensors after a check of their names, dtypes and finiteness. Raises SynthError."""
    try:
        tensors: dict[str, npt.NDArray[Any]] = safetensors.numpy.load(content)
    except (safetensors.SafetensorError, ValueError, TypeError, KeyError, OverflowError, AttributeError) as error:
        raise SynthError(f"{where}: damaged safetensors file ({error}); run `generate` again") from error
    if set(tensors) != set(DTYPES):
        raise SynthError(f"{where}: expected the tensors {', '.join(sorted(DTYPES))}, got others")
    for name, dtype in DTYPES.items():
        if tensors[name].dtype != dtype:
            raise SynthError(f"{where}: expected {name} in {np.dtype(dtype)}, got {tensors[name].dtype}")
        if not np.isfinite(tensors[name]).all():
            raise SynthError(
                f"{where}: expected finite {name}, got other values; the file is damaged, run `generate` again"
            )
    return tensors


def _split(
    settings: SynthesisSettings, tensors: Mapping[str, npt.NDArray[Any]], batchnorms: int
) -> tuple[SyntheticBatch, ...]:
    """Split the concatenated tensors into batches; every shape must follow from the settings. Raises SynthError."""
    steps = tensors["steps"]
    if steps.ndim != 1 or steps.size > settings.batches:
        raise SynthError(f"expected steps of at most {settings.batches} batches, got the shape {steps.shape}")
    limits = [settings.batch_iterations(batch) for batch in range(steps.size)]
    if any(not 0 <= int(taken) <= limit for taken, limit in zip(steps, limits, strict=True)):
        raise SynthError("a batch took more steps than its settings allow")
    sizes = [int(taken) + 1 for taken in steps]
    shapes = [settings.batch_spec(batch).shape for batch in range(steps.size)]
    areas = [math.prod(shape) for shape in shapes]
    needed: dict[str, tuple[int, ...]] = {
        "mel": (sum(areas),),
        "losses": (sum(sizes),),
        "tap_losses_start": (steps.size, batchnorms),
        "tap_losses_end": (steps.size, batchnorms),
    }
    for name, shape in needed.items():
        if tensors[name].shape != shape:
            raise SynthError(f"expected {name} {shape}, got {tensors[name].shape}")
    cuts, mel_cuts = np.cumsum([0, *sizes]), np.cumsum([0, *areas])
    return tuple(
        SyntheticBatch(
            tensors["mel"][mel_cuts[k] : mel_cuts[k + 1]].reshape(shapes[k]),
            tensors["losses"][cuts[k] : cuts[k + 1]],
            tensors["tap_losses_start"][k],
            tensors["tap_losses_end"][k],
        )
        for k in range(steps.size)
    )
