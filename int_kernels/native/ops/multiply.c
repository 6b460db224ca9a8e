/* Product of two values, frame by frame or with one number per channel (SPEC 4). */
#include "core/check.h"

ZQ_MULTIVERSION
void zq_multiply(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    const zq_value *values = state->program->values;
    const int32_t frames = state->frames[step->y], a = step->x[0], b = step->x[1];
    const int is_once = values[b].length == ZQ_LENGTH_ONCE;
    (void)scratch;
    for (int32_t c = first; c < last; c++) {
        const int32_t once = zq_get(zq_row(state, b, c), values[b].storage, 0);
        for (int32_t t0 = 0; t0 < frames; t0 += ZQ_TILE) {
            const int32_t n = zq_min(ZQ_TILE, frames - t0);
            int32_t x[ZQ_TILE] = {0}, z[ZQ_TILE] = {0};
            zq_load(zq_row(state, a, c), values[a].storage, t0, n, x);
            if (!is_once) zq_load(zq_row(state, b, c), values[b].storage, t0, n, z);
            for (int32_t t = 0; t < ZQ_TILE; t++) x[t] *= is_once ? once : z[t];
            zq_store(zq_row(state, step->y, c), ZQ_INT32, t0, n, x);
        }
    }
}

static int check(const zq_program *program, const zq_step *step)
{
    if (step->inputs != 2) return 0;
    const zq_value *a = &program->values[step->x[0]], *b = &program->values[step->x[1]];
    const zq_value *y = &program->values[step->y];
    if (!zq_is_code_or_int16(a) || !zq_is_code_or_int16(b) || y->storage != ZQ_INT32) return 0;
    return a->channels == y->channels && b->channels == y->channels && zq_is_as_long(a, y) &&
           (b->length == ZQ_LENGTH_ONCE || zq_is_as_long(b, y));
}

const zq_kernel_entry zq_portable_multiply = {.run = zq_multiply};
const zq_op_entry zq_op_multiply = {.check = check, .kind = ZQ_KERNEL_MULTIPLY};
