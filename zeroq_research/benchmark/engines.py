"""The engines that can run a model here, and the files that they load."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.latency import Opened, Run, TimedEngine
from int_kernels import available_kernels
from zeroq_asr.artifact import save_model
from zeroq_asr.config import QuantizeConfig
from zeroq_research.engines import Mel
from zeroq_research.engines.native import open_native
from zeroq_research.progress import OnStep

if TYPE_CHECKING:
    from zeroq_asr.adapters import FloatModel
    from zeroq_asr.quant.ranges import RangeTable

_CALIBRATION_INPUTS = 8
"""Number of inputs that int8 forms are calibrated on."""


@dataclass(frozen=True)
class Engine:
    """An engine with a model to load.

    open: a function of `zeroq_research.engines`, called with `arguments` and the number of threads. size_bytes: of what
    it loads. limit: the kernels whose multiply-accumulate rate limits it, for engines that compute in 8 bits; else "".
    bits: of our weights, their mean where layers differ; 0 for other engines.
    """

    name: str
    open: Callable[..., Run | Opened]
    arguments: tuple[Any, ...]
    size_bytes: int
    limit: str = ""
    bits: float = 0

    def timed(self, threads: int) -> TimedEngine:
        """Return the engine with this number of threads, as `eval.latency` times it."""
        return TimedEngine(self.name, self.open, (*self.arguments, threads))


def native_engines(
    path: Path, inputs: str, kernels: Sequence[str], bits: float, is_mixed: bool = False
) -> list[Engine]:
    """Return our engine once for each of `kernels`, on a quantized file whose weights have `bits` bits.

    is_mixed: the bits of layers differ, `bits` is the mean over the weights.
    """
    suffix = "-mixed" if is_mixed else "" if bits == 8 else f"-w{bits}"
    size = path.stat().st_size
    return [
        Engine(f"zeroq-{name}{suffix}", open_native, (str(path), inputs, name), size, name, bits) for name in kernels
    ]


def quantize_ours(
    model: FloatModel, path: Path, calibration: Sequence[Mel], bits: int, ranges: RangeTable | None
) -> RangeTable:
    """Write the model with `bits` weight bits to `path`; return its ranges. Raises ZeroqError.

    Like the int8 forms of the peers it is calibrated on the inputs that are timed. The methods against weight errors
    are off: they change values, not the speed, and take minutes on a large model. ranges: what an earlier call
    returned, or None.
    """
    from zeroq_asr.pipelines.quantize import quantize_model

    config = QuantizeConfig(bits=bits, methods=())
    quantized = quantize_model(model, calibration[:_CALIBRATION_INPUTS], "random", config, ranges=ranges)
    save_model(quantized.model, path)
    return quantized.table


def torch_engines(reference: str, inputs: str, size_bytes: int, device: str, low_memory: bool) -> list[Engine]:
    """Return torch's engines: eager and channels-last float32, and with device "cuda" three precisions on the GPU.

    low_memory: without the channels-last engine.
    """
    from zeroq_research.engines.torch_float import CUDA_PRECISIONS, open_channels_last, open_cuda, open_eager

    arguments = (reference, inputs)
    engines = [Engine("torch-float32", open_eager, arguments, size_bytes)]
    if not low_memory:
        engines.append(Engine("torch-float32-2d", open_channels_last, arguments, size_bytes))
    if device == "cuda":
        engines += [Engine(f"torch-cuda-{name}", open_cuda, (*arguments, name), size_bytes) for name in CUDA_PRECISIONS]
    return engines


def write_onnx(model: FloatModel, inputs: Sequence[Mel], path: Path) -> None:
    """Write the float model with folded BatchNorms; its input size is fixed if all inputs have the same shape."""
    from zeroq_asr.exporters import to_onnx
    from zeroq_asr.passes.fold_batchnorm import fold_batchnorm

    shapes = {mel.shape for mel in inputs}
    batch, _, frames = inputs[0].shape
    path.write_bytes(to_onnx(fold_batchnorm(model.graph), batch, frames if len(shapes) == 1 else None))


def peer_engines(peer: str, source: Path, inputs: str, calibration: Sequence[Mel], on_step: OnStep) -> list[Engine]:
    """Write the files of a peer next to `source`, the float32 ONNX file; return its engines. A step is one file."""
    samples = [mel[:, :, None] for mel in calibration[:_CALIBRATION_INPUTS]]
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
