"""The error type of this package."""

from __future__ import annotations


class SynthError(Exception):
    """Synthetic data could not be made or read: settings out of their domain, a diverging loss, a damaged file.

    The message says where the error is, what was expected, what was found and what to do.
    """
