"""The ranges of the tensors of an ONNX file on calibration data."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from int_kernels.int_type import IntType
from zeroq_asr.analyses.roles import find_roles, is_heavy_tailed, is_nonnegative
from zeroq_asr.calibrate.observers import Observer, check_finite, make_observer
from zeroq_asr.config import QuantizeConfig
from zeroq_asr.errors import QuantizationError
from zeroq_asr.exporters import to_onnx
from zeroq_asr.exporters.registry import FORMATS
from zeroq_asr.files import write_atomically
from zeroq_asr.ir.types import Graph
from zeroq_asr.passes.canonicalize import prepare
from zeroq_asr.quant.ranges import RangeTable

if TYPE_CHECKING:
    from zeroq_asr.adapters import FloatModel
    from zeroq_asr.pipelines.quantize import Batch


def save_float(model: FloatModel, folder: Path) -> Path:
    """Write the float model as calibration sees it, of open batch and length; return the file. Raises FileError."""
    path = folder / FORMATS["onnx"].file
    write_atomically(path, to_onnx(prepare(model.graph)))
    return path


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
