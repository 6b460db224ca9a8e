"""A torch checkpoint as numpy arrays, checked twice: by `pickle_scan`, then by torch's restricted loader."""

from __future__ import annotations

import io
import os
import re
import struct
import threading
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from zeroq_asr.adapters.safe.pickle_scan import StorageRecord, TensorRecord, scan_pickle
from zeroq_asr.errors import CheckpointError
from zeroq_asr.ir import Array

MAX_BYTES = (4 << 30) - 1
MAX_PICKLE_BYTES = 16 << 20
MAX_TENSORS = 20_000
DTYPES = ("float32", "int64")

_ZIP_MEMBER = re.compile(
    r"[^/]{1,200}/(data\.pkl|version|byteorder|\.format_version|\.storage_alignment|\.data/serialization_id|data/[0-9]{1,20})"
)
_LEGACY_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_LEGACY_PROTOCOL = 1001
_FORCING = ("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_WEIGHTS_ONLY_LOAD")
_environment_lock = threading.Lock()


def load_weights(data: bytes, where: str) -> dict[str, Array]:
    """Return the tensors of the torch checkpoint `data` (the zip format, or the older plain pickles) by name.

    Arrays are float32 or int64, finite, and in the order of the file. Raises CheckpointError: anything but a plain
    state dict (see `pickle_scan`), inconsistent sizes, other dtypes, NaN or infinity; the message names the tensor.
    """
    if len(data) > MAX_BYTES:
        raise CheckpointError(f"{where}: expected at most {MAX_BYTES:,} bytes, got {len(data):,}")
    records = _scan_zip(data, where) if data[:4] == b"PK\x03\x04" else _scan_legacy(data, where)
    total = 0
    for name, record in records.items():
        total += record.storage.itemsize * int(np.prod(record.shape, dtype=object))
        if record.storage.dtype not in DTYPES:
            raise CheckpointError(
                f"{where}: tensor {name[:200]!r}: expected {' or '.join(DTYPES)}, got {record.storage.dtype}"
            )
    if total > 2 * len(data):
        raise CheckpointError(
            f"{where}: expected tensors of at most {2 * len(data):,} bytes, twice the file, got {total:,}"
        )
    return _convert(_torch_load(data, where), records, where)


def _torch_load(data: bytes, where: str) -> Mapping[str, Any]:
    import torch

    with _unforced():
        try:
            loaded = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True, mmap=False)
        except Exception as error:  # torch raises many kinds of errors for damaged checkpoints
            reason = " ".join(str(error).split())[:160]
            raise CheckpointError(f"{where}: torch refused it ({reason}); is the file damaged?") from error
    if not isinstance(loaded, Mapping):
        raise CheckpointError(f"{where}: expected a dictionary of tensors, got {type(loaded).__name__}")
    return loaded


@contextmanager
def _unforced() -> Iterator[None]:
    """Remove the two environment variables that could change what torch.load does, or make it fail."""
    with _environment_lock:
        saved = {name: os.environ.pop(name) for name in _FORCING if name in os.environ}
        try:
            yield
        finally:
            os.environ.update(saved)


def _convert(loaded: Mapping[str, Any], records: Mapping[str, TensorRecord], where: str) -> dict[str, Array]:
    if list(loaded) != list(records):
        raise CheckpointError(f"{where}: the archive reads differently in two readers; the file is hostile")
    arrays: dict[str, Array] = {}
    for name, record in records.items():
        array: Array = np.ascontiguousarray(loaded[name].detach().numpy())
        if loaded[name].shape != record.shape or str(array.dtype) != record.storage.dtype:
            raise CheckpointError(
                f"{where}: tensor {name[:200]!r} reads differently in two readers; the file is hostile"
            )
        if not np.isfinite(array).all():
            bad = int(array.size - np.isfinite(array).sum())
            raise CheckpointError(
                f"{where}: tensor {name[:200]!r}: expected finite numbers, got {bad:,} NaN or infinite ones of"
                f" {array.size:,}; the training diverged or the file is damaged"
            )
        array = array.reshape(record.shape)
        array.flags.writeable = False
        arrays[name] = array
    return arrays


def _state_dict(value: Any, where: str) -> dict[str, TensorRecord]:
    """Return `value` as name -> tensor. Raises CheckpointError if it is not a flat state dict."""
    if not isinstance(value, dict) or not value:
        raise CheckpointError(
            f"{where}: expected a dictionary of tensors, got {type(value).__name__}; save a plain state dict"
        )
    if len(value) > MAX_TENSORS:
        raise CheckpointError(f"{where}: expected at most {MAX_TENSORS:,} tensors, got {len(value):,}")
    storages: dict[str, StorageRecord] = {}
    for name, record in value.items():
        if not isinstance(record, TensorRecord):
            raise CheckpointError(f"{where}: {name[:120]!r}: expected a tensor, got {type(record).__name__}")
        if storages.setdefault(record.storage.key, record.storage) != record.storage:
            raise CheckpointError(f"{where}: tensor {name[:120]!r}: expected one description of its storage, got two")
    return value


