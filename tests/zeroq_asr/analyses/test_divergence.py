"""The divergence of posteriors under rounding: zero without it, larger with fewer bits, equal to its formula."""

from __future__ import annotations

import numpy as np
import pytest
from support.toy import toy_graph, toy_mel

from zeroq_asr.analyses.divergence import log_posteriors, measure_divergence
from zeroq_asr.calibrate.run import calibrate
from zeroq_asr.config import QuantizeConfig
from zeroq_asr.passes.assign_qparams import assign_qparams
from zeroq_asr.passes.canonicalize import prepare
from zeroq_asr.runtime.float_executor import FloatExecutor


def test_fewer_bits_move_the_posteriors_further() -> None:
    executor, mel = FloatExecutor(prepare(toy_graph())), toy_mel(0, 2, 60)
    utterances = [mel[0], mel[1, :, :31]]
    np.testing.assert_allclose(np.exp(log_posteriors(executor, mel[0])).sum(axis=0), 1, rtol=1e-9)
    assert measure_divergence(executor, {}, utterances) == 0
    found = {}
    for bits in (8, 4):
        config = QuantizeConfig(act_bits=bits)
        codes = assign_qparams(executor.graph, calibrate(executor, [mel], config, "test"), config)
        found[bits] = measure_divergence(executor, codes, utterances)
        known = [log_posteriors(executor, utterance) for utterance in utterances]
        assert measure_divergence(executor, codes, utterances, known) == found[bits]
    assert 0 < 20 * found[8] < found[4]
    p, q = (log_posteriors(executor, utterances[1], codes if rounded else None) for rounded in (False, True))
    q0, p0 = (log_posteriors(executor, utterances[0], c) for c in (codes, None))
    total = (np.exp(p) * (p - q)).sum() + (np.exp(p0) * (p0 - q0)).sum()
    assert found[4] == pytest.approx(total / (p.shape[1] + p0.shape[1]))
