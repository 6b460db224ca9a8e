"""Errors that a user can cause and mend.

Every message says where, what was expected, what was found and what to do. The command lines print it as one line and
leave with exit code 2; a traceback therefore always means a defect of ours.
"""

from __future__ import annotations


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
