"""Resolve --model: a .nemo file, a shipped model, a published size (random weights), or an NGC or Hugging Face name."""

from __future__ import annotations

import re
from pathlib import Path

from zeroq_asr.adapters.float_model import FloatModel
from zeroq_asr.adapters.nemo.load import load_nemo_file
from zeroq_asr.errors import FileError
from zeroq_asr.models.full_size import full_size_model, full_size_names
from zeroq_asr.models.hub import download
from zeroq_asr.models.shipped import model_path, shipped_models

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(/[A-Za-z0-9][\w.-]{0,95})?")
_FILE_ENDINGS = (".nemo", ".ckpt", ".pt", ".pth", ".tar", ".gz", ".tgz", ".onnx", ".yaml", ".bin", ".safetensors")


def load_float_model(reference: str, edge: str = "zeros") -> FloatModel:
    """Load the model that `reference` names. No code of the file runs, and nothing is written.

    reference: an existing path; a name of `shipped_models()`; a name of `full_size_names()`, which is a published size
    with random weights; or a name on NGC or Hugging Face, whose file nemo_toolkit downloads and the same reader reads.
    edge: see FrontendSpec.
    Raises FileError (missing, unreadable), CheckpointError (damaged or hostile), UnsupportedModelError (which part).
    """
    if _is_there(reference):
        return load_nemo_file(Path(reference), Path(reference).name.removesuffix(".nemo"), edge)
    if reference in shipped_models():
        return load_nemo_file(model_path(reference), reference, edge)
    if reference in full_size_names():
        return full_size_model(reference)
    if not _HUB_NAME.fullmatch(reference) or reference.lower().endswith(_FILE_ENDINGS):
        raise FileError(f"{reference[:200]!r}: no such file; give a .nemo file or one of {', '.join(shipped_models())}")
    return load_nemo_file(download(reference, shipped_models()), reference, edge)


def _is_there(reference: str) -> bool:
    """Return whether `reference` is an existing file, or an existing folder whose path cannot be a hub name."""
    try:
        path = Path(reference)
        return path.exists() and (not path.is_dir() or not _HUB_NAME.fullmatch(reference)) and reference != ""
    except (OSError, ValueError):
        return False
