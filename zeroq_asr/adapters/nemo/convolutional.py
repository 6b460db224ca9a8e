"""NeMo's ConvASREncoder (QuartzNet, Jasper, Citrinet) as a float graph.

Names are the module paths of the checkpoint. One unit is conv [-> pointwise conv] -> batch norm [-> activation]. A
block is `repeat` units [-> squeeze-and-excite], the sum with its residual branches (each 1x1 conv -> batch norm), and
an activation. NeMo makes every kernel odd and pads by dilation * (K - 1) // 2.
Source: NeMo 3.0.0, collections/asr/parts/submodules/jasper.py.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from zeroq_asr.adapters.nemo.blocks import MAX_CHANNELS, Block, read_blocks
from zeroq_asr.adapters.nemo.config import ConfigSection
from zeroq_asr.adapters.nemo.graph_builder import Geometry, NemoGraphBuilder, TensorRef
from zeroq_asr.errors import CheckpointError, UnsupportedModelError
from zeroq_asr.ir import Array

BATCH_NORM_EPS = 1e-3
"""Hard-coded in NeMo's JasperBlock; a config cannot change it. A live model may have other values."""
MAX_DENSE_ITEMS = 64 << 20
"""Largest dense weight, in items, that a grouped convolution may be expanded to."""


def add_conv_encoder(section: ConfigSection, builder: NemoGraphBuilder, features: int) -> tuple[TensorRef, str]:
    """Add the input and the encoder that `section` describes; return the output and the name of the family.

    Raises CheckpointError, UnsupportedModelError.
    """
    encoder = _ConvEncoder(builder, section.flag("conv_mask", True), _has_activation(section, features))
    blocks = read_blocks(section)
    values = [builder.input(features)]
    for index, block in enumerate(blocks):
        values = encoder.block(f"encoder.encoder.{index}", block, values)
    return values[-1], _family(blocks)


def _family(blocks: list[Block]) -> str:
    if any(block.se_ratio for block in blocks):
        return "citrinet"
    return "quartznet" if any(block.separable for block in blocks) else "jasper"


def _has_activation(section: ConfigSection, features: int) -> bool:
    section.must_be("activation", "relu", "identity")
    section.must_be("normalization_mode", "batch", None)
    section.must_be("frame_splicing", 1, None)
    section.must_be("quantize", False, None)
    section.ignore("init_mode", "norm_groups", "feat_out")
    feat_in = section.integer("feat_in", 1, MAX_CHANNELS)
    if feat_in != features:
        section.fail("feat_in", f"{features}, as many as the preprocessor's features", feat_in)
    return section.text("activation") == "relu"


