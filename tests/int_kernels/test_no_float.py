"""No text of int_kernels mentions a real number: not the Python (syntax tree), not the C (tokens)."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import int_kernels

HOUSE = Path(int_kernels.__file__).parent
REAL_NAMES = re.compile(
    r"^(b?float\d*|complex\d*|c?double|c?longdouble|inexact|floating|c_float|c_double|c_longdouble|true_divide|divide|"
    r"sqrt|exp2?|log2?|log10|fsum|inf|nan)$"
)
REAL_ATTRIBUTES = re.compile(r"^(single|half|mean|average|std|var|linspace|median|percentile|quantile|pi)$")
REAL_WORDS = re.compile(r"\b(b?float\d*|double|[<>=]?f[248])\b")
REAL_TOKENS = re.compile(
    r"\b(float|double|_Float\w+|__fp16|__bf16|_Complex)\b|math\.h|(?<![\w.])(\d+\.\d*|\.\d+|\d+[eE][+-]?\d+)f?(?!\w)"
)


def traces_in_python(source: str) -> list[str]:
    """Real literals, true divisions, real names and dtype words, docstrings excepted."""
    tree = ast.parse(source)
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.expr | ast.AugAssign):
            continue
        is_name = isinstance(node, ast.Name) and REAL_NAMES.match(node.id)
        is_attribute = isinstance(node, ast.Attribute) and (
            REAL_NAMES.match(node.attr) or REAL_ATTRIBUTES.match(node.attr)
        )
        is_division = isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div)
        is_literal = isinstance(node, ast.Constant) and isinstance(node.value, float | complex)
        is_word = isinstance(node, ast.Constant) and isinstance(node.value, str) and REAL_WORDS.search(node.value)
        if is_name or is_attribute or is_division or is_literal or (is_word and id(node) not in docstrings(tree)):
            found.append(f"line {node.lineno}: {ast.unparse(node)}")
    return found


def docstrings(tree: ast.Module) -> set[int]:
    """Identities of the constants that are docstrings."""
    owners = [node for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)]
    first = [node.body[0] for node in owners if node.body]
    return {id(node.value) for node in first if isinstance(node, ast.Expr)}


def traces_in_c(source: str) -> list[str]:
    """Real types and literals outside comments and strings."""
    code = re.sub(r'/\*.*?\*/|//[^\n]*|"(\\.|[^"\\])*"', " ", source, flags=re.DOTALL)
    return [match.group() for match in REAL_TOKENS.finditer(code)]


PYTHON = sorted(HOUSE.rglob("*.py"))
C = sorted((HOUSE / "native").rglob("*.[ch]"))


@pytest.mark.parametrize("path", PYTHON, ids=lambda p: str(p.relative_to(HOUSE)))
def test_python_has_no_real_number(path: Path) -> None:
    assert traces_in_python(path.read_text()) == []


@pytest.mark.parametrize("path", C, ids=lambda p: p.name)
def test_c_has_no_real_number(path: Path) -> None:
    assert traces_in_c(path.read_text()) == []


def test_all_files_were_looked_at() -> None:
    assert len(PYTHON) >= 15 and len(C) >= 10


@pytest.mark.parametrize(
    "source",
    [
        "a = 0.5",
        "a = 1e3",
        "a = b / c",
        "a /= 2",
        "np.float32(1)",
        "float(a)",
        "x.astype('float64')",
        "np.mean(x)",
        "1j",
        "x.view('<f4')",
        "from math import sqrt\nsqrt(2)",
        'f"{a} float"',
    ],
)
def test_the_python_check_can_fail(source: str) -> None:
    assert traces_in_python(source)


@pytest.mark.parametrize(
    "source",
    [
        "float a;",
        "double f(void);",
        "int a = 0.5;",
        "a = 1e3;",
        "a = .5f;",
        "#include <math.h>",
        "a = 3.;",
        "_Float16 x;",
    ],
)
def test_the_c_check_can_fail(source: str) -> None:
    assert traces_in_c(source)


def test_words_in_comments_and_look_alikes_are_no_traces() -> None:
    assert traces_in_c('/* no float */ int a = 0x1e5; a.b = 1; // 0.5\n char *s = "1.5"; x86_64; v1e2;') == []
    assert traces_in_python('"""A float 0.5."""\na = b // c\nfloat_free = 1') == []
