from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from support.steps import step_of
from support.toy_models import save_toy, toy_integer_model

from int_kernels import Conv1d
from zeroq_asr.inspect import describe, main

CONFIG = """
target: nemo.collections.asr.models.EncDecCTCModel
preprocessor: {_target_: nemo.x.AudioToMelSpectrogramPreprocessor, features: 64, normalize: per_feature}
encoder:
  _target_: nemo.x.ConvASREncoder
  jasper: [{filters: 32, repeat: 1, kernel: [11], stride: [2], separable: true, residual: false}]
decoder: {_target_: nemo.x.ConvASRDecoder, vocabulary: [" ", a, b]}
"""


def save_nemo(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def test_quantized_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = save_toy(tmp_path / "m", bits=6), tmp_path / "m.json"
    assert main([str(path), "--json", str(out)]) == 0
    text, document = capsys.readouterr().out, json.loads(out.read_text())
    model = toy_integer_model(6)
    assert (document["kind"], document["bits"], document["bytes"]) == ("quantized", "W6A8", path.stat().st_size)
    assert document["float_tensors"] == [] and "0 float tensors" in text
    assert [node["name"] for node in document["nodes"]] == [step.y for step in model.program.steps]
    assert all(node["name"] in text for node in document["nodes"])
    assert document["provenance"]["calibration"] == "noise" and "noise" in text
    assert document["bops"] == 6 * 8 * document["macs"]
    # The head has 8 channels in, 4 out and a kernel of 1, at half of 1001 frames rounded up.
    assert next(n for n in document["nodes"] if n["name"] == "logits")["macs"] == 8 * 4 * 501
    worst = document["largest_accumulator"]
    assert 0 < worst["bound"] == max(n["accumulator"] for n in document["nodes"] if "macs" in n) < worst["limit"]
    assert f"{worst['bound']:,}" in text


def test_the_bound_is_what_an_adversary_reaches() -> None:
    """The largest accumulator that `inspect` states is attained by some codes: it is exact, not only safe."""
    from zeroq_asr.inspect import describe_model

    model = toy_integer_model()
    for row in describe_model(model)["nodes"]:
        if "macs" in row:
            step = step_of(model.program, row["name"], Conv1d)
            kind = model.program.spec(step.x).type
            weight, bias = step.weight.astype(np.int64), step.bias.astype(np.int64)
            for sign in (1, -1):
                codes = np.where(sign * weight > 0, kind.hi, kind.lo)
                reached = np.abs((weight * codes).sum(axis=(1, 2)) + bias).max()
                assert reached <= row["accumulator"]
            extremes = [(weight * np.where(s * weight > 0, kind.hi, kind.lo)).sum(axis=(1, 2)) + bias for s in (1, -1)]
            assert max(int(extremes[0].max()), -int(extremes[1].min())) == row["accumulator"]


def test_synthetic_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from synth import SpectrogramSpec, SynthesisSettings, SyntheticBatch, SyntheticData, to_bytes

    spec = SpectrogramSpec(2, 6, 16)
    fields = {
        "lrs": (0.03,),
        "iterations": (2,),
        "betas": (0.9, 0.999),
        "schedule": "constant",
        "normalize": False,
        "early_stop": 0.0,
        "patience": 5,
    }
    settings = SynthesisSettings(spec=spec, batches=2, seed=0, loss="kl", init="uniform", **fields)  # type: ignore[arg-type]
    losses, taps = np.array([3.0, 2.0, 2.5]), np.array([1.0, 1.5])
    batch = SyntheticBatch(np.zeros(spec.shape, dtype=np.float32), losses, taps, taps)
    path = tmp_path / "data"
    path.write_bytes(to_bytes(SyntheticData(settings, "a" * 64, ("bn.0", "bn.1"), (batch,))))
    document = describe(str(path))
    (row,) = document["batches"]
    assert (row["loss_start"], row["loss_end"], row["loss_lowest"], row["worst_tap"]) == (3.0, 2.5, 2.0, "bn.1")
    assert document["complete"] is False
    assert main([str(path)]) == 0
    text = capsys.readouterr().out
    assert "synthetic data" in text and "unfinished: 1 of 2" in text and "2.5000" in text


def test_nemo_file_without_loading_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    members = {"model_config.yaml": CONFIG.encode(), "model_weights.ckpt": b"these are no weights"}
    path = save_nemo(tmp_path / "m.nemo", members)
    document = describe(str(path))
    assert document["members"] == {name: len(content) for name, content in members.items()}
    assert main([str(path)]) == 0
    text = capsys.readouterr().out
    for expected in ("ConvASREncoder", "features 64", "filters 32", "3 tokens", "model_weights.ckpt: 20 bytes"):
        assert expected in text


def test_control_characters_of_a_file_do_not_reach_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = CONFIG.replace('[" ", a, b]', '["\\e[31m", a]')
    path = save_nemo(tmp_path / "m.nemo", {"model_config.yaml": config.encode()})
    main([str(path)])
    assert "\x1b" not in capsys.readouterr().out


def test_bad_files_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = save_toy(tmp_path / "m").read_bytes()
    files = {
        "gone": None,
        "empty": b"",
        "cut": good[: len(good) // 2],
        "tail": good[:-1],
        "flipped": good[:40] + bytes([good[40] ^ 0xFF]) + good[41:],
        "no-config.nemo": save_nemo(tmp_path / "x.nemo", {"model_weights.ckpt": b"x"}).read_bytes(),
        "list-config.nemo": save_nemo(tmp_path / "y.nemo", {"model_config.yaml": b"- a\n"}).read_bytes(),
    }
    for name, content in files.items():
        path = tmp_path / "bad" / name
        path.parent.mkdir(exist_ok=True)
        if content is not None:
            path.write_bytes(content)
        assert main([str(path)]) == 2, name
        printed = capsys.readouterr()
        assert printed.out == "" and printed.err.startswith("error: ") and printed.err.count("\n") == 1


def test_never_imports_torch(tmp_path: Path) -> None:
    quantized = save_toy(tmp_path / "m")
    nemo = save_nemo(tmp_path / "m.nemo", {"model_config.yaml": CONFIG.encode()})
    code = (
        "import sys\n"
        "from zeroq_asr.inspect import main\n"
        f"assert main([{str(quantized)!r}]) == 0 and main([{str(nemo)!r}]) == 0\n"
        "found = sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'nemo', 'scipy', 'matplotlib'})\n"
        "print(found, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
