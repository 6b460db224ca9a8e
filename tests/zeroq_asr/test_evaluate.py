"""Evaluation: scores of systems whose errors are known, one front end for all, a table and a JSON that agree."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.toy_models import save_noise, save_toy

from int_kernels import available_backends
from zeroq_asr.evaluate import main, table, to_json
from zeroq_asr.frontend import features as features_module
from zeroq_asr.frontend.features import Features
from zeroq_asr.frontend.spec import FrontendSpec
from zeroq_asr.pipelines import evaluate as module
from zeroq_asr.pipelines.evaluate import TestSet, evaluate, read_test_set
from zeroq_asr.runtime.transcriber import Ids, Transcriber

BACKEND = available_backends()[0]
LETTERS = (" ", "a", "b", "c")


class Parrot:
    """Knows the text of each utterance by its number of frames; every `wrong`-th one loses its last letter."""

    def __init__(self, texts: dict[int, str], wrong: int = 0) -> None:
        self._texts, self._wrong = texts, wrong

    def tokens(self, features: Sequence[Features]) -> list[Ids]:
        rows = []
        for mel in features:
            text = self._texts[mel.shape[1]]
            if self._wrong and mel.shape[1] // 10 % self._wrong == 0:
                text = text[:-1]
            ids = [i for letter in text for i in (LETTERS.index(letter), len(LETTERS))]
            rows.append(np.array(ids, dtype=np.int32))
        return rows


def parrot(name: str, noise: TestSet, wrong: int = 0, spec: FrontendSpec | None = None) -> Transcriber:
    spec = spec or FrontendSpec(n_mels=6)
    texts = {spec.frames(round(u.duration_s * 16000)): u.text for u in noise.utterances}
    return Transcriber(name, "W6A8", "native", 1234, spec, LETTERS, Parrot(texts, wrong))


@pytest.fixture
def noise(tmp_path: Path) -> TestSet:
    return read_test_set(str(save_noise(tmp_path, 8)))


def test_known_errors_are_counted_and_compared(noise: TestSet) -> None:
    perfect, lossy = evaluate([parrot("good", noise), parrot("bad", noise, wrong=2)], [noise])
    assert (perfect.scores.wer, perfect.scores.utterances, perfect.comparison) == (0.0, 8, None)
    # Lengths are 30, 40, ... 100 frames: four utterances lose the last letter, 16 words in all.
    assert lossy.scores.wer == pytest.approx(100 * 4 / 16)
    assert lossy.comparison is not None
    assert (lossy.comparison.difference, lossy.comparison.identical) == pytest.approx((25.0, 50.0))
    assert lossy.comparison.is_significant


def test_utterances_keep_their_texts_though_they_run_sorted_by_length(noise: TestSet) -> None:
    backwards = TestSet("backwards", noise.utterances[::-1])
    (report,) = evaluate([parrot("good", noise)], [backwards])
    assert report.scores.wer == 0.0


def test_features_are_computed_once_per_front_end(noise: TestSet, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    original = features_module.features_of

    def recorded(wave: Any, spec: Any, name: Any) -> Any:
        calls.append(spec)
        return original(wave, spec, name)

    monkeypatch.setattr(features_module, "features_of", recorded)
    other = FrontendSpec(n_mels=5)
    evaluate([parrot("a", noise), parrot("b", noise), parrot("c", noise, spec=other)], [noise])
    assert len(calls) == 2 * 8


def test_small_blocks_change_nothing(noise: TestSet, monkeypatch: pytest.MonkeyPatch) -> None:
    models = [parrot("good", noise), parrot("bad", noise, wrong=3)]
    whole = [report.scores for report in evaluate(models, [noise])]
    monkeypatch.setattr(module, "_BLOCK_SECONDS", 0.9)
    assert [report.scores for report in evaluate(models, [noise])] == whole


def test_table_and_json_say_the_same(noise: TestSet) -> None:
    reports = evaluate([parrot("model-x", noise), parrot("model-x", noise, wrong=2)], [noise], seed=3)
    text = table(reports)
    rows = json.loads(to_json(reports, 3))["results"]
    assert [row["model"] for row in rows] == ["model-x (1)", "model-x (2)"]
    for row in rows:
        assert f"{row['wer']:.2f}  [{row['wer_low']:.2f}, {row['wer_high']:.2f}]" in text
    assert "8 utterances, 16 words" in text and "+25.00 [" in text and "] *" in text and "1,234" in text
    assert "not the same as no loss" in text


def test_one_model_alone_is_not_compared(noise: TestSet) -> None:
    text = table(evaluate([parrot("model-x", noise)], [noise]))
    assert "no loss" not in text and "+" not in text


# ---- the command line ---------------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str, str]:
    return str(save_toy(tmp_path / "w8")), str(save_toy(tmp_path / "w4", bits=4)), str(save_noise(tmp_path))


def test_quantized_files_side_by_side(
    files: tuple[str, str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    eight, four, manifest = files
    out = tmp_path / "out" / "scores.json"
    words = [
        "--model",
        eight,
        "--model",
        four,
        "--manifest",
        manifest,
        "--backend",
        BACKEND,
        "--json",
        str(out),
        "--quiet",
    ]
    assert main(words) == 0
    printed = capsys.readouterr()
    assert "W8A8" in printed.out and "W4A8" in printed.out and printed.err == ""
    first, second = json.loads(out.read_text())["results"]
    needed = {"model", "manifest", "backend", "bits", "utterances", "wer", "cer", "wer_low", "wer_high"}
    assert needed <= set(first) and set(first) == set(second)
    assert (first["model"], first["manifest"], first["backend"], first["bits"]) == ("w8", manifest, BACKEND, "W8A8")
    assert first["utterances"] == 5 and first["difference"] is None and second["difference"] is not None
    assert first["size_bytes"] == Path(eight).stat().st_size > second["size_bytes"]
    assert first["wer_low"] <= first["wer"] <= first["wer_high"]


def test_the_same_command_prints_the_same_table(
    files: tuple[str, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--model", files[0], "--manifest", files[2], "--backend", BACKEND, "--quiet", "--limit", "3"]
    assert main(words) == 0
    first = capsys.readouterr().out
    assert main(words) == 0
    assert capsys.readouterr().out == first
    assert "3 utterances" in first


def test_progress_goes_to_the_error_output(files: tuple[str, str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--model", files[0], "--manifest", files[2], "--backend", "reference"]) == 0
    assert "evaluate" in capsys.readouterr().err


def test_user_errors_are_one_line_and_exit_2(
    files: tuple[str, str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, _, manifest = files
    broken = tmp_path / "broken.json"
    broken.write_text("not json\n")
    silent = tmp_path / "silent.json"
    silent.write_text(json.dumps({"audio_filepath": "0.wav", "duration": 0.3, "text": "?"}) + "\n")
    cases = {
        "no such file": ["--model", str(tmp_path / "gone.nemo"), "--manifest", manifest],
        "nothing there": ["--model", model, "--manifest", str(tmp_path / "gone.json")],
        "line 1": ["--model", model, "--manifest", str(broken)],
        "reference word": ["--model", model, "--manifest", str(silent), "--backend", "reference"],
        "--limit": ["--model", model, "--manifest", manifest, "--limit", "0"],
        "--seed": ["--model", model, "--manifest", manifest, "--seed", "-1"],
        "--threads": ["--model", model, "--manifest", manifest, "--threads", "0"],
        "could not be written": [
            *("--model", model, "--manifest", manifest, "--backend", "reference"),
            *("--json", "/proc/nowhere/x.json"),
        ],
    }
    for message, words in cases.items():
        assert main([*words, "--quiet"]) == 2, message
        error = capsys.readouterr().err
        assert error.startswith("error: ") and error.count("\n") == 1 and message in error


def test_interruption_exits_130(files: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "evaluate", interrupted)  # the command line looks it up when it runs
    assert main(["--model", files[0], "--manifest", files[2], "--backend", "reference", "--quiet"]) == 130


def test_one_file_by_several_backends(files: tuple[str, str, str], tmp_path: Path) -> None:
    out = tmp_path / "scores.json"
    words = ["--model", files[0], "--manifest", files[2], "--backend", "reference", "--backend", "float", "--quiet"]
    assert main([*words, "--json", str(out)]) == 0
    rows = json.loads(out.read_text())["results"]
    assert [(row["model"], row["backend"]) for row in rows] == [("w8", "reference"), ("w8", "float")]
    assert rows[1]["decoded_identical"] == 100.0 and rows[1]["wer"] == rows[0]["wer"]
