"""How long-running work reports its progress: one call for each finished step, with a note on what was finished."""

from __future__ import annotations

from collections.abc import Callable

OnStep = Callable[[str], None]
"""Called once for each finished step, e.g. `zeroq_asr.cli.Progress.advance`."""


def ignore_step(note: str) -> None:
    """Report nothing."""
