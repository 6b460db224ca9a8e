/* The channel with the greatest number, the lowest of equals (SPEC 4). */
#include "core/check.h"

ZQ_MULTIVERSION
void zq_argmax(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    const zq_value *x = &state->program->values[step->x[0]];
    const int32_t frames = state->frames[step->y];
    (void)scratch;
    for (int32_t t0 = first * ZQ_TILE; t0 < zq_min(last * ZQ_TILE, frames); t0 += ZQ_TILE) {
        const int32_t n = zq_min(ZQ_TILE, frames - t0);
        int32_t best[ZQ_TILE], index[ZQ_TILE] = {0}, row[ZQ_TILE] = {0};
        for (int32_t t = 0; t < ZQ_TILE; t++) best[t] = INT32_MIN;
        for (int32_t c = 0; c < x->channels; c++) {
            zq_load(zq_row(state, step->x[0], c), x->storage, t0, n, row);
            for (int32_t t = 0; t < ZQ_TILE; t++) {
                index[t] = row[t] > best[t] ? c : index[t]; /* an equal one later does not win */
                best[t] = row[t] > best[t] ? row[t] : best[t];
            }
        }
        zq_store(zq_row(state, step->y, 0), ZQ_INT32, t0, n, index);
    }
}

static int check(const zq_program *program, const zq_step *step)
{
    if (step->inputs != 1) return 0;
    const zq_value *x = &program->values[step->x[0]], *y = &program->values[step->y];
    return y->channels == 1 && y->storage == ZQ_INT32 && zq_is_as_long(x, y);
}

const zq_kernel_entry zq_portable_argmax = {.run = zq_argmax, .units = zq_count_tiles};
const zq_op_entry zq_op_argmax = {.check = check, .kind = ZQ_KERNEL_ARGMAX};
