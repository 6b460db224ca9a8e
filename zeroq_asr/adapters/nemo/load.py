"""NeMo checkpoints as float models: from a `.nemo` file or from a live NeMo object."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from zeroq_asr.adapters.float_model import FloatModel, fingerprint
from zeroq_asr.adapters.nemo.archive import read_nemo
from zeroq_asr.adapters.nemo.config import ConfigSection, check_classes, read_module
from zeroq_asr.adapters.nemo.decoder import add_head
from zeroq_asr.adapters.nemo.frontend import read_frontend
from zeroq_asr.adapters.nemo.graph_builder import NemoGraphBuilder
from zeroq_asr.adapters.nemo.tensors import CheckpointTensors, TensorSource
from zeroq_asr.adapters.nemo.tokenizer import read_subwords
from zeroq_asr.adapters.registry import encoder_targets, find_family
from zeroq_asr.adapters.safe.yaml_reader import Plain
from zeroq_asr.errors import FileError, UnsupportedModelError
from zeroq_asr.ir import Array, Graph, read_only

_LIVE_TOKENIZER = "tokenizer.model"


def from_nemo_object(model: Any, name: str = "nemo", edge: str = "zeros") -> FloatModel:
    """Convert a NeMo CTC model in memory: config, state dict and tokenizer are read like those of a file.

    The eps of each BatchNorm and LayerNorm is read from the module itself. edge: see FrontendSpec.
    Raises CheckpointError, UnsupportedModelError.
    """
    from omegaconf import OmegaConf

    config = OmegaConf.to_container(model.cfg, resolve=True)
    if not isinstance(config, dict):
        raise UnsupportedModelError("model.cfg: expected keys and values, got something else")
    settings = {str(key): value for key, value in config.items()}
    settings.setdefault("target", f"{type(model).__module__}.{type(model).__qualname__}")
    tensors = {key: read_only(tensor.detach().cpu().numpy()) for key, tensor in model.state_dict().items()}
    norms = ("BatchNorm1d", "LayerNorm")
    eps = {path: float(module.eps) for path, module in model.named_modules() if type(module).__name__ in norms}
    processor: Any = getattr(getattr(model, "tokenizer", None), "tokenizer", None)
    files: dict[str, bytes] = {}
    if hasattr(processor, "serialized_model_proto"):
        files[_LIVE_TOKENIZER] = processor.serialized_model_proto()
        settings["tokenizer"] = {"type": "bpe", "model_path": f"nemo:{_LIVE_TOKENIZER}"}
    return _convert(settings, tensors, name, edge, eps, files)


def build_graph(
    model: ConfigSection, tensors: TensorSource, features: int, eps: Mapping[str, float]
) -> tuple[Graph, tuple[str, ...], str]:
    """Return the float graph that a config describes, the vocabulary of the config and the name of the family.

    features: mel bins. eps: of normalisation layers, by module path, where it differs from the default of the class.
    Raises CheckpointError, UnsupportedModelError.
    """
    builder = NemoGraphBuilder(tensors, eps)
    target, section = read_module(model, "encoder", encoder_targets())
    family = find_family(target)
    assert family is not None  # read_module has refused every other class
    x, name = family.load_builder()(section, builder, features)
    vocabulary = add_head(model, builder, x)
    return builder.build(), vocabulary, name


def load_nemo_file(path: Path, name: str, edge: str = "zeros") -> FloatModel:
    """Load a `.nemo` file; no code of it runs and nothing is written. edge: see FrontendSpec.

    Raises FileError (missing, unreadable), CheckpointError (damaged or hostile), UnsupportedModelError (which part).
    """
    archive = read_nemo(path)
    try:
        check_classes(ConfigSection(archive.config, "config"))  # report an unsupported class before a damaged tensor
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
    model = ConfigSection(config, "config")
    kind = check_classes(model)
    if model.has("adapters"):
        model.refuse("adapters", "models without adapters", model.raw("adapters"))
    frontend = read_frontend(model, tensors, edge)
    graph, vocabulary, family = build_graph(model, CheckpointTensors(tensors), frontend.n_mels, eps)
    if kind == "EncDecCTCModelBPE":
        vocabulary = read_subwords(model.section("tokenizer"), files, vocabulary)
    return FloatModel(graph, frontend, vocabulary, fingerprint(graph, frontend, vocabulary), name, family)
