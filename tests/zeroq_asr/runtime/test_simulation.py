"""The simulation shares no arithmetic with the kernels: where both agree, the kernels compute what their scales say."""

from __future__ import annotations

import numpy as np
import pytest
from support.toy import N_MELS, VOCABULARY, toy_graph, toy_mel
from support.toy_networks import toy_citrinet, toy_conformer

from zeroq_asr.artifact import IntegerModel
from zeroq_asr.calibrate.run import calibrate
from zeroq_asr.config import QuantizeConfig
from zeroq_asr.frontend.spec import FrontendSpec
from zeroq_asr.ir import Graph
from zeroq_asr.passes.assign_qparams import assign_qparams
from zeroq_asr.passes.canonicalize import prepare
from zeroq_asr.passes.lower_to_integer import lower_to_integer
from zeroq_asr.runtime.float_executor import FloatExecutor
from zeroq_asr.runtime.integer_executor import IntegerExecutor
from zeroq_asr.runtime.simulation import SimulatedExecutor

MEL = toy_mel(3, 4, 120)


def integer_model(graph: Graph, config: QuantizeConfig) -> IntegerModel:
    prepared = prepare(graph)
    qparams = assign_qparams(prepared, calibrate(FloatExecutor(prepared), [MEL], config, "test"), config)
    lowered = lower_to_integer(prepared, qparams, config)
    return IntegerModel(lowered, qparams["mel"].scale, FrontendSpec(n_mels=N_MELS), VOCABULARY, {})


@pytest.mark.parametrize("nonlinear", ["poly2", "lut"])
@pytest.mark.parametrize("graph", [toy_conformer(), toy_citrinet()], ids=["conformer", "citrinet"])
def test_program_and_simulation_agree(graph: Graph, nonlinear: str) -> None:
    """Only the polynomials' error of a few 1e-4 is between them: now and then a code differs by one."""
    model = integer_model(graph, QuantizeConfig(nonlinear=nonlinear))  # type: ignore[arg-type]
    features = [MEL[0], MEL[1][:, :37]]
    program, simulation = IntegerExecutor(model, "reference"), SimulatedExecutor(model)
    for wanted, found in zip(program.run(features), simulation.run(features), strict=True):
        error = np.square(wanted - found).mean() / np.square(wanted - wanted.mean()).mean()
        assert wanted.shape == found.shape
        assert error < 3e-4
    differing = np.concatenate(program.tokens(features)) != np.concatenate(simulation.tokens(features))
    assert differing.mean() < 0.05


def test_without_nonlinear_operations_every_number_agrees() -> None:
    model = integer_model(toy_graph(), QuantizeConfig())
    (wanted,), (found,) = (
        executor.run([MEL[0]]) for executor in (IntegerExecutor(model, "reference"), SimulatedExecutor(model))
    )
    np.testing.assert_array_equal(wanted, found)
