"""Good `.nemo` files in every form NeMo has written, read without NeMo; names that are no files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.nemo_files import (
    CONFIG,
    add,
    changed_config,
    config_bytes,
    nemo_bytes,
    old_layout,
    old_zip,
    small_config,
    small_tensors,
    weights_bytes,
)

from zeroq_asr.adapters import FloatModel
from zeroq_asr.adapters.safe.torch_weights import load_weights
from zeroq_asr.errors import CheckpointError, FileError, UnsupportedModelError
from zeroq_asr.models.hub import ngc_address
from zeroq_asr.models.resolve import load_float_model


def load(tmp_path: Path, data: bytes) -> FloatModel:
    path = tmp_path / "model.nemo"
    path.write_bytes(data)
    return load_float_model(str(path))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> FloatModel:
    return load(tmp_path_factory.mktemp("plain"), nemo_bytes())


def test_the_graph_carries_checkpoint_names(plain: FloatModel) -> None:
    names = [node.output for node in plain.graph.nodes]
    assert names[0] == "encoder.encoder.0.mconv.0.conv" and names[-1] == "logits"
    assert {"encoder.encoder.1.add", "encoder.encoder.1.mout.0", "encoder.encoder.1.res.0.1"} <= set(names)
    assert plain.graph.nodes[-1].origin == "decoder.decoder_layers.0"
    assert plain.graph.values["logits"].channels == 4 and plain.vocabulary == (" ", "a", "b")
    weight = plain.graph.constants["encoder.encoder.0.mconv.0.conv.weight"]
    assert np.array_equal(weight, small_tensors()["encoder.encoder.0.mconv.0.conv.weight"].numpy())
    assert (plain.name, plain.family, plain.frontend.n_mels) == ("model", "quartznet", 16)


MODELS = "nemo.collections.asr.models"


FORMS = {
    "gzip": lambda: nemo_bytes(compress=True),
    "old layout": lambda: nemo_bytes(config_bytes(old_layout(small_config())), compress=True),
    "legacy pickle": lambda: nemo_bytes(weights=weights_bytes(small_tensors(), legacy=True)),
    "names without ./": lambda: nemo_bytes(b"", before=lambda tar: add(tar, CONFIG, config_bytes(small_config()))),
    "tar of an older Python": lambda: nemo_bytes(compress=True, format=tarfile.GNU_FORMAT),
    "no target": lambda: nemo_bytes(config_bytes(changed_config("target", ...))),
    "storage keys of torch 1.6": lambda: nemo_bytes(weights=old_zip(small_tensors())),
    "plain dict": lambda: nemo_bytes(weights=weights_bytes(dict(small_tensors()))),
    "other training section": lambda: nemo_bytes(config_bytes(changed_config("optim.lr", 0.5))),
    "short target": lambda: nemo_bytes(config_bytes(changed_config("target", f"{MODELS}.EncDecCTCModel"))),
    "decoder.feat_in left out": lambda: nemo_bytes(config_bytes(changed_config("decoder.feat_in", ...))),
    "stride as a number": lambda: nemo_bytes(config_bytes(changed_config("encoder.jasper.0.stride", 2))),
    "1e-5 without a point": lambda: nemo_bytes(config_bytes(small_config()).replace(b": 1.0e-05", b": 1e-5")),
    "anchors": lambda: nemo_bytes(config_bytes(small_config()).replace(b"dilation:", b"dilation: &d", 1)
                                  .replace(b"sample_rate: 16000", b"sample_rate: &r 16000", 1)
                                  .replace(b"  sample_rate: 16000", b"  sample_rate: *r", 1)),
    "tokenizer file": lambda: nemo_bytes(
        config_bytes({**small_config(), "notes": {"file": "nemo:" + "0af3" * 8 + "_vocab.txt"}}),
        after=lambda tar: add(tar, "./" + "0af3" * 8 + "_vocab.txt", b"a\nb\n" * 300),
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_same_model(tmp_path: Path, plain: FloatModel, form: str) -> None:
    assert load(tmp_path, FORMS[form]()).fingerprint == plain.fingerprint


def test_other_weights_or_letters_are_another_model(tmp_path: Path, plain: FloatModel) -> None:
    others = [
        nemo_bytes(weights=weights_bytes(small_tensors(1))),
        nemo_bytes(config_bytes(changed_config("decoder.vocabulary", [" ", "b", "a"]))),
        nemo_bytes(config_bytes(changed_config("preprocessor.preemph", 0.9))),
    ]
    assert len({plain.fingerprint, *(load(tmp_path, data).fingerprint for data in others)}) == 4


def test_edges_of_an_older_nemo_can_be_asked_for(tmp_path: Path) -> None:
    (tmp_path / "m.nemo").write_bytes(nemo_bytes())
    assert load_float_model(str(tmp_path / "m.nemo"), edge="reflect").frontend.frames(16000) == 101


def test_sub_word_pieces_become_text(tmp_path: Path) -> None:
    config = changed_config("decoder.vocabulary", ["<unk>", "\u2581go", "ing"])
    config |= {"target": "nemo.collections.asr.models.EncDecCTCModelBPE", "tokenizer": {"type": "bpe", "dir": None}}
    assert load(tmp_path, nemo_bytes(config_bytes(config))).vocabulary == (" \u2047 ", " go", "ing")
    config["tokenizer"]["type"] = "wpe"
    with pytest.raises(UnsupportedModelError, match=r"tokenizer\.type"):
        load(tmp_path, nemo_bytes(config_bytes(config)))


@pytest.mark.parametrize("forced", [{"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"}, {"TORCH_FORCE_WEIGHTS_ONLY_LOAD"},
                                    {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "TORCH_FORCE_WEIGHTS_ONLY_LOAD"}])  # fmt: skip
def test_the_environment_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, plain: FloatModel, forced: set[str]
) -> None:
    for name in forced:
        monkeypatch.setenv(name, "1")
    calls = []
    original = torch.load

    def recorded(*args: Any, **options: Any) -> Any:
        calls.append(options["weights_only"])
        return original(*args, **options)

    monkeypatch.setattr(torch, "load", recorded)
    assert load(tmp_path, nemo_bytes()).fingerprint == plain.fingerprint
    assert calls == [True] and forced <= set(os.environ)


def test_strided_and_shared_storages_are_read(tmp_path: Path) -> None:
    base = torch.arange(24.0).reshape(4, 6)
    loaded = load_weights(weights_bytes({"a": base.T, "b": base[1:3, ::2]}), "here")
    assert np.array_equal(loaded["a"], base.T.numpy()) and np.array_equal(loaded["b"], base[1:3, ::2].numpy())


@pytest.mark.parametrize(
    "reference", ["missing.nemo", "./QuartzNet", "a/b/c", "", "x\0y", "x" * 5000, "models/", "~/x"]
)
def test_a_path_that_is_not_there(reference: str) -> None:
    with pytest.raises(FileError, match=r"no such file"):
        load_float_model(reference)


def test_folders_and_pipes(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.nemo")
    for path in (tmp_path, tmp_path / "pipe.nemo"):
        with pytest.raises(FileError, match=r"expected a file|could not be opened"):
            load_float_model(str(path))


@pytest.mark.parametrize("name", ["QuartzNet15x5Base-En", "nvidia/stt_en_quartznet15x5"])
def test_a_hub_name_without_nemo_is_one_sentence(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, "nemo.collections.asr.models", None)
    with pytest.raises(FileError, match=r"install 'zeroq-asr\[nemo\]'") as caught:
        load_float_model(name)
    assert "\n" not in str(caught.value) and name in str(caught.value)


def test_a_hub_name_is_downloaded_by_nemo_and_read_by_us(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, plain: FloatModel
) -> None:
    (tmp_path / "cached.nemo").write_bytes(nemo_bytes())

    class Fake:
        class ASRModel:
            @staticmethod
            def from_pretrained(model_name: str, return_model_file: bool) -> str:
                if model_name == "unknown":
                    raise FileNotFoundError(model_name)
                if model_name != "some/model":
                    raise ConnectionError("no route to host\nmany lines")
                assert return_model_file
                return str(tmp_path / "cached.nemo")

    monkeypatch.setitem(sys.modules, "nemo.collections.asr.models", Fake)
    loaded = load_float_model("some/model")
    assert (loaded.fingerprint, loaded.name) == (plain.fingerprint, "some/model")
    for name, words in (("other/model", "could not be downloaded"), ("unknown", "does not list it")):
        with pytest.raises(FileError, match=words) as caught:
            load_float_model(name)
        assert "\n" not in str(caught.value)


def test_published_quartznets_are_known_where_nemo_lists_them_no_more() -> None:
    assert ngc_address("QuartzNet15x5Base-En") and ngc_address("stt_en_quartznet15x5")
    for name in ("stt_en_conformer_ctc_large", "QuartzNet15x5Base-En/../x", "nvidia/stt_en_quartznet15x5"):
        assert ngc_address(name) is None


def test_errors_name_the_file_the_place_and_the_need(tmp_path: Path) -> None:
    state = small_tensors()
    state["encoder.encoder.1.mconv.5.conv.weight"][0, 0, 1] = float("nan")
    with pytest.raises(
        CheckpointError, match=r"model\.nemo.*'encoder\.encoder\.1\.mconv\.5\.conv\.weight'.*finite.*1 NaN"
    ):
        load(tmp_path, nemo_bytes(weights=weights_bytes(state)))


AUDIT = """
import json, sys
from zeroq_asr.models.resolve import load_float_model
from zeroq_asr.errors import ZeroqError

