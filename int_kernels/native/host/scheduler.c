/* Runs many utterances on many workers (host only).
 *
 * Workers take whole utterances, the longest first. When none are left, the workers share the steps of the remaining
 * utterances, one utterance after the other, so that no worker is idle while others finish. With fewer utterances than
 * workers, mostly all utterances are shared.
 *
 * Shared steps use work stealing. Each worker has a range of a step's units and takes ever smaller pieces of it; a
 * worker with an empty range takes from the others. A step ends when its last unit is done, by any worker. A worker
 * that is busy elsewhere or descheduled delays only the piece it has taken. Workers that wait for long sleep. */
#define _POSIX_C_SOURCE 200809L
#include "host/scheduler.h"

#include <pthread.h>
#include <stdlib.h>

#include "host/thread_pool.h"

/* The remaining units of one worker: next .. end - 1 of the step numbered `turn`. During an update `turn` is 0. A
 * reader that has read `end` and then finds epoch_and_next unchanged has therefore read the matching end. */
typedef struct {
    uint64_t epoch_and_next; /* turn * 2^32 + next; atomic */
    int32_t end;             /* atomic */
    int64_t planned;         /* frames of whole utterances assigned in the plan */
    char apart[64 - 24];     /* padding: each range changes often and has its own cache line */
} zq_range;

/* State shared by the workers of one zq_run_many. */
typedef struct {
    const zq_program *program;
    const zq_kernels *kernels;
    const zq_length_cache *cache;
    const zq_utterance **queue; /* [count], the longest first */
    int32_t count;
    int32_t whole; /* the first `whole` are run whole, the others are shared */
    int32_t workers;
    int32_t next;   /* index of the next whole utterance to take; atomic */
    int32_t status; /* the first failure; atomic */
    /* shared steps */
    char *values;     /* the arena of the current utterance */
    zq_state state;   /* its layout */
    int32_t *units;   /* [steps], of the current utterance */
    zq_range *ranges; /* [workers] */
    int32_t utterance, step;
    int32_t left;     /* unfinished units of this step; atomic */
    int32_t sleepers; /* atomic */
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* signals a new `turn` */
    char apart[64];         /* padding: `turn` is polled by waiting workers and has its own cache line */
    uint32_t epoch;         /* number of the current step, from 1 on; 0 after the last; atomic */
    char behind[64];
} zq_pool;

typedef struct {
    zq_pool *pool;
    int32_t number;
    char *memory; /* values and scratch of this worker */
    uint64_t bytes;
} zq_worker;

static uint64_t most_values_bytes(const zq_pool *pool, int32_t first, int32_t end)
{
    uint64_t most = 0;
    for (int32_t u = first; u < end; u++) {
        uint64_t needed = zq_values_bytes(pool->program, pool->queue[u]->frames);
        if (needed > most) most = needed;
    }
    return most;
}

static uint64_t most_scratch_bytes(const zq_pool *pool)
{
    uint64_t most = 0;
    for (int32_t u = 0; u < pool->count; u++) {
        uint64_t needed = zq_scratch_bytes(pool->program, pool->kernels, pool->queue[u]->frames);
        if (needed > most) most = needed;
    }
    return most;
}

static void *allocate(uint64_t count, uint64_t bytes)
{
    return bytes <= SIZE_MAX / count ? malloc((size_t)(count * bytes)) : NULL;
}

