"""Where the optimisation starts: noise of several characters, all from numpy's generator, the same on every device.

Every function returns float32 [B, n_mels, T] in units of normalised log-mel energy.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from synth.errors import SynthError
from synth.types import Float32, SpectrogramSpec, read_only

Array = npt.NDArray[np.float64]

UNIFORM_HALF_WIDTH = 0.3  # the paper's start, section 3.1
RANDOM_HALF_WIDTH = 3.0  # the paper's random calibration data, section 4.1
FRAME_CORRELATION = 0.85  # neighbouring frames of log-mel speech overlap by 60 % of their window
FRAMES_PER_SYLLABLE = 20  # about five syllables a second at 10 ms a frame


def uniform(rng: np.random.Generator, spec: SpectrogramSpec) -> Float32:
    """x ~ U[-0.3, 0.3], independent (Kim et al. 2021, section 3.1)."""
    return read_only(rng.uniform(-UNIFORM_HALF_WIDTH, UNIFORM_HALF_WIDTH, spec.shape), np.float32)


def gaussian(rng: np.random.Generator, spec: SpectrogramSpec) -> Float32:
    """x ~ N(0, 1), independent: the mean and variance of normalised features, none of their structure."""
    return read_only(rng.standard_normal(spec.shape), np.float32)


def smooth(rng: np.random.Generator, spec: SpectrogramSpec) -> Float32:
    """Noise as smooth as a spectrogram: AR(1) along time (correlation 0.85 a frame), blurred along mel."""
    noise = _blur_mel(_autoregressive(rng.standard_normal(spec.shape), FRAME_CORRELATION), spec.n_mels / 20)
    return read_only(normalize_features(noise), np.float32)


def speech(rng: np.random.Generator, spec: SpectrogramSpec) -> Float32:
    """Speech-shaped noise: a loudness contour of syllables and pauses shared by all bins, over smooth colour.

    x = 1.5 e_t + c_{m,t} + 0.3 n_{m,t}: e the contour, saturating at loud and at silent, c colour moving slowly
    along time and mel, n the frame noise; then every bin of every utterance gets mean 0 and standard deviation 1.
    """
    batch, mels, frames = spec.shape
    slow = 1.0 - 1.0 / FRAMES_PER_SYLLABLE
    syllables = _autoregressive(rng.standard_normal((batch, 1, frames)), slow)
    phrases = _autoregressive(rng.standard_normal((batch, 1, frames)), 1.0 - (1.0 - slow) / 5)
    loudness = np.tanh(1.5 * (syllables + 0.7 * phrases))
    colour = _blur_mel(_autoregressive(rng.standard_normal(spec.shape), slow), mels / 10)
    grain = rng.standard_normal(spec.shape)
    return read_only(normalize_features(1.5 * loudness + colour + 0.3 * grain), np.float32)


STARTS: dict[str, Callable[[np.random.Generator, SpectrogramSpec], Float32]] = {
    "uniform": uniform,
    "gaussian": gaussian,
    "smooth": smooth,
    "speech": speech,
}


def start(name: str, spec: SpectrogramSpec, seed: int, batch: int) -> Float32:
    """The start called `name` of batch number `batch`, float32 [B, n_mels, T]: a function of its arguments alone."""
    if name not in STARTS:
        raise SynthError(f"init: expected one of {', '.join(STARTS)}, got {name!r}; change --init")
    return STARTS[name](np.random.default_rng([seed, batch]), spec)


def random_baseline(spec: SpectrogramSpec, seed: int, batch: int = 0) -> Float32:
    """x ~ U[-3, 3], independent, never optimised: the paper's lower bound for calibration (section 4.1, table 2)."""
    rng = np.random.default_rng([seed, batch])
    return read_only(rng.uniform(-RANDOM_HALF_WIDTH, RANDOM_HALF_WIDTH, spec.shape), np.float32)


def normalize_features(mel: Array) -> Array:
    """(x - mean) / (std + 1e-5) over time per bin and utterance [B, n_mels, T]; unbiased std (NeMo's per_feature)."""
    centred = mel - mel.mean(axis=2, keepdims=True)
    return np.asarray(centred / (centred.std(axis=2, ddof=1, keepdims=True) + 1e-5))


def _autoregressive(noise: Array, correlation: float) -> Array:
    """x_t = a x_{t-1} + sqrt(1 - a^2) e_t along the last axis, x_0 = e_0: unit variance stays unit variance."""
    innovation = np.sqrt(1.0 - correlation**2)
    result = np.empty_like(noise)
    result[..., 0] = noise[..., 0]
    for t in range(1, noise.shape[-1]):
        result[..., t] = correlation * result[..., t - 1] + innovation * noise[..., t]
    return result


def _blur_mel(noise: Array, width: float) -> Array:
    """Gaussian blur of standard deviation `width` bins along mel, scaled back to unit variance."""
    bins = noise.shape[1]
    distance = np.arange(bins)[:, None] - np.arange(bins)[None, :]
    kernel = np.exp(-0.5 * (distance / max(width, 1e-3)) ** 2)
    kernel /= np.linalg.norm(kernel, axis=1, keepdims=True)
    return np.asarray(np.einsum("mk,bkt->bmt", kernel, noise))
