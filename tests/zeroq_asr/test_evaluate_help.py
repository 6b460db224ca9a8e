"""Every --help of the evaluation verbs answers without loading anything heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"torch", "nemo", "scipy", "matplotlib", "tensorboard", "jiwer", "soundfile", "safetensors"}


@pytest.mark.parametrize("verb", ["evaluate", "transcribe", "inspect", "verify"])
def test_help_is_light(verb: str) -> None:
    code = (
        "import sys\n"
        f"from zeroq_asr.{verb} import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit as done:\n    assert done.code == 0\n"
        f"print(sorted({{m.split('.')[0] for m in sys.modules}} & {HEAVY!r}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == "[]"
    assert "usage:" in done.stdout
