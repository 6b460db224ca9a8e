"""Configs of QuartzNet-like models, and NeMo models made from them with random weights that behave."""

from __future__ import annotations

from typing import Any

LETTERS = [" ", *"abcdefghijklmnopqrstuvwxyz", "'"]

# kernel and width of the five groups of QuartzNet
GROUPS = ((33, 256), (39, 256), (51, 512), (63, 512), (75, 512))


def block(filters: int, kernel: int, repeat: int = 1, **changes: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "filters": filters,
        "repeat": repeat,
        "kernel": [kernel],
        "stride": [1],
        "dilation": [1],
        "dropout": 0.0,
        "residual": False,
        "separable": True,
    }
    return fields | changes


def quartznet_blocks(per_group: int) -> list[dict[str, Any]]:
    """The published shape: 5, 10 or 15 residual blocks for per_group 1, 2 or 3."""
    body = [block(width, kernel, 5, residual=True) for kernel, width in GROUPS for _ in range(per_group)]
    tail = [block(512, 87, dilation=[2], residual=False), block(1024, 1, separable=False)]
    return [block(256, 33, stride=[2]), *body, *tail]


def ctc_config(
    blocks: list[dict[str, Any]], features: int = 64, vocabulary: list[str] = LETTERS, **encoder: Any
) -> dict[str, Any]:
    return {
        "sample_rate": 16000,
        "preprocessor": {
            "_target_": "nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor",
            "sample_rate": 16000,
            "window_size": 0.02,
            "window_stride": 0.01,
            "window": "hann",
            "normalize": "per_feature",
            "features": features,
            "n_fft": 512,
            "dither": 1e-05,
            "pad_to": 16,
        },
        "encoder": {
            "_target_": "nemo.collections.asr.modules.ConvASREncoder",
            "feat_in": features,
            "activation": "relu",
            "conv_mask": True,
            "jasper": blocks,
            **encoder,
        },
        "decoder": {
            "_target_": "nemo.collections.asr.modules.ConvASRDecoder",
            "feat_in": blocks[-1]["filters"],
            "num_classes": len(vocabulary),
            "vocabulary": list(vocabulary),
        },
        "optim": {"name": "novograd", "lr": 0.01},
    }


def conformer_config(width: int = 32, vocabulary: list[str] = LETTERS, **encoder: Any) -> dict[str, Any]:
    """A small Conformer-CTC of letters; `encoder` sets or, with ..., leaves out keys of the encoder."""
    config = ctc_config([block(width, 1)], 80, vocabulary)
    settings = {
        "_target_": "nemo.collections.asr.modules.ConformerEncoder",
        "feat_in": 80,
        "n_layers": 2,
        "d_model": width,
        "n_heads": 4,
        "subsampling": "striding",
        "subsampling_factor": 4,
        "subsampling_conv_channels": 8,
        "att_context_size": [-1, -1],
        "conv_kernel_size": 7,
        **encoder,
    }
    config["encoder"] = {key: value for key, value in settings.items() if value is not ...}
    config["decoder"]["feat_in"] = None  # filled in by NeMo, as in its own files
    return config


def make_nemo_model(config: dict[str, Any], seed: int = 0, calibrate: bool = True, calm: float = 1.0) -> Any:
    """A NeMo EncDecCTCModel with random weights and recomputed BatchNorm statistics, in evaluation mode.

    `calm` below 1 weakens what a convolutional block adds to its residual branches. A hundred layers of random weights
    are chaotic: they make a rounding error in the first one a million times larger, in NeMo as in any other program.
    """
    import logging

    import torch
    from omegaconf import OmegaConf

    logging.getLogger("nemo_logger").setLevel(logging.ERROR)
    from nemo.collections.asr.models import EncDecCTCModel

    torch.manual_seed(seed)
    model = EncDecCTCModel(cfg=OmegaConf.create(config))
    model.preprocessor.featurizer.dither = 0.0
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm1d | torch.nn.LayerNorm):
                module.weight.uniform_(0.5, 1.5)
                module.bias.uniform_(-0.3, 0.3)
            if isinstance(module, torch.nn.BatchNorm1d):
                module.reset_running_stats()
                module.momentum = None
        for module in model.modules():
            if type(module).__name__ == "JasperBlock" and module.res is not None:
                last = [part for part in module.mconv if isinstance(part, torch.nn.BatchNorm1d)][-1]
                last.weight.mul_(calm)
        for name, parameter in model.named_parameters():
            if ".pos_bias_" in name:
                parameter.normal_(0, 0.3)
        model.train()
        for _ in range(2 if calibrate else 0):
            mel = torch.randn(2, config["encoder"]["feat_in"], 160)
            encoded, _ = model.encoder(audio_signal=mel, length=torch.tensor([160, 160]))
            model.decoder(encoder_output=encoded)
    return model.eval()
