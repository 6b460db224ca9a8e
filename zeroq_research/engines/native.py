"""Our integer program on the native kernels, from features to token ids, and the rate that limits these kernels."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from eval.latency import Note, Opened
from int_kernels import available_kernels
from int_kernels.backends.native.executable import NativeExecutable
from int_kernels.peak import measure_peak
from zeroq_asr.artifact import IntegerModel, load_model
from zeroq_asr.runtime.integer_executor import IntegerExecutor, quantize_input
from zeroq_asr.runtime.memory import release_freed_memory
from zeroq_research.engines import Mel, load_inputs, one_by_one

StepTimes = list[tuple[str, int]]
"""(output of the step, nanoseconds) of every step."""


def kernels_in_use() -> str:
    """Return the kernels that ZEROQ_KERNELS names, or else the best ones for this processor."""
    return os.environ.get("ZEROQ_KERNELS") or available_kernels()[0]


def open_native(path: str, inputs: str, kernels: str, threads: int) -> Opened:
    """Return the run of a quantized file, which includes quantizing the input. Imports no torch. Raises FileError.

    As in `transcribe`, weights are in memory once. Selects `kernels` for the whole process. Facts, in bytes: `model`
    (weights and lookup tables as the kernels read them), `packed` (the part of them in a packed layout) and `values`
    (the activations of one worker for the longest input).
    """
    os.environ["ZEROQ_KERNELS"] = kernels
    model = load_model(path)
    program, input_scale = model.program, model.input_scale
    del model
    executor = IntegerExecutor.spending(program, input_scale, threads)
    release_freed_memory()
    features = [list(mel) for mel in load_inputs(inputs)]
    executable = executor.executable
    assert isinstance(executable, NativeExecutable)
    facts = {
        "model": executable.constant_bytes,
        "packed": executable.packed_bytes,
        "values": executable.memory_bytes(max(x.shape[1] for rows in features for x in rows)),
    }
    return Opened(one_by_one(executor.run, features), facts)


def open_profile(path: str, inputs: str, kernels: str) -> Callable[[], Note]:
    """Return a run whose note is (StepTimes of the longest input's first utterance, GMAC/s of the instructions alone).

    Both are in CPU time of a single thread, so that other processes have little influence. Raises FileError.
    """
    os.environ["ZEROQ_KERNELS"] = kernels
    model = load_model(path)
    executable = NativeExecutable(model.program)
    values = _quantized(model, max(load_inputs(inputs), key=lambda mel: mel.shape[2])[0])

    def run() -> Note:
        products, nanoseconds = measure_peak(kernels)
        steps = [(y, elapsed) for y, _, elapsed in executable.profile(values, time.thread_time_ns)]
        return Note((steps, products / nanoseconds))

    return run


def open_limit(kernels: str, threads: int) -> Callable[[], Note]:
    """Return a run whose note is the GMAC/s of `threads` concurrent threads with the kernels' instructions alone.

    It is in CPU time of each thread: the rate without other load on the processor.
    """
    pool = ThreadPoolExecutor(threads)

    def run() -> Note:
        found = [future.result() for future in [pool.submit(measure_peak, kernels) for _ in range(threads)]]
        return Note(sum(products / nanoseconds for products, nanoseconds in found))

    return run


def _quantized(model: IntegerModel, mel: Mel) -> npt.NDArray[np.int8]:
    type = model.program.spec(model.program.input).type
    return quantize_input(mel, model.input_scale, type)
