"""Everything this package refuses, it refuses with one of these.

A message says where, what was expected, what was found, and what to do.
"""

from __future__ import annotations


class KernelError(ValueError):
    """A program, an input or a request that the kernels refuse."""


class ShapeError(KernelError):
    """Wrong number of axes, channels, frames or elements."""


class RangeError(KernelError):
    """A number outside its type, or an accumulator that could leave its width."""
