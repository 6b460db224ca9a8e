from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from nemo_files import nemo_bytes
from toy_conformer import toy_conformer
from toy_models import save_toy, toy_integer_model

from zeroq_asr.adapters import FloatModel, load_float_model
from zeroq_asr.engines import installed_peers, noise, torch_float
from zeroq_asr.engines.native import native_name, open_native
from zeroq_asr.engines.torch_float import open_channels_last, open_eager
from zeroq_asr.export import to_onnx
from zeroq_asr.ir import Array
from zeroq_asr.ir.frontend_spec import FrontendSpec
from zeroq_asr.passes.fold_batchnorm import fold_batchnorm
from zeroq_asr.runtime.float_executor import FloatExecutor
from zeroq_asr.runtime.integer_executor import IntegerExecutor

BATCH, FRAMES = 2, 120


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    path = tmp_path / "small.nemo"
    path.write_bytes(nemo_bytes())
    return str(path)


def expected(checkpoint: str) -> Array:
    model = load_float_model(checkpoint)
    logits: Array = FloatExecutor(model.graph).run(noise(BATCH, model.frontend.n_mels, FRAMES))["logits"].numpy()
    return logits


@pytest.mark.parametrize("open_engine", [open_eager, open_channels_last])
def test_torch_computes_the_float_model_both_ways(checkpoint: str, open_engine: type[object]) -> None:
    run = open_engine(checkpoint, BATCH, FRAMES, 1)
    for _ in range(2):  # a second run finds the same values
        np.testing.assert_allclose(run(), expected(checkpoint), rtol=1e-4, atol=1e-5)  # type: ignore[operator]


@pytest.mark.parametrize("open_engine", [open_eager, open_channels_last])
def test_torch_computes_an_attention_model_both_ways(
    open_engine: type[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    graph, spec = toy_conformer(), FrontendSpec(n_mels=8)
    model = FloatModel(graph, spec, ("a",), "0" * 64, "toy", "conformer")
    monkeypatch.setattr(torch_float, "load_float_model", lambda reference: model)
    run = open_engine("toy", BATCH, FRAMES, 1)
    logits = FloatExecutor(graph).run(noise(BATCH, 8, FRAMES))["logits"]
    np.testing.assert_allclose(run(), logits, rtol=1e-4, atol=2e-5)  # type: ignore[operator]


def test_our_engine_runs_the_whole_program(tmp_path: Path) -> None:
    model = toy_integer_model()
    found = open_native(str(save_toy(tmp_path / "m")), BATCH, FRAMES, 2)()
    for ours, reference in zip(found, IntegerExecutor(model, "reference").run(list(noise(2, 6, 120))), strict=True):
        np.testing.assert_array_equal(ours, reference)
    assert native_name(model).startswith("zeroq-")


def write_onnx(checkpoint: str, folder: Path) -> tuple[Path, Array]:
    """The float ONNX file with fixed sizes, and the input as peers want it; both lie in `folder`."""
    graph = fold_batchnorm(load_float_model(checkpoint).graph)
    mel = noise(BATCH, 16, FRAMES)[:, :, None]
    (folder / "float32.onnx").write_bytes(to_onnx(graph, BATCH, FRAMES))
    np.save(folder / "mel.npy", mel)
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

    from zeroq_asr.engines.onnx_runtime import open_onnxruntime, quantize_onnx

    source, mel = write_onnx(checkpoint, tmp_path)
    target = tmp_path / "int8.onnx"
    quantize_onnx(source, target, [mel])
    runs = [open_onnxruntime(str(path), str(tmp_path / "mel.npy"), 1) for path in (source, target)]
    check_peer(runs[0](), runs[1](), checkpoint)
    convolutions = [node for node in onnx.load(target).graph.node if node.op_type == "Conv"]
    made_by = {name: node.op_type for node in onnx.load(target).graph.node for name in node.output}
    assert convolutions and all(made_by[name] == "DequantizeLinear" for c in convolutions for name in c.input[:2])


@pytest.mark.skipif("onnxruntime" not in installed_peers(), reason="needs the extra peers")
def test_onnxruntime_runs_the_int8_form_of_an_attention_model(tmp_path: Path) -> None:
    from zeroq_asr.engines.onnx_runtime import open_onnxruntime, quantize_onnx

    graph, mel = toy_conformer(), noise(BATCH, 8, FRAMES)[:, :, None]
    (tmp_path / "model.onnx").write_bytes(to_onnx(graph, BATCH, FRAMES))
    np.save(tmp_path / "mel.npy", mel)
    quantize_onnx(tmp_path / "model.onnx", tmp_path / "int8.onnx", [mel])
    logits = FloatExecutor(graph).run(mel[:, :, 0])["logits"].numpy()
    error = np.abs(open_onnxruntime(str(tmp_path / "int8.onnx"), str(tmp_path / "mel.npy"), 1)()[:, :, 0] - logits)
    assert error.max() > 1e-4 and error.mean() < 0.2 * logits.std()


@pytest.mark.skipif("openvino" not in installed_peers(), reason="needs the extra peers")
def test_openvino_runs_the_float_and_the_int8_form(checkpoint: str, tmp_path: Path) -> None:
    from zeroq_asr.engines.open_vino import open_openvino, quantize_openvino, save_float

    source, mel = write_onnx(checkpoint, tmp_path)
    save_float(source, tmp_path / "float32.xml")
    quantize_openvino(source, tmp_path / "int8.xml", [mel])
    runs = [open_openvino(str(tmp_path / f"{name}.xml"), str(tmp_path / "mel.npy"), 1) for name in ("float32", "int8")]
    check_peer(runs[0](), runs[1](), checkpoint)
    assert "FakeQuantize" in (tmp_path / "int8.xml").read_text()
