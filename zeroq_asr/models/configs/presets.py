"""NeMo configs of the shipped models, with letters or word pieces as tokens and one front end for all.

They are plain dicts, so that they can be read and tested without NeMo; the encoders are in ``convolutional`` and
``conformers``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zeroq_asr.models.configs.conformers import conformer_encoder, fast_conformer_encoder
from zeroq_asr.models.configs.convolutional import jasper_encoder, quartznet_encoder

LABELS: tuple[str, ...] = (" ", *"abcdefghijklmnopqrstuvwxyz", "'")
N_MELS = 64
HOP_SAMPLES = 160


def letter_model_config(encoder: dict[str, Any]) -> dict[str, Any]:
    """Return the config of an EncDecCTCModel with one token per letter of LABELS."""
    return {
        "sample_rate": 16000,
        "labels": list(LABELS),
        "preprocessor": _front_end(),
        "encoder": encoder,
        "decoder": {
            "_target_": "nemo.collections.asr.modules.ConvASRDecoder",
            "feat_in": encoder["jasper"][-1]["filters"],
            "num_classes": len(LABELS),
            "vocabulary": list(LABELS),
        },
        # NeMo's transcribe() reads this key; it needs no manifest file.
        "validation_ds": {
            "manifest_filepath": None,
            "sample_rate": 16000,
            "labels": list(LABELS),
            "batch_size": 16,
            "shuffle": False,
        },
    }


def piece_model_config(encoder: dict[str, Any], tokenizer: Path) -> dict[str, Any]:
    """Return the config of an EncDecCTCModelBPE whose tokens are the pieces of the tokenizer in the folder."""
    return {
        "sample_rate": 16000,
        "tokenizer": {"dir": str(tokenizer), "type": "bpe"},
        "preprocessor": _front_end(),
        "encoder": encoder,
        "decoder": {
            "_target_": "nemo.collections.asr.modules.ConvASRDecoder",
            "feat_in": encoder["d_model"],
            "num_classes": -1,  # NeMo sets it from the tokenizer
            "vocabulary": [],
        },
        "validation_ds": {"manifest_filepath": None, "sample_rate": 16000, "batch_size": 16, "shuffle": False},
    }


def model_config(name: str = "quartznet-voice-1m", tokenizer: Path = Path("tokenizer")) -> dict[str, Any]:
    """Return the config of a shipped model; ``tokenizer``: folder of a SentencePiece model (for pieces only)."""
    if name.startswith("quartznet"):
        return letter_model_config(quartznet_encoder(N_MELS))
    if name.startswith("jasper"):
        return letter_model_config(jasper_encoder(N_MELS))
    if name.startswith("conformer"):
        return piece_model_config(conformer_encoder(N_MELS), tokenizer)
    return piece_model_config(fast_conformer_encoder(N_MELS), tokenizer)


def _front_end() -> dict[str, Any]:
    return {
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
    }
