"""The training recipe itself, on a made-up corpus of a few seconds: needs NeMo, but neither espeak-ng nor flite."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from zeroq_asr.zoo import batches, train
from zeroq_asr.zoo.batches import STAGES, Curriculum
from zeroq_asr.zoo.corpus import ShardSpec
from zeroq_asr.zoo.measure import open_model

pytestmark = pytest.mark.nemo


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


def test_one_command_trains_and_writes_a_file_that_nemo_opens(work: Path, tmp_path: Path) -> None:
    output = tmp_path / "model.nemo"
    words = ["--work", str(work), "--output", str(output)]
    assert train.main([*words, "--steps", "2", "--refine", "1"]) == 0
    model = open_model(output)
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())
    assert train.main([*words, "--steps", "9", "--refine", "0", "--resume"]) == 2, (
        "the checkpoint belongs to another plan"
    )


def test_resuming_gives_the_same_weights_as_never_having_stopped(work: Path, tmp_path: Path) -> None:
    words = ["--work", str(work), "--output", str(tmp_path / "x"), "--steps", "100"]
    arguments = train.build_parser().parse_args(words)

    def steps(trainer: train.Trainer, count: int) -> train.Trainer:
        curriculum = Curriculum(work / "corpus", 0, 100, lambda name: None)
        for _ in range(count):
            trainer.train_step(curriculum.at(trainer.step))
        return trainer

    straight = steps(train.Trainer(arguments), 3).model.state_dict()
    steps(train.Trainer(arguments), 1).save()
    resumed = train.Trainer(arguments)
    resumed.load()
    weights = steps(resumed, 2).model.state_dict()
    assert all(torch.equal(straight[name], weights[name]) for name in straight)


def test_resuming_without_a_checkpoint_is_refused(work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train.main(["--work", str(work), "--output", "unused.nemo", "--resume"]) == 2
    assert "no checkpoint" in capsys.readouterr().err
