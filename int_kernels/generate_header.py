"""Write native/core/op_table.h: `python -m int_kernels.generate_header`, after each change to an operation's C side."""

from __future__ import annotations

from pathlib import Path

from int_kernels.op_table import header

HEADER = Path(__file__).parent.joinpath("native/core/op_table.h")


def main() -> None:
    """Write the header."""
    HEADER.write_text(header())


if __name__ == "__main__":
    main()