events = []
watching = False

def hook(event, arguments):
    if not watching:
        return
    writes = event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+")
    if writes or event.split(".")[0] in (
        "import", "exec", "compile", "pickle", "subprocess", "socket", "ctypes", "shutil", "urllib", "marshal"
    ) or event in ("os.system", "os.exec", "os.fork", "os.posix_spawn", "os.remove", "os.rename", "os.mkdir"):
        events.append([event, repr(arguments)[:200]])

load_float_model(sys.argv[1])  # the libraries themselves
sys.addaudithook(hook)
outcomes = []
watching = True
for path in sys.argv[1:]:
    try:
        load_float_model(path)
        outcomes.append("loaded")
    except ZeroqError as error:
        outcomes.append(type(error).__name__)
watching = False
events += [["imported", name] for name in ("nemo", "omegaconf", "hydra", "lightning") if name in sys.modules]
print(json.dumps([outcomes, events]))
"""


def test_loading_runs_no_foreign_code(tmp_path: Path) -> None:
    """No import, no exec, no unpickled name, no subprocess, no socket, no write, for good and for hostile files."""
    hostile = {
        "target": nemo_bytes(config_bytes(changed_config("encoder._target_", "subprocess.Popen"))),
        "model": nemo_bytes(config_bytes(changed_config("target", "os.system"))),
        "pickle": nemo_bytes(weights=b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R."),
        "yaml": nemo_bytes(b"target: !!python/object/apply:os.system [echo hello]\n"),
    }
    paths = [tmp_path / "good.nemo"]
    paths[0].write_bytes(nemo_bytes())
    for name, data in hostile.items():
        paths.append(tmp_path / f"{name}.nemo")
        paths[-1].write_bytes(data)
    result = subprocess.run(
        [sys.executable, "-c", AUDIT, *map(str, paths)], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stderr
    outcomes, events = json.loads(result.stdout)
    assert outcomes == [
        "loaded",
        "UnsupportedModelError",
        "UnsupportedModelError",
        "CheckpointError",
        "CheckpointError",
    ]
    assert events == []


@pytest.mark.parametrize("key", ["se_context_size", "se_context_window"])
def test_squeeze_and_excite_over_a_part_of_the_utterance_is_refused_by_name(tmp_path: Path, key: str) -> None:
    config = changed_config("encoder.jasper.0.se", True)
    config["encoder"]["jasper"][0][key] = 128
    with pytest.raises(UnsupportedModelError, match=f"{key} = 128 is not supported; supported: -1"):
        load(tmp_path, nemo_bytes(config_bytes(config)))
    without = changed_config(f"encoder.jasper.0.{key}", 128)
    assert load(tmp_path, nemo_bytes(config_bytes(without))).family == "quartznet"  # it does nothing there
