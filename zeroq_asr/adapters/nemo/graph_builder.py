"""Modules of a checkpoint as nodes of a float graph: each method adds one module, named by its path.

Linear layers are convolutions with one tap: a value is always [B, C, T]. Feature maps are [B, C * H, T], row c * H + h.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from zeroq_asr.adapters.nemo.tensors import TensorSource
from zeroq_asr.errors import CheckpointError
from zeroq_asr.ir import Array, Graph
from zeroq_asr.ops import GraphBuilder


@dataclass(frozen=True)
class Geometry:
    """Of a convolution over time; `masked`: what lies beyond a row's end in a padded batch counts as zero."""

    stride: int = 1
    dilation: int = 1
    padding: int = 0
    groups: int = 1
    masked: bool = False


@dataclass(frozen=True)
class Stream:
    """A value in the graph and its channel count; `height` is above 1 for feature maps."""

    name: str
    channels: int
    height: int = 1


class Parts:
    """A graph in the making, the tensors it takes and, by module path, the eps of a live model's normalisations."""

    def __init__(self, tensors: TensorSource, eps: Mapping[str, float]) -> None:
        self.tensors = tensors
        self._eps = eps
        self._graph = GraphBuilder()

    def input(self, features: int) -> Stream:
        """Declare the graph's input."""
        return Stream(self._graph.input("mel", features), features)

    def build(self) -> Graph:
        """Return the finished graph. Raises UnsupportedModelError when tensors are left over."""
        self.tensors.finish()
        return self._graph.build(("logits",))

    def constant(self, name: str, array: Array) -> str:
        """Store an array; return its name."""
        return self._graph.constant(name, array)

    # ---- convolutions --------------------------------------------------------------------------------------------

    def conv1d(
        self,
        path: str,
        x: Stream,
        weight: Array,
        bias: Array | None = None,
        geometry: Geometry = Geometry(),
        name: str | None = None,
    ) -> Stream:
        """Add a convolution over time: weight [C_out, C_in / groups, K], bias [C_out]."""
        names = [x.name, self.constant(f"{path}.weight", weight)]
        if bias is not None:
            names.append(self.constant(f"{path}.bias", bias))
        channels: int = weight.shape[0]
        made = self._graph.node(
            "conv1d",
            tuple(names),
            name or path,
            channels,
            origin=path,
            stride=geometry.stride,
            dilation=geometry.dilation,
            padding=geometry.padding,
            groups=geometry.groups,
            masked=int(geometry.masked),
        )
        return Stream(made, channels)

    def linear(self, path: str, x: Stream, channels: int, bias: bool, name: str | None = None) -> Stream:
        """Add a linear layer over channels, stored as [C_out, C_in]."""
        weight = self.tensors.take(f"{path}.weight", (channels, x.channels))
        taken = self.tensors.take(f"{path}.bias", (channels,)) if bias else None
        return self.conv1d(path, x, weight[:, :, None], taken, name=name)

    def conv2d(self, path: str, x: Stream, maps: int, kernel: int, stride: int, padding: int, groups: int) -> Stream:
        """Add a masked convolution over rows and time with bias, the same along both, stored [O, C, time, rows]."""
        inner = x.channels // x.height // groups
        weight = self.tensors.take(f"{path}.weight", (maps, inner, kernel, kernel)).transpose(0, 1, 3, 2)
        bias = self.tensors.take(f"{path}.bias", (maps,))
        height = (x.height + 2 * padding - kernel) // stride + 1
        names = (x.name, self.constant(f"{path}.weight", weight), self.constant(f"{path}.bias", bias))
        self._graph.node(
            "conv2d",
            names,
            path,
            maps * height,
            height=x.height,
            stride_h=stride,
            stride_t=stride,
            padding_h=padding,
            padding_t=padding,
            groups=groups,
            masked=1,
        )
        return Stream(path, maps * height, height)

    # ---- normalisation -------------------------------------------------------------------------------------------

    def batch_norm(self, path: str, x: Stream, eps: float, order: Array | None = None) -> Stream:
        """Add a batch norm; `order` re-orders its channels. Raises CheckpointError for a negative variance."""
        names = []
        for part in ("running_mean", "running_var", "weight", "bias"):
            array = self.tensors.take(f"{path}.{part}", (x.channels,))
            if part == "running_var" and array.min() < 0:
                raise CheckpointError(f"tensor '{path}.{part}': expected variances of 0 or more, got {array.min():g}")
            names.append(self.constant(f"{path}.{part}", array if order is None else array[order]))
        self.tensors.discard(f"{path}.num_batches_tracked")
        return self.node("batch_norm", path, x, *names, eps=self._eps.get(path, eps))

    def layer_norm(self, path: str, x: Stream, eps: float) -> Stream:
        """Add a layer norm over channels."""
        names = []
        for part in ("weight", "bias"):
            names.append(self.constant(f"{path}.{part}", self.tensors.take(f"{path}.{part}", (x.channels,))))
        return self.node("layer_norm", path, x, *names, eps=self._eps.get(path, eps))

    # ---- everything else -----------------------------------------------------------------------------------------

    def node(
        self, op: str, name: str, x: Stream, *others: str, origin: str | None = None, **attrs: int | float
    ) -> Stream:
        """Add a node that reads `x` and `others` (values or constants) and keeps x's channels."""
        made = self._graph.node(op, (x.name, *others), name, x.channels, origin=origin, **attrs)
        return Stream(made, x.channels, x.height)
