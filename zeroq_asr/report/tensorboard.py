"""TensorBoard logs of a synthesis and of an analysis. No other module imports tensorboard.

A synthesis has one run per batch, so that TensorBoard overlays the batches, and one run called `reference`:
    generate/loss/total            scalar, every step
    generate/loss_per_batchnorm/N  scalar for the BatchNorm that reads value N, about 25 points per batch
    generate/mel                   picture at snapshots from start to end; in `reference`: real or random
    generate/text                  what the float model reads in each picture
    generate/comparison            start, result and reference in one picture (in the run of batch 0)

`write_analysis` logs an analysis:
    calibrate/range/VALUE/lo, hi
    quantize/sqnr/VALUE, quantize/cosine/VALUE, quantize/codes/VALUE (histogram)
    analyze/kl_only/LAYER, analyze/kl_gain/LAYER
    analyze/by_depth/kl_only, kl_gain, sqnr_db: the step is the position of the layer
    evaluate/wer/float, integer
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from synth.types import StepRecord
from zeroq_asr.config import SNAPSHOTS
from zeroq_asr.report.mel_figure import Panel, draw_panels, to_png

Mel = npt.NDArray[np.float32]
ReadText = Callable[[Mel], str]
POINTS_PER_BATCHNORM = 25
"""Logged losses of a BatchNorm per batch."""


class TensorBoardLog:
    """Logs StepRecords; use it as a context manager.

    folder: logs of an earlier synthesis in it are replaced unless `keep`. batchnorm_names: in the order of the losses.
    read_text: the greedy decoder of the float model. reference: a panel for comparison.
    """

    def __init__(
        self,
        folder: Path,
        batchnorm_names: Sequence[str],
        hop_ms: float,
        read_text: ReadText,
        reference: Panel | None = None,
        keep: bool = False,
    ) -> None:
        self._folder, self._names, self._hop_ms, self._read_text = folder, tuple(batchnorm_names), hop_ms, read_text
        self._reference = reference
        self._writer: _EventWriter | None = None
        self._batch = -1
        self._first: Panel | None = None
        folder.mkdir(parents=True, exist_ok=True)
        if not keep:
            for old in (*folder.glob("batch-*/events.out.tfevents.*"), *folder.glob("reference/events.out.tfevents.*")):
                old.unlink()
        if reference is not None and not (keep and any(folder.glob("reference/events.out.tfevents.*"))):
            self._show(self._open("reference"), reference, 0)

    def __enter__(self) -> TensorBoardLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __call__(self, record: StepRecord) -> None:
        """Log one step."""
        writer = self._writer
        if writer is None or record.batch != self._batch:
            writer = self._open(f"batch-{record.batch:02d}")
            self._batch = record.batch
        writer.scalar("generate/loss/total", record.total, record.step)
        if record.last or record.step % max(1, record.steps // POINTS_PER_BATCHNORM) == 0:
            for name, loss in zip(self._names, record.batchnorm_losses, strict=True):
                writer.scalar(f"generate/loss_per_batchnorm/{name}", float(loss), record.step)
        if _is_snapshot(record):
            self._show_step(writer, record)

    def close(self) -> None:
        """Flush and close the current run."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self, run: str) -> _EventWriter:
        self.close()
        self._writer = _EventWriter(self._folder / run)
        return self._writer

    def _show_step(self, writer: _EventWriter, record: StepRecord) -> None:
        word = "start" if record.step == 0 else "result" if record.last else f"step {record.step} of {record.steps}"
        title = f"synthetic, batch {record.batch}, {word}: loss {record.total:.3g}"
        panel = Panel(title, record.example, self._read_text(record.example))
        self._show(writer, panel, record.step)
        if record.batch == 0 and record.step == 0:
            self._first = panel
        if record.batch == 0 and record.last and self._first is not None:
            panels = [self._first, panel, *([self._reference] if self._reference else [])]
            writer.image("generate/comparison", to_png(draw_panels(panels, self._hop_ms)), record.step)

    def _show(self, writer: _EventWriter, panel: Panel, step: int) -> None:
        writer.image("generate/mel", to_png(draw_panels([panel], self._hop_ms)), step)
        if panel.text is not None:
            # As code, because the text of a model must not be interpreted as markup.
            words = panel.text.replace("`", "'") or "(no text)"
            writer.text("generate/text", f"{panel.title}\n\n    {words}", step)


