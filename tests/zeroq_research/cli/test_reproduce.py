"""The paper's tables and figures on a toy model and on speech in LibriSpeech's folders: the same path for both."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.nemo_files import nemo_bytes
from support.small_bench import small_bench
from support.toy_models import save_noise

from zeroq_research.cli.reproduce import main
from zeroq_research.engines import installed_peers
from zeroq_research.reproduction import figure2, paper_table, pareto
from zeroq_research.reproduction.paper_table import PAPER_ROWS
from zeroq_research.reproduction.tables import calibration_table, error_and_cost_table

ENGINES = ("zeroq", "torch")


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with small_bench():
        yield


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figure 2 without timing, full sizes without their weights, few bit allocations."""
    for name in ("PARETO_BITS", "MIXED_BUDGETS"):
        monkeypatch.setattr(pareto, name, (4,))

    def timings(config: object, size: str, on_step: object) -> dict[str, object]:
        rows = [
            {
                "engine": engine,
                "threads": 1,
                "median_ms": 10.0 * number,
                "cpu_ms": 9.0,
                "ratio": float(number),
                "ratio_low": 1.0,
                "ratio_high": 2.0,
                "file_mb": 5.0 * number,
            }
            for number, engine in enumerate(ENGINES, 1)
        ]
        return {"rows": rows, "macs": 1, "machine": {"cpu": "a <cpu>", "cores": 2, "features": ["avx2"]}}

    monkeypatch.setattr(figure2, "measure_latency", timings)
    count = {"weights": 1000, "channels": 10, "parameters": 1010, "macs": 10**9, "product_macs": 0, "value_macs": 0}
    monkeypatch.setattr(paper_table, "count_full_size", lambda *_: count)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model") / "toy.nemo"
    path.write_bytes(nemo_bytes())
    return str(path)


