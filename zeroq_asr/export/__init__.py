"""Our graphs and ranges in other programs' formats."""

from zeroq_asr.export.onnx_float import to_onnx
from zeroq_asr.export.ranges import tensorrt_cache

__all__ = ["to_onnx", "tensorrt_cache"]
