"""What weight bits cost: the same number as a model made with these weights, whatever the methods are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.toy import toy_mel
from support.toy_models import toy_float_model

from zeroq_asr.analyses.divergence import log_posteriors
from zeroq_asr.analyses.sensitivity import round_weights
from zeroq_asr.bit_allocation.layer_costs import LayerCosts
from zeroq_asr.config import QuantizeConfig
from zeroq_asr.ir.types import Graph
from zeroq_asr.passes.correct_biases import correct_biases, measure_means
from zeroq_asr.passes.gptq import round_with_gptq
from zeroq_asr.pipelines.quantize import Quantized, quantize_model
from zeroq_asr.runtime.float_executor import FloatExecutor

BATCHES = [toy_mel(1, 4, 120), toy_mel(2, 4, 120)]
CONFIG = QuantizeConfig(methods=("clipping", "bias-correction"))


@pytest.fixture(scope="module")
def base() -> Quantized:
    return quantize_model(toy_float_model(), BATCHES, "noise", CONFIG)


def widths_of(base: Quantized, config: QuantizeConfig) -> LayerCosts:
    means = measure_means(base.graph, BATCHES)
    return LayerCosts(base.graph, base.qparams, config, BATCHES[:1], means, BATCHES)


def divergence(first: Graph, second: Graph) -> float:
    """Utterance by utterance, frame by frame."""
    executors = [FloatExecutor(graph) for graph in (first, second)]
    pairs = [[log_posteriors(executor, mel) for executor in executors] for mel in BATCHES[0]]
    return float(np.mean([(np.exp(p) * (p - q)).sum(axis=0) for p, q in pairs]))


@pytest.mark.parametrize("methods", [(), ("clipping",), ("clipping", "bias-correction"), ("gptq", "bias-correction")])
def test_the_divergence_is_that_of_a_model_with_these_weights(base: Quantized, methods: tuple[str, ...]) -> None:
    config, graph = replace(CONFIG, bits=3, methods=methods), base.graph
    rounded = round_with_gptq(graph, base.qparams, config, BATCHES) if "gptq" in methods else {}
    made = graph
    if "bias-correction" in methods:
        made = correct_biases(graph, base.qparams, config, measure_means(graph, BATCHES), rounded)
    weights = round_weights(graph, base.qparams, config, rounded)
    made = made.with_nodes(made.nodes, made.values, {**made.constants, **weights})
    widths = widths_of(base, replace(config, bits=8))
    assert widths.divergence(dict.fromkeys(widths.layers, 3)) == pytest.approx(divergence(graph, made), rel=1e-4)


def test_each_layer_is_rounded_to_its_own_bits(base: Quantized) -> None:
    widths = widths_of(base, CONFIG)
    first, last = widths.layers[0], widths.layers[-1]
    assert widths.divergence({}) == 0.0
    both = widths.divergence({first: 2, last: 6})
    assert widths.divergence({last: 6}) < both < widths.divergence({first: 2, last: 2})
    table = widths.measure((2, 6), lambda _: None)
    assert table.shape == (len(widths.layers), 2)
    assert table[0, 0] == widths.divergence({first: 2}) and table[-1, 1] == widths.divergence({last: 6})


def test_weights_that_gptq_rounds_diverge_less(base: Quantized) -> None:
    plain, second = (widths_of(base, replace(CONFIG, methods=m)) for m in (("clipping",), ("clipping", "gptq")))
    everywhere = dict.fromkeys(plain.layers, 3)
    assert second.divergence(everywhere) < plain.divergence(everywhere)
