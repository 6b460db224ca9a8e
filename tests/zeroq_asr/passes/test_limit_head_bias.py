"""A suppressed token: it never wins, and it costs the others nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from support.toy import toy_mel
from support.toy_models import toy_float_model

from int_kernels import compile_program
from zeroq_asr.config import QuantizeConfig
from zeroq_asr.ir import Graph
from zeroq_asr.passes.limit_head_bias import limit_head_bias
from zeroq_asr.pipelines.quantize import Quantized, quantize_model

BATCHES = [toy_mel(1, 8, 100)]


def suppressed(graph: Graph, token: int, bias: float) -> Graph:
    name = graph.nodes[-1].inputs[2]
    biases = graph.constants[name].copy()
    biases[token] = bias
    return graph.with_nodes(graph.nodes, graph.values, {**graph.constants, name: biases})


def quantized(graph: Graph, bits: int) -> Quantized:
    return quantize_model(replace(toy_float_model(), graph=graph), BATCHES, "noise", QuantizeConfig(bits=bits))


@pytest.mark.parametrize("bits", [8, 4])
@pytest.mark.parametrize("bias", [-1e4, -1e9, -3e38])
def test_a_suppressed_token_costs_the_others_nothing(bits: int, bias: float) -> None:
    graph = toy_float_model().graph
    plain, found = (quantized(g, bits) for g in (graph, suppressed(graph, 1, bias)))
    mel = toy_mel(2, 1, 300)[0]
    logits = []
    for made in (plain, found):
        program = made.model.program
        codes = made.qparams[program.input].quantize(mel)
        run = compile_program(program, backend="reference").run([codes])[0]
        logits.append(np.asarray(run[0], dtype=float))
    others = [0, 2, 3]
    before, after = (x[others] - x[others].mean(axis=0) for x in logits)
    scale = np.sum(before * after) / np.sum(after * after)  # the grids of the two differ
    np.testing.assert_allclose(scale * after, before, atol=1e-3 * np.abs(before).max())
    assert (logits[1][1] < logits[1][others].max(axis=0)).all()


def test_biases_of_tokens_that_can_win_stay() -> None:
    made = quantized(toy_float_model().graph, 8)
    assert limit_head_bias(made.graph, made.qparams) is made.graph
