"""The TensorBoard log of a synthesis: the only file that knows tensorboard.

One run per batch (so that batches lie over each other, step by step) and one run called `reference`:
    generate/loss/total            scalar, every step
    generate/loss/batchnorm/NAME   scalar per BatchNorm, about 25 points a batch
    generate/mel                   picture at snapshots from start to end; in `reference`: real or random
    generate/text                  what the float model reads in each picture
    generate/comparison            start, result and reference in one picture (in the run of batch 0)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from synth.types import StepRecord
from zeroq_asr.config import SNAPSHOTS
from zeroq_asr.report.mel_figure import Panel, draw_panels, to_pixels

Mel = npt.NDArray[np.float32]
ReadText = Callable[[Mel], str]
TAP_POINTS = 25


class TensorBoardLog:
    """Takes StepRecords and writes them down; use it as a context manager.

    folder: logs of an earlier synthesis in it are replaced unless `keep`. read_text: the float model's greedy decoder.
    """

    def __init__(
        self,
        folder: Path,
        tap_names: Sequence[str],
        hop_ms: float,
        read_text: ReadText,
        reference: Panel | None = None,
        keep: bool = False,
    ) -> None:
        self._folder, self._taps, self._hop_ms, self._read_text = folder, tuple(tap_names), hop_ms, read_text
        self._reference = reference
        self._writer: Any = None
        self._batch = -1
        self._first: Panel | None = None
        folder.mkdir(parents=True, exist_ok=True)
        if not keep:
            for old in (*folder.glob("batch-*/events.out.tfevents.*"), *folder.glob("reference/events.out.tfevents.*")):
                old.unlink()
        if reference is not None and not (keep and any(folder.glob("reference/events.out.tfevents.*"))):
            self._open("reference")
            self._show(reference, 0)

    def __enter__(self) -> TensorBoardLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __call__(self, record: StepRecord) -> None:
        """Write one step down."""
        if record.batch != self._batch:
            self._open(f"batch-{record.batch:02d}")
            self._batch = record.batch
        self._writer.add_scalar("generate/loss/total", record.total, record.step)
        if record.last or record.step % max(1, record.steps // TAP_POINTS) == 0:
            for name, loss in zip(self._taps, record.tap_losses, strict=True):
                self._writer.add_scalar(f"generate/loss/batchnorm/{name}", loss, record.step)
        if _is_snapshot(record):
            self._show_step(record)

    def close(self) -> None:
        """Flush and close; nothing can be written afterwards."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self, run: str) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.close()
        self._writer = SummaryWriter(str(self._folder / run))

    def _show_step(self, record: StepRecord) -> None:
        word = "start" if record.step == 0 else "result" if record.last else f"step {record.step} of {record.steps}"
        title = f"synthetic, batch {record.batch}, {word}: loss {record.total:.3g}"
        panel = Panel(title, record.example, self._read_text(record.example))
        self._show(panel, record.step)
        if record.batch == 0 and record.step == 0:
            self._first = panel
        if record.batch == 0 and record.last and self._first is not None:
            panels = [self._first, panel, *([self._reference] if self._reference else [])]
            self._picture("generate/comparison", panels, record.step)

    def _show(self, panel: Panel, step: int) -> None:
        self._picture("generate/mel", [panel], step)
        if panel.text is not None:
            # as code: what a model reads must not be taken for markup
            words = panel.text.replace("`", "'") or "(no text)"
            self._writer.add_text("generate/text", f"{panel.title}\n\n    {words}", step)

    def _picture(self, tag: str, panels: Sequence[Panel], step: int) -> None:
        pixels = to_pixels(draw_panels(panels, self._hop_ms))
        self._writer.add_image(tag, pixels, step, dataformats="HWC")


def _is_snapshot(record: StepRecord) -> bool:
    """Start and end of every batch; of the first batch also steps between, closer together where more happens."""
    if record.step == 0 or record.last:
        return True
    if record.batch > 0:
        return False
    stops = {round(record.steps * (k / (SNAPSHOTS - 1)) ** 2) for k in range(SNAPSHOTS)}
    return record.step in stops
