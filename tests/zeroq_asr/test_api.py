"""The Python API: one way to load, quantize and generate, whatever a model is given as and whatever was imported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from support.nemo_files import nemo_bytes
from support.small_bench import small_bench
from support.toy_models import save_noise, save_toy, toy_float_model

import zeroq_asr
from zeroq_asr.artifact import to_bytes
from zeroq_asr.errors import CheckpointError, ConfigError, FileError
from zeroq_asr.quantize import main as quantize_main
from zeroq_asr.transcribe import main as transcribe_main

RATE = 16000


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with small_bench():
        yield


@pytest.fixture(scope="module")
def nemo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "toy.nemo"
    path.write_bytes(nemo_bytes())
    return path


@pytest.fixture(scope="module")
def wav(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wav")
    save_noise(folder)
    return folder / "2.wav"


@pytest.fixture(scope="module")
def small_model(nemo: Path) -> zeroq_asr.IntegerRecognizer:
    return zeroq_asr.quantize(nemo, bits=6, calibration="random")


def test_files_arrays_and_lists_give_the_same_transcript(nemo: Path, wav: Path) -> None:
    model = zeroq_asr.load(nemo)
    assert isinstance(model, zeroq_asr.FloatRecognizer)
    samples, rate = soundfile.read(wav, dtype="float32")
    expected = model.transcribe(wav)
    assert rate == model.sample_rate == RATE and expected.seconds == pytest.approx(0.5)
    assert model.transcribe(str(wav)) == model.transcribe(samples) == model.transcribe(samples, RATE) == expected
    assert model.transcribe(samples.astype(np.float64)) == expected
    assert model.transcribe([wav, wav]) == [expected, expected] == model.transcribe([samples, samples])
    assert model.transcribe(list[Path]()) == []


def test_samples_are_resampled_as_files_are(small_model: zeroq_asr.IntegerRecognizer, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    samples = soxr.resample(rng.normal(0, 0.1, 22050).astype(np.float32), 22050, 44100)
    soundfile.write(tmp_path / "x.wav", samples, 44100, subtype="FLOAT")
    from_file, from_array = small_model.features(tmp_path / "x.wav"), small_model.features(samples, 44100)
    np.testing.assert_array_equal(from_file, from_array)
    assert not np.array_equal(from_array.shape, small_model.features(samples).shape)


def test_log_probs_are_a_distribution_whose_best_ids_are_transcribed(nemo: Path, wav: Path) -> None:
    model = zeroq_asr.load(str(nemo))
    assert isinstance(model, zeroq_asr.FloatRecognizer)
    log_probs = model.log_probs(wav)
    assert log_probs.dtype == np.float32 and log_probs.shape[1] == len(model.vocabulary) + 1
    np.testing.assert_allclose(np.exp(log_probs).sum(axis=1), 1, rtol=1e-5)
    blank = len(model.vocabulary)
    ids = log_probs.argmax(axis=1)
    kept = [int(i) for n, i in enumerate(ids) if i != blank and (n == 0 or ids[n - 1] != i)]
    assert tuple(kept) == model.transcribe(wav).tokens


def test_logits_are_the_same_integers_on_every_backend(
    small_model: zeroq_asr.IntegerRecognizer, wav: Path, tmp_path: Path
) -> None:
    path = tmp_path / "m.safetensors"
    small_model.save(path)
    logits = small_model.logits(wav)
    assert logits.dtype == np.int32 and logits.shape[1] == len(small_model.vocabulary) + 1
    reference = zeroq_asr.load(path, backend="reference", threads=1)
    assert isinstance(reference, zeroq_asr.IntegerRecognizer)
    np.testing.assert_array_equal(reference.logits(wav), logits)
    assert reference.bits == small_model.bits == "W6A8"
    simulated = zeroq_asr.load(path, backend="float")
    assert isinstance(simulated, zeroq_asr.IntegerRecognizer)
    assert simulated.transcribe(wav) == small_model.transcribe(wav)
    with pytest.raises(ConfigError, match="expected the backend native or reference, got 'float'"):
        simulated.logits(wav)


def test_what_is_saved_is_read_again_by_the_api_and_by_the_command_line(
    small_model: zeroq_asr.IntegerRecognizer, wav: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "m.safetensors"
    small_model.save(path)
    loaded = zeroq_asr.load(path)
    assert isinstance(loaded, zeroq_asr.IntegerRecognizer)
    assert to_bytes(loaded.model) == path.read_bytes() == to_bytes(small_model.model)
    assert transcribe_main(["--model", str(path), "--quiet", str(wav)]) == 0
    assert capsys.readouterr().out == f"{wav}\t{loaded.transcribe(wav).text}\n"


@pytest.mark.parametrize("calibration", ["synthetic", "random", "analytic"])
def test_the_command_line_writes_the_same_bytes(
    nemo: Path, calibration: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = ["--bits", "5", "--calibration", calibration, "--seed", "3", "--quiet", "--output", "cli.safetensors"]
    before = set(tmp_path.iterdir())
    made = zeroq_asr.quantize(nemo, 5, calibration=calibration, seed=3)
    assert set(tmp_path.iterdir()) == before  # the API leaves no file behind
    assert quantize_main(["--model", str(nemo), *flags]) == 0, capsys.readouterr().err
    assert (tmp_path / "cli.safetensors").read_bytes() == to_bytes(made.model)


def test_synthetic_data_is_an_object_and_may_be_a_file(nemo: Path, tmp_path: Path) -> None:
    model = zeroq_asr.load(nemo)
    data = zeroq_asr.generate(model, seed=1)
    assert len(data.batches) == 2 and data.batches[0].mel.shape == (2, 16, 60)
    path = tmp_path / "data.safetensors"
    written = zeroq_asr.generate(nemo, seed=1, output=path)
    np.testing.assert_array_equal(written.batches[1].mel, data.batches[1].mel)
    one, other = (zeroq_asr.quantize(model, 4, data=given) for given in (data, str(path)))
    assert to_bytes(one.model) == to_bytes(other.model)
    assert one.bits == "W4A8"
    with pytest.raises(FileError, match="was made for another model"):
        zeroq_asr.quantize(toy_float_model(), data=data)


def test_a_sound_model_verifies_without_audio_and_with_it(
    small_model: zeroq_asr.IntegerRecognizer, wav: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proof = small_model.verify()
    assert proof.holds and proof.agreements[0].utterances == 4
    assert small_model.verify([wav]).holds
    monkeypatch.setattr("zeroq_asr.analyses.integer_only.find_floats", lambda graph: ("w",))
    broken = small_model.verify()
    assert not broken.holds and broken.float_tensors == ("w",)


def test_what_is_no_model_or_no_audio_is_refused(
    small_model: zeroq_asr.IntegerRecognizer, tmp_path: Path, wav: Path
) -> None:
    with pytest.raises(ConfigError, match="expected a path, a name or a live NeMo model, got int"):
        zeroq_asr.load(3)
    with pytest.raises(FileError, match="no such file"):
        zeroq_asr.load(tmp_path / "gone.nemo")
    (tmp_path / "bad.nemo").write_bytes(b"\x1f\x8b" + b"0" * 600)
    with pytest.raises(CheckpointError):
        zeroq_asr.load(tmp_path / "bad.nemo")
    with pytest.raises(ConfigError, match="expected one of native"):
        zeroq_asr.load(wav, backend="gpu")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="is quantized already"):
        zeroq_asr.quantize(small_model)
    with pytest.raises(ConfigError, match="--bits"):
        zeroq_asr.quantize(toy_float_model(), bits=9)
    for samples in (np.zeros((2, 9), np.float32), np.zeros(9, np.int16)):
        with pytest.raises(ConfigError, match="expected samples float32"):
            small_model.transcribe(samples)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="sample_rate: expected 1,000 to"):
        small_model.transcribe(np.zeros(9, np.float32), 1)
    with pytest.raises(FileError, match="audio"):
        small_model.transcribe(np.zeros(0, np.float32), 8000)
    with pytest.raises(FileError, match="NaN"):
        small_model.transcribe(np.full(16000, np.nan, np.float32))


ORDERS = [
    "import zeroq_asr\nf = zeroq_asr.{verb}",
    "import zeroq_asr, zeroq_asr.{verb}\nf = zeroq_asr.{verb}",
    "import zeroq_asr.{verb} as f",
    "from zeroq_asr import {verb} as f",
    "from zeroq_asr.{verb} import main\nfrom zeroq_asr import {verb} as f",
    "import zeroq_asr\nzeroq_asr.{verb}\nimport zeroq_asr.{verb}\nf = zeroq_asr.{verb}",
]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("verb", ["quantize", "generate"])
def test_a_verb_is_a_function_and_a_module_whatever_is_imported_first(verb: str, order: str) -> None:
    script = (
        f"{order.format(verb=verb)}\nimport sys\nassert 'torch' not in sys.modules\nassert f.main\n"
        "import zeroq_asr.api\nsetattr(zeroq_asr.api, f.__name__.split('.')[-1], lambda *a, **k: (a, k))\n"
        "assert f('model', bits=6) == (('model',), {'bits': 6})"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_unknown_names_of_the_package_are_attribute_errors() -> None:
    assert not hasattr(zeroq_asr, "no_such_name")
    assert all(hasattr(zeroq_asr, name) for name in zeroq_asr.__all__)


@pytest.mark.slow
def test_a_user_of_the_api_type_checks(tmp_path: Path) -> None:
    """mypy --strict sees the functions, also where the user imports the submodules of the same names."""
    api = pytest.importorskip("mypy.api")
    (tmp_path / "user.py").write_text(
        "import numpy as np\nimport zeroq_asr\nimport zeroq_asr.generate\nimport zeroq_asr.quantize\n\n"
        "model = zeroq_asr.load('m.nemo')\n"
        "small = zeroq_asr.quantize(model, bits=6)\n"
        "small.save('m.safetensors')\n"
        "text: str = small.transcribe('a.wav').text\n"
        "texts: list[str] = [found.text for found in small.transcribe(['a.wav', 'b.wav'])]\n"
        "data = zeroq_asr.generate(model)\n"
        "reveal_type(small.transcribe(np.zeros(3, np.float32), 8000))\n"
        "reveal_type(small.logits('a.wav'))\n"
        "reveal_type(data)\n"
        "if isinstance(model, zeroq_asr.FloatRecognizer):\n    reveal_type(model.log_probs('a.wav'))\n"
    )
    out, err, code = api.run(["--strict", "--no-incremental", str(tmp_path / "user.py")])
    assert code == 0, out + err
    for revealed in ("Transcript", "signedinteger", "SyntheticData", "floating"):
        assert revealed in out


@pytest.mark.slow
@pytest.mark.nemo
def test_a_live_nemo_model_is_taken_where_a_path_is(wav: Path) -> None:
    from support.nemo_models import block, ctc_config, make_nemo_model

    live = make_nemo_model(ctc_config([block(8, 5, stride=[2]), block(12, 1)], features=16, vocabulary=[" ", "a"]))
    model = zeroq_asr.load(live)
    assert isinstance(model, zeroq_asr.FloatRecognizer)
    assert zeroq_asr.quantize(live, calibration="random").transcribe(wav).seconds == model.transcribe(wav).seconds


def test_the_toy_file_of_the_other_tests_opens(tmp_path: Path, wav: Path) -> None:
    assert zeroq_asr.load(save_toy(tmp_path / "toy")).transcribe(wav).seconds == pytest.approx(0.5)
