"""The encoders of the two shipped convolutional models, as configs of NeMo's ConvASREncoder."""

from __future__ import annotations

from typing import Any

_QUARTZNET: tuple[tuple[int, int], ...] = ((128, 33), (192, 39), (192, 45), (256, 51), (256, 57))  # (channels, kernel)
_JASPER: tuple[tuple[int, int], ...] = ((80, 11), (96, 11), (96, 11), (96, 11))
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


def _encoder(features: int, blocks: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "_target_": "nemo.collections.asr.modules.ConvASREncoder",
        "feat_in": features,
        "activation": "relu",
        "conv_mask": True,
        "jasper": blocks,
    }


def quartznet_encoder(features: int) -> dict[str, Any]:
    """C1 (stride 2), B1..B5 (residual), C2 (dilation 2), C3 (1x1), separable convolutions."""
    return _encoder(
        features,
        [
            _block(128, 33, stride=[2]),
            *(_block(width, kernel, repeat=_REPEAT, residual=True) for width, kernel in _QUARTZNET),
            _block(256, 63, dilation=[2]),
            _block(512, 1, separable=False),
        ],
    )


def jasper_encoder(features: int) -> dict[str, Any]:
    """C1 (stride 2), B1..B4 (dense residuals, from all blocks before), C2 (dilation 2), C3 (1x1)."""
    return _encoder(
        features,
        [
            _block(80, 11, stride=[2], separable=False),
            *(
                _block(width, kernel, repeat=_REPEAT, residual=True, residual_dense=True, separable=False)
                for width, kernel in _JASPER
            ),
            _block(96, 13, dilation=[2], separable=False),
            _block(192, 1, separable=False),
        ],
    )
