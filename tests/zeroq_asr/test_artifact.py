"""The model file: what goes in comes out, the same bytes each time, and nothing damaged is believed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save
from support.toy import N_MELS, VOCABULARY, toy_graph, toy_mel
from support.toy_networks import toy_citrinet, toy_conformer

from zeroq_asr.artifact import IntegerModel, load_model, read_safetensors, save_model, to_bytes
from zeroq_asr.artifact.program_fields import plain_fields, step_fields
from zeroq_asr.calibrate.run import calibrate
from zeroq_asr.config import QuantizeConfig
from zeroq_asr.errors import FileError
from zeroq_asr.frontend.spec import FrontendSpec
from zeroq_asr.ir import Graph
from zeroq_asr.passes.assign_qparams import assign_qparams
from zeroq_asr.passes.canonicalize import prepare
from zeroq_asr.passes.lower_to_integer import lower_to_integer
from zeroq_asr.runtime.float_executor import FloatExecutor
from zeroq_asr.runtime.integer_executor import IntegerExecutor

MEL = toy_mel(1, 2, 80)
GOLDEN = Path(__file__).parents[1] / "golden"
"""Files that earlier versions wrote, and the SHA-256 of the logits that those gave for FEATURES."""
FEATURES = [MEL[0], MEL[1][:, :31]]


def toy_model(bits: int = 8, graph: Graph | None = None) -> IntegerModel:
    config = QuantizeConfig(bits=bits)
    folded = prepare(toy_graph(width=32) if graph is None else graph)
    table = calibrate(FloatExecutor(folded), [MEL], config, "test")
    qparams = assign_qparams(folded, table, config)
    program = lower_to_integer(folded, qparams, config)
    return IntegerModel(
        program, qparams["mel"].scale, FrontendSpec(n_mels=N_MELS), VOCABULARY, {"model": "toy", "n": [1, 2]}
    )


@pytest.mark.parametrize("bits", range(2, 9))
def test_round_trip(tmp_path: Path, bits: int) -> None:
    model, path = toy_model(bits), tmp_path / "m.safetensors"
    save_model(model, path)
    back = load_model(path)
    assert_same_program(back, model)
    assert (back.input_scale, back.vocabulary, back.frontend) == (model.input_scale, model.vocabulary, model.frontend)
    assert dict(back.provenance) == dict(model.provenance)
    assert back.bits == (bits, 8)
    assert to_bytes(back) == path.read_bytes() == to_bytes(toy_model(bits))
    for a, b in zip(*(IntegerExecutor(m, "reference").run(FEATURES) for m in (model, back)), strict=True):
        assert np.array_equal(a, b)


@pytest.mark.parametrize("make", [toy_conformer, toy_citrinet])
def test_round_trip_of_every_operation(tmp_path: Path, make: Callable[[], Graph]) -> None:
    model, path = toy_model(6, make()), tmp_path / "m.safetensors"
    save_model(model, path)
    back = load_model(path)
    assert_same_program(back, model)
    assert to_bytes(back) == path.read_bytes()
    one, two = (IntegerExecutor(m, "reference").run([MEL[0]])[0] for m in (model, back))
    assert np.array_equal(one, two)


def assert_same_program(one: IntegerModel, two: IntegerModel) -> None:
    a, b = one.program, two.program
    assert (a.values, a.input, a.outputs) == (b.values, b.input, b.outputs)
    assert [plain_fields(step) for step in a.steps] == [plain_fields(step) for step in b.steps]
    for step, other in zip(a.steps, b.steps, strict=True):
        arrays, others = step_fields(step)[1], step_fields(other)[1]
        assert list(arrays) == list(others)
        for name, array in arrays.items():
            assert array.dtype == others[name].dtype
            assert np.array_equal(array, others[name]), name


@pytest.mark.parametrize("name", ["quartznet", "conformer", "citrinet"])
def test_files_of_format_2_give_the_same_bytes(name: str) -> None:
    model = load_model(GOLDEN / f"{name}-format2.safetensors")
    digest = hashlib.sha256()
    for logits in IntegerExecutor(model, "reference").run(FEATURES):
        digest.update(logits.tobytes())
    assert digest.hexdigest() == json.loads((GOLDEN / "logits.sha256.json").read_text())[name]


@pytest.mark.parametrize("name", ["quartznet", "conformer", "citrinet"])
def test_a_file_of_format_2_is_written_again_in_format_3(name: str, tmp_path: Path) -> None:
    model = load_model(GOLDEN / f"{name}-format2.safetensors")
    save_model(model, tmp_path / "m.safetensors")
    assert_same_program(load_model(tmp_path / "m.safetensors"), model)


def test_format_2_holds_what_lowering_makes_today() -> None:
    graphs: dict[str, tuple[int, Graph | None]] = {
        "quartznet": (6, None),
        "conformer": (8, toy_conformer()),
        "citrinet": (4, toy_citrinet()),
    }
    for name, (bits, graph) in graphs.items():
        assert_same_program(load_model(GOLDEN / f"{name}-format2.safetensors"), toy_model(bits, graph))


def test_files_of_version_1_are_read(tmp_path: Path) -> None:
    path = _rewritten(tmp_path, _set("version", value=1), "quartznet")
    assert_same_program(load_model(path), load_model(GOLDEN / "quartznet-format2.safetensors"))


def test_fewer_bits_take_fewer_bytes() -> None:
    sizes = [sum(a.nbytes for a in _tensors(toy_model(bits)).values()) for bits in (8, 6, 4, 2)]
    weights = sum(toy_model().weights.values())
    assert sizes[0] - sizes[1] == pytest.approx(weights / 4, abs=10)
    assert sizes[0] - sizes[2] == pytest.approx(weights / 2, abs=10)
    assert sizes[0] - sizes[3] == pytest.approx(weights * 3 / 4, abs=10)


def _tensors(model: IntegerModel) -> dict[str, np.ndarray]:
    from safetensors.numpy import load

    return load(to_bytes(model))


def test_no_tensor_is_real() -> None:
    assert {array.dtype.kind for array in _tensors(toy_model(6)).values()} <= {"i", "u"}


def _rewritten(tmp_path: Path, change: object, source: str | Graph | None = None) -> Path:
    """A file after `change(document, tensors)`: one of format 2 by its name, or that of a graph's toy model."""
    path = tmp_path / "m.safetensors"
    if isinstance(source, str):
        path.write_bytes((GOLDEN / f"{source}-format2.safetensors").read_bytes())
    else:
        save_model(toy_model(graph=source), path)
    metadata, tensors = read_safetensors(path)
    document = json.loads(metadata["zeroq"])
    change(document, tensors)  # type: ignore[operator]
    path.write_bytes(save(tensors, {"zeroq": json.dumps(document)}))
    return path


