from __future__ import annotations

import json
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import soundfile

from zeroq_asr.errors import ConfigError, FileError
from zeroq_asr.models.configs.presets import LABELS, model_config
from zeroq_asr.models.shipped import DEFAULT_MODEL, manifest_path, model_path, shipped_models, shipped_sets
from zeroq_recipes.voice_commands.corpus import texts_of_set
from zeroq_recipes.voice_commands.grammar import split_of
from zeroq_recipes.voice_commands.measure import measure, open_model, read_set
from zeroq_recipes.voice_commands.training_recipes import RECIPES

MODELS = ("quartznet-voice-1m", "jasper-voice-1m", "conformer-voice-2m", "fastconformer-voice-2m")


def test_the_list_of_models_is_light() -> None:
    code = "import sys, zeroq_asr.models.shipped\n"
    code += "print([m for m in ('torch', 'nemo', 'scipy', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_four_models_are_shipped_each_with_its_recipe() -> None:
    assert shipped_models() == MODELS
    assert MODELS[0] == DEFAULT_MODEL
    assert set(RECIPES) == set(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_shipped_as_a_tar_with_the_members_of_a_nemo_file(name: str) -> None:
    path = model_path(name)
    assert path.stat().st_size < 16e6
    with tarfile.open(path) as archive:
        # NeMo puts a random number before the names of a tokenizer's files.
        names = {member.removeprefix("./").split("_", 1)[-1] for member in archive.getnames()} - {"", "."}
    pieces = {"tokenizer.model", "tokenizer.vocab", "vocab.txt"}
    assert names == {"config.yaml", "weights.ckpt"} | (pieces if RECIPES[name].pieces else set())


@pytest.mark.parametrize("function", [model_path, manifest_path])
def test_an_unknown_name_is_refused_with_the_known_ones(function: object) -> None:
    known = shipped_models() if function is model_path else shipped_sets()
    with pytest.raises(ConfigError, match=known[0]):
        function("nonesuch")  # type: ignore[operator]


@pytest.mark.parametrize(("function", "name"), [(model_path, DEFAULT_MODEL), (manifest_path, "clean")])
def test_without_the_files_it_says_where_they_are(
    function: object, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zeroq_asr.models.shipped._DATA", tmp_path)
    with pytest.raises(FileError, match=f"'{name}': .* the wheel has no shipped models"):
        function(name)  # type: ignore[operator]


@pytest.mark.parametrize("name", ["clean", "other"])
def test_a_shipped_set_is_whole_held_out_and_what_the_grammar_wrote(name: str) -> None:
    lines = [json.loads(line) for line in manifest_path(name).read_text().splitlines()]
    texts = [line["text"] for line in lines]
    assert len(lines) >= 250
    assert texts == texts_of_set(name, len(texts), 0)
    assert {split_of(text) for text in texts} == {"test"}
    assert set("".join(texts)) <= set(LABELS)
    for line in lines:
        info = soundfile.info(manifest_path(name).parent / line["audio_filepath"])
        assert (info.samplerate, info.channels, info.format) == (16000, 1, "FLAC")
        assert abs(info.frames / 16000 - line["duration"]) < 1e-3
        assert 0.5 < line["duration"] < 6


def test_the_audio_decodes_and_is_not_silent() -> None:
    for name in shipped_sets():
        for path, _ in read_set(manifest_path(name))[::50]:
            samples, rate = soundfile.read(path, dtype="float32")
            assert rate == 16000
            assert 0.02 < abs(samples).max() < 0.5


def test_the_shipped_files_stay_small() -> None:
    folder = model_path(DEFAULT_MODEL).parent
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 40e6


def test_the_architecture_has_every_part_of_a_quartznet() -> None:
    encoder = model_config()["encoder"]
    blocks = encoder["jasper"]
    assert encoder["conv_mask"] is True
    assert blocks[0]["stride"] == [2]
    assert any(block["dilation"] == [2] for block in blocks)
    assert sum(block["residual"] for block in blocks) == 5
    assert blocks[-1]["kernel"] == [1]


def test_the_jasper_has_dense_residuals_and_no_separable_convolution() -> None:
    encoder = model_config("jasper-voice-1m")["encoder"]
    blocks = encoder["jasper"]
    assert encoder["conv_mask"] is True
    assert blocks[0]["stride"] == [2]
    assert not any(block["separable"] for block in blocks)
    assert sum(block.get("residual_dense", False) for block in blocks) == 4
    assert any(block["dilation"] == [2] for block in blocks)


def test_the_two_conformers_differ_where_the_two_families_do() -> None:
    slow, fast = (model_config(name)["encoder"] for name in MODELS[2:])
    assert (slow["subsampling"], slow["subsampling_factor"], slow["xscaling"]) == ("striding", 4, True)
    assert (fast["subsampling"], fast["subsampling_factor"], fast["xscaling"]) == ("dw_striding", 8, False)
    assert (slow["conv_kernel_size"], fast["conv_kernel_size"]) == (31, 9)
    for encoder in (slow, fast):
        assert encoder["self_attention_model"] == "rel_pos" and encoder["conv_norm_type"] == "batch_norm"


@pytest.mark.nemo
@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_nemo_opens_a_shipped_model_and_finds_the_error_rates_of_its_card(name: str) -> None:
    path = model_path(name)
    assert sum(parameter.numel() for parameter in open_model(path).parameters()) <= 3_000_000
    scores = measure(path, shipped_sets())
    card = (path.parent / "README.md").read_text()
    for one, row in scores.items():
        found = re.search(rf"^\| {name} \| {one} \| (\d+) \| ([\d.]+) % \| ([\d.]+) % \|$", card, re.MULTILINE)
        assert found, f"the card has no row for {name} on {one}"
        assert int(found[1]) == row["utterances"]
        # 0.2: another processor may round another way and so flip a word or two of 1,560.
        assert float(found[2]) == pytest.approx(row["wer"], abs=0.2)
        assert float(found[3]) == pytest.approx(row["cer"], abs=0.1)
    assert scores["clean"]["wer"] <= 8
    assert scores["clean"]["wer"] < scores["other"]["wer"] <= 20
