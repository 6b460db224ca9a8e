"""Transcribers: judged by content, the same text alone or in a batch, light where no torch is needed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.toy import VOCABULARY, toy_mel
from support.toy_models import RATE, save_noise, save_toy, toy_float_model, toy_integer_model

from eval.ctc import decode
from eval.manifest import read_manifest
from eval.types import Utterance
from int_kernels import available_backends
from zeroq_asr.errors import ConfigError, FileError, ZeroqError
from zeroq_asr.frontend.features import features_of, read_utterance
from zeroq_asr.models.kind import find_model_kind
from zeroq_asr.models.open import integer_transcriber, open_integer, open_transcriber
from zeroq_asr.runtime.integer_executor import IntegerExecutor
from zeroq_asr.runtime.transcriber import Transcriber, bits_of

LENGTHS = (40, 7, 133, 40, 260, 12)
FEATURES = [toy_mel(number, 1, frames)[0] for number, frames in enumerate(LENGTHS)]


def spell(transcriber: Transcriber, features: list[np.ndarray]) -> list[tuple[int, ...]]:
    return [t.tokens for t in transcriber.transcribe_features(features, [1.0] * len(features))]


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


@pytest.mark.skipif("native" not in available_backends(), reason="the native backend is not built")
@pytest.mark.parametrize("bits", [4, 8])
def test_an_opened_file_holds_its_weights_once(tmp_path: Path, bits: int) -> None:
    """The kernels' own order has taken their place, and the ids are those of a model that kept them."""
    path = save_toy(tmp_path / "model", bits)
    opened, model = open_integer(path, threads=1), toy_integer_model(bits)
    assert isinstance(opened.source, IntegerExecutor)
    kept = IntegerExecutor(model, "native")
    assert all(np.array_equal(a, b) for a, b in zip(opened.source.tokens(FEATURES), kept.tokens(FEATURES), strict=True))
    assert opened.memory_bytes(2.0)["model"] <= kept.memory_bytes(1)["model"]
    assert opened.memory_bytes(2.0)["utterance"] == kept.memory_bytes(opened.frontend.frames(2 * RATE))["utterance"]
    assert opened.source.executable.program.outputs == model.program.outputs
    assert integer_transcriber(model, "toy", 1, "reference").memory_bytes(2.0) == {}


@pytest.mark.parametrize("bits", [4, 6, 8])
def test_bits_are_named(bits: int) -> None:
    assert bits_of(toy_integer_model(bits)) == f"W{bits}A8"


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
        with pytest.raises(ZeroqError, match=r"waveform 0: .* empty or too short"):
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
        with pytest.raises(FileError, match="expected audio up to"):
            read_utterance(lie, RATE)


# ---- files --------------------------------------------------------------------------------------------------------


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    path = save_toy(tmp_path / "model.nemo", bits=6)
    assert find_model_kind(str(path)) == "quantized"
    transcriber = open_transcriber(str(path), "reference")
    assert (transcriber.bits, transcriber.size_bytes) == ("W6A8", path.stat().st_size)
    assert (transcriber.name, transcriber.backend) == ("model.nemo", "reference")


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello, this is no model at all")
    for path, message in (
        (tmp_path / "text", "expected a .nemo"),
        (tmp_path, "folder"),
        (tmp_path / "gone", "no such"),
    ):
        with pytest.raises(FileError, match=message):
            open_transcriber(str(path))


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
        "from zeroq_asr.models.open import open_transcriber\n"
        f"t = open_transcriber({str(tmp_path / 'm')!r}, 'reference').transcribe([{str(tmp_path / '0.wav')!r}])\n"
        "assert len(t) == 1\n"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'nemo', 'matplotlib', 'tensorboard'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_features_are_float32(tmp_path: Path) -> None:
    mel = features_of(
        np.random.default_rng(0).normal(0, 0.1, RATE).astype(np.float32), toy_float_model().frontend, "noise"
    )
    assert mel.dtype == np.float32 and mel.shape == (6, 100)
