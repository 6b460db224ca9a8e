"""The shipped model's configuration, in NeMo's words: a small QuartzNet (stride 2, five residual blocks, dilated tail).

A plain dict, so that it can be read and tested without NeMo.
"""

from __future__ import annotations

from typing import Any

LABELS: tuple[str, ...] = (" ", *"abcdefghijklmnopqrstuvwxyz", "'")
N_MELS = 64
HOP_SAMPLES = 160

_BLOCKS: tuple[tuple[int, int], ...] = ((128, 33), (192, 39), (192, 45), (256, 51), (256, 57))  # width, kernel
_REPEAT = 2


def _block(filters: int, kernel: int, **changes: Any) -> dict[str, Any]:
    block: dict[str, Any] = {
        "filters": filters,
        "repeat": 1,
        "kernel": [kernel],
        "stride": [1],
        "dilation": [1],
        "dropout": 0.0,
        "residual": False,
        "separable": True,
    }
    return {**block, **changes}


def encoder_blocks() -> list[dict[str, Any]]:
    """C1 (stride 2), B1..B5 (residual), C2 (dilation 2), C3 (1x1): the ``jasper`` list of a ConvASREncoder."""
    return [
        _block(128, 33, stride=[2]),
        *(_block(width, kernel, repeat=_REPEAT, residual=True) for width, kernel in _BLOCKS),
        _block(256, 63, dilation=[2]),
        _block(512, 1, separable=False),
    ]


def model_config() -> dict[str, Any]:
    """What ``EncDecCTCModel(OmegaConf.create(model_config()))`` is built from."""
    blocks = encoder_blocks()
    return {
        "sample_rate": 16000,
        "labels": list(LABELS),
        "preprocessor": {
            "_target_": "nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor",
            "normalize": "per_feature",
            "window_size": 0.02,
            "sample_rate": 16000,
            "window_stride": 0.01,
            "window": "hann",
            "features": N_MELS,
            "n_fft": 512,
            "frame_splicing": 1,
            "dither": 1e-5,
        },
        "encoder": {
            "_target_": "nemo.collections.asr.modules.ConvASREncoder",
            "feat_in": N_MELS,
            "activation": "relu",
            "conv_mask": True,
            "jasper": blocks,
        },
        "decoder": {
            "_target_": "nemo.collections.asr.modules.ConvASRDecoder",
            "feat_in": blocks[-1]["filters"],
            "num_classes": len(LABELS),
            "vocabulary": list(LABELS),
        },
        # transcribe() of NeMo reads this key; it needs no file behind it.
        "validation_ds": {
            "manifest_filepath": None,
            "sample_rate": 16000,
            "labels": list(LABELS),
            "batch_size": 16,
            "shuffle": False,
        },
    }
