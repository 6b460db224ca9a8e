/* Sum of branches with one rounding for all of them (SPEC 4). */
#include "core/check.h"

ZQ_MULTIVERSION
void zq_sum(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    const zq_sum_params *sum = &step->params.sum;
    const zq_value *values = state->program->values;
    const int32_t frames = state->frames[step->y], channels = values[step->y].channels;
    (void)scratch;
    for (int32_t c = first; c < last; c++) {
        for (int32_t t0 = 0; t0 < frames; t0 += ZQ_TILE) {
            const int32_t n = zq_min(ZQ_TILE, frames - t0);
            int64_t total[ZQ_TILE];
            int32_t x[ZQ_TILE] = {0};
            for (int32_t t = 0; t < ZQ_TILE; t++) total[t] = sum->bias ? sum->bias[c] : 0;
            for (int32_t i = 0; i < step->inputs; i++) {
                const int64_t m = step->multiplier[(size_t)i * (size_t)channels + (size_t)c];
                zq_load(zq_row(state, step->x[i], c), values[step->x[i]].storage, t0, n, x);
                for (int32_t t = 0; t < ZQ_TILE; t++) total[t] += x[t] * m;
            }
            for (int32_t t = 0; t < ZQ_TILE; t++)
                x[t] = (int32_t)zq_saturate(zq_rounding_shift_right_half_up(total[t], step->shift[c]), step->clip_lo,
                                            step->clip_hi);
            zq_store(zq_row(state, step->y, c), values[step->y].storage, t0, n, x);
        }
    }
}

static int check(const zq_program *program, const zq_step *step)
{
    if (!zq_are_inputs_like_y(program, step)) return 0;
    return zq_is_rescale_sound(step, program->values[step->y].channels, 62);
}

const zq_kernel_entry zq_portable_sum = {.run = zq_sum};
const zq_op_entry zq_op_sum = {.check = check, .kind = ZQ_KERNEL_SUM};
