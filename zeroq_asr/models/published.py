"""The published sizes of the supported families as NeMo configs: front end, encoder and head.

Sources: Kriman et al. 2019 (QuartzNet), Li et al. 2019 (Jasper), Majumdar et al. 2021 (Citrinet), Gulati et al. 2020
(Conformer), Rekesh et al. 2023 (FastConformer); the YAML files in github.com/NVIDIA/NeMo, examples/asr/conf. The module
has plain data only and imports quickly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from zeroq_asr.models.configs.presets import LABELS

Config = dict[str, Any]
Block = dict[str, Any]

_MODULES = "nemo.collections.asr.modules"
_QUARTZNET = ((256, 33), (256, 39), (512, 51), (512, 63), (512, 75))
_JASPER = ((256, 11), (384, 13), (512, 17), (640, 21), (768, 25))  # (channels, kernel); two blocks of each
_CITRINET = ((11, 13, 15, 17, 19, 21), (13, 15, 17, 19, 21, 23, 25), (25, 27, 29, 31, 33, 35, 37, 39))
"""Kernels of the three groups of blocks; the first block of a group halves the frame rate."""


def _block(filters: int, kernel: int, repeat: int = 1, **changes: Any) -> Block:
    block: Block = {
        "filters": filters,
        "repeat": repeat,
        "kernel": [kernel],
        "stride": [1],
        "dilation": [1],
        "dropout": 0.0,
        "residual": False,
        "separable": True,
    }
    return {**block, **changes}


def _quartznet(times: int) -> Config:
    body = [_block(width, kernel, 5, residual=True) for width, kernel in _QUARTZNET for _ in range(times)]
    tail = [_block(512, 87, dilation=[2]), _block(1024, 1, separable=False)]
    return _model(_convolutional(64, [_block(256, 33, stride=[2]), *body, *tail]), 0.02, 64, LABELS)


def _jasper() -> Config:
    dense: Block = {"residual": True, "residual_dense": True, "separable": False}
    body = [_block(width, kernel, 5, **dense) for width, kernel in _JASPER for _ in range(2)]
    head = _block(256, 11, stride=[2], separable=False)
    tail = [_block(896, 29, dilation=[2], separable=False), _block(1024, 1, separable=False)]
    return _model(_convolutional(64, [head, *body, *tail]), 0.02, 64, LABELS)


def _citrinet(width: int, last: int, kernel_factor: float) -> Config:
    excite: Block = {"se": True, "se_context_size": -1}
    blocks = [_block(width, 5, **excite)]
    for kernels in _CITRINET:
        for index, kernel in enumerate(kernels):
            halving = {"stride": [2], "stride_last": True, "residual_mode": "stride_add"} if index == 0 else {}
            blocks.append(
                _block(width, kernel, 5, residual=True, kernel_size_factor=kernel_factor, **excite, **halving)
            )
    blocks.append(_block(last, 41, kernel_size_factor=kernel_factor, **excite))
    return _model(_convolutional(80, blocks), 0.025, 80, _pieces(1024))


def _conformer(width: int, heads: int, layers: int) -> Config:
    return _model(_attention(width, heads, layers), 0.025, 80, _pieces(128))


def _fast_conformer(width: int, heads: int, layers: int) -> Config:
    changes: Config = {
        "subsampling": "dw_striding",
        "subsampling_factor": 8,
        "subsampling_conv_channels": 256,
        "conv_kernel_size": 9,
    }
    return _model(_attention(width, heads, layers, **changes), 0.025, 80, _pieces(1024))


def _convolutional(features: int, blocks: list[Block]) -> Config:
    return {
        "_target_": f"{_MODULES}.ConvASREncoder",
        "feat_in": features,
        "activation": "relu",
        "conv_mask": True,
        "jasper": blocks,
    }


def _attention(width: int, heads: int, layers: int, **changes: Any) -> Config:
    encoder: Config = {
        "_target_": f"{_MODULES}.ConformerEncoder",
        "feat_in": 80,
        "feat_out": -1,
        "n_layers": layers,
        "d_model": width,
        "subsampling": "striding",
        "subsampling_factor": 4,
        "subsampling_conv_channels": -1,
        "causal_downsampling": False,
        "ff_expansion_factor": 4,
        "self_attention_model": "rel_pos",
        "n_heads": heads,
        "att_context_size": [-1, -1],
        "att_context_style": "regular",
        "xscaling": True,
        "untie_biases": True,
        "pos_emb_max_len": 5000,
        "conv_kernel_size": 31,
        "conv_norm_type": "batch_norm",
        "conv_context_size": None,
        "dropout": 0.1,
        "dropout_pre_encoder": 0.1,
        "dropout_emb": 0.0,
        "dropout_att": 0.1,
        "stochastic_depth_drop_prob": 0.0,
    }
    return {**encoder, **changes}


def _model(encoder: Config, window_s: float, features: int, vocabulary: Sequence[str]) -> Config:
    last = encoder["jasper"][-1]["filters"] if "jasper" in encoder else encoder["d_model"]
    return {
        "sample_rate": 16000,
        "preprocessor": {
            "_target_": f"{_MODULES}.AudioToMelSpectrogramPreprocessor",
            "sample_rate": 16000,
            "window_size": window_s,
            "window_stride": 0.01,
            "window": "hann",
            "normalize": "per_feature",
            "features": features,
            "n_fft": 512,
            "dither": 1e-5,
            "pad_to": 16 if "jasper" in encoder else 0,
        },
        "encoder": encoder,
        "decoder": {
            "_target_": f"{_MODULES}.ConvASRDecoder",
            "feat_in": last,
            "num_classes": len(vocabulary),
            "vocabulary": list(vocabulary),
        },
    }


def _pieces(count: int) -> tuple[str, ...]:
    """Return placeholders for the pieces of a tokenizer, which are not published; each is a word."""
    return tuple(f" {number}" for number in range(count))


_SIZES: Mapping[str, Callable[[], Config]] = {
    "quartznet5x5": partial(_quartznet, 1),
    "quartznet10x5": partial(_quartznet, 2),
    "quartznet15x5": partial(_quartznet, 3),
    "jasper10x5dr": _jasper,
    "citrinet256": partial(_citrinet, 256, 640, 1.0),
    "citrinet512": partial(_citrinet, 512, 640, 1.0),
    "citrinet1024": partial(_citrinet, 1024, 1024, 0.25),
    "conformer-small": partial(_conformer, 176, 4, 16),
    "conformer-medium": partial(_conformer, 256, 4, 18),
    "conformer-large": partial(_conformer, 512, 8, 18),
    "fastconformer-large": partial(_fast_conformer, 512, 8, 18),
}


def published_names() -> tuple[str, ...]:
    """Return the names that `published_config` accepts."""
    return tuple(_SIZES)


def published_config(name: str) -> Config:
    """Return a new NeMo config of an EncDecCTCModel of this size. Raises KeyError."""
    return _SIZES[name]()
