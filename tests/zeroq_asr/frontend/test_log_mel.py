"""The log-mel front end: its formulas, its bad inputs, its cost. Parity with NeMo stands in test_frontend_parity.py."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest

from zeroq_asr.errors import ConfigError, FileError
from zeroq_asr.frontend.log_mel import _filter_taps, analysis_window, log_mel, mel_filters
from zeroq_asr.frontend.spec import FrontendSpec

SPEC = FrontendSpec()


def noise(samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32)


def naive(audio: np.ndarray, spec: FrontendSpec) -> np.ndarray:
    """The docstring's formulas, one frame and one sum at a time."""
    x = audio.astype(float)
    x[1:] = audio[1:].astype(float) - spec.preemphasis * audio[:-1].astype(float)
    half, window = spec.n_fft // 2, analysis_window(spec).astype(float)
    left = (spec.n_fft - spec.window_samples) // 2
    columns = []
    for t in range(spec.frames(audio.size)):
        frame = np.zeros(spec.n_fft)
        for n in range(spec.window_samples):
            at = t * spec.hop_samples + left + n - half
            if spec.edge == "reflect":
                at = abs(at) if at < x.size else 2 * (x.size - 1) - at
            frame[left + n] = window[n] * (x[at] if 0 <= at < x.size else 0.0)
        kernel = np.exp(-2j * np.pi * np.outer(np.arange(half + 1), np.arange(spec.n_fft)) / spec.n_fft)
        columns.append(np.log(mel_filters(spec).astype(float) @ np.abs(kernel @ frame) ** spec.power + spec.log_guard))
    y = np.stack(columns, axis=1)
    normalized: np.ndarray = (y - y.mean(axis=1, keepdims=True)) / (y.std(axis=1, ddof=1, keepdims=True) + 1e-5)
    return normalized


@pytest.mark.parametrize("edge", ["zeros", "reflect"])
@pytest.mark.parametrize("power", [2.0, 1.0])
def test_log_mel_is_its_formula(edge: str, power: float) -> None:
    spec = dataclasses.replace(SPEC, edge=edge, power=power, n_mels=10)
    audio = noise(1234)
    assert np.abs(log_mel(audio, spec) - naive(audio, spec)).max() < 1e-5


