"""What is read off the streaming histogram, against brute force over the numbers themselves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.toy import toy_graph, toy_mel

from zeroq_asr.calibrate.histogram import BINS, Histogram, kl_alpha, kl_divergence, mse_alpha, percentile_alpha
from zeroq_asr.calibrate.run import calibrate
from zeroq_asr.config import RANGE_METHODS, QuantizeConfig
from zeroq_asr.passes.canonicalize import prepare
from zeroq_asr.runtime.float_executor import FloatExecutor

SHAPES = ("normal", "laplace", "relu", "uniform", "outlier", "student")


def numbers(shape: str, seed: int, size: int = 4000) -> np.ndarray:
    rng = np.random.default_rng(seed)
    made = {
        "normal": rng.normal(0, 3, size),
        "laplace": rng.laplace(0, 0.2, size),
        "relu": np.maximum(rng.normal(-0.5, 1, size), 0),
        "uniform": rng.uniform(-7, 7, size),
        "outlier": np.append(rng.normal(0, 1, size - 1), 1000.0),
        "student": rng.standard_t(3, size),
    }
    return made[shape].astype(np.float32)


def histogram_of(*batches: np.ndarray) -> Histogram:
    histogram = Histogram()
    for batch in batches:
        histogram.update(batch)
    return histogram


def squared_error(x: np.ndarray, alpha: float, top: int) -> float:
    """Rounds and clips every number."""
    step = alpha / top
    magnitude = np.abs(x.astype(np.float64))
    return float(np.square(magnitude - step * np.clip(np.floor(magnitude / step + 0.5), 0, top)).mean())


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(SHAPES), st.integers(1, 6))
def test_counts_do_not_depend_on_batches(seed: int, shape: str, parts: int) -> None:
    x = numbers(shape, seed, 600)
    whole, split = histogram_of(x), histogram_of(*np.array_split(x, parts))
    assert whole.span == split.span > np.abs(x).max() and whole.zeros == split.zeros == np.sum(x == 0)
    np.testing.assert_array_equal(whole.counts, split.counts)
    assert whole.counts.sum() + whole.zeros == x.size
    np.testing.assert_array_equal(whole.counts, np.histogram(np.abs(x[x != 0]), np.arange(BINS + 1) * whole.width)[0])


@pytest.mark.parametrize("top", [255, 127, 31, 7])
@pytest.mark.parametrize("shape", SHAPES)
def test_mse_is_as_good_as_the_best_of_all_numbers(shape: str, top: int) -> None:
    x = numbers(shape, 1)
    found = mse_alpha(histogram_of(x), top)
    best = min(squared_error(x, alpha, top) for alpha in np.abs(x).max() * 2.0 ** (-np.arange(512) / 64))
    assert squared_error(x, found, top) <= 1.03 * best


def test_mse_of_a_normal_variable_is_the_known_one() -> None:
    # uniform quantizers of a normal variable, 2^b - 1 levels that include 0: 4.0 sigma at 8 bits, 2.6 at 4
    x = np.random.default_rng(0).normal(0, 1, 400_000).astype(np.float32)
    for bits, sigmas in ((8, 4.0), (4, 2.6)):
        assert mse_alpha(histogram_of(x), 2 ** (bits - 1) - 1) == pytest.approx(sigmas, rel=0.06)


def test_fewer_bits_clip_more() -> None:
    histogram = histogram_of(numbers("laplace", 2))
    found = [mse_alpha(histogram, 2**bits - 1) for bits in (8, 6, 4, 2)]
    assert found == sorted(found, reverse=True) and found[-1] < found[0] / 2


def slides(counts: list[int], end: int, levels: int) -> float:
    """KL(P || Q) with loops, as the slides on TensorRT's calibration have it."""
    reference = [float(count) for count in counts[:end]]
    reference[-1] += sum(counts[end:])
    candidate = [0.0] * end
    for level in range(levels):
        members = [i for i in range(end) if i * levels // end == level]
        filled = [i for i in members if counts[i] > 0]
        for i in filled:
            candidate[i] = sum(counts[j] for j in members) / len(filled)
    p_sum, q_sum = sum(reference), sum(candidate)
    pairs = [(p / p_sum, q / q_sum) for p, q in zip(reference, candidate, strict=True) if p > 0]
    return sum(p * math.log(p / q) for p, q in pairs)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=2, max_size=40), st.integers(2, 12), st.data())
