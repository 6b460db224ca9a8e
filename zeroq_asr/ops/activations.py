"""sigmoid, tanh, swish, gelu and glu: second-order polynomials on accumulators, or exact tables of codes.

poly2   u = S_x x in 1/1024 (one rounding), then the polynomial kernel, then m / 2^r ~ (step of the kernel) / S_y
lut     y = table[x]; a GLU is table[b] in 1/32768 times a, rounded once
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from int_kernels import Activation as ActivationStep
from int_kernels import Lookup as LookupStep
from int_kernels.int_type import INT16
from zeroq_asr.ir.types import Graph, Node
from zeroq_asr.ops.base import Op, one_factor
from zeroq_asr.ops.lowering import Lowering, Operand, clip_of
from zeroq_asr.ops.moments import ChannelMoments, Reals
from zeroq_asr.ops.signals import Signal
from zeroq_asr.ops.simulation import dyadic_column, rounded
from zeroq_asr.quant.elementwise import REAL, lookup_table
from zeroq_asr.quant.fit_dyadic import fit_dyadic
from zeroq_asr.quant.qparams import GATE

if TYPE_CHECKING:
    from torch import Tensor

    from zeroq_asr.exporters.onnx_body import OnnxBody

_ONE = 1 << 10
"""1.0 of an activation's argument."""

_STEP = {"sigmoid": 2.0**-15, "tanh": 2.0**-15, "swish": 2.0**-25, "gelu": 2.0**-25}
"""What 1 stands for in the kernel's result before the last rounding. That of a GLU depends on its first factor."""

_GUARD_BITS = 7
"""The free factor of a GLU keeps this many bits below a code of its result; |a| may be 512 codes."""


class _Activation(Op):
    """What all five share: how they are lowered."""

    is_activation = True

    def lower(self, state: Lowering, node: Node, name: str, relu: bool) -> None:
        """As `config.nonlinear` asks."""
        if state.config.nonlinear == "poly2":
            _lower_polynomial(state, node, self.is_nonnegative)
        elif self.operands == 2:
            _lower_glu_table(state, node)
        else:
            _lower_table(state, node)

    def moments(
        self, graph: Graph, node: Node, operands: Sequence[ChannelMoments], constants: Sequence[Reals]
    ) -> ChannelMoments:
        return operands[0].through(REAL[self.name])


