"""Wrong tensors, and pickles that call something or lie about sizes: each a name and a recipe for its bytes."""

from __future__ import annotations

import os
import pickle
import struct
import subprocess
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch

from support.hostile_archives import CONV, zipped
from support.nemo_files import nemo_bytes, small_tensors, weights_bytes

Recipe = Callable[[], bytes]
BN = "encoder.encoder.1.mconv.2"


def _saved(value: Any, legacy: bool = False) -> bytes:
    return nemo_bytes(weights=weights_bytes(value, legacy))


def _quantized(tensor: torch.Tensor) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces the end of quantized tensors
        return torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8)


def tensor_files() -> Iterator[tuple[str, Recipe]]:
    state = small_tensors()
    one = state[CONV]
    changes: dict[str, Any] = {
        "transposed": one.transpose(0, 2).contiguous(),
        "too long": torch.zeros(8, 8, 2),
        "flat": one.reshape(-1).clone(),
        "one dimension more": one[None].clone(),
        "empty": torch.zeros(8, 0, 1),
        "scalar": torch.tensor(1.0),
        "float64": one.double(),
        "float16": one.half(),
        "bfloat16": one.bfloat16(),
        "int64": one.long(),
        "int32": one.int(),
        "bool": one > 0,
        "complex": one.to(torch.complex64),
        "sparse": one.to_sparse(),
        "quantized": _quantized(one),
        "NaN": torch.where(one == one.max(), torch.nan, one),
        "infinite": torch.where(one == one.max(), torch.inf, one),
        "minus infinite": one - torch.inf,
        "expanded": torch.zeros(1, 1, 1).expand(8, 8, 1),
        "a number": 3.5,
        "a list": [1.0, 2.0],
        "nothing": None,
        "numpy": one.numpy(),
        "nested": {"weight": one},
        "parameter": torch.nn.Parameter(one.clone()),
    }
    for name, value in changes.items():
        for legacy in (False, True):
            changed = OrderedDict(state, **{CONV: value})
            yield f"tensor, {name}{', legacy' * legacy}", partial(_saved, changed, legacy)
    for name in (CONV, f"{BN}.running_var", "decoder.decoder_layers.0.bias", "preprocessor.featurizer.window"):
        yield f"without {name}", partial(_saved, {k: v for k, v in state.items() if k != name})
    for name, tensor in {
        f"{BN}.running_var": torch.full((8,), -1.0),
        f"{BN}.running_mean": torch.full((8,), torch.nan),
        "preprocessor.featurizer.fb": torch.zeros(1, 16, 257),
        "preprocessor.featurizer.window": torch.ones(320),
        "decoder.adapter.weight": torch.zeros(3),
        "joint.weight": torch.zeros(3),
    }.items():
        yield f"with another {name}", partial(_saved, OrderedDict(state, **{name: tensor}))
    wholes: dict[str, Any] = {
        "a module": torch.nn.Conv1d(1, 1, 1), "a tensor": one, "a list": list(state.values()), "nothing": None,
        "an empty dict": {}, "a Lightning checkpoint": {"state_dict": state, "epoch": 3}, "a number": 1, "text": "x",
        "number keys": dict(enumerate(state.values())),
    }  # fmt: skip
    for name, value in wholes.items():
        for legacy in (False, True):
            yield f"weights are {name}{', legacy' * legacy}", partial(_saved, value, legacy)


class _Reduce:
    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call


def _text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def _tensor(
    size: bytes, stride: bytes, numel: bytes = b"K\x04", offset: bytes = b"K\x00", kind: bytes = b"FloatStorage"
) -> bytes:
    storage = b"(" + _text("storage") + b"ctorch\n" + kind + b"\n" + _text("0") + _text("cpu") + numel + b"tQ"
    hooks = b"ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + offset + size + stride + b"\x89" + hooks + b"tR"


def _pickle(body: bytes) -> bytes:
    return b"\x80\x02}" + _text(CONV) + body + b"s."


