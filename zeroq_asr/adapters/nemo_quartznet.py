"""NeMo's ConvASREncoder and ConvASRDecoder (QuartzNet, Jasper) as a float graph.

Names are the checkpoint's module paths. One unit is conv [-> pointwise conv] -> batch norm [-> activation]; a block is
`repeat` units, the sum with its residual branches (1x1 conv -> batch norm each), and an activation.
Source: NeMo 3.0.0, collections/asr/parts/submodules/jasper.py, whose padding is dilation * (K - 1) // 2 and which makes
every kernel odd.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from zeroq_asr.adapters.nemo_blocks import MAX_CHANNELS, Block, read_blocks, read_vocabulary
from zeroq_asr.adapters.nemo_config import DECODERS, ENCODERS, Section, module_section
from zeroq_asr.errors import CheckpointError, UnsupportedModelError
from zeroq_asr.ir import Array, Graph, GraphBuilder

BATCH_NORM_EPS = 1e-3
"""Written into JasperBlock; a config cannot change it. A live model may carry others (see `eps`)."""
MAX_DENSE_ITEMS = 64 << 20
"""Largest weight that a grouped convolution may be written out to."""


@dataclass(frozen=True)
class _Geometry:
    stride: int = 1
    dilation: int = 1
    padding: int = 0


@dataclass(frozen=True)
class _Stream:
    """A value in the graph and its channel count."""

    name: str
    channels: int


class QuartzNetBuilder:
    """Builds the graph block by block and keeps account of the tensors it used."""

    def __init__(self, model: Section, tensors: Mapping[str, Array], features: int, eps: Mapping[str, float]) -> None:
        self._tensors = tensors
        self._unused = {name for name in tensors if not name.startswith("preprocessor.")}
        self._features = features
        self._eps = eps
        self._graph = GraphBuilder()
        self._encoder = module_section(model, "encoder", ENCODERS)
        self._decoder = module_section(model, "decoder", DECODERS)
        self._masked = self._encoder.flag("conv_mask", True)
        self._active = self._activation()
        self.family = "jasper"

    def build(self) -> tuple[Graph, tuple[str, ...]]:
        """Return the graph and the decoder's vocabulary. Raises CheckpointError, UnsupportedModelError."""
        blocks = read_blocks(self._encoder)
        if any(block.separable for block in blocks):
            self.family = "quartznet"
        streams = [_Stream(self._graph.input("mel", self._features), self._features)]
        for index, block in enumerate(blocks):
            streams = self._block(f"encoder.encoder.{index}", block, streams)
        vocabulary = self._head(streams[-1])
        if self._unused:
            raise UnsupportedModelError(
                f"the checkpoint has {len(self._unused)} tensor(s) that the config does not explain, such as"
                f" {min(self._unused)[:120]!r}; adapters and other additions are not supported"
            )
        return self._graph.build(("logits",)), vocabulary

    # ---- config --------------------------------------------------------------------------------------------------

    def _activation(self) -> bool:
        section = self._encoder
        section.must_be("activation", "relu", "identity")
        section.must_be("normalization_mode", "batch", None)
        section.must_be("frame_splicing", 1, None)
        section.must_be("quantize", False, None)
        section.ignore("init_mode", "norm_groups", "feat_out")
        feat_in = section.integer("feat_in", 1, MAX_CHANNELS)
        if feat_in != self._features:
            section.fail("feat_in", f"{self._features}, as many as the preprocessor's features", feat_in)
        return section.text("activation") == "relu"

    # ---- blocks --------------------------------------------------------------------------------------------------

    def _block(self, path: str, block: Block, streams: list[_Stream]) -> list[_Stream]:
        """Add one block; return what the next block may read: the last value, or all so far for dense residuals."""
        x, index = streams[-1], 0
        for unit in range(block.repeat):
            stride = 1 if block.stride_last and unit < block.repeat - 1 else block.stride
            x, index = self._unit(f"{path}.mconv", index, block, stride, x)
            if unit < block.repeat - 1:
                x = self._relu(f"{path}.mconv.{index}", x)
                index += 2  # activation and dropout
        if block.residual:
            x = self._residual(path, block, streams, x)
        x = self._relu(f"{path}.mout.0", x)
        return [*streams, x] if block.residual and block.dense else [x]

    def _unit(self, path: str, index: int, block: Block, stride: int, x: _Stream) -> tuple[_Stream, int]:
        """Add conv [-> pointwise] -> batch norm [-> shuffle] from list position `index`; return the next position."""
        padding = block.dilation * (block.kernel - 1) // 2
        geometry = _Geometry(stride, block.dilation, padding)
        shuffle = _shuffle(block.groups, block.filters) if block.groups > 1 else None
        if block.separable:
            heads = block.heads if self._masked else -1  # NeMo knows heads in masked convolutions only
            x = self._depthwise(f"{path}.{index}", x, block.kernel, heads, geometry)
            index += 1
            geometry = _Geometry()
        kernel = 1 if block.separable else block.kernel
        x = self._conv(f"{path}.{index}", x, block.filters, kernel, block.groups, shuffle, geometry)
        x = self._batch_norm(f"{path}.{index + 1}", x, shuffle)
        return x, index + (2 if shuffle is None else 3)

    def _residual(self, path: str, block: Block, streams: list[_Stream], x: _Stream) -> _Stream:
        stride = block.stride if block.residual_mode == "stride_add" else 1
        total = block.stride ** (1 if block.stride_last else block.repeat)
        if stride != total:
            raise UnsupportedModelError(
                f"{path}: a residual branch of stride {stride} beside a block of stride {total} is not supported"
                " (NeMo cannot run it either); use residual_mode stride_add with stride_last"
            )
        sources = streams if block.dense else streams[:1]  # NeMo counts branches from the first value it kept
        branches = [x]
        for number, source in enumerate(sources):
            place = f"{path}.res.{number}"
            geometry = _Geometry(stride)
            branch = self._conv(f"{place}.0", source, block.filters, 1, 1, None, geometry)
            branches.append(self._batch_norm(f"{place}.1", branch, None))
        names = tuple(branch.name for branch in branches)
        return _Stream(self._graph.node("add", names, f"{path}.add", x.channels, origin=path), x.channels)

    # ---- nodes ---------------------------------------------------------------------------------------------------

    def _depthwise(self, path: str, x: _Stream, kernel: int, heads: int, geometry: _Geometry) -> _Stream:
        if heads != -1 and (heads < 1 or x.channels % heads):
            raise CheckpointError(f"{path}: heads: needed a divisor of {x.channels} channels, came {heads}")
        path = f"{path}.conv" if self._masked else path
        weight = self._tensor(f"{path}.weight", (x.channels if heads == -1 else heads, 1, kernel))
        if heads != -1:
            weight = np.tile(weight, (x.channels // heads, 1, 1))  # channel c uses filter c mod heads
        return self._conv_node(path, x, weight, geometry, x.channels)

    def _conv(
        self, path: str, x: _Stream, filters: int, kernel: int, groups: int, shuffle: Array | None, geometry: _Geometry
    ) -> _Stream:
        if x.channels % groups or filters % groups:
            raise CheckpointError(
                f"{path}: groups: needed a divisor of {x.channels} and {filters} channels, came {groups}"
            )
        path = f"{path}.conv" if self._masked else path
        weight = self._tensor(f"{path}.weight", (filters, x.channels // groups, kernel))
        if shuffle is None:
            return self._conv_node(path, x, weight, geometry, groups)
        return self._conv_node(path, x, _dense(weight, groups, path)[shuffle], geometry, 1)

    def _conv_node(self, path: str, x: _Stream, weight: Array, geometry: _Geometry, groups: int) -> _Stream:
        channels: int = weight.shape[0]
        self._graph.node(
            "conv1d",
            (x.name, self._graph.constant(f"{path}.weight", weight)),
            path,
            channels,
            stride=geometry.stride,
            dilation=geometry.dilation,
            padding=geometry.padding,
            groups=groups,
            masked=int(self._masked),
        )
        return _Stream(path, channels)

    def _batch_norm(self, path: str, x: _Stream, shuffle: Array | None) -> _Stream:
        names = []
        for part in ("running_mean", "running_var", "weight", "bias"):
            array = self._tensor(f"{path}.{part}", (x.channels,))
            if part == "running_var" and float(array.min()) < 0:
                raise CheckpointError(
                    f"tensor '{path}.{part}': needed variances of 0 or more, came {float(array.min()):g}"
                )
            names.append(self._graph.constant(f"{path}.{part}", array if shuffle is None else array[shuffle]))
        self._unused.discard(f"{path}.num_batches_tracked")
        eps = self._eps.get(path, BATCH_NORM_EPS)
        return _Stream(self._graph.node("batch_norm", (x.name, *names), path, x.channels, eps=eps), x.channels)

    def _relu(self, path: str, x: _Stream) -> _Stream:
        if not self._active:
            return x
        return _Stream(self._graph.node("relu", (x.name,), path, x.channels), x.channels)

    def _head(self, x: _Stream) -> tuple[str, ...]:
        section = self._decoder
        feat_in = section.integer("feat_in", 0, MAX_CHANNELS, x.channels) or x.channels
        if feat_in != x.channels:
            section.fail("feat_in", f"{x.channels}, as many as the encoder's channels", feat_in)
        section.must_be("add_blank", True, None)
        section.ignore("init_mode")
        vocabulary = read_vocabulary(section)
        section.finish()
        path, classes = "decoder.decoder_layers.0", len(vocabulary) + 1
        names = (
            x.name,
            self._graph.constant(f"{path}.weight", self._tensor(f"{path}.weight", (classes, x.channels, 1))),
            self._graph.constant(f"{path}.bias", self._tensor(f"{path}.bias", (classes,))),
        )
        self._graph.node(
            "conv1d", names, "logits", classes, origin=path, stride=1, dilation=1, padding=0, groups=1, masked=0
        )
        return vocabulary

    def _tensor(self, name: str, shape: tuple[int, ...]) -> Array:
        array = self._tensors.get(name)
        if array is None:
            raise CheckpointError(f"tensor {name!r}: needed shape {list(shape)} as the config says, came none")
        if array.shape != shape or array.dtype != np.float32:
            raise CheckpointError(
                f"tensor {name!r}: needed shape {list(shape)} of float32 as the config says,"
                f" came {list(array.shape)} of {array.dtype}"
            )
        self._unused.discard(name)
        return array


def _shuffle(groups: int, channels: int) -> Array:
    """Return GroupShuffle as an index: out[c] = in[index[c]]."""
    if channels % groups:
        raise CheckpointError(f"encoder: groups: needed a divisor of {channels} filters, came {groups}")
    return np.arange(channels).reshape(groups, channels // groups).T.ravel()


def _dense(weight: Array, groups: int, path: str) -> Array:
    """Return the grouped weight [C_out, C_in / groups, K] as [C_out, C_in, K] with zeros, for a shuffle to reorder."""
    outputs, inputs, kernel = weight.shape
    if outputs * inputs * groups * kernel > MAX_DENSE_ITEMS:
        raise UnsupportedModelError(f"{path}: groups = {groups} makes too large a weight; supported: groups 1 here")
    result = np.zeros((outputs, inputs * groups, kernel), dtype=weight.dtype)
    size = outputs // groups
    for group in range(groups):
        rows = slice(group * size, (group + 1) * size)
        result[rows, group * inputs : (group + 1) * inputs] = weight[rows]
    return result
