"""The published sizes agree with NeMo 3.0.0 in float32: file written by NeMo, read by us."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nemo.collections.asr", reason="nemo_toolkit is not installed")
from support.nemo_models import make_nemo_model
from support.nemo_parity import one_thread, worst_difference

from zeroq_asr.models.full_size import count_parameters
from zeroq_asr.models.published import published_config
from zeroq_asr.models.resolve import load_float_model

pytestmark = pytest.mark.nemo

TOLERANCE = 1e-3
CALM = 0.3
"""See make_nemo_model: of random weights alone NeMo's own float32 is 0.1 away from its float64 on Citrinet 256."""

SMALL = ("conformer-small",)
LARGE = ("citrinet256", "citrinet512", "citrinet1024", "conformer-medium", "conformer-large", "fastconformer-large",
         "jasper10x5dr")  # fmt: skip


@pytest.fixture(autouse=True)
def quiet_torch() -> Iterator[None]:
    with one_thread():
        yield


@pytest.mark.parametrize("name", [*SMALL, *(pytest.param(name, marks=pytest.mark.nightly) for name in LARGE)])
def test_published_size_agrees_with_nemo(name: str, tmp_path: Path, record_property: Any) -> None:
    config = published_config(name)
    reference = make_nemo_model(config, calm=CALM)
    reference.save_to(str(tmp_path / "model.nemo"))
    ours = load_float_model(str(tmp_path / "model.nemo"))
    (tmp_path / "model.nemo").unlink()
    worst = worst_difference(reference, ours, config["preprocessor"]["features"])
    record_property("max_abs_log_prob_difference", worst)
    print(f"{name}: max abs log-probability difference {worst:.1e}")
    assert count_parameters(ours.graph) == sum(tensor.numel() for tensor in reference.parameters())
    assert worst <= TOLERANCE, worst
