"""Bias correction: by hand, and that the mean of every layer comes back where its input is the float model's."""

from __future__ import annotations

import numpy as np
import pytest
from support.toy import toy_graph, toy_mel
from support.toy_networks import ToyBuilder, toy_conformer

from zeroq_asr.analyses.sensitivity import round_weights
from zeroq_asr.calibrate.run import calibrate
from zeroq_asr.config import QuantizeConfig
from zeroq_asr.errors import QuantizationError
from zeroq_asr.ir import Graph
from zeroq_asr.passes.assign_qparams import assign_qparams
from zeroq_asr.passes.canonicalize import prepare
from zeroq_asr.passes.correct_biases import correct_biases, measure_means
from zeroq_asr.passes.lower_to_integer import lower_to_integer
from zeroq_asr.quant.qparams import QuantParams
from zeroq_asr.runtime.float_executor import FloatExecutor

CONFIG = QuantizeConfig(bits=3)
MEL = toy_mel(3, 6, 400) + np.float32(1.0)


def codes(graph: Graph) -> dict[str, QuantParams]:
    return assign_qparams(graph, calibrate(FloatExecutor(graph), [MEL], CONFIG, "test"), CONFIG)


def mean_errors(graph: Graph, changed: Graph, rounded: dict[str, np.ndarray]) -> dict[str, float]:
    """Largest error of the mean over the channels of each convolution, when it alone is rounded."""
    exact = FloatExecutor(graph)
    errors = {}
    for node in changed.nodes:
        source = graph.producer(node.inputs[0])
        if node.op != "conv1d" or (source is not None and source.op == "positions"):
            continue
        own = {**graph.constants, **changed.constants, node.inputs[1]: rounded[node.inputs[1]]}
        nodes = [node if other.output == node.output else other for other in graph.nodes]
        name = node.output
        found = FloatExecutor(graph.with_nodes(nodes, graph.values, own)).run(MEL, keep=[name])[name]
        shift = (found - exact.run(MEL, keep=[name])[name]).mean(dim=(0, 2))
        errors[name] = float(shift.abs().max())
    return errors


def test_one_layer_by_hand() -> None:
    b = ToyBuilder()
    graph = prepare(b.head(b.node("relu", "relu", b.conv(b.mel, "conv", 6, 8, kernel=3, groups=2))))
    qparams = codes(graph)
    found = correct_biases(graph, qparams, CONFIG, measure_means(graph, [MEL[:2], MEL[2:]]))
    node = found.producer("conv")
    assert node is not None
    assert node.inputs == ("mel", "conv.w", "conv.corrected.bias")
    lost = graph.constants["conv.w"] - round_weights(graph, qparams, CONFIG)["conv.w"]
    mean = MEL.mean(axis=(0, 2), dtype=float)
    expected = [sum(lost[o, c].sum() * mean[3 * (o // 4) + c] for c in range(3)) for o in range(8)]
    np.testing.assert_allclose(found.constants["conv.corrected.bias"] - graph.constants["conv.b"], expected, atol=1e-5)


def test_a_feature_map_counts_all_its_rows() -> None:
    b = ToyBuilder()
    graph = prepare(b.head(b.node("relu", "relu", b.conv2d(b.conv2d(b.mel, "in", 6, (1, 4)), "maps", 3, (4, 4)))))
    qparams = codes(graph)
    found = correct_biases(graph, qparams, CONFIG, measure_means(graph, [MEL]))
    lost = (graph.constants["maps.w"] - round_weights(graph, qparams, CONFIG)["maps.w"]).sum(axis=(2, 3))
    mean = FloatExecutor(graph).run(MEL, keep=["in"])["in"].reshape(6, 4, -1).mean(dim=(0, 2)).numpy()
    shift = found.constants["maps.corrected.bias"] - graph.constants["maps.b"]
    np.testing.assert_allclose(shift, lost @ mean, atol=1e-4)


@pytest.mark.parametrize("graph", [prepare(toy_graph()), prepare(toy_conformer())], ids=["quartznet", "conformer"])
def test_means_come_back_and_the_result_lowers(graph: Graph) -> None:
    qparams = codes(graph)
    found = correct_biases(graph, qparams, CONFIG, measure_means(graph, [MEL]))
    assert tuple(found.values) == tuple(graph.values)
    rounded = round_weights(graph, qparams, CONFIG)
    plain, corrected = mean_errors(graph, graph, rounded), mean_errors(graph, found, rounded)
    assert max(plain.values()) > 0.05
    assert max(corrected.values()) < max(plain.values()) / 10
    lower_to_integer(found, qparams, CONFIG)


def test_no_data_is_refused() -> None:
    graph = prepare(toy_graph())
    with pytest.raises(QuantizationError, match="at least one batch"):
        measure_means(graph, [])
