"""Error rate against file size and against bit operations, for uniform bits and for bits per layer at the same cost."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from eval.compare import compare_methods
from zeroq_asr.config import MIXED_BUDGETS, PARETO_BITS, SEED, Budget
from zeroq_asr.models.resolve import load_float_model
from zeroq_asr.pipelines.evaluate import TestSet
from zeroq_asr.pipelines.mixed_precision import with_bits
from zeroq_research.bit_search import BitAllocationSearch
from zeroq_research.experiments import ExperimentConfig, ExperimentRunner
from zeroq_research.feature_cache import FeatureCache
from zeroq_research.progress import OnStep, ignore_step
from zeroq_research.report.page import ReportSection, paragraph
from zeroq_research.report.pareto import pairs_table, pareto_plots, pareto_table
from zeroq_research.reproduction.config import ReproductionConfig
from zeroq_research.result_cache import Json
from zeroq_research.tables import Row, compare_results

Within = Literal["bytes", "BOPs"]
_COST_KEYS: Mapping[Within, str] = {"bytes": "size_bytes", "BOPs": "bops"}
_COMPARED = ("runs", "wer", "wer_deviation", "difference", "difference_low", "difference_high")
_INTRODUCTION = (
    "Mixed: every layer has its own weight bits, chosen on synthetic data for the least divergence of the CTC "
    "posteriors within the bytes of the file, or within the bit operations, of a uniform model."
)


@dataclass(frozen=True)
class Allocation:
    """A kind of bit allocation.

    within None: `bits` everywhere. Else bits per layer, within the bytes or the BOPs of the model with `bits`
    everywhere. bits None: the float model.
    """

    bits: int | None = None
    within: Within | None = None

    @property
    def name(self) -> str:
        """Return "float", "uniform" or e.g. "mixed, bytes of W4"."""
        if self.bits is None:
            return "float"
        return "uniform" if self.within is None else f"mixed, {self.within} of W{self.bits}"


def _uniform_allocations() -> list[Allocation]:
    return [Allocation(bits) for bits in PARETO_BITS]


def _mixed_allocations() -> list[Allocation]:
    return [Allocation(bits, within) for within in _COST_KEYS for bits in MIXED_BUDGETS]


def pareto(config: ReproductionConfig, on_step: OnStep) -> ReportSection:
    """Return uniform and mixed allocations of every model on every set, with synthetic calibration."""
    rows: list[Row] = []
    pairs: list[Row] = []
    choices: list[Row] = []
    for runner in _runners(config, on_step):
        runner.run()
        rows += runner.rows()
        pairs += runner.pairs()
        choices += runner.choices()
    front, compared = pareto_table(rows), pairs_table(pairs)
    body = paragraph(_INTRODUCTION) + pareto_plots(rows, choices) + front.to_html() + compared.to_html()
    return ReportSection("Bits for each layer", body, {"pareto": front, "pareto-pairs": compared})


def count_pareto(config: ReproductionConfig, shared: bool) -> int:
    """Return the number of steps that `pareto` still has to do.

    shared: do not count the steps of experiments that a table has too.
    """
    counted = replace(config.spec, calibrations=("synthetic",)).experiments if shared else []
    return sum(runner.count_steps(counted) for runner in _runners(config))


def _runners(config: ReproductionConfig, on_step: OnStep = ignore_step) -> Iterator[_ParetoRunner]:
    """Yield a runner per model; one model is in memory at a time."""
    features = FeatureCache()
    for reference in config.spec.models:
        model = load_float_model(reference)
        yield _ParetoRunner(config, ExperimentRunner(config.cache, model, config.spec.settings, features, on_step))


class _ParetoRunner:
    """Scores the uniform and the mixed allocations of one model, each with every seed."""

    def __init__(self, config: ReproductionConfig, runner: ExperimentRunner) -> None:
        self._sets, self._runner, self._model = config.sets, runner, runner.model.name
        self._config = replace(config.spec.config, layer_bits=())
        self._searches = {
            seed: BitAllocationSearch(runner, self._experiment(max(PARETO_BITS), seed), config.sets[0])
            for seed in config.spec.seeds
        }
        self._results: dict[tuple[Allocation, int, str], Json] = {}
        self._bits: dict[tuple[Allocation, int], Mapping[str, int]] = {}
        self._facts: dict[tuple[Allocation, int], Mapping[str, float]] = {}

    def _experiment(self, bits: int | Mapping[str, int], seed: int) -> ExperimentConfig:
        if isinstance(bits, int):
            return ExperimentConfig(replace(self._config, bits=bits), "synthetic", seed)
        return ExperimentConfig(with_bits(self._config, bits), "synthetic", seed)

    # ---- running --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Score everything, seed by seed: so a seed is calibrated once. Raises ZeroqError, EvalError."""
        self._score(Allocation(), 0, ExperimentConfig())
        uniform, mixed = _uniform_allocations(), _mixed_allocations()
        for seed, search in self._searches.items():
            for kind in uniform:
                assert kind.bits is not None
                self._bits[kind, seed] = dict.fromkeys(search.layer_costs().layers, kind.bits)
                self._score(kind, seed, self._experiment(kind.bits, seed))
            for kind in mixed:
                same_cost = self._results[Allocation(kind.bits), seed, self._sets[0].name]
                self._bits[kind, seed] = search.choose(_budget(kind, same_cost))
                self._score(kind, seed, self._experiment(self._bits[kind, seed], seed))
            for kind in (*uniform, *mixed):
                self._facts[kind, seed] = search.describe(self._bits[kind, seed])
            search.close()

    def _score(self, kind: Allocation, seed: int, experiment: ExperimentConfig) -> None:
        for test_set in self._sets:
            self._results[kind, seed, test_set.name] = self._runner.score(experiment, test_set)

    def count_steps(self, counted: Sequence[ExperimentConfig]) -> int:
        """Return the number of steps still to be done, without those of `counted`.

        A mixed allocation whose bits are not known yet has not been scored.
        """
        runner, sets = self._runner, self._sets
        uniform = [self._experiment(bits, seed) for seed in self._searches for bits in PARETO_BITS]
        every = list(dict.fromkeys([*counted, ExperimentConfig(), *uniform]))
        steps = runner.count_steps(every, sets) - runner.count_steps(counted, sets)
        for seed, search in self._searches.items():
            steps += search.count_steps()
            for kind in _mixed_allocations():
                bits = self._find_bits(kind, seed)
                steps += len(sets) if bits is None else runner.count_steps([self._experiment(bits, seed)], sets)
        return steps

    def _find_bits(self, kind: Allocation, seed: int) -> dict[str, int] | None:
        """Return the cached bits of a mixed allocation, or None."""
        assert kind.bits is not None
        inputs = self._runner.inputs(self._experiment(kind.bits, seed), self._sets[0])
        same_cost = self._runner.cache.find("score", inputs)
        return None if same_cost is None else self._searches[seed].find(_budget(kind, same_cost))

    # ---- rows -----------------------------------------------------------------------------------------------------

    def rows(self) -> list[Row]:
        """Return a row per set and allocation: means over the seeds, bytes and BOPs of the most expensive seed."""
        facts = {kind: self._mean_facts(kind) for kind in (*_uniform_allocations(), *_mixed_allocations())}
        rows = []
        for test_set in self._sets:
            baseline = self._results[Allocation(), 0, test_set.name]
            rows.append(self._row(Allocation(), test_set, [baseline], {"bits": "float32"}))
            rows += [self._row(kind, test_set, self._runs(kind, test_set), facts[kind]) for kind in facts]
        return rows

    def _row(self, kind: Allocation, test_set: TestSet, runs: Sequence[Json], facts: Row) -> Row:
        compared = compare_results(runs, self._results[Allocation(), 0, test_set.name])
        return {
            "model": self._model,
            "manifest": test_set.name,
            "kind": kind.name,
            "within": kind.within,
            **facts,
            **{key: compared[key] for key in _COMPARED},
            **{key: max(run[key] for run in runs) for key in _COST_KEYS.values()},
        }

    def _runs(self, kind: Allocation, test_set: TestSet) -> list[Json]:
        return [self._results[kind, seed, test_set.name] for seed in self._searches]

    def _mean_facts(self, kind: Allocation) -> Row:
        """Return the bits as text and the means over the seeds of `BitAllocationSearch.describe`."""
        found = [self._facts[kind, seed] for seed in self._searches]
        mean = {key: statistics.fmean(one[key] for one in found) for key in found[0]}
        bits = f"{mean['mean_bits']:.1f}" if kind.within else f"{kind.bits}"
        return {"bits": f"W{bits}A{self._config.act_bits}", **mean}

    def pairs(self) -> list[Row]:
        """Return a row per set and mixed allocation: its error rate against uniform bits of the same cost."""
        return [self._pair(kind, test_set) for test_set in self._sets for kind in _mixed_allocations()]

    def _pair(self, kind: Allocation, test_set: TestSet) -> Row:
        assert kind.within is not None
        uniform, mixed = self._runs(Allocation(kind.bits), test_set), self._runs(kind, test_set)
        texts = [[run["hypotheses"] for run in runs] for runs in (uniform, mixed)]
        pair = compare_methods(uniform[0]["references"], texts[0], texts[1], SEED)
        key = _COST_KEYS[kind.within]
        return {
            "model": self._model,
            "manifest": test_set.name,
            "within": kind.within,
            "goal": kind.bits,
            "budget": min(run[key] for run in uniform),
            "spent": max(run[key] for run in mixed),
            "wer_uniform": statistics.fmean(run["wer"] for run in uniform),
            "wer_mixed": statistics.fmean(run["wer"] for run in mixed),
            "difference": pair.difference,
            "difference_low": pair.low,
            "difference_high": pair.high,
        }

    def choices(self) -> list[Row]:
        """Return a row per mixed allocation: the bits of every layer in order of execution, first seed."""
        seed = next(iter(self._searches))
        layers = tuple(self._bits[_uniform_allocations()[0], seed])
        return [
            {
                "model": self._model,
                "within": kind.within,
                "goal": kind.bits,
                "bits": self._bits[kind, seed],
                "layers": layers,
            }
            for kind in _mixed_allocations()
        ]


def _budget(kind: Allocation, same_cost: Json) -> Budget:
    """Return the cost of the uniform model that a mixed allocation may have."""
    if kind.within == "bytes":
        return Budget(megabytes=same_cost["size_bytes"] / 1e6)
    return Budget(gbop=same_cost["bops"] / 1e9)
