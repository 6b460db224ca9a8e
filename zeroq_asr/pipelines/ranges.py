"""Float model and calibration data in, an ONNX file and the ranges of its tensors in other programs' formats out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from int_kernels.int_type import IntType
from zeroq_asr.analyses.roles import find_roles, is_heavy_tailed, is_nonnegative
from zeroq_asr.calibrate.observers import Observer, check_finite, make_observer
from zeroq_asr.config import TENSORRT_VERSION, THREADS, QuantizeConfig
from zeroq_asr.errors import QuantizationError
from zeroq_asr.exporters import tensorrt_cache, to_onnx
from zeroq_asr.files import write_atomically
from zeroq_asr.ir.types import Graph
from zeroq_asr.passes.canonicalize import prepare
from zeroq_asr.quant.ranges import RangeTable

if TYPE_CHECKING:
    from zeroq_asr.adapters import FloatModel
    from zeroq_asr.pipelines.calibration import CalibrationData
    from zeroq_asr.pipelines.quantize import Batch

FLOAT_FILE, INT8_FILE = "model.onnx", "model-int8.onnx"
CACHE_FILE, FLATBUFFERS_FILE, TENSORRT_FILE = "onnxruntime.json", "calibration.flatbuffers", "tensorrt.cache"
READERS = {
    FLOAT_FILE: 'the float model: "mel" float32 [B, n_mels, 1, T] -> "logits" [B, V + 1, 1, T\']',
    CACHE_FILE: "ONNX Runtime: quantize_static(..., None, calibration_cache_path=FILE)",
    FLATBUFFERS_FILE: "ONNX Runtime's TensorRT provider: trt_int8_calibration_table_name",
    TENSORRT_FILE: "TensorRT: trtexec --int8 --calib=FILE; ModelOpt: --calibration_cache_path=FILE",
    INT8_FILE: "the float model quantized by ONNX Runtime with these ranges",
}
"""Who reads which file."""


@dataclass(frozen=True)
class Exported:
    """The range of every tensor of the ONNX file, and the files that were written, in the order of READERS."""

    table: RangeTable
    files: tuple[Path, ...]


def export_ranges(
    model: FloatModel,
    data: CalibrationData,
    config: QuantizeConfig,
    folder: Path,
    *,
    int8: bool = False,
    version: str = TENSORRT_VERSION,
    threads: int = THREADS,
) -> Exported:
    """Write `model` as ONNX and its ranges on `data` into `folder`; with `int8` ONNX Runtime's quantized form too.

    config: how ranges are chosen; version: of the TensorRT cache. Raises ConfigError without the extra `peers`,
    QuantizationError and FileError.
    """
    from zeroq_asr.exporters.onnx_calibration import cache_bytes, flatbuffers_bytes, require_onnxruntime
    from zeroq_asr.exporters.onnx_int8 import quantize_onnx

    require_onnxruntime()
    source = save_float(model, folder)
    table = measure_ranges(source, prepare(model.graph), data.batches, config, data.source, threads)
    write_atomically(folder / TENSORRT_FILE, tensorrt_cache(table, version))
    write_atomically(folder / CACHE_FILE, cache_bytes(table))
    write_atomically(folder / FLATBUFFERS_FILE, flatbuffers_bytes(table))
    if int8:
        quantize_onnx(source, folder / INT8_FILE, ranges=folder / CACHE_FILE, optimize=False)
    names = [name for name in READERS if int8 or name != INT8_FILE]
    return Exported(table, tuple(folder / name for name in names))


def save_float(model: FloatModel, folder: Path) -> Path:
    """Write the float model as calibration sees it, of open batch and length; return the file. Raises FileError."""
    write_atomically(folder / FLOAT_FILE, to_onnx(prepare(model.graph)))
    return folder / FLOAT_FILE


def measure_ranges(
    source: Path, graph: Graph, batches: Iterable[Batch], config: QuantizeConfig, name: str, threads: int
) -> RangeTable:
    """Return the range of every float tensor of the ONNX file `source` of the prepared `graph`.

    What our integer programs store as codes is clipped as `calibrate` clips it; what they never store (sums, logits,
    the inside of an attention) takes min/max. name: a word for the data. Raises QuantizationError (no data, numbers
    that are not finite).
    """
    from zeroq_asr.exporters.onnx_calibration import watch_tensors

    observers: dict[str, Observer] = {}

    def observe(tensor: str, x: npt.NDArray[np.float32]) -> None:
        check_finite(tensor, x)
        if tensor not in observers:
            observers[tensor] = _observer(graph, tensor, config)
        observers[tensor].update(x)

    watch_tensors(source, batches, observe, threads)
    if not observers:
        raise QuantizationError(f"calibration ({name}): expected at least one batch of data, got none")
    return RangeTable({tensor: observer.range() for tensor, observer in observers.items()}, name)


def _observer(graph: Graph, tensor: str, config: QuantizeConfig) -> Observer:
    is_code = find_roles(graph, config.nonlinear).get(tensor) == "code"
    top = IntType(config.act_bits, signed=not (is_code and is_nonnegative(graph, tensor))).hi
    return make_observer(config, top, by_extremes=not is_code or is_heavy_tailed(graph, tensor))
