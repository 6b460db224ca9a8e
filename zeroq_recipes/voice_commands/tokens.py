"""What a model writes: letters, or the pieces of a sentencepiece model trained on the corpus' own texts."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Protocol

from zeroq_asr.files import write_atomically
from zeroq_asr.models.configs.presets import LABELS
from zeroq_recipes.voice_commands.corpus import shard_texts, training_shards


class Tokens(Protocol):
    """Text to token numbers and back; the blank is the number after the last token."""

    blank: int

    def encode(self, text: str) -> list[int]:
        """Token numbers of a text."""
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of token numbers."""
        ...


class Letters:
    """One token per letter of LABELS."""

    blank = len(LABELS)
    _index: ClassVar[dict[str, int]] = {label: index for index, label in enumerate(LABELS)}

    def encode(self, text: str) -> list[int]:
        """Token per letter."""
        return [self._index[letter] for letter in text]

    def decode(self, tokens: Sequence[int]) -> str:
        """The letters, without spaces at the ends."""
        return "".join(LABELS[token] for token in tokens).strip()


class Pieces:
    """The tokens of a sentencepiece model."""

    def __init__(self, folder: Path) -> None:
        import sentencepiece

        self._model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
        self.blank = int(self._model.vocab_size())

    def encode(self, text: str) -> list[int]:
        """The likeliest pieces."""
        return [int(token) for token in self._model.encode(text)]

    def decode(self, tokens: Sequence[int]) -> str:
        """The pieces put together."""
        return str(self._model.decode([int(token) for token in tokens])).strip()


def train_tokenizer(folder: Path, vocabulary: int, seed: int) -> None:
    """A BPE model of ``vocabulary`` pieces on the training texts: tokenizer.model, tokenizer.vocab and vocab.txt.

    One thread and all texts: the same seed gives the same file. The texts are lower-case letters, so nothing is
    normalised, which also keeps sentencepiece's large Unicode tables out of the file. (Its unigram method keeps whole
    rare words of so small a language and spells the rest: twice as many tokens, more than 80 ms frames can carry.)
    """
    import sentencepiece

    texts = (text for spec in training_shards() for text in shard_texts(spec, seed))
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=texts,
        model_writer=model,
        vocab_size=vocabulary,
        model_type="bpe",
        character_coverage=1.0,
        normalization_rule_name="identity",
        bos_id=-1,
        eos_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    pieces = [(processor.id_to_piece(i), processor.get_score(i)) for i in range(processor.vocab_size())]
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "tokenizer.vocab", "".join(f"{piece}\t{score:g}\n" for piece, score in pieces).encode())
    # NeMo's vocab.txt: without <unk>, "##" before pieces that continue a word.
    plain = [piece[1:] if piece.startswith("▁") else f"##{piece}" for piece, _ in pieces[1:]]
    write_atomically(folder / "vocab.txt", "".join(f"{piece}\n" for piece in plain if piece).encode())
    write_atomically(folder / "tokenizer.model", model.getvalue())
