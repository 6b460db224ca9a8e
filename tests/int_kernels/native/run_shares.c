/* scheduler.c alone, on dummy steps that only count. `run_shares THREADS FRAMES...` runs all utterances twice, the
 * second time on threads that are already in the pool. It prints the status, then for every utterance in the given
 * order whether it was run whole, how often it was prepared for shared steps, and how many of each step's units ran. */
#include "host/scheduler.c" /* first: it defines _POSIX_C_SOURCE */
#include "host/thread_pool.c"

#include <stdio.h>
#include <string.h>

enum { STEPS = 4, MOST = 64, TOO_LARGE = 1000000 };

static const int32_t units_of[STEPS] = {0, 37, 0, 1};

typedef struct {
    int whole, prepared;
    int32_t units[STEPS];
} record;

uint64_t zq_values_bytes(const zq_program *program, int32_t T)
{
    (void)program;
    return T < TOO_LARGE ? (uint64_t)T : (uint64_t)1 << 62;
}

uint64_t zq_scratch_bytes(const zq_program *program, const zq_kernels *kernels, int32_t T)
{
    (void)program, (void)kernels, (void)T;
    return 64;
}

zq_status zq_run_cached(const zq_program *program, const zq_kernels *kernels, const zq_length_cache *cache, int32_t T,
                        const void *input, void *const *outputs, void *arena, uint64_t arena_bytes)
{
    (void)program, (void)kernels, (void)cache, (void)input, (void)arena;
    __atomic_add_fetch(&((record *)outputs[0])->whole, 1, __ATOMIC_RELAXED);
    return arena_bytes < (uint64_t)T + 64 ? ZQ_SMALL_ARENA : ZQ_OK;
}

zq_status zq_prepare(const zq_program *program, const zq_kernels *kernels, const zq_length_cache *cache, int32_t T,
                     const void *input, void *const *outputs, void *arena, zq_state *state)
{
    (void)program, (void)kernels, (void)cache, (void)input;
    memset(arena, 0xA5, (size_t)T);
    state->data = (void **)outputs[0];
    ((record *)outputs[0])->prepared++;
    return ZQ_OK;
}

int32_t zq_units(const zq_kernels *kernels, const zq_state *state, int32_t step)
{
    (void)kernels;
    (void)state;
    return units_of[step];
}

void zq_run_units(const zq_kernels *kernels, const zq_state *state, int32_t step, int32_t first, int32_t last,
                  void *scratch)
{
    (void)kernels;
    memset(scratch, 0xA5, 64);
    __atomic_add_fetch(&((record *)(void *)state->data)->units[step], last - first, __ATOMIC_RELAXED);
}

int main(int words, char **argv)
{
    static record records[MOST];
    static void *outputs[MOST][1];
    static zq_utterance utterances[MOST];
    const zq_program program = {.steps_count = STEPS};
    const int32_t count = words - 2;
    for (int32_t u = 0; u < count; u++) {
        outputs[u][0] = &records[u];
        utterances[u] = (zq_utterance){NULL, outputs[u], atoi(argv[u + 2])};
    }
    for (int round = 0; round < 2; round++) {
        memset(records, 0, sizeof records);
        zq_status status = zq_run_many(&program, NULL, NULL, utterances, count, atoi(argv[1]));
        if (round > 0) printf("%d\n", (int)status);
    }
    for (int32_t u = 0; u < count; u++) {
        printf("%d %d", records[u].whole, records[u].prepared);
        for (int32_t step = 0; step < STEPS; step++) printf(" %d", (int)records[u].units[step]);
        printf("\n");
    }
    return 0;
}
