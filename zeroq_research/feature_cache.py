"""Features of test sets that several programs ask for, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from zeroq_asr.frontend.features import features_of, read_utterance
from zeroq_asr.pipelines.evaluate import TestSet, split_into_blocks

if TYPE_CHECKING:
    from zeroq_asr.frontend.features import Features
    from zeroq_asr.frontend.spec import FrontendSpec
    from zeroq_asr.runtime.transcriber import Transcriber

_FEATURE_BYTES = 256 << 20
"""Features are kept up to this many bytes; what does not fit is computed anew for every program."""


class FeatureShelf:
    """The features of test sets, block by block, each computed once for every front end as long as memory allows."""

    def __init__(self, most_bytes: int = _FEATURE_BYTES) -> None:
        self._left = most_bytes
        self._kept: dict[tuple[int, int, FrontendSpec], tuple[TestSet, list[Features]]] = {}

    def block(self, test_set: TestSet, number: int, indices: Sequence[int], spec: FrontendSpec) -> list[Features]:
        """The features of the utterances `indices`, block `number` of the set. Raises FileError."""
        key = (id(test_set), number, spec)  # (the set is kept too, so that no other gets its id)
        if key in self._kept:
            return self._kept[key][1]
        features = []
        for utterance in (test_set.utterances[i] for i in indices):
            wave = read_utterance(utterance, spec.sample_rate_hz)
            features.append(features_of(wave, spec, utterance.audio_path))
        size = sum(mel.nbytes for mel in features)
        if size <= self._left:
            self._left -= size
            self._kept[key] = (test_set, features)
        return features

    def transcribe(self, transcriber: Transcriber, test_set: TestSet) -> list[str]:
        """The texts of a set, in its order; about half a minute of speech at a time. Raises FileError."""
        texts = [""] * len(test_set.utterances)
        for number, block in enumerate(split_into_blocks(test_set.utterances)):
            features = self.block(test_set, number, block, transcriber.frontend)
            lengths = [test_set.utterances[i].duration_s for i in block]
            for i, transcript in zip(block, transcriber.transcribe_features(features, lengths), strict=True):
                texts[i] = transcript.text
        return texts

    def stream(self, test_set: TestSet, spec: FrontendSpec) -> Iterator[Features]:
        """The features [n_mels, T] of every utterance, shortest first. Raises FileError."""
        for number, block in enumerate(split_into_blocks(test_set.utterances)):
            yield from self.block(test_set, number, block, spec)
