"""The starts: their statistics, their reproducibility, their independence from each other."""

from __future__ import annotations

import numpy as np
import pytest

from synth import SpectrogramSpec, SynthError, random_baseline
from synth.start import STARTS, start

SPEC = SpectrogramSpec(batch_size=4, n_mels=40, frames=300)


@pytest.mark.parametrize("name", STARTS)
def test_a_start_depends_on_seed_and_batch_alone(name: str) -> None:
    first = start(name, SPEC, seed=5, batch=3)
    assert first.shape == SPEC.shape and first.dtype == np.float32 and not first.flags.writeable
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, start(name, SPEC, seed=5, batch=3))
    assert not np.array_equal(first, start(name, SPEC, seed=5, batch=4))
    assert not np.array_equal(first, start(name, SPEC, seed=6, batch=3))
    assert not np.array_equal(first[0], first[1]), "utterances of one batch differ"


def test_the_paper_start_and_the_random_baseline_have_their_widths() -> None:
    narrow, wide = start("uniform", SPEC, 0, 0), random_baseline(SPEC, 0)
    assert 0.299 < np.abs(narrow).max() <= 0.3
    assert 2.99 < np.abs(wide).max() <= 3.0
    assert np.var(wide) == pytest.approx(3.0, rel=0.02)  # (2 * 3)^2 / 12


@pytest.mark.parametrize("name", ["smooth", "speech"])
def test_structured_starts_are_normalised_per_feature_and_smooth(name: str) -> None:
    mel = start(name, SPEC, 1, 0).astype(np.float64)
    np.testing.assert_allclose(mel.mean(axis=2), 0, atol=1e-4)
    np.testing.assert_allclose(mel.std(axis=2, ddof=1), 1, atol=1e-3)
    along_time = (mel[:, :, 1:] * mel[:, :, :-1]).mean()
    along_mel = (mel[:, 1:] * mel[:, :-1]).mean()
    assert along_time > 0.5 and along_mel > 0.5, "neighbours must resemble each other, as in speech"


def test_unknown_start_is_refused() -> None:
    with pytest.raises(SynthError, match="init: expected one of uniform"):
        start("pink", SPEC, 0, 0)


@pytest.mark.parametrize("sizes", [(0, 64, 100), (1, 0, 100), (1, 64, 7), (1, 64, 10**9)])
def test_senseless_shapes_are_refused(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(SynthError, match="spectrogram: expected"):
        SpectrogramSpec(*sizes)
