"""Layers with weight bits of their own: in the program, its file, its costs and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from support.toy import toy_mel
from support.toy_models import toy_float_model

from int_kernels import Conv1d, Conv2d
from int_kernels.int_type import IntType
from int_kernels.packing import packed_size
from zeroq_asr.analyses.cost import count_costs
from zeroq_asr.artifact import IntegerModel, load_model, save_model, to_bytes
from zeroq_asr.config import METHODS, QuantizeConfig
from zeroq_asr.errors import ConfigError, QuantizationError
from zeroq_asr.inspect import describe
from zeroq_asr.pipelines.mixed_precision import convolutions_of, layer_of
from zeroq_asr.pipelines.quantize import quantize_model
from zeroq_asr.report.inspection import render
from zeroq_asr.runtime.integer_executor import IntegerExecutor
from zeroq_asr.runtime.transcriber import bits_of

MIXED = (("c1.bn", 3), ("b1.res.bn", 2), ("logits", 5))


def made(config: QuantizeConfig) -> IntegerModel:
    return quantize_model(toy_float_model(), [toy_mel(1, 4, 200)], "noise", config).model


def widths(model: IntegerModel) -> dict[str, int]:
    """Bits by the layer's name."""
    return {layer_of(step): step.weight_bits for step in convolutions_of(model.program)}


def layers(model: IntegerModel) -> dict[str, Conv1d | Conv2d]:
    return {layer_of(step): step for step in convolutions_of(model.program)}


@pytest.mark.parametrize("methods", [(), METHODS])
def test_each_layer_gets_its_bits_and_no_other_weight_changes(methods: Sequence[str]) -> None:
    uniform = made(QuantizeConfig(bits=6, methods=tuple(m for m in methods if m != "equalization")))
    mixed = made(QuantizeConfig(bits=6, methods=tuple(m for m in methods if m != "equalization"), layer_bits=MIXED))
    assert widths(mixed) == {**dict.fromkeys(widths(uniform), 6), **dict(MIXED)}
    for layer, bits in widths(mixed).items():
        weight = layers(mixed)[layer].weight
        assert np.abs(weight).max() <= 2 ** (bits - 1) - 1
        same = np.array_equal(weight, layers(uniform)[layer].weight)
        assert same == (bits == 6), layer


def test_a_layer_is_what_it_is_in_the_uniform_model_of_its_bits() -> None:
    mixed, three = made(QuantizeConfig(layer_bits=MIXED)), made(QuantizeConfig(bits=3))
    one, two = layers(mixed)["c1.bn"], layers(three)["c1.bn"]
    assert np.array_equal(one.weight, two.weight)
    assert np.array_equal(one.bias, two.bias)


def test_the_file_packs_every_layer_by_its_own_bits(tmp_path: Path) -> None:
    uniform, mixed = made(QuantizeConfig()), made(QuantizeConfig(layer_bits=MIXED))
    body = {}
    for name, model in (("uniform", uniform), ("mixed", mixed)):
        data = to_bytes(model)
        body[name] = len(data) - 8 - int.from_bytes(data[:8], "little")
    sizes = {layer: layers(mixed)[layer].weight.size for layer, _ in MIXED}
    saved = sum(sizes[layer] - packed_size(sizes[layer], IntType(bits, signed=True)) for layer, bits in MIXED)
    assert body["uniform"] - body["mixed"] == saved > 0
    path = tmp_path / "mixed.safetensors"
    save_model(mixed, path)
    loaded = load_model(path)
    assert widths(loaded) == widths(mixed)
    assert loaded.provenance["settings"]["layer_bits"] == [list(pair) for pair in MIXED]
    mel = [toy_mel(5, 1, 90)[0]]
    native, reference = (IntegerExecutor(loaded, backend=way).tokens(mel)[0] for way in ("native", "reference"))
    assert np.array_equal(native, reference)


def test_bit_operations_count_each_layer_by_its_own_bits() -> None:
    uniform, mixed = (
        count_costs(made(config).program) for config in (QuantizeConfig(), QuantizeConfig(layer_bits=MIXED))
    )
    for name, cost in mixed.items():
        assert cost.bops * 8 == uniform[name].bops * cost.weight_bits
    assert sorted(cost.weight_bits for cost in mixed.values()) == sorted([2, 3, 5, *[8] * (len(mixed) - 3)])


def test_a_mixed_model_is_named_after_the_mean_of_its_bits(tmp_path: Path) -> None:
    mixed = made(QuantizeConfig(layer_bits=MIXED))
    mean = sum(bits * count for bits, count in mixed.weights.items()) / sum(mixed.weights.values())
    assert bits_of(mixed) == f"W{mean:.1f}A8" and 5 < mean < 8
    assert bits_of(made(QuantizeConfig(bits=4))) == "W4A8"
    path = tmp_path / "mixed.safetensors"
    save_model(mixed, path)
    document = describe(str(path))
    assert document["weights"] == {str(bits): count for bits, count in mixed.weights.items()}
    text = render(document)
    assert f"W{mean:.1f}A8: 2 bits " in text and " 3x8 " in text and " 2x8 " in text


@pytest.mark.parametrize(
    ("pairs", "word"),
    [((("c1.bn", 9),), "2 to 8"), ((("c1.bn", 4), ("c1.bn", 5)), "duplicate"), ((("c1.bn", 1),), "got 1")],
)
def test_wrong_bits_are_refused(pairs: tuple[tuple[str, int], ...], word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        QuantizeConfig(layer_bits=pairs)


def test_a_layer_that_is_not_there_is_named() -> None:
    with pytest.raises(QuantizationError, match=r"'c9\.bn'"):
        made(QuantizeConfig(layer_bits=(("c9.bn", 4),)))
