"""What instructions cost between VPDPBUSDs, in turns of VPDPBUSD: each by itself, and one after every two products.

    python benchmarks/bench_instructions.py

For AVX-512 VNNI with gcc; writes and compiles a C program. What takes no turn beside products may stand between them
(`avx512vnni_stagger.c`). Fastest of nine runs in CPU time.
"""

from __future__ import annotations

import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

INSTRUCTIONS = (
    "vpaddd %zmm29,%zmm30,%zmmD",
    "vpaddq %zmm29,%zmm30,%zmmD",
    "vpmuldq %zmm29,%zmm30,%zmmD",
    "vpmulld %zmm29,%zmm30,%zmmD",
    "vpmullq %zmm29,%zmm30,%zmmD",
    "vpmulhrsw %zmm29,%zmm30,%zmmD",
    "vpsrad %xmm28,%zmm30,%zmmD",
    "vpsraq %xmm28,%zmm30,%zmmD",
    "vpsravd %zmm28,%zmm30,%zmmD",
    "vpsravq %zmm28,%zmm30,%zmmD",
    "vpsrlq $32,%zmm30,%zmmD",
    "vpmaxsd %zmm29,%zmm30,%zmmD",
    "vpmaxsq %zmm29,%zmm30,%zmmD",
    "vpcmpgtq %zmm29,%zmm30,%k2",
    "vpabsd %zmm30,%zmmD",
    "vpshufd $0xA0,%zmm30,%zmmD{%k1}",
    "vshufi32x4 $0x44,%zmm29,%zmm30,%zmmD",
    "vpackssdw %zmm29,%zmm30,%zmmD",
    "vpermd %zmm29,%zmm30,%zmmD",
    "vpmovsqd %zmm30,%ymmD",
    "vmovdqu64 (%1),%zmmD",
    "vpbroadcastd (%1),%zmmD",
    "prefetcht0 O(%1)",
    "vmovdqu64 %zmm30,O(%1)",
    "vmovdqu %ymm15,O(%1)",
    "vextracti64x4 $1,%zmm30,O(%1)",
)
GROUPS, PRODUCTS, ROUNDS, TIMES = 4, 12, 20000, 9

HEAD = """
#include <stdio.h>
#include <time.h>
static char bytes[4096] __attribute__((aligned(64)));
static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
"""


def escaped(line: str) -> str:
    """An instruction as extended asm has it; %0 and %1 stay operands."""
    marked = line.replace("%1", "\0")
    return marked.replace("%", "%%").replace("{", "%{").replace("}", "%}").replace("\0", "%1")


def function(name: str, lines: list[str]) -> str:
    registers = ",".join(f'"xmm{i}"' for i in range(32))
    body = "\\n".join(escaped(line) for line in lines)
    return (
        f"static void {name}(int n) {{ __asm__ volatile("
        f'"mov $0x5555,%%eax; kmovw %%eax,%%k1; 1:\\n{body}\\ndec %0; jnz 1b" '
        f': "+r"(n) : "r"(bytes) : "memory","eax","k1","k2",{registers}); }}\n'
        f"static double time_{name}(void) {{ double best = 1e9; for (int r = 0; r < {TIMES}; r++) {{ double t = now(); "
        f"{name}({ROUNDS}); t = now() - t; if (t < best) best = t; }} return best / {ROUNDS}; }}\n"
    )


def program() -> str:
    products = [f"vpdpbusd %zmm31,%zmm31,%zmm{i}" for i in range(PRODUCTS)]
    text = HEAD + function("products", products * GROUPS)
    count = GROUPS * PRODUCTS
    main = f"double turn = time_products() / {count};\n"
    main += 'printf("%-38s%8s%18s\\n", "in turns of VPDPBUSD", "alone", "beside products");\n'
    for number, instruction in enumerate(INSTRUCTIONS):
        each = [instruction.replace("D", str(12 + i)).replace("O", str(64 * i)) for i in range(PRODUCTS)]
        mixed = [line for i in range(PRODUCTS) for line in ([products[i], each[i]] if i % 2 == 0 else [products[i]])]
        text += function(f"alone_{number}", each * GROUPS) + function(f"beside_{number}", mixed * GROUPS)
        main += (
            f'printf("%-38s%8.2f%18.2f\\n", "{shown(instruction)}", time_alone_{number}() / {count} / turn, '
            f"(time_beside_{number}() - {count} * turn) / {count // 2} / turn);\n"
        )
    return text + "int main(void) { " + main + " return 0; }\n"


def shown(instruction: str) -> str:
    return instruction.replace("%1", "memory").replace("%", "").replace("O(", "(").replace("mmD", "mm")


def main() -> None:
    with TemporaryDirectory() as folder:
        source, binary = Path(folder) / "instructions.c", Path(folder) / "instructions"
        source.write_text(program())
        flags = ["-O2", "-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mavx512vnni"]
        subprocess.run(["gcc", *flags, str(source), "-o", str(binary)], check=True)
        print(subprocess.run([str(binary)], check=True, capture_output=True, text=True).stdout, end="")


if __name__ == "__main__":
    main()