class _ConvEncoder:
    """Builds the encoder block by block."""

    def __init__(self, builder: NemoGraphBuilder, masked: bool, active: bool) -> None:
        self._builder, self._masked, self._active = builder, masked, active

    def block(self, path: str, block: Block, values: list[TensorRef]) -> list[TensorRef]:
        """Add one block; return what the next block may read: its output, for dense residuals also all earlier values.

        values: what this block may read; the last of them is its input.
        """
        x, index = values[-1], 0
        for unit in range(block.repeat):
            stride = 1 if block.stride_last and unit < block.repeat - 1 else block.stride
            x, index = self._unit(f"{path}.mconv", index, block, stride, x)
            if unit < block.repeat - 1:
                x = self._relu(f"{path}.mconv.{index}", x)
                index += 2  # activation and dropout
        if block.se_ratio:
            x = self._squeeze_excite(f"{path}.mconv.{index}", x, block.se_ratio)
        if block.residual:
            x = self._residual(path, block, values, x)
        x = self._relu(f"{path}.mout.0", x)
        return [*values, x] if block.residual and block.dense else [x]

    def _unit(self, path: str, index: int, block: Block, stride: int, x: TensorRef) -> tuple[TensorRef, int]:
        """Add conv [-> pointwise] -> batch norm [-> shuffle] from list position `index`; return the next position."""
        padding = block.dilation * (block.kernel - 1) // 2
        geometry = Geometry(stride, block.dilation, padding, block.groups, self._masked)
        shuffle = _shuffle(block.groups, block.filters) if block.groups > 1 else None
        if block.separable:
            heads = block.heads if self._masked else -1  # NeMo supports heads in masked convolutions only
            x = self._depthwise(f"{path}.{index}", x, block.kernel, heads, geometry)
            index += 1
            geometry = Geometry(groups=block.groups, masked=self._masked)
        kernel = 1 if block.separable else block.kernel
        x = self._conv(f"{path}.{index}", x, block.filters, kernel, shuffle, geometry)
        x = self._builder.batch_norm(f"{path}.{index + 1}", x, BATCH_NORM_EPS, shuffle)
        return x, index + (2 if shuffle is None else 3)

    def _squeeze_excite(self, path: str, x: TensorRef, ratio: int) -> TensorRef:
        """Add x * sigmoid(W_2 relu(W_1 mean over time of x)).

        Hu et al. 2018, *Squeeze-and-excitation networks*; over the whole utterance as in Han et al. 2020, section 2.2.
        """
        builder = self._builder
        if x.channels < ratio:
            raise CheckpointError(f"{path}: se_reduction_ratio: expected at most {x.channels} channels, got {ratio}")
        gate = builder.node("mean", f"{path}.gap", x)
        gate = builder.linear(f"{path}.fc.0", gate, x.channels // ratio, bias=False)
        gate = self._relu(f"{path}.fc.1", gate)
        gate = builder.linear(f"{path}.fc.2", gate, x.channels, bias=False)
        gate = builder.node("sigmoid", f"{path}.sigmoid", gate, origin=path)
        return builder.node("multiply", path, x, gate.name)

    def _residual(self, path: str, block: Block, values: list[TensorRef], x: TensorRef) -> TensorRef:
        stride = block.stride if block.residual_mode == "stride_add" else 1
        total = block.stride ** (1 if block.stride_last else block.repeat)
        if stride != total:
            raise UnsupportedModelError(
                f"{path}: a residual branch of stride {stride} in a block of stride {total} is not supported"
                " (NeMo cannot run it either); use residual_mode stride_add with stride_last"
            )
        sources = values if block.dense else values[:1]  # NeMo numbers branches from the first value it kept
        branches = []
        for number, source in enumerate(sources):
            branch_path = f"{path}.res.{number}"
            geometry = Geometry(stride, masked=self._masked)
            branch = self._conv(f"{branch_path}.0", source, block.filters, 1, None, geometry)
            branches.append(self._builder.batch_norm(f"{branch_path}.1", branch, BATCH_NORM_EPS))
        return self._builder.node("add", f"{path}.add", x, *(branch.name for branch in branches), origin=path)

    # ---- nodes ---------------------------------------------------------------------------------------------------

    def _depthwise(self, path: str, x: TensorRef, kernel: int, heads: int, geometry: Geometry) -> TensorRef:
        if heads != -1 and (heads < 1 or x.channels % heads):
            raise CheckpointError(f"{path}: heads: expected a divisor of {x.channels} channels, got {heads}")
        path = f"{path}.conv" if self._masked else path
        weight = self._builder.tensors.take(f"{path}.weight", (x.channels if heads == -1 else heads, 1, kernel))
        if heads != -1:
            weight = np.tile(weight, (x.channels // heads, 1, 1))  # channel c uses filter c mod heads
        return self._builder.conv1d(path, x, weight, geometry=replace(geometry, groups=x.channels))

    def _conv(
        self, path: str, x: TensorRef, filters: int, kernel: int, shuffle: Array | None, geometry: Geometry
    ) -> TensorRef:
        groups = geometry.groups
        if x.channels % groups or filters % groups:
            raise CheckpointError(
                f"{path}: groups: expected a divisor of {x.channels} and {filters} channels, got {groups}"
            )
        path = f"{path}.conv" if self._masked else path
        weight = self._builder.tensors.take(f"{path}.weight", (filters, x.channels // groups, kernel))
        if shuffle is not None:
            weight, geometry = _dense(weight, groups, path)[shuffle], replace(geometry, groups=1)
        return self._builder.conv1d(path, x, weight, geometry=geometry)

    def _relu(self, path: str, x: TensorRef) -> TensorRef:
        return self._builder.node("relu", path, x) if self._active else x


def _shuffle(groups: int, channels: int) -> Array:
    """Return NeMo's GroupShuffle as an index int64 [C]: out[c] = in[index[c]]. Raises CheckpointError."""
    if channels % groups:
        raise CheckpointError(f"encoder: groups: expected a divisor of {channels} filters, got {groups}")
    return np.arange(channels).reshape(groups, channels // groups).T.ravel()


def _dense(weight: Array, groups: int, path: str) -> Array:
    """Return a grouped weight [C_out, C_in / groups, K] as a dense one [C_out, C_in, K], padded with zeros.

    A channel shuffle can reorder the rows of a dense weight, but not those of a grouped one.
    """
    outputs, inputs, kernel = weight.shape
    if outputs * inputs * groups * kernel > MAX_DENSE_ITEMS:
        raise UnsupportedModelError(
            f"{path}: groups = {groups}: expected a dense weight of at most {MAX_DENSE_ITEMS:,} items, got"
            f" {outputs * inputs * groups * kernel:,}; supported: groups 1 here"
        )
    result = np.zeros((outputs, inputs * groups, kernel), dtype=weight.dtype)
    size = outputs // groups
    for group in range(groups):
        rows = slice(group * size, (group + 1) * size)
        result[rows, group * inputs : (group + 1) * inputs] = weight[rows]
    return result
