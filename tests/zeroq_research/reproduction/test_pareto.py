"""Mixed against uniform bits on a toy model: budgets kept, steps counted, nothing computed twice, all on the page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.nemo_files import nemo_bytes
from support.small_bench import small_bench
from support.toy_models import save_noise

from zeroq_asr.config import QuantizeConfig
from zeroq_asr.pipelines.evaluate import read_test_set
from zeroq_research import bit_search
from zeroq_research.experiments import ExperimentSettings
from zeroq_research.report.page import ReportSection
from zeroq_research.reproduction import pareto as part
from zeroq_research.reproduction.config import ReproductionConfig
from zeroq_research.reproduction.pareto import count_pareto, pareto
from zeroq_research.reproduction.report import write_report
from zeroq_research.result_cache import ResultCache
from zeroq_research.tables import TableSpec


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with small_bench():
        yield


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uniform at 4 and 3 bits, mixed within the bytes and the bit operations of 3 bits; no layer above 4."""
    monkeypatch.setattr(part, "PARETO_BITS", (4, 3))
    monkeypatch.setattr(part, "MIXED_BUDGETS", (3,))


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> ReproductionConfig:
    folder = tmp_path_factory.mktemp("pareto")
    (folder / "toy.nemo").write_bytes(nemo_bytes())
    speech = read_test_set(str(save_noise(folder, 3)))
    settings = ExperimentSettings("fast", speech, 1, "cpu")
    spec = TableSpec((str(folder / "toy.nemo"),), (4,), (QuantizeConfig(),), ("synthetic",), (0, 1), settings)
    return ReproductionConfig(spec, (speech,), ResultCache(folder / "cache"), (), 1, 1, 1, None)


def test_mixed_models_keep_the_cost_of_uniform_ones(
    config: ReproductionConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []
    expected = count_pareto(config, shared=False)
    section = pareto(config, notes.append)
    same = expected - len(notes)  # two budgets may lead to the same bits: one experiment then serves both
    assert 0 <= same <= len(config.spec.seeds) * len(config.sets) < len(notes)
    pairs, rows = (section.tables[name].records for name in ("pareto-pairs", "pareto"))
    assert [(row["within"], row["goal"]) for row in pairs] == [("bytes", 3), ("BOPs", 3)]
    assert all(row["spent"] <= row["budget"] for row in pairs)
    kinds = [row["kind"] for row in rows]
    assert kinds == ["float", "uniform", "uniform", "mixed, bytes of W3", "mixed, BOPs of W3"]
    uniform, small, fast = rows[2:]
    assert uniform["bits"] == "W3A8" and uniform["mean_bits"] == 3.0 and uniform["runs"] == 2
    assert small["size_bytes"] <= uniform["size_bytes"] and fast["bops"] <= uniform["bops"]
    assert fast["summed"] <= uniform["summed"]  # not so within bytes: a toy's file header costs more than it saves
    _check_section(section)
    _check_nothing_is_computed_again(config, section, monkeypatch)


def _check_section(section: ReportSection) -> None:
    assert section.body.count("<svg") == 3 and "mixed within bytes" in section.body and "bits by depth" in section.body
    assert "| toy |" in section.tables["pareto-pairs"].to_markdown().replace(".nemo", "")
    assert "KL summed" in section.tables["pareto"].to_text()


def _check_nothing_is_computed_again(
    config: ReproductionConfig, section: ReportSection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("quantized again")

    monkeypatch.setattr(bit_search, "Probe", never)
    assert count_pareto(config, shared=False) == 0
    assert pareto(config, lambda _: pytest.fail("a step")) == section


def test_the_section_is_written_like_the_others(config: ReproductionConfig, tmp_path: Path) -> None:
    section = pareto(config, lambda _: None)
    names = {path.name for path in write_report([section], tmp_path, "introduction")}
    assert names == {f"{n}.{e}" for n in ("pareto", "pareto-pairs") for e in ("md", "csv", "json")} | {"report.html"}
    document = json.loads((tmp_path / "pareto.json").read_text())
    assert document["results"][3]["together"] > 0
    assert count_pareto(config, shared=True) == 0
