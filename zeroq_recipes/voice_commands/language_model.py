"""Estimate a word 3-gram model of the corpus text and write it as an ARPA file.

    python -m zeroq_recipes.voice_commands.language_model --output zeroq-out/corpus-3gram.arpa

Interpolated Kneser-Ney (Kneser and Ney 1995; Chen and Goodman 1999, section 4.1.6) with one discount D for each order:

    p(w | u v) = max(c(u v w) - D3, 0) / c(u v .) + bow(u v) p(w | v),  bow(u v) = D3 N1+(u v .) / c(u v .)

c is the count at the highest order and for n-grams at the start of a sentence; elsewhere it is N1+(. v w), the number
of distinct words before v w. D = n1 / (n1 + 2 n2), n_k: number of n-grams of the order with count k. Unigrams are
interpolated with 1 / V. Only training sentences are used; the hash of a sentence keeps the test sentences of the
shipped sets out.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from zeroq_asr.config import OUTPUT_DIR
from zeroq_asr.files import write_atomically
from zeroq_recipes.voice_commands.grammar import sentences

ORDER = 3
SENTENCES = 20_000
BEGIN, END, UNKNOWN = "<s>", "</s>", "<unk>"

Gram = tuple[str, ...]
_NEVER = -99.0
"""log10 of "impossible", as SRILM and KenLM write it."""


@dataclass(frozen=True)
class LanguageModel:
    """log10 p(w | history) and log10 backoff of every n-gram seen, by order; `orders[n - 1]` holds the n-grams."""

    orders: tuple[Mapping[Gram, tuple[float, float]], ...]

    def log10(self, word: str, history: Sequence[str]) -> float:
        """Return log10 p(word | history); the history of a whole sentence starts with `BEGIN`."""
        unigrams = self.orders[0]
        gram = tuple(w if (w,) in unigrams else UNKNOWN for w in (*history[-(len(self.orders) - 1) :], word))
        backoff = 0.0
        while gram not in self.orders[len(gram) - 1]:
            backoff += self.orders[len(gram) - 2].get(gram[:-1], (0.0, 0.0))[1]
            gram = gram[1:]
        return backoff + self.orders[len(gram) - 1][gram][0]

    def to_arpa(self) -> str:
        """Return the text of the ARPA file: sorted n-grams, base-10 logarithms with six digits."""
        lines = ["", "\\data\\", *(f"ngram {n}={len(grams)}" for n, grams in enumerate(self.orders, 1))]
        for n, grams in enumerate(self.orders, 1):
            lines += ["", f"\\{n}-grams:"]
            for gram in sorted(grams):
                probability, backoff = grams[gram]
                tail = f"\t{backoff:.6f}" if n < len(self.orders) else ""
                lines.append(f"{probability:.6f}\t{' '.join(gram)}{tail}")
        return "\n".join([*lines, "", "\\end\\", ""])


def estimate(texts: Iterable[str], order: int = ORDER) -> LanguageModel:
    """Estimate the model from sentences whose words are separated by spaces. Raises ValueError if there is no word."""
    counts = _adjusted_counts(texts, order)
    vocabulary = {gram[0] for gram in counts[0]} | {UNKNOWN, END}
    if len(vocabulary) == 2:
        raise ValueError("language model: expected at least one word of text, got none")
    lower: dict[Gram, float] = {(): 1.0 / len(vocabulary)}
    orders: list[dict[Gram, tuple[float, float]]] = []
    for n in range(1, order + 1):
        found, discount = counts[n - 1], _discount(counts[n - 1].values())
        total: dict[Gram, int] = defaultdict(int)
        kinds: dict[Gram, int] = defaultdict(int)
        for gram, count in found.items():
            total[gram[:-1]] += count
            kinds[gram[:-1]] += 1
        weights = {history: discount * kinds[history] / total[history] for history in total}
        if n > 1:  # ARPA stores the backoff of a history with the history, one order lower
            for history, weight in weights.items():
                orders[-1][history] = (orders[-1][history][0], math.log10(weight))
        here = {g: (c - discount) / total[g[:-1]] + weights[g[:-1]] * lower[g[1:]] for g, c in found.items()}
        if n == 1:
            here[(UNKNOWN,)] = weights[()] * lower[()]
        orders.append({gram: (math.log10(p), 0.0) for gram, p in here.items()})
        if n == 1:
            orders[0][(BEGIN,)] = (_NEVER, 0.0)
        lower = here
    return LanguageModel(tuple(orders))


def _adjusted_counts(texts: Iterable[str], order: int) -> list[dict[Gram, int]]:
    """Return c of every n-gram: counts at the highest order and at the start of sentences, else N1+(. gram)."""
    raw: list[dict[Gram, int]] = [defaultdict(int) for _ in range(order)]
    for text in texts:
        words = (BEGIN, *text.split(), END)
        if len(words) > 2:
            for n in range(1, order + 1):
                for start in range(len(words) - n + 1):
                    raw[n - 1][words[start : start + n]] += 1
    adjusted: list[dict[Gram, int]] = [defaultdict(int) for _ in range(order)]
    adjusted[-1] = raw[-1]
    for n in range(1, order):
        for gram in raw[n]:
            adjusted[n - 1][gram[1:]] += 1
        for gram, count in raw[n - 1].items():
            if gram[0] == BEGIN:
                adjusted[n - 1][gram] = count
    adjusted[0].pop((BEGIN,), None)  # it is never predicted
    return adjusted


def _discount(counts: Iterable[int]) -> float:
    """Return n1 / (n1 + 2 n2), clipped to [0.1, 0.9] because tiny texts may have n1 = 0 or n2 = 0."""
    listed = list(counts)
    once, twice = listed.count(1), listed.count(2)
    return min(max(once / (once + 2 * twice), 0.1), 0.9) if once else 0.5


def corpus_model(count: int = SENTENCES, seed: int = 0) -> LanguageModel:
    """Return the model of `count` training sentences of the corpus; the same seed gives the same file."""
    return estimate(islice(sentences("train", seed), count))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m zeroq_recipes.voice_commands.language_model", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--output", default=str(OUTPUT_DIR / "corpus-3gram.arpa"), metavar="FILE", help="ARPA file")
    parser.add_argument("--sentences", type=int, default=SENTENCES, metavar="N", help="default: %(default)s")
    arguments = parser.parse_args(argv)
    write_atomically(Path(arguments.output), corpus_model(arguments.sentences).to_arpa().encode())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
