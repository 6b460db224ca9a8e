"""Error rate against bytes and against bit operations: the same bits everywhere, and bits for each layer that cost as
much. Divergences, choices and scores are cells."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from eval.compare import compare_methods
from zeroq_asr.config import MIXED_BUDGETS, PARETO_BITS, SEED, Budget
from zeroq_asr.models.resolve import load_float_model
from zeroq_asr.pipelines.evaluate import TestSet
from zeroq_asr.pipelines.mixed_precision import with_bits
from zeroq_research.bit_search import Chooser
from zeroq_research.experiments import Bench, Program
from zeroq_research.feature_cache import FeatureShelf
from zeroq_research.report.page import paragraph
from zeroq_research.report.pareto import pairs_sheet, pareto_plots, pareto_sheet
from zeroq_research.reproduction.sections import OnStep, Part, Study
from zeroq_research.result_cache import Json
from zeroq_research.tables import Row, compare_cells

if TYPE_CHECKING:
    from zeroq_asr.adapters import FloatModel

Within = Literal["bytes", "BOPs"]
_KEYS: Mapping[Within, str] = {"bytes": "size_bytes", "BOPs": "bops"}
_COMPARED = ("runs", "wer", "wer_deviation", "difference", "difference_low", "difference_high")
_WHOLE = max(PARETO_BITS)
_WORDS = (
    "Mixed: every layer has weight bits of its own, chosen on synthetic data for the least divergence of the CTC "
    "posteriors within the bytes of the file, or within the bit operations, of a uniform model."
)


@dataclass(frozen=True)
class _Kind:
    """Uniform at `bits`, or mixed within the bytes or BOPs of that; bits None: the float model."""

    bits: int | None = None
    within: Within | None = None

    @property
    def name(self) -> str:
        if self.bits is None:
            return "float"
        return "uniform" if self.within is None else f"mixed, {self.within} of W{self.bits}"


_UNIFORM = tuple(_Kind(bits) for bits in PARETO_BITS)
_MIXED = tuple(_Kind(bits, within) for within in _KEYS for bits in MIXED_BUDGETS)


def pareto(study: Study, on_step: OnStep) -> Part:
    """Uniform and mixed programs of every model of the plan, synthetic calibration, on every set."""
    rows: list[Row] = []
    pairs: list[Row] = []
    choices: list[Row] = []
    for front in _fronts(study):
        front.fill(on_step)
        rows += front.rows()
        pairs += front.pairs()
        choices += front.choices()
    sheets = {"pareto": pareto_sheet(rows), "pareto-pairs": pairs_sheet(pairs)}
    tables = "".join(sheet.to_html() for sheet in sheets.values())
    body = paragraph(_WORDS) + pareto_plots(rows, choices) + tables
    return Part("pareto", "Bits for each layer", body, sheets, {})


def count_pareto(study: Study, shared: bool) -> int:
    """Steps of `pareto` still to be done; shared: without those of the programs that a table has too."""
    programs = replace(study.plan, calibrations=("synthetic",)).programs if shared else []
    return sum(front.count(programs) for front in _fronts(study))


def _fronts(study: Study) -> Iterator[_Front]:
    """One model in memory at a time."""
    shelf = FeatureShelf()
    for reference in study.plan.models:
        model = load_float_model(reference)
        yield _Front(study, model, Bench(study.store, model, study.plan.settings, shelf))


class _Front:
    """The uniform and the mixed programs of one model, by kind, one for each seed."""

    def __init__(self, study: Study, model: FloatModel, bench: Bench) -> None:
        self._study, self._model, self._bench = study, model, bench
        self._config = replace(study.plan.config, layer_bits=())
        self._choosers = {
            seed: Chooser(study.store, model, bench, study.plan.settings, self._uniform(_WHOLE, seed), study.sets[0])
            for seed in study.plan.seeds
        }
        self._cells: dict[tuple[_Kind, int, str], Json] = {}
        self._bits: dict[tuple[_Kind, int], Mapping[str, int]] = {}
        self._facts: dict[tuple[_Kind, int], Mapping[str, float]] = {}

    def _uniform(self, bits: int, seed: int) -> Program:
        return Program(replace(self._config, bits=bits), "synthetic", seed)

    def fill(self, on_step: OnStep) -> None:
        """Score everything. One seed after the other: its calibration is done once."""
        self._score(_Kind(), 0, Program(), on_step)
        for seed, chooser in self._choosers.items():
            for kind in _UNIFORM:
                assert kind.bits is not None
                self._bits[kind, seed] = dict.fromkeys(chooser.table(on_step).layers, kind.bits)
                self._score(kind, seed, self._uniform(kind.bits, seed), on_step)
            for kind in _MIXED:
                bits = chooser.choose(self._budget(kind, seed), on_step)
                self._bits[kind, seed] = bits
                self._score(kind, seed, Program(with_bits(self._config, bits), "synthetic", seed), on_step)
            for kind in (*_UNIFORM, *_MIXED):
                self._facts[kind, seed] = chooser.describe(self._bits[kind, seed], on_step)
            chooser.close()

    def _score(self, kind: _Kind, seed: int, program: Program, on_step: OnStep) -> None:
        for test_set in self._study.sets:
            self._cells[kind, seed, test_set.name] = self._bench.score(program, test_set, on_step)

    def _budget(self, kind: _Kind, seed: int) -> Budget:
        return _budget(kind, self._cells[_Kind(kind.bits), seed, self._study.sets[0].name])

    def _runs(self, kind: _Kind, test_set: TestSet) -> list[Json]:
        return [self._cells[kind, seed, test_set.name] for seed in self._choosers]

    def rows(self) -> list[Row]:
        """One row per set and kind, means over the seeds; bytes and bit operations of the most expensive one."""
        told = {kind: self._told(kind) for kind in (*_UNIFORM, *_MIXED)}
        rows = []
        for test_set in self._study.sets:
            first = self._cells[_Kind(), 0, test_set.name]
            rows.append(self._row(_Kind(), test_set, [first], {"bits": "float32"}))
            rows += [self._row(kind, test_set, self._runs(kind, test_set), told[kind]) for kind in told]
        return rows

    def _row(self, kind: _Kind, test_set: TestSet, cells: Sequence[Json], told: Row) -> Row:
        baseline = self._cells[_Kind(), 0, test_set.name]
        compared = compare_cells(cells, baseline)
        return {
            "model": self._model.name,
            "manifest": test_set.name,
            "kind": kind.name,
            "within": kind.within,
            **told,
            **{key: compared[key] for key in _COMPARED},
            **{key: max(cell[key] for cell in cells) for key in _KEYS.values()},
        }

    def _told(self, kind: _Kind) -> Row:
        """Bits of the weights, and the divergence on the calibration data: summed over layers, and of all together."""
        found = [self._facts[kind, seed] for seed in self._choosers]
        mean = {key: statistics.fmean(one[key] for one in found) for key in found[0]}
        bits = f"{mean['mean_bits']:.1f}" if kind.within else f"{kind.bits}"
        return {"bits": f"W{bits}A{self._config.act_bits}", **mean}

    def pairs(self) -> list[Row]:
        """Mixed against uniform of the same budget: the difference of error rates, seed by seed."""
        rows = []
        for test_set in self._study.sets:
            for kind in _MIXED:
                assert kind.within is not None
                uniform, mixed = self._runs(_Kind(kind.bits), test_set), self._runs(kind, test_set)
                texts = [[cell["hypotheses"] for cell in cells] for cells in (uniform, mixed)]
                pair = compare_methods(uniform[0]["references"], texts[0], texts[1], SEED)
                key = _KEYS[kind.within]
                rows.append(
                    {
                        "model": self._model.name,
                        "manifest": test_set.name,
                        "within": kind.within,
                        "goal": kind.bits,
                        "budget": min(cell[key] for cell in uniform),
                        "spent": max(cell[key] for cell in mixed),
                        "wer_uniform": statistics.fmean(cell["wer"] for cell in uniform),
                        "wer_mixed": statistics.fmean(cell["wer"] for cell in mixed),
                        "difference": pair.difference,
                        "difference_low": pair.low,
                        "difference_high": pair.high,
                    }
                )
        return rows

    def choices(self) -> list[Row]:
        """The bits of every layer in the order of execution, first seed."""
        seed = next(iter(self._choosers))
        layers = tuple(self._bits[_UNIFORM[0], seed])
        return [
            {
                "model": self._model.name,
                "within": k.within,
                "goal": k.bits,
                "bits": self._bits[k, seed],
                "layers": layers,
            }
            for k in _MIXED
        ]

    def count(self, counted: Sequence[Program]) -> int:
        """Steps still to be done, without those of `counted`; a mixed program of unknown bits is not done."""
        uniform = [self._uniform(bits, seed) for seed in self._choosers for bits in PARETO_BITS]
        every = list(dict.fromkeys([*counted, Program(), *uniform]))
        steps = self._bench.count_steps(every, self._study.sets) - self._bench.count_steps(counted, self._study.sets)
        for seed, chooser in self._choosers.items():
            steps += chooser.count_steps()
            for kind in _MIXED:
                assert kind.bits is not None
                inputs = self._bench.inputs(self._uniform(kind.bits, seed), self._study.sets[0])
                cell = self._study.store.find("score", inputs)
                bits = None if cell is None else chooser.find(_budget(kind, cell))
                if bits is None:
                    steps += len(self._study.sets)
                else:
                    program = Program(with_bits(self._config, bits), "synthetic", seed)
                    steps += self._bench.count_steps([program], self._study.sets)
        return steps


def _budget(kind: _Kind, cell: Json) -> Budget:
    if kind.within == "bytes":
        return Budget(megabytes=cell["size_bytes"] / 1e6)
    return Budget(gbop=cell["bops"] / 1e9)
