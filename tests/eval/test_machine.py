"""Facts about the machine are plain JSON, and the load is that of the last minute."""

from __future__ import annotations

import json
import os

import pytest

from eval.machine import available_cores, describe_machine, load


def test_facts_about_the_machine_are_plain_json() -> None:
    facts = describe_machine(["numpy", "no-such-package"])
    assert json.loads(json.dumps(facts)) == facts
    assert facts["cpu"] and facts["cores"] == available_cores() >= 1
    assert list(facts["versions"]) == ["numpy"]


def test_the_load_is_that_of_the_last_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (1.236, 5.0, 9.0))
    assert load() == 1.24
