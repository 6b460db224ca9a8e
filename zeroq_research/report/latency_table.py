"""Latencies and profiles as text tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from zeroq_asr.report.text_table import align

Row = Mapping[str, Any]

_WHOLE_CORE = 0.9
"""Below this ratio of CPU to wall time the engine shared its core with another process."""
_COLUMNS: dict[str, Callable[[Row], str]] = {
    "engine": lambda row: row["engine"],
    "threads": lambda row: str(row["threads"]),
    "median ms": lambda row: f"{row['median_ms']:.1f}",
    "min ms": lambda row: f"{row['min_ms']:.1f}",
    "ms each": lambda row: f"{row['per_utterance_ms']:.1f}",
    "p50 ms": lambda row: f"{np.percentile(row['utterance_ms'], 50):.1f}",
    "p95 ms": lambda row: f"{np.percentile(row['utterance_ms'], 95):.1f}",
    "RTF": lambda row: f"{row['rtf']:.5f}",
    "x ours": lambda row: f"{row['ratio']:.2f}",
    "[quartiles]": lambda row: f"[{row['ratio_low']:.2f}, {row['ratio_high']:.2f}]",
    "GMAC/s": lambda row: f"{row['gmac_per_s']:.0f}",
    "% of limit": lambda row: _percent(row["limit_share"]),
    "CPU ms": lambda row: f"{row['cpu_ms']:.1f}",
    "CPU/wall": lambda row: f"{row['cpu_per_wall']:.2f}",
    "RSS MB": lambda row: f"{row['rss_mb']:.0f}",
    "file MB": lambda row: f"{row['file_mb']:.1f}",
}
_BATCH_COLUMNS, _SPEECH_COLUMNS = {"ms each"}, {"p50 ms", "p95 ms", "RTF"}
_MEMORY = ("model_mb", "packed_mb", "values_mb")


def latency_table(rows: Sequence[Row], utterances: int = 1, is_speech: bool = False) -> str:
    """Return the rows as text, one line per engine and number of threads. Times are in milliseconds.

    utterances: in one run; with more than one, the time per utterance is shown too. is_speech: the utterances have
    different lengths and run one by one; then the median and the 95th percentile of their times are shown, and RTF,
    the processing time divided by the duration of the audio.
    """
    hidden = _BATCH_COLUMNS if is_speech or utterances == 1 else set()
    hidden = hidden if is_speech else hidden | _SPEECH_COLUMNS
    headings = [heading for heading in _COLUMNS if heading not in hidden]
    cells = [headings, *([_COLUMNS[heading](row) for heading in headings] for row in rows)]
    lines = align(cells, left={0, headings.index("[quartiles]")})
    if any(row["cpu_per_wall"] < _WHOLE_CORE for row in rows):
        lines.append(
            "The machine was busy: an engine did not get one whole core. Still valid: CPU ms, ratios of 1 thread."
        )
    return "\n".join(lines) + "\n"


def limit_line(limits: Sequence[Row]) -> str:
    """Return one line on the rate that the multiply-accumulate instructions alone reached."""
    rates = (
        f"{limit['gmac_per_s']:.0f} GMAC/s ({limit['kernels']}, {limit['threads']} thread"
        f"{'s' if limit['threads'] > 1 else ''})"
        for limit in limits
    )
    return f"limit, measured in every round: {', '.join(rates)}"


def scaling_lines(rows: Sequence[Row]) -> list[str]:
    """Return one line for each number of threads after the first: the speed-up of every engine over the first."""
    first, *others = dict.fromkeys(row["threads"] for row in rows)
    base = {row["engine"]: row["median_ms"] for row in rows if row["threads"] == first}
    lines = []
    for threads in others:
        speedups = (
            f"{row['engine']} {base[row['engine']] / row['median_ms']:.2f}"
            for row in rows
            if row["threads"] == threads and row["engine"] in base
        )
        lines.append(f"{threads} threads against {first}: {', '.join(speedups)}")
    return lines


def memory_table(rows: Sequence[Row]) -> str:
    """Return the memory of our engines in MB (10^6 bytes) as text, or "" where no row has these numbers."""
    ours = {row["engine"]: row for row in rows if all(name in row for name in _MEMORY)}
    if not ours:
        return ""
    headings = ("memory of", "bits", "file MB", "model MB", "packed MB", "values MB", "RSS - file MB")
    cells = [
        (
            name,
            str(row["bits"]) if isinstance(row["bits"], int) else f"{row['bits']:.1f}",
            *(f"{row[key]:.1f}" for key in ("file_mb", *_MEMORY)),
            f"{row['rss_mb'] - row['file_mb']:.1f}",
        )
        for name, row in ours.items()
    ]
    return "\n".join(align([headings, *cells], left={0})) + "\n"


def profile_table(profile: Row) -> str:
    """Return a profile (`benchmark.profile.summarize_profile`) as text, one line per shape of layer."""
    headings = ("layers of a shape", "count", "ms", "% of time", "GMAC/s", "GOP/s", "% of limit")
    cells = [
        (
            shape["shape"],
            str(shape["count"]),
            f"{shape['ms']:.2f}",
            _percent(shape["share"]),
            f"{shape['gmac_per_s']:.0f}" if shape["macs"] else "",
            f"{shape['gop_per_s']:.0f}" if shape["macs"] else "",
            _percent(shape["limit_share"]),
        )
        for shape in profile["shapes"]
    ]
    total = sum(shape["ms"] for shape in profile["shapes"])
    title = (
        f"{profile['engine']}, layer by layer on one thread: {total:.2f} ms of CPU time for one utterance of "
        f"{profile['frames']} frames, limit {profile['limit_gmac_per_s']:.0f} GMAC/s"
    )
    return "\n".join([title, *align([headings, *cells], left={0})]) + "\n"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}"
