"""OpenVINO on the CPU: float32, and int8 by NNCF's post-training quantization."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from eval.latency import Note
from zeroq_research.engines import Mel, load_inputs, one_by_one


def open_openvino(path: str, inputs: str, threads: int) -> Callable[[], Note]:
    """Return the run of an OpenVINO file (.xml next to its .bin) over the inputs in a folder.

    The file's input is float32 [B, n_mels, 1, T]. Operations that are not int8 run in float32, even if the processor
    supports bfloat16.
    """
    import openvino

    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",
    }
    request = openvino.Core().compile_model(path, "CPU", settings).create_infer_request()

    def infer(tensor: openvino.Tensor) -> Mel:
        request.set_input_tensor(tensor)
        request.infer()
        result: Mel = request.get_output_tensor().data
        return result

    return one_by_one(infer, [openvino.Tensor(np.ascontiguousarray(mel[:, :, None])) for mel in load_inputs(inputs)])


def save_float(source: Path, target: Path) -> None:
    """Convert a float ONNX file to OpenVINO's format, in float32."""
    import openvino

    openvino.save_model(openvino.convert_model(str(source)), str(target), compress_to_fp16=False)


def quantize_openvino(source: Path, target: Path, samples: Sequence[Mel]) -> None:
    """Write the int8 form of a float ONNX file, calibrated on `samples`, float32 [B, n_mels, 1, T] each.

    Bias correction is off: it changes values, not the speed, and takes minutes.
    """
    with open(os.devnull, "w") as nothing, contextlib.redirect_stdout(nothing), contextlib.redirect_stderr(nothing):
        import nncf
        import openvino

        nncf.set_log_level(40)
        model = nncf.quantize(
            openvino.convert_model(str(source)),
            nncf.Dataset(samples),
            subset_size=len(samples),
            advanced_parameters=nncf.AdvancedQuantizationParameters(disable_bias_correction=True),
        )
        openvino.save_model(model, str(target), compress_to_fp16=False)
