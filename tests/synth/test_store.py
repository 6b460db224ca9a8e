"""The file format: equal data, equal bytes; nothing damaged or hostile gets in."""

from __future__ import annotations

import json
import pickle
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from support.synth_tiny import tiny_network, tiny_settings

from synth import SynthError, SyntheticData, from_bytes, to_bytes
from synth.optimize import run, synthesize_batch

PRINT = "0123456789abcdef" * 4


def make(done: int = 2, **changes: Any) -> SyntheticData:
    forward, batchnorms = tiny_network()
    settings = tiny_settings(iterations=(3, 5), **changes)
    batches = tuple(run(synthesize_batch(forward, batchnorms, settings, k)) for k in range(done))
    return SyntheticData(settings, PRINT, tuple(norm.name for norm in batchnorms), batches)


def test_round_trip_and_stable_bytes() -> None:
    data = make()
    content = to_bytes(data)
    assert content == to_bytes(make()), "equal data, equal bytes"
    back = from_bytes(content)
    assert back.settings == data.settings and back.fingerprint == PRINT and back.batchnorms == data.batchnorms
    assert back.complete and back.matches(data.settings, PRINT) and not back.matches(data.settings, "0" * 64)
    for ours, theirs in zip(back.batches, data.batches, strict=True):
        np.testing.assert_array_equal(ours.mel, theirs.mel)
        np.testing.assert_array_equal(ours.losses, theirs.losses)
        np.testing.assert_array_equal(ours.batchnorm_losses_end, theirs.batchnorm_losses_end)
    assert to_bytes(back) == content
    assert pickle.PROTO not in content[:2]


@pytest.mark.parametrize("done", [0, 1])
def test_unfinished_data_can_be_kept(done: int) -> None:
    back = from_bytes(to_bytes(make(done)))
    assert len(back.batches) == done and not back.complete
    assert back.spectrograms == 4 * done and all(batch.mel.shape == (4, 12, 80) for batch in back.batches)


def test_batches_of_several_lengths_come_back() -> None:
    data = make(lengths=(40, 60), smoothness=0.5)
    back = from_bytes(to_bytes(data))
    assert [batch.mel.shape for batch in back.batches] == [(4, 12, 40), (4, 12, 60)]
    np.testing.assert_array_equal(back.batches[1].mel, data.batches[1].mel)
    assert back.settings.smoothness == 0.5 and back.matches(data.settings, PRINT)


def rewrite(change: dict[str, Any] | None = None, tensors: dict[str, Any] | None = None) -> bytes:
    """A well-formed safetensors file with parts of the header or the tensors exchanged."""
    content = to_bytes(make())
    size = int.from_bytes(content[:8], "little")
    header = json.loads(json.loads(content[8 : 8 + size])["__metadata__"]["synth"])
    arrays = safetensors.numpy.load(content) | (tensors or {})
    arrays = {name: array for name, array in arrays.items() if array is not None}
    return safetensors.numpy.save(arrays, metadata={"synth": json.dumps(header | (change or {}))})


def settings_with(**changes: Any) -> dict[str, Any]:
    return {"settings": make(0).settings.to_json() | changes}


HOSTILE: dict[str, Any] = {
    "empty": lambda: b"",
    "seven bytes": lambda: b"1234567",
    "pickle": lambda: pickle.dumps({"mel": np.zeros(3)}),
    "torch zip": lambda: b"PK\x03\x04" + bytes(100),
    "header longer than the file": lambda: (2**62).to_bytes(8, "little") + b"{}",
    "header is not JSON": lambda: (4).to_bytes(8, "little") + b"{{{{",
    "header nested to death": lambda: (200_000).to_bytes(8, "little") + b"[" * 200_000,
    "someone else's safetensors": lambda: safetensors.numpy.save({"mel": np.zeros((1, 2, 3), np.float32)}),
    "other metadata": lambda: safetensors.numpy.save({"mel": np.zeros(1, np.float32)}, metadata={"synth": "[]"}),
    "other format version": lambda: rewrite({"format": "zeroq-asr synthetic mel 99"}),
    "extra header field": lambda: rewrite({"code": "import os"}),
    "fingerprint is no sha256": lambda: rewrite({"fingerprint": "../../etc/passwd"}),
    "fingerprint is a number": lambda: rewrite({"fingerprint": 5}),
    "taps are numbers": lambda: rewrite({"taps": [1, 2, 3]}),
    "one tap missing": lambda: rewrite({"taps": ["conv0", "conv1"]}),
    "settings are a list": lambda: rewrite({"settings": []}),
    "settings with a field too many": lambda: rewrite(settings_with(extra=1)),
    "settings with a wrong type": lambda: rewrite(settings_with(batches="2")),
    "settings with a truth value as number": lambda: rewrite(settings_with(seed=True)),
    "settings with a huge number": lambda: rewrite(settings_with(seed=10**400)),
    "settings with a bad spec": lambda: rewrite(settings_with(spec={"batch_size": 4})),
    "settings with another shape": lambda: rewrite(settings_with(spec={"batch_size": 4, "n_mels": 13, "frames": 80})),
    "settings with fewer batches": lambda: rewrite(settings_with(batches=1)),
    "more steps than allowed": lambda: rewrite(settings_with(iterations=[2])),
    "NaN": lambda: rewrite(tensors={"mel": np.full(8 * 12 * 80, np.nan, np.float32)}),
    "infinite loss": lambda: rewrite(tensors={"losses": np.full(10, np.inf)}),
    "wrong dtype": lambda: rewrite(tensors={"mel": np.zeros(8 * 12 * 80, np.float64)}),
    "steps in float": lambda: rewrite(tensors={"steps": np.zeros(2, np.float32)}),
    "wrong shape": lambda: rewrite(tensors={"mel": np.zeros(8 * 12 * 79, np.float32)}),
    "mel that is not flat": lambda: rewrite(tensors={"mel": np.zeros((8, 12, 80), np.float32)}),
    "settings with no length": lambda: rewrite(settings_with(lengths=[0])),
    "settings with lengths as numbers": lambda: rewrite(settings_with(lengths=80)),
    "settings with a negative weight": lambda: rewrite(settings_with(diversity=-1)),
    "negative steps": lambda: rewrite(tensors={"steps": np.array([-1, 5], np.int32)}),
    "losses cut": lambda: rewrite(tensors={"losses": np.zeros(9)}),
    "tensor missing": lambda: rewrite(tensors={"steps": None}),
    "tensor too many": lambda: rewrite(tensors={"more": np.zeros(1)}),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_in_one_sentence(name: str) -> None:
    with pytest.raises(SynthError, match=r"^some/file\.safetensors: ") as caught:
        from_bytes(HOSTILE[name](), where="some/file.safetensors")
    assert "\n" not in str(caught.value)


def test_every_truncation_is_refused() -> None:
    content = to_bytes(make())
    for length in [*range(0, 64), *range(64, len(content), 997), len(content) - 1]:
        with pytest.raises(SynthError):
            from_bytes(content[:length])


def test_flipped_header_bytes_never_escape_as_another_error() -> None:
    content = bytearray(to_bytes(make()))
    size = int.from_bytes(content[:8], "little")
    for position in range(0, 8 + size, 3):
        for flip in (0x01, 0x80):
            damaged = bytearray(content)
            damaged[position] ^= flip
            try:
                from_bytes(bytes(damaged))
            except SynthError:
                continue
