"""Mixed against uniform on a toy model: budgets kept, steps counted, nothing computed twice, everything on the page."""

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
from zeroq_research import bit_search as cells_widths
from zeroq_research.experiments import BenchSettings
from zeroq_research.reproduction import pareto as reproduce_pareto
from zeroq_research.reproduction.pareto import _Kind, count_pareto, pareto
from zeroq_research.reproduction.sections import Part, Study, write_parts
from zeroq_research.result_cache import CellStore
from zeroq_research.tables import Plan


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with small_bench():
        yield


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uniform at 4 and 3 bits, mixed within the bytes and the bit operations of 3 bits; no layer above 4."""
    monkeypatch.setattr(reproduce_pareto, "PARETO_BITS", (4, 3))
    monkeypatch.setattr(reproduce_pareto, "_WHOLE", 4)
    monkeypatch.setattr(reproduce_pareto, "_UNIFORM", (_Kind(4), _Kind(3)))
    monkeypatch.setattr(reproduce_pareto, "_MIXED", (_Kind(3, "bytes"), _Kind(3, "BOPs")))


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    folder = tmp_path_factory.mktemp("pareto")
    (folder / "toy.nemo").write_bytes(nemo_bytes())
    speech = read_test_set(str(save_noise(folder, 3)))
    settings = BenchSettings("fast", speech, 1, "cpu")
    plan = Plan((str(folder / "toy.nemo"),), (4,), (QuantizeConfig(),), ("synthetic",), (0, 1), settings)
    return Study(plan, (speech,), CellStore(folder / "cells"), (), 1, 1, 1, None)


def test_mixed_models_keep_the_cost_of_uniform_ones(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    expected = count_pareto(study, shared=False)
    part = pareto(study, told.append)
    same = expected - len(told)  # two budgets may lead to the same bits: one program then serves both
    assert 0 <= same <= len(study.plan.seeds) * len(study.sets) < len(told)
    pairs, rows = (part.sheets[name].records for name in ("pareto-pairs", "pareto"))
    assert [(row["within"], row["goal"]) for row in pairs] == [("bytes", 3), ("BOPs", 3)]
    assert all(row["spent"] <= row["budget"] for row in pairs)
    kinds = [row["kind"] for row in rows]
    assert kinds == ["float", "uniform", "uniform", "mixed, bytes of W3", "mixed, BOPs of W3"]
    uniform, small, fast = rows[2:]
    assert uniform["bits"] == "W3A8" and uniform["mean_bits"] == 3.0 and uniform["runs"] == 2
    assert small["size_bytes"] <= uniform["size_bytes"] and fast["bops"] <= uniform["bops"]
    assert fast["summed"] <= uniform["summed"]  # (a toy's header costs more than it saves: no such law for its bytes)
    _looks_right(part)
    _is_not_computed_again(study, part, monkeypatch)


def _looks_right(part: Part) -> None:
    assert part.body.count("<svg") == 3 and "mixed within bytes" in part.body and "bits by depth" in part.body
    assert "| toy |" in part.sheets["pareto-pairs"].to_markdown().replace(".nemo", "")
    assert "KL summed" in part.sheets["pareto"].to_text()


def _is_not_computed_again(study: Study, part: Part, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("quantized again")

    monkeypatch.setattr(cells_widths, "Probe", never)
    assert count_pareto(study, shared=False) == 0
    assert pareto(study, lambda _: pytest.fail("a step")) == part


def test_the_part_is_written_like_the_others(study: Study, tmp_path: Path) -> None:
    part = pareto(study, lambda _: None)
    names = {path.name for path in write_parts([part], tmp_path, "words")}
    assert names == {f"{n}.{e}" for n in ("pareto", "pareto-pairs") for e in ("md", "csv", "json")} | {"report.html"}
    document = json.loads((tmp_path / "pareto.json").read_text())
    assert document["results"][3]["together"] > 0
    assert count_pareto(study, shared=True) == 0
