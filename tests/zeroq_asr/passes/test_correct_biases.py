"""Bias correction: by hand, and that means of the integer program come back to the float model's."""

from __future__ import annotations

import numpy as np
import pytest
from toy import toy_graph, toy_mel
from toy_networks import ToyBuilder, toy_conformer

from zeroq_asr.analyses.sensitivity import round_weights
from zeroq_asr.calibrate.run import calibrate
from zeroq_asr.config import QuantizeConfig
from zeroq_asr.errors import QuantizationError
from zeroq_asr.ir import Graph
from zeroq_asr.passes.assign_qparams import assign_qparams
from zeroq_asr.passes.correct_biases import correct_biases
from zeroq_asr.passes.lower_to_integer import lower_to_integer
from zeroq_asr.passes.prepare import prepare
from zeroq_asr.quant.qparams import QuantParams
from zeroq_asr.runtime.float_executor import FloatExecutor

CONFIG = QuantizeConfig(bits=3)
MEL = toy_mel(3, 6, 200) + np.float32(1.0)


def codes(graph: Graph, config: QuantizeConfig = CONFIG) -> dict[str, QuantParams]:
    return assign_qparams(graph, calibrate(FloatExecutor(graph), [MEL], config, "test"), config)


def mean_errors(graph: Graph, changed: Graph, qparams: dict[str, QuantParams]) -> dict[str, float]:
    """Per convolution: root mean square over the channels of the mean's error, weights and stored values rounded."""
    rounded = changed.with_nodes(
        changed.nodes, changed.values, {**changed.constants, **round_weights(changed, qparams, CONFIG)}
    )
    names = [node.output for node in graph.nodes if node.op in ("conv1d", "conv2d") and "pos" not in node.output]

    def rounding(name: str, value: object) -> object:
        if name not in qparams:
            return value
        return value.new_tensor(qparams[name].real(qparams[name].quantize(value.numpy())))  # type: ignore[attr-defined]

    exact = FloatExecutor(graph).run(MEL, keep=names)
    found = FloatExecutor(rounded).run(MEL, keep=[n for n in names if n not in qparams], edit=rounding)  # type: ignore[arg-type]
    errors = {}
    for name in found.keys() & set(names):
        node = graph.producer(name)
        assert node is not None
        rows = (found[name] - exact[name]).mean(dim=(0, 2)).numpy()
        shift = rows.reshape(len(graph.constants[node.inputs[1]]), -1).mean(axis=1)  # (a feature map has several rows)
        errors[name] = float(np.sqrt(np.square(shift).mean()))
    return errors


def test_one_layer_by_hand() -> None:
    """b' - b = E[(w - w~) x] + E[w~ (x - x~)]: here the weights alone, because the input falls on its codes."""
    b = ToyBuilder()
    graph = prepare(b.head(b.node("relu", "relu", b.conv(b.mel, "conv", 6, 8))))
    qparams = codes(graph)
    mel = qparams["mel"].real(qparams["mel"].quantize(MEL)).astype(np.float32)
    found = correct_biases(graph, qparams, CONFIG, [mel])
    node = found.producer("conv")
    assert node is not None and node.inputs[2] == "conv.corrected.bias"
    lost = graph.constants["conv.w"] - round_weights(graph, qparams, CONFIG)["conv.w"]
    expected = lost[:, :, 0].astype(float) @ mel.mean(axis=(0, 2), dtype=float)
    np.testing.assert_allclose(found.constants["conv.corrected.bias"] - graph.constants["conv.b"], expected, atol=1e-5)


@pytest.mark.parametrize("graph", [prepare(toy_graph()), prepare(toy_conformer())], ids=["quartznet", "conformer"])
def test_means_come_back(graph: Graph) -> None:
    qparams = codes(graph)
    found = correct_biases(graph, qparams, CONFIG, [MEL])
    assert tuple(found.values) == tuple(graph.values)
    plain, corrected = mean_errors(graph, graph, qparams), mean_errors(graph, found, qparams)
    assert max(plain.values()) > 0.05
    assert max(corrected.values()) < 1e-4
    lower_to_integer(found, qparams, CONFIG)


def test_several_batches_are_weighted_by_their_frames() -> None:
    graph = prepare(toy_graph())
    qparams = codes(graph)
    whole = correct_biases(graph, qparams, CONFIG, [MEL]).constants["logits.corrected.bias"]
    parts = correct_biases(graph, qparams, CONFIG, [MEL[:4], MEL[4:]]).constants["logits.corrected.bias"]
    np.testing.assert_allclose(parts, whole, atol=0.05)


def test_no_data_is_refused() -> None:
    graph = prepare(toy_graph())
    with pytest.raises(QuantizationError, match="at least one batch"):
        correct_biases(graph, codes(graph), CONFIG, [])
