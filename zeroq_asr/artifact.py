"""The delivered model: one safetensors file with the graph in its header.

Header metadata: one key `zeroq` (several would be written in any order, and equal models must be equal bytes) = JSON
with format, version, the graph, the constants' shapes and types, the input scale (the only real number of the
arithmetic), the front end, the vocabulary and the provenance.
Tensors: one per constant; weights of fewer than 8 bits are packed. Nothing in the file is ever executed or unpickled.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import numpy as np

from int_kernels.errors import KernelError
from int_kernels.int_type import IntType
from int_kernels.packing import pack, unpack
from int_kernels.program import Program
from zeroq_asr.errors import FileError, ZeroqError
from zeroq_asr.files import write_atomically
from zeroq_asr.frontend.spec import FrontendSpec
from zeroq_asr.ir.program import build_program
from zeroq_asr.ir.types import Array, Graph, Node, Value
from zeroq_asr.ir.verify import verify
from zeroq_asr.tensor_file import TensorFile, open_tensors

FORMAT = "zeroq-asr integer model"
VERSION = 2
_READABLE = (1, 2)
"""Version 2 knows more operations, constants of 16 and 64 bits and attributes that are words; nothing else changed."""

_KEY = "zeroq"
_MAX_CONSTANT_ELEMENTS = 1 << 31

T = TypeVar("T")


@dataclass(frozen=True)
class IntegerModel:
    """An integer program that transcribes.

    graph: integer dialect, input "mel" codes, outputs (logits, tokens). input_scale: real = input_scale * code.
    vocabulary: token id -> text; the blank is the last id, len(vocabulary). provenance: how the file came to be (JSON).
    """

    graph: Graph
    input_scale: float
    frontend: FrontendSpec
    vocabulary: tuple[str, ...]
    provenance: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "provenance", MappingProxyType(dict(self.provenance)))

    @cached_property
    def program(self) -> Program:
        """The program that the kernels run. Raises int_kernels.KernelError if an accumulator could overflow."""
        return build_program(self.graph)

    @property
    def weights(self) -> dict[int, int]:
        """How many weights have how many bits, the fewest bits first."""
        counts: dict[int, int] = {}
        for node in self.graph.nodes:
            if "bits" in node.attrs:
                width = node.integer("bits")
                counts[width] = counts.get(width, 0) + int(self.graph.constants[node.inputs[1]].size)
        return dict(sorted(counts.items()))

    @property
    def mean_bits(self) -> float:
        """sum_b b count_b / sum_b count_b over the weights; 0 where there are none."""
        counts = self.weights
        return sum(bits * count for bits, count in counts.items()) / max(1, sum(counts.values()))

    @property
    def bits(self) -> tuple[int, int]:
        """(largest number of weight bits, bits of the input codes)."""
        weights = max((node.integer("bits") for node in self.graph.nodes if "bits" in node.attrs), default=0)
        type = self.graph.values[self.graph.inputs[0]].type
        return weights, type.bits if isinstance(type, IntType) else 0


def save_model(model: IntegerModel, path: str | Path) -> None:
    """Write `model` to `path`, atomically. Raises FileError."""
    write_atomically(path, to_bytes(model))


def to_bytes(model: IntegerModel) -> bytes:
    """Return the file's content; the same model gives the same bytes."""
    from safetensors.numpy import save

    bits = _weight_bits(model.graph)
    tensors: dict[str, Array] = {}
    constants: dict[str, Any] = {}
    for name, array in model.graph.constants.items():
        width = bits.get(name, 8)
        constants[name] = {"shape": list(array.shape), "type": f"int{width}" if name in bits else array.dtype.name}
        tensors[name] = pack(array, IntType(width, signed=True)) if width < 8 else np.array(array)
    document = {
        "format": FORMAT,
        "version": VERSION,
        "graph": {
            "inputs": list(model.graph.inputs),
            "outputs": list(model.graph.outputs),
            "values": [
                [v.name, v.channels, v.type.name if isinstance(v.type, IntType) else v.type]
                for v in model.graph.values.values()
            ],
            "nodes": [[n.op, list(n.inputs), n.output, dict(n.attrs), n.origin] for n in model.graph.nodes],
            "constants": constants,
        },
        "input_scale": model.input_scale,
        "frontend": model.frontend.to_json(),
        "vocabulary": list(model.vocabulary),
        "provenance": dict(model.provenance),
    }
    text = json.dumps(document, separators=(",", ":"))
    return bytes(save(tensors, {_KEY: text}))


def load_model(path: str | Path) -> IntegerModel:
    """Read a model file without torch and without NeMo.

    Raises FileError: missing, damaged, of another format or version, or with a program that breaks a law.
    """
    with open_tensors(path) as file:
        if _KEY not in file.metadata:
            raise FileError(
                f"{path}: expected a quantized model, got a safetensors file of another kind; "
                "make one with `python -m zeroq_asr.quantize`"
            )
        return _load(path, file)


