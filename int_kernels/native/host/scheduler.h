/* Many utterances, many workers: for hosts with threads and an allocator. */
#ifndef ZQ_SCHEDULER_H
#define ZQ_SCHEDULER_H

#include "core/zq.h"

typedef struct {
    const void *input;    /* [C][frames] in the input's storage */
    void *const *outputs; /* [outputs_count] arrays for the results */
    int32_t frames;
} zq_utterance;

/* Run every utterance; up to `threads` workers. Each worker takes whole utterances, the longest first. Where that would
 * leave workers idle at the end, all share the steps of the last ones. The bytes are the same in any case. cache: of at
 * least as many frames as the longest utterance, or NULL. Threads are kept, asleep between calls: a program that loads
 * this as a library must not unload it. */
zq_status zq_run_many(const zq_program *program, const zq_kernels *kernels, const zq_length_cache *cache,
                      const zq_utterance *utterances, int32_t count, int32_t threads);

#endif
