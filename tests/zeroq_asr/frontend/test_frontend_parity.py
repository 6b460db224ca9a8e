"""The front end gives what NeMo 3.0.0's preprocessor gives, for every setting that is honoured."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("nemo.collections.asr", reason="nemo_toolkit is not installed")
import torch

from zeroq_asr.adapters.nemo.config import ConfigSection
from zeroq_asr.adapters.nemo.frontend import read_frontend
from zeroq_asr.frontend.log_mel import log_mel

pytestmark = pytest.mark.nemo

TOLERANCE = 1e-3
TARGET = "nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor"

SETTINGS: dict[str, dict[str, Any]] = {
    "quartznet": {"features": 64, "n_fft": 512},
    "conformer": {"features": 80, "window_size": 0.025, "n_fft": 512, "pad_to": 0},
    "defaults": {},
    "8 kHz": {"sample_rate": 8000, "features": 40},
    "22.05 kHz": {"sample_rate": 22050, "window_size": 0.025, "features": 64},
    "samples": {"window_size": None, "window_stride": None, "n_window_size": 400, "n_window_stride": 200},
    "hamming": {"window": "hamming", "lowfreq": 50, "highfreq": 7000},
    "blackman, magnitude": {"window": "blackman", "mag_power": 1.0},
    "bartlett, clamp": {"window": "bartlett", "log_zero_guard_type": "clamp", "log_zero_guard_value": 1e-5},
    "no pre-emphasis, eps": {"preemph": None, "log_zero_guard_value": "eps"},
    "all features": {"normalize": "all_features"},
    "not normalized": {"normalize": "NA"},
}


def sounds(rate: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    time = np.arange(3 * rate) / rate
    voiced = sum(np.sin(2 * np.pi * f * time) / f for f in range(120, 3400, 120)) * 10 * np.sin(3 * time) ** 2
    samples = {
        "noise": rng.normal(0, 0.1, 2 * rate + 77),
        "tone": 0.5 * np.sin(2 * np.pi * (200 + 300 * time) * time) + rng.normal(0, 1e-2, time.size),
        "voice": voiced + rng.normal(0, 1e-3, time.size),
        "short": rng.normal(0, 0.1, round(0.0303 * rate)),
    }
    return {name: wave.astype(np.float32) for name, wave in samples.items()}


@pytest.mark.slow
def test_filters_without_norm_agree_with_nemo() -> None:
    """Slow only because librosa compiles a normalisation that then does nothing."""
    compare_with_nemo({"mel_norm": None})


@pytest.mark.parametrize("name", SETTINGS)
def test_features_agree_with_nemo(name: str) -> None:
    compare_with_nemo(SETTINGS[name])


def compare_with_nemo(changes: dict[str, Any]) -> None:
    from nemo.collections.asr.modules import AudioToMelSpectrogramPreprocessor

    settings = {"dither": 0.0, **changes}
    theirs = AudioToMelSpectrogramPreprocessor(**settings).eval()
    tensors = {f"preprocessor.{key}": tensor.numpy() for key, tensor in theirs.state_dict().items()}
    spec = read_frontend(ConfigSection({"preprocessor": {"_target_": TARGET, **settings}}, "config"), tensors)
    for kind, audio in sounds(spec.sample_rate_hz).items():
        with torch.no_grad():
            mel, length = theirs(input_signal=torch.from_numpy(audio)[None], length=torch.tensor([audio.size]))
        expected = mel[0, :, : int(length)].numpy()
        got = log_mel(audio, spec)
        assert got.shape == expected.shape, kind
        assert float(np.abs(got - expected).max()) <= TOLERANCE, kind