def _set(*keys: str | int, value: object) -> object:
    def change(document: dict[str, Any], tensors: dict[str, Any]) -> None:
        place: Any = document
        for key in keys[:-1]:
            place = place[key]
        place[keys[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("version", value=99), "version 1 to 3, got 99"),
        (_set("version", value=True), "expected int"),
        (_set("input_scale", value=-1.0), "input_scale"),
        (_set("input_scale", value="1"), "input_scale"),
        (_set("vocabulary", value=["a"]), "logits"),
        (_set("vocabulary", value=[1, 2, 3]), "expected str"),
        (_set("program", "steps", 0, "op", value="exec"), "exec"),
        (_set("program", "steps", 0, "op", value=["exec"]), "not a valid model"),
        (_set("program", "steps", 0, "x", value="ghost"), "ghost"),
        (_set("program", "steps", 0, "x", value=["mel"]), "not a valid model"),
        (_set("program", "steps", 0, "y", value=7), "not a valid model"),
        (_set("program", "steps", 0, "stride", value=-4), "stride"),
        (_set("program", "steps", 0, "stride", value=True), "stride"),
        (_set("program", "steps", 0, "surplus", value=1), "surplus"),
        (_set("program", "steps", 0, "weight_bits", value=9), "weight_bits"),
        (_set("program", "steps", 0, "origin", value=3), "origin"),
        (_set("program", "steps", 0, "clip", value=[5, -5]), "clip"),
        (_set("program", "steps", 0, "clip", value=[0, 10**6]), "clip"),
        (_set("program", "steps", 0, value=[]), "damaged"),
        (_set("program", "values", 0, 1, value=10**9), "not a valid model"),
        (_set("program", "values", 0, 2, value="float32"), "not a valid model"),
        (_set("program", "values", 0, 2, value="int64"), "not a valid model"),
        (_set("program", "values", value={"a": 1}), "damaged"),
        (_set("program", "outputs", value=["logits"]), "not a valid model"),
        (_set("program", value=None), "damaged"),
        (_set("frontend", "n_mels", value=64), "mel bins"),
        (_set("frontend", "sample_rate_hz", value="x"), "not a valid model"),
        (_set("provenance", value=[1]), "provenance"),
        (lambda d, t: d["program"]["constants"].pop("logits:bias"), "differ"),
        (lambda d, t: t.pop("logits:bias"), "differ"),
        (lambda d, t: t.update({"logits:bias": t["logits:bias"].astype(np.float32)}), "logits:bias"),
        (lambda d, t: t.update({"logits:bias": t["logits:bias"][:2]}), "logits:bias"),
        (lambda d, t: d["program"]["constants"]["logits:bias"].update(shape=[10**12]), "out of bounds"),
        (lambda d, t: d["program"]["constants"]["logits:bias"].update(shape=[-4]), "out of bounds"),
        (lambda d, t: d["program"]["constants"]["logits:weight"].update(type="int4"), "logits:weight|unpack"),
        (lambda d, t: t.update({"logits:rescale.shift": t["logits:rescale.shift"] * 0}), "Dyadic|shift"),
        (lambda d, t: t.update({"logits:bias": np.full(4, 2**31 - 1, np.int32)}), "accumulators within"),
        (lambda d, t: _rename(d, t, "logits:bias", "logits:wide"), "bias|no step"),
        (lambda d, t: _rename(d, t, "logits:rescale.shift", "logits:rescale.shifts"), "not a valid model"),
    ],
)
def test_damaged_models_are_refused(tmp_path: Path, change: object, message: str) -> None:
    with pytest.raises(FileError, match=message):
        load_model(_rewritten(tmp_path, change))


