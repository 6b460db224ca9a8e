/* Instruction emulator (SIGILL): run_trials.c for one dispatch table, ONLY_TABLE, also on processors without its
 * instructions. The including file emulates each trapped instruction in do_instruction. The code under test is exactly
 * that of a processor with the instructions. At the end the number of emulated instructions is printed. Linux on
 * x86-64. */
#define _GNU_SOURCE
#include <signal.h>
#include <ucontext.h>

#include "core/kernels.h"

static const zq_kernels *only_table(int32_t index)
{
    return index == 0 ? &ONLY_TABLE : NULL;
}

#define zq_kernels_at only_table
#define main run_trials
#include "run_trials.c"
#undef main

static long done_here;

/* Emulate the instruction at `code`. Returns its length, or 0 if it is not supported here. */
static int do_instruction(ucontext_t *context, const unsigned char *code);

static void stand_in(int signal_number, siginfo_t *info, void *saved)
{
    ucontext_t *context = saved;
    const int length = do_instruction(context, (const unsigned char *)context->uc_mcontext.gregs[REG_RIP]);
    (void)info;
    if (!length) signal(signal_number, SIG_DFL); /* unsupported instruction: let it fail */
    context->uc_mcontext.gregs[REG_RIP] += length;
    done_here += length > 0;
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
