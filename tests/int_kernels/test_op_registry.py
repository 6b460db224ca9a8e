"""Every op is registered once, under its name, with a number of its own."""

from __future__ import annotations

import dataclasses
import inspect

import int_kernels
from int_kernels import OPS, Step


def test_every_op_is_registered() -> None:
    concrete = [op for op in subclasses(Step) if not inspect.isabstract(op)]  # type: ignore[type-abstract]
    assert sorted(OPS) == sorted(op.name for op in concrete)
    assert all(OPS[op.name] is op and dataclasses.is_dataclass(op) for op in concrete)


def test_numbers_are_those_of_the_order() -> None:
    assert [op.code for op in OPS.values()] == list(range(len(OPS)))


def test_every_op_is_exported() -> None:
    for op in OPS.values():
        assert getattr(int_kernels, op.__name__) is op and op.__name__ in int_kernels.__all__


def test_every_op_has_an_origin() -> None:
    for op in OPS.values():
        assert dataclasses.is_dataclass(op)
        (origin,) = [field for field in dataclasses.fields(op) if field.name == "origin"]
        assert origin.default == ""


def subclasses(of: type[Step]) -> list[type[Step]]:
    return [found for each in of.__subclasses__() for found in (each, *subclasses(each))]
