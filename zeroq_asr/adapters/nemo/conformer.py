"""NeMo's ConformerEncoder (Conformer, FastConformer) as a float graph.

Gulati et al. 2020, *Conformer: convolution-augmented transformer for speech recognition*; relative attention as in Dai
et al. 2019, *Transformer-XL*, section 3.3. One layer is

    x += FF1(LN(x)) / 2;  x += MHA(LN(x));  x += Conv(LN(x));  x += FF2(LN(x)) / 2;  x = LN(x)

Source: NeMo 3.0.0, collections/asr/modules/conformer_encoder.py and parts/submodules/{conformer_modules,
multi_head_attention,subsampling}.py. Names are the checkpoint's module paths where there is a module.
"""

from __future__ import annotations

import math

from zeroq_asr.adapters.nemo.config import ConfigSection
from zeroq_asr.adapters.nemo.conformer_config import ConformerSettings, read_conformer
from zeroq_asr.adapters.nemo.graph_builder import Geometry, NemoGraphBuilder, TensorRef

BATCH_NORM_EPS = 1e-5
LAYER_NORM_EPS = 1e-5
"""torch's default values, which NeMo uses here; a config cannot change them. A live model may have other values."""


def add_conformer_encoder(section: ConfigSection, builder: NemoGraphBuilder, features: int) -> tuple[TensorRef, str]:
    """Add the input and the encoder that `section` describes; return the output and the name of the family.

    Raises CheckpointError, UnsupportedModelError.
    """
    settings = read_conformer(section, features)
    x = _subsampling("encoder.pre_encode", builder, settings, builder.input(features))
    if settings.x_scaling:
        x = builder.node("scale", "encoder.pos_enc.xscale", x, factor=math.sqrt(settings.width))
    positions = builder.node("positions", "encoder.pos_enc", x, max_frames=settings.max_frames)
    for index in range(settings.layers):
        x = _Layer(f"encoder.layers.{index}", builder, settings, positions).add_to(x)
    if settings.out_width:
        x = builder.linear("encoder.out_proj", x, settings.out_width, bias=True)
    return x, "conformer" if settings.subsampling == "striding" else "fastconformer"


def _subsampling(path: str, builder: NemoGraphBuilder, settings: ConformerSettings, x: TensorRef) -> TensorRef:
    """Add 3x3 convolutions of stride 2 and a linear layer; for "dw_striding" all but the first are depthwise.

    The mel bins are the rows of one feature map. Since version 2.5 NeMo masks the padding before every layer.
    """
    x, index, maps = TensorRef(x.name, x.channels, x.channels), 0, settings.conv_channels
    for step in range(settings.halvings):
        depthwise = settings.subsampling == "dw_striding" and step > 0
        x = builder.conv2d(f"{path}.conv.{index}", x, maps, 3, 2, 1, groups=maps if depthwise else 1)
        if depthwise:
            index += 1
            x = builder.conv2d(f"{path}.conv.{index}", x, maps, 1, 1, 0, groups=1)
        x = builder.node("relu", f"{path}.conv.{index + 1}", x)
        index += 2
    return builder.linear(f"{path}.out", x, settings.width, bias=True)


