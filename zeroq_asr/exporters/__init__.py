"""Our graphs and ranges in other programs' formats."""

from zeroq_asr.exporters.onnx_float import to_onnx
from zeroq_asr.exporters.ranges import tensorrt_cache

__all__ = ["to_onnx", "tensorrt_cache"]
