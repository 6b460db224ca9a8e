"""ONNX Runtime on the CPU: float32, and int8 files that it or the product quantized."""

from __future__ import annotations

from collections.abc import Callable

from eval.latency import Note
from zeroq_research.engines import load_inputs, one_by_one


def open_onnxruntime(path: str, inputs: str, threads: int) -> Callable[[], Note]:
    """Return the run of an ONNX file, whose input is float32 [B, n_mels, 1, T], over the inputs in a folder."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    feeds = [{name: mel[:, :, None]} for mel in load_inputs(inputs)]
    return one_by_one(lambda feed: session.run(None, feed)[0], feeds)
