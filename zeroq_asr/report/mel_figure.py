"""Spectrograms as pictures with labelled axes and a colour bar, and below each the text that a model reads in it."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage
    from PIL.Image import Image

COLOUR_LIMIT = 3.0
"""The colours cover [-3, 3], the range of normalised log-mel speech, in every picture, so that they are comparable."""
COLOUR_MAP = "magma"
DOTS_PER_INCH = 100


@dataclass(frozen=True, eq=False)
class Panel:
    """A spectrogram float32 [n_mels, T], its title, and the text that the model reads in it (None: no line of text).

    more: further lines of text, such as the result of another decoder.
    """

    title: str
    mel: npt.NDArray[np.float32]
    text: str | None = None
    more: tuple[str, ...] = ()


def draw_panels(panels: Sequence[Panel], hop_ms: float, columns: int = 1) -> Figure:
    """Return a figure of the panels, row by row. x: time in seconds; y: mel bin; colour: normalised log-mel energy."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(8.0 * columns, 2.9 * rows), dpi=DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    image = None
    for panel, ax in zip(panels, axes.flat, strict=False):
        image = _draw(ax, panel, hop_ms)
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    if image is not None:
        bar = figure.colorbar(image, ax=axes, extend="both", shrink=0.9, pad=0.02)
        bar.set_label("log-mel energy (normalised)")
    return figure


def _draw(ax: Axes, panel: Panel, hop_ms: float) -> AxesImage:
    bins, frames = panel.mel.shape
    image = ax.imshow(
        panel.mel,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        cmap=COLOUR_MAP,
        vmin=-COLOUR_LIMIT,
        vmax=COLOUR_LIMIT,
        extent=(0.0, frames * hop_ms / 1000, 0, bins),
    )
    ax.set_title(panel.title, fontsize=11, loc="left")
    ax.set_ylabel("mel bin")
    label = "time (s)"
    if panel.text is not None:
        words = f"“{panel.text}”" if panel.text else "(no text)"
        label += "\n" + textwrap.fill("the float model reads: " + words, 80, max_lines=3)
    label += "".join("\n" + textwrap.fill(line, 80, max_lines=3) for line in panel.more)
    ax.set_xlabel(label, parse_math=False)
    return image


def _palette() -> Image:
    """Return a picture whose palette has 216 colours of the colour map and 40 greys for text."""
    from matplotlib import colormaps
    from PIL import Image

    colours = colormaps[COLOUR_MAP](np.linspace(0, 1, 216))[:, :3]
    greys = np.repeat(np.linspace(0, 1, 40)[:, None], 3, axis=1)
    holder = Image.new("P", (1, 1))
    holder.putpalette(np.rint(np.concatenate([colours, greys]) * 255).astype(np.uint8).tobytes())
    return holder


def to_png(figure: Figure) -> bytes:
    """Return the figure as a PNG of 256 colours, a third of the size of a full one; equal figures give equal bytes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    canvas.draw()  # type: ignore[no-untyped-call]
    pixels = np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]
    picture = Image.fromarray(np.ascontiguousarray(pixels)).quantize(palette=_palette(), dither=Image.Dither.NONE)
    stream = io.BytesIO()
    picture.save(stream, format="PNG", optimize=True)
    return stream.getvalue()
