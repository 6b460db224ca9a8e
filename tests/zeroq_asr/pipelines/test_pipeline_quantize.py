"""`quantize_model`: what it needs data for, what it does without any, what it hands back."""

from __future__ import annotations

import weakref
from collections.abc import Iterator

import numpy as np
import pytest
from support.toy import toy_graph, toy_mel
from support.toy_conformer import toy_conformer
from support.toy_models import toy_float_model

from zeroq_asr.adapters import FloatModel
from zeroq_asr.artifact import to_bytes
from zeroq_asr.artifact.program_fields import step_fields
from zeroq_asr.config import CORRECTION_UTTERANCES, RANGE_METHODS, QuantizeConfig
from zeroq_asr.errors import QuantizationError
from zeroq_asr.frontend.spec import FrontendSpec
from zeroq_asr.pipelines.quantize import quantize_model


def conformer() -> FloatModel:
    graph = toy_conformer(layers=1)
    mels, words = graph.values["mel"].channels, graph.values[graph.outputs[0]].channels - 1
    vocabulary = tuple("abcdefghijklmnopqrstuvwxyz"[:words])
    return FloatModel(graph, FrontendSpec(n_mels=mels), vocabulary, "1" * 64, "toy", "conformer")


@pytest.mark.parametrize("model", [toy_float_model(), conformer()], ids=["quartznet", "conformer"])
def test_analytic_needs_no_data(model: FloatModel) -> None:
    def never() -> Iterator[np.ndarray]:
        raise AssertionError("data was asked for")
        yield

    made = quantize_model(model, never(), "analytic", QuantizeConfig())
    again = quantize_model(model, (), "analytic", QuantizeConfig())
    assert made.model.provenance["calibration"] == made.table.source == "analytic"
    assert to_bytes(made.model) == to_bytes(again.model)
    assert set(made.sqnr) == set(made.qparams) and np.mean(list(made.sqnr.values())) > 15


def test_analytic_means_correct_the_biases() -> None:
    model = toy_float_model()
    plain, corrected = (
        quantize_model(model, (), "analytic", QuantizeConfig(bits=3, methods=methods)).model.program
        for methods in ((), ("bias-correction",))
    )
    plain_arrays, arrays = (
        {name: array for step in program.steps for name, array in step_fields(step)[1].items()}
        for program in (plain, corrected)
    )
    changed = [name for name in plain_arrays if not np.array_equal(plain_arrays[name], arrays[name])]
    assert changed and all(plain_arrays[name].ndim == 1 for name in changed), "biases, and no weights"


def test_no_data_is_refused_elsewhere() -> None:
    with pytest.raises(QuantizationError, match="at least one batch"):
        quantize_model(toy_float_model(), (), "random", QuantizeConfig())


def test_without_data_weights_are_rounded_to_the_nearest() -> None:
    made = quantize_model(toy_float_model(), (), "analytic", QuantizeConfig(bits=4, methods=("gptq",)))
    assert made.rounded == {}
    assert made.model.provenance["settings"]["methods"] == ()


def test_values_that_depthwise_convolutions_alone_read_may_have_a_scale_per_channel() -> None:
    batches = [toy_mel(0, 4, 200)]
    plain, split = (
        quantize_model(toy_float_model(), batches, "test", QuantizeConfig(methods=methods))
        for methods in ((), ("channel-scales",))
    )
    changed = [name for name, code in split.qparams.items() if code.channel_factors is not None]
    assert changed == ["b1.0.relu", "b1.relu"]
    assert all(plain.qparams[name].channel_factors is None for name in changed)
    for name in changed:
        assert plain.qparams[name].type == split.qparams[name].type
        assert split.sqnr[name] > plain.sqnr[name] - 3


@pytest.mark.parametrize("method", RANGE_METHODS)
def test_batches_are_let_go(method: str) -> None:
    """However many come, only those that bias correction looks at are ever in memory together."""
    alive: list[weakref.ref[np.ndarray]] = []
    most = 0

    def batches() -> Iterator[np.ndarray]:
        nonlocal most
        for number in range(CORRECTION_UTTERANCES + 40):
            mel = toy_mel(number, 1, 40)
            alive.append(weakref.ref(mel))
            yield mel
            del mel
            most = max(most, sum(ref() is not None for ref in alive))

    config = QuantizeConfig(range_method=method)  # type: ignore[arg-type]
    made = quantize_model(toy_float_model(), batches(), "test", config)
    assert len(alive) == CORRECTION_UTTERANCES + 40 and made.table.source == "test"
    assert most <= CORRECTION_UTTERANCES + 2
    del made


def test_what_it_hands_back_belongs_together() -> None:
    model = toy_float_model()
    made = quantize_model(model, [toy_mel(0, 4, 100)], "test", QuantizeConfig())
    assert set(made.qparams) == set(made.sqnr) and set(made.qparams) <= set(made.graph.values)
    assert set(made.table.ranges) <= set(made.qparams)
    assert made.graph.outputs == toy_graph().outputs
