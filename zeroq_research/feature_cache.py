"""Features of test sets that several experiments use, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from zeroq_asr.frontend.features import features_of, read_utterance
from zeroq_asr.pipelines.evaluate import TestSet, split_into_blocks

if TYPE_CHECKING:
    from zeroq_asr.frontend.features import Features
    from zeroq_asr.frontend.input_spec import InputSpec
    from zeroq_asr.runtime.transcriber import Transcriber

_MAX_BYTES = 256 << 20


class FeatureCache:
    """The features of test sets by block and front end, each computed once as long as they fit into memory.

    max_bytes: bytes of features that are kept; features beyond that are computed again for every experiment.
    """

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self._bytes_left = max_bytes
        self._blocks: dict[tuple[int, int, InputSpec], tuple[TestSet, list[Features]]] = {}

    def block(self, test_set: TestSet, number: int, indices: Sequence[int], spec: InputSpec) -> list[Features]:
        """Return the features, float32 [C, T] each, of the utterances `indices`: block `number` of the set.

        Raises FileError.
        """
        key = (id(test_set), number, spec)  # the set is stored too, so that no other set can get its id
        if key in self._blocks:
            return self._blocks[key][1]
        features = []
        for utterance in (test_set.utterances[i] for i in indices):
            wave = read_utterance(utterance, spec.sample_rate_hz)
            features.append(features_of(wave, spec, utterance.audio_path))
        size = sum(mel.nbytes for mel in features)
        if size <= self._bytes_left:
            self._bytes_left -= size
            self._blocks[key] = (test_set, features)
        return features

    def transcribe(self, transcriber: Transcriber, test_set: TestSet) -> list[str]:
        """Return the texts of a set in its order; about half a minute of speech at a time. Raises FileError."""
        texts = [""] * len(test_set.utterances)
        for number, block in enumerate(split_into_blocks(test_set.utterances)):
            features = self.block(test_set, number, block, transcriber.frontend)
            lengths = [test_set.utterances[i].duration_s for i in block]
            for i, transcript in zip(block, transcriber.transcribe_features(features, lengths), strict=True):
                texts[i] = transcript.text
        return texts

    def stream(self, test_set: TestSet, spec: InputSpec) -> Iterator[Features]:
        """Yield the features, float32 [C, T], of every utterance, shortest first. Raises FileError."""
        for number, block in enumerate(split_into_blocks(test_set.utterances)):
            yield from self.block(test_set, number, block, spec)
