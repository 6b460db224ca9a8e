from __future__ import annotations

import json

from eval.machine import available_cores, describe_machine, load


def test_the_machine_is_told_in_plain_json() -> None:
    facts = describe_machine(["numpy", "no-such-package"])
    assert json.loads(json.dumps(facts)) == facts
    assert facts["cpu"] and facts["cores"] == available_cores() >= 1
    assert list(facts["versions"]) == ["numpy"]
    assert load() >= 0