def write_analysis(
    folder: Path,
    document: Mapping[str, Any],
    histograms: Mapping[str, tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]],
) -> None:
    """Log an analysis: its JSON document, and for every value a histogram of its codes: counts [N], edges [N + 1]."""
    for old in folder.glob("events.out.tfevents.*"):
        old.unlink()
    writer = _EventWriter(folder)
    for value in document["values"]:
        name = value["value"]
        tags = {"calibrate/range/{}/lo": "range_lo", "calibrate/range/{}/hi": "range_hi"}
        for tag, key in {**tags, "quantize/sqnr/{}": "sqnr_db", "quantize/cosine/{}": "cosine"}.items():
            if value.get(key) is not None:
                writer.scalar(tag.format(name), value[key], 0)
        writer.histogram(f"quantize/codes/{name}", *histograms[name])
    for layer in document["layers"]:
        for key in ("kl_only", "kl_gain"):
            writer.scalar(f"analyze/{key}/{layer['layer']}", layer[key], 0)
    for layer in sorted(document["layers"], key=lambda layer: int(layer["depth"])):
        for key in ("kl_only", "kl_gain", "sqnr_db"):
            if layer.get(key) is not None:
                writer.scalar(f"analyze/by_depth/{key}", layer[key], layer["depth"])
    for kind, row in document["whole"].items():
        writer.scalar(f"evaluate/wer/{kind}", row["wer"], 0)
    writer.close()


class _EventWriter:
    """Writes scalars, PNG pictures and Markdown to the event file of a run, with tensorboard's writer (no torch)."""

    def __init__(self, folder: Path) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._file: Any = EventFileWriter(str(folder))

    def scalar(self, tag: str, value: float, step: int) -> None:
        self._add(step, tag=tag, simple_value=value)

    def image(self, tag: str, png: bytes, step: int) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        # Bytes 16 to 24 of a PNG are its width and height.
        width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
        picture = Summary.Image(height=height, width=width, colorspace=4, encoded_image_string=png)
        self._add(step, tag=tag, image=picture)

    def histogram(self, tag: str, counts: npt.NDArray[np.int64], edges: npt.NDArray[np.float64]) -> None:
        from tensorboard.compat.proto.summary_pb2 import HistogramProto

        middles = (edges[:-1] + edges[1:]) / 2
        total = float(counts.sum())
        histogram = HistogramProto(
            min=float(edges[0]),
            max=float(edges[-1]),
            num=total,
            sum=float(counts @ middles),
            sum_squares=float(counts @ middles**2),
            bucket_limit=edges[1:].tolist(),
            bucket=counts.astype(float).tolist(),
        )
        self._add(0, tag=tag, histo=histogram)

    def text(self, tag: str, markdown: str, step: int) -> None:
        from tensorboard.compat.proto.summary_pb2 import SummaryMetadata
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
        from tensorboard.compat.proto.types_pb2 import DT_STRING

        shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
        tensor = TensorProto(dtype=DT_STRING, string_val=[markdown.encode()], tensor_shape=shape)
        metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
        self._add(step, tag=tag, metadata=metadata, tensor=tensor)

    def close(self) -> None:
        self._file.close()

    def _add(self, step: int, **value: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        summary = Summary(value=[Summary.Value(**value)])
        self._file.add_event(Event(wall_time=time.time(), step=step, summary=summary))


def _is_snapshot(record: StepRecord) -> bool:
    """Return whether the step is logged as a picture: start and end of every batch, of the first one more steps.

    These are denser near the start, where the picture changes most.
    """
    if record.step == 0 or record.last:
        return True
    if record.batch > 0:
        return False
    stops = {round(record.steps * (k / (SNAPSHOTS - 1)) ** 2) for k in range(SNAPSHOTS)}
    return record.step in stops
