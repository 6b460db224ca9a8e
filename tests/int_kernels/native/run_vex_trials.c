/* instruction_emulator.c for the table avxvnni: VPDPBUSD in the VEX encoding is emulated on the registers that the
 * system saved. Needs AVX2. */
#define ONLY_TABLE zq_avxvnni
#include "instruction_emulator.c"

/* Half of a register in the saved state: the lower one in the FXSAVE area, the upper one 576 bytes from the start. */
static unsigned char *half_of(ucontext_t *context, int number, int is_upper)
{
    unsigned char *state = (unsigned char *)context->uc_mcontext.fpregs;
    return state + (is_upper ? 576 : 160) + 16 * number;
}

static void require_upper_halves(ucontext_t *context)
{
    uint64_t present;
    unsigned char *state = (unsigned char *)context->uc_mcontext.fpregs;
    memcpy(&present, state + 512, 8);
    if (!(present & 4)) memset(half_of(context, 0, 1), 0, 16 * 16);
    present |= 4;
    memcpy(state + 512, &present, 8);
}

/* C4, ~R ~X ~B 00010, 0 ~vvvv 1 01, 50, 11 reg rm. */
static int do_instruction(ucontext_t *context, const unsigned char *code)
{
    if (code[0] != 0xC4 || (code[1] & 31) != 2 || (code[2] & 0x87) != 5 || code[3] != 0x50 || code[4] >> 6 != 3)
        return 0;
    const int acc = (code[4] >> 3 & 7) | (code[1] & 0x80 ? 0 : 8), weights = (code[4] & 7) | (code[1] & 0x20 ? 0 : 8);
    const int activations = ~code[2] >> 3 & 15;
    require_upper_halves(context);
    for (int upper = 0; upper < 2; upper++) {
        unsigned char *sums = half_of(context, acc, upper);
        const unsigned char *x = half_of(context, activations, upper), *w = half_of(context, weights, upper);
        for (int lane = 0; lane < 16; lane += 4) {
            uint32_t sum;
            memcpy(&sum, sums + lane, 4);
            for (int i = lane; i < lane + 4; i++) sum += (uint32_t)((int)x[i] * (signed char)w[i]);
            memcpy(sums + lane, &sum, 4);
        }
    }
    return 5;
}