def test_kl_divergence_agrees_with_loops(counts: list[int], levels: int, data: st.DataObject) -> None:
    counts[0] = 1
    end = data.draw(st.sampled_from([i + 1 for i, count in enumerate(counts) if count > 0]))
    assert kl_divergence(np.array(counts), end, levels) == pytest.approx(slides(counts, end, levels), abs=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
def test_kl_is_nearly_the_least_of_all_clips(shape: str) -> None:
    histogram = histogram_of(numbers(shape, 3, 100_000))
    filled = np.flatnonzero(histogram.counts) + 1
    every = [kl_divergence(histogram.counts, int(end), 128) for end in filled[filled > 127]]
    found = kl_divergence(histogram.counts, round(kl_alpha(histogram, 127) / histogram.width), 128)
    full = kl_divergence(histogram.counts, int(filled[-1]), 128)
    assert found <= min(every) + 0.05 * (full - min(every)) + 1e-3


def test_kl_is_near_that_of_onnx_runtime() -> None:
    calibration = pytest.importorskip("onnxruntime.quantization.calibrate")
    x = numbers("laplace", 4, 400_000)
    limit = float(np.abs(x).max())
    collector = calibration.HistogramCollector("entropy", True, 4096, 255, 99.99, None)
    theirs = collector.get_entropy_threshold((*np.histogram(x, 1024, (-limit, limit)), -limit, limit), 255)
    assert kl_alpha(histogram_of(x), 127) == pytest.approx(float(theirs[1]), rel=0.25)


def test_an_outlier_is_cut_off_and_zeros_change_nothing() -> None:
    x = np.append(numbers("normal", 5, 100_000) / 3, np.float32(30))
    padded = np.concatenate([x, np.zeros(10**6, np.float32)])
    for choose in (mse_alpha, kl_alpha):
        assert 2 < choose(histogram_of(x), 31) < 10
        assert choose(histogram_of(x), 31) == choose(histogram_of(padded), 31)
    assert percentile_alpha(histogram_of(padded), 95) < percentile_alpha(histogram_of(x), 95)


def test_nothing_but_zeros_and_a_single_number() -> None:
    for choose in (mse_alpha, kl_alpha):
        assert choose(histogram_of(np.zeros(9, np.float32)), 127) == 0.0
    one = histogram_of(np.full(3, 0.5, np.float32))
    assert kl_alpha(one, 127) == pytest.approx(0.5, rel=1e-3)
    assert squared_error(np.full(3, 0.5), mse_alpha(one, 127), 127) < 1e-7


@pytest.mark.parametrize("method", RANGE_METHODS)
def test_every_method_gives_ranges_within_the_extremes(method: str) -> None:
    executor = FloatExecutor(prepare(toy_graph()))
    batches = [toy_mel(seed, 2, 60) for seed in range(3)]
    extremes = calibrate(executor, batches, QuantizeConfig(range_method="minmax"), "test").ranges
    found = calibrate(executor, batches, QuantizeConfig(range_method=method, act_bits=4), "test").ranges  # type: ignore[arg-type]
    assert set(found) == set(extremes)
    for name, seen in found.items():
        assert extremes[name].lo <= seen.lo <= 0 <= seen.hi <= extremes[name].hi and seen.hi > seen.lo


def test_ranges_by_squared_error_depend_on_activation_bits_and_codes() -> None:
    executor = FloatExecutor(prepare(toy_graph()))

    def ranges(act_bits: int, **other: str) -> dict[str, float]:
        config = QuantizeConfig(range_method="mse", act_bits=act_bits, **other)  # type: ignore[arg-type]
        return {n: r.hi for n, r in calibrate(executor, [toy_mel(0, 4, 200)], config, "test").ranges.items()}

    eight, four, signed = ranges(8), ranges(4), ranges(4, activations="symmetric")
    assert sum(four.values()) < sum(eight.values())
    assert signed["b1.0.relu"] < four["b1.0.relu"] and signed["mel"] == four["mel"], "half as many codes for a ReLU"
