"""The formats of `python -m zeroq_asr.export`.

A new exporter is one module of this package and one entry of FORMATS.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Protocol

from zeroq_asr.errors import EXTRA_OF, missing_extra
from zeroq_asr.exporters.onnx_calibration import cache_bytes, flatbuffers_bytes
from zeroq_asr.exporters.onnx_int8 import int8_bytes
from zeroq_asr.exporters.ranges import tensorrt_cache
from zeroq_asr.ir.types import Graph
from zeroq_asr.quant.ranges import RangeTable


class ExportSource(Protocol):
    """What an exporter may use. Each property is computed when it is first read, so a format pays for what it needs."""

    tensorrt_version: str
    """Digits in the first line of a TensorRT cache."""

    @property
    def graph(self) -> Graph:
        """The float graph as calibration sees it: BatchNorms and LayerNorms folded."""
        ...

    @property
    def onnx(self) -> bytes:
        """The ONNX file of `graph`, of open batch and length."""
        ...

    @property
    def ranges(self) -> RangeTable:
        """The range of every float tensor of `onnx` on the calibration data."""
        ...


@dataclass(frozen=True)
class Format:
    """One format: its name, the file it is written to, who reads that file, and how its bytes are made.

    packages: the optional ones that `write` imports, all of one extra.
    """

    name: str
    file: str
    readers: str
    packages: tuple[str, ...]
    write: Callable[[ExportSource], bytes]

    @property
    def extra(self) -> str:
        """The extra that installs `packages`; "-" where there are none."""
        return EXTRA_OF[self.packages[0]] if self.packages else "-"

    def require(self) -> None:
        """Raise MissingExtraError where one of `packages` is not installed."""
        for package in self.packages:
            if find_spec(package) is None:
                raise missing_extra(package)


_RUNTIME = ("onnx", "onnxruntime")

FORMATS = {
    format.name: format
    for format in (
        Format(
            "onnx",
            "model.onnx",
            'the float model: "mel" float32 [B, n_mels, 1, T] -> "logits" [B, V + 1, 1, T\']',
            ("onnx",),
            lambda source: source.onnx,
        ),
        Format(
            "onnxruntime",
            "onnxruntime.json",
            "ONNX Runtime: quantize_static(..., None, calibration_cache_path=FILE)",
            _RUNTIME,
            lambda source: cache_bytes(source.ranges),
        ),
        Format(
            "flatbuffers",
            "calibration.flatbuffers",
            "ONNX Runtime's TensorRT provider: trt_int8_calibration_table_name",
            _RUNTIME,
            lambda source: flatbuffers_bytes(source.ranges),
        ),
        Format(
            "tensorrt",
            "tensorrt.cache",
            "TensorRT: trtexec --int8 --calib=FILE; ModelOpt: --calibration_cache_path=FILE",
            _RUNTIME,
            lambda source: tensorrt_cache(source.ranges, source.tensorrt_version),
        ),
        Format(
            "onnx-int8",
            "model-int8.onnx",
            "the float model quantized by ONNX Runtime with these ranges",
            _RUNTIME,
            lambda source: int8_bytes(source.onnx, cache_bytes(source.ranges)),
        ),
    )
}
"""Name -> format, in the order in which `ranges` writes them."""
