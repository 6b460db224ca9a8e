"""Initial values of the optimisation: several kinds of noise from numpy's generator, the same on every device.

Every function returns float32 [B, n_mels, T] in units of normalised log-mel energy.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from synth.errors import SynthError
from synth.types import Float32, SpectrogramSpec, read_only

Array = npt.NDArray[np.float64]

UNIFORM_HALF_WIDTH = 0.3
"""Initial noise of Kim et al. 2021, section 3.1."""
RANDOM_HALF_WIDTH = 3.0
"""Random calibration data of Kim et al. 2021, section 4.1."""
FRAME_CORRELATION = 0.85
"""The windows of neighbouring frames of log-mel speech overlap by 60 %."""
FRAMES_PER_SYLLABLE = 20
"""About five syllables per second at 10 ms per frame."""


def uniform(rng: np.random.Generator, spec: SpectrogramSpec) -> Float32:
    """Return x ~ U[-0.3, 0.3], independent (Kim et al. 2021, section 3.1)."""
    return read_only(rng.uniform(-UNIFORM_HALF_WIDTH, UNIFORM_HALF_WIDTH, spec.shape), np.float32)


def gaussian(rng: np.random.Generator, spec: SpectrogramSpec) -> Float32:
    """Return x ~ N(0, 1), independent: mean and variance of normalised features without their structure."""
    return read_only(rng.standard_normal(spec.shape), np.float32)


def smooth(rng: np.random.Generator, spec: SpectrogramSpec) -> Float32:
    """Return noise as smooth as a spectrogram: AR(1) along time (correlation FRAME_CORRELATION), blurred along mel."""
    noise = _blur_mel(_autoregressive(rng.standard_normal(spec.shape), FRAME_CORRELATION), spec.n_mels / 20)
    return read_only(normalize_features(noise), np.float32)


def speech(rng: np.random.Generator, spec: SpectrogramSpec) -> Float32:
    """Return speech-shaped noise: a loudness contour of syllables and pauses plus slowly varying coloured noise.

        x = 1.5 e_t + c_{m,t} + 0.3 n_{m,t}

    e: loudness contour in [-1, 1], the same for all bins. c: noise that varies slowly along time and mel. n: white
    noise. Then every bin of every utterance is normalised to mean 0 and standard deviation 1.
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
    """Return the initial value called `name` of batch number `batch`, float32 [B, n_mels, T].

    It depends on the arguments only. Raises SynthError for an unknown name.
    """
    if name not in STARTS:
        raise SynthError(f"init: expected one of {', '.join(STARTS)}, got {name!r}; change --init")
    return STARTS[name](np.random.default_rng([seed, batch]), spec)


def random_baseline(spec: SpectrogramSpec, seed: int, batch: int = 0) -> Float32:
    """Return x ~ U[-3, 3], independent and not optimised, float32 [B, n_mels, T].

    This is the baseline for calibration in Kim et al. 2021, section 4.1, table 2.
    """
    rng = np.random.default_rng([seed, batch])
    return read_only(rng.uniform(-RANDOM_HALF_WIDTH, RANDOM_HALF_WIDTH, spec.shape), np.float32)


def normalize_features(mel: Array) -> Array:
    """Return (x - mean) / (std + 1e-5) over time per bin and utterance [B, n_mels, T].

    The std is unbiased, as in NeMo's normalization "per_feature".
    """
    centred = mel - mel.mean(axis=2, keepdims=True)
    return np.asarray(centred / (centred.std(axis=2, ddof=1, keepdims=True) + 1e-5))


def _autoregressive(noise: Array, correlation: float) -> Array:
    """Return x_t = a x_{t-1} + sqrt(1 - a^2) e_t along the last axis, x_0 = e_0; it preserves unit variance."""
    innovation = np.sqrt(1.0 - correlation**2)
    result = np.empty_like(noise)
    result[..., 0] = noise[..., 0]
    for t in range(1, noise.shape[-1]):
        result[..., t] = correlation * result[..., t - 1] + innovation * noise[..., t]
    return result


def _blur_mel(noise: Array, width: float) -> Array:
    """Return a Gaussian blur along mel, of standard deviation `width` bins, scaled to unit variance."""
    bins = noise.shape[1]
    distance = np.arange(bins)[:, None] - np.arange(bins)[None, :]
    kernel = np.exp(-0.5 * (distance / max(width, 1e-3)) ** 2)
    kernel /= np.linalg.norm(kernel, axis=1, keepdims=True)
    return np.asarray(np.einsum("mk,bkt->bmt", kernel, noise))
