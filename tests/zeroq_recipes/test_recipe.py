"""The training recipe itself, on a made-up corpus of a few seconds: needs NeMo, but neither espeak-ng nor flite."""

from __future__ import annotations

import copy
import dataclasses
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from zeroq_asr.models.configs.presets import model_config
from zeroq_recipes.voice_commands import batches, conformer_cpu_training, train
from zeroq_recipes.voice_commands.batches import Curriculum
from zeroq_recipes.voice_commands.corpus import ShardSpec
from zeroq_recipes.voice_commands.measure import open_model
from zeroq_recipes.voice_commands.tokens import train_tokenizer
from zeroq_recipes.voice_commands.trainer import Trainer
from zeroq_recipes.voice_commands.training_recipes import RECIPES

pytestmark = pytest.mark.nemo
STAGES = RECIPES["quartznet-voice-1m"].stages
ATTENTION = [name for name, recipe in RECIPES.items() if recipe.attention]


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A work folder with a finished corpus of noise, and no corpus maker."""
    specs = [ShardSpec(stage.shards[-1].rstrip("0") + "0", "train", 64, False, 0.0) for stage in STAGES[:4]]
    monkeypatch.setattr(batches, "training_shards", lambda: specs)
    monkeypatch.setattr(train, "_start_corpus", lambda arguments: subprocess.Popen(["true"], start_new_session=True))
    folder = tmp_path / "work" / "corpus"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for spec in specs:
        frames = rng.integers(24, 48, size=spec.count)
        np.save(folder / f"{spec.name}.npy", rng.standard_normal((int(frames.sum()), 64)).astype(np.float16))
        record = {"texts": ["ab"] * spec.count, "frames": frames.tolist()}
        (folder / f"{spec.name}.json").write_text(json.dumps(record))
    return folder.parent


@pytest.mark.parametrize("name", RECIPES)
def test_one_command_trains_and_writes_a_file_that_nemo_opens(name: str, work: Path, tmp_path: Path) -> None:
    output = tmp_path / "model.nemo"
    words = ["--model", name, "--work", str(work), "--output", str(output)]
    assert train.main([*words, "--steps", "2", "--refine", "1"]) == 0
    model = open_model(output)
    assert type(model).__name__ == ("EncDecCTCModelBPE" if RECIPES[name].pieces else "EncDecCTCModel")
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
    with tarfile.open(output) as archive:
        config = archive.extractfile(next(member for member in archive if member.name.endswith(".yaml")))
        assert config is not None and str(tmp_path) not in config.read().decode(), "no path of this machine"
    assert train.main([*words, "--steps", "9", "--refine", "0", "--resume"]) == 2, (
        "the checkpoint belongs to another recipe"
    )


@pytest.mark.parametrize("name", ["quartznet-voice-1m", "conformer-voice-2m"])
def test_resuming_gives_the_same_weights_as_never_having_stopped(name: str, work: Path) -> None:
    recipe = dataclasses.replace(RECIPES[name], steps=100, warm_up=5)

    def steps(trainer: Trainer, count: int) -> Trainer:
        curriculum = Curriculum(work / "corpus", recipe.stages, trainer.tokens.encode, 0, 100, lambda name: None)
        for _ in range(count):
            trainer.train_step(curriculum.at(trainer.step))
        return trainer

    straight = steps(Trainer(recipe, work, seed=0), 3).model.state_dict()
    steps(Trainer(recipe, work, seed=0), 1).save()
    resumed = Trainer(recipe, work, seed=0)
    resumed.load()
    weights = steps(resumed, 2).model.state_dict()
    assert all(torch.equal(straight[name], weights[name]) for name in straight)


def test_resuming_without_a_checkpoint_is_refused(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(["--work", str(work), "--output", "unused.nemo", "--resume"]) == 2
    assert "expected a checkpoint to resume from, got none; omit --resume" in capsys.readouterr().err


def gradients_in_float64(
    encoder: Any, start: dict[str, torch.Tensor], mel: torch.Tensor, frames: torch.Tensor, toward: torch.Tensor
) -> list[torch.Tensor]:
    """NeMo's gradients of `toward` . encoder(mel), in double precision; the encoder is left as it was."""
    double = copy.deepcopy(encoder)
    double.load_state_dict(start)
    theirs, _ = double.double()(audio_signal=mel.double(), length=frames)
    return list(torch.autograd.grad((theirs.transpose(1, 2) * toward).sum(), list(double.parameters())))


@pytest.mark.parametrize("name", ATTENTION)
@pytest.mark.parametrize("training", [False, True])
def test_the_fast_encoder_has_nemos_values_gradients_and_statistics(name: str, training: bool, tmp_path: Path) -> None:
    from nemo.collections.asr.models import EncDecCTCModelBPE

    train_tokenizer(tmp_path, RECIPES[name].pieces, seed=0)
    torch.manual_seed(0)
    encoder = EncDecCTCModelBPE(OmegaConf.create(model_config(name, tmp_path))).encoder.train(training)
    for parameter in encoder.parameters():
        parameter.data += 0.02 * torch.randn_like(parameter)
    start = {key: value.clone() for key, value in encoder.state_dict().items()}
    frames = torch.tensor([97, 61, 80])
    mel = torch.randn(3, 64, 97) * (torch.arange(97) < frames[:, None])[:, None]

    theirs, lengths = encoder(audio_signal=mel, length=frames)
    inside = (torch.arange(theirs.shape[2]) < lengths[:, None])[..., None]
    toward = torch.randn_like(theirs.transpose(1, 2)) * inside
    parameters = list(encoder.parameters())
    expected = torch.autograd.grad((theirs.transpose(1, 2) * toward).sum(), parameters)
    exact = gradients_in_float64(encoder, start, mel, frames, toward)
    statistics = {key: value.clone() for key, value in encoder.state_dict().items()}

    encoder.load_state_dict(start)
    ours, our_lengths = conformer_cpu_training.encode(encoder, mel, frames, torch.float32)
    assert torch.equal(our_lengths, lengths)
    torch.testing.assert_close(ours * inside, theirs.transpose(1, 2) * inside, atol=2e-5, rtol=1e-4)
    # A bias before a batch norm has gradient zero but for rounding: what is compared is small beside the largest.
    # Processors sum in different orders; how far NeMo's own float32 is from its float64 says what rounding costs here.
    largest = max(float(gradient.abs().max()) for gradient in expected)
    noise = max(float((a - b).abs().max()) for a, b in zip(expected, exact, strict=True))
    rounding = max(1e-5 * largest, 5 * noise)
    assert rounding < 1e-4 * largest
    for mine, other in zip(torch.autograd.grad((ours * toward).sum(), parameters), expected, strict=True):
        torch.testing.assert_close(mine, other, atol=max(rounding, 1e-4), rtol=2e-3)
    for key, value in encoder.state_dict().items():
        torch.testing.assert_close(value, statistics[key], atol=1e-5, rtol=1e-4)
