"""NeMo's ConvASRDecoder, the CTC head of every supported family: one convolution with one tap."""

from __future__ import annotations

from zeroq_asr.adapters.nemo.blocks import MAX_CHANNELS, read_vocabulary
from zeroq_asr.adapters.nemo.config import DECODERS, Section, module_section
from zeroq_asr.adapters.nemo.graph_builder import Parts, Stream


def add_head(model: Section, parts: Parts, x: Stream) -> tuple[str, ...]:
    """Add the head behind `x` as "logits"; return the vocabulary that the config states.

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
    weight = parts.tensors.take(f"{path}.weight", (classes, x.channels, 1))
    parts.conv1d(path, x, weight, parts.tensors.take(f"{path}.bias", (classes,)), name="logits")
    return vocabulary
