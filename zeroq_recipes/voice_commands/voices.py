"""Synthetic speakers: the voices, the rendering of a sentence, reverberation and noise.

Rendering needs the programs ``espeak-ng`` and ``flite``; nothing else in the package does.
"""

from __future__ import annotations

import io
import subprocess
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from zeroq_asr.errors import ConfigError

SAMPLE_RATE_HZ = 16_000
Audio = NDArray[np.float32]


@dataclass(frozen=True)
class Voice:
    """One speaker: engine "espeak" or "flite", voice name, speed in words/min (espeak), pitch in the engine's unit."""

    engine: str
    name: str
    speed: int = 165
    pitch: int = 50


# espeak-ng applies variants (+f2, +m5, ...) to the voice "en"; for "en-gb", the same voice, it silently ignores them.
TRAINING_VOICES: tuple[Voice, ...] = (
    Voice("espeak", "en-us"),
    Voice("espeak", "en-gb", pitch=45),
    Voice("espeak", "en-gb-scotland"),
    Voice("espeak", "en-gb-x-rp", pitch=58),
    Voice("espeak", "en-us+f2", pitch=55),
    Voice("espeak", "en-gb"),
    Voice("espeak", "en-us+m3", pitch=42),
    Voice("flite", "slt", pitch=170),
    Voice("flite", "rms", pitch=95),
    Voice("flite", "awb", pitch=120),
)
FLITE_VOICES: tuple[Voice, ...] = tuple(voice for voice in TRAINING_VOICES if voice.engine == "flite")
OTHER_VOICES: tuple[Voice, ...] = (
    Voice("espeak", "en-us+m7"),
    Voice("espeak", "en-us+f1", pitch=52),
    Voice("espeak", "en-us-nyc"),
    Voice("espeak", "en-gb-x-gbclan"),
    Voice("espeak", "en-gb-x-rp+f5"),
    Voice("espeak", "en-gb-scotland+m4", pitch=45),
    Voice("espeak", "en+m5"),
    Voice("espeak", "en-us+f5"),
    Voice("espeak", "en-us+m1"),
    Voice("flite", "kal16", pitch=105),
)


def render(text: str, voice: Voice, rng: np.random.Generator, *, spread: float) -> Audio:
    """Return speech at 16 kHz, float32 in [-1, 1]; speed and pitch vary by +-spread (relative).

    Raises ConfigError if the engine is not installed or fails.
    """
    rate, tone = 1 + spread * rng.uniform(-1, 1, size=2)
    if voice.engine == "espeak":
        pitch = int(np.clip(round(voice.pitch * tone), 0, 99))
        command = [
            "espeak-ng",
            "-v",
            voice.name,
            "-s",
            str(round(voice.speed * rate)),
            "-p",
            str(pitch),
            "--stdout",
            text,
        ]
        wave = _run(command)
    else:
        command = [
            "flite",
            "-voice",
            voice.name,
            "--setf",
            f"duration_stretch={1 / rate:.3f}",
            "--setf",
            f"int_f0_target_mean={voice.pitch * tone:.1f}",
            "-t",
            text,
            "-o",
            "/dev/stdout",
        ]
        wave = _run(command)
    # An engine that writes to a pipe does not know the length in advance, so the length in its header may be wrong.
    samples, rate_hz = _decode(wave)
    if rate_hz != SAMPLE_RATE_HZ:
        samples = np.asarray(soxr.resample(samples, rate_hz, SAMPLE_RATE_HZ), dtype=np.float32)
    return _trim(samples)


def _run(command: list[str]) -> bytes:
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        raise ConfigError(
            f"{command[0]} could not render a sentence ({error}); install it (apt-get install espeak-ng flite)"
        ) from error
    return done.stdout


def _decode(wave: bytes) -> tuple[Audio, int]:
    """Return samples and rate of 16-bit PCM behind a 44-byte WAV header whose length field may be wrong."""
    rate_hz = int.from_bytes(wave[24:28], "little")
    samples = np.frombuffer(wave[44 : 44 + (len(wave) - 44) // 2 * 2], dtype="<i2")
    return samples.astype(np.float32) / 32768.0, rate_hz


def _trim(samples: Audio, margin_s: float = 0.08) -> Audio:
    """Return the samples with the silence at both ends cut down to a margin. Raises ConfigError for silence only."""
    loud = np.flatnonzero(np.abs(samples) > 0.01 * max(float(np.abs(samples).max(initial=0.0)), 1e-3))
    if loud.size == 0:
        raise ConfigError("a voice rendered silence")
    margin = int(margin_s * SAMPLE_RATE_HZ)
    return samples[max(int(loud[0]) - margin, 0) : int(loud[-1]) + margin]


def reverberate(samples: Audio, rng: np.random.Generator, t60_s: float, wet: float) -> Audio:
    """Return the sound plus ``wet`` times its reverberation by exponentially decaying noise with RT60 ``t60_s``."""
    times = np.arange(int(t60_s * SAMPLE_RATE_HZ), dtype=np.float32) / SAMPLE_RATE_HZ
    tail = rng.standard_normal(times.size).astype(np.float32) * np.exp(-6.9 * times / t60_s)
    tail *= wet / float(np.sqrt(np.sum(tail**2)))
    tail[0] = 1.0
    return np.asarray(fftconvolve(samples, tail)[: samples.size], dtype=np.float32)


def add_noise(samples: Audio, rng: np.random.Generator, snr_db: float) -> Audio:
    """Return the samples plus noise of spectrum f**-a, a in [0, 1], at the given ratio of mean powers."""
    spectrum = np.fft.rfft(rng.standard_normal(samples.size))
    bins = np.maximum(np.arange(spectrum.size), 1 + samples.size * 50 // SAMPLE_RATE_HZ)
    noise = np.fft.irfft(spectrum * bins ** (-0.5 * rng.uniform(0, 1.0)), samples.size)
    power = float(np.mean(samples**2)) / 10 ** (snr_db / 10)
    return np.asarray(samples + noise * np.sqrt(power / np.mean(noise**2)), dtype=np.float32)


def to_pcm16(samples: Audio, peak: float) -> NDArray[np.int16]:
    """Return the samples scaled to the given peak and rounded to int16."""
    scale = peak / max(float(np.abs(samples).max()), 1e-6)
    return np.asarray(np.clip(np.rint(samples * scale * 32767.0), -32768, 32767), dtype=np.int16)


def flac_bytes(pcm: NDArray[np.int16]) -> bytes:
    """Return the samples as a FLAC file."""
    buffer = io.BytesIO()
    soundfile.write(buffer, pcm, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16", compression_level=1.0)
    return buffer.getvalue()