def _scan_zip(data: bytes, where: str) -> dict[str, TensorRecord]:
    # The zip directory must be where every reader looks for it, so that all readers see the same archive.
    if not _ends_with_directory(data):
        raise CheckpointError(
            f"{where}: expected a zip archive that ends with its directory, got none; is the file truncated?"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = _check_members(archive, len(data), where)
            for info in members.values():
                archive.read(info)  # checks the CRC, which torch does not, to detect bit errors on disk
            text = archive.read(members["data.pkl"])
            order = archive.read(members["byteorder"]) if "byteorder" in members else b"little"
    except (
        zipfile.BadZipFile,
        NotImplementedError,
        OSError,
        EOFError,
        ValueError,
        RuntimeError,
        struct.error,
        KeyError,
    ) as error:
        raise CheckpointError(f"{where}: expected a torch checkpoint, got a damaged zip archive ({error})") from error
    if order != b"little":
        raise CheckpointError(f"{where}: expected byte order little, got {order[:20]!r}")
    value, end = scan_pickle(text, 0, f"{where}, data.pkl")
    if end != len(text):
        raise CheckpointError(f"{where}: data.pkl: expected one pickle, got {len(text) - end} more bytes")
    records = _state_dict(value, where)
    for name, record in records.items():
        member = members.get(f"data/{record.storage.key}")
        size = record.storage.numel * record.storage.itemsize
        if member is None or member.file_size != size:
            found = "none" if member is None else f"{member.file_size:,}"
            raise CheckpointError(f"{where}: tensor {name[:200]!r}: expected a record of {size:,} bytes, got {found}")
    return records


def _ends_with_directory(data: bytes) -> bool:
    if len(data) < 98 or data[-22:-18] != b"PK\x05\x06" or data[-2:] != b"\0\0":
        return False
    if data[-42:-38] != b"PK\x06\x07":
        return True
    # In the 64-bit format, which torch writes, locator (20 bytes) and record (56 bytes) are directly before the end.
    return data[-98:-94] == b"PK\x06\x06" and data[-34:-26] == (len(data) - 98).to_bytes(8, "little")


def _check_members(archive: zipfile.ZipFile, size: int, where: str) -> dict[str, zipfile.ZipInfo]:
    members: dict[str, zipfile.ZipInfo] = {}
    roots: set[str] = set()
    total = 0
    for info in archive.infolist():
        if not _ZIP_MEMBER.fullmatch(info.filename):
            raise CheckpointError(f"{where}: expected members that torch.save writes, got {info.filename[:80]!r}")
        root, name = info.filename.split("/", 1)
        roots.add(root)
        total += info.file_size
        if name in members or len(roots) > 1:
            raise CheckpointError(f"{where}: expected every member once in one folder, got {info.filename[:80]!r}")
        if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size or info.flag_bits & 1:
            raise CheckpointError(
                f"{where}: expected stored members, got {info.filename[:80]!r}, which is compressed or encrypted"
            )
        members[name] = info
    if "data.pkl" not in members:
        raise CheckpointError(f"{where}: expected the member data.pkl, got none; is this a torch checkpoint?")
    if total > size or members["data.pkl"].file_size > MAX_PICKLE_BYTES:
        raise CheckpointError(f"{where}: expected members that fit into the file, got {total:,} bytes in {size:,}")
    return members


def _scan_legacy(data: bytes, where: str) -> dict[str, TensorRecord]:
    """Check the format of torch before 1.6: magic, protocol, system, state dict, storage keys, then the storages."""
    if not data.startswith(_LEGACY_MAGIC):
        raise CheckpointError(f"{where}: expected a torch checkpoint, got a file that starts with {data[:8]!r}")
    head = data[: MAX_PICKLE_BYTES + len(_LEGACY_MAGIC)]
    position = len(_LEGACY_MAGIC)
    parts: list[Any] = []
    for part in ("protocol", "system", "state dict"):
        value, position = scan_pickle(head, position, f"{where}, {part}")
        parts.append(value)
    if parts[0] != _LEGACY_PROTOCOL or not isinstance(parts[1], dict) or parts[1].get("little_endian") is not True:
        raise CheckpointError(f"{where}: expected torch's protocol {_LEGACY_PROTOCOL}, little endian, got another")
    records = _state_dict(parts[2], where)
    storages = {record.storage.key: record.storage for record in records.values()}
    keys, position = scan_pickle(head, position, f"{where}, storage keys")
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys) or sorted(keys) != sorted(storages):
        raise CheckpointError(f"{where}: expected the keys of {len(storages)} storages, got others")
    for key in keys:
        size = storages[key].numel * storages[key].itemsize
        if data[position : position + 8] != storages[key].numel.to_bytes(8, "little"):
            raise CheckpointError(f"{where}: storage {key[:40]!r}: expected {size:,} bytes, got another size")
        position += 8 + size
    if position != len(data):
        raise CheckpointError(f"{where}: expected {position:,} bytes, got {len(data):,}; is the file damaged?")
    return records
