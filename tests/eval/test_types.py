from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from eval.compare import compare
from eval.types import EvalReport, Utterance
from eval.wer import score


def test_nouns_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Utterance(Path("a"), 1.0, "x").text = "y"  # type: ignore[misc]


def test_report_is_flat_json_with_rates_in_percent() -> None:
    references, hypotheses = ["a b", "c d"], ["a b", "c x"]
    report = EvalReport(
        "m",
        "clean",
        "native",
        "W6A8",
        1234,
        0.5,
        score(references, hypotheses),
        compare(references, references, hypotheses),
    )
    row = json.loads(json.dumps(report.to_json()))
    assert {"model", "manifest", "backend", "bits", "utterances", "wer", "cer", "wer_low", "wer_high"} <= set(row)
    assert (row["wer"], row["difference"], row["decoded_identical"], row["utterances"]) == (
        25.0,
        25.0,
        50.0,
        2,
    )
    assert row["difference_significant"] in (True, False)


def test_report_without_comparison_says_null() -> None:
    row = EvalReport("m", "clean", "float", "float32", 1, 0.5, score(["a"], ["a"])).to_json()
    assert row["difference"] is None and row["decoded_identical"] is None
