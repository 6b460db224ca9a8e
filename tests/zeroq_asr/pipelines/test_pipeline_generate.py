"""Synthesis on the toy network: what is kept, what is resumed, and that a kill changes no byte."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from support.toy_models import toy_float_model

from synth import StepRecord, SynthError
from zeroq_asr.config import GenerateConfig
from zeroq_asr.errors import FileError
from zeroq_asr.pipelines.generate import (
    default_data_path,
    find_data,
    generate,
    read_data,
    statistics_forward,
    synthesis_settings,
)

TESTS = Path(__file__).parents[2]


def small(**changes: object) -> GenerateConfig:
    values = {"batches": 3, "batch_size": 2, "frames": 60, "iterations": (12,), "lr": (0.1,)} | changes
    return replace(GenerateConfig.of_preset("fast"), **values)  # type: ignore[arg-type]


def test_the_loss_falls_and_the_file_is_the_result(tmp_path: Path) -> None:
    model, output = toy_float_model(), tmp_path / "new" / "data.safetensors"
    records: list[StepRecord] = []
    result = generate(model, small(), output, threads=1, on_record=records.append)
    assert result.path == output and result.batches_found == 0
    assert len(records) == 3 * 13
    for batch in result.data.batches:
        assert batch.losses[-1] < batch.losses[0]
    for read, made in zip(read_data(output).batches, result.data.batches, strict=True):
        np.testing.assert_array_equal(read.mel, made.mel)
    assert [path.name for path in output.parent.iterdir()] == ["data.safetensors"], "no partial file stays behind"


def test_nothing_behind_the_last_batchnorm_is_computed() -> None:
    import torch

    from zeroq_asr.analyses.batchnorm_statistics import find_batchnorm_statistics

    graph = toy_float_model().graph
    names = tuple(norm.name for norm in find_batchnorm_statistics(graph))
    values = statistics_forward(graph, names, "cpu", 1)(torch.zeros(1, 6, 40))
    assert tuple(values) == names and "logits" not in values


def test_same_seed_same_bytes_and_other_seed_other_bytes(tmp_path: Path) -> None:
    files = [tmp_path / name for name in "abc"]
    for path, seed in zip(files, (1, 1, 2), strict=True):
        generate(toy_float_model(), small(seed=seed), path, threads=1)
    assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()


class Killed(Exception):
    pass


@pytest.mark.parametrize("moment", [(0, 5), (1, 0), (2, 12)])
def test_resume_after_an_interruption_gives_the_same_bytes(tmp_path: Path, moment: tuple[int, int]) -> None:
    model, whole, broken = toy_float_model(), tmp_path / "whole", tmp_path / "broken"
    generate(model, small(), whole, threads=1)

    def interrupt(record: StepRecord) -> None:
        if (record.batch, record.step) == moment:
            raise Killed

    with pytest.raises(Killed):
        generate(model, small(), broken, threads=1, on_record=interrupt)
    assert not broken.exists()
    seen: set[int] = set()
    result = generate(model, small(), broken, resume=True, threads=1, on_record=lambda r: seen.add(r.batch))
    assert result.batches_found == moment[0] and min(seen) == moment[0], "finished batches are not made again"
    assert broken.read_bytes() == whole.read_bytes()


def test_resume_after_sigkill_in_another_process_gives_the_same_bytes(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from dataclasses import replace
        from support.toy_models import toy_float_model
        from zeroq_asr.config import GenerateConfig
        from zeroq_asr.pipelines.generate import generate
        fast = GenerateConfig.of_preset("fast")
        config = replace(fast, batches=3, batch_size=2, frames=60, iterations=(12,), lr=(0.1,))
        slow = sys.argv[2] == "slow"
        generate(toy_float_model(), config, Path(sys.argv[1]), resume=True, threads=1,
                 on_record=lambda record: time.sleep(0.2 if slow and record.batch == 1 else 0))
    """)
    output = tmp_path / "data"
    command = [sys.executable, "-c", script, str(output)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(TESTS), str(TESTS.parent)))}
    process = subprocess.Popen([*command, "slow"], env=environment)
    partial = tmp_path / "data.partial"
    deadline = time.monotonic() + 60
    while not (partial.exists() and len(read_data(partial).batches) == 1):
        assert process.poll() is None and time.monotonic() < deadline, "ended before the first batch was kept"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not output.exists()
    subprocess.run([*command, "fast"], env=environment, check=True, timeout=60)
    generate(toy_float_model(), small(), tmp_path / "whole", threads=1)
    assert output.read_bytes() == (tmp_path / "whole").read_bytes()


