"""Audio files as one channel of float samples at the sample rate of a model."""

from __future__ import annotations

import math
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroq_asr.errors import FileError

MAX_SECONDS = 4 * 3600
"""Longest recording that is read; longer ones must be split first."""
MAX_CHANNELS = 32
MIN_RATE_HZ, MAX_RATE_HZ = 1000, 768_000
MAX_LEVEL = 1e4
"""Largest sample magnitude; full scale is 1. A file with larger samples is not a recording."""
_FRAMES_AT_ONCE = 1 << 20
_PLAIN_WAV = struct.Struct("<4sI4s4sIHHIIHH4sI")


def read_audio(path: str | Path, sample_rate_hz: int) -> npt.NDArray[np.float32]:
    """Return the audio in `path` as float32 [N], full scale +-1, at `sample_rate_hz`.

    Takes every format, rate and channel count that soundfile reads (WAV, FLAC, OGG, MP3, ...). Channels are averaged;
    the rate is converted with soxr's HQ filter, which NeMo uses through librosa.
    Raises FileError: missing, a folder, not an audio file, truncated, empty, too long, NaN or infinite samples.
    """
    where = str(path)[:300]
    if not Path(path).is_file():
        reason = (
            "no such file; check the path"
            if not os.path.lexists(path)
            else "expected an audio file, got a folder or a device"
        )
        raise FileError(f"{where}: {reason}")
    mono, rate = _plain_wav(path) or _any_format(path, where)
    return at_rate(mono, rate, sample_rate_hz, where)


def at_rate(mono: npt.NDArray[np.float32], rate: int, sample_rate_hz: int, where: str) -> npt.NDArray[np.float32]:
    """Return samples float32 [N] of `rate` Hz at `sample_rate_hz`, converted with soxr's HQ filter where they differ.

    Raises FileError, which begins with `where`: no samples, NaN, infinite or larger than MAX_LEVEL.
    """
    if not mono.size:
        raise FileError(f"{where}: expected audio, got a file without samples")
    if not np.isfinite(mono).all() or float(np.abs(mono).max()) > MAX_LEVEL:
        raise FileError(
            f"{where}: expected finite samples of at most {MAX_LEVEL:g}, got NaN, infinite or larger ones; "
            "is the file damaged?"
        )
    if rate == sample_rate_hz:
        return mono
    import soxr

    return np.asarray(soxr.resample(mono, rate, sample_rate_hz, quality="HQ"), dtype=np.float32)


def _plain_wav(path: str | Path) -> tuple[npt.NDArray[np.float32], int] | None:
    """Return samples float32 [N] and rate of the most common kind of file: 16-bit mono WAV with no extra chunks.

    Returns None for every other file, and when any byte of the header differs; libsndfile reads those. It would give
    the same samples here too, but loading it takes 0.1 s and 3 MB.
    """
    try:
        with open(path, "rb") as stream:
            head, size = stream.read(_PLAIN_WAV.size), os.fstat(stream.fileno()).st_size
            rate, samples = int.from_bytes(head[24:28], "little"), size - _PLAIN_WAV.size
            if samples < 2 or samples % 2 or samples > 2 * MAX_SECONDS * rate or not MIN_RATE_HZ <= rate <= MAX_RATE_HZ:
                return None
            format = (16, 1, 1, rate, 2 * rate, 2, 16)
            if head != _PLAIN_WAV.pack(b"RIFF", size - 8, b"WAVE", b"fmt ", *format, b"data", samples):
                return None
            codes = np.fromfile(stream, "<i2")
    except (OSError, ValueError, struct.error):
        return None
    return (codes.astype(np.float32) / np.float32(32768), rate) if 2 * codes.size == samples else None


def _any_format(path: str | Path, where: str) -> tuple[npt.NDArray[np.float32], int]:
    import soundfile

    try:
        with soundfile.SoundFile(path) as sound:
            return _mono(sound, where), sound.samplerate
    except (OSError, RuntimeError, ValueError, TypeError) as error:  # soundfile's own errors are RuntimeErrors
        reason = " ".join(str(error).split())[-120:]
        raise FileError(
            f"{where}: expected an audio file (WAV, FLAC, OGG, MP3, ...), got something else ({reason})"
        ) from error


def _mono(sound: Any, where: str) -> npt.NDArray[np.float32]:
    """Read block by block, because a header may declare more samples than the file contains or than fit in memory."""
    rate, channels = sound.samplerate, sound.channels
    if not MIN_RATE_HZ <= rate <= MAX_RATE_HZ or not 1 <= channels <= MAX_CHANNELS:
        raise FileError(
            f"{where}: expected {MIN_RATE_HZ:,} to {MAX_RATE_HZ:,} Hz and 1 to {MAX_CHANNELS} channels,"
            f" got {rate:,} Hz, {channels} channels"
        )
    blocks = []
    total = 0
    while True:
        block = sound.read(max(_FRAMES_AT_ONCE // channels, 1), dtype="float32", always_2d=True)
        if not len(block):
            break
        total += len(block)
        if total > MAX_SECONDS * rate:
            raise FileError(
                f"{where}: expected at most {MAX_SECONDS // 3600} hours, got more; split the recording into utterances"
            )
        blocks.append(block[:, 0] if channels == 1 else block.mean(axis=1, dtype=np.float64).astype(np.float32))
    if sound.frames > 0 and total < sound.frames and not math.isclose(total, sound.frames, rel_tol=0.001):
        raise FileError(
            f"{where}: expected {sound.frames:,} frames as its header says, got {total:,}; the file is truncated"
        )
    return np.concatenate(blocks) if blocks else np.zeros(0, dtype=np.float32)
