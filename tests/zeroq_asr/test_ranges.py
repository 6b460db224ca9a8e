"""Files for other programs: what our calibration measured, and the int8 model that ONNX Runtime makes of it."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.nemo_files import nemo_bytes
from support.small_bench import small_bench
from support.toy_models import save_noise

from zeroq_asr.calibrate.run import calibrate
from zeroq_asr.config import QuantizeConfig
from zeroq_asr.exporters import registry
from zeroq_asr.exporters.onnx_int8 import quantize_onnx
from zeroq_asr.models.resolve import load_float_model
from zeroq_asr.passes.canonicalize import prepare
from zeroq_asr.pipelines.calibration import random_batches
from zeroq_asr.ranges import main
from zeroq_asr.runtime.float_executor import FloatExecutor
from zeroq_research.engines import installed_peers

with_runtime = pytest.mark.skipif("onnxruntime" not in installed_peers(), reason="needs the extra peers")


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with small_bench():
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model") / "toy.nemo"
    path.write_bytes(nemo_bytes())
    return str(path)


@pytest.fixture(scope="module")
def folder(model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("ranges")
    flags = ["--calibration", "random", "--threads", "1", "--quiet"]
    assert main(["--model", model, *flags, "--int8", "--output", str(out)]) == 0
    return out


def table(folder: Path) -> dict[str, tuple[float, float]]:
    data = json.loads((folder / "onnxruntime.json").read_text())["data"]
    return {name: (entry["lowest"]["data"], entry["highest"]["data"]) for name, entry in data.items()}


@with_runtime
def test_stored_values_have_the_ranges_that_quantize_uses(model: str, folder: Path) -> None:
    float_model = load_float_model(model)
    graph, found = prepare(float_model.graph), table(folder)
    batches = random_batches(float_model.frontend.n_mels, 0)
    ours = calibrate(FloatExecutor(graph), batches, QuantizeConfig(), "random").ranges
    for name, range in ours.items():
        assert found[name] == pytest.approx((range.lo, range.hi), rel=2e-3, abs=1e-5)  # (a bin is 1/4096 of the span)
    assert set(ours) < set(graph.values) == set(found)


@with_runtime
def test_the_int8_model_uses_them(folder: Path) -> None:
    import onnx

    graph, found = onnx.load(folder / "model-int8.onnx").graph, table(folder)
    scales = {c.name: onnx.numpy_helper.to_array(c) for c in graph.initializer if c.name.endswith("_scale")}
    ends = {name: (min(lo, 0.0), max(hi, 0.0)) for name, (lo, hi) in found.items()}
    expected = {f"{name}_scale": (hi - lo) / 255 for name, (lo, hi) in ends.items()}
    used = {name: float(scales[name]) for name in expected if name in scales}
    assert "mel_scale" in used and len(used) > len(found) / 2
    assert used == {name: pytest.approx(expected[name], rel=1e-5) for name in used}


@with_runtime
def test_a_user_of_onnxruntime_gets_the_same_model_from_the_files(folder: Path, tmp_path: Path) -> None:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_static

    quantize_static(
        folder / "model.onnx",
        tmp_path / "mine.onnx",
        None,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        calibration_cache_path=folder / "onnxruntime.json",
    )
    mine, ours = (onnx.load(path).graph for path in (tmp_path / "mine.onnx", folder / "model-int8.onnx"))
    assert [node.op_type for node in mine.node] == [node.op_type for node in ours.node]
    for a, b in zip(*(sorted(g.initializer, key=lambda c: str(c.name)) for g in (mine, ours)), strict=True):
        np.testing.assert_array_equal(onnx.numpy_helper.to_array(a), onnx.numpy_helper.to_array(b))


@with_runtime
def test_the_tensorrt_cache_has_the_scales_of_symmetric_codes(folder: Path, tmp_path: Path) -> None:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_static

    quantize_static(
        folder / "model.onnx",
        tmp_path / "signed.onnx",
        None,
        activation_type=QuantType.QInt8,
        extra_options={"ActivationSymmetric": True},
        calibration_cache_path=folder / "onnxruntime.json",
    )
    constants = onnx.load(tmp_path / "signed.onnx").graph.initializer
    found = {c.name: onnx.numpy_helper.to_array(c) for c in constants if c.name.endswith("_scale")}
    # (what a ReLU reads gets the ReLU's range from the runtime: the two become one)
    relus = {node.input[0] for node in onnx.load(folder / "model.onnx").graph.node if node.op_type == "Relu"}
    lines = (folder / "tensorrt.cache").read_text().splitlines()[1:]
    cached = {name: bytes.fromhex(scale) for name, scale in (line.split(": ") for line in lines) if name not in relus}
    assert len(cached) > 5
    for name, scale in cached.items():
        assert found[f"{name}_scale"] == pytest.approx(struct.unpack("!f", scale)[0], rel=1e-6), name


@with_runtime
def test_synthetic_and_real_data_go_the_same_way(
    model: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    manifest = str(save_noise(tmp_path, 2))
    for number, calibration in enumerate(("synthetic", manifest)):
        flags = ["--calibration", calibration, "--threads", "1", "--quiet", "--tensorrt-version", "101300"]
        assert main(["--model", model, *flags, "--output", str(tmp_path / str(number))]) == 0
        assert f"{calibration} calibration" in capsys.readouterr().out
        found = table(tmp_path / str(number))
        assert set(found) == set(table(folder)) and found != table(folder)
        cache = (tmp_path / str(number) / "tensorrt.cache").read_text().splitlines()
        assert cache[0] == "TRT-101300-EntropyCalibration2" and len(cache) == len(found) + 1
        assert not (tmp_path / str(number) / "model-int8.onnx").exists()


def test_without_the_extra_nothing_is_begun(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda package: None)
    assert main(["--model", model, "--output", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "pip install 'zeroq-asr[peers]'" in error and len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--calibration", "analytic"], "analytic"),
        (["--tensorrt-version", "8.6"], "digits"),
        (["--percentile", "3"], "--percentile"),
        (["--percentile", "99", "--ranges", "kl"], "expected --observer percentile"),
        (["--threads", "0"], "--threads"),
        (["--calibration", "random", "--seed", "-1"], "--seed"),
        (["--calibration", "random", "--data", "x"], "--data"),
    ],
)
@with_runtime
def test_bad_flags_are_refused_in_one_line(
    flags: list[str], word: str, model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--model", model, *flags, "--output", str(tmp_path / "out"), "--quiet"]) == 2
    error = capsys.readouterr().err
    assert word in error and len(error.splitlines()) == 1
    assert not (tmp_path / "out").exists()


@with_runtime
def test_a_folder_that_cannot_be_is_told_before_synthesis(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zeroq_asr.pipelines.calibration.calibration_data", lambda *_, **__: pytest.fail("was called"))
    (tmp_path / "text").write_text("not a folder")
    assert main(["--model", model, "--output", str(tmp_path / "text"), "--quiet"]) == 2
    assert "is not a folder" in capsys.readouterr().err


@with_runtime
def test_the_runtime_leaves_no_half_file(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its writer writes where it is told to, piece by piece; whoever interrupts it keeps the old file."""

    def interrupted(source: str, target: str, *_: object, **__: object) -> None:
        Path(target).write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("onnxruntime.quantization.quantize_static", interrupted)
    target = tmp_path / "int8.onnx"
    target.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt):
        quantize_onnx(folder / "model.onnx", target, ranges=folder / "onnxruntime.json", optimize=False)
    assert target.read_bytes() == b"old" and list(tmp_path.iterdir()) == [target]
