from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.nemo_files import nemo_bytes
from support.toy_conformer import toy_conformer
from support.toy_models import save_toy, toy_integer_model

from eval.latency import Note
from int_kernels import available_kernels
from zeroq_asr.adapters import FloatModel
from zeroq_asr.exporters import to_onnx
from zeroq_asr.frontend.spec import FrontendSpec
from zeroq_asr.ir import Array
from zeroq_asr.models.resolve import load_float_model
from zeroq_asr.passes.fold_batchnorm import fold_batchnorm
from zeroq_asr.runtime.float_executor import FloatExecutor
from zeroq_asr.runtime.integer_executor import IntegerExecutor
from zeroq_research.engines import installed_peers, load_inputs, noise, save_inputs, torch_float
from zeroq_research.engines.native import kernels_in_use, open_limit, open_native, open_profile
from zeroq_research.engines.torch_float import CUDA_PRECISIONS, has_cuda, open_channels_last, open_cuda, open_eager

BATCH, FRAMES = 2, 120
Open = Callable[..., Callable[[], Any]]


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    path = tmp_path / "small.nemo"
    path.write_bytes(nemo_bytes())
    return str(path)


def expected(checkpoint: str) -> Array:
    model = load_float_model(checkpoint)
    logits: Array = FloatExecutor(model.graph).run(noise(BATCH, model.frontend.n_mels, FRAMES))["logits"].numpy()
    return logits


def result_of(run: Callable[[], object]) -> Any:
    """The result of one call of an engine."""
    note = run()
    assert isinstance(note, Note)
    return note.result


def inputs_in(folder: Path, n_mels: int, lengths: tuple[int, ...] = (FRAMES,)) -> str:
    return save_inputs(folder / "inputs", [noise(BATCH, n_mels, frames) for frames in lengths])


def test_inputs_keep_their_order_and_every_one_is_timed(tmp_path: Path) -> None:
    folder = inputs_in(tmp_path, 6, tuple(range(40, 52)))
    assert [mel.shape for mel in load_inputs(folder)] == [(BATCH, 6, frames) for frames in range(40, 52)]
    opened = open_native(str(save_toy(tmp_path / "m")), folder, "c", 1)
    note = opened.run()
    assert isinstance(note, Note)
    assert len(note.value) == 12 and all(seconds > 0 for seconds in note.value)
    assert len(result_of(opened.run)) == BATCH