def librispeech(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    for split, chapter in (("dev-clean", "84-1"), ("test-other", "61-2"), ("train-clean-100", "1-1")):
        chapter_folder = folder / "LibriSpeech" / split / chapter.replace("-", "/")
        chapter_folder.mkdir(parents=True)
        names = [f"{chapter}-{number:04d}" for number in range(3)]
        (chapter_folder / f"{chapter}.trans.txt").write_text("".join(f"{name} A B A\n" for name in names))
        for number, name in enumerate(names):
            soundfile.write(chapter_folder / f"{name}.flac", rng.normal(0, 0.1, 4800 + 1600 * number), 16000)
    return folder


def run(what: str, model: str, tmp_path: Path, *more: str) -> Path:
    flags = [
        "--model",
        model,
        "--seeds",
        "1",
        "--bits",
        "8",
        "4",
        "--threads",
        "1",
        "--size",
        "quartznet5x5",
        "--quiet",
    ]
    cache, out = str(tmp_path / "cache"), tmp_path / "out"
    assert main([what, *flags, "--cells", cache, "--output", str(out), *more]) == 0
    return out


def test_all_parts_run_on_librispeech(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(librispeech(tmp_path / "unpacked"))
    out = run("all", model, tmp_path, "--librispeech", folder)
    table1 = json.loads((out / "table1.json").read_text())["results"]
    assert {(row["manifest"], row["bits"]) for row in table1} == {
        (name, bits) for name in ("dev-clean", "test-other") for bits in ("float32", "W8A8", "W4A8")
    }
    table2 = json.loads((out / "table2.json").read_text())["results"]
    assert set(table2[0]) >= {"wer_synthetic", "wer_random", "wer_real"} and len(table2) == 4
    printed, page = capsys.readouterr().out, (out / "report.html").read_text()
    for heading in (
        "Table 1",
        "Table 2",
        "Figure 2",
        "Figure 3",
        "Quantization error by layer",
        "QuartzNet-15x5",
        "dev-clean",
    ):
        assert heading in printed and heading in page
    assert "a &lt;cpu&gt;" in page and "a <cpu>" not in page
    assert page.count("<svg") == 12 and page.count("data:image/png;base64,") == 3
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)
    assert {path.name for path in out.iterdir()} == {
        *(f"{n}.{e}" for n in ("table1", "table1-paper", "table2", "table2-details") for e in ("md", "csv", "json")),
        *(
            f"{n}.{e}"
            for n in ("figure2", "figure3", "layers", "values", "pareto", "pareto-pairs")
            for e in ("md", "csv", "json")
        ),
        *(f"onnxruntime.{e}" for e in ("md", "csv", "json") if "onnxruntime" in installed_peers()),
        "figure2.svg",
        "figure3.png",
        "report.html",
    }
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    run("all", model, tmp_path, "--librispeech", folder)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before


def test_ranges_and_methods_are_chosen_by_flags(model: str, tmp_path: Path) -> None:
    noise = tmp_path / "noise"
    noise.mkdir()
    manifest = str(save_noise(noise, 2))
    flags = ("--manifest", manifest, "--real", manifest, "--ranges", "mse", "--methods", "none", "--methods", "squant")
    out = run("table2", model, tmp_path, *flags, "--quiet")
    rows = json.loads((out / "table2.json").read_text())["results"]
    bits = [f"W{bits}A8 + mse + {methods}" for bits in (8, 4) for methods in ("plain", "squant")]
    assert [row["bits"] for row in rows] == bits


def test_the_texts_of_the_language_model_are_below_the_spectrograms(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("flashlight.lib.text")
    arpa = tmp_path / "toy.arpa"
    arpa.write_text(
        "\\data\\\nngram 1=4\nngram 2=1\n\n\\1-grams:\n-99\t<s>\t0\n-1\t</s>\n-2\t<unk>\n-0.1\tabba\t0\n\n"
        "\\2-grams:\n-0.1\tabba </s>\n\n\\end\\\n"
    )
    noise = tmp_path / "noise"
    noise.mkdir()
    out = run("figure3", model, tmp_path, "--manifest", str(save_noise(noise, 2)), "--lm", str(arpa))
    texts = json.loads((out / "figure3.json").read_text())["results"]
    assert len(texts) == 3 and all(set(row["language_model"].split()) <= {"abba"} for row in texts)
    assert "with the 3-gram model" in (out / "report.html").read_text()


@pytest.mark.parametrize(
    ("flags", "word"),
    [
        (["--split", "test-clean"], "--librispeech"),
        (["--librispeech", "nowhere"], "nowhere"),
        (["--librispeech", "nowhere", "--manifest", "clean"], "--manifest"),
        (["--rounds", "0"], "--rounds"),
    ],
)
def test_bad_flags_are_refused_in_one_line(flags: list[str], word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["table1", "--quiet", *flags]) == 2
    error = capsys.readouterr().err
    assert word in error and len(error.splitlines()) == 1


def test_bits_that_no_part_could_use_are_refused_by_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pareto", "--quiet", "--bits", "8", "9"]) == 2
    assert "--bits: expected a whole number from 2 to 8, got 9" in capsys.readouterr().err


def row(**changes: object) -> dict[str, object]:
    fields = {
        "model": "m", "manifest": "clean", "bits": "W8A8", "calibration": "synthetic", "runs": 2, "wer": 4.0,
        "wer_deviation": 0.5, "difference": 0.25, "difference_low": 0.1, "difference_high": 0.4,
        "size_bytes": 2_500_000, "bops": 3e9, "product_bops": 0,
    }  # fmt: skip
    return {**fields, **changes}


def test_the_tables_show_the_rows() -> None:
    rows = [
        row(bits="float32", calibration="-", wer_deviation=None, difference=0.0),
        row(),
        row(calibration="random", wer=5.0, difference=1.25),
    ]
    assert error_and_cost_table(rows[:2]).rows == (
        ("m", "float32", "4.00", "", "2.500", "3.0", ""),
        ("m", "W8A8", "4.00 ± 0.50", "+0.25 [+0.10, +0.40] *", "2.500", "3.0", ""),
    )
    table = calibration_table(rows)
    assert table.headings == ("model", "set", "bits", "synthetic", "random")
    assert table.rows == (("m", "clean", "W8A8", "4.00 ± 0.50 (+0.25)", "5.00 ± 0.50 (+1.25)"),)


def test_the_papers_bit_operations_follow_from_its_own_rule() -> None:
    """W8A8 is 1/16 and W6A8 3/64 of float32, but for one slip: QuartzNet's float row."""
    for paper in PAPER_ROWS:
        full = next(r for r in PAPER_ROWS if r.model == paper.model and r.bits == 32)
        expected = full.tera_bops * paper.bits * paper.act_bits / 1024
        assert paper.tera_bops == pytest.approx(expected, rel=0.04 if paper.model.startswith("Quartz") else 0.005)


def test_quartznets_cost_is_the_papers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    from zeroq_research.result_cache import ResultCache

    count = paper_table.count_full_size(ResultCache(tmp_path), "quartznet15x5")
    assert count["macs"] == pytest.approx(9.442e9, rel=1e-3)
    assert count["macs"] * 1024 == pytest.approx(9.48e12, rel=0.025)
    assert count["parameters"] == 18_885_725
