"""Shipped models and shipped speech: names, and where their files lie. Light: imports neither torch nor NeMo.

They lie in `shipped/` of the repository and are not part of the wheel. How they were made is in `shipped/README.md`;
the recipe is `python -m zeroq_recipes.voice_commands.train`.
"""

from __future__ import annotations

from pathlib import Path

from zeroq_asr.errors import ConfigError, FileError

DEFAULT_MODEL = "quartznet-voice-1m"

_DATA = Path(__file__).parents[2] / "shipped"
_MODELS = (DEFAULT_MODEL, "jasper-voice-1m", "conformer-voice-2m", "fastconformer-voice-2m")
_SETS = ("clean", "other")


def shipped_models() -> tuple[str, ...]:
    """The names that ``--model`` takes beside files and hub names."""
    return _MODELS


def shipped_sets() -> tuple[str, ...]:
    """The names that ``--manifest`` takes beside files."""
    return _SETS


def model_path(name: str) -> Path:
    """Return the .nemo file of a shipped model. Raises ConfigError for another name, FileError outside a clone."""
    if name not in _MODELS:
        raise ConfigError(f"model: expected one of {', '.join(_MODELS)}, got {name!r}")
    return _existing(_DATA / f"{name}.nemo", name)


def manifest_path(name: str) -> Path:
    """Return the NeMo manifest of a shipped test set. Raises what `model_path` raises."""
    if name not in _SETS:
        raise ConfigError(f"test set: expected one of {', '.join(_SETS)}, got {name!r}")
    return _existing(_DATA / name / "manifest.json", name)


def _existing(path: Path, name: str) -> Path:
    if not path.is_file():
        raise FileError(
            f"{name!r}: expected {path}, there is no such file; the wheel has no shipped models and no shipped speech, "
            "work in a clone of the repository or give a file of your own"
        )
    return path
