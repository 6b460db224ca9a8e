"""The tokens of a model: letters, or the pieces of a SentencePiece model that is trained on the corpus texts."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Protocol

from zeroq_asr.files import write_atomically
from zeroq_asr.models.configs.presets import LABELS
from zeroq_recipes.voice_commands.corpus import shard_texts, training_shards


class Tokens(Protocol):
    """Converts text to token ids and back; the blank is the id after the last token."""

    blank: int

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text."""
        ...

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of token ids."""
        ...


class Letters:
    """One token per letter of LABELS."""

    blank = len(LABELS)
    _index: ClassVar[dict[str, int]] = {label: index for index, label in enumerate(LABELS)}

    def encode(self, text: str) -> list[int]:
        """Return one id per letter. Raises KeyError for a character that is not in LABELS."""
        return [self._index[letter] for letter in text]

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the letters, without spaces at the ends."""
        return "".join(LABELS[token] for token in tokens).strip()


class Pieces:
    """The tokens of a SentencePiece model."""

    def __init__(self, folder: Path) -> None:
        import sentencepiece

        self._model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
        self.blank = int(self._model.vocab_size())

    def encode(self, text: str) -> list[int]:
        """Return the ids of the most likely pieces."""
        return [int(token) for token in self._model.encode(text)]

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the concatenated pieces, without spaces at the ends."""
        return str(self._model.decode([int(token) for token in tokens])).strip()


def train_tokenizer(folder: Path, vocabulary: int, seed: int) -> None:
    """Train a BPE model of ``vocabulary`` pieces on the training texts; write its three files into ``folder``.

    The files are tokenizer.model, tokenizer.vocab and vocab.txt. It runs on one thread and on all texts, so the same
    seed gives the same files. The texts have lower-case letters only, so nothing is normalised; this also keeps
    SentencePiece's large Unicode tables out of the file. (The unigram method keeps rare words of so small a language
    whole and spells the others, which gives twice as many tokens, more than there are 80 ms frames.)
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
    # NeMo's vocab.txt has no <unk>, and "##" before pieces that continue a word.
    plain = [piece[1:] if piece.startswith("▁") else f"##{piece}" for piece, _ in pieces[1:]]
    write_atomically(folder / "vocab.txt", "".join(f"{piece}\n" for piece in plain if piece).encode())
    write_atomically(folder / "tokenizer.model", model.getvalue())
