"""Log-mel features in numpy, as NeMo's AudioToMelSpectrogramPreprocessor computes them in evaluation mode.

    x'[n]    = x[n] - a * x[n - 1]                                       pre-emphasis, x'[0] = x[0]
    X[k, t]  = sum_n w[n] * x'[t * hop + n - n_fft / 2] * exp(-2 pi i k n / n_fft)
    y[m, t]  = log(sum_k F[m, k] * |X[k, t]|^p + g)
    z[m, t]  = (y[m, t] - mean_t y[m]) / (sqrt(sum_t (y[m, t] - mean)^2 / (T - 1)) + 1e-5)

Source: NeMo 3.0.0, FilterbankFeatures; the mel scale is Slaney's Auditory Toolbox (1998), the one of librosa.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zeroq_asr.errors import FileError

if TYPE_CHECKING:
    from zeroq_asr.frontend.spec import FrontendSpec

DEVIATION_GUARD = 1e-5
_FRAMES_AT_ONCE = 32
"""Frames transformed together: the working memory of a block stays in the cache."""

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


def log_mel(audio: npt.NDArray[np.float32], spec: FrontendSpec) -> Float32:
    """Return the features of one utterance, float32 [n_mels, T] with T = spec.frames(N).

    audio: float [N], full scale +-1, at spec.sample_rate_hz. Everything is computed in float64 and rounded once at the
    end. NeMo, which computes in float32, differs by about 3e-5 on speech, and by more only where a whole recording is
    below -80 dB.
    Raises FileError: more than one channel, NaN or infinite samples, shorter than one analysis window.
    """
    signal = np.asarray(audio)
    if signal.ndim != 1 or signal.dtype.kind != "f":
        raise FileError(f"audio: expected one channel of float samples, got shape {signal.shape} of {signal.dtype}")
    if signal.size < spec.window_samples:
        raise FileError(
            f"audio: expected at least {spec.window_samples} samples ({spec.window_ms:g} ms at "
            f"{spec.sample_rate_hz} Hz), got {signal.size}; the recording is empty or too short to hold speech"
        )
    if not np.isfinite(signal).all():
        raise FileError(
            f"audio: expected finite samples, got {int((~np.isfinite(signal)).sum()):,} NaN or infinite ones"
        )
    return _normalized(_log_energies(signal, spec), spec.normalize).astype(np.float32)


def _emphasized(signal: npt.NDArray[Any], start: int, end: int, spec: FrontendSpec) -> Float64:
    """Return x'[start:end] in float64; beyond the ends of the signal x' is continued as `spec.edge` says.

    The block reaches beyond each end by less than the length of the signal.
    """
    first, last = max(start, 0), min(end, signal.size)
    block = np.zeros(end - start)
    inside = block[first - start : last - start]
    inside[:] = signal[first:last]
    after = max(first, 1)  # the first sample has no predecessor
    inside[after - first :] -= spec.preemphasis * signal[after - 1 : last - 1].astype(np.float64)
    if spec.edge != "zeros" and start < 0:
        block[:-start] = _emphasized(signal, 1, 1 - start, spec)[::-1]
    if spec.edge != "zeros" and end > signal.size:
        mirror = 2 * signal.size - 1
        block[signal.size - start :] = _emphasized(signal, mirror - end, signal.size - 1, spec)[::-1]
    return block


def _log_energies(signal: npt.NDArray[Any], spec: FrontendSpec) -> Float64:
    half, hop, frames = spec.n_fft // 2, spec.hop_samples, spec.frames(signal.size)
    if spec.edge != "zeros" and signal.size <= half:
        raise FileError(f"audio: expected more than {half} samples to reflect at the ends, got {signal.size}")
    window = np.zeros(spec.n_fft)
    left = (spec.n_fft - spec.window_samples) // 2
    window[left : left + spec.window_samples] = analysis_window(spec)
    bins, weights, starts = _filter_taps(spec)
    result = np.empty((spec.n_mels, frames))
    for first in range(0, frames, _FRAMES_AT_ONCE):
        count = min(_FRAMES_AT_ONCE, frames - first)
        begin = first * hop - half
        block = _emphasized(signal, begin, begin + (count - 1) * hop + spec.n_fft, spec)
        segments = np.lib.stride_tricks.sliding_window_view(block, spec.n_fft)[::hop]
        spectrum = np.fft.rfft(segments * window, axis=1)
        energies = spectrum.real**2 + spectrum.imag**2
        if spec.power != 2.0:
            energies **= spec.power / 2
        result[:, first : first + count] = np.add.reduceat(energies[:, bins] * weights, starts, axis=1).T
    result = result + spec.log_guard if spec.guard == "add" else np.maximum(result, spec.log_guard)
    return np.log(result, out=result)


def _filter_taps(spec: FrontendSpec) -> tuple[npt.NDArray[np.intp], Float64, npt.NDArray[np.intp]]:
    """Return the filters without their zeros: bins and weights, filter after filter, and the start of each filter.

    The sums are 30 times shorter than a matrix product, and their order does not depend on a BLAS library.
    """
    filters = mel_filters(spec).astype(np.float64)
    used = filters > 0
    used[~used.any(axis=1), 0] = True  # a filter that lies between two bins gets one tap of weight 0
    counts = used.sum(axis=1)
    return np.nonzero(used)[1], filters[used], np.cumsum(counts) - counts


def _normalized(features: Float64, normalize: str) -> Float64:
    """Normalize `features` in place and return it."""
    if normalize == "none":
        return features
    axis = 1 if normalize == "per_feature" else None
    features -= features.mean(axis=axis, keepdims=True)
    count = features.shape[1] if normalize == "per_feature" else features.size
    deviation = np.sqrt((features**2).sum(axis=axis, keepdims=True) / max(count - 1, 1))
    features /= deviation + DEVIATION_GUARD
    return features


@lru_cache(maxsize=8)
def analysis_window(spec: FrontendSpec) -> Float32:
    """Return the analysis window, float32 [window_samples], in its non-periodic form: w[0] = w[N - 1]."""
    phase = np.arange(spec.window_samples) / (spec.window_samples - 1)
    cosine, double = np.cos(2 * np.pi * phase), np.cos(4 * np.pi * phase)
    shapes = {
        "hann": 0.5 - 0.5 * cosine,
        "hamming": 0.54 - 0.46 * cosine,
        "blackman": 0.42 - 0.5 * cosine + 0.08 * double,
        "bartlett": 1 - np.abs(2 * phase - 1),
    }
    return _frozen(shapes[spec.window])


@lru_cache(maxsize=8)
def mel_filters(spec: FrontendSpec) -> Float32:
    """Return the triangular mel filters, float32 [n_mels, n_fft / 2 + 1].

        F[m, k] = max(0, min((f_k - c_m) / (c_{m+1} - c_m), (c_{m+2} - f_k) / (c_{m+2} - c_{m+1})))

    c: n_mels + 2 edges in Hz, equally spaced in mel from low_hz to high_hz; f_k = k * rate / n_fft. With mel_norm
    "slaney" each filter is multiplied by 2 / (c_{m+2} - c_m).
    """
    edges = _mel_to_hz(np.linspace(_hz_to_mel(spec.low_hz), _hz_to_mel(spec.high_hz), spec.n_mels + 2))
    bins = np.arange(spec.n_fft // 2 + 1) * (spec.sample_rate_hz / spec.n_fft)
    widths = np.maximum(np.diff(edges), 1e-12)
    rising = (bins - edges[:-2, None]) / widths[:-1, None]
    falling = (edges[2:, None] - bins) / widths[1:, None]
    filters = np.maximum(0, np.minimum(rising, falling))
    if spec.mel_norm == "slaney":
        filters *= 2 / np.maximum(edges[2:] - edges[:-2], 1e-12)[:, None]
    return _frozen(filters)


_LINEAR_HZ_PER_MEL = 200 / 3
_LOG_FROM_HZ = 1000.0
_LOG_FROM_MEL = _LOG_FROM_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27


def _hz_to_mel(hz: float) -> float:
    """Slaney's scale: linear below 1 kHz, logarithmic above."""
    if hz < _LOG_FROM_HZ:
        return hz / _LINEAR_HZ_PER_MEL
    return float(_LOG_FROM_MEL + np.log(hz / _LOG_FROM_HZ) / _LOG_STEP)


def _mel_to_hz(mel: Float64) -> Float64:
    logarithmic = _LOG_FROM_HZ * np.exp(_LOG_STEP * (np.maximum(mel, _LOG_FROM_MEL) - _LOG_FROM_MEL))
    return np.asarray(np.where(mel < _LOG_FROM_MEL, mel * _LINEAR_HZ_PER_MEL, logarithmic), dtype=np.float64)


def _frozen(table: Float64) -> Float32:
    result = table.astype(np.float32)
    result.flags.writeable = False
    return result
