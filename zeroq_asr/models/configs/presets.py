"""The shipped models' configurations, in NeMo's words: letters or pieces of words out, one front end for all of them.

Plain dicts, so that they can be read and tested without NeMo; the encoders are in ``convolutional`` and ``conformers``.
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
    """What ``EncDecCTCModel(OmegaConf.create(...))`` is built from: one token per letter of LABELS."""
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
        # transcribe() of NeMo reads this key; it needs no file behind it.
        "validation_ds": {
            "manifest_filepath": None,
            "sample_rate": 16000,
            "labels": list(LABELS),
            "batch_size": 16,
            "shuffle": False,
        },
    }


def piece_model_config(encoder: dict[str, Any], tokenizer: Path) -> dict[str, Any]:
    """What ``EncDecCTCModelBPE(OmegaConf.create(...))`` is built from: the pieces of the tokenizer in a folder."""
    return {
        "sample_rate": 16000,
        "tokenizer": {"dir": str(tokenizer), "type": "bpe"},
        "preprocessor": _front_end(),
        "encoder": encoder,
        "decoder": {
            "_target_": "nemo.collections.asr.modules.ConvASRDecoder",
            "feat_in": encoder["d_model"],
            "num_classes": -1,  # NeMo fills in the tokenizer's
            "vocabulary": [],
        },
        "validation_ds": {"manifest_filepath": None, "sample_rate": 16000, "batch_size": 16, "shuffle": False},
    }


def model_config(name: str = "quartznet-voice-1m", tokenizer: Path = Path("tokenizer")) -> dict[str, Any]:
    """The configuration of a shipped model; ``tokenizer`` is the folder of a sentencepiece model (pieces only)."""
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
