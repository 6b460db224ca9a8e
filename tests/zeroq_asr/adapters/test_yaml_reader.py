"""Plain YAML reads as OmegaConf, which writes NeMo's configs, reads it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zeroq_asr.adapters.safe.yaml_reader import parse_yaml

SCALARS = st.one_of(
    st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=8),
    st.sampled_from(["null", "~", "yes", "No", "1e5", "1e-05", ".5", "-.5", "5.", "+1", "007",
                     "0x1f", "1_0", "1:30", "---",
                     "- a", "a: b", "# x", "&a", "*a", "!!x", "<<", "=",
                     "2020-01-01", "'", '"', " ", "\u2581go", ".inf"]),
    st.integers(-(10**17), 10**17),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.none(),
)  # fmt: skip


@given(st.dictionaries(st.from_regex(r"[a-z_]{1,8}", fullmatch=True), st.lists(SCALARS, max_size=6), max_size=6))
@settings(max_examples=150, deadline=None)
def test_what_omegaconf_writes_is_read_back(values: dict[str, list[object]]) -> None:
    omegaconf = pytest.importorskip("omegaconf")
    # OmegaConf takes ${...} and ??? as orders, not as text
    plain = {
        key: [v for v in row if not (isinstance(v, str) and ("$" in v or "?" in v))] for key, row in values.items()
    }
    text = omegaconf.OmegaConf.to_yaml(omegaconf.OmegaConf.create(plain))
    assert parse_yaml(text.encode(), "here") == plain


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-05", 1e-05), ("1.0e-05", 1e-05), ("5.960464477539063e-08", 2**-24), ("12", 12), ("-3", -3), ("0.97", 0.97),
        ("true", True), ("off", False), ("null", None), ("", None),
        ("'1'", "1"), ('"a\\nb"', "a\nb"), ("???", "???"),
        ("${a.b}", "${a.b}"), ("1_000", "1_000"), ("0x10", "0x10"), ("1:30", "1:30"), ("!!str 1", "1"),
        ("-.inf", -math.inf),
    ],
)  # fmt: skip
def test_scalars(text: str, value: object) -> None:
    parsed = parse_yaml(f"a: {text}\n".encode(), "here")
    assert isinstance(parsed, dict) and parsed["a"] == value and type(parsed["a"]) is type(value)


def test_anchors_and_number_keys() -> None:
    text = b"labels: &l [a, b]\nrate: &r 16000\nx: {labels: *l, rate: *r}\n1: one\n"
    assert parse_yaml(text, "here") == {
        "labels": ["a", "b"], "rate": 16000, "x": {"labels": ["a", "b"], "rate": 16000}, "1": "one"
    }  # fmt: skip
