"""The picture's labels and scale, and that its bytes are a PNG of the promised size."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from zeroq_asr.report.mel_figure import COLOUR_LIMIT, Panel, draw_panels, to_png


def panel(text: str | None = "hello", frames: int = 250) -> Panel:
    return Panel("title", np.random.default_rng(0).normal(size=(64, frames)).astype(np.float32), text)


def test_axes_are_in_seconds_and_mel_bins_on_one_colour_scale() -> None:
    figure = draw_panels([panel(), panel(frames=100)], hop_ms=20.0)
    first, second, bar = figure.axes
    assert first.get_images()[0].get_extent() == pytest.approx((0.0, 5.0, 0, 64))
    assert second.get_images()[0].get_extent() == pytest.approx((0.0, 2.0, 0, 64))
    assert first.get_xlabel().startswith("time (s)") and first.get_ylabel() == "mel bin"
    assert "log-mel" in bar.get_ylabel()
    for ax in (first, second):
        assert ax.get_images()[0].get_clim() == (-COLOUR_LIMIT, COLOUR_LIMIT)
        assert ax.get_images()[0].origin == "lower", "low frequencies at the bottom"


@pytest.mark.parametrize(
    ("text", "shown"),
    [("two words", "“two words”"), ("", "(no text)"), ("costs $5 or $6 \\alpha", "$5 or $6 \\alpha")],
)
def test_the_text_is_shown_as_it_is(text: str, shown: str) -> None:
    figure = draw_panels([panel(text)], hop_ms=10.0)
    assert shown in figure.axes[0].get_xlabel()
    to_png(figure)


def test_no_text_means_no_claim_about_text_and_long_text_is_cut_to_the_width() -> None:
    assert draw_panels([panel(None)], 10.0).axes[0].get_xlabel() == "time (s)"
    label = draw_panels([panel("word " * 400)], 10.0).axes[0].get_xlabel()
    assert all(len(line) <= 90 for line in label.splitlines()) and len(label.splitlines()) <= 4


def test_png_is_small_and_the_same_every_time() -> None:
    first, second = (to_png(draw_panels([panel(), panel(), panel()], 10.0)) for _ in range(2))
    assert first == second
    assert len(first) < 200_000
    assert Image.open(io.BytesIO(first)).size == (800, 870)
