"""Our graphs in other programs' formats."""

from zeroq_asr.export.onnx_float import to_onnx

__all__ = ["to_onnx"]