class Sigmoid(_Activation):
    """1 / (1 + exp(-x))."""

    name = "sigmoid"
    meaning = "1 / (1 + exp(-x))"
    is_nonnegative = True

    def forward(self, node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
        return Signal(operands[0].data.sigmoid(), operands[0].lengths)

    def to_onnx(self, body: OnnxBody, node: Node) -> None:
        body.emit("Sigmoid", list(node.inputs), node.output)


class Tanh(_Activation):
    """tanh(x)."""

    name = "tanh"
    meaning = "tanh(x)"

    def forward(self, node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
        return Signal(operands[0].data.tanh(), operands[0].lengths)

    def to_onnx(self, body: OnnxBody, node: Node) -> None:
        body.emit("Tanh", list(node.inputs), node.output)


class Swish(_Activation):
    """x sigmoid(x) (Ramachandran et al. 2017)."""

    name = "swish"
    meaning = "x * sigmoid(x)"
    is_heavy_tailed = True

    def forward(self, node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
        from torch.nn import functional as F

        return Signal(F.silu(operands[0].data), operands[0].lengths)

    def to_onnx(self, body: OnnxBody, node: Node) -> None:
        _gate_onnx(body, node)


class Gelu(_Activation):
    """x Phi(x), Phi the normal distribution function (Hendrycks and Gimpel 2016)."""

    name = "gelu"
    meaning = "x * Phi(x), Phi the normal distribution function"
    is_heavy_tailed = True

    def forward(self, node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
        from torch.nn import functional as F

        return Signal(F.gelu(operands[0].data), operands[0].lengths)

    def to_onnx(self, body: OnnxBody, node: Node) -> None:
        x, y = node.inputs[0], node.output
        inner = body.emit("Mul", [x, body.constant(f"{y}.root", math.sqrt(0.5))], f"{y}.inner")
        one = body.constant(f"{y}.one", 1.0)
        normal = body.emit("Add", [body.emit("Erf", [inner], f"{y}.erf"), one], f"{y}.normal")
        half = body.emit("Mul", [x, body.constant(f"{y}.half", 0.5)], f"{y}.halved")
        body.emit("Mul", [half, normal], y)


class Glu(_Activation):
    """x_1 sigmoid(x_2) (Dauphin et al. 2017)."""

    name = "glu"
    meaning = "x_1 * sigmoid(x_2)"
    operands = 2
    is_heavy_tailed = True

    def factor_ties(self, node: Node) -> Sequence[Mapping[str, int]]:
        return one_factor(node, 1)

    def forward(self, node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
        return Signal(operands[0].data * operands[1].data.sigmoid(), operands[0].lengths)

    def moments(
        self, graph: Graph, node: Node, operands: Sequence[ChannelMoments], constants: Sequence[Reals]
    ) -> ChannelMoments:
        return operands[0].times(operands[1].through(REAL["sigmoid"]))

    def to_onnx(self, body: OnnxBody, node: Node) -> None:
        _gate_onnx(body, node)


def _gate_onnx(body: OnnxBody, node: Node) -> None:
    """swish(x) = x sigmoid(x), glu(a, b) = a sigmoid(b)."""
    gate = body.emit("Sigmoid", [node.inputs[-1]], f"{node.output}.gate")
    body.emit("Mul", [node.inputs[0], gate], node.output)


def _lower_polynomial(state: Lowering, node: Node, nonnegative: bool) -> None:
    name, params = node.output, state.code(node.output)
    channels = state.channels(name)
    operands = [state.operand(operand) for operand in node.inputs]
    ratios = [operand.scales * _ONE for operand in operands]
    if node.op == "tanh":
        ratios[0] = 2 * ratios[0]  # tanh(x) = 2 sigmoid(2 x) - 1
    if node.op == "glu":
        guard = _GUARD_BITS if params.type.is_code else 0
        ratios[0] = operands[0].scales / params.scales(channels) * 2.0**guard
        unit = 2.0 ** -(15 + guard)
    else:
        unit = _STEP[node.op] / state.qparams[name].scale
    result = fit_dyadic(name, np.array([unit]))
    step = ActivationStep(
        node.op,
        tuple(operand.name for operand in operands),
        name,
        tuple(fit_dyadic(name, ratio) for ratio in ratios),
        int(result.multiplier[0]),
        int(result.shift[0]),
        params.offset,
        clip_of(params, relu=nonnegative),
        origin=node.origin,
    )
    state.emit(step, channels, params.type)


def _lower_table(state: Lowering, node: Node) -> None:
    name, params = node.output, state.code(node.output)
    table = lookup_table(name, node.op, state.code(node.inputs[0]), params)
    state.emit(LookupStep(node.inputs[0], name, table, origin=node.origin), state.channels(name), params.type)


def _lower_glu_table(state: Lowering, node: Node) -> None:
    factor, gate = node.inputs
    name, channels = node.output, state.channels(node.output)
    table = lookup_table(name, "sigmoid", state.code(gate), GATE)
    sigma = Operand(f"{name}.gate", GATE.scales(channels), [INT16.hi] * channels)
    state.emit(LookupStep(gate, sigma.name, table, origin=node.origin), channels, INT16)
    product = state.emit_product(state.operand(factor), sigma, f"{name}.product", node.origin)
    state.emit_sum([product], name, node.origin, relu=False)


def simulate(step: ActivationStep, xs: Sequence[Tensor]) -> Tensor:
    """The integer step in float64, with the real function."""
    from torch.nn import functional as F

    u = [x * dyadic_column(r.multiplier, r.shift) / _ONE for x, r in zip(xs, step.rescales, strict=True)]
    functions: dict[str, Callable[[], Tensor]] = {
        "sigmoid": lambda: u[0].sigmoid(),
        "tanh": lambda: (u[0] / 2).tanh(),  # the multiplier carries a factor 2
        "swish": lambda: _ONE * F.silu(u[0]),
        "gelu": lambda: _ONE * F.gelu(u[0]),
        "glu": lambda: _ONE * u[0] * u[1].sigmoid(),
    }
    value = 32768 * functions[step.kind]()
    return rounded(value * (step.multiplier * 2.0**-step.shift) + step.offset, step.clip)


def simulate_lookup(step: LookupStep, xs: Sequence[Tensor], lowest: int) -> Tensor:
    """table[x - lo], exact; lowest: lo of x's type."""
    import torch

    return torch.tensor(step.table.astype(np.float64))[(xs[0] - lowest).long()]


OPS = (Sigmoid(), Tanh(), Swish(), Gelu(), Glu())
SIMULATIONS = {ActivationStep: simulate}
