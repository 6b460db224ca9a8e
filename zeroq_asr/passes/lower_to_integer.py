"""Lower a float graph to the integer dialect: afterwards no scale is left.

Given:
    a = conv1d(x, weight, bias)            b = conv1d(y, ...)
    z = relu(add(a, b))                    S_x, S_y, S_z known
Result:
    a = accumulate(x, qw, qb)              int32, at the scale S_x * S_w[c]
    b = accumulate(y, ...)
    z = sum(a, b; m, r) lo=0               one rounding for both branches, the ReLU is the clip

A convolution that nobody adds to becomes one `conv1d` with its own multiplier and shift. The last convolution's
channels are brought to one common int32 grid on which they can be compared; `argmax` reads them there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from int_kernels.bounds import accumulator_bounds
from int_kernels.int_type import IntType
from zeroq_asr.analyses.code_values import find_code_values, is_private_accumulator
from zeroq_asr.config import QuantizeConfig
from zeroq_asr.errors import GraphError, QuantizationError
from zeroq_asr.ir.types import Array, Attribute, Graph, Node, Value
from zeroq_asr.ir.verify import verify
from zeroq_asr.passes.fold_batchnorm import ESTABLISHES as NO_BATCH_NORM
from zeroq_asr.quant.fit_dyadic import fit_common_shift, fit_dyadic
from zeroq_asr.quant.qparams import QuantParams
from zeroq_asr.quant.weights import quantize_conv

INT32 = IntType(32, signed=True)
TOKENS = "tokens"

_LOGIT_BITS = 24
"""Logits get the finest grid on which the proved bound of every channel stays within this many bits."""


def lower_to_integer(graph: Graph, qparams: dict[str, QuantParams], config: QuantizeConfig) -> Graph:
    """Return the integer graph with outputs (logits, tokens). Raises GraphError, QuantizationError."""
    if NO_BATCH_NORM not in graph.facts:
        raise GraphError("lower_to_integer: needed a graph without BatchNorms; run fold_batchnorm first")
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise GraphError(f"lower_to_integer: needed one input and one output, came {graph.inputs} and {graph.outputs}")
    lowering = _Lowering(graph, qparams, config)
    for name in find_code_values(graph):
        lowering.lower_value(name)
    lowering.lower_logits(graph.outputs[0])
    result = Graph(
        "integer",
        graph.inputs,
        (graph.outputs[0], TOKENS),
        tuple(lowering.nodes),
        lowering.values,
        lowering.constants,
        frozenset({"no-scale"}),
    )
    verify(result)
    return result


@dataclass
class _Lowering:
    graph: Graph
    qparams: dict[str, QuantParams]
    config: QuantizeConfig
    nodes: list[Node] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    constants: dict[str, Array] = field(default_factory=dict)

    def lower_value(self, name: str) -> None:
        """Emit the nodes that make the codes of `name`."""
        params = self.qparams[name]
        node, relu = self._beneath_relu(name)
        clip = {"lo": 0 if relu else params.type.lo, "hi": params.type.hi}
        if node is None:
            self._declare(name, params.type)
        elif node.op == "conv1d":
            weight, bias, scales, _ = self._quantized(node)
            dyadic = fit_dyadic(node.output, scales / params.scale)
            inputs = self._store(node, weight=weight, bias=bias, multiplier=dyadic.multiplier, shift=dyadic.shift)
            self._emit(Node("conv1d", inputs, name, {**self._attrs(node), **clip}, node.origin), params.type)
        elif node.op == "add":
            self._lower_sum(node, name, params, clip)
        else:
            raise GraphError(f"node {node.output!r}: {node.op!r} has no integer form before a ReLU")

    def lower_logits(self, name: str) -> None:
        """Emit the head: every channel on one int32 grid, then the argmax."""
        node = self.graph.producer(name)
        if node is None or node.op != "conv1d":
            raise GraphError(
                f"output {name!r}: needed a convolution as the last node, found {node.op if node else 'the input'!r}"
            )
        weight, bias, scales, magnitudes = self._quantized(node)
        largest = max(float(scale) * magnitude for scale, magnitude in zip(scales, magnitudes, strict=True))
        grid = largest / (2 ** (_LOGIT_BITS - 1) - 1) if largest > 0 else 1.0
        dyadic = fit_dyadic(node.output, scales / grid)
        inputs = self._store(node, weight=weight, bias=bias, multiplier=dyadic.multiplier, shift=dyadic.shift)
        attrs = {**self._attrs(node), "lo": INT32.lo, "hi": INT32.hi}
        self._emit(Node("conv1d", inputs, name, attrs, node.origin), INT32)
        self.values[TOKENS] = Value(TOKENS, 1, INT32)
        self.nodes.append(Node("argmax", (name,), TOKENS, {}, node.origin))

    def _lower_sum(self, add: Node, name: str, params: QuantParams, clip: dict[str, int]) -> None:
        branches, ratios, magnitudes = [], [], []
        for operand in add.inputs:
            if is_private_accumulator(self.graph, operand):
                node = self.graph.producer(operand)
                assert node is not None
                weight, bias, scales, bound = self._quantized(node)
                inputs = self._store(node, weight=weight, bias=bias)
                self._emit(Node("accumulate", inputs, operand, self._attrs(node), node.origin), INT32)
                ratios.append(scales / params.scale)
            else:
                code = self.qparams[operand]
                bound = [max(-code.type.lo, code.type.hi)] * self.graph.values[operand].channels
                ratios.append(np.full(len(bound), code.scale / params.scale))
            branches.append(operand)
            magnitudes.append(bound)
        multipliers, shift = fit_common_shift(add.output, np.stack(ratios), magnitudes)
        constants = self._store(add, multipliers=multipliers, shift=shift)[1:]
        self._emit(Node("sum", (*branches, *constants), name, clip, add.origin), params.type)

    def _beneath_relu(self, name: str) -> tuple[Node | None, bool]:
        """Return the node under an optional ReLU, and whether there is one."""
        node = self.graph.producer(name)
        if node is None or node.op != "relu":
            return node, False
        beneath = self.graph.producer(node.inputs[0])
        if beneath is None:
            raise GraphError(f"node {name!r}: a ReLU of the graph input has no integer form")
        return beneath, True

    def _quantized(
        self, node: Node
    ) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int32], npt.NDArray[np.float64], list[int]]:
        """Return weight, bias, accumulator scale [C_out] and the proved largest |accumulator| per output channel."""
        code = self.qparams[node.inputs[0]]
        weight = self.graph.constants[node.inputs[1]].astype(np.float32)
        bias = self.graph.constants[node.inputs[2]].astype(np.float32) if len(node.inputs) > 2 else None
        per_tensor = self.config.granularity == "per-tensor"
        conv = quantize_conv(node.output, weight, bias, code.scale, self.config.bits, per_tensor)
        lo, hi = accumulator_bounds(conv.weight, conv.bias, code.type)
        magnitudes = [max(-int(a), int(b), 0) for a, b in zip(lo, hi, strict=True)]
        if max(magnitudes) > INT32.hi:
            raise QuantizationError(
                f"node {node.output!r}: its accumulator could reach {max(magnitudes):,}, int32 holds {INT32.hi:,}; "
                "use fewer --bits or --act-bits"
            )
        return conv.weight, conv.bias, code.scale * conv.weight_scale, magnitudes

    def _attrs(self, node: Node) -> dict[str, Attribute]:
        geometry = {name: node.attrs[name] for name in ("stride", "dilation", "padding", "groups")}
        return {**geometry, "bits": self.config.bits}

    def _store(self, node: Node, **arrays: Array) -> tuple[str, ...]:
        """Store the constants of `node` and return its inputs: the operand, then the constants in order."""
        names = tuple(f"{node.output}.{role}" for role in arrays)
        self.constants.update(zip(names, arrays.values(), strict=True))
        return (node.inputs[0], *names)

    def _declare(self, name: str, type: IntType) -> None:
        self.values[name] = Value(name, self.graph.values[name].channels, type)

    def _emit(self, node: Node, type: IntType) -> None:
        self._declare(node.output, type)
        self.nodes.append(node)