def pickles() -> Iterator[tuple[str, bytes]]:
    """Pickles that call something, and pickles that lie about sizes."""
    calls = {
        "os.system": _Reduce(os.system, ("true",)), "eval": _Reduce(eval, ("1",)), "exec": _Reduce(exec, ("1",)),
        "getattr": _Reduce(getattr, ("x", "upper")),
        "subprocess": _Reduce(subprocess.Popen, (["true"],)), "__import__": _Reduce(__import__, ("os",)),
        "open": _Reduce(open, ("/etc/passwd",)), "bytearray": _Reduce(bytearray, (1 << 40,)),
        "numpy": np.zeros(3), "set": {1}, "bytes": b"x", "range": range(3), "complex": 1j,
    }  # fmt: skip
    for name, value in calls.items():
        for protocol in (2, 4):
            yield f"{name}, protocol {protocol}", pickle.dumps({CONV: value}, protocol=protocol)
    yield "protocol 0", pickle.dumps({CONV: 1.0}, protocol=0)
    count, minus, large, deep = (
        b"K\x02",
        b"J\xff\xff\xff\xff",
        b"\x8a\x08" + b"\x00" * 7 + b"\x10",
        b"\x8a\x09" + b"\xff" * 8 + b"\x7f",
    )
    lies = {
        "more items than its storage": _tensor(count + count + b"K\x02\x87", b"K\x04K\x02K\x01\x87"),
        "offset outside": _tensor(count + b"\x85", b"K\x01\x85", offset=b"K\x03"),
        "stride outside": _tensor(count + b"\x85", b"K\x7f\x85"),
        "negative size": _tensor(minus + b"\x85", b"K\x01\x85"),
        "negative stride": _tensor(count + b"\x85", minus + b"\x85"),
        "negative offset": _tensor(count + b"\x85", b"K\x01\x85", offset=minus),
        "negative storage": _tensor(count + b"\x85", b"K\x01\x85", numel=minus),
        "exabytes of storage": _tensor(count + b"\x85", b"K\x01\x85", numel=large),
        "exabytes of tensor": _tensor(large + b"\x85", b"K\x00\x85", numel=large),
        "huge numbers": _tensor(deep + b"\x85", b"K\x00\x85", numel=deep),
        "stride 0 repeated": _tensor(b"J\xff\xff\xff\x7f" * 2 + b"\x86", b"K\x00K\x00\x86"),
        "sizes as text": _tensor(_text("4") + b"\x85", b"K\x01\x85"),
        "true as size": _tensor(b"\x88\x85", b"K\x01\x85"),
        "nine dimensions": _tensor(b"(" + b"K\x01" * 9 + b"t", b"(" + b"K\x01" * 9 + b"t"),
        "fewer strides": _tensor(count + count + b"\x86", b"K\x01\x85"),
        "untyped storage": _tensor(count + b"\x85", b"K\x01\x85", kind=b"UntypedStorage"),
        "storage that is none": _tensor(count + b"\x85", b"K\x01\x85", kind=b"load"),
        "other dtype for the bytes": _tensor(b"K\x04\x85", b"K\x01\x85", kind=b"DoubleStorage"),
    }  # fmt: skip
    for name, body in lies.items():
        yield name, _pickle(body)
    raw = {
        "empty": b"",
        "only a stop": b"\x80\x02.",
        "no stop": b"\x80\x02}",
        "two objects": b"\x80\x02}}.",
        "pop from nothing": b"\x80\x020.",
        "unknown memo": b"\x80\x02h\x07.",
        "long memo": b"\x80\x02j\xff\xff\xff\xff.",
        "set item of nothing": b"\x80\x02s.",
        "marks": b"\x80\x02" + b"(" * 2_000_000,
        "tuples": b"\x80\x02)" + b"\x85" * 1_500_000 + b".",
        "text longer than the file": b"\x80\x02X\xff\xff\xff\xffabc.",
        "text not UTF-8": b"\x80\x02}X\x01\x00\x00\x00\xffK\x01s.",
        "frame": b"\x80\x02\x95" + bytes(8) + b".",
        "INST": b"\x80\x02(ios\nsystem\n.",
        "OBJ": b"\x80\x02(cos\nsystem\no.",
        "NEWOBJ": b"\x80\x02ccollections\nOrderedDict\n)\x81.",
        "extension": b"\x80\x02\x82\x01.",
        "persistent text": b"\x80\x02Px\n.",
        "persistent tuple": b"\x80\x02)Q.",
        "global without end": b"\x80\x02cos",
        "global of 1 MB": b"\x80\x02c" + b"a" * (1 << 20),
        "dotted global": b"\x80\x02ctorch\n_utils._rebuild_tensor_v2\n.",
        "global as result": b"\x80\x02ccollections\nOrderedDict\n.",
        "OrderedDict with arguments": b"\x80\x02ccollections\nOrderedDict\n}\x85R.",
        "build on a tuple": b"\x80\x02)}b.",
        "build of attributes": b"\x80\x02ccollections\nOrderedDict\n)R}" + _text("__class__") + b"K\x01sb.",
        "key twice": b"\x80\x02}(" + 2 * (_text(CONV) + _tensor(b"K\x04\x85", b"K\x01\x85")) + b"u.",
        "odd pairs": b"\x80\x02}(" + _text("a") + b"u.",
        "dictionary in itself": b"\x80\x02}q\x00" + _text("a") + b"h\x00s.",
        "number as key": b"\x80\x02}K\x01K\x01s.",
        "protocol 255": b"\x80\xff}.",
        "bytes behind": _pickle(b"N") + b"junk",
    }
    yield from raw.items()


def _zip_of(data: bytes) -> bytes:
    return nemo_bytes(
        weights=zipped({"archive/data.pkl": data, "archive/data/0": bytes(16), "archive/version": b"3\n"})
    )


def _legacy_of(data: bytes) -> bytes:
    return nemo_bytes(weights=LEGACY_HEAD + data + b"\x80\x02]" + _text("0") + b"\x85e." + bytes(24))


def pickle_files() -> Iterator[tuple[str, Recipe]]:
    for name, data in pickles():
        yield f"zip, {name}", partial(_zip_of, data)
        yield f"legacy, {name}", partial(_legacy_of, data)


LEGACY_HEAD = b"".join(
    pickle.dumps(part, protocol=2)
    for part in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}})
)
