"""The delivered model: one safetensors file with the program in its header.

Header metadata: one key `zeroq` (several would be written in any order, and equal models must be equal bytes) = JSON
with format, version, the program, the tensors' shapes and types, the input scale (the only real number of the
arithmetic), the front end, the vocabulary and the provenance.
Tensors: weights of fewer than 8 bits are packed, all others are stored as they are. Nothing in the file is ever
executed or unpickled. There is one small reader for every version of the format; none is dropped.
"""

from zeroq_asr.artifact.model import IntegerModel
from zeroq_asr.artifact.reader import load_model, read_safetensors
from zeroq_asr.artifact.writer import save_model, to_bytes

__all__ = ["IntegerModel", "load_model", "read_safetensors", "save_model", "to_bytes"]
