"""Data-free, integer-only quantization of CTC speech recognisers.

Importing this package loads nothing heavy: torch, scipy and NeMo come in only where a command needs them.
"""

__version__ = "0.1.0"
