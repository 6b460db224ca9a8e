/* instruction_emulator.c for the table amx, with tiles kept in this file. Nothing here requests tiles from the system,
 * so a processor with AMX traps as well, except on LDTILECFG and TILERELEASE. These two may not
 * reach the emulator, so its tiles have full size at all times. Needs AVX-512 VNNI and VBMI. */
#define ONLY_TABLE zq_amx
#include "instruction_emulator.c"

enum { ROWS = 16, BYTES = 64 };

static unsigned char tiles[8][ROWS][BYTES];

/* All instructions are C4, ~R ~X ~B 00010, 0 ~vvvv 0 pp, opcode, ModRM, and what ModRM requires. */
enum { NO_PREFIX, PREFIX_66, PREFIX_F3, PREFIX_F2 }; /* pp */

static uint64_t register_of(const ucontext_t *context, int number)
{
    static const int places[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                   REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    return (uint64_t)context->uc_mcontext.gregs[places[number]];
}

/* A memory operand. */
typedef struct {
    uint64_t start, pitch; /* base + displacement; index * scale */
    int length;            /* of the whole instruction */
} memory;

static memory memory_of(const ucontext_t *context, const unsigned char *code)
{
    const int mode = code[4] >> 6, has_sib = (code[4] & 7) == 4;
    const int base = (has_sib ? code[5] : code[4]) & 7, has_base = mode != 0 || base != 5;
    memory m = {0, 0, has_sib ? 6 : 5};
    if (has_sib) {
        const int index = (code[5] >> 3 & 7) | (code[1] & 0x40 ? 0 : 8);
        if (index != 4) m.pitch = register_of(context, index) << (code[5] >> 6);
    }
    if (mode == 1) {
        m.start = (uint64_t)(signed char)code[m.length];
        m.length += 1;
    } else if (mode == 2 || !has_base) {
        int32_t displacement;
        memcpy(&displacement, code + m.length, 4);
        m.start = (uint64_t)displacement;
        m.length += 4;
    }
    if (has_base)
        m.start += register_of(context, base | (code[1] & 0x20 ? 0 : 8));
    else if (!has_sib)
        m.start += (uint64_t)(uintptr_t)code + (uint64_t)m.length; /* relative to the next instruction */
    return m;
}

static unsigned char *row_of(memory m, int row)
{
    return (unsigned char *)(uintptr_t)(m.start + m.pitch * (uint64_t)row);
}

/* True for palette 1 with eight tiles of 1 to 16 rows of 64 bytes. Rows beyond the configured number are accessed all
 * the same: they must be memory of the program, and no result depends on them. */
static int are_possible(const unsigned char *config)
{
    unsigned char possible[64] = {1};
    for (int tile = 0; tile < 8; tile++) {
        possible[16 + 2 * tile] = BYTES;
        possible[48 + tile] = config[48 + tile];
        if (config[48 + tile] < 1 || config[48 + tile] > ROWS) return 0;
    }
    return !memcmp(config, possible, sizeof possible);
}

static int code_of(unsigned char byte, int is_signed)
{
    return is_signed ? (signed char)byte : byte;
}

/* sums[m][n] += first[m][4 * k + i] * second[k][4 * n + i] for all k and i, modulo 2^32. */
static void add_products(int sums, int first, int first_signed, int second, int second_signed)
{
    int codes[BYTES][BYTES / 4]; /* [4 * k + i][n] */
    for (int k = 0; k < ROWS; k++)
        for (int byte = 0; byte < BYTES; byte++)
            codes[4 * k + byte % 4][byte / 4] = code_of(tiles[second][k][byte], second_signed);
    for (int m = 0; m < ROWS; m++) {
        uint32_t row[BYTES / 4];
        memcpy(row, tiles[sums][m], sizeof row);
        for (int tap = 0; tap < BYTES; tap++) {
            const int code = code_of(tiles[first][m][tap], first_signed);
            for (int n = 0; n < BYTES / 4; n++) row[n] += (uint32_t)(code * codes[tap][n]);
        }
        memcpy(tiles[sums][m], row, sizeof row);
    }
}

/* Returns 0 for instructions that are not AMX or that no processor accepts. */
static int do_instruction(ucontext_t *context, const unsigned char *code)
{
    if (code[0] != 0xC4 || (code[1] & 0x9F) != 0x82 || code[2] & 0x84) return 0;
    const int is_memory = code[4] >> 6 != 3, has_sib = is_memory && (code[4] & 7) == 4, prefix = code[2] & 3;
    const int reg = code[4] >> 3 & 7, rm = code[4] & 7, vvvv = ~code[2] >> 3 & 15;
    if (code[3] == 0x5E) { /* TDPBUUD, TDPBUSD, TDPBSUD, TDPBSSD */
        if (is_memory || !(code[1] & 0x20) || vvvv > 7 || reg == rm || reg == vvvv || rm == vvvv) return 0;
        add_products(reg, rm, prefix >> 1, vvvv, prefix & 1);
        return 5;
    }
    if (vvvv) return 0;
    const memory m = is_memory ? memory_of(context, code) : (memory){0, 0, 5};
    if (code[3] == 0x49 && prefix == NO_PREFIX && is_memory && reg == 0) { /* LDTILECFG */
        if (!are_possible(row_of(m, 1))) return 0;
        memset(tiles, 0, sizeof tiles);
    } else if (code[3] == 0x49 && prefix == NO_PREFIX && code[4] == 0xC0) { /* TILERELEASE */
        memset(tiles, 0, sizeof tiles);
    } else if (code[3] == 0x49 && prefix == PREFIX_F2 && !is_memory && rm == 0) { /* TILEZERO */
        memset(tiles[reg], 0, sizeof tiles[reg]);
    } else if (code[3] == 0x4B && prefix == PREFIX_F2 && has_sib) { /* TILELOADD */
        for (int row = 0; row < ROWS; row++) memcpy(tiles[reg][row], row_of(m, row), BYTES);
    } else if (code[3] == 0x4B && prefix == PREFIX_F3 && has_sib) { /* TILESTORED */
        for (int row = 0; row < ROWS; row++) memcpy(row_of(m, row), tiles[reg][row], BYTES);
    } else {
        return 0;
    }
    return m.length;
}
