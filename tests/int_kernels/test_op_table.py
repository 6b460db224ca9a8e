"""The header that C reads about operations is the one that Python generates, and both lay out structs the same way."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import Structure, Union, sizeof
from pathlib import Path

from support.builds import INCLUDE, run

from int_kernels.backends.native.layout import ParamsUnion, ProgramStruct, StepStruct, ValueStruct
from int_kernels.generate_header import HEADER
from int_kernels.op_table import header

PARAMS: Sequence[tuple[str, type[Structure]]] = ParamsUnion._fields_  # type: ignore[assignment] # no field has bits
STRUCTS: dict[str, type[Structure] | type[Union]] = {
    "zq_value": ValueStruct,
    "zq_step": StepStruct,
    "zq_program": ProgramStruct,
    "zq_op_params": ParamsUnion,
    **{kind.__name__: kind for _, kind in PARAMS},
}


def test_the_committed_header_is_the_generated_one() -> None:
    """When this fails: `python -m int_kernels.generate_header`."""
    assert HEADER.read_text() == header()


def test_c_and_python_agree_on_every_size_and_offset(tmp_path: Path) -> None:
    places = {f"sizeof({name})": sizeof(struct) for name, struct in STRUCTS.items()}
    for name, struct in STRUCTS.items():
        for field, *_ in struct._fields_:
            places[f"offsetof({name}, {field})"] = getattr(struct, field).offset
            places[f"sizeof((({name} *)0)->{field})"] = getattr(struct, field).size
    lines = "".join(f'    printf("%zu\\n", {place});\n' for place in places)
    source = tmp_path / "places.c"
    source.write_text(
        f'#include <stddef.h>\n#include <stdio.h>\n#include "core/zq.h"\nint main(void)\n{{\n{lines}    return 0;\n}}\n'
    )
    run("gcc", "-std=c99", INCLUDE, str(source), "-o", str(tmp_path / "places"))
    found = run(str(tmp_path / "places")).split()
    assert dict(zip(places, map(int, found), strict=True)) == places
