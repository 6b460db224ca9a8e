from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from zeroq_asr.analyses.cost import count_costs
from zeroq_asr.errors import ConfigError
from zeroq_asr.ir import Graph
from zeroq_asr.runtime.float_executor import FloatExecutor
from zeroq_asr.zoo.full_size import full_size_model, full_size_names


def parameters(graph: Graph) -> int:
    """What NeMo counts: weights, biases, gamma and beta; running statistics are no parameters."""
    return sum(array.size for name, array in graph.constants.items() if not name.endswith((".mean", ".var")))


@pytest.mark.parametrize(
    ("name", "expected", "convolutions", "gmac"),
    [
        ("quartznet5x5", 6_713_181, 61, 3.342),
        ("quartznet10x5", 12_818_781, 116, 6.383),
        ("quartznet15x5", 18_924_381, 171, 9.424),
    ],
)
def test_the_sizes_are_the_published_ones(name: str, expected: int, convolutions: int, gmac: float) -> None:
    """Counted on NeMo 3.0.0's modules; the paper says 6.7, 12.8 and 18.9 million."""
    graph = full_size_model(name).graph
    costs = count_costs(graph, frames=1000)
    assert parameters(graph) == expected
    assert len(costs) == convolutions
    assert sum(cost.macs for cost in costs.values()) / 1e9 == pytest.approx(gmac, abs=6e-4)


def test_the_signal_lives_through_all_layers() -> None:
    graph = full_size_model("quartznet5x5").graph
    mel = np.random.default_rng(5).normal(0, 1, (1, 64, 300)).astype(np.float32)
    relus = [node.output for node in graph.nodes if node.op == "relu"]
    values = FloatExecutor(graph).run(mel, keep=relus)
    for name in relus:
        assert 0.2 < float(values[name].std()) < 5, name
    assert 0.2 < float(values["logits"].std()) < 5


def test_a_seed_names_one_model() -> None:
    prints = [full_size_model("quartznet5x5", seed).fingerprint for seed in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]


def test_an_unknown_size_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="quartznet15x5"):
        full_size_model("quartznet20x5")


def test_the_names_are_light() -> None:
    code = f"import sys; from zeroq_asr.zoo.full_size import full_size_names as f; assert f() == {full_size_names()}"
    subprocess.run([sys.executable, "-c", f"{code}; assert 'torch' not in sys.modules"], check=True)
