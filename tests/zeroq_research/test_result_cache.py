"""Cached results: computed once, written completely, used only if undamaged, resumed after a kill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import soundfile
from support.toy_models import save_noise

from zeroq_asr.errors import FileError
from zeroq_asr.pipelines.evaluate import read_test_set
from zeroq_research import bit_search
from zeroq_research import result_cache as module
from zeroq_research.reproduction import figure2, figure3, onnxruntime, paper_table
from zeroq_research.result_cache import ResultCache, cache_key, data_digest, source_digest


class Work:
    """Counts how often it is done."""

    def __init__(self) -> None:
        self.done = 0

    def __call__(self) -> dict[str, Any]:
        self.done += 1
        return {"answer": (1, 2.5, "é"), "done": self.done}


def test_work_is_done_once(tmp_path: Path) -> None:
    work, store = Work(), ResultCache(tmp_path)
    assert store.find("sum", {"a": 1}) is None
    first = store.get("sum", {"a": 1}, work)
    assert first == store.get("sum", {"a": 1}, work) == ResultCache(tmp_path).get("sum", {"a": 1}, work)
    assert first == {"answer": [1, 2.5, "é"], "done": 1}
    assert store.get("sum", {"a": 2}, work)["done"] == 2
    assert store.get("product", {"a": 1}, work)["done"] == 3


def test_fresh_uses_only_results_of_this_run(tmp_path: Path) -> None:
    work = Work()
    ResultCache(tmp_path).get("sum", {"a": 1}, work)
    fresh = ResultCache(tmp_path, fresh=True)
    assert fresh.get("sum", {"a": 1}, work)["done"] == 2
    assert fresh.get("sum", {"a": 1}, work)["done"] == 2


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"kind": "sum"}', '{"kind":"sum","inputs":{"a":2},"result":{}}'])
def test_a_damaged_result_is_computed_again(tmp_path: Path, damage: str) -> None:
    work, store = Work(), ResultCache(tmp_path)
    store.get("sum", {"a": 1}, work)
    path = store.path("sum", {"a": 1})
    whole = path.read_bytes()
    path.write_text(damage)
    work.done = 0
    assert store.get("sum", {"a": 1}, work)["done"] == 1
    assert path.read_bytes() == whole


def test_work_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> dict[str, Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ResultCache(tmp_path).get("sum", {"a": 1}, fail)
    assert list(tmp_path.iterdir()) == []


def test_the_key_depends_on_values_not_on_their_order() -> None:
    assert cache_key("k", {"a": 1, "b": [1, 2]}) == cache_key("k", {"b": [1, 2], "a": 1})
    assert (
        len({cache_key("k", {"a": 1}), cache_key("k", {"a": 2}), cache_key("k", {"a": "1"}), cache_key("l", {"a": 1})})
        == 4
    )
    with pytest.raises(ValueError, match="JSON"):
        cache_key("k", {"a": float("nan")})


def test_the_digest_of_data_depends_on_content_not_on_location(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    here = read_test_set(str(save_noise(tmp_path / "here", 3)))
    there = read_test_set(str(save_noise(tmp_path / "there", 3)))
    assert data_digest(here.utterances) == data_digest(there.utterances)
    assert data_digest(here.utterances) != data_digest(here.utterances[:2])
    samples, rate = soundfile.read(tmp_path / "there" / "1.wav")
    soundfile.write(tmp_path / "there" / "1.wav", -samples, rate)
    assert data_digest(here.utterances) != data_digest(there.utterances)


def test_the_digest_of_code_ignores_comments_and_docstrings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROOT", tmp_path)
    texts = {
        "plain": "def f(x):\n    return x + 1\n",
        "words": '"""Doc."""\n\ndef f(x):\n    """Adds."""\n    return x + 1  # one\n',
        "other": "def f(x):\n    return x + 2\n",
    }
    digests = {}
    for name, text in texts.items():
        (tmp_path / "package").mkdir(exist_ok=True)
        (tmp_path / "package" / "a.py").write_text(text)
        source_digest.cache_clear()
        digests[name] = source_digest(("package",))
    source_digest.cache_clear()
    assert digests["plain"] == digests["words"] != digests["other"]


def test_a_source_that_does_not_exist_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROOT", tmp_path)
    with pytest.raises(FileError, match="expected a source file or folder"):
        source_digest(("missing",))


@pytest.mark.parametrize(
    "sources",
    [
        module.ARITHMETIC,
        module.SYNTHESIS,
        bit_search._SOURCES,
        figure2._SOURCES,
        figure3._GRAMMAR_SOURCES,
        onnxruntime._SOURCES,
        paper_table._SOURCES,
    ],
)
def test_the_sources_that_decide_a_result_exist(sources: tuple[str, ...]) -> None:
    assert len(source_digest(sources)) == 64


def test_cached_results_are_readable_json(tmp_path: Path) -> None:
    store = ResultCache(tmp_path)
    store.get("sum", {"a": 1}, Work())
    document = json.loads(store.path("sum", {"a": 1}).read_text())
    assert set(document) == {"kind", "inputs", "result"}
