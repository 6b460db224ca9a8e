"""ONNX Runtime and ranges: what the tensors of a file hold, calibration tables in its formats, texts from its files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroq_asr.errors import missing_extra
from zeroq_asr.exporters.ranges import limit_of
from zeroq_asr.quant.ranges import RangeTable

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int32]


def require_onnxruntime() -> None:
    """Raise MissingExtraError where onnx or onnxruntime is not installed."""
    if missing := [package for package in ("onnx", "onnxruntime") if find_spec(package) is None]:
        raise missing_extra(missing[0])


class OnnxTokens:
    """The best token ids of an ONNX file ("mel" [1, n_mels, 1, T] -> logits), each utterance at its own length."""

    def __init__(self, path: Path, threads: int) -> None:
        self._session = _open(path, threads)

    def tokens(self, features: Sequence[Floats]) -> list[Ids]:
        """features: float32 [n_mels, T_i] each -> token ids int32 [T'_i] each, in order: the lowest id on ties."""
        logits = (self._session.run(None, {"mel": mel[None, :, None]})[0] for mel in features)
        return [one[0, :, 0].argmax(axis=0).astype(np.int32) for one in logits]


def watch_tensors(
    source: Path, batches: Iterable[Floats], observe: Callable[[str, Floats], None], threads: int
) -> None:
    """Feed `batches`, float32 [B, n_mels, T] each, to a float ONNX file and show `observe` every float tensor in it.

    One utterance at a time: memory holds the tensors of one.
    """
    import onnx

    model = onnx.shape_inference.infer_shapes(onnx.load(str(source)))
    outputs = {value.name for value in model.graph.output}
    floats = [v for v in model.graph.value_info if v.type.tensor_type.elem_type == onnx.TensorProto.FLOAT]
    model.graph.output.extend(value for value in floats if value.name not in outputs)
    names = [value.name for value in model.graph.output]
    session = _open(model.SerializeToString(), threads, optimize=False)
    for batch in batches:
        for mel in batch:
            feed = {"mel": mel[None, :, None]}
            for name, found in zip(["mel", *names], [feed["mel"], *session.run(None, feed)], strict=True):
                observe(name, found)


def cache_bytes(table: RangeTable) -> bytes:
    """Return ONNX Runtime's calibration cache (JSON): what `quantize_static(calibration_cache_path=...)` reads."""
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorsData, save_tensors_data

    data = {name: _tensor_data(range.lo, range.hi) for name, range in table.ranges.items()}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "cache.json"
        save_tensors_data(TensorsData(CalibrationMethod.MinMax, data), path)
        return path.read_bytes()


def flatbuffers_bytes(table: RangeTable) -> bytes:
    """Return the calibration table (flatbuffers) of ONNX Runtime's TensorRT provider: tensor -> max(|lo|, |hi|)."""
    from onnxruntime.quantization import write_calibration_table

    # (its writer keeps the larger end of a range, which is the largest magnitude in a symmetric one only)
    limits = {name: limit_of(name, range) for name, range in table.ranges.items()}
    with TemporaryDirectory() as folder:
        write_calibration_table({name: _tensor_data(-x, x) for name, x in limits.items()}, folder)
        return (Path(folder) / "calibration.flatbuffers").read_bytes()


def _tensor_data(lo: float, hi: float) -> Any:
    from onnxruntime.quantization.calibrate import TensorData

    return TensorData(lowest=np.array(lo, np.float32), highest=np.array(hi, np.float32))


def _open(model: Path | bytes, threads: int, optimize: bool = True) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    given = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(given, options, providers=["CPUExecutionProvider"])
