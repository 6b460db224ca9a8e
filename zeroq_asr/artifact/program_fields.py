"""Steps as plain values and named arrays, and back: what format version 3 stores of a program.

A step is its dataclass: numbers, words and names go into the header; arrays, those inside a `Dyadic` included, become
tensors called `<y>:<field>`, e.g. "encoder.0.conv:weight", "encoder.0.conv:rescale.multiplier". Nothing here knows a
particular operation.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from int_kernels import OPS, Dyadic, Step
from zeroq_asr.errors import FileError

Fields = dict[str, Any]
Arrays = dict[str, np.ndarray[Any, Any]]
TakeArray = Callable[[str], Any]
"""Name of a tensor -> its content, or None where the file has none."""


def _names_and_defaults(step: Any) -> dict[str, Any]:
    """Field -> default value, of a step or of a class of steps."""
    return {field.name: field.default for field in dataclasses.fields(step)}


def step_fields(step: Step) -> tuple[Fields, Arrays]:
    """Return the header's entry of a step and its arrays by their names in the file. Defaults are not written."""
    defaults = _names_and_defaults(step)
    fields = {name: value for name, value in plain_fields(step).items() if value != defaults[name]}
    arrays = {
        f"{step.y}:{name}{suffix}": array for name in defaults for suffix, array in _arrays_in(getattr(step, name))
    }
    return {"op": step.name, **fields}, arrays


def plain_fields(step: Step) -> Fields:
    """Return the fields of a step that are numbers, words, names or tuples of these."""
    values = {name: getattr(step, name) for name in _names_and_defaults(step)}
    return {name: value for name, value in values.items() if value is not None and not _arrays_in(value)}


def _arrays_in(value: object) -> list[tuple[str, np.ndarray[Any, Any]]]:
    if isinstance(value, np.ndarray):
        return [("", value)]
    if isinstance(value, Dyadic):
        return [(".multiplier", value.multiplier), (".shift", value.shift)]
    if isinstance(value, tuple) and value and isinstance(value[0], Dyadic):
        return [(f".{i}{suffix}", array) for i, dyadic in enumerate(value) for suffix, array in _arrays_in(dyadic)]
    return []


def step_from_fields(fields: Mapping[str, Any], take: TakeArray) -> Step:
    """Return the step that `step_fields` described. Raises FileError, int_kernels.KernelError."""
    op, y = fields["op"], fields["y"]
    if op not in OPS:
        raise FileError(f"expected an operation ({', '.join(OPS)}), got {op!r:.60}")
    known = set(_names_and_defaults(OPS[op]))
    if unknown := fields.keys() - known - {"op"}:
        raise FileError(f"step {y!r:.60}: unknown field {sorted(map(str, unknown))[0]!r:.60}")
    values: Fields = {}
    for name in known:
        if name in fields:
            given = fields[name]
            values[name] = tuple(given) if isinstance(given, list) else given
        elif (found := _take(f"{y}:{name}", take)) is not None:
            values[name] = found
    try:
        return OPS[op](**values)
    except TypeError as error:
        raise FileError(f"step {y!r:.60}: {error}") from error


def _take(name: str, take: TakeArray) -> Any:
    """The array, the Dyadic or the tuple of Dyadics that the file has under `name`; None where it has none."""
    if (array := take(name)) is not None:
        return array
    if (dyadic := _take_dyadic(name, take)) is not None:
        return dyadic
    several: list[Dyadic] = []
    while (dyadic := _take_dyadic(f"{name}.{len(several)}", take)) is not None:
        several.append(dyadic)
    return tuple(several) or None


def _take_dyadic(name: str, take: TakeArray) -> Dyadic | None:
    multiplier, shift = take(f"{name}.multiplier"), take(f"{name}.shift")
    if multiplier is None and shift is None:
        return None
    return Dyadic(multiplier, shift)
