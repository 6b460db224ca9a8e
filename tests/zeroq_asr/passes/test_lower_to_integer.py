"""Lowering: no scale left, one rounding per stored value, close to the float model, equal to exact arithmetic."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from support.steps import layer_integers, step_of
from support.toy import toy_graph, toy_mel

from int_kernels import Conv1d, IntType, Program, Sum, compile_program
from zeroq_asr.analyses.accumulator_bounds import bound_accumulators
from zeroq_asr.analyses.integer_only import find_floats
from zeroq_asr.analyses.roles import find_code_values
from zeroq_asr.analyses.sqnr import measure_sqnr
from zeroq_asr.calibrate.run import calibrate
from zeroq_asr.config import QuantizeConfig
from zeroq_asr.errors import GraphError, QuantizationError
from zeroq_asr.ir import Graph
from zeroq_asr.ops import GraphBuilder
from zeroq_asr.passes.assign_qparams import assign_qparams
from zeroq_asr.passes.fold_batchnorm import fold_batchnorm
from zeroq_asr.passes.lower_to_integer import lower_to_integer
from zeroq_asr.quant.qparams import QuantParams
from zeroq_asr.quant.ranges import RangeTable
from zeroq_asr.runtime.float_executor import FloatExecutor

MEL = toy_mel(7, 4, 120)


def lower(config: QuantizeConfig, graph: Graph | None = None) -> tuple[Graph, Program, dict[str, QuantParams]]:
    folded = fold_batchnorm(graph or toy_graph())
    table = calibrate(FloatExecutor(folded), [MEL], config, "test")
    qparams = assign_qparams(folded, table, config)
    return folded, lower_to_integer(folded, qparams, config), qparams


def test_nothing_real_is_left() -> None:
    folded, program, _ = lower(QuantizeConfig())
    assert {array.dtype.kind for array in folded.constants.values()} == {"f"}
    assert find_floats(program) == ()
    assert [step.name for step in program.steps].count("sum") == 1
    assert program.outputs == ("logits", "tokens")


def test_relu_outputs_are_unsigned_unless_the_paper_is_followed() -> None:
    _, program, _ = lower(QuantizeConfig())
    assert program.spec("b1.relu").type == IntType(8, signed=False)
    assert program.spec("c1.dw").type == IntType(8, signed=True)
    _, program, _ = lower(QuantizeConfig(activations="symmetric"))
    assert program.spec("b1.relu").type == IntType(8, signed=True)
    assert step_of(program, "b1.relu", Sum).clip == (0, 127)


@pytest.mark.parametrize(("bits", "least"), [(8, 30.0), (6, 18.0), (4, 7.0)])
def test_codes_are_close_to_the_float_model(bits: int, least: float) -> None:
    folded, program, qparams = lower(QuantizeConfig(bits=bits))
    sqnr = measure_sqnr(FloatExecutor(folded), program, qparams, MEL)
    assert set(sqnr) == set(find_code_values(folded))
    assert min(sqnr.values()) > least
    assert sqnr["mel"] > 35  # a wrong scale of the input would show here whatever the weights


def test_a_sum_rounds_once() -> None:
    """The codes after the residual sum equal exact rational arithmetic on the two int32 accumulators."""
    folded, lowered, qparams = lower(QuantizeConfig())
    names = ["b1.1.bn", "b1.res.bn", "b1.relu"]
    program = replace(lowered, outputs=tuple(names))
    codes = qparams["mel"].quantize(MEL[0]).astype(np.int8)
    a, b, z = compile_program(program, backend="reference").run([codes])[0]
    step = step_of(program, "b1.relu", Sum)
    multipliers, shift = step.multipliers, step.shift
    for c in range(z.shape[0]):
        for t in range(z.shape[1]):
            exact = Fraction(
                int(a[c, t]) * int(multipliers[0, c]) + int(b[c, t]) * int(multipliers[1, c]), 1 << int(shift[c])
            )
            rounded = (exact + Fraction(1, 2)).__floor__()
            assert z[c, t] == min(max(rounded, 0), 255)
    # and the multipliers are the scale ratios to nine digits
    scale = {n: qparams[step_of(program, n, Conv1d).x].scale for n in names[:2]}
    weight = folded.constants["b1.res.bn.folded.weight"]
    ratio = scale["b1.res.bn"] * np.abs(weight).max(axis=(1, 2)) / 127 / qparams["b1.relu"].scale
    np.testing.assert_allclose(multipliers[1] / 2.0**shift, ratio, rtol=1e-6)


def test_logits_share_one_grid_and_cannot_saturate() -> None:
    folded, program, _ = lower(QuantizeConfig())
    bound = bound_accumulators(program)["logits"]
    rescale = step_of(program, "logits", Conv1d).rescale
    assert rescale is not None
    multiplier, shift = rescale.multiplier.astype(float), rescale.shift.astype(float)
    assert max(-bound.lo, bound.hi) * (multiplier / 2.0**shift).max() < 2**24
    executable = compile_program(program, backend="reference")
    real = FloatExecutor(folded).run(MEL)["logits"].numpy()
    scale = calibrate(FloatExecutor(folded), [MEL], QuantizeConfig(), "test").ranges["mel"]
    step = max(abs(scale.lo), abs(scale.hi)) / 127
    codes = np.floor(MEL[0] / step + 0.5).clip(-128, 127).astype(np.int8)
    logits = executable.run([codes])[0][0].astype(float)
    slope = (logits * real[0]).sum() / np.square(logits).sum()
    assert np.abs(slope * logits - real[0]).max() < 0.1 * np.abs(real[0]).max()


def test_an_identity_branch_becomes_a_code() -> None:
    """relu(conv(x) + x): x itself is added, as codes."""
    rng = np.random.default_rng(0)
    b = GraphBuilder()
    x = b.input("mel", 6)
    b.constant("w", rng.normal(0, 0.4, (6, 6, 3)).astype(np.float32))
    b.constant("v", rng.normal(0, 0.4, (4, 6, 1)).astype(np.float32))
    geometry: dict[str, Any] = {"stride": 1, "dilation": 1, "groups": 1, "masked": 1}
    y = b.node("conv1d", (x, "w"), "conv", 6, padding=1, **geometry)
    z = b.node("relu", (b.node("add", (y, x), "add", 6),), "relu", 6)
    graph = b.build((b.node("conv1d", (z, "v"), "logits", 4, padding=0, **geometry),))
    folded, lowered, qparams = lower(QuantizeConfig(), graph)
    assert min(measure_sqnr(FloatExecutor(folded), lowered, qparams, MEL).values()) > 30


def test_per_tensor_weights_share_one_scale() -> None:
    _, channel, _ = lower(QuantizeConfig())
    _, tensor, _ = lower(QuantizeConfig(granularity="per-tensor"))
    peaks = [np.abs(layer_integers(p, "c1.bn")[0]).max(axis=(1, 2)) for p in (channel, tensor)]
    assert (peaks[0] == 127).all()
    assert peaks[1].max() == 127
    assert peaks[1].min() < 127


def test_order_and_missing_ranges_are_refused() -> None:
    config = QuantizeConfig()
    with pytest.raises(GraphError, match="fold_batchnorm first"):
        lower_to_integer(toy_graph(), {}, config)
    folded = fold_batchnorm(toy_graph())
    with pytest.raises(QuantizationError, match=r"'mel'.*no range"):
        assign_qparams(folded, RangeTable({}, "nothing"), config)
