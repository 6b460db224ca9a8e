from __future__ import annotations

import dataclasses
import itertools
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from zeroq_asr.errors import ConfigError
from zeroq_recipes.voice_commands import batches
from zeroq_recipes.voice_commands.batches import Curriculum, collate, mask_spectrogram, stage_at
from zeroq_recipes.voice_commands.corpus import ShardSpec, read_shard, shard_texts, training_shards
from zeroq_recipes.voice_commands.speedups import depthwise
from zeroq_recipes.voice_commands.tokens import Letters, Pieces, train_tokenizer
from zeroq_recipes.voice_commands.train import build_parser, main, recipe_from
from zeroq_recipes.voice_commands.training_recipes import RECIPES, TrainingRecipe, recipe_of
from zeroq_recipes.voice_commands.voices import (
    OTHER_VOICES,
    TRAINING_VOICES,
    Voice,
    add_noise,
    render,
    reverberate,
    to_pcm16,
)

QUARTZNET = RECIPES["quartznet-voice-1m"]


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation", "frames"),
    [(33, 2, 1, 51), (33, 2, 1, 50), (63, 1, 2, 71), (5, 1, 1, 97), (7, 1, 3, 40)],
)
def test_the_fast_depthwise_convolution_has_torchs_values_and_gradients(
    kernel: int, stride: int, dilation: int, frames: int
) -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 8, 1, frames).contiguous(memory_format=torch.channels_last).requires_grad_()
    weight = torch.randn(8, 1, 1, kernel, requires_grad=True)
    ours = depthwise(x, weight, stride, dilation)
    theirs = F.conv2d(x, weight, None, (1, stride), (0, dilation * (kernel // 2)), (1, dilation), 8)
    toward = torch.randn_like(theirs)
    torch.testing.assert_close(ours, theirs)
    for mine, other in zip(
        torch.autograd.grad(ours, (x, weight), toward), torch.autograd.grad(theirs, (x, weight), toward), strict=True
    ):
        torch.testing.assert_close(mine, other, atol=2e-5, rtol=1e-4)


def test_the_learning_rate_warms_up_and_ends_at_zero_twice() -> None:
    recipe = dataclasses.replace(QUARTZNET, steps=5000, refine=2000)
    both = [recipe.learning_rate(step) for step in range(7001)]
    assert max(both[5000:]) == pytest.approx(4e-3 * recipe.refine_peak)
    assert both[4999] < 1e-8 and both[7000] == pytest.approx(0, abs=1e-12)
    rates = [*both[:5000], 0.0]
    assert rates[recipe.warm_up] == max(rates) == pytest.approx(4e-3)
    assert rates[0] < 1e-4
    assert all(a >= b for a, b in itertools.pairwise(rates[recipe.warm_up :]))


def test_the_stages_follow_each_other() -> None:
    assert [stage_at(QUARTZNET.stages, step, 1000) for step in (0, 59, 60, 319, 320, 999, 1000, 1249, 1250)] == [
        0,
        0,
        1,
        1,
        2,
        2,
        3,
        3,
        4,
    ]


def test_padding_and_tokens_of_a_batch() -> None:
    batch = collate([(np.ones((20, 64), np.float16), [1, 2]), (np.ones((33, 64), np.float16), [1, 0, 27, 26])])
    assert batch.mel.shape == (2, 64, 48)
    assert batch.mel[0, :, 20:].sum() == batch.mel[1, :, 33:].sum() == 0
    assert batch.tokens.tolist() == [[1, 2, 0, 0], [1, 0, 27, 26]]
    assert batch.frames.tolist() == [20, 33] and batch.letters.tolist() == [2, 4]
    mask_spectrogram(batch, np.random.default_rng(0))
    assert 0.5 < batch.mel[1, :, :33].mean() < 1


def _fake_corpus(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    specs = [ShardSpec(stage.shards[-1] + "0", "train", 200, False, 0.0) for stage in QUARTZNET.stages[:3]]
    monkeypatch.setattr(batches, "training_shards", lambda: specs)
    rng = np.random.default_rng(0)
    for spec in specs:
        frames = rng.integers(20, 60, size=spec.count)
        np.save(folder / f"{spec.name}.npy", rng.standard_normal((int(frames.sum()), 64)).astype(np.float16))
        texts = [f"{spec.name[0]} {'ab'[i % 2]}" for i in range(spec.count)]
        (folder / f"{spec.name}.json").write_text(json.dumps({"texts": texts, "frames": frames.tolist()}))


def test_the_curriculum_is_a_function_of_seed_and_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _fake_corpus(tmp_path, monkeypatch)

    def mels(seed: int, steps: range) -> list[bytes]:
        curriculum = Curriculum(tmp_path, QUARTZNET.stages, Letters().encode, seed, 100, lambda name: None)
        return [curriculum.at(step).mel.tobytes() for step in steps]

    whole = mels(1, range(30))
    assert mels(1, range(17, 30)) == whole[17:], "resumed in the middle"
    assert mels(2, range(30)) != whole


def test_a_shard_that_contradicts_its_index_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "s.npy", np.zeros((9, 64), np.float16))
    (tmp_path / "s.json").write_text(json.dumps({"texts": ["a"], "frames": [10]}))
    with pytest.raises(ConfigError, match="shape"):
        list(read_shard(tmp_path, "s"))


def test_letters_become_the_models_labels() -> None:
    letters = Letters()
    assert letters.encode(" az'") == [0, 1, 26, 27]
    assert letters.decode([0, 1, 26, 27, 0]) == "az'"
    assert letters.blank == 28


def test_the_tokenizer_is_the_same_file_each_time_and_loses_nothing(tmp_path: Path) -> None:
    for name in ("a", "b"):
        train_tokenizer(tmp_path / name, 128, seed=0)
    for file in ("tokenizer.model", "tokenizer.vocab", "vocab.txt"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()
    pieces = Pieces(tmp_path / "a")
    assert pieces.blank == 128 == len((tmp_path / "a" / "tokenizer.vocab").read_text().splitlines())
    for text in shard_texts(training_shards()[5], 0)[:500]:
        tokens = pieces.encode(text)
        assert pieces.decode(tokens) == text
        assert 0 not in tokens, "no letter is unknown"
        assert len(tokens) <= 0.8 * len(text), "few enough for frames of 40 ms"


def test_an_unknown_model_has_no_plan_and_the_command_line_changes_a_plan() -> None:
    with pytest.raises(ConfigError, match="conformer-voice"):
        recipe_of("nonesuch")
    words = ["--output", "x.nemo"]
    assert recipe_from(build_parser().parse_args(words)) == QUARTZNET
    changed = recipe_from(build_parser().parse_args([*words, "--steps", "7", "--refine", "0", "--lr", "0.5"]))
    assert changed == dataclasses.replace(QUARTZNET, steps=7, refine=0, peak=0.5)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_every_stage_of_every_plan_finds_its_shards(recipe: TrainingRecipe) -> None:
    names = [spec.name for spec in training_shards()]
    starts = [stage.start for stage in recipe.stages]
    assert starts[0] == 0 and starts == sorted(set(starts))
    for stage in recipe.stages:
        assert all(any(name.startswith(prefix) for name in names) for prefix in stage.shards)


def test_noise_has_the_ratio_asked_for_and_a_room_keeps_the_length() -> None:
    rng = np.random.default_rng(0)
    speech = rng.standard_normal(16000).astype(np.float32)
    noisy = add_noise(speech, rng, 20.0)
    assert 10 * np.log10(np.mean(speech**2) / np.mean((noisy - speech) ** 2)) == pytest.approx(20.0, abs=0.1)
    assert reverberate(speech, rng, 0.2, 0.3).shape == speech.shape
    assert abs(to_pcm16(speech, 0.25)).max() == pytest.approx(0.25 * 32767, abs=1)


@pytest.mark.skipif(not (shutil.which("espeak-ng") and shutil.which("flite")), reason="needs espeak-ng and flite")
def test_no_other_voice_is_a_training_voice_under_another_name() -> None:
    """espeak-ng falls back silently to a base voice when it does not know a variant."""

    def sound(voice: Voice) -> bytes:
        same_settings = dataclasses.replace(voice, speed=160, pitch=50 if voice.engine == "espeak" else 110)
        return render("water the plants", same_settings, np.random.default_rng(0), spread=0.0).tobytes()

    trained = {sound(voice) for voice in TRAINING_VOICES}
    assert len(trained) == len({voice.name for voice in TRAINING_VOICES}) == 9
    others = [sound(voice) for voice in OTHER_VOICES]
    assert trained.isdisjoint(others)
    assert len(set(others)) == len(OTHER_VOICES)


@pytest.mark.parametrize("arguments", [["--help"]])
def test_help_of_the_recipe_is_light(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 0
    assert "--resume" in capsys.readouterr().out
