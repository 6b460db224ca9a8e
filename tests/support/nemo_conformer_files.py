"""Small Conformer and sub-word `.nemo` files made by hand: no NeMo, no sentencepiece, every byte under control."""

from __future__ import annotations

from collections import OrderedDict
from functools import cache
from typing import Any

import numpy as np
import torch

from support.nemo_files import add, config_bytes, nemo_bytes, weights_bytes
from support.nemo_models import conformer_config
from zeroq_asr.adapters.nemo.config import ConfigSection
from zeroq_asr.adapters.nemo.load import build_graph
from zeroq_asr.frontend.log_mel import analysis_window, mel_filters
from zeroq_asr.frontend.spec import FrontendSpec
from zeroq_asr.ir import Array

FEATURES = 16
PIECES = ("<unk>", "\u2581", "\u2581a", "b", "\u2581ab", "c")
KINDS = (2, 1, 1, 1, 1, 1)
MODEL_FILE = "0af3" * 8 + "_tokenizer.model"
VOCABULARY_FILE = "1bf4" * 8 + "_vocab.txt"


def small_conformer(vocabulary: tuple[str, ...] = (" ", "a", "b"), **encoder: Any) -> dict[str, Any]:
    """A Conformer of one layer with the `target` that NeMo adds; `encoder` sets keys of the encoder."""
    changes = {"feat_in": FEATURES, "n_layers": 1, "n_heads": 2, "subsampling_conv_channels": 2, "conv_kernel_size": 3}
    config = conformer_config(8, list(vocabulary), **{**changes, **encoder})
    config["preprocessor"]["features"] = FEATURES
    return {**config, "target": "nemo.collections.asr.models.ctc_models.EncDecCTCModel", "nemo_version": "3.0.0"}


class _Drawn:
    """Draws every tensor that a builder asks for and keeps it."""

    def __init__(self) -> None:
        self.state: OrderedDict[str, torch.Tensor] = OrderedDict()
        self._rng = np.random.default_rng(0)

    def take(self, name: str, shape: tuple[int, ...]) -> Array:
        array = self._rng.normal(0, 0.4, shape).astype(np.float32)
        self.state[name] = torch.tensor(np.abs(array) if name.endswith("running_var") else array)
        return array * 0 + 1

    def discard(self, name: str) -> None:
        self.state[name] = torch.tensor(3)

    def finish(self) -> None:
        pass


def drawn_tensors(config: dict[str, Any]) -> OrderedDict[str, torch.Tensor]:
    """A state dict that belongs to the config."""
    drawn = _Drawn()
    build_graph(ConfigSection(config, "config"), drawn, FEATURES, {})
    spec = FrontendSpec(n_mels=FEATURES)
    drawn.state["preprocessor.featurizer.window"] = torch.tensor(analysis_window(spec))
    drawn.state["preprocessor.featurizer.fb"] = torch.tensor(mel_filters(spec)[None])
    return drawn.state


@cache
def conformer_weights() -> bytes:
    return weights_bytes(drawn_tensors(small_conformer()))


def conformer_bytes(config: dict[str, Any]) -> bytes:
    """A file of this config and the weights of `small_conformer`."""
    return nemo_bytes(config_bytes(config), conformer_weights())


# ---- sub-words -----------------------------------------------------------------------------------------------------


def varint(value: int) -> bytes:
    """A base-128 number of a protocol buffer."""
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def field(number: int, data: bytes) -> bytes:
    """A field with a length."""
    return varint(number << 3 | 2) + varint(len(data)) + data


def piece(text: str, kind: int = 1, score: float = -1.5) -> bytes:
    """A piece as SentencePiece writes it."""
    numbers = b"\x15" + np.float32(score).tobytes() + (b"" if kind == 1 else b"\x18" + bytes([kind]))
    return field(1, field(1, text.encode()) + numbers)


def tokenizer_model() -> bytes:
    """A SentencePiece model of PIECES, with trainer settings behind them."""
    return b"".join(map(piece, PIECES, KINDS)) + field(2, b"\x18\x02" + field(10, b"en")) + field(3, field(1, b"nmt"))


def vocabulary_file() -> bytes:
    """PIECES as NeMo's vocab.txt."""
    return "".join(f"{text}\n" for text in ("\u2581", "a", "##b", "ab", "##c")).encode()


def subword_config(vocabulary: tuple[str, ...] = PIECES) -> dict[str, Any]:
    """A sub-word Conformer whose tokenizer is MODEL_FILE."""
    config = small_conformer(vocabulary)
    config["target"] = "nemo.collections.asr.models.ctc_bpe_models.EncDecCTCModelBPE"
    files = {"model_path": f"nemo:{MODEL_FILE}", "vocab_path": f"nemo:{VOCABULARY_FILE}"}
    return {**config, "tokenizer": {"dir": "/somewhere", "type": "bpe", **files}}


@cache
def _subword_weights(size: int) -> bytes:
    return weights_bytes(drawn_tensors(subword_config(PIECES[:size])))


def subword_bytes(
    config: dict[str, Any] | None = None, model: bytes | None = None, vocabulary: bytes | None = None
) -> bytes:
    """A whole file of a sub-word model; empty bytes leave a tokenizer file out."""
    files = {
        MODEL_FILE: tokenizer_model() if model is None else model,
        VOCABULARY_FILE: vocabulary_file() if vocabulary is None else vocabulary,
    }

    def tokenizer(tar: Any) -> None:
        for name, data in files.items():
            if data:
                add(tar, f"./{name}", data)

    return nemo_bytes(config_bytes(config or subword_config()), _subword_weights(len(PIECES)), after=tokenizer)