def _rename(document: dict[str, Any], tensors: dict[str, Any], old: str, new: str) -> None:
    tensors[new] = tensors.pop(old)
    document["program"]["constants"][new] = document["program"]["constants"].pop(old)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_set("version", value=99), "version 1 to 3, got 99"),
        (_set("version", value=True), "expected int"),
        (_set("input_scale", value=-1.0), "input_scale"),
        (_set("input_scale", value="1"), "input_scale"),
        (_set("vocabulary", value=["a"]), "logits"),
        (_set("vocabulary", value=[1, 2, 3]), "expected str"),
        (_set("graph", "nodes", 0, 0, value="exec"), "exec"),
        (_set("graph", "nodes", 0, 1, value=["ghost"]), "not a valid model"),
        (_set("graph", "nodes", 0, 3, "stride", value=-4), "stride"),
        (_set("graph", "nodes", 0, 3, "stride", value=True), "expected an integer"),
        (_set("graph", "values", 0, 1, value=10**9), "not a valid model"),
        (_set("graph", "values", 0, 2, value="float32"), "not a valid model"),
        (_set("graph", "values", 0, 2, value="int64"), "not a valid model"),
        (_set("graph", "values", value={"a": 1}), "damaged"),
        (_set("graph", "outputs", value=["logits"]), "not a valid model"),
        (_set("graph", value=None), "damaged"),
        (_set("frontend", "n_mels", value=64), "mel bins"),
        (_set("frontend", "sample_rate_hz", value="x"), "not a valid model"),
        (_set("provenance", value=[1]), "provenance"),
        (lambda d, t: d["graph"]["constants"].pop("logits.bias"), "differ"),
        (lambda d, t: t.pop("logits.bias"), "differ"),
        (lambda d, t: t.update({"logits.bias": t["logits.bias"].astype(np.float32)}), "logits.bias"),
        (lambda d, t: t.update({"logits.bias": t["logits.bias"][:2]}), "logits.bias"),
        (lambda d, t: d["graph"]["constants"]["logits.bias"].update(shape=[10**12]), "out of bounds"),
        (lambda d, t: d["graph"]["constants"]["logits.bias"].update(shape=[-4]), "out of bounds"),
        (lambda d, t: d["graph"]["constants"]["logits.weight"].update(type="int4"), "logits.weight|unpack|packed"),
        (lambda d, t: t.update({"logits.shift": t["logits.shift"] * 0}), "Dyadic|shift"),
        (lambda d, t: t.update({"logits.bias": np.full(4, 2**31 - 1, np.int32)}), "accumulators within"),
    ],
)
def test_damaged_files_of_format_2_are_refused(tmp_path: Path, change: object, message: str) -> None:
    with pytest.raises(FileError, match=message):
        load_model(_rewritten(tmp_path, change, "quartznet"))


def _attribute(op: str, name: str, value: object) -> object:
    def change(document: dict[str, Any], tensors: dict[str, Any]) -> None:
        node = next(node for node in document["graph"]["nodes"] if node[0] == op)
        assert name in node[3]
        node[3][name] = value

    return change