def test_resume_with_other_settings_is_refused(tmp_path: Path) -> None:
    model, output = toy_float_model(), tmp_path / "data"

    def interrupt(record: StepRecord) -> None:
        if record.batch == 1:
            raise Killed

    with pytest.raises(Killed):
        generate(model, small(), output, threads=1, on_record=interrupt)
    with pytest.raises(FileError, match="got others"):
        generate(model, small(seed=9), output, resume=True, threads=1)
    again = generate(model, small(seed=9), output, threads=1)
    assert again.batches_found == 0, "without --resume it begins anew"


def test_resume_of_a_finished_run_does_nothing(tmp_path: Path) -> None:
    model, output = toy_float_model(), tmp_path / "data"
    generate(model, small(), output, threads=1)
    before = output.stat().st_mtime_ns

    def never(record: StepRecord) -> None:
        raise AssertionError("nothing to compute")

    assert generate(model, small(), output, resume=True, on_record=never).batches_found == 3
    assert output.stat().st_mtime_ns == before


def test_damaged_partial_file_is_refused_not_overwritten(tmp_path: Path) -> None:
    partial = tmp_path / "data.partial"
    partial.write_bytes(b"garbage")
    with pytest.raises(SynthError, match=r"data\.partial"):
        generate(toy_float_model(), small(), tmp_path / "data", resume=True, threads=1)
    assert partial.read_bytes() == b"garbage"


def test_data_is_found_only_when_it_would_be_made_the_same(tmp_path: Path) -> None:
    model, output = toy_float_model(), tmp_path / "data"
    assert find_data(model, small(), output) is None
    generate(model, small(), output, threads=1)
    assert find_data(model, small(), output) is not None
    assert find_data(model, small(loss="kl"), output) is None
    assert find_data(replace(model, fingerprint="1" * 64), small(), output) is None


def test_a_folder_that_cannot_be_written_to_is_found_out_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    def never(record: StepRecord) -> None:
        raise AssertionError("the work had begun")

    with pytest.raises(FileError, match="could not be written"):
        generate(toy_float_model(), small(), tmp_path / "file" / "data", threads=1, on_record=never)


def test_device_that_is_not_there(tmp_path: Path) -> None:
    for device in ("cuda:63", "quantum"):
        with pytest.raises(SynthError, match="--device"):
            generate(toy_float_model(), small(), tmp_path / "data", device=device, threads=1)


def test_settings_follow_the_model() -> None:
    model = toy_float_model()
    settings = synthesis_settings(small(), model)
    assert settings.spec.shape == (2, 6, 60) and settings.normalize
    plain = replace(model, frontend=replace(model.frontend, normalize="none"))
    assert not synthesis_settings(small(), plain).normalize, "only where the front end normalises per feature"


def test_default_path_names_model_and_settings_and_nothing_odd() -> None:
    model = replace(toy_float_model(), name="nvidia/stt en*quartz.nemo")
    path = default_data_path(model, small(seed=3))
    assert re.fullmatch(r"stt-en-quartz-00000000-fast-seed3-[0-9a-f]{6}\.safetensors", path.name)
    assert path != default_data_path(model, small(seed=3, frames=61)), "two sets of settings never share a file"
    assert path.parts[0] == "zeroq-out"
