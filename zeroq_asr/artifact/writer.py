"""Writing integer models: format version 3."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from int_kernels import Conv1d, Conv2d, IntType, Step, pack
from zeroq_asr.artifact.model import IntegerModel
from zeroq_asr.artifact.program_fields import Arrays, step_fields
from zeroq_asr.files import write_atomically

FORMAT = "zeroq-asr integer model"
VERSION = 3
KEY = "zeroq"


def save_model(model: IntegerModel, path: str | Path) -> None:
    """Write `model` to `path`, atomically. Raises FileError."""
    write_atomically(path, to_bytes(model))


def to_bytes(model: IntegerModel) -> bytes:
    """Return the file's content; the same model gives the same bytes."""
    from safetensors.numpy import save

    program = model.program
    tensors: Arrays = {}
    types: dict[str, Any] = {}
    steps = []
    for step in program.steps:
        fields, arrays = step_fields(step)
        steps.append(fields)
        for name, array in arrays.items():
            type_name, tensors[name] = _stored(step, name, array)
            types[name] = {"shape": list(array.shape), "type": type_name}
    document = {
        "format": FORMAT,
        "version": VERSION,
        "program": {
            "input": program.input,
            "outputs": list(program.outputs),
            "values": [[value.name, value.channels, value.type.name] for value in program.values],
            "steps": steps,
            "constants": types,
        },
        "input_scale": model.input_scale,
        "frontend": model.frontend.to_json(),
        "vocabulary": list(model.vocabulary),
        "provenance": dict(model.provenance),
    }
    return bytes(save(tensors, {KEY: json.dumps(document, separators=(",", ":"))}))


def _stored(step: Step, name: str, array: np.ndarray[Any, Any]) -> tuple[str, np.ndarray[Any, Any]]:
    """The type that the header states and the tensor that the file holds; narrow weights are packed."""
    if isinstance(step, Conv1d | Conv2d) and name == f"{step.y}:weight" and step.weight_bits < 8:
        width = IntType(step.weight_bits, signed=True)
        return width.name, pack(array, width)
    return array.dtype.name, np.array(array)
