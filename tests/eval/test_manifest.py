"""Manifests: what a good line means, and that every bad line is named and refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eval import manifest as manifest_module
from eval.errors import ManifestError
from eval.manifest import read_manifest

GOOD = {"audio_filepath": "a.wav", "duration": 1.5, "text": "hello"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).write_bytes(b"audio")
    return tmp_path


def write(folder: Path, *lines: object) -> Path:
    path = folder / "m.json"
    path.write_bytes(b"\n".join(x if isinstance(x, bytes) else json.dumps(x).encode() for x in lines))
    return path


def test_reads_lines_in_order_relative_to_the_manifest(folder: Path) -> None:
    second = {
        "audio_filepath": str(folder / "b.wav"),
        "duration": 2,
        "text": "",
        "offset": 0.25,
        "speaker": 7,
    }
    first_utterance, second_utterance = read_manifest(write(folder, GOOD, b"  \t", second, b""))
    assert first_utterance.audio_path == folder / "a.wav"
    assert (first_utterance.duration_s, first_utterance.text, first_utterance.offset_s) == (1.5, "hello", 0.0)
    assert second_utterance.audio_path == folder / "b.wav"
    assert (second_utterance.duration_s, second_utterance.text, second_utterance.offset_s) == (2.0, "", 0.25)


def test_reads_a_librispeech_manifest_as_nemo_writes_it(folder: Path) -> None:
    # get_librispeech_data.py writes absolute paths of wav files, float durations and lower-case text.
    line = {
        "audio_filepath": str(folder / "a.wav"),
        "duration": 10.435,
        "text": "he hoped there would be stew",
    }
    (utterance,) = read_manifest(write(folder, line))
    assert utterance.text == "he hoped there would be stew"


def test_accepts_a_byte_order_mark_windows_line_ends_and_a_null_offset(folder: Path) -> None:
    line = json.dumps({**GOOD, "offset": None}).encode()
    path = write(folder, b"\xef\xbb\xbf" + line + b"\r", line + b"\r", b"\r")
    assert len(read_manifest(path)) == 2


def test_limit_reads_no_further(folder: Path) -> None:
    path = write(folder, GOOD, GOOD, b"not json")
    assert len(read_manifest(path, limit=2)) == 2
    with pytest.raises(ManifestError, match="limit"):
        read_manifest(path, limit=0)


def test_audio_may_be_left_unchecked(folder: Path) -> None:
    path = write(folder, {**GOOD, "audio_filepath": "gone.wav"})
    assert read_manifest(path, check_audio=False)[0].audio_path == folder / "gone.wav"


HOSTILE = {
    "not json": (b"hello there", "JSON object"),
    "half a line": (b'{"audio_filepath": "a.wav", "dur', "JSON object"),
    "single quotes": (b"{'audio_filepath': 'a.wav'}", "JSON object"),
    "two objects": (b"{} {}", "JSON object"),
    "a list": (b'["a.wav", 1.0, "x"]', "a list"),
    "a number": (b"3", "a number"),
    "null": (b"null", "null"),
    "a string": (b'"a.wav"', "text"),
    "nested deeply": (b"[" * 100_000, "JSON object"),
    "nested deeply inside": (b'{"a":' * 50_000, "JSON object"),
    "an integer of 10,000 digits": (b'{"duration": ' + b"9" * 10_000 + b"}", "JSON object"),
    "no keys": ({}, "no keys"),
    "no audio_filepath": ({"duration": 1, "text": "x"}, "'audio_filepath'"),
    "no duration": ({"audio_filepath": "a.wav", "text": "x"}, "'duration'"),
    "no text": ({"audio_filepath": "a.wav", "duration": 1}, "'text'"),
    "text is null": ({**GOOD, "text": None}, "null"),
    "text is a list": ({**GOOD, "text": ["x"]}, "a list"),
    "text is a number": ({**GOOD, "text": 5}, "a number"),
    "audio is a number": ({**GOOD, "audio_filepath": 5}, "a number"),
    "audio is empty": ({**GOOD, "audio_filepath": " "}, "file name"),
    "audio holds a NUL": ({**GOOD, "audio_filepath": "a\0.wav"}, "file name"),
    "audio is missing": ({**GOOD, "audio_filepath": "gone.wav"}, "gone.wav"),
    "audio is a folder": ({**GOOD, "audio_filepath": "."}, "audio file"),
    "audio is a device": ({**GOOD, "audio_filepath": "/dev/zero"}, "audio file"),
    "audio name too long": ({**GOOD, "audio_filepath": "x" * 5000}, "audio_filepath"),
    "duration is text": ({**GOOD, "duration": "1.5"}, "text"),
    "duration is true": ({**GOOD, "duration": True}, "truth value"),
    "duration is null": ({**GOOD, "duration": None}, "null"),
    "duration is zero": ({**GOOD, "duration": 0}, "above 0"),
    "duration is negative": ({**GOOD, "duration": -1.0}, "above 0"),
    "duration is NaN": (b'{"audio_filepath": "a.wav", "text": "x", "duration": NaN}', "NaN"),
    "duration is infinite": (b'{"audio_filepath": "a.wav", "text": "x", "duration": Infinity}', "Infinity"),
    "duration overflows": (b'{"audio_filepath": "a.wav", "text": "x", "duration": 1e999}', "at most"),
    "duration is a year": ({**GOOD, "duration": 3.2e7}, "at most"),
    "duration is a huge integer": ({**GOOD, "duration": 10**400}, "at most"),
    "offset is negative": ({**GOOD, "offset": -0.5}, "at least 0"),
    "offset is text": ({**GOOD, "offset": "0"}, "text"),
    "a key twice": (b'{"text": "a", "text": "b", "audio_filepath": "a.wav", "duration": 1}', "twice"),
    "a lone surrogate": (b'{"text": "\\ud800", "audio_filepath": "a.wav", "duration": 1}', "surrogate"),
    "latin-1": (b'{"text": "caf\xe9", "audio_filepath": "a.wav", "duration": 1}', "UTF-8"),
    "binary": (bytes(range(256)), "JSON object|UTF-8"),
    "long text": ({**GOOD, "text": "x" * 100_001}, "characters"),
    "long line": ({**GOOD, "text": "x" * (1 << 20)}, "bytes a line"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_line_is_refused_with_its_number(folder: Path, name: str) -> None:
    line, message = HOSTILE[name]
    path = write(folder, GOOD, b"", line)
    # The line holding every byte contains a line feed, so that it ends at byte 9 and fails there.
    with pytest.raises(ManifestError, match=message) as caught:
        read_manifest(path)
    assert f"{path}, line 3" in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 6000


@pytest.mark.parametrize("content", [b"", b"\n \n\t\n", b"\xef\xbb\xbf"])
def test_a_manifest_without_lines_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "m.json"
    path.write_bytes(content)
    with pytest.raises(ManifestError, match="at least one line"):
        read_manifest(path)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    for path, found in (
        (tmp_path, "a folder"),
        (tmp_path / "no.json", "nothing"),
        ("/dev/zero", "no regular file"),
    ):
        with pytest.raises(ManifestError, match=found):
            read_manifest(path)
    with pytest.raises(ManifestError):
        read_manifest("a\0b")


def test_caps_on_the_file_hold(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(folder, GOOD, GOOD, GOOD)
    monkeypatch.setattr(manifest_module, "MAX_UTTERANCES", 2)
    with pytest.raises(ManifestError, match="line 3: expected at most 2 utterances"):
        read_manifest(path)
    monkeypatch.setattr(manifest_module, "MAX_FILE_BYTES", 10)
    with pytest.raises(ManifestError, match="at most 10 bytes"):
        read_manifest(path)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=80) | st.from_type(dict[str, int | str | float | None]).map(lambda d: json.dumps(d).encode()))
def test_no_bytes_raise_anything_but_a_manifest_error(folder: Path, content: bytes) -> None:
    path = folder / "fuzz.json"
    path.write_bytes(content)
    with pytest.raises(ManifestError):
        read_manifest(path)
