"""Lengths and costs: against the executor's own shapes, and against figures measured from NeMo."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.toy_conformer import N_MELS, toy_conformer

from eval.cost import total_bops, total_macs
from zeroq_asr.analyses.batchnorm_statistics import find_batchnorm_statistics
from zeroq_asr.analyses.cost import PAPER_FRAMES, count_costs, count_products
from zeroq_asr.errors import GraphError
from zeroq_asr.ops import GraphBuilder
from zeroq_asr.ops.frames import count_frames
from zeroq_asr.runtime.float_executor import FloatExecutor


@pytest.mark.parametrize("frames", [1, 4, 5, 30])
def test_lengths_are_those_that_come_out(frames: int) -> None:
    graph = toy_conformer()
    mel = np.zeros((1, N_MELS, frames), np.float32)
    values = FloatExecutor(graph).run(mel, keep=list(graph.values))
    assert {name: value.shape[2] for name, value in values.items()} == count_frames(graph, frames)


def test_a_mean_has_length_one_and_an_empty_value_is_refused() -> None:
    b = GraphBuilder()
    x = b.input("mel", 4)
    mean = b.node("mean", (x,), "mean", 4)
    weight = b.constant("w", np.zeros((1, 1, 2, 3), np.float32))
    geometry: dict[str, Any] = {
        "height": 4,
        "stride_h": 2,
        "stride_t": 1,
        "padding_h": 0,
        "padding_t": 0,
        "groups": 1,
        "masked": 1,
    }
    y = b.node("conv2d", (x, weight), "y", 2, **geometry)
    graph = b.build((mean, y))
    assert count_frames(graph, 9) == {"mel": 9, "mean": 1, "y": 7}
    assert count_costs(graph, 9)["y"].macs == 6 * 2 * 7
    with pytest.raises(GraphError, match="longer input"):
        count_frames(graph, 2)


def test_conformer_large_costs_what_nemo_measures() -> None:
    """45.26 GMAC for 1001 frames, 2.32 of them in attention's products; without those the paper's 44.0 TBOP.

    Two of the eighteen layers are built: they differ by one layer, which then counts eighteen times.
    """
    layer, rest, products = 0, 0, 0
    for layers in (1, 2):
        graph = toy_conformer(mels=80, maps=512, width=512, heads=8, layers=layers, kernel=31, labels=129)
        macs = total_macs(count_costs(graph, PAPER_FRAMES).values())
        layer, rest = (macs - rest, rest) if layers == 2 else (0, macs)
        products = total_macs(count_products(graph, PAPER_FRAMES).values()) // layers
    without = rest + 17 * layer
    assert round((without + 18 * products) / 1e9, 2) == 45.26
    assert round(18 * products / 1e9, 3) == 2.320
    assert round(without * 32 * 32 / 1e12, 2) == 43.98


def test_bits_of_products() -> None:
    products = count_products(toy_conformer(), 40)
    assert list(products)[:3] == [f"layers.0.self_attn.attention.{role}" for role in ("content", "position", "value")]
    assert total_bops(products.values()) == 1024 * total_macs(products.values())
    assert total_macs(products.values()) == 2 * 16 * (4 * 10 * 10 - 10)


def test_one_tap_for_each_batchnorm() -> None:
    batchnorms = find_batchnorm_statistics(toy_conformer())
    assert [norm.name for norm in batchnorms] == ["layers.0.conv.depthwise_conv", "layers.1.conv.depthwise_conv"]
