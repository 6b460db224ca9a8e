"""The settings of a NeMo ConformerEncoder: which are used, which do not matter for inference, which are refused.

A missing key has the class default of NeMo 3.0.0. Files of earlier versions lack the switches that were added later;
the defaults of those switches describe the network as it was before.
"""

from __future__ import annotations

from dataclasses import dataclass

from zeroq_asr.adapters.nemo.blocks import MAX_CHANNELS, MAX_KERNEL
from zeroq_asr.adapters.nemo.config import ConfigSection
from zeroq_asr.adapters.safe.yaml_reader import Plain

MAX_LAYERS = 256
MAX_HEADS = 256
MAX_EXPANSION = 64
MAX_POSITIONS = 100_000
SUBSAMPLINGS = ("striding", "dw_striding")

_UNLIMITED = [-1, -1]


@dataclass(frozen=True)
class ConformerSettings:
    """`layers` layers of `width` channels (d_model) behind `halvings` steps of subsampling by 2.

    features: mel bins. heads: attention heads. feed_forward: inner channels of the feed-forward modules.
    subsampling: "striding" or "dw_striding", with `conv_channels` feature maps. kernel: taps of the depthwise
    convolution, odd. x_scaling: whether the output of the subsampling is multiplied by sqrt(width). bias: whether the
    linear layers and convolutions of the layers have biases. max_frames: largest length behind the subsampling.
    out_width: channels of a projection behind the last layer, 0 if there is none.
    """

    features: int
    layers: int
    width: int
    heads: int
    feed_forward: int
    subsampling: str
    halvings: int
    conv_channels: int
    kernel: int
    x_scaling: bool
    bias: bool
    max_frames: int
    out_width: int


def read_conformer(section: ConfigSection, features: int) -> ConformerSettings:
    """Return the settings of the encoder. Raises CheckpointError (invalid), UnsupportedModelError (which switch)."""
    feat_in = section.integer("feat_in", 1, MAX_CHANNELS)
    if feat_in != features:
        section.fail("feat_in", f"{features}, as many as the preprocessor's features", feat_in)
    width = section.integer("d_model", 2, MAX_CHANNELS)
    heads = section.integer("n_heads", 1, MAX_HEADS, 4)
    if width % 2 or width % heads:
        section.fail("d_model", f"an even number that {heads} heads divide", width)
    feed_forward = width * section.integer("ff_expansion_factor", 1, MAX_EXPANSION, 4)
    if feed_forward > MAX_CHANNELS:
        section.fail("ff_expansion_factor", f"inner layers of at most {MAX_CHANNELS} channels", feed_forward)
    kernel = section.integer("conv_kernel_size", 1, MAX_KERNEL, 31)
    if kernel % 2 == 0:
        section.fail("conv_kernel_size", "an odd number", kernel)
    channels = section.integer("subsampling_conv_channels", -1, MAX_CHANNELS, -1)
    if channels == 0:
        section.fail("subsampling_conv_channels", "-1 or 1 and more", channels)
    out_width = section.integer("feat_out", -1, MAX_CHANNELS, -1)
    subsampling, halvings = _read_subsampling(section)
    settings = ConformerSettings(
        features=features,
        layers=section.integer("n_layers", 1, MAX_LAYERS),
        width=width,
        heads=heads,
        feed_forward=feed_forward,
        subsampling=subsampling,
        halvings=halvings,
        conv_channels=width if channels == -1 else channels,
        kernel=kernel,
        x_scaling=section.flag("xscaling", True),
        bias=section.flag("use_bias", True),
        max_frames=section.integer("pos_emb_max_len", 1, MAX_POSITIONS, 5000),
        out_width=out_width if out_width > 0 and out_width != width else 0,
    )
    _refuse_switches(section, kernel)
    _ignore_switches(section)
    section.finish()
    return settings


def _read_subsampling(section: ConfigSection) -> tuple[str, int]:
    kind = section.text("subsampling", "striding")
    if kind not in SUBSAMPLINGS:
        section.refuse("subsampling", ", ".join(SUBSAMPLINGS), kind)
    if section.flag("causal_downsampling", False):
        section.refuse("causal_downsampling", "false", True)
    factor = section.integer("subsampling_factor", 1, 1024, 4)
    if factor == 1:
        section.refuse("subsampling_factor", "2, 4, 8, ...", factor)
    if factor & (factor - 1):
        section.fail("subsampling_factor", "a power of two", factor)
    return kind, factor.bit_length() - 1


def _refuse_switches(section: ConfigSection, kernel: int) -> None:
    """Refuse the switches that select a network which is not supported."""
    if section.text("self_attention_model", "rel_pos") != "rel_pos":
        section.refuse("self_attention_model", "rel_pos", section.raw("self_attention_model"))
    if section.text("conv_norm_type", "batch_norm") != "batch_norm":
        section.refuse("conv_norm_type", "batch_norm", section.raw("conv_norm_type"))
    if section.text("att_context_style", "regular") != "regular":
        section.refuse("att_context_style", "regular", section.raw("att_context_style"))
    if not _is_unlimited(section.raw("att_context_size")):
        section.refuse("att_context_size", "[-1, -1], the whole utterance", section.raw("att_context_size"))
    half = (kernel - 1) // 2
    if section.raw("conv_context_size") not in (None, [half, half]):
        section.refuse("conv_context_size", "the same on both sides", section.raw("conv_context_size"))
    section.must_be("conv_context_style", "regular", None)
    section.must_be("att_chunk_context_size", None)
    section.must_be("conv_dual_mode", False, None)
    factor = section.integer("reduction_factor", 1, 1024, 1)
    if section.has("reduction") and factor > 1:
        section.refuse("reduction", "no reduction inside the encoder", section.raw("reduction"))
    section.ignore("reduction", "reduction_position")


def _is_unlimited(value: Plain) -> bool:
    """Return whether attention sees the whole utterance. Of a list of pairs NeMo uses the first in inference."""
    if value is None or value == []:
        return True
    first = value[0] if isinstance(value, list) and isinstance(value[0], list) else value
    return isinstance(first, list) and len(first) == 2 and all(type(n) is int and n < 0 for n in first)


def _ignore_switches(section: ConfigSection) -> None:
    """Mark the switches that act in training only, or that do not change the result of the computation."""
    section.flag("untie_biases", True)  # tied biases are stored once for each layer
    section.flag("use_pytorch_sdpa", False)
    section.ignore("dropout", "dropout_pre_encoder", "dropout_emb", "dropout_att", "att_context_probs")
    section.ignore("stochastic_depth_drop_prob", "stochastic_depth_mode", "stochastic_depth_start_layer")
    section.ignore("subsampling_conv_chunking_factor", "use_pytorch_sdpa_backends", "sync_max_audio_length")
    section.ignore("global_tokens", "global_tokens_spacing", "global_attn_separate")  # of local attention