def _constant(ending: str, change: Callable[[np.ndarray], np.ndarray]) -> object:
    def apply(document: dict[str, Any], tensors: dict[str, Any]) -> None:
        name = next(name for name in tensors if name.endswith(ending))
        tensors[name] = change(tensors[name])

    return apply


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_attribute("activation", "kind", "exec"), "kind"),
        (_attribute("activation", "kind", 3), "kind"),
        (_attribute("activation", "kind", "glu"), "expected 2 names"),
        (_attribute("activation", "out_shift", 0), "shift"),
        (_attribute("activation", "out_multiplier", 5), "multiplier|Dyadic"),
        (_attribute("activation", "offset", 10**9), "offset"),
        (_attribute("activation", "hi", 10**6), "clip"),
        (_attribute("layer_norm", "epsilon", 0), "epsilon"),
        (_attribute("layer_norm", "epsilon", "1"), "epsilon"),
        (_attribute("attention", "heads", 3), "heads|content"),
        (_attribute("attention", "heads", 0), "heads"),
        (_attribute("attention", "score_shift", 63), "shift"),
        (_attribute("conv2d", "height", 5), "rows|height|channels"),
        (_attribute("conv2d", "stride_h", 0), "stride"),
        (_constant("att.out.content", lambda a: -a), "content"),
        (_constant("att.out.content", lambda a: a.astype(np.int64)), "content"),
        (_constant("att.qu.offset", lambda a: a * 0 + (2**63 - 1)), "64 bits|63"),
        (_constant("att.qu.offset", lambda a: a.astype(np.int32)), "offset"),
        (_constant("att.norm.offset", lambda a: a[:2]), "offset"),
        (_constant("positions.fine", lambda a: a * 0 + 30000), "fine"),
        (_constant("positions.coarse", lambda a: a.astype(np.int8)), "coarse"),
    ],
)
def test_damaged_conformers_of_format_2_are_refused(tmp_path: Path, change: object, message: str) -> None:
    with pytest.raises(FileError, match=message):
        load_model(_rewritten(tmp_path, change, "conformer"))


def _field(op: str, name: str, value: object) -> object:
    def change(document: dict[str, Any], tensors: dict[str, Any]) -> None:
        step = next(step for step in document["program"]["steps"] if step["op"] == op)
        assert name in step
        step[name] = value

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_field("activation", "kind", "exec"), "kind"),
        (_field("activation", "kind", 3), "kind"),
        (_field("activation", "kind", ["swish"]), "not a valid model"),
        (_field("activation", "kind", "glu"), "expected 2 names"),
        (_field("activation", "shift", 0), "shift"),
        (_field("activation", "multiplier", 5), "multiplier|Dyadic"),
        (_field("activation", "offset", 10**9), "offset"),
        (_field("activation", "clip", [0, 10**6]), "clip"),
        (_field("layer_norm", "epsilon", 0), "epsilon"),
        (_field("layer_norm", "epsilon", "1"), "epsilon"),
        (_field("attention", "heads", 3), "heads|content"),
        (_field("attention", "heads", 0), "heads"),
        (_field("attention", "shift", 63), "shift"),
        (_field("conv2d", "height", 5), "rows|height|channels"),
        (_field("conv2d", "stride", [0, 2]), "stride"),
        (_field("conv2d", "stride", [2]), "stride"),
        (_constant("att.out:content", lambda a: -a), "content"),
        (_constant("att.qu:bias", lambda a: a * 0 + (2**63 - 1)), "64 bits|63"),
        (_constant("att.norm:bias", lambda a: a[:2]), "bias"),
        (_constant("positions:fine", lambda a: a * 0 + 30000), "fine"),
        (_constant("positions:coarse", lambda a: a.astype(np.int8)), "coarse"),
    ],
)
def test_damaged_conformers_are_refused(tmp_path: Path, change: object, message: str) -> None:
    with pytest.raises(FileError, match=message):
        load_model(_rewritten(tmp_path, change, toy_conformer()))


def test_cut_and_flipped_files_never_crash(tmp_path: Path) -> None:
    content = to_bytes(toy_model(6))
    rng = np.random.default_rng(0)
    path = tmp_path / "m.safetensors"
    for size in rng.integers(0, len(content), 25):
        path.write_bytes(content[:size])
        with pytest.raises(FileError):
            load_model(path)
    header = int.from_bytes(content[:8], "little")
    for position in rng.integers(0, header, 60):  # flips in the header are noticed or lead to another valid model
        damaged = bytearray(content)
        damaged[position] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        try:
            load_model(path)
        except FileError:
            continue


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with pytest.raises(FileError, match="no such file"):
        load_model(path)
    path.write_bytes(save({"a": np.zeros(3, np.float32)}))
    with pytest.raises(FileError, match="another kind"):
        load_model(path)
    path.write_bytes(b"PK\x03\x04 not at all")
    with pytest.raises(FileError, match="safetensors"):
        load_model(path)
