from __future__ import annotations

import signal
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pytest
from support.toy import toy_graph
from support.toy_conformer import toy_conformer
from support.toy_models import save_noise

from eval.types import Utterance
from zeroq_asr.analyses.cost import count_costs, count_products
from zeroq_asr.frontend.spec import FrontendSpec
from zeroq_research.benchmark.inputs import choose_utterances, make_inputs, measure_work, step_macs
from zeroq_research.benchmark.run import BenchmarkPlan, _call_isolated


def utterances(count: int) -> list[Utterance]:
    durations = np.random.default_rng(1).uniform(1, 30, count)
    return [Utterance(Path(f"{i}.wav"), float(duration), "") for i, duration in enumerate(durations)]


@pytest.mark.parametrize(("percent", "count"), [(0.001, 1), (1, 3), (10, 25), (33, 83), (100, 250)])
def test_a_sample_of_the_utterances_has_their_distribution_of_lengths(percent: float, count: int) -> None:
    everything = utterances(250)
    chosen = choose_utterances(everything, percent, 0)
    assert len(chosen) == count and [everything.index(u) for u in chosen] == sorted(everything.index(u) for u in chosen)
    by_length = sorted(everything, key=lambda u: u.duration_s)
    parts = [by_length[len(by_length) * i // count : len(by_length) * (i + 1) // count] for i in range(count)]
    assert all(len(set(part) & set(chosen)) == 1 for part in parts)


def test_the_choice_is_seeded() -> None:
    everything = utterances(100)
    assert choose_utterances(everything, 10, 3) == choose_utterances(everything, 10, 3)
    assert choose_utterances(everything, 10, 3) != choose_utterances(everything, 10, 4)
    assert choose_utterances(everything, 100, 3) == everything


def test_noise_and_speech_have_their_duration(tmp_path: Path) -> None:
    spec = FrontendSpec(n_mels=6)
    (mel,), seconds = make_inputs(spec, 3, 200, None, 100, 0)
    assert mel.shape == (3, 6, 200) and seconds == pytest.approx(6.0)
    mels, seconds = make_inputs(spec, 1, 1000, str(save_noise(tmp_path, 4)), 100, 0)
    assert [mel.shape[:2] for mel in mels] == [(1, 6)] * 4 and seconds == pytest.approx(0.3 + 0.4 + 0.5 + 0.6)
    assert sorted(mel.shape[2] for mel in mels) == [spec.frames(16000 * tenths // 10) for tenths in (3, 4, 5, 6)]


def test_work_is_convolutions_and_the_products_of_attention() -> None:
    mels = [np.zeros((2, 8, 60), np.float32), np.zeros((1, 8, 90), np.float32)]
    graph = toy_conformer()
    expected = 0
    for rows, frames in ((2, 60), (1, 90)):
        expected += rows * sum(cost.macs for cost in count_costs(graph, frames).values())
        expected += rows * sum(cost.macs for cost in count_products(graph, frames).values())
    work = measure_work(graph, mels, 1.5)
    assert (work.utterances, work.audio_s, work.macs) == (3, 1.5, expected)
    attention = next(node.output for node in graph.nodes if node.op == "attention")
    assert step_macs(graph, 60)[attention] == sum(
        cost.macs for name, cost in count_products(graph, 60).items() if name.startswith(attention)
    )
    assert sum(step_macs(toy_graph(), 60).values()) == sum(c.macs for c in count_costs(toy_graph(), 60).values())


def test_a_preparing_process_ends_silently_at_an_interrupt(capfd: pytest.CaptureFixture[str]) -> None:
    plan = BenchmarkPlan("m", frames=8, batch=1, threads=(1,), rounds=1, low_memory=True)
    with pytest.raises(BrokenProcessPool):  # Ctrl-C reaches it too
        _call_isolated(plan, signal.raise_signal, signal.SIGINT)
    assert capfd.readouterr().err == ""
