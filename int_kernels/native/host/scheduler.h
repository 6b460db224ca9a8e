/* Runs many utterances on many workers, for hosts with threads and an allocator. */
#ifndef ZQ_SCHEDULER_H
#define ZQ_SCHEDULER_H

#include "core/zq.h"

typedef struct {
    const void *input;    /* [C][frames] in the input's storage */
    void *const *outputs; /* [outputs_count] arrays for the results */
    int32_t frames;
} zq_utterance;

/* Run every utterance on up to `threads` workers. Each worker takes whole utterances, the longest first. Where that
 * would leave workers idle at the end, all share the steps of the last utterances. The output bytes are the same in any
 * case. `known` is NULL or has at least as many frames as the longest utterance. Threads stay in a pool and sleep
 * between calls, so a shared library with this code must not be unloaded. */
zq_status zq_run_many(const zq_program *program, const zq_kernels *kernels, const zq_length_cache *cache,
                      const zq_utterance *utterances, int32_t count, int32_t threads);

#endif
