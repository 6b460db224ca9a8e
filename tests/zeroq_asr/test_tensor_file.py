"""Tensors come out of a safetensors file as the library reads them; what is damaged is refused, whenever it happens."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from zeroq_asr.errors import FileError
from zeroq_asr.tensor_file import open_tensors

TENSORS: dict[str, np.ndarray] = {
    "scalar": np.array(7, np.int64),
    "none": np.zeros((0, 3), np.float32),
    "bool": np.array([True, False, True]),
    **{
        f"{kind}{8 * size}": np.arange(24).reshape(2, 3, 4).astype(f"{kind}{size}")
        for kind in "iuf"
        for size in (1, 2, 4, 8)
        if (kind, size) != ("f", 1)
    },
}
CONTENT = save(TENSORS, {"zeroq": "text"})


def header_and_data(content: bytes) -> tuple[dict[str, Any], bytes]:
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def rewritten(change: Any, data: bytes | None = None) -> bytes:
    header, own = header_and_data(CONTENT)
    changed = change(header)
    text = changed if isinstance(changed, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + (own if data is None else data)


def test_every_tensor_is_as_the_library_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(CONTENT)
    expected = load(CONTENT)
    with open_tensors(path) as file:
        assert dict(file.metadata) == {"zeroq": "text"} and set(file.names) == set(expected)
        for name in reversed(file.names):
            array = file.read(name)
            assert array.dtype == expected[name].dtype and array.shape == expected[name].shape
            assert np.array_equal(array, expected[name])
            assert not array.flags.writeable and array.base is None


def _entry(name: str, **changes: Any) -> Any:
    return lambda header: header[name].update(changes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "header of 0 bytes"),
        (b"\x10", "header of 16 bytes"),
        (struct.pack("<Q", 1 << 63), "does not fit"),
        (struct.pack("<Q", 0) + b"{}", "header of 0"),
        (struct.pack("<Q", 2) + b"[]", "not a JSON object"),
        (struct.pack("<Q", 2) + b"{x", "not JSON"),
        (struct.pack("<Q", 4) + b'"\xff\xff"', "not JSON"),
        (struct.pack("<Q", 10**5) + b"[" * 10**5, "not JSON"),
        (CONTENT[:-1], "bytes of tensors, got"),
        (CONTENT + b"\0", "bytes of tensors, got"),
        (rewritten(_entry("i32", dtype="I33")), "no valid dtype"),
        (rewritten(_entry("i32", dtype=["I32"])), "no valid dtype"),
        (rewritten(_entry("i32", shape=3)), "no valid dtype"),
        (rewritten(_entry("i32", shape=[2, 3.0, 4])), "sizes"),
        (rewritten(_entry("i32", shape=[2, True, 12])), "sizes"),
        (rewritten(_entry("i32", shape=[-2, -3, 4])), "sizes"),
        (rewritten(_entry("i32", shape=[2, 3, 5])), "does not take"),
        (rewritten(_entry("none", shape=[0, 1 << 62])), "sizes"),
        (rewritten(_entry("i32", shape=[1] * 100)), "sizes"),
        (rewritten(_entry("i32", data_offsets=[0, 1, 2])), "no valid dtype"),
        (rewritten(_entry("i32", data_offsets=[-96, 0])), "sizes"),
        (rewritten(_entry("i32", data_offsets=[96, 0])), "does not take"),
        (rewritten(lambda header: header["i32"].update(data_offsets=header["u32"]["data_offsets"])), "does not start"),
        (rewritten(lambda header: header.pop("i32")), "does not start|of tensors, got"),
        (rewritten(lambda header: header.update(i32=None)), "no valid dtype"),
        (rewritten(lambda header: header.update(__metadata__=[])), "metadata"),
        (rewritten(lambda header: header.update(__metadata__={"a": 1})), "metadata"),
        (rewritten(lambda header: b'{"a": ' + b"9" * 5000 + b"}"), "not JSON"),
    ],
)
def test_damaged_files_are_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    wanted = rf"a\.safetensors: not a readable safetensors file \(.*{message}"
    with pytest.raises(FileError, match=wanted), open_tensors(path):
        pass


def test_what_happens_to_an_open_file(tmp_path: Path) -> None:
    """Another file in its place changes nothing; one that is cut is an error, not the end of the process."""
    path, other = tmp_path / "a.safetensors", tmp_path / "b"
    path.write_bytes(CONTENT)
    with open_tensors(path) as file:
        other.write_bytes(b"something else")
        os.replace(other, path)
        assert np.array_equal(file.read("f64"), TENSORS["f64"])
    path.write_bytes(save({"a": np.ones(1 << 16, np.int8)}))
    with open_tensors(path) as file:
        os.truncate(path, 1 << 15)
        with pytest.raises(FileError, match="'a' is truncated"):
            file.read("a")


def test_what_is_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(FileError, match="no such file"), open_tensors(path):
            pass


def test_an_empty_tensor_may_be_listed_behind_the_one_it_stands_before(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    header = json.dumps(
        {
            "full": {"dtype": "U8", "shape": [2], "data_offsets": [0, 2]},
            "empty": {"dtype": "F32", "shape": [0, 3], "data_offsets": [0, 0]},
        }
    ).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\1\2")
    assert set(load(path.read_bytes())) == {"full", "empty"}
    with open_tensors(path) as file:
        assert file.read("full").tolist() == [1, 2] and file.read("empty").shape == (0, 3)


def test_an_empty_tensor_of_immense_shape_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    entry = {"dtype": "F32", "shape": [0, *[100] * 20], "data_offsets": [0, 0]}
    header = json.dumps({"empty": entry}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(FileError, match="sizes that do not fit"), open_tensors(path) as file:
        file.read("empty")
