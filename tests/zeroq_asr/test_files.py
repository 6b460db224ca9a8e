"""Files are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from zeroq_asr.errors import FileError
from zeroq_asr.files import check_writable, read_file, write_atomically


def test_write_then_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "a"
    write_atomically(path, b"one")
    write_atomically(path, b"two")
    assert read_file(path, 3) == b"two"
    assert os.listdir(path.parent) == ["a"]


def test_a_failed_write_keeps_the_old_file_and_leaves_no_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    write_atomically(path, b"old")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FileError, match="No space left on device"):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_real_full_disk(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full on this system")
    with pytest.raises(FileError):
        write_atomically("/dev/full/x", b"x")
    with pytest.raises(FileError, match="regular file"):
        read_file("/dev/full", 10)


def test_folders_and_missing_and_large_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="got a folder"):
        write_atomically(tmp_path, b"x")
    with pytest.raises(FileError, match=r"folder|regular"):
        read_file(tmp_path, 10)
    with pytest.raises(FileError, match="no such file"):
        read_file(tmp_path / "ghost", 10)
    write_atomically(tmp_path / "a", b"12345")
    with pytest.raises(FileError, match="at most 4 bytes, got 5"):
        read_file(tmp_path / "a", 4)


def test_a_device_stays_a_device(tmp_path: Path) -> None:
    import threading

    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.append(pipe.read_bytes()))
    reader.start()
    write_atomically(pipe, b"through")
    reader.join(10)
    assert heard == [b"through"]
    assert pipe.is_fifo()


def test_what_cannot_be_written_is_known_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")
    check_writable(None, tmp_path / "file", tmp_path / "new" / "folder" / "name", "relative", "/dev/stdout")
    assert not (tmp_path / "new").exists()
    with pytest.raises(FileError, match="got a folder"):
        check_writable(tmp_path)
    with pytest.raises(FileError, match="file is not a folder"):
        check_writable(tmp_path / "file" / "name")
    assert (tmp_path / "file").read_bytes() == b"old"
