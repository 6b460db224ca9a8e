"""Transcribers: judged by content, the same text alone or in a batch, light where no torch is needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toy import VOCABULARY, toy_mel
from toy_models import RATE, save_noise, save_toy, toy_float_model, toy_integer_model

from eval.ctc import decode
from eval.manifest import read_manifest
from eval.types import Utterance
from zeroq_asr.errors import ConfigError, FileError, ZeroqError
from zeroq_asr.runtime.float_tokens import batches_by_length
from zeroq_asr.runtime.integer_executor import IntegerExecutor
from zeroq_asr.runtime.model_kind import find_model_kind
from zeroq_asr.runtime.transcriber import (
    Transcriber,
    bits_of,
    features_of,
    float_transcriber,
    integer_transcriber,
    open_transcriber,
    read_utterance,
)

LENGTHS = (40, 7, 133, 40, 260, 12)
FEATURES = [toy_mel(number, 1, frames)[0] for number, frames in enumerate(LENGTHS)]


def spell(transcriber: Transcriber, features: list[np.ndarray]) -> list[tuple[int, ...]]:
    return [t.tokens for t in transcriber.transcribe_features(features, [1.0] * len(features))]


def test_float_gives_in_a_batch_what_it_gives_alone_in_the_given_order() -> None:
    transcriber = float_transcriber(toy_float_model(), "toy", 1, threads=1)
    together = spell(transcriber, FEATURES)
    assert together == [spell(transcriber, [mel])[0] for mel in FEATURES]
    assert len(set(together)) > 2  # otherwise the order would not be tested


def test_float_ids_have_each_utterance_s_own_length() -> None:
    ids = float_transcriber(toy_float_model(), "toy", 1, threads=1).source.tokens(FEATURES)
    assert [row.shape for row in ids] == [((frames - 1) // 2 + 1,) for frames in LENGTHS]


def test_integer_text_is_the_executor_s() -> None:
    model = toy_integer_model()
    transcriber = integer_transcriber(model, "toy", 1, "reference", threads=1)
    expected = [decode(row, VOCABULARY) for row in IntegerExecutor(model, "reference").tokens(FEATURES)]
    assert [t.text for t in transcriber.transcribe_features(FEATURES, [1.0] * 6)] == expected
    assert any(expected)


def test_float_simulation_decodes_the_same_text() -> None:
    model = toy_integer_model()
    simulated = integer_transcriber(model, "toy", 1, "float", threads=1)
    assert spell(simulated, FEATURES) == spell(integer_transcriber(model, "toy", 1, "reference", threads=1), FEATURES)


@pytest.mark.parametrize("bits", [4, 6, 8])
def test_bits_are_named(bits: int) -> None:
    assert bits_of(toy_integer_model(bits)) == f"W{bits}A8"


@given(st.lists(st.integers(1, 900), max_size=40), st.integers(1, 2000))
def test_batches_hold_every_index_once_and_are_bounded(lengths: list[int], most: int) -> None:
    batches = batches_by_length(lengths, most)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= most for batch in batches)


# ---- audio --------------------------------------------------------------------------------------------------------


def test_a_file_and_its_samples_give_the_same_transcript(tmp_path: Path) -> None:
    save_noise(tmp_path, 2)
    transcriber = integer_transcriber(toy_integer_model(), "toy", 1, "reference", threads=1)
    samples = soundfile.read(tmp_path / "1.wav", dtype="float32")[0]
    by_path, by_text, by_samples = transcriber.transcribe([tmp_path / "1.wav", str(tmp_path / "1.wav"), samples])
    assert by_path == by_text == by_samples
    assert by_path.seconds == pytest.approx(0.4)


def test_other_rates_and_stereo_are_read(tmp_path: Path) -> None:
    save_noise(tmp_path, 1, rate=22050, channels=2)
    transcriber = integer_transcriber(toy_integer_model(), "toy", 1, "reference", threads=1)
    (transcript,) = transcriber.transcribe([tmp_path / "0.wav"])
    assert transcript.seconds == pytest.approx(0.3, abs=0.001)


def test_arrays_that_are_no_waveform_are_refused() -> None:
    transcriber = integer_transcriber(toy_integer_model(), "toy", 1, "reference", threads=1)
    for wrong in (np.zeros(RATE), np.zeros((RATE, 2), dtype=np.float32)):
        with pytest.raises(ConfigError, match="float32 \\[N\\]"):
            transcriber.transcribe([wrong])  # type: ignore[list-item]
    for empty in (np.zeros(0, dtype=np.float32), np.zeros(10, dtype=np.float32)):
        with pytest.raises(ZeroqError, match="waveform 0: .* empty or too short"):
            transcriber.transcribe([empty])


def test_offset_and_duration_cut_the_file(tmp_path: Path) -> None:
    samples = np.linspace(-0.5, 0.5, RATE, dtype=np.float32)
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    segment = read_utterance(Utterance(tmp_path / "a.wav", 0.25, "", offset_s=0.5), RATE)
    assert np.array_equal(segment, samples[RATE // 2 : 3 * RATE // 4])


def test_a_manifest_that_promises_more_audio_than_there_is_is_refused(tmp_path: Path) -> None:
    (utterance, *_) = read_manifest(save_noise(tmp_path, 1))
    assert read_utterance(utterance, RATE).size == 4800
    for lie in (Utterance(utterance.audio_path, 5.0, ""), Utterance(utterance.audio_path, 0.3, "", offset_s=1.0)):
        with pytest.raises(FileError, match="needed audio up to"):
            read_utterance(lie, RATE)


# ---- files --------------------------------------------------------------------------------------------------------


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    path = save_toy(tmp_path / "model.nemo", bits=6)
    assert find_model_kind(str(path)) == "quantized"
    transcriber = open_transcriber(str(path), "reference")
    assert (transcriber.bits, transcriber.size_bytes) == ("W6A8", path.stat().st_size)
    assert (transcriber.name, transcriber.backend) == ("model.nemo", "reference")


def test_names_are_left_to_the_loader() -> None:
    assert find_model_kind("some-shipped-name") == "name"
    assert find_model_kind("stt_en_quartznet15x5") == "name"


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save

    tensors = {"x": np.zeros(1, dtype=np.float32)}
    contents = {
        "empty": b"",
        "text": b"hello, this is no model at all",
        "zip": b"PK\x03\x04" + bytes(100),
        "other safetensors": save(tensors),
        "safetensors of others": save(tensors, {"format": "pt"}),
        "header too long": (1 << 62).to_bytes(8, "little") + b"{}",
        "header cut off": (200).to_bytes(8, "little") + b'{"__metadata__"',
        "header a list": (2).to_bytes(8, "little") + b"[]",
        "header nested": (60000).to_bytes(8, "little") + b"[" * 60000,
    }
    for name, content in contents.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(FileError, match=r"needed a \.nemo checkpoint or a quantized model"):
            open_transcriber(str(path))
    with pytest.raises(FileError, match="folder"):
        open_transcriber(str(tmp_path))
    for missing in (str(tmp_path / "gone"), "gone.nemo", "./gone", ""):
        with pytest.raises(FileError, match="no such file"):
            open_transcriber(missing)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_a_file_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "fuzz"
    path.write_bytes(content)
    with pytest.raises(FileError):
        find_model_kind(str(path))


def test_synthetic_data_is_recognised_and_refused_as_a_model(tmp_path: Path) -> None:
    from safetensors.numpy import save

    path = tmp_path / "data.safetensors"
    path.write_bytes(save({"mel": np.zeros(1, dtype=np.float32)}, {"synth": "{}"}))
    assert find_model_kind(str(path)) == "synthetic"
    with pytest.raises(FileError, match="synthetic data"):
        open_transcriber(str(path))


def test_settings_are_checked(tmp_path: Path) -> None:
    path = str(save_toy(tmp_path / "m"))
    with pytest.raises(ConfigError, match="--backend"):
        open_transcriber(path, "gpu")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="--threads"):
        open_transcriber(path, threads=0)


def test_a_quantized_file_transcribes_without_torch_or_nemo(tmp_path: Path) -> None:
    save_toy(tmp_path / "m")
    save_noise(tmp_path, 1)
    code = (
        "import sys\n"
        "from zeroq_asr.runtime.transcriber import open_transcriber\n"
        f"t = open_transcriber({str(tmp_path / 'm')!r}, 'reference').transcribe([{str(tmp_path / '0.wav')!r}])\n"
        "assert len(t) == 1\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'nemo', 'matplotlib', 'tensorboard'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_features_are_float32(tmp_path: Path) -> None:
    mel = features_of(np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32), toy_float_model().frontend, "noise")
    assert mel.dtype == np.float32 and mel.shape == (6, 100)
