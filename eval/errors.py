"""The error types of this package. They share a base class, which command lines catch."""

from __future__ import annotations


class EvalError(Exception):
    """Base of all errors of this package. The message says where it happened, what was expected and what was found."""


class ManifestError(EvalError):
    """A manifest file or one of its lines cannot be used."""


class ScoreError(EvalError):
    """No error rate can be computed from these references and hypotheses."""


class DecodeError(EvalError):
    """Token ids outside the vocabulary, or a decoder that cannot be built."""
