"""max_pool: exact integers on every backend, the float rule, and how one becomes the other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.toy import N_MELS, toy_mel
from support.toy_networks import WIDTH, ToyBuilder

from int_kernels import (
    INT8,
    INT16,
    INT32,
    UINT8,
    IntType,
    KernelError,
    MaxPool,
    Program,
    RangeError,
    ShapeError,
    ValueSpec,
    compile_program,
)
from zeroq_asr.analyses.roles import find_roles
from zeroq_asr.analyses.sqnr import measure_sqnr
from zeroq_asr.calibrate.run import calibrate
from zeroq_asr.config import QuantizeConfig
from zeroq_asr.errors import GraphError
from zeroq_asr.exporters import to_onnx
from zeroq_asr.ir import Graph
from zeroq_asr.ops.max_pool import moments_of_largest
from zeroq_asr.ops.registry import SIMULATIONS
from zeroq_asr.passes.assign_qparams import assign_qparams
from zeroq_asr.passes.canonicalize import prepare
from zeroq_asr.passes.lower_to_integer import lower_to_integer
from zeroq_asr.runtime.float_executor import FloatExecutor

MEL = toy_mel(5, 3, 90)


def program(x: IntType, channels: int, kernel: int, stride: int, padding: int) -> Program:
    step = MaxPool("x", "y", kernel, stride, padding)
    return Program((ValueSpec("x", channels, x), ValueSpec("y", channels, x)), (step,), "x", ("y",))


@pytest.mark.parametrize("x", [INT8, UINT8, INT16, IntType(5)])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(1, 1, 0), (2, 2, 0), (3, 1, 1), (4, 3, 2), (70, 1, 35)])
@pytest.mark.parametrize("frames", [70, 64, 131, 200])
def test_every_backend_gives_exact_integers(
    backend: str, x: IntType, kernel: int, stride: int, padding: int, frames: int
) -> None:
    made = program(x, 5, kernel, stride, padding)
    codes = np.random.default_rng(frames).integers(x.lo, x.hi + 1, (5, frames))
    codes[1] = x.lo
    (found,) = compile_program(made, backend).run([codes])[0]
    assert found.shape[1] == (frames + 2 * padding - kernel) // stride + 1
    for t in range(found.shape[1]):
        first = t * stride - padding
        assert np.array_equal(found[:, t], codes[:, max(first, 0) : first + kernel].max(axis=1))


def test_what_does_not_fit_is_refused() -> None:
    for kernel, stride, padding, name in ((0, 1, 0, "kernel"), (2, 0, 0, "stride"), (3, 1, 2, "padding")):
        with pytest.raises(RangeError, match=name):
            MaxPool("x", "y", kernel, stride, padding)
    step = (MaxPool("x", "y", 2),)
    with pytest.raises(KernelError, match="of the type of 'x'"):
        Program((ValueSpec("x", 2, INT8), ValueSpec("y", 2, INT16)), step, "x", ("y",))
    with pytest.raises(KernelError, match="codes or int16"):
        Program((ValueSpec("x", 2, INT32), ValueSpec("y", 2, INT32)), step, "x", ("y",))
    with pytest.raises(ShapeError, match="channels"):
        Program((ValueSpec("x", 2, INT8), ValueSpec("y", 3, INT8)), step, "x", ("y",))


def network(readers: str = "conv") -> Graph:
    """A convolution, a ReLU, a pooling by two, and what reads it: a convolution (codes) or a LayerNorm."""
    b = ToyBuilder()
    x = b.node("relu", "relu", b.conv(b.mel, "c", N_MELS, WIDTH, kernel=3))
    x = b.node("max_pool", "pool", x, kernel=3, stride=2, padding=1)
    return prepare(b.head(x if readers == "conv" else b.norm(x, "norm")))


@pytest.mark.parametrize("readers", ["conv", "norm"])
def test_the_program_is_close_to_the_float_model(readers: str) -> None:
    graph, config = network(readers), QuantizeConfig()
    assert find_roles(graph)["relu"] == "code"
    qparams = assign_qparams(graph, calibrate(FloatExecutor(graph), [MEL], config, "test"), config)
    assert qparams["pool"] == qparams["relu"]
    made = lower_to_integer(graph, qparams, config)
    assert isinstance(made.step("pool"), MaxPool)
    assert measure_sqnr(FloatExecutor(graph), made, qparams, MEL)["pool"] > 30


def test_a_padded_batch_gives_what_each_row_gives_alone() -> None:
    graph = network()
    lengths = torch.tensor([90, 57, 31])
    together = FloatExecutor(graph).run(MEL, lengths)["logits"]
    for row, length in enumerate(lengths.tolist()):
        alone = FloatExecutor(graph).run(MEL[row : row + 1, :, :length])["logits"][0]
        torch.testing.assert_close(together[row, :, : alone.shape[1]], alone)


def test_the_simulation_is_exact() -> None:
    made, codes = program(INT8, 4, 4, 3, 2), np.random.default_rng(0).integers(-128, 128, (4, 100))
    (found,) = compile_program(made, "reference").run([codes])[0]
    simulated = SIMULATIONS[MaxPool](made.step("y"), [torch.tensor(codes, dtype=torch.float64)])
    assert np.array_equal(simulated.numpy(), found)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_moments_of_the_largest_are_those_of_a_sample(count: int) -> None:
    sample = np.random.default_rng(count).normal(size=(count, 400_000)).max(axis=0)
    mean, var = moments_of_largest(count)
    assert mean == pytest.approx(sample.mean(), abs=0.01)
    assert var == pytest.approx(sample.var(), abs=0.01)


def test_padding_without_a_frame_is_refused() -> None:
    b = ToyBuilder()
    x = b.node("max_pool", "pool", b.conv(b.mel, "c", N_MELS, WIDTH), kernel=3, stride=1, padding=2)
    with pytest.raises(GraphError, match="padding of at most 1"):
        b.head(x)


def test_onnx_runs_it_as_torch_does() -> None:
    runtime = pytest.importorskip("onnxruntime")
    graph = network()
    (found,) = runtime.InferenceSession(to_onnx(graph)).run(None, {"mel": MEL[:, :, None]})
    np.testing.assert_allclose(found[:, :, 0], FloatExecutor(graph).run(MEL)["logits"].numpy(), rtol=1e-4, atol=1e-5)