@pytest.mark.parametrize("n_mels", [1, 64, 80, 400])
def test_filters_without_their_zeros_are_the_filters(n_mels: int) -> None:
    """Also those that lie between two bins, which 400 of them on 257 bins do."""
    spec = dataclasses.replace(SPEC, n_mels=n_mels)
    bins, weights, starts = _filter_taps(spec)
    dense = np.zeros((n_mels, spec.n_fft // 2 + 1))
    for row, start, end in zip(dense, starts, [*starts[1:], bins.size], strict=True):
        assert end > start
        row[bins[start:end]] = weights[start:end]
    assert np.array_equal(dense, mel_filters(spec))
    assert np.isfinite(log_mel(noise(16000), spec)).all()


@pytest.mark.parametrize("samples", [320, 321, 479, 480, 16000, 16159, 16160])
def test_frames(samples: int) -> None:
    assert log_mel(noise(samples), SPEC).shape == (64, samples // 160)
    reflect = dataclasses.replace(SPEC, edge="reflect")
    assert log_mel(noise(samples), reflect).shape == (64, samples // 160 + 1)


def test_features_are_normalized() -> None:
    features = log_mel(noise(16000), SPEC)
    assert features.dtype == np.float32
    assert np.abs(features.mean(axis=1)).max() < 1e-6
    assert np.abs(features.std(axis=1, ddof=1) - 1).max() < 1e-3
    together = log_mel(noise(16000), dataclasses.replace(SPEC, normalize="all_features"))
    assert abs(float(together.std(ddof=1)) - 1) < 1e-3
    assert float(log_mel(noise(16000), dataclasses.replace(SPEC, normalize="none")).mean()) < -1


def test_silence_is_zero_not_nan() -> None:
    assert np.array_equal(log_mel(np.zeros(16000, np.float32), SPEC), np.zeros((64, 100), np.float32))


def test_an_utterance_does_not_depend_on_its_blocks() -> None:
    # frame 1024 begins a second block of the transform
    audio = noise(160 * 2100)
    plain = dataclasses.replace(SPEC, normalize="none")
    assert np.array_equal(log_mel(audio, plain)[:, :2000], log_mel(audio[: 160 * 2004], plain)[:, :2000])


@pytest.mark.parametrize("kind", ["hann", "hamming", "blackman", "bartlett"])
def test_windows_are_symmetric(kind: str) -> None:
    window = analysis_window(dataclasses.replace(SPEC, window=kind))
    assert window.shape == (320,) and np.allclose(window, window[::-1]) and window.argmax() in (159, 160)


def test_filters_cover_the_band_with_equal_areas() -> None:
    filters = mel_filters(SPEC)
    assert filters.shape == (64, 257) and (filters >= 0).all()
    assert np.allclose(filters[30:].sum(axis=1) * 16000 / 512, 1, atol=0.05)
    assert not mel_filters(dataclasses.replace(SPEC, high_hz=4000.0))[:, 129:].any()


@pytest.mark.parametrize(
    ("audio", "words"),
    [
        (np.zeros(0, np.float32), "expected at least 320 samples"),
        (np.zeros(319, np.float32), "got 319"),
        (np.full(1000, np.nan, np.float32), "1,000 NaN"),
        (np.array([0.0] * 999 + [np.inf], np.float32), "1 NaN or infinite"),
        (np.zeros((2, 1000), np.float32), "one channel"),
        (np.zeros(1000, np.int16), "float samples"),
    ],
)
def test_bad_audio_is_refused(audio: np.ndarray, words: str) -> None:
    with pytest.raises(FileError, match=words):
        log_mel(audio, SPEC)


def test_reflection_needs_samples_to_reflect() -> None:
    small = dataclasses.replace(SPEC, edge="reflect", window_ms=5.0, hop_ms=5.0)
    with pytest.raises(FileError, match="more than 256 samples"):
        log_mel(noise(200), small)


def test_a_minute_is_quick() -> None:
    audio = noise(60 * 16000)
    log_mel(audio[:16000], SPEC)
    best = float("inf")
    for _ in range(3):  # the best of three: another process may have the core
        start = time.perf_counter()
        log_mel(audio, SPEC)
        best = min(best, time.perf_counter() - start)
    assert best < 1.0


def test_spec_survives_json() -> None:
    spec = FrontendSpec(sample_rate_hz=22050, window_ms=1000 * 551 / 22050, hop_ms=1000 * 220 / 22050, n_fft=1024)
    assert (spec.window_samples, spec.hop_samples) == (551, 220)
    assert FrontendSpec.from_json(spec.to_json()) == spec


@pytest.mark.parametrize(
    "change",
    [
        {"n_mels": 0}, {"n_mels": 2.5}, {"n_mels": True}, {"n_mels": 10**400}, {"sample_rate_hz": -16000}, {"n_fft":
        256}, {"hop_ms": 0.0}, {"hop_ms": 30.0}, {"window_ms": float("nan")}, {"log_guard": 0.0}, {"log_guard":
        float("inf")}, {"edge": "wrap"}, {"normalize": None}, {"window": "kaiser"}, {"high_hz": 9000.0}, {"low_hz":
        8001.0}, {"power": -2.0}, {"guard": "max"}, {"mel_norm": "htk"}, {"preemphasis": "0.97"},
    ],
)  # fmt: skip
def test_bad_specs_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        FrontendSpec.from_json({**SPEC.to_json(), **change})


def test_bad_spec_objects_are_refused() -> None:
    others: tuple[Any, ...] = (None, [], {}, {**SPEC.to_json(), "dither": 1.0}, {"n_mels": 64})
    for fields in others:
        with pytest.raises(ConfigError, match="expected"):
            FrontendSpec.from_json(fields)


def test_the_front_end_needs_neither_torch_nor_scipy() -> None:
    script = (
        "import sys, numpy as np\n"
        "from zeroq_asr.frontend.log_mel import log_mel\n"
        "from zeroq_asr.frontend.spec import FrontendSpec\n"
        "log_mel(np.ones(1000, np.float32), FrontendSpec())\n"
        "print(sorted({'torch', 'librosa', 'nemo', 'scipy'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == "[]", result.stderr