@pytest.mark.parametrize("open_engine", [open_eager, open_channels_last])
def test_torch_computes_the_float_model_both_ways(checkpoint: str, open_engine: Open, tmp_path: Path) -> None:
    run = open_engine(checkpoint, inputs_in(tmp_path, 16), 1)
    for _ in range(2):  # a second run finds the same values
        np.testing.assert_allclose(result_of(run), expected(checkpoint), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("open_engine", [open_eager, open_channels_last])
def test_torch_computes_an_attention_model_both_ways(
    open_engine: Open, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    graph, spec = toy_conformer(), FrontendSpec(n_mels=8)
    model = FloatModel(graph, spec, ("a",), "0" * 64, "toy", "conformer")
    monkeypatch.setattr(torch_float, "load_float_model", lambda reference: model)
    run = open_engine("toy", inputs_in(tmp_path, 8), 1)
    logits = FloatExecutor(graph).run(noise(BATCH, 8, FRAMES))["logits"]
    np.testing.assert_allclose(result_of(run), logits, rtol=1e-4, atol=2e-5)


@pytest.mark.skipif(not has_cuda(), reason="needs a GPU")
@pytest.mark.parametrize("precision", CUDA_PRECISIONS)
def test_torch_computes_the_float_model_on_a_gpu(checkpoint: str, precision: str, tmp_path: Path) -> None:
    run = open_cuda(checkpoint, inputs_in(tmp_path, 16), precision, 1)
    tolerance = 1e-4 if precision == "float32" else 5e-2
    for _ in range(2):
        np.testing.assert_allclose(result_of(run).float(), expected(checkpoint), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("table", available_kernels())
def test_our_engine_runs_the_whole_program(table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEROQ_KERNELS", "c")  # put back afterwards: an engine sets it for its process
    model, path = toy_integer_model(), str(save_toy(tmp_path / "m"))
    opened = open_native(path, inputs_in(tmp_path, 6), table, 2)
    for ours, reference in zip(
        result_of(opened.run), IntegerExecutor(model, "reference").run(list(noise(2, 6, 120))), strict=True
    ):
        np.testing.assert_array_equal(ours, reference)
    assert kernels_in_use() == table
    weights = sum(model.weights.values())
    assert opened.facts["values"] > 120 * 6 and (opened.facts["packed"] > 0) == (table not in ("c", "avx2"))
    assert opened.facts["model"] > max(weights, opened.facts["packed"])


def test_a_profile_times_every_step_and_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZEROQ_KERNELS", "c")
    steps, limit = open_profile(str(save_toy(tmp_path / "m")), inputs_in(tmp_path, 6, (50, 90)), "c")().value
    assert [name for name, _ in steps] == [step.y for step in toy_integer_model().program.steps]
    assert all(elapsed > 0 for _, elapsed in steps) and limit > 0.01


def test_the_limit_of_two_threads_is_more_than_that_of_one() -> None:
    one, two = (open_limit("c", threads)().value for threads in (1, 2))
    assert 1.2 * one < two < 3 * one


def write_onnx(checkpoint: str, folder: Path) -> tuple[Path, Array]:
    """Return the float ONNX file with fixed sizes, written to `folder`, and the input in the layout of the peers."""
    inputs_in(folder, 16)
    graph = fold_batchnorm(load_float_model(checkpoint).graph)
    mel = noise(BATCH, 16, FRAMES)[:, :, None]
    (folder / "float32.onnx").write_bytes(to_onnx(graph, BATCH, FRAMES))
    return folder / "float32.onnx", mel


def check_peer(float_logits: Array, int8_logits: Array, checkpoint: str) -> None:
    """float32 equals ours; int8 is something else, and still the same model."""
    reference = expected(checkpoint)[:, :, None]
    np.testing.assert_allclose(float_logits, reference, rtol=1e-4, atol=1e-4)
    error = np.abs(int8_logits - reference)
    assert error.max() > 1e-4
    assert error.mean() < 0.1 * reference.std()


@pytest.mark.skipif("onnxruntime" not in installed_peers(), reason="needs the extra peers")
def test_onnxruntime_runs_the_float_and_the_int8_form(checkpoint: str, tmp_path: Path) -> None:
    import onnx

    from zeroq_asr.exporters.onnx_int8 import quantize_onnx
    from zeroq_research.engines.onnx_runtime import open_onnxruntime

    source, mel = write_onnx(checkpoint, tmp_path)
    target = tmp_path / "int8.onnx"
    quantize_onnx(source, target, [mel])
    runs = [open_onnxruntime(str(path), str(tmp_path / "inputs"), 1) for path in (source, target)]
    check_peer(result_of(runs[0]), result_of(runs[1]), checkpoint)
    convolutions = [node for node in onnx.load(target).graph.node if node.op_type == "Conv"]
    made_by = {name: node.op_type for node in onnx.load(target).graph.node for name in node.output}
    assert convolutions and all(made_by[name] == "DequantizeLinear" for c in convolutions for name in c.input[:2])


@pytest.mark.skipif("onnxruntime" not in installed_peers(), reason="needs the extra peers")
def test_onnxruntime_runs_the_int8_form_of_an_attention_model(tmp_path: Path) -> None:
    from zeroq_asr.exporters.onnx_int8 import quantize_onnx
    from zeroq_research.engines.onnx_runtime import open_onnxruntime

    graph, mel = toy_conformer(), noise(BATCH, 8, FRAMES)[:, :, None]
    (tmp_path / "model.onnx").write_bytes(to_onnx(graph, BATCH, FRAMES))
    quantize_onnx(tmp_path / "model.onnx", tmp_path / "int8.onnx", [mel])
    logits = FloatExecutor(graph).run(mel[:, :, 0])["logits"].numpy()
    run = open_onnxruntime(str(tmp_path / "int8.onnx"), inputs_in(tmp_path, 8), 1)
    error = np.abs(result_of(run)[:, :, 0] - logits)
    assert error.max() > 1e-4 and error.mean() < 0.2 * logits.std()


@pytest.mark.skipif("openvino" not in installed_peers(), reason="needs the extra peers")
def test_openvino_runs_the_float_and_the_int8_form(checkpoint: str, tmp_path: Path) -> None:
    from zeroq_research.engines.open_vino import open_openvino, quantize_openvino, save_float

    source, mel = write_onnx(checkpoint, tmp_path)
    save_float(source, tmp_path / "float32.xml")
    quantize_openvino(source, tmp_path / "int8.xml", [mel])
    runs = [open_openvino(str(tmp_path / f"{name}.xml"), str(tmp_path / "inputs"), 1) for name in ("float32", "int8")]
    check_peer(result_of(runs[0]), result_of(runs[1]), checkpoint)
    assert "FakeQuantize" in (tmp_path / "int8.xml").read_text()
