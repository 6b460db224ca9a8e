"""The files of every engine that can run a model here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.latency import Opened, Run
from int_kernels import available_kernels
from zeroq_asr.artifact import save_model
from zeroq_asr.config import QuantizeConfig
from zeroq_research.engines import Mel
from zeroq_research.engines.native import open_native

if TYPE_CHECKING:
    from zeroq_asr.adapters import FloatModel
    from zeroq_asr.quant.ranges import RangeTable

OnStep = Callable[[str], None]
_CALIBRATING = 8
"""Inputs that ranges are taken from."""


@dataclass(frozen=True)
class Engine:
    """How a contestant is opened (the number of threads is its last argument), and the size of what it loads.

    limit: the table of inner loops whose instructions set the limit, for engines that compute in 8 bits; else "".
    bits: of our weights, their mean where layers differ; 0 for other engines.
    """

    name: str
    open: Callable[..., Run | Opened]
    arguments: tuple[Any, ...]
    size_bytes: int
    limit: str = ""
    bits: float = 0


def native_engines(
    path: Path, inputs: str, kernels: Sequence[str], bits: float, is_mixed: bool = False
) -> list[Engine]:
    """Return our engine once for each table of inner loops, on a quantized file whose weights have `bits` bits.

    is_mixed: layers differ, `bits` is the mean over the weights.
    """
    suffix = "-mixed" if is_mixed else "" if bits == 8 else f"-w{bits}"
    size = path.stat().st_size
    return [
        Engine(f"zeroq-{table}{suffix}", open_native, (str(path), inputs, table), size, table, bits)
        for table in kernels
    ]


def quantize_ours(
    model: FloatModel, path: Path, calibration: Sequence[Mel], bits: int, ranges: RangeTable | None
) -> RangeTable:
    """Write the form with `bits` weight bits, calibrated, like those of the peers, on what is timed.

    Without the methods against errors of weights: they change numbers, not the speed, and take minutes on a large
    model. ranges: what an earlier call returned, or None.
    """
    from zeroq_asr.pipelines.quantize import quantize_model

    config = QuantizeConfig(bits=bits, methods=())
    quantized = quantize_model(model, calibration[:_CALIBRATING], "random", config, ranges=ranges)
    save_model(quantized.model, path)
    return quantized.table


def torch_engines(reference: str, inputs: str, size_bytes: int, device: str, low_memory: bool) -> list[Engine]:
    """Return torch's engines: eager and channels-last float32, and with "cuda" three precisions on the GPU."""
    from zeroq_research.engines.torch_float import CUDA_PRECISIONS, open_channels_last, open_cuda, open_eager

    arguments = (reference, inputs)
    engines = [Engine("torch-float32", open_eager, arguments, size_bytes)]
    if not low_memory:
        engines.append(Engine("torch-float32-2d", open_channels_last, arguments, size_bytes))
    if device == "cuda":
        engines += [Engine(f"torch-cuda-{name}", open_cuda, (*arguments, name), size_bytes) for name in CUDA_PRECISIONS]
    return engines


def write_onnx(model: FloatModel, inputs: Sequence[Mel], path: Path) -> None:
    """Write the float model with folded BatchNorms: of fixed size where all inputs are alike, else of open length."""
    from zeroq_asr.exporters import to_onnx
    from zeroq_asr.passes.fold_batchnorm import fold_batchnorm

    shapes = {mel.shape for mel in inputs}
    batch, _, frames = inputs[0].shape
    path.write_bytes(to_onnx(fold_batchnorm(model.graph), batch, frames if len(shapes) == 1 else None))


def peer_engines(peer: str, source: Path, inputs: str, calibration: Sequence[Mel], on_step: OnStep) -> list[Engine]:
    """Write the files of a peer beside `source`, its float32 form; return its engines."""
    samples = [mel[:, :, None] for mel in calibration[:_CALIBRATING]]
    return _PEERS[peer](source, inputs, samples, on_step)


def _onnxruntime(source: Path, inputs: str, samples: Sequence[Mel], on_step: OnStep) -> list[Engine]:
    from zeroq_asr.exporters.onnx_int8 import quantize_onnx
    from zeroq_research.engines.onnx_runtime import open_onnxruntime

    on_step("ONNX Runtime's int8 form")
    int8 = source.with_name("int8.onnx")
    quantize_onnx(source, int8, samples)
    return [
        Engine(f"onnxruntime-{name}", open_onnxruntime, (str(path), inputs), path.stat().st_size, limit)
        for name, path, limit in (("float32", source, ""), ("int8", int8, available_kernels()[0]))
    ]


def _openvino(source: Path, inputs: str, samples: Sequence[Mel], on_step: OnStep) -> list[Engine]:
    from zeroq_research.engines.open_vino import open_openvino, quantize_openvino, save_float

    on_step("OpenVINO's int8 form")
    float32, int8 = source.with_name("float32.xml"), source.with_name("int8.xml")
    save_float(source, float32)
    quantize_openvino(source, int8, samples)
    return [
        Engine(
            f"openvino-{name}",
            open_openvino,
            (str(path), inputs),
            path.stat().st_size + path.with_suffix(".bin").stat().st_size,
            limit,
        )
        for name, path, limit in (("float32", float32, ""), ("int8", int8, available_kernels()[0]))
    ]


_PEERS = {"onnxruntime": _onnxruntime, "openvino": _openvino}
