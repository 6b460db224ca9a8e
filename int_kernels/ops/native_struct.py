"""What an operation states about its C side: parameter struct, enumerations, kernels.

`python -m int_kernels.generate_header` writes these as native/core/op_table.h; backends/native/layout.py builds its
ctypes structs from them. Nothing about an operation is stated in both languages by hand.
"""

from __future__ import annotations

from dataclasses import dataclass

STORAGES = ("int8", "uint8", "int32", "int16")
"""numpy dtypes of stored values, in the order of zq_storage."""


@dataclass(frozen=True)
class CField:
    """One member of a C struct: `int32_t stride`, or a pointer, `const int8_t *weight`. comment: shape or meaning."""

    name: str
    c_type: str
    comment: str = ""

    @property
    def is_pointer(self) -> bool:
        return self.c_type.endswith("*")

    @property
    def declaration(self) -> str:
        """As C writes it, with the comment behind."""
        space = "" if self.is_pointer else " "
        comment = f" /* {self.comment} */" if self.comment else ""
        return f"{self.c_type}{space}{self.name};{comment}"


@dataclass(frozen=True)
class NativeStruct:
    """The parameters of one operation, or of several: member `name` of `zq_step.params`, type `zq_<name>_params`."""

    name: str
    fields: tuple[CField, ...]

    @property
    def c_type(self) -> str:
        return f"zq_{self.name}_params"


@dataclass(frozen=True)
class NativeEnum:
    """An enumeration that C and Python share: constants `<prefix><MEMBER>` numbered from 0, type `c_type`."""

    c_type: str
    members: tuple[str, ...]
    prefix: str = "ZQ_"

    def constant(self, member: str) -> str:
        return self.prefix + member.upper()
