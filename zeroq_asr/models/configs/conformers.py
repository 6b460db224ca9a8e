"""The encoders of the two shipped attention models, as configs of NeMo's ConformerEncoder."""

from __future__ import annotations

from typing import Any


def conformer_encoder(features: int) -> dict[str, Any]:
    """Conformer-CTC: 4x subsampling by two strided 3x3 convolutions, xscaling, 31-tap convolutions."""
    return _encoder(
        features,
        n_layers=5,
        subsampling="striding",
        subsampling_factor=4,
        subsampling_conv_channels=32,
        xscaling=True,
        conv_kernel_size=31,
    )


def fast_conformer_encoder(features: int) -> dict[str, Any]:
    """FastConformer-CTC: 8x subsampling, depthwise from the second convolution on, 9-tap convolutions."""
    return _encoder(
        features,
        n_layers=4,
        subsampling="dw_striding",
        subsampling_factor=8,
        subsampling_conv_channels=64,
        causal_downsampling=False,
        xscaling=False,
        conv_kernel_size=9,
    )


def _encoder(features: int, **changes: Any) -> dict[str, Any]:
    encoder: dict[str, Any] = {
        "_target_": "nemo.collections.asr.modules.ConformerEncoder",
        "feat_in": features,
        "feat_out": -1,
        "d_model": 128,
        "n_heads": 4,
        "ff_expansion_factor": 4,
        "self_attention_model": "rel_pos",
        "att_context_size": [-1, -1],
        "untie_biases": True,
        "pos_emb_max_len": 5000,
        "conv_norm_type": "batch_norm",
        "dropout": 0.0,
        "dropout_pre_encoder": 0.0,
        "dropout_emb": 0.0,
        "dropout_att": 0.0,
    }
    return {**encoder, **changes}
