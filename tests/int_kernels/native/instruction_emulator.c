/* run_trials.c for one table alone, ONLY_TABLE, on processors without its instructions too: whoever includes this does in
 * do_instruction each one that traps. The program run is the very one that a processor with the instructions gets. At the
 * end it prints how many were done here. Linux on x86-64. */
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

/* Does the instruction at `code`; its length, or 0 for one that is not to be done here. */
static int do_instruction(ucontext_t *context, const unsigned char *code);

static void stand_in(int signal_number, siginfo_t *info, void *saved)
{
    ucontext_t *context = saved;
    const int length = do_instruction(context, (const unsigned char *)context->uc_mcontext.gregs[REG_RIP]);
    (void)info;
    if (!length) signal(signal_number, SIG_DFL); /* something else: let it fail */
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
