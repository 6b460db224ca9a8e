"""leaky_relu: exact integers on every backend, the float rule, and how one becomes the other."""

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
    LeakyRelu,
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
from zeroq_asr.ops.moments import ChannelMoments
from zeroq_asr.ops.registry import OPS, SIMULATIONS
from zeroq_asr.passes.assign_qparams import assign_qparams
from zeroq_asr.passes.canonicalize import prepare
from zeroq_asr.passes.lower_to_integer import lower_to_integer
from zeroq_asr.runtime.float_executor import FloatExecutor

MEL = toy_mel(5, 3, 90)


def program(x: IntType, y: IntType, channels: int, clip: tuple[int, int] | None = None) -> Program:
    random = np.random.default_rng(channels)
    most = x.bits + 31 - y.bits
    multipliers = random.integers(0, 1 << 31, (2, channels))
    step = LeakyRelu("x", "y", multipliers, random.integers(most - 2, most + 2, channels), clip)
    return Program((ValueSpec("x", channels, x), ValueSpec("y", channels, y)), (step,), "x", ("y",))


@pytest.mark.parametrize("y", [INT8, UINT8, INT16])
@pytest.mark.parametrize("x", [INT8, UINT8, INT16, INT32, IntType(5)])
@pytest.mark.parametrize(("channels", "frames"), [(1, 1), (3, 63), (5, 64), (17, 65), (4, 200)])
def test_every_backend_gives_exact_integers(backend: str, x: IntType, y: IntType, channels: int, frames: int) -> None:
    made = program(x, y, channels, None if frames % 2 else (max(y.lo, -40), 90))
    codes = np.random.default_rng(frames).integers(x.lo, x.hi + 1, (channels, frames))
    codes[0, 0], codes[-1, -1] = x.lo, x.hi
    (found,) = compile_program(made, backend).run([codes])[0]
    step = made.step("y")
    assert isinstance(step, LeakyRelu)
    lo, hi = step.clip or (y.lo, y.hi)
    for c in range(channels):
        for t in range(frames):
            q, r = int(codes[c, t]), int(step.shift[c])
            exact = (q * int(step.multipliers[int(q < 0), c]) + (1 << (r - 1))) >> r
            assert found[c, t] == min(max(exact, lo), hi)


def test_what_does_not_fit_is_refused() -> None:
    ones, shift = np.ones((2, 3), int), np.full(3, 5)
    for multipliers, error in ((-ones, RangeError), (ones[:1], ShapeError), (ones[:, :2], ShapeError)):
        with pytest.raises(error, match="multipliers"):
            LeakyRelu("x", "y", multipliers, shift)
    with pytest.raises(RangeError, match="shifts"):
        LeakyRelu("x", "y", ones, shift * 0)
    with pytest.raises(ShapeError, match="'x' with 3 channels"):
        Program((ValueSpec("x", 2, INT8), ValueSpec("y", 3, INT8)), (LeakyRelu("x", "y", ones, shift),), "x", ("y",))


def test_the_steepest_factor_fits_64_bits() -> None:
    steep = LeakyRelu("x", "y", np.full((2, 3), (1 << 31) - 1), np.full(3, 62))
    made = Program((ValueSpec("x", 3, INT32), ValueSpec("y", 3, INT8)), (steep,), "x", ("y",))
    codes = np.array([[INT32.lo, INT32.hi, -1]] * 3)
    for backend in ("reference", "native"):
        (found,) = compile_program(made, backend).run([codes])[0]
        assert found.tolist() == [[-1, 1, 0]] * 3


def network(slope: float = 0.1, readers: str = "conv") -> Graph:
    """A convolution, a leaky ReLU and what reads it: a convolution (codes) or a LayerNorm (16 bits)."""
    b = ToyBuilder()
    x = b.node("leaky_relu", "leaky", b.conv(b.mel, "c", N_MELS, WIDTH, kernel=3), slope=slope)
    return prepare(b.head(x if readers == "conv" else b.norm(x, "norm")))


@pytest.mark.parametrize(("readers", "role"), [("conv", "code"), ("norm", "stream")])
@pytest.mark.parametrize("slope", [0.0, 0.01, 0.3, 1.0])
def test_the_program_is_close_to_the_float_model(slope: float, readers: str, role: str) -> None:
    graph, config = network(slope, readers), QuantizeConfig()
    roles = find_roles(graph)
    assert (roles["c"], roles["leaky"]) == ("accumulator", role)
    qparams = assign_qparams(graph, calibrate(FloatExecutor(graph), [MEL], config, "test"), config)
    made = lower_to_integer(graph, qparams, config)
    assert isinstance(made.step("leaky"), LeakyRelu)
    assert measure_sqnr(FloatExecutor(graph), made, qparams, MEL)["leaky"] > 30


def test_the_simulation_is_the_step_in_real_numbers() -> None:
    made = program(INT16, INT8, 6, (INT8.lo, INT8.hi))
    step, codes = made.step("y"), np.random.default_rng(0).integers(-32768, 32768, (6, 500))
    (found,) = compile_program(made, "reference").run([codes])[0]
    simulated = SIMULATIONS[LeakyRelu](step, [torch.tensor(codes, dtype=torch.float64)])
    assert np.array_equal(simulated.numpy(), found)


def test_moments_are_those_of_a_sample() -> None:
    graph = network(0.2)
    node = next(node for node in graph.nodes if node.op == "leaky_relu")
    mean, var = np.array([-1.0, 0.2, 2.0]), np.array([0.3, 1.0, 2.0])
    draws = mean[:, None] + np.sqrt(var)[:, None] * np.random.default_rng(1).normal(size=(3, 200_000))
    found = OPS["leaky_relu"].moments(graph, node, [ChannelMoments.normal(mean, var)], [])
    sample = np.where(draws >= 0, draws, 0.2 * draws)
    np.testing.assert_allclose(found.mean, sample.mean(axis=1), atol=0.03)
    np.testing.assert_allclose(found.var, sample.var(axis=1), rtol=0.04, atol=0.01)


def test_a_slope_above_one_is_refused() -> None:
    with pytest.raises(GraphError, match="slope of 0 to 1"):
        network(1.5)


def test_onnx_runs_it_as_torch_does() -> None:
    runtime = pytest.importorskip("onnxruntime")
    graph = network()
    (found,) = runtime.InferenceSession(to_onnx(graph)).run(None, {"mel": MEL[:, :, None]})
    np.testing.assert_allclose(found[:, :, 0], FloatExecutor(graph).run(MEL)["logits"].numpy(), rtol=1e-4, atol=1e-5)
