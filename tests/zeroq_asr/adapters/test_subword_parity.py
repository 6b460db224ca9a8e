"""A sub-word model written by NeMo: the same log-probabilities, and text as its tokenizer spells it."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nemo.collections.asr", reason="nemo_toolkit is not installed")
import sentencepiece
from support.nemo_models import conformer_config
from support.nemo_parity import worst_difference

from eval.ctc import decode
from zeroq_asr.adapters import from_nemo_object
from zeroq_asr.models.resolve import load_float_model

pytestmark = pytest.mark.nemo

WORDS = ["turn", "on", "the", "kitchen", "light", "and", "play", "music", "for", "seven", "minutes", "please"]


def lines() -> list[str]:
    return [" ".join(np.random.default_rng(n).permutation(WORDS)[:6]) for n in range(300)]


@pytest.fixture(scope="module", params=["unigram", "bpe"])
def reference(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A NeMo model with a tokenizer as NeMo's own script makes it: a vocab.txt in BERT's spelling."""
    logging.getLogger("nemo_logger").setLevel(logging.ERROR)
    from nemo.collections.asr.models import EncDecCTCModelBPE
    from nemo.collections.common.tokenizers.sentencepiece_tokenizer import create_spt_model
    from omegaconf import OmegaConf

    folder = tmp_path_factory.mktemp(request.param)
    (folder / "text").write_text("\n".join(lines()))
    create_spt_model(
        str(folder / "text"),
        40,
        -1,
        False,
        request.param,
        output_dir=str(folder / "tok"),
        train_extremely_large_corpus=False,
    )
    config = conformer_config(16)
    config["decoder"] |= {"num_classes": -1, "vocabulary": []}
    config |= {"tokenizer": {"dir": str(folder / "tok"), "type": "bpe"}}
    return EncDecCTCModelBPE(cfg=OmegaConf.create(config)).eval()


def test_sub_word_model_spells_as_its_tokenizer_does(reference: Any, tmp_path: Path) -> None:
    reference.save_to(str(tmp_path / "model.nemo"))
    ours = load_float_model(str(tmp_path / "model.nemo"))
    tokenizer = reference.tokenizer
    assert isinstance(tokenizer.tokenizer, sentencepiece.SentencePieceProcessor)
    assert len(ours.vocabulary) == tokenizer.vocab_size > 20
    blank = len(ours.vocabulary)
    for line in [*lines()[:50], "kitchen"]:
        ids = tokenizer.text_to_ids(line)
        frames = np.array([token for id in ids for token in (blank, id, id)])
        assert decode(frames, ours.vocabulary) == tokenizer.ids_to_text(ids) == line
    assert from_nemo_object(reference).fingerprint == ours.fingerprint
    assert worst_difference(reference, ours, 80) <= 1e-4
