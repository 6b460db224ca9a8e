"""The integer program imitated in float64 with torch: what "simulated quantization" would compute with the same scales.

    y = clip(floor((conv(x, w) + b) * (m / 2^r) + 1/2), lo, hi)        everything in float64

Values are rounded where the program stores them and nowhere else; sigmoid, softmax, sine and the square root of a
LayerNorm are the real functions. It shares no arithmetic with the kernels and serves as a check on them: both decode
the same text. In float32 a product near a tie would be rounded the other way now and then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from int_kernels.int_type import IntType
from zeroq_asr.artifact import IntegerModel
from zeroq_asr.ir.ops import OPS
from zeroq_asr.ir.types import Array, Node
from zeroq_asr.runtime.integer_executor import quantize_input

Operation = Callable[[Node, Sequence[Tensor], Sequence[Tensor]], Tensor]


class SimulatedExecutor:
    """Runs an integer model in float64. The same face as `IntegerExecutor`."""

    def __init__(self, model: IntegerModel) -> None:
        self.model = model
        self._constants = {
            name: torch.tensor(array.astype(np.float64)) for name, array in model.graph.constants.items()
        }

    def run(self, features: Sequence[npt.NDArray[np.float32]]) -> list[npt.NDArray[np.float64]]:
        """features: float32 [n_mels, T_i] each -> logits float64 [V + 1, T'_i] each, on the program's logit grid."""
        return [self._run(x) for x in features]

    def tokens(self, features: Sequence[npt.NDArray[np.float32]]) -> list[npt.NDArray[np.int32]]:
        """features: float32 [n_mels, T_i] each -> token ids int32 [T'_i] each."""
        return [logits.argmax(axis=0).astype(np.int32) for logits in self.run(features)]

    def _run(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        graph = self.model.graph
        (name,) = graph.inputs
        type = graph.values[name].type
        assert isinstance(type, IntType)
        codes = quantize_input(features, self.model.input_scale, type).astype(np.float64)
        values: dict[str, Tensor] = {name: torch.from_numpy(codes)}  # [C, T] each
        for node in graph.nodes:
            if node.op != "argmax":
                values[node.output] = self._step(node, values)
        result: Array = values[graph.outputs[0]].numpy()
        return result.astype(np.float64)

    def _step(self, node: Node, values: Mapping[str, Tensor]) -> Tensor:
        count = len(node.inputs) - len(OPS["integer", node.op].constants)
        operands = [values[name] for name in node.inputs[:count]]
        constants = [self._constants[name] for name in node.inputs[count:]]
        if node.op == "lookup":
            type = self.model.graph.values[node.inputs[0]].type
            assert isinstance(type, IntType)
            return constants[0][(operands[0] - type.lo).long()]
        return _OPERATIONS[node.op](node, operands, constants)


def _rounded(node: Node, x: Tensor) -> Tensor:
    return torch.floor(x + 0.5).clamp(node.integer("lo"), node.integer("hi"))


def _real(multiplier: Tensor, shift: Tensor) -> Tensor:
    """m / 2^r as a column that meets [C, T]."""
    return (multiplier * torch.exp2(-shift))[:, None]


def _accumulate(node: Node, xs: Sequence[Tensor], constants: Sequence[Tensor]) -> Tensor:
    weight, bias = constants[:2]
    accumulator = F.conv2d(
        xs[0][None, :, None, :].contiguous(memory_format=torch.channels_last),
        weight[:, :, None, :],
        bias,
        stride=(1, node.integer("stride")),
        padding=(0, node.integer("padding")),
        dilation=(1, node.integer("dilation")),
        groups=node.integer("groups"),
    )
    return accumulator[0, :, 0]


def _conv1d(node: Node, xs: Sequence[Tensor], constants: Sequence[Tensor]) -> Tensor:
    return _rounded(node, _accumulate(node, xs, constants) * _real(*constants[2:]))


def _conv2d(node: Node, xs: Sequence[Tensor], constants: Sequence[Tensor]) -> Tensor:
    weight, bias, multiplier, shift = constants
    stride, padding = ((node.integer(f"{name}_h"), node.integer(f"{name}_t")) for name in ("stride", "padding"))
    maps = xs[0].reshape(1, -1, node.integer("height"), xs[0].shape[1])
    accumulator = F.conv2d(maps, weight, bias, stride, padding, groups=node.integer("groups"))[0]  # [O, H', T']
    return _rounded(node, accumulator * _real(multiplier, shift)[:, :, None]).flatten(0, 1)


def _sum(node: Node, xs: Sequence[Tensor], constants: Sequence[Tensor]) -> Tensor:
    multipliers, shift = constants[:2]
    total = sum(x * _real(multiplier, shift) for x, multiplier in zip(xs, multipliers, strict=True))
    assert isinstance(total, Tensor)
    return _rounded(node, total + _real(constants[2], shift) if len(constants) > 2 else total)


def _mean(node: Node, xs: Sequence[Tensor], constants: Sequence[Tensor]) -> Tensor:
    return _rounded(node, xs[0].mean(dim=1, keepdim=True) * _real(*constants))


def _activation(node: Node, xs: Sequence[Tensor], constants: Sequence[Tensor]) -> Tensor:
    kind = node.attrs["kind"]
    u = [x * _real(m, r) / 1024 for x, m, r in zip(xs, *constants, strict=True)]
    functions: dict[str, Callable[[], Tensor]] = {
        "sigmoid": lambda: torch.sigmoid(u[0]),
        "tanh": lambda: torch.tanh(u[0] / 2),  # the multiplier carries a factor 2
        "swish": lambda: 1024 * F.silu(u[0]),
        "gelu": lambda: 1024 * F.gelu(u[0]),
        "glu": lambda: 1024 * u[0] * torch.sigmoid(u[1]),
    }
    value = 32768 * functions[str(kind)]()
    scaled = value * (node.integer("out_multiplier") * 2.0 ** -node.integer("out_shift"))
    return _rounded(node, scaled + node.integer("offset"))


def _layer_norm(node: Node, xs: Sequence[Tensor], constants: Sequence[Tensor]) -> Tensor:
    multipliers, shift, offset = constants
    channels = xs[0].shape[0]
    eps = node.integer("epsilon") / 2**12 / channels**2  # in squared codes
    z = F.layer_norm(xs[0].T, (channels,), eps=eps).T * 2**14
    return _rounded(node, z * _real(multipliers, shift) + _real(offset, shift))


def _positions(node: Node, xs: Sequence[Tensor], constants: Sequence[Tensor]) -> Tensor:
    pairs, frames = constants[0].shape[1], xs[0].shape[1]
    rates = 10000.0 ** (-torch.arange(pairs, dtype=torch.float64) / pairs)
    angles = rates[:, None] * torch.arange(frames - 1, -frames, -1, dtype=torch.float64)
    return torch.floor(127 * torch.stack((angles.sin(), angles.cos()), dim=1).flatten(0, 1) + 0.5)


def _attention(node: Node, xs: Sequence[Tensor], constants: Sequence[Tensor]) -> Tensor:
    content, position, multiplier, shift = constants
    heads, frames = node.integer("heads"), xs[0].shape[1]
    qu, qv, k, v, p = (x.reshape(heads, -1, x.shape[1]) for x in xs)  # [H, dk, T]
    octaves = 2.0 ** -(node.integer("score_shift") + 16)
    relative = torch.arange(frames) - torch.arange(frames)[:, None] + frames - 1  # T - 1 - i + j
    by_position = (qv.transpose(1, 2) @ p).gather(2, relative.expand(heads, -1, -1))
    scores = qu.transpose(1, 2) @ k * content[:, None, None] + by_position * position[:, None, None]
    weights = torch.softmax(scores * (octaves * math.log(2)), dim=2)
    mean = (v @ weights.transpose(1, 2)).flatten(0, 1)
    return _rounded(node, 2**15 * mean * _real(multiplier, shift))


_OPERATIONS: Mapping[str, Operation] = {
    "conv1d": _conv1d,
    "accumulate": _accumulate,
    "conv2d": _conv2d,
    "sum": _sum,
    "rescale": _sum,
    "multiply": lambda node, xs, constants: xs[0] * xs[1],
    "mean": _mean,
    "activation": _activation,
    "layer_norm": _layer_norm,
    "positions": _positions,
    "attention": _attention,
}