static void fail(zq_pool *pool, zq_status status)
{
    int32_t none = ZQ_OK;
    __atomic_compare_exchange_n(&pool->status, &none, status, 0, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

/* ---- whole utterances ---------------------------------------------------------------------------------------- */

static void run_whole_utterances(zq_pool *pool, void *memory, uint64_t bytes)
{
    int32_t taken;
    while ((taken = __atomic_fetch_add(&pool->next, 1, __ATOMIC_RELAXED)) < pool->whole) {
        const zq_utterance *u = pool->queue[taken];
        zq_status status =
            zq_run_cached(pool->program, pool->kernels, pool->cache, u->frames, u->input, u->outputs, memory, bytes);
        if (status != ZQ_OK) fail(pool, status);
    }
}

/* ---- shared steps -------------------------------------------------------------------------------------------- */

/* Prepare the next utterance. The units of all its steps are counted now, because all workers wait between steps. */
static void prepare_utterance(zq_pool *pool)
{
    const zq_utterance *u = pool->queue[pool->utterance];
    zq_prepare(pool->program, pool->kernels, pool->cache, u->frames, u->input, u->outputs, pool->values, &pool->state);
    for (int32_t s = 0; s < pool->program->steps_count; s++) pool->units[s] = zq_units(pool->kernels, &pool->state, s);
}

/* Advance to the next step that has units. Returns 0 if there is none. */
static int find_next_step(zq_pool *pool)
{
    do {
        if (++pool->step == pool->program->steps_count) {
            pool->step = 0;
            pool->utterance++;
        }
        if (pool->utterance == pool->count) return 0;
        if (pool->step == 0) prepare_utterance(pool);
    } while (pool->units[pool->step] == 0);
    return 1;
}

/* Deal out the units of the next step and publish it. Called by the worker that finished the last unit of the
 * current step, and by plan() for the first one; no other worker changes the shared step meanwhile. */
static void open_next_step(zq_pool *pool)
{
    const uint32_t epoch = find_next_step(pool) ? __atomic_load_n(&pool->epoch, __ATOMIC_RELAXED) + 1 : 0;
    const int64_t units = epoch ? pool->units[pool->step] : 0;
    __atomic_store_n(&pool->left, (int32_t)units, __ATOMIC_RELAXED);
    for (int32_t w = 0; epoch && w < pool->workers; w++) {
        const uint64_t first = (uint64_t)(units * w / pool->workers);
        const int64_t end = units * (w + 1) / pool->workers;
        zq_range *range = &pool->ranges[w];
        __atomic_store_n(&range->epoch_and_next, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&range->end, (int32_t)end, __ATOMIC_RELEASE);
        __atomic_store_n(&range->epoch_and_next, (uint64_t)epoch << 32 | first, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&pool->epoch, epoch, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&pool->sleepers, __ATOMIC_SEQ_CST) > 0) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->changed);
        pthread_mutex_unlock(&pool->mutex);
    }
}

/* Wait until pool->turn differs from `turn`, and return it. Workers mostly finish a step together, so a worker that
 * polls for a moment need not be woken. */
static uint32_t wait_for_epoch_after(zq_pool *pool, uint32_t epoch)
{
    uint32_t now;
    for (int32_t i = 0; i < ZQ_PAUSES; i++, zq_pause())
        if ((now = __atomic_load_n(&pool->epoch, __ATOMIC_ACQUIRE)) != epoch) return now;
    pthread_mutex_lock(&pool->mutex);
    __atomic_add_fetch(&pool->sleepers, 1, __ATOMIC_SEQ_CST);
    while ((now = __atomic_load_n(&pool->epoch, __ATOMIC_SEQ_CST)) == epoch)
        pthread_cond_wait(&pool->changed, &pool->mutex);
    __atomic_sub_fetch(&pool->sleepers, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&pool->mutex);
    return now;
}

/* Take three quarters of the rest of a range: n units from *first on; returns n. Returns 0 if nothing is left or the
 * range already belongs to another step. Each piece starts by laying out its inputs: halves were 2 to 3 % slower. */
static int32_t take(zq_range *range, uint32_t epoch, int32_t *first)
{
    uint64_t seen = __atomic_load_n(&range->epoch_and_next, __ATOMIC_ACQUIRE);
    for (;;) {
        if (seen >> 32 != epoch) return 0;
        *first = (int32_t)(uint32_t)seen;
        const int32_t left = __atomic_load_n(&range->end, __ATOMIC_ACQUIRE) - *first, n = left - left / 4;
        if (left <= 0) return 0;
        if (__atomic_compare_exchange_n(&range->epoch_and_next, &seen, seen + (uint64_t)n, 0, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE))
            return n;
    }
}

/* Run units of the step numbered `turn` until none is left to take or this worker has opened the next step. */
static void run_parts_of_step(zq_pool *pool, uint32_t epoch, int32_t number, void *scratch)
{
    for (int32_t i = 0; i < pool->workers; i++) {
        zq_range *range = &pool->ranges[(number + i) % pool->workers];
        int32_t first, n;
        while ((n = take(range, epoch, &first)) > 0) {
            zq_run_units(pool->kernels, &pool->state, pool->step, first, first + n, scratch);
            if (__atomic_sub_fetch(&pool->left, n, __ATOMIC_ACQ_REL) == 0) {
                open_next_step(pool);
                return;
            }
        }
    }
}

static void run_parts_of_steps(zq_pool *pool, int32_t number, void *scratch)
{
    uint32_t epoch = __atomic_load_n(&pool->epoch, __ATOMIC_ACQUIRE);
    while (epoch) {
        run_parts_of_step(pool, epoch, number, scratch);
        epoch = wait_for_epoch_after(pool, epoch);
    }
}

/* ---- workers ------------------------------------------------------------------------------------------------- */

static void work(void *argument)
{
    const zq_worker *worker = argument;
    run_whole_utterances(worker->pool, worker->memory, worker->bytes);
    run_parts_of_steps(worker->pool, worker->number, worker->memory);
}

