"""Sizes that programs may have at most; C states the same in core/check.c."""

MAX_CHANNELS = 1 << 16
MAX_EXTENT = 1 << 15
"""Of kernel, stride, dilation and padding."""
