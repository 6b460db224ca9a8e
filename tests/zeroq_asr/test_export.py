"""One verb writes one format; `ranges` writes them all; the table says who reads what and which extra it needs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.nemo_files import nemo_bytes
from support.small_bench import small_bench

from zeroq_asr.export import main
from zeroq_asr.exporters import registry
from zeroq_asr.exporters.registry import FORMATS
from zeroq_asr.ranges import main as ranges_main
from zeroq_research.engines import installed_peers

with_runtime = pytest.mark.skipif("onnxruntime" not in installed_peers(), reason="needs the extra peers")
FLAGS = ["--calibration", "random", "--threads", "1", "--quiet"]


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with small_bench():
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model") / "toy.nemo"
    path.write_bytes(nemo_bytes())
    return str(path)


def test_the_list_names_every_format(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--list"]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split() == ["format", "extra", "file", "readers"]
    assert [line.split()[:3] for line in lines] == [[name, "peers", form.file] for name, form in FORMATS.items()]
    assert set(FORMATS) == {"onnx", "onnxruntime", "flatbuffers", "tensorrt", "onnx-int8"}


def test_the_float_model_needs_no_calibration(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx = pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("zeroq_asr.pipelines.calibration.calibration_data", lambda *_, **__: pytest.fail("was called"))
    assert main([model, "--format", "onnx"]) == 0
    written = Path("zeroq-out/toy-export/model.onnx")
    assert capsys.readouterr().out.startswith(f"{written}  the float model")
    onnx.checker.check_model(onnx.load(written))


@with_runtime
@pytest.mark.parametrize("name", sorted(FORMATS))
def test_one_format_is_the_file_that_ranges_writes(name: str, model: str, tmp_path: Path) -> None:
    assert ranges_main(["--model", model, *FLAGS, "--int8", "--output", str(tmp_path / "all")]) == 0
    assert main([model, "--format", name, *FLAGS, "--output", str(tmp_path / "one")]) == 0
    assert (tmp_path / "one").read_bytes() == (tmp_path / "all" / FORMATS[name].file).read_bytes()


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([], "expected MODEL --format NAME, NAME one of onnx, "),
        (["m.nemo"], "got --format None"),
        (["m.nemo", "--format", "tflite"], "got --format tflite"),
        (["m.nemo", "--format", "onnx", "--calibration", "analytic"], "analytic"),
        (["m.nemo", "--format", "onnx", "--tensorrt-version", "8.6"], "digits"),
        (["m.nemo", "--format", "onnx"], "m.nemo"),
    ],
)
def test_user_errors_exit_2_with_one_line(
    words: list[str], error: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    told = capsys.readouterr().err
    assert error in told and len(told.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_missing_extra_is_told_before_the_model_is_opened(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda package: None)
    assert main(["no-such.nemo", "--format", "tensorrt"]) == 2
    assert "`pip install 'zeroq-asr[peers]'`" in capsys.readouterr().err