def _load(path: str | Path, file: TensorFile) -> IntegerModel:
    try:
        document = json.loads(file.metadata[_KEY])
        if document["format"] != FORMAT or _whole(document["version"]) not in _READABLE:
            raise FileError(
                f"expected format version 1 to {VERSION}, got {document['version']!r}; quantize the model again with "
                "this version"
            )
        model = _from_document(document, file)
        model.program  # noqa: B018 - building the program proves it, here at the door
        return model
    except (ZeroqError, KernelError) as error:
        raise FileError(f"{path}: not a valid model: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError, OverflowError) as error:
        raise FileError(
            f"{path}: not a valid model: its header is damaged ({type(error).__name__}: {error})"
        ) from error


def read_safetensors(path: str | Path) -> tuple[dict[str, str], dict[str, Array]]:
    """Return the metadata and the tensors of a safetensors file. Raises FileError."""
    with open_tensors(path) as file:
        return dict(file.metadata), {name: file.read(name) for name in file.names}


def _from_document(document: dict[str, Any], file: TensorFile) -> IntegerModel:
    body = document["graph"]
    values = {
        name: Value(_text(name), _whole(channels), IntType.from_name(_text(type)))
        for name, channels, type in body["values"]
    }
    nodes = tuple(
        Node(
            _text(op),
            tuple(map(_text, inputs)),
            _text(output),
            {_text(k): v if isinstance(v, str) else _whole(v) for k, v in attrs.items()},
            _text(origin),
        )
        for op, inputs, output, attrs, origin in body["nodes"]
    )
    if set(body["constants"]) != set(file.names):
        raise FileError("the constants in the header and in the body differ")
    constants = {name: _constant(name, spec, file.read(name)) for name, spec in body["constants"].items()}
    inputs, outputs = tuple(map(_text, body["inputs"])), tuple(map(_text, body["outputs"]))
    graph = Graph("integer", inputs, outputs, nodes, values, constants, frozenset({"no-scale"}))
    verify(graph)
    scale = document["input_scale"]
    if not (isinstance(scale, float) and math.isfinite(scale) and scale > 0):
        raise FileError(f"input_scale: expected a positive number, got {scale!r}")
    vocabulary = tuple(_text(token) for token in document["vocabulary"])
    logits = values[outputs[0]].channels
    if len(inputs) != 1 or len(outputs) != 2 or logits != len(vocabulary) + 1:
        raise FileError(
            f"expected one input and {len(vocabulary) + 1} logits (the vocabulary and a blank), got {len(inputs)} "
            f"and {logits}"
        )
    frontend = FrontendSpec.from_json(document["frontend"])
    if values[inputs[0]].channels != frontend.n_mels:
        raise FileError(
            f"expected as many input channels as mel bins ({frontend.n_mels}), got {values[inputs[0]].channels}"
        )
    if not isinstance(document["provenance"], dict):
        raise FileError("provenance: expected a table")
    return IntegerModel(graph, scale, frontend, vocabulary, document["provenance"])


def _constant(name: str, spec: Mapping[str, Any], stored: Array) -> Array:
    shape = tuple(_whole(size) for size in spec["shape"])
    count = math.prod(shape)
    if not (all(size >= 1 for size in shape) and 1 <= count <= _MAX_CONSTANT_ELEMENTS):
        raise FileError(f"constant {name!r}: shape {shape} is out of bounds")
    if spec["type"] == "int64":
        return _stored(name, "int64", shape, stored, np.dtype(np.int64))
    type = IntType.from_name(_text(spec["type"]))
    if type.bits < 8:
        if stored.dtype != np.uint8:
            raise FileError(f"constant {name!r}: expected packed codes in uint8, got {stored.dtype}")
        codes = unpack(stored.astype(np.uint8, copy=False), type, count)
        codes.flags.writeable = False  # so that nobody needs a copy of his own
        return codes.reshape(shape)
    return _stored(name, type.name, shape, stored, type.storage)


def _stored(name: str, type: str, shape: tuple[int, ...], stored: Array, dtype: np.dtype[Any]) -> Array:
    if stored.dtype != dtype or stored.shape != shape:
        raise FileError(f"constant {name!r}: expected {type} {shape}, got {stored.dtype} {stored.shape}")
    return stored


def _weight_bits(graph: Graph) -> dict[str, int]:
    return {node.inputs[1]: node.integer("bits") for node in graph.nodes if "bits" in node.attrs}


def _typed(kind: type[T]) -> Callable[[Any], T]:
    def check(value: Any) -> T:
        if not isinstance(value, kind) or isinstance(value, bool):
            raise FileError(f"expected {kind.__name__}, got {value!r:.60}")
        return value

    return check


_text = _typed(str)
_whole = _typed(int)
