/* The largest of neighbouring frames (SPEC 4). */
#include "core/check.h"

void zq_max_pool(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    const zq_max_pool_params *pool = &step->params.max_pool;
    const int32_t frames = state->frames[step->y], frames_in = state->frames[step->x[0]];
    const int32_t storage = state->program->values[step->y].storage;
    (void)scratch;
    for (int32_t c = first; c < last; c++) {
        const char *x = zq_row(state, step->x[0], c);
        char *y = zq_row(state, step->y, c);
        for (int32_t t = 0; t < frames; t++) {
            const int32_t start = t * pool->stride - pool->padding;
            const int32_t end = zq_min(start + pool->kernel, frames_in);
            int32_t i = start > 0 ? start : 0, largest = zq_get(x, storage, i);
            for (i++; i < end; i++) {
                const int32_t number = zq_get(x, storage, i);
                largest = number > largest ? number : largest;
            }
            zq_store(y, storage, t, 1, &largest);
        }
    }
}

static int check(const zq_program *program, const zq_step *step)
{
    if (step->inputs != 1) return 0;
    const zq_value *x = &program->values[step->x[0]], *y = &program->values[step->y];
    const zq_max_pool_params *pool = &step->params.max_pool;
    if (!zq_is_within(pool->kernel, 1, ZQ_MAX_EXTENT) || !zq_is_within(pool->stride, 1, ZQ_MAX_EXTENT)) return 0;
    if (!zq_is_within(pool->padding, 0, pool->kernel / 2)) return 0; /* each window has at least one frame */
    if (!zq_is_code_or_int16(x) || x->storage != y->storage || x->channels != y->channels) return 0;
    if (x->length != ZQ_LENGTH_FRAMES || y->length != ZQ_LENGTH_FRAMES) return 0;
    const int64_t added = 2 * (int64_t)pool->padding - pool->kernel + pool->stride;
    return y->stride == x->stride * pool->stride && y->offset == x->offset + x->stride * added;
}

const zq_kernel_entry zq_portable_max_pool = {.run = zq_max_pool};
const zq_op_entry zq_op_max_pool = {.check = check, .kind = ZQ_KERNEL_MAX_POOL};
