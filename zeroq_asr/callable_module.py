"""Modules that can be called: `zeroq_asr.quantize` is a command line (`python -m`) and a function of the Python API.

Importing a submodule binds its name in the package, over any function of that name. The module itself therefore takes
the call, and both names mean the same object whatever was imported first.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any


class CallableModule(ModuleType):
    """A module of this package which, when it is called, calls the function of the same name in `zeroq_asr.api`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function; see its own documentation."""
        return getattr(import_module("zeroq_asr.api"), self.__name__.rpartition(".")[2])(*args, **kwargs)


def make_callable(name: str) -> None:
    """Let the imported module `name` be called."""
    sys.modules[name].__class__ = CallableModule
