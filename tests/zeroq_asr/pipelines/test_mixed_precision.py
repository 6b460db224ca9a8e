"""Bits for each layer within a budget: kept by the file that is written, chosen by what was measured, told as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.nemo_files import nemo_bytes
from support.small_bench import small_bench
from support.toy import toy_mel
from support.toy_models import toy_float_model

from eval.cost import total_bops
from zeroq_asr.analyses.cost import count_costs
from zeroq_asr.artifact import load_model, to_bytes
from zeroq_asr.bit_allocation.solver import Limit
from zeroq_asr.config import ANALYTIC, LAYER_BITS, Budget, QuantizeConfig
from zeroq_asr.errors import ConfigError
from zeroq_asr.models.resolve import load_float_model
from zeroq_asr.models.shipped import shipped_models
from zeroq_asr.pipelines import calibration, mixed_precision
from zeroq_asr.pipelines.mixed_precision import (
    Probe,
    WidthTable,
    check_budget,
    check_budget_early,
    choose,
    count_steps,
    file_size,
    layers_of,
    quantize_within,
    with_bits,
)
from zeroq_asr.pipelines.quantize import quantize_model
from zeroq_asr.quantize import main

BATCHES = [toy_mel(1, 4, 120), toy_mel(2, 4, 120)]


@pytest.fixture(scope="module")
def probe() -> Probe:
    return Probe(toy_float_model(), BATCHES, "noise", QuantizeConfig())


@pytest.fixture(scope="module")
def table(probe: Probe) -> WidthTable:
    return probe.measure(lambda _: None)


# ---- what is measured ---------------------------------------------------------------------------------------------


def test_fewer_bits_diverge_more_and_corrected_biases_less(probe: Probe, table: WidthTable) -> None:
    assert table.layers == layers_of(probe.base.model) and table.widths == LAYER_BITS
    assert (np.diff(np.log(table.losses[:, [0, 2, 5]]), axis=1) < 0).all()
    everywhere = dict.fromkeys(table.layers, 2)
    plain = Probe(toy_float_model(), BATCHES, "noise", QuantizeConfig(methods=("clipping",)))
    assert probe.divergence(everywhere) < plain.divergence(everywhere)


def test_the_sum_of_single_layers_is_not_taken_for_the_whole(probe: Probe, table: WidthTable) -> None:
    """Both are told; on coarse weights they differ by far more than rounding. Steps are counted as they are told."""
    told: list[str] = []
    config, budget = QuantizeConfig(bits=3), Budget(mean_bits=2.5)
    found = quantize_within(toy_float_model(), BATCHES, "noise", config, budget, on_step=told.append)
    assert len(told) == count_steps(toy_float_model(), config) == len(found.bits) * 2
    made = found.quantized.model
    assert set(found.bits.values()) == made.weights.keys() == {2, 3}  # never more than asked for
    assert made.provenance["budget"] == {"mean_bits": 2.5}
    assert dict(made.provenance["settings"]["layer_bits"]) == found.bits
    assert found.summed == pytest.approx(table.loss(found.bits))
    assert found.together == pytest.approx(probe.divergence(found.bits))
    assert abs(found.summed / found.together - 1) > 0.05


# ---- what is chosen -----------------------------------------------------------------------------------------------


def test_a_budget_in_floats_means_whole_bytes(probe: Probe, table: WidthTable, monkeypatch: pytest.MonkeyPatch) -> None:
    """500,002 bytes are 0.500002 MB, whose product with 10^6 is less: the least file that there is must still fit."""
    size = 500_002
    assert int(size / 1e6 * 1e6) == size - 1
    monkeypatch.setattr(mixed_precision, "file_size", lambda base, bits: size)
    costs: list[int] = []

    def cheapest(losses: object, limits: list[Limit]) -> tuple[int, ...]:
        costs.append(limits[-1].most)
        assert len(costs) < 9, "goes round for ever"
        return (0,) * len(table.layers)

    monkeypatch.setattr(mixed_precision, "allocate_bits", cheapest)
    assert choose(probe.base.model, table, Budget(megabytes=size / 1e6)) == dict.fromkeys(table.layers, 2)
    assert costs == [size]


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.7, 1.0])
def test_the_file_that_is_written_keeps_its_budget(probe: Probe, table: WidthTable, share: float) -> None:
    base = probe.base.model
    low, high = (file_size(base, dict.fromkeys(table.layers, width)) for width in (2, 8))
    size = int(low + share * (high - low))
    bits = choose(base, table, Budget(megabytes=size / 1e6))
    model = quantize_model(toy_float_model(), BATCHES, "noise", with_bits(probe.config, bits)).model
    assert len(to_bytes(model)) == file_size(base, bits) <= size
    # nothing that still fits is better, but for the bytes by which the header's digits differ
    for layer, column in ((layer, table.widths.index(bits[layer])) for layer in table.layers if bits[layer] < 8):
        wider = {**bits, layer: table.widths[column + 1]}
        assert file_size(base, wider) > size - 16 or table.loss(wider) >= table.loss(bits)


def test_bit_operations_and_the_mean_are_kept_together(probe: Probe, table: WidthTable) -> None:
    base = probe.base.model
    for gbop, mean in ((None, 4.2), (0.6 * _gbop(probe, 8), None), (0.6 * _gbop(probe, 8), 4.2)):
        bits = choose(base, table, Budget(gbop=gbop, mean_bits=mean))
        model = quantize_model(toy_float_model(), BATCHES, "noise", with_bits(probe.config, bits)).model
        if gbop is not None:
            assert total_bops(count_costs(model.program).values()) <= gbop * 1e9
        if mean is not None:
            assert sum(n * b for b, n in model.weights.items()) <= mean * sum(model.weights.values())
        uniform = dict.fromkeys(table.layers, 4)  # fits into all three
        assert table.loss(bits) < table.loss(uniform)


def _gbop(probe: Probe, width: int) -> float:
    return total_bops(count_costs(probe.base.model.program).values()) / 1e9 * width / 8


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        (Budget(megabytes=0.0001), ("--budget-mb", "2 bits in every layer", "got 0.0001")),
        (Budget(gbop=1e-6), ("--budget-gbop", "GBOP")),
        (Budget(mean_bits=1.9), ("--mean-bits", "at least 2 bits", "8 bits are 8")),
    ],
)
def test_a_budget_out_of_reach_is_refused_with_what_is_in_reach(
    probe: Probe, budget: Budget, words: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_budget(probe.base.model, budget)
    assert all(word in str(caught.value) for word in words)


def test_the_named_least_size_can_be_asked_for(probe: Probe, table: WidthTable) -> None:
    least = file_size(probe.base.model, dict.fromkeys(table.layers, 2))
    with pytest.raises(ConfigError, match="expected at least"):
        choose(probe.base.model, table, Budget(megabytes=(least - 1) / 1e6))
    assert set(choose(probe.base.model, table, Budget(megabytes=least / 1e6)).values()) == {2}


@pytest.mark.parametrize("name", shipped_models())
def test_the_least_size_is_known_before_there_is_data(name: str) -> None:
    """On every family: what is surely too little is refused early, what the message names as enough is enough."""
    model, noise = load_float_model(name), np.random.default_rng(0).standard_normal((1, 64, 200)).astype(np.float32)
    facts = {"synthesis": {"batches": 8}}
    for config in (QuantizeConfig(methods=()), QuantizeConfig(bits=4, nonlinear="lut", methods=("channel-scales",))):
        made = quantize_model(model, [noise], "synthetic", config, {**facts, "budget": {"megabytes": 0.01}}).model
        with pytest.raises(ConfigError, match=r"got 0\.01") as late:
            check_budget(made, Budget(megabytes=0.01))
        with pytest.raises(ConfigError, match=r"got 0\.01") as early:
            check_budget_early(model, "synthetic", config, Budget(megabytes=0.01), facts)
        exact, named = (float(str(error.value).split()[4]) for error in (late, early))
        assert exact <= named <= exact + 0.0016
        check_budget_early(model, "synthetic", config, Budget(megabytes=exact), facts)
        bits = min(LAYER_BITS)
        check_budget_early(model, "synthetic", config, Budget(mean_bits=bits), facts)
        least = total_bops(count_costs(made.program).values()) / 1e9 * bits / config.bits
        check_budget_early(model, "synthetic", config, Budget(gbop=least), facts)
        with pytest.raises(ConfigError, match="--budget-gbop"):
            check_budget_early(model, "synthetic", config, Budget(gbop=least * 0.999), facts)


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_budgets_are_numbers_above_0(value: float) -> None:
    with pytest.raises(ConfigError, match="--budget-gbop"):
        Budget(gbop=value)


def test_a_budget_of_nothing_and_data_of_none_are_refused() -> None:
    with pytest.raises(ConfigError, match="none"):
        Budget()
    with pytest.raises(ConfigError, match=ANALYTIC):
        Probe(toy_float_model(), (), ANALYTIC, QuantizeConfig())


# ---- the command --------------------------------------------------------------------------------------------------


@pytest.fixture
def small() -> Iterator[None]:
    with small_bench():
        yield


@pytest.mark.usefixtures("small")
def test_quantize_writes_a_file_within_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy.nemo").write_bytes(nemo_bytes())
    assert main(["--model", "toy.nemo", "--bits", "4", "--mean-bits", "3.5", "--json", "out.json"]) == 0
    printed = capsys.readouterr()
    (path,) = (tmp_path / "zeroq-out").glob("*.safetensors")
    model, document = load_model(path), json.loads((tmp_path / "out.json").read_text())
    mean = sum(n * b for b, n in model.weights.items()) / sum(model.weights.values())
    assert mean <= 3.5 and path.name == f"toy-w{mean:.1f}a8.safetensors"
    assert model.provenance["budget"] == {"mean_bits": 3.5}
    assert document["weights"] == {str(b): n for b, n in model.weights.items()}
    assert document["divergences"]["together"] > 0 and "nats per frame" in printed.out
    assert "bits for each layer" in printed.err


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("flag", ["--budget-mb", "--budget-gbop", "--mean-bits"])
def test_a_budget_out_of_reach_costs_no_synthesis(
    flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(calibration, "ensure_synthetic", lambda *_: pytest.fail("synthesis began"))
    (tmp_path / "toy.nemo").write_bytes(nemo_bytes())
    assert main(["--model", "toy.nemo", flag, "0.000001"]) == 2
    error = capsys.readouterr().err
    assert f"error: {flag}: expected at least" in error and len(error.splitlines()) == 1


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("kind", ["synthetic", "random", "clean", "file"])
def test_provenance_is_foreseen_as_it_will_be(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model, data = toy_float_model(), None
    if kind == "file":
        calibration.ensure_synthetic(model, "fast", 3)
        (data,) = (tmp_path / "zeroq-out").glob("**/*.safetensors")
    word = "synthetic" if kind == "file" else kind
    foreseen = calibration.expected_provenance(model, word, data=data, seed=5)
    made = calibration.calibration_data(model, word, data=data, seed=5).provenance
    assert foreseen == made and (kind == "clean" or json.dumps(made) != "{}")
