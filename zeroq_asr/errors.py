"""Errors that a user can cause and mend.

Every message says where, what was expected, what was found and what to do. The command lines print it as one line and
leave with exit code 2; a traceback therefore always means a defect of ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class ZeroqError(Exception):
    """Base of all errors that the command lines turn into one sentence."""


class ConfigError(ZeroqError):
    """A setting is out of its domain, or two settings contradict each other."""


class FileError(ZeroqError):
    """A file is missing, unreadable, too large, damaged, or could not be written."""


class CheckpointError(FileError):
    """A checkpoint is damaged, hostile, or not what it claims to be."""


class UnsupportedModelError(ZeroqError):
    """A well-formed model contains a part that this version does not support; the message names the part."""


class GraphError(ZeroqError):
    """A graph breaks the law of its dialect, or a pass met something it cannot rewrite."""


class QuantizationError(ZeroqError):
    """No integer program with the asked properties exists (an accumulator could overflow, a range is empty, ...)."""


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
