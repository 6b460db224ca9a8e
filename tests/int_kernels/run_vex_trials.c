/* run_trials.c for the table avxvnni alone, on processors without its instruction too: each VPDPBUSD with the prefix of
 * AVX that traps is done here, on the registers that the system saved. The program run is the very one that a processor
 * with the instruction gets. Linux on x86-64 with AVX2. */
#define _GNU_SOURCE
#include <signal.h>
#include <ucontext.h>

#include "kernels.h"

static const zq_kernels *only_avxvnni(int32_t index)
{
    return index == 0 ? &zq_avxvnni : NULL;
}

#define zq_kernels_at only_avxvnni
#define main run_trials
#include "run_trials.c"
#undef main

static long done_here;

/* Half of a register in the saved state: the lower one where FXSAVE has it, the upper one 576 bytes from its start. */
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
static void stand_in(int signal_number, siginfo_t *info, void *saved)
{
    ucontext_t *context = saved;
    const unsigned char *code = (const unsigned char *)context->uc_mcontext.gregs[REG_RIP];
    (void)info;
    if (code[0] != 0xC4 || (code[1] & 31) != 2 || (code[2] & 0x87) != 5 || code[3] != 0x50 || code[4] >> 6 != 3) {
        signal(signal_number, SIG_DFL); /* something else: let it fail */
        return;
    }
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
    context->uc_mcontext.gregs[REG_RIP] += 5;
    done_here++;
}

int main(int count, char **arguments)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = stand_in;
    action.sa_flags = SA_SIGINFO;
    sigaction(SIGILL, &action, NULL);
    const int status = run_trials(count, arguments);
    if (!status) printf("%ld\n", done_here);
    return status;
}
