from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eval.cost import total_macs
from zeroq_asr.analyses.cost import count_costs, count_products
from zeroq_asr.analyses.published_sizes import size_table
from zeroq_asr.errors import ConfigError
from zeroq_asr.models.full_size import count_parameters, full_size_graph, full_size_model, full_size_names
from zeroq_asr.models.published import published_names
from zeroq_asr.models.resolve import load_float_model
from zeroq_asr.runtime.float_executor import FloatExecutor

SIZES = [
    # name, parameters, convolutions and linear layers, 10^9 MACs of 1000 frames without and with attention's products
    ("quartznet5x5", 6_713_181, 61, 3.342, 3.342),
    ("quartznet10x5", 12_818_781, 116, 6.383, 6.383),
    ("quartznet15x5", 18_924_381, 171, 9.424, 9.424),
    ("jasper10x5dr", 332_632_349, 109, 166.255, 166.255),
    ("citrinet256", 10_259_729, 282, None, None),
    ("citrinet512", 36_994_321, 282, 10.444, 10.444),
    ("citrinet1024", 141_224_337, 282, None, None),
    ("conformer-small", 12_995_441, 196, None, 5.408),
    ("conformer-medium", 30_538_625, 220, None, 11.889),
    ("conformer-large", 121_501_313, 220, 42.774, 45.075),
    ("fastconformer-large", 115_600_385, 223, None, 16.026),
]


@pytest.mark.parametrize(("name", "parameters", "layers", "gmac", "gmac_with_products"), SIZES)
def test_the_sizes_are_the_published_ones(
    name: str, parameters: int, layers: int, gmac: float | None, gmac_with_products: float | None
) -> None:
    """Parameters and layers counted on NeMo 3.0.0's modules, MACs on its calls to torch; None: not measured there."""
    graph = full_size_graph(name)
    costs, products = count_costs(graph, 1000), count_products(graph, 1000)
    halves = sum(node.op == "glu" for node in graph.nodes)  # NeMo's one convolution in front of a gate is two here
    assert count_parameters(graph) == parameters
    assert len(costs) - halves == layers
    if gmac is not None:
        assert total_macs(costs.values()) / 1e9 == pytest.approx(gmac, abs=6e-4)
    if gmac_with_products is not None:
        total = total_macs([*costs.values(), *products.values()])
        assert total / 1e9 == pytest.approx(gmac_with_products, abs=6e-4)


def test_every_published_size_has_its_numbers_here() -> None:
    assert [size[0] for size in SIZES] == list(published_names()) == list(full_size_names())


def test_the_document_shows_the_tables_numbers() -> None:
    text = (Path(__file__).parents[3] / "docs" / "models.md").read_text()
    assert size_table() in text and "python -m zeroq_asr.analyses.published_sizes" in text


def test_counting_takes_no_memory_for_weights() -> None:
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of a process's memory is read from /proc")
    code = (
        "from zeroq_asr.models.full_size import full_size_graph; full_size_graph('jasper10x5dr')\n"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) / 1000 < 400  # MB, of 1330 MB of weights


@pytest.mark.parametrize("name", ["quartznet5x5", "citrinet256", "conformer-small"])
def test_the_signal_lives_through_all_layers(name: str) -> None:
    model = full_size_model(name)
    mel = np.random.default_rng(5).normal(0, 1, (1, model.frontend.n_mels, 300)).astype(np.float32)
    kept = [node.output for node in model.graph.nodes if node.op in ("relu", "swish", "layer_norm", "attention")]
    values = FloatExecutor(model.graph).run(mel, keep=kept)
    for value in kept:
        assert 0.02 < float(values[value].std()) < 3, value
    assert 0.2 < float(values["logits"].std()) < 5


def test_a_seed_names_one_model() -> None:
    prints = [full_size_model("quartznet5x5", seed).fingerprint for seed in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]


def test_a_published_size_is_a_model_name_like_others() -> None:
    assert load_float_model("quartznet5x5").fingerprint == full_size_model("quartznet5x5").fingerprint


def test_the_models_say_what_they_are() -> None:
    model = full_size_model("conformer-small")
    assert (model.name, model.family, len(model.vocabulary)) == ("conformer-small", "conformer", 128)
    assert (model.frontend.n_mels, model.frontend.window_samples) == (80, 400)


def test_an_unknown_size_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="quartznet15x5"):
        full_size_model("quartznet20x5")


def test_the_names_are_light() -> None:
    code = f"import sys; from zeroq_asr.models.full_size import full_size_names as f; assert f() == {full_size_names()}"
    subprocess.run([sys.executable, "-c", f"{code}; assert 'torch' not in sys.modules"], check=True)
