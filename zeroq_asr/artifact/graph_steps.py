"""Steps of format versions 1 and 2, which stored a program as the nodes of an integer graph.

A node is [op, inputs, output, attributes, origin]. Its inputs are values, followed by constants in a fixed order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from int_kernels import (
    Activation,
    Argmax,
    Attention,
    Conv1d,
    Conv2d,
    Dyadic,
    LayerNorm,
    Lookup,
    Mean,
    Multiply,
    Positions,
    Step,
    Sum,
)
from zeroq_asr.errors import FileError
from zeroq_asr.ir.types import Array


@dataclass(frozen=True)
class _Node:
    """One node: the values it reads, its constants by role, its attributes."""

    xs: tuple[str, ...]
    y: str
    constants: Mapping[str, Any]
    attrs: Mapping[str, Any]
    origin: str
    layer: str

    @property
    def clip(self) -> tuple[int, int]:
        return self.attrs["lo"], self.attrs["hi"]

    @property
    def rescale(self) -> Dyadic:
        return Dyadic(self.constants["multiplier"], self.constants["shift"])


def steps_of_graph(nodes: Sequence[Any], constants: Mapping[str, Array]) -> tuple[Step, ...]:
    """Return the steps that the nodes of a version 1 or 2 header stand for.

    Raises FileError, int_kernels.KernelError; what is missing or of a wrong type raises what Python raises.
    """
    return tuple(_step(op, inputs, y, attrs, origin, constants) for op, inputs, y, attrs, origin in nodes)


def _step(
    op: str, inputs: Sequence[str], y: str, attrs: Mapping[str, Any], origin: str, every: Mapping[str, Array]
) -> Step:
    if op not in _STEPS:
        raise FileError(f"node {y!r:.60}: expected an operation ({', '.join(_STEPS)}), got {op!r:.60}")
    roles, make = _STEPS[op]
    count = len(inputs) - len(roles)
    if count < 1:
        raise FileError(f"node {y!r:.60} ({op}): expected operands and the constants {roles}, got {inputs!r:.60}")
    for name, value in attrs.items():
        if not isinstance(value, int | str) or isinstance(value, bool):
            raise FileError(f"node {y!r:.60} ({op}) {name:.60}: expected an integer, got {value!r:.60}")
    constants = {role: every[name] for role, name in zip(roles, inputs[count:], strict=True)}
    layer = inputs[count].removesuffix(".weight") if "weight" in roles else ""
    return make(_Node(tuple(inputs[:count]), y, constants, attrs, origin, "" if layer == y else layer))


def _conv1d(node: _Node) -> Step:
    geometry: dict[str, Any] = {name: node.attrs[name] for name in ("stride", "dilation", "padding", "groups")}
    rounding: dict[str, Any] = {"rescale": node.rescale, "clip": node.clip} if "shift" in node.constants else {}
    weight, bias = node.constants["weight"], node.constants["bias"]
    (x,) = node.xs
    return Conv1d(
        x,
        node.y,
        weight,
        bias,
        **geometry,
        **rounding,
        weight_bits=node.attrs["bits"],
        origin=node.origin,
        layer=node.layer,
    )


def _conv2d(node: _Node) -> Step:
    stride, padding = ((node.attrs[f"{name}_h"], node.attrs[f"{name}_t"]) for name in ("stride", "padding"))
    weight, bias = node.constants["weight"], node.constants["bias"]
    shape = (node.attrs["height"], stride, padding, node.attrs["groups"])
    bits, origin, layer = node.attrs["bits"], node.origin, node.layer
    (x,) = node.xs
    return Conv2d(x, node.y, weight, bias, *shape, node.rescale, node.clip, bits, origin, layer)


def _sum(node: _Node) -> Step:
    multipliers, shift = node.constants["multipliers"], node.constants["shift"]
    return Sum(node.xs, node.y, multipliers, shift, node.clip, node.constants.get("offset"), origin=node.origin)


def _multiply(node: _Node) -> Step:
    first, second = node.xs
    return Multiply((first, second), node.y, origin=node.origin)


def _mean(node: _Node) -> Step:
    (x,) = node.xs
    return Mean(x, node.y, node.rescale, node.clip, origin=node.origin)


def _lookup(node: _Node) -> Step:
    (x,) = node.xs
    return Lookup(x, node.y, node.constants["table"], origin=node.origin)


def _activation(node: _Node) -> Step:
    multiplier, shift = node.constants["multiplier"], node.constants["shift"]
    rescales = tuple(Dyadic(m, r) for m, r in zip(multiplier, shift, strict=True))
    result = (node.attrs["out_multiplier"], node.attrs["out_shift"], node.attrs["offset"], node.clip)
    return Activation(node.attrs["kind"], node.xs, node.y, rescales, *result, origin=node.origin)


def _layer_norm(node: _Node) -> Step:
    multipliers, shift, offset = (node.constants[role] for role in ("multipliers", "shift", "offset"))
    (x,) = node.xs
    return LayerNorm(x, node.y, node.attrs["epsilon"], multipliers, offset, shift, node.clip, origin=node.origin)


def _positions(node: _Node) -> Step:
    (x,) = node.xs
    return Positions(x, node.y, node.constants["fine"], node.constants["coarse"], origin=node.origin)


def _attention(node: _Node) -> Step:
    qu, qv, k, v, p = node.xs
    content, position = node.constants["content"], node.constants["position"]
    scores = (node.attrs["heads"], content, position, node.attrs["score_shift"])
    return Attention(qu, qv, k, v, p, node.y, *scores, node.rescale, node.clip, origin=node.origin)


def _argmax(node: _Node) -> Step:
    (x,) = node.xs
    return Argmax(x, node.y, origin=node.origin)


_STEPS: Mapping[str, tuple[tuple[str, ...], Callable[[_Node], Step]]] = {
    "conv1d": (("weight", "bias", "multiplier", "shift"), _conv1d),
    "accumulate": (("weight", "bias"), _conv1d),
    "conv2d": (("weight", "bias", "multiplier", "shift"), _conv2d),
    "sum": (("multipliers", "shift"), _sum),
    "rescale": (("multipliers", "shift", "offset"), _sum),
    "multiply": ((), _multiply),
    "mean": (("multiplier", "shift"), _mean),
    "lookup": (("table",), _lookup),
    "activation": (("multiplier", "shift"), _activation),
    "layer_norm": (("multipliers", "shift", "offset"), _layer_norm),
    "positions": (("fine", "coarse"), _positions),
    "attention": (("content", "position", "multiplier", "shift"), _attention),
    "argmax": ((), _argmax),
}
"""Operation of a version 1 or 2 node -> the roles of its constants, and what makes its step."""
