"""The ablation on the toy network: rows, columns, and that a changed part changes something."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from support.toy_models import save_noise, toy_float_model

import zeroq_asr.models.resolve
from synth import SpectrogramSpec, random_baseline
from zeroq_asr.config import GenerateConfig
from zeroq_research import ablation
from zeroq_research.ablation import standard_variants
from zeroq_research.cli import ablate


def test_every_variant_changes_something() -> None:
    for preset in ("fast", "paper"):
        config = GenerateConfig.of_preset(preset)
        names = [variant.name for variant in standard_variants(config)]
        assert len(set(names)) == len(names)
        assert names[0] == "real speech" and names[1] == f"preset {preset}" and names[-1] == "random, U[-3, 3]"
    ranges = [f"ranges: {way}" for way in ("minmax", "percentile 99.9", "percentile 99.999", "mse", "kl")]
    assert [name for name in names if name.startswith("ranges")] == ranges
    assert "loss of the paper (one-sided KL)" not in [v.name for v in standard_variants(config)]


def test_the_command_prints_a_markdown_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(zeroq_asr.models.resolve, "load_float_model", lambda reference: toy_float_model())
    monkeypatch.setattr(
        ablation, "random_batches", lambda mels, seed: [random_baseline(SpectrogramSpec(2, mels, 60), 0)]
    )
    small = replace(GenerateConfig.of_preset("fast"), frames=80, batch_size=2, iterations=(8,))
    monkeypatch.setattr(GenerateConfig, "of_preset", lambda name: small)
    manifest, out = str(save_noise(tmp_path, 3)), tmp_path / "rows.json"
    flags = [
        "--model",
        "toy",
        "--manifest",
        manifest,
        "--real",
        manifest,
        "--batches",
        "1",
        "--act-bits",
        "3",
        "--quiet",
    ]
    assert ablate.main([*flags, "--only", "no optimisation", "smoothness", "ranges: m", "--json", str(out)]) == 0
    captured = capsys.readouterr()
    lines = [line for line in captured.out.splitlines() if line.startswith("|")]
    assert len(lines) == 2 + 8 and captured.err == ""
    assert "W8A3 WER" in lines[0] and "W6A3 same text %" in lines[0]
    rows = {row["variant"]: row for row in json.loads(out.read_text())["results"]}
    real, preset, start = rows["real speech"], rows["preset fast"], rows["no optimisation"]
    assert real["range_error"] == 0 and real["loss"] is None
    assert preset["loss"] < start["loss"]
    assert preset["range_error"] != start["range_error"]
    analytic = rows["no data: ranges and means from parameters"]
    assert analytic["seeds"] == 1 and analytic["loss"] is None and analytic["range_error"] > 0
    extremes, squares = rows["ranges: minmax"], rows["ranges: mse"]
    assert preset["loss"] == extremes["loss"] == squares["loss"], "the same data"
    assert squares["divergence"] < extremes["divergence"]
    assert rows["random, U[-3, 3]"]["range_error"] > real["range_error"]
