"""Reading integer models of every format version, without torch and without NeMo."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from int_kernels import IntType, Program, ValueSpec, unpack
from int_kernels.errors import KernelError
from zeroq_asr.artifact.graph_steps import steps_of_graph
from zeroq_asr.artifact.model import IntegerModel, check_model
from zeroq_asr.artifact.program_fields import step_from_fields
from zeroq_asr.artifact.writer import FORMAT, KEY, VERSION
from zeroq_asr.errors import FileError, ZeroqError
from zeroq_asr.frontend.spec import FrontendSpec
from zeroq_asr.ir.types import Array
from zeroq_asr.tensor_file import TensorFile, open_tensors

_MAX_CONSTANT_ELEMENTS = 1 << 31

Document = Mapping[str, Any]
T = TypeVar("T")


def load_model(path: str | Path) -> IntegerModel:
    """Read a model file of format version 1 to 3; building its program proves it.

    Raises FileError: missing, damaged, of another format or version, or with a program that breaks a rule.
    """
    with open_tensors(path) as file:
        if KEY not in file.metadata:
            raise FileError(
                f"{path}: expected a quantized model, got a safetensors file of another kind; "
                "make one with `python -m zeroq_asr.quantize`"
            )
        return _load(path, file)


def read_safetensors(path: str | Path) -> tuple[dict[str, str], dict[str, Array]]:
    """Return the metadata and the tensors of a safetensors file. Raises FileError."""
    with open_tensors(path) as file:
        return dict(file.metadata), {name: file.read(name) for name in file.names}


def _load(path: str | Path, file: TensorFile) -> IntegerModel:
    try:
        document = json.loads(file.metadata[KEY])
        if document["format"] != FORMAT or _whole(document["version"]) not in _READERS:
            raise FileError(
                f"expected format version 1 to {VERSION}, got {document['version']!r}; quantize the model again with "
                "this version"
            )
        scale = document["input_scale"]
        if not (isinstance(scale, float) and math.isfinite(scale) and scale > 0):
            raise FileError(f"input_scale: expected a positive number, got {scale!r}")
        if not isinstance(document["provenance"], dict):
            raise FileError("provenance: expected a table")
        frontend = FrontendSpec.from_json(document["frontend"])
        vocabulary = tuple(_text(token) for token in document["vocabulary"])
        program = _READERS[document["version"]](document, file)
        return check_model(IntegerModel(program, scale, frontend, vocabulary, document["provenance"]))
    except (ZeroqError, KernelError) as error:
        raise FileError(f"{path}: not a valid model: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError, OverflowError) as error:
        raise FileError(
            f"{path}: not a valid model: its header is damaged ({type(error).__name__}: {error})"
        ) from error


def _read_program(document: Document, file: TensorFile) -> Program:
    """Version 3: the header lists the program's steps."""
    body = document["program"]
    constants, taken = _constants(body["constants"], file), set[str]()

    def take(name: str) -> Array | None:
        taken.add(name)
        return constants.get(name)

    steps = tuple(step_from_fields(fields, take) for fields in body["steps"])
    if unused := constants.keys() - taken:
        raise FileError(f"constant {sorted(unused)[0]!r:.60}: no step has a field of this name")
    return Program(_values(body["values"]), steps, _text(body["input"]), tuple(map(_text, body["outputs"])))


def _read_graph(document: Document, file: TensorFile) -> Program:
    """Versions 1 and 2: the header lists the nodes of an integer graph. Version 2 knows more operations."""
    body = document["graph"]
    steps = steps_of_graph(body["nodes"], _constants(body["constants"], file))
    (source,) = body["inputs"]
    return Program(_values(body["values"]), steps, _text(source), tuple(map(_text, body["outputs"])))


_READERS: Mapping[int, Callable[[Document, TensorFile], Program]] = {1: _read_graph, 2: _read_graph, 3: _read_program}


def _values(entries: Any) -> tuple[ValueSpec, ...]:
    return tuple(
        ValueSpec(_text(name), _whole(channels), IntType.from_name(_text(type_name)))
        for name, channels, type_name in entries
    )


def _constants(entries: Document, file: TensorFile) -> dict[str, Array]:
    if set(entries) != set(file.names):
        raise FileError("the constants in the header and in the body differ")
    return {name: _constant(name, entry, file.read(name)) for name, entry in entries.items()}


def _constant(name: str, entry: Document, stored: Array) -> Array:
    shape = tuple(_whole(size) for size in entry["shape"])
    count = math.prod(shape)
    if not (all(size >= 1 for size in shape) and 1 <= count <= _MAX_CONSTANT_ELEMENTS):
        raise FileError(f"constant {name!r}: shape {shape} is out of bounds")
    if entry["type"] == "int64":
        return _stored(name, "int64", shape, stored, np.dtype(np.int64))
    type = IntType.from_name(_text(entry["type"]))
    if type.bits < 8:
        if stored.dtype != np.uint8:
            raise FileError(f"constant {name!r}: expected packed codes in uint8, got {stored.dtype}")
        codes = unpack(stored.astype(np.uint8, copy=False), type, count)
        codes.flags.writeable = False  # so that no reader needs a copy of its own
        return codes.reshape(shape)
    return _stored(name, type.name, shape, stored, type.storage)


def _stored(name: str, type: str, shape: tuple[int, ...], stored: Array, dtype: np.dtype[Any]) -> Array:
    if stored.dtype != dtype or stored.shape != shape:
        raise FileError(f"constant {name!r}: expected {type} {shape}, got {stored.dtype} {stored.shape}")
    return stored


def _typed(kind: type[T]) -> Callable[[Any], T]:
    def check(value: Any) -> T:
        if not isinstance(value, kind) or isinstance(value, bool):
            raise FileError(f"expected {kind.__name__}, got {value!r:.60}")
        return value

    return check


_text = _typed(str)
_whole = _typed(int)
