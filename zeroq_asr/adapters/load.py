"""What --model may say: the path of a .nemo file, the name of a shipped model, a published size (random weights), or a
name on NGC or Hugging Face."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zeroq_asr.adapters.float_model import FloatModel, fingerprint
from zeroq_asr.adapters.hub import download
from zeroq_asr.adapters.nemo_archive import read_nemo
from zeroq_asr.adapters.nemo_config import CONFORMER_ENCODERS, Section, check_classes, is_module
from zeroq_asr.adapters.nemo_conformer import add_conformer_encoder
from zeroq_asr.adapters.nemo_decoder import add_head
from zeroq_asr.adapters.nemo_frontend import read_frontend
from zeroq_asr.adapters.nemo_parts import Parts
from zeroq_asr.adapters.nemo_quartznet import add_conv_encoder
from zeroq_asr.adapters.nemo_tensors import CheckpointTensors, TensorSource
from zeroq_asr.adapters.nemo_tokenizer import read_subwords
from zeroq_asr.adapters.safe_yaml import Plain
from zeroq_asr.errors import FileError, UnsupportedModelError
from zeroq_asr.ir import Array, Graph, read_only

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?")
_LIVE = "tokenizer.model"
_FILE_ENDINGS = (".nemo", ".ckpt", ".pt", ".pth", ".tar", ".gz", ".tgz", ".onnx", ".yaml", ".bin", ".safetensors")


def load_float_model(reference: str, edge: str = "zeros") -> FloatModel:
    """Load the model that `reference` names. No code of the file runs and nothing is written.

    reference: an existing path; a name of `zeroq_asr.zoo.shipped_models()`; a name of `full_size_names()`, a published
    size with random weights; or a name on NGC or Hugging Face, which nemo_toolkit downloads (the file is then read by
    us like any other). edge: see FrontendSpec.
    Raises FileError (missing, unreadable), CheckpointError (damaged or hostile), UnsupportedModelError (which part).
    """
    if _is_there(reference):
        return _load_file(Path(reference), Path(reference).name.removesuffix(".nemo"), edge)
    from zeroq_asr import zoo
    from zeroq_asr.zoo.full_size import full_size_model, full_size_names

    if reference in zoo.shipped_models():
        return _load_file(Path(zoo.model_path(reference)), reference, edge)
    if reference in full_size_names():
        return full_size_model(reference)
    if not _HUB_NAME.fullmatch(reference) or reference.lower().endswith(_FILE_ENDINGS):
        raise FileError(
            f"{reference[:200]!r}: no such file; give a .nemo file or one of {', '.join(zoo.shipped_models())}"
        )
    return _load_file(download(reference, zoo.shipped_models()), reference, edge)


def from_nemo_object(model: Any, name: str = "nemo", edge: str = "zeros") -> FloatModel:
    """Convert a live NeMo CTC model: its config, state dict and tokenizer go through the same builder as a file's.

    The eps of each BatchNorm and LayerNorm is taken from the module itself. Raises CheckpointError,
    UnsupportedModelError.
    """
    from omegaconf import OmegaConf

    config = OmegaConf.to_container(model.cfg, resolve=True)
    if not isinstance(config, dict):
        raise UnsupportedModelError("model.cfg: needed keys and values, came something else")
    settings = {str(key): value for key, value in config.items()}
    settings.setdefault("target", f"{type(model).__module__}.{type(model).__qualname__}")
    tensors = {key: read_only(tensor.detach().cpu().numpy()) for key, tensor in model.state_dict().items()}
    norms = ("BatchNorm1d", "LayerNorm")
    eps = {path: float(module.eps) for path, module in model.named_modules() if type(module).__name__ in norms}
    processor: Any = getattr(getattr(model, "tokenizer", None), "tokenizer", None)
    files: dict[str, bytes] = {}
    if hasattr(processor, "serialized_model_proto"):
        files[_LIVE] = processor.serialized_model_proto()
        settings["tokenizer"] = {"type": "bpe", "model_path": f"nemo:{_LIVE}"}
    return _convert(settings, tensors, name, edge, eps, files)


def build_graph(
    model: Section, tensors: TensorSource, features: int, eps: Mapping[str, float]
) -> tuple[Graph, tuple[str, ...], str]:
    """Return the float graph of a checkpoint's config, the vocabulary that the config states and the family's name.

    features: mel bins. eps: of normalisations, by module path, where they differ from the class's.
    Raises CheckpointError, UnsupportedModelError.
    """
    parts = Parts(tensors, eps)
    add_encoder = add_conformer_encoder if is_module(model, "encoder", CONFORMER_ENCODERS) else add_conv_encoder
    x, family = add_encoder(model, parts, features)
    vocabulary = add_head(model, parts, x)
    return parts.build(), vocabulary, family


def _load_file(path: Path, name: str, edge: str) -> FloatModel:
    archive = read_nemo(path)
    try:
        check_classes(Section(archive.config, "config"))  # what a model is comes before what its tensors are worth
        return _convert(archive.config, archive.tensors(), name, edge, {}, archive.artifacts)
    except (FileError, UnsupportedModelError) as error:
        if str(error).startswith(str(path)):
            raise
        raise type(error)(f"{path}: {error}") from error


def _convert(
    config: Mapping[str, Plain],
    tensors: Mapping[str, Array],
    name: str,
    edge: str,
    eps: Mapping[str, float],
    files: Mapping[str, bytes],
) -> FloatModel:
    model = Section(config, "config")
    kind = check_classes(model)
    if model.has("adapters"):
        model.refuse("adapters", "models without adapters", model.raw("adapters"))
    frontend = read_frontend(model, tensors, edge)
    graph, vocabulary, family = build_graph(model, CheckpointTensors(tensors), frontend.n_mels, eps)
    if kind == "EncDecCTCModelBPE":
        vocabulary = read_subwords(model.section("tokenizer"), files, vocabulary)
    return FloatModel(graph, frontend, vocabulary, fingerprint(graph, frontend, vocabulary), name, family)


def _is_there(reference: str) -> bool:
    """Return whether `reference` names a file, or a folder that no hub name could mean."""
    try:
        path = Path(reference)
        return path.exists() and (not path.is_dir() or not _HUB_NAME.fullmatch(reference)) and reference != ""
    except (OSError, ValueError):
        return False
