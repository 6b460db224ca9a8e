"""Rounding by second moments in a graph: every layer errs less, the program holds these codes, memory is bounded."""

from __future__ import annotations

import numpy as np
import pytest
from support.steps import layer_integers
from support.toy import toy_graph, toy_mel
from support.toy_networks import ToyBuilder, toy_citrinet, toy_conformer

from zeroq_asr.analyses.roles import CONVOLUTIONS
from zeroq_asr.analyses.sensitivity import round_weights
from zeroq_asr.calibrate.run import calibrate
from zeroq_asr.config import QuantizeConfig
from zeroq_asr.errors import QuantizationError
from zeroq_asr.ir import Graph
from zeroq_asr.passes import gptq as module
from zeroq_asr.passes.assign_qparams import assign_qparams
from zeroq_asr.passes.canonicalize import prepare
from zeroq_asr.passes.gptq import round_with_gptq
from zeroq_asr.passes.lower_to_integer import lower_to_integer
from zeroq_asr.quant.qparams import QuantParams
from zeroq_asr.runtime.float_executor import FloatExecutor

CONFIG = QuantizeConfig(bits=3, methods=("clipping", "gptq", "bias-correction"))
BATCHES = [toy_mel(3, 6, 200) + np.float32(1.0), toy_mel(4, 6, 200)]


def maps_graph() -> Graph:
    b = ToyBuilder()
    return prepare(b.head(b.node("relu", "relu", b.conv2d(b.conv2d(b.mel, "in", 6, (1, 4)), "maps", 3, (4, 4)))))


GRAPHS = {
    "quartznet": prepare(toy_graph()),
    "conformer": prepare(toy_conformer()),
    "citrinet": prepare(toy_citrinet()),
    "maps": maps_graph(),
}


def codes_of(graph: Graph, config: QuantizeConfig = CONFIG) -> dict[str, QuantParams]:
    return assign_qparams(graph, calibrate(FloatExecutor(graph), BATCHES, config, "test"), config)


def output_errors(graph: Graph, weights: dict[str, np.ndarray]) -> dict[str, float]:
    """Variance of what each convolution errs by when it alone is rounded, summed over channels."""
    errors = {}
    for node in graph.nodes:
        if node.op in CONVOLUTIONS:
            alone = {**graph.constants, node.inputs[1]: weights[node.inputs[1]]}
            changed = FloatExecutor(graph.with_nodes(graph.nodes, graph.values, alone))
            name = node.output
            difference = [
                changed.run(x, keep=[name])[name] - FloatExecutor(graph).run(x, keep=[name])[name] for x in BATCHES
            ]
            errors[name] = float(sum(d.var(dim=(0, 2)).sum() for d in difference))
    return errors


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS.keys())
def test_layers_err_less(graph: Graph) -> None:
    qparams = codes_of(graph)
    rounded = round_with_gptq(graph, qparams, CONFIG, BATCHES)
    assert rounded.keys() == {node.output for node in graph.nodes if node.op in CONVOLUTIONS}
    plain = output_errors(graph, round_weights(graph, qparams, CONFIG))
    found = output_errors(graph, round_weights(graph, qparams, CONFIG, rounded))
    assert sum(found.values()) < 0.95 * sum(plain.values())  # (the first layer reads noise: little is to be gained)
    assert np.median([found[name] / plain[name] for name in plain]) < 0.9


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS.keys())
def test_the_program_holds_these_codes(graph: Graph) -> None:
    qparams = codes_of(graph)
    rounded = round_with_gptq(graph, qparams, CONFIG, BATCHES)
    lowered = lower_to_integer(graph, qparams, CONFIG, rounded)
    for name, weights in rounded.items():
        np.testing.assert_array_equal(layer_integers(lowered, name)[0], weights.codes)
        assert np.abs(weights.codes).max() <= 3


def test_layers_have_their_own_bits_and_those_of_8_are_left_alone() -> None:
    graph = GRAPHS["quartznet"]
    first, second, third = [node.output for node in graph.nodes if node.op == "conv1d"][:3]
    config = QuantizeConfig(bits=2, methods=("gptq",), layer_bits=((first, 7), (third, 8)))
    rounded = round_with_gptq(graph, codes_of(graph), config, BATCHES)
    assert np.abs(rounded[first].codes).max() > 50
    assert np.abs(rounded[second].codes).max() == 1
    assert third not in rounded
    assert round_with_gptq(graph, codes_of(graph), QuantizeConfig(methods=("gptq",)), BATCHES) == {}


def test_little_memory_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = GRAPHS["conformer"]
    qparams = codes_of(graph)
    expected = round_with_gptq(graph, qparams, CONFIG, BATCHES)
    monkeypatch.setattr(module, "MOMENT_BYTES", 1)
    found = round_with_gptq(graph, qparams, CONFIG, BATCHES)
    for name, weights in expected.items():
        np.testing.assert_array_equal(found[name].codes, weights.codes)
        np.testing.assert_array_equal(found[name].scale, weights.scale)


def test_wide_layers_are_cut_into_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = GRAPHS["quartznet"]
    qparams = codes_of(graph)
    plain = output_errors(graph, round_weights(graph, qparams, CONFIG))
    monkeypatch.setattr(module, "MOST_COLUMNS", 3)
    rounded = round_with_gptq(graph, qparams, CONFIG, BATCHES)
    found = output_errors(graph, round_weights(graph, qparams, CONFIG, rounded))
    assert sum(found.values()) < sum(plain.values())


def test_no_data_is_refused() -> None:
    graph = GRAPHS["quartznet"]
    with pytest.raises(QuantizationError, match="at least one batch"):
        round_with_gptq(graph, codes_of(graph), CONFIG, [])
