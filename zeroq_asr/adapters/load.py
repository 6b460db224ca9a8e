"""What --model may say: the path of a .nemo file, the name of a shipped model, or a name on NGC or Hugging Face."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zeroq_asr.adapters.float_model import FloatModel, fingerprint
from zeroq_asr.adapters.hub import download
from zeroq_asr.adapters.nemo_archive import read_nemo
from zeroq_asr.adapters.nemo_config import Section, check_classes
from zeroq_asr.adapters.nemo_frontend import read_frontend
from zeroq_asr.adapters.nemo_quartznet import QuartzNetBuilder
from zeroq_asr.adapters.safe_yaml import Plain
from zeroq_asr.errors import FileError, UnsupportedModelError
from zeroq_asr.ir import Array

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?")
_FILE_ENDINGS = (".nemo", ".ckpt", ".pt", ".pth", ".tar", ".gz", ".tgz", ".onnx", ".yaml", ".bin", ".safetensors")


def load_float_model(reference: str, edge: str = "zeros") -> FloatModel:
    """Load the model that `reference` names. No code of the file runs and nothing is written.

    reference: an existing path; a name of `zeroq_asr.zoo.shipped_models()`; or a name on NGC or Hugging Face, which
    nemo_toolkit downloads (the file is then read by us like any other). edge: see FrontendSpec.
    Raises FileError (missing, unreadable), CheckpointError (damaged or hostile), UnsupportedModelError (which part).
    """
    if _is_there(reference):
        return _load_file(Path(reference), Path(reference).name.removesuffix(".nemo"), edge)
    from zeroq_asr import zoo

    if reference in zoo.shipped_models():
        return _load_file(Path(zoo.model_path(reference)), reference, edge)
    if not _HUB_NAME.fullmatch(reference) or reference.lower().endswith(_FILE_ENDINGS):
        raise FileError(
            f"{reference[:200]!r}: no such file; give a .nemo file or one of {', '.join(zoo.shipped_models())}"
        )
    return _load_file(download(reference, zoo.shipped_models()), reference, edge)


def from_nemo_object(model: Any, name: str = "nemo", edge: str = "zeros") -> FloatModel:
    """Convert a live NeMo EncDecCTCModel: its config and its state dict go through the same builder as a file's.

    Each BatchNorm's eps is taken from the module itself. Raises CheckpointError, UnsupportedModelError.
    """
    from omegaconf import OmegaConf

    config = OmegaConf.to_container(model.cfg, resolve=True)
    if not isinstance(config, dict):
        raise UnsupportedModelError("model.cfg: needed keys and values, came something else")
    settings = {str(key): value for key, value in config.items()}
    settings.setdefault("target", f"{type(model).__module__}.{type(model).__qualname__}")
    tensors = {key: tensor.detach().cpu().numpy().copy() for key, tensor in model.state_dict().items()}
    eps = {path: float(module.eps) for path, module in model.named_modules() if type(module).__name__ == "BatchNorm1d"}
    return _convert(settings, tensors, name, edge, eps)


def _load_file(path: Path, name: str, edge: str) -> FloatModel:
    archive = read_nemo(path)
    try:
        check_classes(Section(archive.config, "config"))  # what a model is comes before what its tensors are worth
        return _convert(archive.config, archive.tensors(), name, edge, {})
    except (FileError, UnsupportedModelError) as error:
        if str(error).startswith(str(path)):
            raise
        raise type(error)(f"{path}: {error}") from error


def _convert(
    config: Mapping[str, Plain], tensors: Mapping[str, Array], name: str, edge: str, eps: Mapping[str, float]
) -> FloatModel:
    model = Section(config, "config")
    kind = check_classes(model)
    if model.has("adapters"):
        model.refuse("adapters", "models without adapters", model.raw("adapters"))
    frontend = read_frontend(model, tensors, edge)
    builder = QuartzNetBuilder(model, tensors, frontend.n_mels, eps)
    graph, vocabulary = builder.build()
    if kind == "EncDecCTCModelBPE":
        vocabulary = _subwords(model.section("tokenizer"), vocabulary)
    return FloatModel(graph, frontend, vocabulary, fingerprint(graph, frontend, vocabulary), name, builder.family)


def _subwords(tokenizer: Section, pieces: tuple[str, ...]) -> tuple[str, ...]:
    """Return SentencePiece's pieces as text: U+2581 begins a word. Other tokenizers join differently: refused."""
    tokenizer.must_be("type", "bpe")
    for index, piece in enumerate(pieces):
        if re.fullmatch(r"<0x[0-9A-Fa-f]{2}>", piece):
            tokenizer.refuse(f"vocabulary[{index}]", "pieces of text, no byte fallback", piece)
    return tuple(" \u2047 " if piece == "<unk>" else piece.replace("\u2581", " ") for piece in pieces)


def _is_there(reference: str) -> bool:
    """Return whether `reference` names a file, or a folder that no hub name could mean."""
    try:
        path = Path(reference)
        return path.exists() and (not path.is_dir() or not _HUB_NAME.fullmatch(reference)) and reference != ""
    except (OSError, ValueError):
        return False