class _Layer:
    """Builds one Conformer layer."""

    def __init__(self, path: str, builder: NemoGraphBuilder, settings: ConformerSettings, positions: TensorRef) -> None:
        self._path, self._builder, self._settings, self._positions = path, builder, settings, positions

    def add_to(self, x: TensorRef) -> TensorRef:
        """Add the nodes of the layer behind `x`; return its output."""
        x = self._residual("feed_forward1", x, self._feed_forward("feed_forward1", x))
        x = self._residual("self_attn", x, self._attention(self._norm("norm_self_att", x)))
        x = self._residual("conv", x, self._convolution(self._norm("norm_conv", x)))
        x = self._residual("feed_forward2", x, self._feed_forward("feed_forward2", x))
        return self._norm("norm_out", x)

    def _norm(self, name: str, x: TensorRef) -> TensorRef:
        return self._builder.layer_norm(f"{self._path}.{name}", x, LAYER_NORM_EPS)

    def _residual(self, name: str, x: TensorRef, branch: TensorRef) -> TensorRef:
        return self._builder.node("add", f"{self._path}.{name}.add", x, branch.name, origin=self._path)

    def _linear(self, name: str, x: TensorRef, channels: int) -> TensorRef:
        return self._builder.linear(f"{self._path}.{name}", x, channels, self._settings.bias)

    def _feed_forward(self, name: str, x: TensorRef) -> TensorRef:
        x = self._linear(f"{name}.linear1", self._norm(f"norm_{name}", x), self._settings.feed_forward)
        x = self._builder.node("swish", f"{self._path}.{name}.activation", x)
        x = self._linear(f"{name}.linear2", x, self._settings.width)
        return self._builder.node("scale", f"{self._path}.{name}.half", x, origin=self._path, factor=0.5)

    def _attention(self, x: TensorRef) -> TensorRef:
        path, builder, width = f"{self._path}.self_attn", self._builder, self._settings.width
        q, k, v = (self._linear(f"self_attn.linear_{name}", x, width) for name in "qkv")
        p = builder.linear(f"{path}.linear_pos", self._positions, width, bias=False)
        qu, qv = (self._add_position_bias(path, q, name) for name in "uv")
        heads = self._settings.heads
        y = builder.node("attention", path, qu, qv.name, k.name, v.name, p.name, heads=heads)
        return self._linear("self_attn.linear_out", y, width)

    def _add_position_bias(self, path: str, q: TensorRef, which: str) -> TensorRef:
        """Add a bias per channel, stored as [heads, channels per head]."""
        name, heads = f"{path}.pos_bias_{which}", self._settings.heads
        bias = self._builder.tensors.take(name, (heads, q.channels // heads)).reshape(-1)
        constant = self._builder.constant(name, bias)
        return self._builder.node("add_bias", f"{path}.q_with_bias_{which}", q, constant, origin=path)

    def _convolution(self, x: TensorRef) -> TensorRef:
        path, builder, settings = f"{self._path}.conv", self._builder, self._settings
        x = self._gated(f"{path}.pointwise_conv1", x)
        weight = builder.tensors.take(f"{path}.depthwise_conv.weight", (x.channels, 1, settings.kernel))
        bias = builder.tensors.take(f"{path}.depthwise_conv.bias", (x.channels,)) if settings.bias else None
        geometry = Geometry(padding=(settings.kernel - 1) // 2, groups=x.channels, masked=True)
        x = builder.conv1d(f"{path}.depthwise_conv", x, weight, bias, geometry)
        x = builder.batch_norm(f"{path}.batch_norm", x, BATCH_NORM_EPS)
        x = builder.node("swish", f"{path}.activation", x)
        weight = builder.tensors.take(f"{path}.pointwise_conv2.weight", (settings.width, x.channels, 1))
        bias = builder.tensors.take(f"{path}.pointwise_conv2.bias", (settings.width,)) if settings.bias else None
        return builder.conv1d(f"{path}.pointwise_conv2", x, weight, bias)

    def _gated(self, path: str, x: TensorRef) -> TensorRef:
        """Add a pointwise convolution to 2 * width channels and a GLU, as two convolutions and one `glu` node."""
        builder, width = self._builder, self._settings.width
        weight = builder.tensors.take(f"{path}.weight", (2 * width, x.channels, 1))
        bias = builder.tensors.take(f"{path}.bias", (2 * width,)) if self._settings.bias else None
        halves = []
        for name, rows in (("a", slice(0, width)), ("b", slice(width, None))):
            part = None if bias is None else bias[rows]
            halves.append(builder.conv1d(f"{path}.{name}", x, weight[rows], part))
        return builder.node("glu", f"{path}.glu", halves[0], halves[1].name, origin=path)
