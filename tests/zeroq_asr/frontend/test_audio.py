"""Sound files of every kind become one float channel; everything else is refused in one sentence."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from zeroq_asr.errors import FileError
from zeroq_asr.frontend import audio
from zeroq_asr.frontend.audio import read_audio


def tone(rate: int, seconds: float = 0.5, hz: float = 440.0) -> np.ndarray:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


@pytest.mark.parametrize(
    ("ending", "subtype"), [("wav", "PCM_16"), ("wav", "FLOAT"), ("flac", "PCM_24"), ("ogg", "VORBIS")]
)
@pytest.mark.parametrize("rate", [8000, 16000, 44100])
@pytest.mark.parametrize("channels", [1, 2])
def test_formats_rates_and_channels(tmp_path: Path, ending: str, subtype: str, rate: int, channels: int) -> None:
    path = tmp_path / f"tone.{ending}"
    soundfile.write(path, np.stack([tone(rate)] * channels, axis=1), rate, subtype=subtype)
    heard = read_audio(path, 16000)
    assert heard.dtype == np.float32 and heard.ndim == 1 and abs(heard.size - 8000) <= 1
    middle = slice(1000, 7000)
    assert np.abs(heard[middle] - tone(16000)[:8000][middle]).max() < (0.1 if ending == "ogg" else 2e-3)


def test_channels_are_averaged(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.array([[0.5, 0.25], [-0.5, 0.0]] * 100, np.float32), 16000, subtype="FLOAT")
    assert np.array_equal(read_audio(str(tmp_path / "a.wav"), 16000)[:2], np.array([0.375, -0.25], np.float32))


def test_long_files_come_in_blocks(tmp_path: Path) -> None:
    samples = np.arange(3 << 20, dtype=np.int64).astype(np.int16)
    soundfile.write(tmp_path / "long.wav", samples, 16000, subtype="PCM_16")
    assert np.array_equal(read_audio(tmp_path / "long.wav", 16000), (samples / 32768).astype(np.float32))


def int16_wav(codes: np.ndarray, rate: int = 16000) -> bytes:
    """The plainest of sound files, written by hand."""
    body = codes.astype("<i2").tobytes()
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(body), b"WAVE", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    return head + b"data" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize("rate", [8000, 16000])
def test_plain_wav_is_what_libsndfile_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rate: int) -> None:
    """Every code there is, bit for bit, without loading the library."""
    codes = np.arange(-32768, 32768)
    path = tmp_path / "a.wav"
    path.write_bytes(int16_wav(codes, rate))
    expected, _ = soundfile.read(path, dtype="float32")
    plain = audio._plain_wav(path)
    assert plain is not None and plain[1] == rate and plain[0].dtype == np.float32
    assert plain[0].tobytes() == expected.tobytes()
    with_library = tmp_path / "b.wav"  # an odd chunk in front of the samples: not plain
    content = int16_wav(codes, rate)
    with_library.write_bytes(content[:36] + b"LIST\4\0\0\0INFO" + content[36:])
    assert audio._plain_wav(with_library) is None
    assert np.array_equal(read_audio(with_library, 16000), read_audio(path, 16000))
    if rate == 16000:
        monkeypatch.setitem(sys.modules, "soundfile", None)  # importing it would fail
        assert np.array_equal(read_audio(path, 16000), expected)


def test_plain_wav_leaves_the_rest_to_libsndfile(tmp_path: Path) -> None:
    """One byte that differs, one that is missing or too many: the library judges."""
    good, path = int16_wav(np.arange(10)), tmp_path / "a.wav"
    changed = [good[:i] + bytes([good[i] ^ 1]) + good[i + 1 :] for i in (*range(24), *range(28, 44))]
    for content in (*changed, good[:-1], good[:-2], good + b"\0", good + b"\0\0", int16_wav(np.zeros(0)), b""):
        path.write_bytes(content)
        assert audio._plain_wav(path) is None
    for rate in (0, 1, 1 << 31, (1 << 32) - 1):
        path.write_bytes(good[:24] + struct.pack("<I", rate) + good[28:])
        assert audio._plain_wav(path) is None
    assert audio._plain_wav(tmp_path) is None


def wav(samples: np.ndarray, rate: int = 16000, channels: int = 1, data_bytes: int | None = None) -> bytes:
    """A float WAV file written by hand, so that its header can lie."""
    body = samples.astype("<f4").tobytes()
    size = len(body) if data_bytes is None else data_bytes
    head = struct.pack("<HHIIHH", 3, channels, rate, (rate * 4 * channels) & 0xFFFFFFFF, 4 * channels, 32)
    chunks = b"fmt " + struct.pack("<I", 16) + head + b"data" + struct.pack("<I", size) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


GOOD = wav(tone(16000))
BAD_FILES: dict[str, bytes] = {
    "empty": b"",
    "text": b"this is not sound\n" * 10,
    "riff only": b"RIFF",
    "no samples": wav(np.zeros(0)),
    "nan": wav(np.array([0.0, np.nan] * 500)),
    "infinity": wav(np.array([0.0, np.inf] * 500)),
    "absurd level": wav(np.full(1000, 1e30)),
    "rate 0": wav(tone(16000), rate=0),
    "rate 1": wav(tone(16000), rate=1),
    "rate 4 GHz": wav(tone(16000), rate=0xFFFFFFFF),
    "no channels": wav(tone(16000), channels=0),
    "1000 channels": wav(np.zeros(5000), channels=1000),
    "pickle": b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R.",
    "zip": b"PK\x03\x04" + bytes(100),
    "nemo as sound": b"./model_config.yaml" + bytes(600),
    **{f"cut at {at}": GOOD[:at] for at in (4, 11, 12, 20, 30, 43)},
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_bad_sound_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "bad.wav"
    path.write_bytes(BAD_FILES[name])
    with pytest.raises(FileError, match=r"bad\.wav: expected .*got"):
        read_audio(path, 16000)


def test_a_lying_header_costs_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "lie.wav"
    path.write_bytes(wav(tone(16000), data_bytes=0x7FFFFFF0))
    audio = read_audio(path, 16000)  # libsndfile mends the length; nothing is allocated from the header
    assert audio.size == 8000


@pytest.mark.parametrize("at", range(200, 4000, 400))
def test_cut_flac_is_refused_or_read_as_far_as_it_goes(tmp_path: Path, at: int) -> None:
    soundfile.write(tmp_path / "whole.flac", np.random.default_rng(0).normal(0, 0.1, 8000), 16000)
    path = tmp_path / "cut.flac"
    path.write_bytes((tmp_path / "whole.flac").read_bytes()[:at])
    with pytest.raises(FileError):
        read_audio(path, 16000)


def test_missing_folders_and_pipes(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, words in ((tmp_path / "none.wav", "no such file"), (tmp_path, "folder"), (tmp_path / "pipe", "device")):
        with pytest.raises(FileError, match=words):
            read_audio(path, 16000)
