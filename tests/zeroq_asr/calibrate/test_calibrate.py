"""Observers see every batch once and keep the right few numbers."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.toy import toy_graph, toy_mel
from support.toy_networks import toy_conformer

from zeroq_asr.calibrate.histogram import percentile_alpha
from zeroq_asr.calibrate.observers import HistogramObserver, MinMaxObserver
from zeroq_asr.calibrate.run import calibrate
from zeroq_asr.config import QuantizeConfig
from zeroq_asr.errors import ConfigError, QuantizationError
from zeroq_asr.passes.canonicalize import prepare
from zeroq_asr.passes.fold_batchnorm import fold_batchnorm
from zeroq_asr.runtime.float_executor import FloatExecutor


def percentiles(percentile: float) -> HistogramObserver:
    return HistogramObserver(partial(percentile_alpha, percentile=percentile))


def test_minmax_is_the_true_extreme_of_all_batches_not_an_average() -> None:
    observer = MinMaxObserver()
    for batch in ([-1.0, 2.0], [-9.0, 0.0], [0.0, 0.5]):
        observer.update(np.array(batch, np.float32))
    seen = observer.range()
    assert (seen.lo, seen.hi, seen.count) == (-9.0, 2.0, 6)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(60, 100), st.floats(1e-3, 1e3))
def test_percentile_agrees_with_sorting_to_one_bin(seed: int, percentile: float, spread: float) -> None:
    rng = np.random.default_rng(seed)
    batches = [rng.laplace(0, spread * scale, 500).astype(np.float32) for scale in (0.01, 1, 7, 0.1)]
    observer = percentiles(percentile)
    for batch in batches:
        observer.update(batch)
    magnitude = np.sort(np.abs(np.concatenate(batches)))
    exact = float(magnitude[int(np.ceil(magnitude.size * percentile / 100)) - 1])
    width = 2.0 ** np.ceil(np.log2(magnitude[-1])) / 4096 * 2
    seen = observer.range()
    assert exact <= max(-seen.lo, seen.hi) + 1e-6 * spread
    assert max(-seen.lo, seen.hi) <= exact + width


def test_percentile_of_nothing_but_zeros() -> None:
    observer = percentiles(99.0)
    observer.update(np.zeros(10, np.float32))
    assert (observer.range().lo, observer.range().hi) == (0.0, 0.0)


def test_percentile_cuts_an_outlier_that_minmax_keeps() -> None:
    x = np.concatenate([np.linspace(-1, 1, 9999), [500.0]]).astype(np.float32)
    minmax, percentile = MinMaxObserver(), percentiles(99.9)
    for observer in (minmax, percentile):
        observer.update(x)
    assert minmax.range().hi == 500.0
    assert percentile.range().hi < 1.3


def test_ranges_cover_the_stored_values_and_equal_the_float_values() -> None:
    folded = fold_batchnorm(toy_graph())
    executor = FloatExecutor(folded)
    batches = [toy_mel(seed, 2, 60) for seed in range(3)]
    table = calibrate(executor, batches, QuantizeConfig(range_method="minmax"), "test")
    assert "b1.relu" in table.ranges
    assert "b1.add" not in table.ranges
    values = [executor.run(batch, keep=["c1.dw"], outputs=False)["c1.dw"].numpy() for batch in batches]
    assert table.ranges["c1.dw"].lo == min(float(v.min()) for v in values)
    assert table.ranges["c1.dw"].hi == max(float(v.max()) for v in values)
    assert table.source == "test"


def test_no_data_and_nan_are_refused() -> None:
    executor = FloatExecutor(fold_batchnorm(toy_graph()))
    with pytest.raises(QuantizationError, match="at least one batch"):
        calibrate(executor, [], QuantizeConfig(), "test")
    with pytest.raises(QuantizationError, match="finite"):
        calibrate(executor, [np.full((1, 6, 20), np.nan, np.float32)], QuantizeConfig(), "test")


@pytest.mark.parametrize(
    "wrong",
    [{"bits": 9}, {"bits": 1}, {"act_bits": 0}, {"percentile": 50.0}, {"activations": "both"}, {"nonlinear": "cubic"}],
)
def test_settings_out_of_their_domain_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        QuantizeConfig(**wrong)


def test_streams_and_swishes_take_their_extremes_and_gates_their_channels() -> None:
    executor = FloatExecutor(prepare(toy_conformer()))
    batches = [toy_mel(seed, 2, 60) for seed in range(2)]
    table = calibrate(executor, batches, QuantizeConfig(percentile=60.0), "test")
    assert not {"positions", "0.ff1.1", "sub.0"} & set(table.ranges), "known without data, or never stored"
    names = ["0.ff1.swish", "0.ff1.add", "0.conv.glu", "0.att.k"]
    seen = {name: np.concatenate([executor.run(b, keep=[name])[name].numpy() for b in batches]) for name in names}
    for name in names[:3]:
        assert (table.ranges[name].lo, table.ranges[name].hi) == (seen[name].min(), seen[name].max())
    assert table.ranges["0.att.k"].hi < seen["0.att.k"].max()
    limits = table.ranges["0.conv.glu"].channel_limits
    assert limits is not None
    np.testing.assert_array_equal(limits, np.abs(seen["0.conv.glu"]).max(axis=(0, 2)))
    assert table.ranges["0.att.k"].channel_limits is None


def test_tables_need_the_ranges_of_what_they_look_at() -> None:
    executor = FloatExecutor(prepare(toy_conformer()))
    found = [
        set(calibrate(executor, [toy_mel(0, 1, 40)], QuantizeConfig(nonlinear=way), "test").ranges)
        for way in ("poly2", "lut")
    ]
    assert found[1] - found[0] == {"0.ff1.1", "0.conv.a", "0.conv.b", "0.conv.bn", "0.ff2.1"}
