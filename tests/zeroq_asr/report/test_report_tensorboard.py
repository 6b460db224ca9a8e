"""The event files, read back with TensorBoard's own reader: every promised tag is there, with what it should hold."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.util import tensor_util

from synth import StepRecord
from zeroq_asr.report.mel_figure import Panel
from zeroq_asr.report.tensorboard import TensorBoardLog

TAPS = ("a.conv", "b.conv")
MEL = np.zeros((8, 40), np.float32)


def records(batch: int, steps: int = 60) -> list[StepRecord]:
    return [
        StepRecord(batch, step, steps, 10.0 / (step + 1), np.array([6.0, 4.0]) / (step + 1), 0.1, MEL, step == steps)
        for step in range(steps + 1)
    ]


def read(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    events.Reload()
    return events


def texts(events: EventAccumulator) -> list[str]:
    return [tensor_util.make_ndarray(e.tensor_proto)[0].decode() for e in events.Tensors("generate/text")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("logs")
    with TensorBoardLog(path, TAPS, 10.0, lambda mel: "words", Panel("real", MEL, "reference words")) as log:
        for batch in range(2):
            for record in records(batch):
                log(record)
    return path


def test_total_loss_every_step(folder: Path) -> None:
    for run in ("batch-00", "batch-01"):
        events = read(folder / run).Scalars("generate/loss/total")
        assert [event.step for event in events] == list(range(61))
        assert events[1].value == pytest.approx(5.0)


def test_one_curve_per_batchnorm_with_start_and_end(folder: Path) -> None:
    for name, first in zip(TAPS, (6.0, 4.0), strict=True):
        events = read(folder / "batch-00").Scalars(f"generate/loss_per_batchnorm/{name}")
        assert events[0].value == first and events[-1].step == 60 and 20 <= len(events) <= 40


def test_pictures_from_start_to_end(folder: Path) -> None:
    first = read(folder / "batch-00")
    steps = [event.step for event in first.Images("generate/mel")]
    assert steps[0] == 0 and steps[-1] == 60 and len(steps) == 8
    assert [event.step for event in read(folder / "batch-01").Images("generate/mel")] == [0, 60]
    image = first.Images("generate/mel")[0]
    assert Image.open(io.BytesIO(image.encoded_image_string)).size == (image.width, image.height)
    comparison = first.Images("generate/comparison")
    assert len(comparison) == 1 and comparison[0].height > 2.5 * image.height


def test_texts_stand_beside_the_pictures_and_the_reference_in_its_own_run(folder: Path) -> None:
    said = texts(read(folder / "batch-00"))
    assert len(said) == 8 and all("    words" in text for text in said)
    reference = read(folder / "reference")
    assert texts(reference) == ["real\n\n    reference words"]
    assert len(reference.Images("generate/mel")) == 1


def test_a_new_run_replaces_the_old_logs_and_a_resumed_one_keeps_them(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("not a log")

    def write(batch: int, keep: bool) -> None:
        with TensorBoardLog(tmp_path, TAPS, 10.0, lambda mel: "", Panel("real", MEL), keep=keep) as log:
            for record in records(batch, steps=3):
                log(record)

    write(0, keep=False)
    write(1, keep=True)
    assert {path.parent.name for path in tmp_path.glob("*/events*")} == {"batch-00", "batch-01", "reference"}
    write(0, keep=False)
    assert {path.parent.name for path in tmp_path.glob("*/events*")} == {"batch-00", "reference"}
    assert len(list(tmp_path.glob("*/events*"))) == 2
    assert (tmp_path / "mine.txt").exists(), "nothing but event files is ever deleted"


def test_what_a_model_reads_is_never_markup(tmp_path: Path) -> None:
    with TensorBoardLog(tmp_path, TAPS, 10.0, lambda mel: "`<script>`") as log:
        for record in records(0, steps=0):
            log(record)
    assert texts(read(tmp_path / "batch-00"))[0].endswith("\n\n    '<script>'")
