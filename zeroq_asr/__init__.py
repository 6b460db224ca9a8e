"""Data-free, integer-only quantization of CTC speech recognisers.

    model = zeroq_asr.load("model.nemo")              # a file, a shipped model, a hub name or a live NeMo model
    small = zeroq_asr.quantize(model, bits=6)         # integers only, calibrated without data
    print(small.transcribe("hello.wav").text)
    small.save("model-w6a8.safetensors")              # load() reads it again, without torch

Importing this package loads nothing heavy: torch, scipy and NeMo come in only where a function needs them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zeroq_asr.api import FloatRecognizer as FloatRecognizer
    from zeroq_asr.api import IntegerRecognizer as IntegerRecognizer
    from zeroq_asr.api import generate as generate
    from zeroq_asr.api import load as load
    from zeroq_asr.api import quantize as quantize
    from zeroq_asr.errors import ZeroqError as ZeroqError

__version__ = "0.1.0"

__all__ = ["FloatRecognizer", "IntegerRecognizer", "ZeroqError", "generate", "load", "quantize"]

_HOMES = {
    "FloatRecognizer": "zeroq_asr.api",
    "IntegerRecognizer": "zeroq_asr.api",
    "ZeroqError": "zeroq_asr.errors",
    "load": "zeroq_asr.api",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for."""
    if name in ("generate", "quantize"):  # also modules, which can be called: see zeroq_asr.callable_module
        return import_module(f"zeroq_asr.{name}")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'zeroq_asr' has no attribute {name!r}")
