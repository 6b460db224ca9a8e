"""Modules of a NeMo checkpoint as nodes of a float graph. Each method adds one module, named by its path.

Every value is [B, C, T]. A linear layer is a convolution of kernel 1; a feature map is [B, C * H, T] with row h of map
c at channel c * H + h.
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
    """Parameters of a convolution over time; `masked`: the padding of a batch beyond a row's end counts as zero."""

    stride: int = 1
    dilation: int = 1
    padding: int = 0
    groups: int = 1
    masked: bool = False


@dataclass(frozen=True)
class TensorRef:
    """A value of the graph: its name and its channels; for a feature map `height` is the rows of each map, else 1."""

    name: str
    channels: int
    height: int = 1


class NemoGraphBuilder:
    """Builds a float graph out of the tensors of a checkpoint.

    eps: of normalisation layers of a live model, by module path; the other layers use the eps that the caller gives.
    Methods raise CheckpointError for a tensor that is missing or has another shape or dtype.
    """

    def __init__(self, tensors: TensorSource, eps: Mapping[str, float]) -> None:
        self.tensors = tensors
        self._eps = eps
        self._graph = GraphBuilder()

    def input(self, features: int) -> TensorRef:
        """Declare the graph's input."""
        return TensorRef(self._graph.input("mel", features), features)

    def build(self) -> Graph:
        """Return the finished graph. Raises UnsupportedModelError when a tensor was not used."""
        self.tensors.finish()
        return self._graph.build(("logits",))

    def constant(self, name: str, array: Array) -> str:
        """Store an array under `name`; return the name."""
        return self._graph.constant(name, array)

    def conv1d(
        self,
        path: str,
        x: TensorRef,
        weight: Array,
        bias: Array | None = None,
        geometry: Geometry = Geometry(),
        name: str | None = None,
    ) -> TensorRef:
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
        return TensorRef(made, channels)

    def linear(self, path: str, x: TensorRef, channels: int, bias: bool, name: str | None = None) -> TensorRef:
        """Add a linear layer over channels, stored as [C_out, C_in]."""
        weight = self.tensors.take(f"{path}.weight", (channels, x.channels))
        taken = self.tensors.take(f"{path}.bias", (channels,)) if bias else None
        return self.conv1d(path, x, weight[:, :, None], taken, name=name)

    def conv2d(
        self, path: str, x: TensorRef, maps: int, kernel: int, stride: int, padding: int, groups: int
    ) -> TensorRef:
        """Add a masked convolution over rows and time with a bias.

        kernel, stride and padding are the same along both axes; the checkpoint stores the weight as [O, C, time, rows].
        """
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
        return TensorRef(path, maps * height, height)

    def batch_norm(self, path: str, x: TensorRef, eps: float, order: Array | None = None) -> TensorRef:
        """Add a batch norm whose channels are reordered by `order`. Raises CheckpointError for a negative variance."""
        names = []
        for part in ("running_mean", "running_var", "weight", "bias"):
            array = self.tensors.take(f"{path}.{part}", (x.channels,))
            if part == "running_var" and array.min() < 0:
                raise CheckpointError(f"tensor '{path}.{part}': expected variances of 0 or more, got {array.min():g}")
            names.append(self.constant(f"{path}.{part}", array if order is None else array[order]))
        self.tensors.discard(f"{path}.num_batches_tracked")
        return self.node("batch_norm", path, x, *names, eps=self._eps.get(path, eps))

    def layer_norm(self, path: str, x: TensorRef, eps: float) -> TensorRef:
        """Add a layer norm over channels."""
        names = []
        for part in ("weight", "bias"):
            names.append(self.constant(f"{path}.{part}", self.tensors.take(f"{path}.{part}", (x.channels,))))
        return self.node("layer_norm", path, x, *names, eps=self._eps.get(path, eps))

    def node(
        self, op: str, name: str, x: TensorRef, *others: str, origin: str | None = None, **attrs: int | float
    ) -> TensorRef:
        """Add a node that reads `x` and `others` (values or constants) and keeps x's channels."""
        made = self._graph.node(op, (x.name, *others), name, x.channels, origin=origin, **attrs)
        return TensorRef(made, x.channels, x.height)
