"""The verifier must hold for a sound model and fail for every broken property."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from support.toy import toy_mel
from support.toy_models import save_noise, save_toy, toy_integer_model

from int_kernels import available_backends
from zeroq_asr import verify as module
from zeroq_asr.errors import ConfigError
from zeroq_asr.runtime.integer_executor import IntegerExecutor
from zeroq_asr.verify import Features, Logits, Proof, compare_ways, count_differing_bytes, main, verify

needs_native = pytest.mark.skipif("native" not in available_backends(), reason="the native kernels are not built")
FEATURES = [toy_mel(number, 1, 20 + 9 * number)[0] for number in range(11)]


def echo(batch: Sequence[Features]) -> list[Logits]:
    return [mel.astype(np.int32) for mel in batch]


def flip(batch: Sequence[Features]) -> list[Logits]:
    logits = echo(batch)
    logits[-1][-1, -1] ^= 1 << 17
    return logits


def test_agreement_is_counted_in_bytes() -> None:
    agreements, sha256 = compare_ways(echo, {"same": echo, "flipped": flip}, FEATURES)
    same, flipped = agreements
    total = sum(mel.size * 4 for mel in FEATURES)
    assert (same.utterances, same.bytes_compared, same.bytes_differing) == (11, total, 0)
    assert flipped.bytes_differing == 2  # one byte in the last utterance of each of the two batches
    assert sha256 == hashlib.sha256(b"".join(mel.astype("<i4").tobytes() for mel in FEATURES)).hexdigest()


def test_another_shape_or_type_differs_entirely() -> None:
    wanted = np.zeros((2, 5), dtype=np.int32)
    assert count_differing_bytes(wanted, np.zeros((2, 4), dtype=np.int32)) == 40
    assert count_differing_bytes(wanted, np.zeros((2, 5), dtype=np.int64)) == 80
    assert count_differing_bytes(wanted, np.asfortranarray(wanted)) == 0


def test_nothing_to_run_is_refused() -> None:
    with pytest.raises(ConfigError, match="at least one utterance"):
        compare_ways(echo, {"same": echo}, [])


@pytest.mark.parametrize(
    "broken",
    [{"float_tensors": ("w",)}, {"overflowing": ("conv",)}, {"agreements": ("flipped",)}],
    ids=lambda b: next(iter(b)),
)
def test_every_broken_property_breaks_the_proof(broken: dict[str, tuple[str, ...]]) -> None:
    agreements, sha256 = compare_ways(echo, {"same": echo}, FEATURES)
    proof = Proof((), 1000, (), agreements, sha256)
    assert proof.holds
    if "agreements" in broken:
        broken = {"agreements": compare_ways(echo, {"flipped": flip}, FEATURES)[0]}  # type: ignore[dict-item]
    changed = dataclasses.replace(proof, **broken)  # type: ignore[arg-type]
    assert not changed.holds
    assert "BROKEN" in module.render("m", changed) and "all guaranteed properties hold" in module.render("m", proof)


@needs_native
def test_a_sound_model_holds() -> None:
    model = toy_integer_model()
    proof = verify(model, FEATURES, threads=2)
    assert proof.holds and len(proof.agreements) == 4
    logits = IntegerExecutor(model, "reference").run(FEATURES)
    assert proof.sha256 == hashlib.sha256(b"".join(x.astype("<i4").tobytes() for x in logits)).hexdigest()


@needs_native
def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, manifest, out = save_toy(tmp_path / "m", bits=5), save_noise(tmp_path), tmp_path / "proof.json"
    assert main([str(path), "--manifest", str(manifest), "--quiet", "--json", str(out)]) == 0
    document = json.loads(out.read_text())
    text = capsys.readouterr().out
    assert document["holds"] is True and document["sha256"] in text and "0 differ" in text
    assert all(agreement["bytes_compared"] > 0 for agreement in document["agreements"])


@needs_native
def test_a_difference_exits_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, manifest = save_toy(tmp_path / "m"), save_noise(tmp_path)
    run = IntegerExecutor.run

    def off_by_one(self: IntegerExecutor, features: Sequence[Features]) -> list[Logits]:
        return [logits + (len(features) > 1) for logits in run(self, features)]

    monkeypatch.setattr(IntegerExecutor, "run", off_by_one)
    assert main([str(path), "--manifest", str(manifest), "--quiet"]) == 1
    assert "A GUARANTEED PROPERTY IS BROKEN" in capsys.readouterr().out


def test_user_errors_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, manifest = save_toy(tmp_path / "m"), save_noise(tmp_path)
    for message, words in {
        "no such file": [str(tmp_path / "gone.safetensors")],
        "expected a quantized model": ["some-name"],
        "line 1": [str(path), "--manifest", str(path)],
        "--limit": [str(path), "--manifest", str(manifest), "--limit", "0"],
        "--threads": [str(path), "--manifest", str(manifest), "--threads", "0"],
    }.items():
        assert main([*words, "--quiet"]) == 2, message
        error = capsys.readouterr().err
        assert error.startswith("error: ") and message in error
