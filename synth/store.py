"""Synthetic data as bytes and back: one safetensors file, never a pickle; nothing is believed before it is checked.

Tensors (k batches made so far, S_j steps of batch j, t taps):
    mel float32 [sum_j B * n_mels * T_j], batch after batch · steps int32 [k] · losses float64 [sum_j (S_j + 1)]
    tap_losses_start, tap_losses_end float64 [k, t]
Metadata: one key "synth" = JSON {format, settings, fingerprint, taps}. (One key, because safetensors writes several in
any order, and equal data must be equal bytes.)
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
    """The batches made so far for one model.

    fingerprint: the model's, sha256 in hex.  taps: names of the matched values, in the order of the tap losses.
    """

    settings: SynthesisSettings
    fingerprint: str
    taps: tuple[str, ...]
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
            if batch.mel.shape != shape or batch.tap_losses_end.shape != (len(self.taps),):
                raise SynthError(
                    f"synthetic data, batch {number}: expected mel {shape} and {len(self.taps)} tap "
                    f"losses, got {batch.mel.shape} and {batch.tap_losses_end.shape}"
                )

    @property
    def complete(self) -> bool:
        """All batches that the settings ask for are here."""
        return len(self.batches) == self.settings.batches

    @property
    def spectrograms(self) -> int:
        """How many spectrograms there are."""
        return sum(batch.mel.shape[0] for batch in self.batches)

    def matches(self, settings: SynthesisSettings, fingerprint: str) -> bool:
        """Made with these settings for this model: a run with both would give (or finish) the same bytes."""
        return self.settings == settings and self.fingerprint == fingerprint


def to_bytes(data: SyntheticData) -> bytes:
    """`data` as the bytes of a safetensors file; equal data give equal bytes."""
    batches = data.batches
    rows = (len(batches), len(data.taps))
    starts = [batch.tap_losses_start for batch in batches]
    ends = [batch.tap_losses_end for batch in batches]
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
        "taps": list(data.taps),
    }
    return safetensors.numpy.save(tensors, metadata={"synth": json.dumps(header, sort_keys=True, allow_nan=False)})


def from_bytes(content: bytes, where: str = "synthetic data") -> SyntheticData:
    """The data that `to_bytes` wrote. Raises SynthError on everything else; `where` names the file in the message."""
    header = _header(content, where)
    tensors = _tensors(content, where)
    try:
        settings = SynthesisSettings.from_json(header["settings"])
        batches = _split(settings, tensors, len(header["taps"]))
        return SyntheticData(settings, header["fingerprint"], tuple(header["taps"]), batches)
    except SynthError as error:
        raise SynthError(f"{where}: damaged, or not made by this program ({error})") from error


def _header(content: bytes, where: str) -> dict[str, Any]:
    """The JSON of the metadata key, with the types of its fields checked."""
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or size > min(MAX_HEADER_BYTES, len(content) - 8):
        raise SynthError(f"{where}: expected a safetensors file of synthetic data, this is none or it is cut off")
    try:
        outer = json.loads(content[8 : 8 + size])
        text = outer["__metadata__"]["synth"]
        header = json.loads(text)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise SynthError(
            f"{where}: expected a file written by `generate`, its header is another; give the right --data"
        ) from error
    if not isinstance(header, Mapping) or header.get("format") != FORMAT:
        raise SynthError(f"{where}: expected the format {FORMAT!r}, got another; make the data again with this version")
    taps, fingerprint = header.get("taps"), header.get("fingerprint")
    taps_are_names = isinstance(taps, list) and all(isinstance(tap, str) for tap in taps)
    if (
        set(header) != {"format", "settings", "fingerprint", "taps"}
        or not taps_are_names
        or not isinstance(fingerprint, str)
    ):
        raise SynthError(f"{where}: expected settings, fingerprint and taps in the header; it is damaged")
    return cast("dict[str, Any]", dict(header))


def _tensors(content: bytes, where: str) -> dict[str, npt.NDArray[Any]]:
    """The tensors, each with its dtype and finite."""
    try:
        tensors: dict[str, npt.NDArray[Any]] = safetensors.numpy.load(content)
    except (safetensors.SafetensorError, ValueError, TypeError, KeyError, OverflowError, AttributeError) as error:
        raise SynthError(f"{where}: damaged safetensors file ({error}); make it again") from error
    if set(tensors) != set(DTYPES):
        raise SynthError(f"{where}: expected the tensors {', '.join(sorted(DTYPES))}, got others")
    for name, dtype in DTYPES.items():
        if tensors[name].dtype != dtype:
            raise SynthError(f"{where}: expected {name} in {np.dtype(dtype)}, got {tensors[name].dtype}")
        if not np.isfinite(tensors[name]).all():
            raise SynthError(f"{where}: {name} holds values that are not finite; the file is damaged, make it again")
    return tensors


def _split(
    settings: SynthesisSettings, tensors: Mapping[str, npt.NDArray[Any]], taps: int
) -> tuple[SyntheticBatch, ...]:
    """Cut the stacked tensors into batches; every shape must follow from the settings."""
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
        "tap_losses_start": (steps.size, taps),
        "tap_losses_end": (steps.size, taps),
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
