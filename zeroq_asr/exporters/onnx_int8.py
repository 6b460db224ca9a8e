"""The int8 form of a float ONNX file by ONNX Runtime's own static quantization."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from zeroq_asr.files import write_atomically

Mel = npt.NDArray[np.float32]


def quantize_onnx(
    source: Path, target: Path, samples: Iterable[Mel] = (), ranges: Path | None = None, optimize: bool = True
) -> None:
    """Write the int8 form of a float ONNX file: QDQ, activations uint8, weights int8 per channel.

    Unsigned activations are the form with fast kernels on x86. samples: float32 [B, n_mels, 1, T] each, for the
    runtime's own min-max calibration; or ranges: a calibration cache of the file's tensors, measured elsewhere.
    optimize: fuse nodes first, which takes tensors (and names) away.
    """
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left: Iterator[Mel] = iter(samples)

        def get_next(self) -> dict[str, Mel] | None:
            mel = next(self._left, None)
            return None if mel is None else {"mel": mel}

    with tempfile.TemporaryDirectory() as folder, _without_advice():
        prepared, made = Path(folder) / "prepared.onnx", Path(folder) / "int8.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True, skip_optimization=not optimize)
        quantize_static(
            str(prepared),
            str(made),
            Reader() if ranges is None else None,
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            nodes_to_exclude=_products_with_stacked_constants(prepared),
            calibration_cache_path=ranges,
        )
        write_atomically(target, made.read_bytes())


def int8_bytes(model: bytes, ranges: bytes) -> bytes:
    """Return the int8 form of the float ONNX file `model` with `ranges`, a calibration cache of all its tensors."""
    with tempfile.TemporaryDirectory() as folder:
        source, cache, target = (Path(folder) / name for name in ("model.onnx", "ranges.json", "int8.onnx"))
        source.write_bytes(model)
        cache.write_bytes(ranges)
        quantize_onnx(source, target, ranges=cache, optimize=False)
        return target.read_bytes()


def _products_with_stacked_constants(path: Path) -> list[str]:
    """Return the products with a constant of more than two axes: the runtime refuses those, quantized per channel."""
    import onnx

    graph = onnx.load(str(path)).graph
    axes = {constant.name: len(constant.dims) for constant in graph.initializer}
    return [node.name for node in graph.node if node.op_type == "MatMul" and axes.get(node.input[1], 0) > 2]


@contextlib.contextmanager
def _without_advice() -> Iterator[None]:
    """Keep warnings back: the advice to pre-process a model first also comes when that has been done."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
