"""Errors that a user can cause and correct.

Every message says where the error is, what was expected, what was found and what to do. The command lines print it as
one line and return exit code 2. A traceback therefore always means a bug in this project.
"""

from __future__ import annotations


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
