"""Lowering of attention models and squeeze-and-excite: integers only, close to the float model, exact where claimed."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from support.steps import layer_integers
from support.toy import toy_mel
from support.toy_networks import ToyBuilder, toy_citrinet, toy_conformer

from int_kernels import Conv1d, IntType, Program, compile_program
from zeroq_asr.analyses.integer_only import find_floats
from zeroq_asr.analyses.roles import find_code_values
from zeroq_asr.analyses.sqnr import measure_sqnr
from zeroq_asr.calibrate.run import calibrate
from zeroq_asr.config import QuantizeConfig
from zeroq_asr.errors import GraphError
from zeroq_asr.ir import Graph
from zeroq_asr.passes.assign_qparams import assign_qparams
from zeroq_asr.passes.canonicalize import prepare
from zeroq_asr.passes.lower_to_integer import lower_to_integer
from zeroq_asr.quant.qparams import QuantParams
from zeroq_asr.runtime.float_executor import FloatExecutor

MEL = toy_mel(3, 4, 120)

Lowered = tuple[Graph, Program, dict[str, QuantParams]]


def lower(graph: Graph, config: QuantizeConfig) -> Lowered:
    prepared = prepare(graph)
    table = calibrate(FloatExecutor(prepared), [MEL], config, "test")
    qparams = assign_qparams(prepared, table, config)
    return prepared, lower_to_integer(prepared, qparams, config), qparams


@cache
def toy(name: str, config: QuantizeConfig) -> Lowered:
    return lower({"conformer": toy_conformer, "citrinet": toy_citrinet}[name](), config)


def sqnr(lowered: Lowered) -> dict[str, float]:
    prepared, program, qparams = lowered
    return measure_sqnr(FloatExecutor(prepared), program, qparams, MEL[:2], backend="reference")


@pytest.mark.parametrize(
    ("name", "config", "least"),
    [
        ("conformer", QuantizeConfig(), 34.0),
        ("conformer", QuantizeConfig(nonlinear="lut"), 33.0),
        ("conformer", QuantizeConfig(activations="symmetric"), 33.0),
        ("conformer", QuantizeConfig(bits=6), 22.0),
        ("citrinet", QuantizeConfig(), 33.0),
        ("citrinet", QuantizeConfig(nonlinear="lut"), 33.0),
    ],
)
def test_every_stored_value_is_close_to_the_float_model(name: str, config: QuantizeConfig, least: float) -> None:
    prepared, program, qparams = toy(name, config)
    assert find_floats(program) == ()
    found = sqnr((prepared, program, qparams))
    assert tuple(found) == find_code_values(prepared, config.nonlinear)
    assert min(found.values()) > least


def test_operations_of_a_conformer() -> None:
    steps = toy("conformer", QuantizeConfig())[1].steps
    ops = [step.name for step in steps]
    assert sum(isinstance(step, Conv1d) and step.rescale is None for step in steps) == 11  # bare accumulators
    counts = {op: ops.count(op) for op in dict.fromkeys(ops)}
    assert counts == {
        "conv2d": 1,
        "conv1d": 15,  # eleven bare accumulators; k, v, positions, the head
        "sum": 7,  # the residual's start and its four additions; both biases of the queries
        "positions": 1,
        "layer_norm": 5,
        "activation": 4,
        "attention": 1,
        "argmax": 1,
    }
    ops = [step.name for step in toy("conformer", QuantizeConfig(nonlinear="lut"))[1].steps]
    assert (ops.count("activation"), ops.count("lookup"), ops.count("multiply")) == (0, 4, 1)


def test_the_offset_of_a_swish_is_absorbed_exactly() -> None:
    """Reading q with the stored bias equals reading q - offset with the bias that rounding gave."""
    _, program, qparams = toy("conformer", QuantizeConfig())
    code = qparams["0.ff1.swish"]
    assert code.type == IntType(8, signed=False)
    assert code.offset > 0
    _, plain, symmetric = toy("conformer", QuantizeConfig(activations="symmetric"))
    assert symmetric["0.ff1.swish"].offset == 0
    weight, bias = (array.astype(np.int64) for array in layer_integers(program, "0.ff1.half"))
    np.testing.assert_array_equal(weight, layer_integers(plain, "0.ff1.half")[0])
    real = prepare(toy_conformer()).constants["0.ff1.half.folded.bias"]
    scale = code.scale * np.abs(prepare(toy_conformer()).constants["0.ff1.half.folded.weight"]).max(axis=(1, 2)) / 127
    unshifted = np.floor(real / scale + 0.5).astype(np.int64)
    np.testing.assert_array_equal(bias, unshifted - code.offset * weight.sum(axis=(1, 2)))


def test_a_shifted_code_gains_what_a_sign_would_waste() -> None:
    shifted, symmetric = (sqnr(toy("conformer", QuantizeConfig(activations=way))) for way in ("auto", "symmetric"))
    assert shifted["0.ff1.swish"] > symmetric["0.ff1.swish"] + 1.0


def test_channels_before_a_depthwise_convolution_have_their_own_scales() -> None:
    b = ToyBuilder()
    a, gate = b.conv(b.mel, "a", 6, 8), b.conv(b.mel, "b", 6, 8)
    constants = dict(b.graph.build((gate,)).constants)
    glu = b.node("glu", "glu", a, gate)
    graph = b.head(b.conv(glu, "dw", 8, 8, kernel=3, groups=8))
    loud = constants["a.w"].copy()
    loud[0] *= 100  # one loud channel must not drown the others
    graph = graph.with_nodes(graph.nodes, graph.values, {**graph.constants, "a.w": loud})
    lowered = {way: lower(graph, QuantizeConfig(activations=way)) for way in ("auto", "symmetric")}
    found = {way: _channel_sqnr(*parts, "glu") for way, parts in lowered.items()}
    assert found["auto"].min() > 18
    assert found["symmetric"].min() < 10


def _channel_sqnr(prepared: Graph, program: Program, qparams: dict[str, QuantParams], name: str) -> np.ndarray:
    codes = qparams["mel"].quantize(MEL[0]).astype(np.int8)
    (found,) = compile_program(replace(program, outputs=(name,)), backend="reference").run([codes])[0]
    real = FloatExecutor(prepared).run(MEL[:1], keep=[name], outputs=False)[name][0].numpy().astype(float)
    error = np.square(real - qparams[name].real(found)).sum(axis=1)
    result: np.ndarray = 10 * np.log10(np.square(real).sum(axis=1) / error)
    return result


def test_every_activation_in_both_forms() -> None:
    for nonlinear in ("poly2", "lut"):
        for op in ("sigmoid", "tanh", "swish", "gelu"):
            b = ToyBuilder()
            y = b.node(op, "y", b.conv(b.mel, "c", 6, 8))
            lowered = lower(b.head(y), QuantizeConfig(nonlinear=nonlinear))
            assert sqnr(lowered)["y"] > 33, (nonlinear, op)
            stream = b.node("add", "add", y, b.conv(b.mel, "d", 6, 8))
            graph = b.graph.build((b.conv(stream, "out", 8, 4),))
            lowered = lower(graph, QuantizeConfig(nonlinear=nonlinear))
            assert sqnr(lowered)["add"] > 33, (nonlinear, op)


def test_a_scale_that_was_not_folded_is_refused() -> None:
    b = ToyBuilder()
    x = b.norm(b.conv(b.mel, "c", 6, 8), "norm")
    graph = b.head(b.node("scale", "half", x, factor=0.5))
    graph = graph.with_nodes(graph.nodes, graph.values, graph.constants, establishes=("no-batch-norm",))
    table = calibrate(FloatExecutor(graph), [MEL], QuantizeConfig(), "test")
    with pytest.raises(GraphError, match=r"'half'.*canonicalize the graph first"):
        lower_to_integer(graph, assign_qparams(graph, table, QuantizeConfig()), QuantizeConfig())
