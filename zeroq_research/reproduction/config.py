"""What a reproduction runs on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zeroq_asr.pipelines.evaluate import TestSet
from zeroq_research.result_cache import ResultCache
from zeroq_research.tables import TableSpec


@dataclass(frozen=True)
class ReproductionConfig:
    """What is reproduced: the experiments of `spec` on `sets`, with their results in `cache`.

    Figure 2: sizes are names of published sizes, frames the length of the input (10 ms each), rounds the number of
    timed runs, threads that of every engine. Figure 3: arpa is the file of the n-gram model, None for none.
    """

    spec: TableSpec
    sets: tuple[TestSet, ...]
    cache: ResultCache
    sizes: tuple[str, ...]
    frames: int
    rounds: int
    threads: int
    arpa: Path | None
