"""Our integer program on the compiled kernels, from features to token ids, and how fast the kernels could be at all."""

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
"""(the value a step makes, nanoseconds) of every step."""


def kernels_in_use() -> str:
    """Return the table of inner loops that ZEROQ_KERNELS, or else the processor, chooses."""
    return os.environ.get("ZEROQ_KERNELS") or available_kernels()[0]


def open_native(path: str, inputs: str, kernels: str, threads: int) -> Opened:
    """Return the run of a quantized file; quantizing the input is part of it. Imports no torch.

    Weights are in memory once, as in `transcribe`. Chooses `kernels` for the whole process. Facts, in bytes:
    `model` (weights and tables as the kernels read them), `packed` (the part that is in an order of theirs) and
    `values` (what a worker needs for the longest input).
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
    """Return the run that notes (StepTimes of the longest input's first utterance, GMAC/s the table could reach).

    On one thread, all in CPU time of that thread, so that other programs disturb little.
    """
    os.environ["ZEROQ_KERNELS"] = kernels
    model = load_model(path)
    executable = NativeExecutable(model.program)
    codes = _codes(model, max(load_inputs(inputs), key=lambda mel: mel.shape[2])[0])

    def run() -> Note:
        products, nanoseconds = measure_peak(kernels)
        steps = [(y, spent) for y, _, spent in executable.profile(codes, time.thread_time_ns)]
        return Note((steps, products / nanoseconds))

    return run


def open_limit(kernels: str, threads: int) -> Callable[[], Note]:
    """Return the run that notes the GMAC/s which `threads` threads reach at once with the table's instructions alone.

    In CPU time of each thread: what the processor could do while nobody else had it.
    """
    pool = ThreadPoolExecutor(threads)

    def run() -> Note:
        found = [future.result() for future in [pool.submit(measure_peak, kernels) for _ in range(threads)]]
        return Note(sum(products / nanoseconds for products, nanoseconds in found))

    return run


def _codes(model: IntegerModel, mel: Mel) -> npt.NDArray[np.int8]:
    type = model.program.spec(model.program.input).type
    return quantize_input(mel, model.input_scale, type)
