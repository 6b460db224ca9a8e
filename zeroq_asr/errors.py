"""Errors that a user can cause and correct.

Every message says where the error is, what was expected, what was found and what to do. The command lines print it as
one line and return exit code 2. A traceback therefore always means a bug in this project.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class ZeroqError(Exception):
    """Base of all errors that the command lines report in one line."""


class ConfigError(ZeroqError):
    """A setting is outside its domain, or two settings contradict each other."""


class FileError(ZeroqError):
    """A file is missing, unreadable, too large, damaged, or could not be written."""


class CheckpointError(FileError):
    """A checkpoint is damaged, hostile, or not what it claims to be."""


class UnsupportedModelError(ZeroqError):
    """A valid model contains a part that this version does not support; the message names the part."""


class GraphError(ZeroqError):
    """A graph is invalid in its dialect, or a pass cannot rewrite a part of it."""


class QuantizationError(ZeroqError):
    """No integer program with the requested properties exists, e.g. an accumulator could overflow."""


class MissingExtraError(ZeroqError, ImportError):
    """An optional package is not installed; the message names the extra that installs it."""


EXTRA_OF = {
    **dict.fromkeys(("torch", "scipy", "tensorboard", "jiwer", "tqdm", "matplotlib", "yaml"), "quantize"),
    **dict.fromkeys(("nemo", "omegaconf", "lightning"), "nemo"),
    **dict.fromkeys(("onnx", "onnxruntime", "openvino", "nncf"), "peers"),
    "flashlight": "lm",
    "jinja2": "research",
}
"""Top-level name of every optional package -> the extra of this distribution that installs it."""


def missing_extra(package: str) -> MissingExtraError:
    """Return the error for the optional package `package`, one of EXTRA_OF, that is not installed."""
    return MissingExtraError(
        f"expected the package {package}, it is not installed; run `pip install 'zeroq-asr[{EXTRA_OF[package]}]'`"
    )


@contextmanager
def extras_named() -> Iterator[None]:
    """Raise MissingExtraError in place of the ModuleNotFoundError of an optional package. Also a decorator."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRA_OF:
            raise
        raise missing_extra(package) from error
