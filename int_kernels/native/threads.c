/* Many utterances, many workers (host only). Workers that wait for long are asleep. */
#define _POSIX_C_SOURCE 200809L
#include "threads.h"

#include <pthread.h>
#include <stdlib.h>

enum {
    PAUSES = 1000, /* of a waiting worker before it falls asleep: ten to fifty microseconds */
    NAPS = 64      /* times that it falls asleep at once after having paused in vain */
};

/* What the workers of one zq_run_many share; the fields from `workers` to `status` are guarded by the mutex. */
typedef struct {
    const zq_program *program;
    const zq_kernels *kernels;
    const zq_utterance *utterances;
    int32_t count;
    int is_split;         /* all workers share each utterance's steps */
    char *values;         /* is_split: the arena of the utterance at work */
    zq_state state;       /* is_split: its layout */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int32_t workers;      /* how many take part; 0 until all are started */
    int32_t started;
    int32_t next;         /* the next utterance to take */
    zq_status status;     /* the first failure */
    int32_t arrived;      /* at the barrier; atomic, as the next */
    uint32_t round;       /* of the barrier; changed with the mutex held */
} zq_pool;

static uint64_t most_values_bytes(const zq_pool *pool)
{
    uint64_t most = 0;
    for (int32_t u = 0; u < pool->count; u++) {
        uint64_t needed = zq_values_bytes(pool->program, pool->utterances[u].frames);
        if (needed > most) most = needed;
    }
    return most;
}

static uint64_t most_scratch_bytes(const zq_pool *pool)
{
    uint64_t most = 0;
    for (int32_t u = 0; u < pool->count; u++) {
        uint64_t needed = zq_scratch_bytes(pool->program, pool->kernels, pool->utterances[u].frames);
        if (needed > most) most = needed;
    }
    return most;
}

static void *allocate(uint64_t bytes)
{
    return bytes <= SIZE_MAX ? malloc((size_t)bytes) : NULL;
}

/* For a moment nothing else is done here. */
static void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Wait until every worker is here. Steps mostly end together, so that a worker that stays awake for a moment need not be
 * woken; but where the processors are busy with other programs, that only takes time from the worker waited for, and
 * the next *naps times it falls asleep at once. */
static void barrier(zq_pool *pool, int32_t *naps)
{
    /* it can't change before this worker has come */
    const uint32_t round = __atomic_load_n(&pool->round, __ATOMIC_RELAXED);
    if (__atomic_add_fetch(&pool->arrived, 1, __ATOMIC_ACQ_REL) == pool->workers) {
        __atomic_store_n(&pool->arrived, 0, __ATOMIC_RELAXED);
        pthread_mutex_lock(&pool->mutex);
        __atomic_store_n(&pool->round, round + 1, __ATOMIC_RELEASE);
        pthread_cond_broadcast(&pool->changed);
        pthread_mutex_unlock(&pool->mutex);
        return;
    }
    for (int32_t i = 0; i < PAUSES && *naps == 0; i++) {
        if (__atomic_load_n(&pool->round, __ATOMIC_ACQUIRE) != round) return;
        pause_briefly();
    }
    *naps = *naps > 0 ? *naps - 1 : NAPS;
    pthread_mutex_lock(&pool->mutex);
    while (__atomic_load_n(&pool->round, __ATOMIC_ACQUIRE) == round) pthread_cond_wait(&pool->changed, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
}

static void fail(zq_pool *pool, zq_status status)
{
    pthread_mutex_lock(&pool->mutex);
    if (pool->status == ZQ_OK) pool->status = status;
    pthread_mutex_unlock(&pool->mutex);
}

static const zq_utterance *take(zq_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    const zq_utterance *taken = pool->next < pool->count ? &pool->utterances[pool->next++] : NULL;
    pthread_mutex_unlock(&pool->mutex);
    return taken;
}

static void run_whole_utterances(zq_pool *pool)
{
    const uint64_t bytes = most_values_bytes(pool) + most_scratch_bytes(pool);
    void *arena = allocate(bytes);
    const zq_utterance *u;
    if (!arena) {
        fail(pool, ZQ_NO_MEMORY);
        return;
    }
    while ((u = take(pool))) {
        zq_status status = zq_run(pool->program, pool->kernels, u->frames, u->input, u->outputs, arena, bytes);
        if (status != ZQ_OK) fail(pool, status);
    }
    free(arena);
}

static void run_parts_of_steps(zq_pool *pool, int32_t worker, void *scratch)
{
    int32_t naps = 0;
    for (int32_t u = 0; u < pool->count; u++) {
        const zq_utterance *utterance = &pool->utterances[u];
        if (worker == 0)
            zq_prepare(pool->program, utterance->frames, utterance->input, utterance->outputs, pool->values,
                       &pool->state);
        barrier(pool, &naps);
        for (int32_t s = 0; s < pool->program->steps_count; s++) {
            const int64_t units = zq_units(&pool->state, s);
            zq_run_units(pool->kernels, &pool->state, s, (int32_t)(units * worker / pool->workers),
                         (int32_t)(units * (worker + 1) / pool->workers), scratch);
            barrier(pool, &naps);
        }
    }
}

static void *work(void *argument)
{
    zq_pool *pool = argument;
    void *scratch = pool->is_split ? allocate(most_scratch_bytes(pool)) : NULL;
    if (pool->is_split && !scratch) fail(pool, ZQ_NO_MEMORY);
    pthread_mutex_lock(&pool->mutex);
    const int32_t worker = pool->started++;
    pthread_cond_broadcast(&pool->changed);
    while (pool->workers == 0 || pool->started < pool->workers) pthread_cond_wait(&pool->changed, &pool->mutex);
    const int is_sound = pool->status == ZQ_OK; /* all workers see the same: none starts before all have reported */
    pthread_mutex_unlock(&pool->mutex);
    if (is_sound && pool->is_split) run_parts_of_steps(pool, worker, scratch);
    if (is_sound && !pool->is_split) run_whole_utterances(pool);
    free(scratch);
    return NULL;
}

/* The caller is one of the workers; a thread that cannot be started is done without. */
static void run_workers(zq_pool *pool, int32_t threads)
{
    pthread_t *ids = malloc((size_t)threads * sizeof *ids);
    int32_t others = 0;
    while (ids && others < threads - 1 && pthread_create(&ids[others], NULL, work, pool) == 0) others++;
    pthread_mutex_lock(&pool->mutex);
    pool->workers = others + 1;
    pthread_cond_broadcast(&pool->changed);
    pthread_mutex_unlock(&pool->mutex);
    work(pool);
    for (int32_t i = 0; i < others; i++) pthread_join(ids[i], NULL);
    free(ids);
}

zq_status zq_run_many(const zq_program *program, const zq_kernels *kernels, const zq_utterance *utterances,
                      int32_t count, int32_t threads)
{
    zq_pool pool = {.program = program, .kernels = kernels, .utterances = utterances, .count = count};
    for (int32_t u = 0; u < count; u++)
        if (!zq_values_bytes(program, utterances[u].frames)) return ZQ_BAD_LENGTH;
    if (count < 1) return ZQ_OK;
    pool.is_split = threads > count;
    if (pool.is_split && !(pool.values = allocate(most_values_bytes(&pool)))) return ZQ_NO_MEMORY;
    pthread_mutex_init(&pool.mutex, NULL);
    pthread_cond_init(&pool.changed, NULL);
    run_workers(&pool, threads < 1 ? 1 : threads);
    pthread_cond_destroy(&pool.changed);
    pthread_mutex_destroy(&pool.mutex);
    free(pool.values);
    return pool.status;
}