/* The caller is worker 0. If a thread or its scratch cannot be allocated, run with fewer workers. */
static void run_workers(zq_pool *pool)
{
    const uint64_t page = 4096, needed = most_values_bytes(pool, 0, pool->whole) + most_scratch_bytes(pool);
    const uint64_t bytes = (needed + page - 1) / page * page;
    zq_worker *workers = malloc((size_t)pool->workers * sizeof *workers);
    int32_t count = workers ? pool->workers : 0, running = 0;
    char *memory = NULL;
    while (count > 0 && !(memory = allocate((uint64_t)count, bytes))) count--;
    for (int32_t i = 0; i < count; i++) workers[i] = (zq_worker){pool, i, memory + (uint64_t)i * bytes, bytes};
    for (int32_t i = 1; i < count; i++)
        if (!zq_start_task(work, &workers[i], &running)) break;
    if (count > 0)
        work(&workers[0]);
    else
        fail(pool, ZQ_NO_MEMORY);
    zq_wait_for_tasks(&running);
    free(memory);
    free(workers);
}

static int longer_first(const void *a, const void *b)
{
    const zq_utterance *x = *(const zq_utterance *const *)a, *y = *(const zq_utterance *const *)b;
    return (x->frames < y->frames) - (x->frames > y->frames);
}

/* How many of the longest utterances are run whole: the number with the earliest estimated end. The estimate assumes
 * that all frames take equal time, that each utterance goes to the worker that is free first, and that shared frames
 * cost a quarter more. The last is because workers wait at the end of every step, the longer the busier the machine.
 * Ties go to the largest number. */
static int32_t count_whole(const zq_pool *pool)
{
    int64_t all = 0, done = 0, last = 0, best = INT64_MAX;
    int32_t whole = 0;
    for (int32_t u = 0; u < pool->count; u++) all += pool->queue[u]->frames;
    for (int32_t u = 0;; u++) { /* the first u are run whole */
        const int64_t even = (5 * all - done) / (4 * (int64_t)pool->workers), end = last > even ? last : even;
        if (end <= best) best = end, whole = u;
        if (u == pool->count) return whole;
        zq_range *first = pool->ranges;
        for (int32_t w = 1; w < pool->workers; w++)
            if (pool->ranges[w].planned < first->planned) first = &pool->ranges[w];
        first->planned += pool->queue[u]->frames;
        done += pool->queue[u]->frames;
        if (first->planned > last) last = first->planned;
    }
}

/* Decide which utterances run whole, and open the first shared step. */
static zq_status plan(zq_pool *pool, const zq_utterance *utterances)
{
    pool->queue = malloc((size_t)pool->count * sizeof *pool->queue);
    pool->ranges = calloc((size_t)pool->workers, sizeof *pool->ranges);
    if (!pool->queue || !pool->ranges) return ZQ_NO_MEMORY;
    for (int32_t u = 0; u < pool->count; u++) pool->queue[u] = &utterances[u];
    qsort(pool->queue, (size_t)pool->count, sizeof *pool->queue, longer_first);
    pool->whole = count_whole(pool);
    if (pool->whole == pool->count) return ZQ_OK;
    pool->values = allocate(1, most_values_bytes(pool, pool->whole, pool->count));
    pool->units = malloc((size_t)pool->program->steps_count * sizeof *pool->units);
    if (!pool->values || !pool->units) return ZQ_NO_MEMORY;
    pool->utterance = pool->whole - 1;
    pool->step = pool->program->steps_count - 1;
    open_next_step(pool);
    return ZQ_OK;
}

zq_status zq_run_many(const zq_program *program, const zq_kernels *kernels, const zq_length_cache *cache,
                      const zq_utterance *utterances, int32_t count, int32_t threads)
{
    zq_pool pool = {.program = program, .kernels = kernels, .cache = cache, .count = count};
    for (int32_t u = 0; u < count; u++)
        if (!zq_values_bytes(program, utterances[u].frames)) return ZQ_BAD_LENGTH;
    if (count < 1) return ZQ_OK;
    pool.workers = threads < 1 ? 1 : threads;
    pthread_mutex_init(&pool.mutex, NULL);
    pthread_cond_init(&pool.changed, NULL);
    pool.status = (int32_t)plan(&pool, utterances);
    if (pool.status == ZQ_OK) run_workers(&pool);
    free(pool.queue);
    free(pool.ranges);
    free(pool.units);
    free(pool.values);
    pthread_cond_destroy(&pool.changed);
    pthread_mutex_destroy(&pool.mutex);
    return (zq_status)pool.status;
}
