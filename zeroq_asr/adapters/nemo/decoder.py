"""NeMo's ConvASRDecoder, the CTC head of every supported family: one convolution of kernel 1."""

from __future__ import annotations

from zeroq_asr.adapters.nemo.blocks import MAX_CHANNELS, read_vocabulary
from zeroq_asr.adapters.nemo.config import DECODERS, ConfigSection, module_section
from zeroq_asr.adapters.nemo.graph_builder import NemoGraphBuilder, TensorRef


def add_head(model: ConfigSection, builder: NemoGraphBuilder, x: TensorRef) -> tuple[str, ...]:
    """Add the CTC head behind `x` as "logits"; return the vocabulary of the config.

    Raises CheckpointError, UnsupportedModelError.
    """
    section = module_section(model, "decoder", DECODERS)
    feat_in = section.integer("feat_in", 0, MAX_CHANNELS, x.channels) or x.channels
    if feat_in != x.channels:
        section.fail("feat_in", f"{x.channels}, as many as the encoder's channels", feat_in)
    section.must_be("add_blank", True, None)
    section.ignore("init_mode")
    vocabulary = read_vocabulary(section)
    section.finish()
    path, classes = "decoder.decoder_layers.0", len(vocabulary) + 1
    weight = builder.tensors.take(f"{path}.weight", (classes, x.channels, 1))
    builder.conv1d(path, x, weight, builder.tensors.take(f"{path}.bias", (classes,)), name="logits")
    return vocabulary
