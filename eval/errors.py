"""The errors of this house: one family, so that a command line can catch them all."""

from __future__ import annotations


class EvalError(Exception):
    """Base of everything the evaluation house refuses. The message says where, what was expected, what was found."""


class ManifestError(EvalError):
    """A manifest file or one of its lines cannot be used."""


class ScoreError(EvalError):
    """References and hypotheses that no error rate can be computed from."""


class DecodeError(EvalError):
    """Token ids that do not belong to the vocabulary."""
