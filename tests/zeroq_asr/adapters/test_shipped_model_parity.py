"""The shipped models are real NeMo files: NeMo opens them, and reads the same words from real recordings as we do."""

from __future__ import annotations

import logging

import numpy as np
import pytest

pytest.importorskip("nemo.collections.asr", reason="nemo_toolkit is not installed")
import torch

from eval.ctc import ctc_collapse, decode
from eval.manifest import read_manifest
from zeroq_asr.adapters import from_nemo_object
from zeroq_asr.frontend.audio import read_audio
from zeroq_asr.frontend.log_mel import log_mel
from zeroq_asr.models import shipped
from zeroq_asr.models.resolve import load_float_model
from zeroq_asr.runtime.float_executor import FloatExecutor

pytestmark = pytest.mark.nemo

UTTERANCES = 12


@pytest.mark.parametrize("name", shipped.shipped_models())
def test_shipped_model_agrees_with_nemo_from_sound_to_text(name: str) -> None:
    logging.getLogger("nemo_logger").setLevel(logging.ERROR)
    from nemo.collections.asr.models import ASRModel

    path = shipped.model_path(name)
    if not path.exists():
        pytest.skip("the shipped model is not in this tree")
    reference = ASRModel.restore_from(str(path), map_location="cpu").eval()
    ours = load_float_model(name)
    assert from_nemo_object(reference).fingerprint == ours.fingerprint
    executor = FloatExecutor(ours.graph)
    worst_features = worst_log_probs = 0.0
    for utterance in read_manifest(shipped.manifest_path("clean"))[:UTTERANCES]:
        audio = read_audio(utterance.audio_path, ours.frontend.sample_rate_hz)
        with torch.no_grad():
            mel, frames = reference.preprocessor(
                input_signal=torch.from_numpy(audio)[None], length=torch.tensor([audio.size])
            )
            expected, _, _ = reference(
                input_signal=torch.from_numpy(audio)[None], input_signal_length=torch.tensor([audio.size])
            )
            features = log_mel(audio, ours.frontend)
            got = torch.log_softmax(executor.run(features[None])["logits"], dim=1)[0].T
        worst_features = max(worst_features, float(np.abs(mel[0, :, : int(frames)].numpy() - features).max()))
        expected = expected[0, : len(got)]
        worst_log_probs = max(worst_log_probs, float((expected - got).abs().max()))
        words = [decode(rows.argmax(dim=1).numpy(), ours.vocabulary) for rows in (expected, got)]
        assert words[0] == words[1]
        if hasattr(reference, "tokenizer"):
            best = ctc_collapse(got.argmax(dim=1).numpy(), len(ours.vocabulary))
            assert words[1] == reference.tokenizer.ids_to_text(list(best))
    print(f"features differ by {worst_features:.1e}, log-probabilities by {worst_log_probs:.1e}")
    assert worst_features <= 1e-3 and worst_log_probs <= 1e-2
