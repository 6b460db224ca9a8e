"""Damaged files, hostile archives and hostile zip archives inside them: each a name and a recipe for its bytes."""

from __future__ import annotations

import gzip
import io
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from functools import partial

from support.nemo_files import (
    CONFIG,
    WEIGHTS,
    Edit,
    add,
    config_bytes,
    nemo_bytes,
    small_config,
    small_tensors,
    weights_bytes,
)

Recipe = Callable[[], bytes]
CONV = "encoder.encoder.1.mconv.1.conv.weight"


def damaged() -> Iterator[tuple[str, Recipe]]:
    good = nemo_bytes()
    packed = nemo_bytes(compress=True)
    weights = weights_bytes(small_tensors())
    for part in (
        0,
        1,
        511,
        512,
        513,
        1024,
        1700,
        2048,
        3000,
        5000,
        len(good) // 2,
        len(good) - 10_240,
        len(good) - 9_000,
    ):
        yield f"tar cut at {part}", partial(_cut, good, part)
    for part in (1, 2, 3, 9, 10, 11, 40, len(packed) // 2, len(packed) - 1, len(packed) - 8, len(packed) - 9):
        yield f"gzip cut at {part}", partial(_cut, packed, part)
    for place in (512, 515, 560, 620, 640, 668, 669, 770, 1000):
        yield f"tar header, bit flipped at {place}", partial(flipped, good, place)
    for place in (12, 60, len(packed) // 3, len(packed) - 5):
        yield f"gzip, bit flipped at {place}", partial(flipped, packed, place)
    for part in (1, 3, 4, 30, 200, 4000, len(weights) // 2, len(weights) - 30, len(weights) - 1):
        yield f"weights cut at {part}", partial(nemo_bytes, weights=weights[:part])
    place = weights.index(small_tensors()[CONV].numpy().tobytes())
    yield "weights, bit flipped in a tensor", lambda: nemo_bytes(weights=flipped(weights, place + 5))
    yield (
        "weights, bit flipped in the pickle",
        lambda: nemo_bytes(weights=flipped(weights, weights.index(b"OrderedDict") + 2)),
    )
    yield "weights with a tail", lambda: nemo_bytes(weights=weights + b"tail")
    yield "weights behind junk", lambda: nemo_bytes(weights=b"PK\x03\x04junk" + weights)
    legacy = weights_bytes(small_tensors(), legacy=True)
    for part in (15, 40, 200, len(legacy) // 2, len(legacy) - 1):
        yield f"legacy weights cut at {part}", partial(nemo_bytes, weights=legacy[:part])
    yield "legacy weights with a tail", lambda: nemo_bytes(weights=legacy + b"x")
    for name, data in {
        "empty file": b"", "text": b"hello\n" * 300, "zeros": bytes(20_480),
        "image": b"\x89PNG\r\n\x1a\n" + bytes(2000),
        "bare weights": weights, "gzip of text": gzip.compress(b"hello " * 300), "gzip twice": gzip.compress(packed),
        "gzip of nothing": gzip.compress(b""), "zip of the members": zipped({CONFIG: b"a: 1", WEIGHTS: b"x"}),
        "gzip with a tail": packed + b"tail", "tar with a tail": good + b"tail" * 200, "two tars": good + good,
    }.items():  # fmt: skip
        yield name, partial(bytes, data)


def _cut(data: bytes, part: int) -> bytes:
    return data[:part]


def flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 0x04]) + data[place + 1 :]


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def _add_65_folders(tar: tarfile.TarFile) -> None:
    for number in range(65):
        add(tar, f"./{number}/", b"", type=tarfile.DIRTYPE)


def archives() -> Iterator[tuple[str, Recipe]]:
    config, weights = config_bytes(small_config()), weights_bytes(small_tensors())
    extra: dict[str, Edit] = {
        "extra member": lambda tar: add(tar, "./evil.py", b"print(1)"),
        "pickle beside": lambda tar: add(tar, "./data.pkl", b"cos\nsystem\n."),
        "config in a folder": lambda tar: add(tar, f"./sub/{CONFIG}", config),
        "second config": lambda tar: add(tar, f"./{CONFIG}", config),
        "second config, other spelling": lambda tar: add(tar, CONFIG, config),
        "second weights": lambda tar: add(tar, f"./{WEIGHTS}", weights),
        "second weights, empty": lambda tar: add(tar, WEIGHTS, b""),
        "symbolic link": lambda tar: add(tar, "./link", b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        "weights as symbolic link": lambda tar: add(tar, WEIGHTS, b"", type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        "hard link": lambda tar: add(tar, "./hard", b"", type=tarfile.LNKTYPE, linkname=f"./{CONFIG}"),
        "character device": lambda tar: add(tar, "./null", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=3),
        "block device": lambda tar: add(tar, "./disk", b"", type=tarfile.BLKTYPE, devmajor=8),
        "named pipe": lambda tar: add(tar, "./pipe", b"", type=tarfile.FIFOTYPE),
        "unknown type": lambda tar: add(tar, "./odd", b"", type=b"Z"),
        "contiguous file": lambda tar: add(tar, "./odd", b"x", type=tarfile.CONTTYPE),
        "GNU sparse file": lambda tar: add(tar, "./sparse", b"", type=tarfile.GNUTYPE_SPARSE),
        "absolute name": lambda tar: add(tar, "/tmp/evil", b"x"),
        "climbing name": lambda tar: add(tar, "../../evil", b"x"),
        "climbing inside": lambda tar: add(tar, f"./a/../{CONFIG}x", b"x"),
        "absolute folder": lambda tar: add(tar, "/tmp/evil/", b"", type=tarfile.DIRTYPE),
        "climbing folder": lambda tar: add(tar, "../", b"", type=tarfile.DIRTYPE),
        "backslash": lambda tar: add(tar, "..\\evil", b"x"),
        "control character": lambda tar: add(tar, "./a\x1b[31mb", b"x"),
        "long name": lambda tar: add(tar, "./" + "a" * 300, b"x"),
        "no name": lambda tar: add(tar, "", b"x"),
        "stray tokenizer": lambda tar: add(tar, "./" + "ab" * 16 + "_tokenizer.model", b"x"),
        "tokenizer of 70 MB": lambda tar: add(tar, "./" + "ab" * 16 + "_tokenizer.model", bytes(70 << 20)),
        "65 folders": _add_65_folders,
        "pax path": lambda tar: add(tar, "./x", b"x", pax_headers={"path": CONFIG}),
        "pax size": lambda tar: add(tar, "./x", b"x", pax_headers={"size": "99999999999"}),
        "pax sparse": lambda tar: add(tar, "./x", b"x", pax_headers={"GNU.sparse.size": "1000000000000"}),
        "pax of 10 KB": lambda tar: add(tar, "./x", b"x", pax_headers={"comment": "y" * 10_000}),
    }
    for name, edit in extra.items():
        yield f"{name}, behind", partial(nemo_bytes, after=edit)
    for name in ("second weights", "symbolic link", "extra member", "pax path", "climbing name"):
        yield f"{name}, before", partial(nemo_bytes, before=extra[name], compress=True)
    yield "no config", lambda: nemo_bytes(config=b"")
    yield "no weights", lambda: nemo_bytes(weights=b"")
    yield "empty tar", lambda: nemo_bytes(config=b"", weights=b"")
    yield "GNU long name", lambda: nemo_bytes(after=extra["long name"], format=tarfile.GNU_FORMAT)
    yield "base-256 size", lambda: resized(b"\x80" + bytes(10) + b"\x05")
    yield "negative size", lambda: resized(b"\xff" * 12)
    yield "size in the terabytes", lambda: resized(b"77777777777\0")
    yield "size with a minus", lambda: resized(b"-0000000001\0")
    yield "pax record without end", lambda: paxed(b"99 mtime=1\n")
    yield "pax record of length 0", lambda: paxed(b"0 mtime=1\n")
    yield "pax record of negative length", lambda: paxed(b"-5 mtime=1\n")
    yield "global pax header", lambda: paxed(b"11 mtime=1\n", b"g")
    yield "gzip bomb as weights", lambda: bomb(WEIGHTS, 1 << 30)
    yield "gzip bomb as config", lambda: bomb(CONFIG, 1 << 30)
    yield "2 MB of zeros behind the end", lambda: nemo_bytes() + bytes(2 << 20)
    yield "gzip bomb behind the end", lambda: gzip.compress(nemo_bytes() + bytes(200 << 20), 1)


def header(name: str, size: bytes, kind: bytes = b"0") -> bytes:
    block = bytearray(tarfile.TarInfo(name).tobuf(tarfile.USTAR_FORMAT))
    block[124:136], block[156:157] = size, kind
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def resized(size: bytes) -> bytes:
    return header(f"./{CONFIG}", size) + nemo_bytes()[512:]


def paxed(record: bytes, kind: bytes = b"x") -> bytes:
    return header("./pax", b"%011o\0" % len(record), kind) + record.ljust(512, b"\0") + nemo_bytes()


def bomb(name: str, size: int) -> bytes:
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=1) as packed:
        packed.write(header(f"./{name}", b"%011o\0" % size))
        for _ in range(160):
            packed.write(bytes(1 << 20))
    return stream.getvalue()


def _of_zip(members: dict[str, bytes]) -> bytes:
    return nemo_bytes(weights=zipped(members))


def zip_files() -> Iterator[tuple[str, Recipe]]:
    with zipfile.ZipFile(io.BytesIO(weights_bytes(small_tensors()))) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    root = next(iter(members)).split("/")[0]

    def changed(**changes: bytes | None) -> dict[str, bytes]:
        merged = {**members, **{f"{root}/{name}": data for name, data in changes.items()}}
        return {name: data for name, data in merged.items() if data is not None}

    zips: dict[str, dict[str, bytes]] = {
        "TorchScript": changed(**{"constants.pkl": b"x"}),
        "code": changed(**{"code/__torch__.py": b"x"}),
        "climbing member": {**members, "../evil": b"x"},
        "absolute member": {**members, "/etc/evil": b"x"},
        "two folders": {**members, "other/data.pkl": members[f"{root}/data.pkl"]},
        "big endian": changed(byteorder=b"big"),
        "odd byte order": changed(byteorder=b"middle" * 1000),
        "no pickle": changed(**{"data.pkl": None}),
        "no record": changed(**{"data/3": None}),
        "short record": changed(**{"data/3": members[f"{root}/data/3"][:-1]}),
        "long record": changed(**{"data/3": members[f"{root}/data/3"] + b"\0"}),
        "empty record": changed(**{"data/3": b""}),
    }
    for name, content in zips.items():
        yield f"zip, {name}", partial(_of_zip, content)
    yield "zip, compressed", lambda: nemo_bytes(weights=zipped(members, zipfile.ZIP_DEFLATED))
    yield "zip, lzma", lambda: nemo_bytes(weights=zipped(members, zipfile.ZIP_LZMA))
    yield "zip, empty", lambda: nemo_bytes(weights=zipped({}))
    yield "zip, with a comment", lambda: nemo_bytes(weights=commented(zipped(members)))
    yield "zip, encrypted flag", lambda: nemo_bytes(weights=patched(zipped(members), b"PK\x01\x02", 8, b"\x01\x00"))
    yield "zip, record twice", lambda: nemo_bytes(weights=zipped(members).replace(b"data/11", b"data/10"))
    yield "zip, size lies", lambda: nemo_bytes(weights=patched(zipped(members), b"PK\x01\x02", 24, b"\xff\xff\xff\x7f"))
    yield (
        "zip, offset lies",
        lambda: nemo_bytes(weights=patched(zipped(members), b"PK\x01\x02", 42, b"\xff\xff\xff\x7f")),
    )
    yield (
        "zip, another archive inside",
        lambda: nemo_bytes(weights=zipped(members) + zipped(members)[:-2] + b"\x04\0abcd"),
    )


def commented(data: bytes) -> bytes:
    return data[:-2] + struct.pack("<H", 4) + b"PK\x05\x06"


def patched(data: bytes, signature: bytes, offset: int, value: bytes) -> bytes:
    place = data.index(signature) + offset
    return data[:place] + value + data[place + len(value) :]
