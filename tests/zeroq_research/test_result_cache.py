"""Units of work: computed once, written whole, believed only when they are what they claim, resumed after a kill."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import soundfile
from support.toy_models import save_noise

from zeroq_asr.pipelines.evaluate import read_test_set
from zeroq_research import result_cache as module
from zeroq_research.result_cache import CellStore, code_digest, data_digest, key_of


class Work:
    """Counts how often it is done."""

    def __init__(self) -> None:
        self.done = 0

    def __call__(self) -> dict[str, Any]:
        self.done += 1
        return {"answer": (1, 2.5, "é"), "done": self.done}


def test_work_is_done_once(tmp_path: Path) -> None:
    work, store = Work(), CellStore(tmp_path)
    assert store.find("sum", {"a": 1}) is None
    first = store.get("sum", {"a": 1}, work)
    assert first == store.get("sum", {"a": 1}, work) == CellStore(tmp_path).get("sum", {"a": 1}, work)
    assert first == {"answer": [1, 2.5, "é"], "done": 1}
    assert store.get("sum", {"a": 2}, work)["done"] == 2
    assert store.get("product", {"a": 1}, work)["done"] == 3


def test_fresh_believes_only_what_this_run_made(tmp_path: Path) -> None:
    work = Work()
    CellStore(tmp_path).get("sum", {"a": 1}, work)
    fresh = CellStore(tmp_path, fresh=True)
    assert fresh.get("sum", {"a": 1}, work)["done"] == 2
    assert fresh.get("sum", {"a": 1}, work)["done"] == 2


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"kind": "sum"}', '{"kind":"sum","inputs":{"a":2},"result":{}}'])
def test_a_damaged_cell_is_computed_again(tmp_path: Path, damage: str) -> None:
    work, store = Work(), CellStore(tmp_path)
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
        CellStore(tmp_path).get("sum", {"a": 1}, fail)
    assert list(tmp_path.iterdir()) == []


def test_the_key_is_made_of_values_not_of_their_order() -> None:
    assert key_of("k", {"a": 1, "b": [1, 2]}) == key_of("k", {"b": [1, 2], "a": 1})
    assert len({key_of("k", {"a": 1}), key_of("k", {"a": 2}), key_of("k", {"a": "1"}), key_of("l", {"a": 1})}) == 4
    with pytest.raises(ValueError, match="JSON"):
        key_of("k", {"a": float("nan")})


def test_data_is_known_by_content_not_by_place(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    here = read_test_set(str(save_noise(tmp_path / "here", 3)))
    there = read_test_set(str(save_noise(tmp_path / "there", 3)))
    assert data_digest(here.utterances) == data_digest(there.utterances)
    assert data_digest(here.utterances) != data_digest(here.utterances[:2])
    samples, rate = soundfile.read(tmp_path / "there" / "1.wav")
    soundfile.write(tmp_path / "there" / "1.wav", -samples, rate)
    assert data_digest(here.utterances) != data_digest(there.utterances)


def test_code_is_known_without_its_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ROOT", tmp_path)
    texts = {
        "plain": "def f(x):\n    return x + 1\n",
        "words": '"""Doc."""\n\ndef f(x):\n    """Adds."""\n    return x + 1  # one\n',
        "other": "def f(x):\n    return x + 2\n",
    }
    digests = {}
    for name, text in texts.items():
        (tmp_path / "room").mkdir(exist_ok=True)
        (tmp_path / "room" / "a.py").write_text(text)
        code_digest.cache_clear()
        digests[name] = code_digest(("room",))
    code_digest.cache_clear()
    assert digests["plain"] == digests["words"] != digests["other"]


def test_the_rooms_that_decide_a_result_are_there() -> None:
    root = Path(module.__file__).parents[1]
    assert [room for room in (*module.ARITHMETIC, *module.SYNTHESIS) if not (root / room).exists()] == []


def test_cells_are_readable_json(tmp_path: Path) -> None:
    store = CellStore(tmp_path)
    store.get("sum", {"a": 1}, Work())
    document = json.loads(store.path("sum", {"a": 1}).read_text())
    assert set(document) == {"kind", "inputs", "result"}
