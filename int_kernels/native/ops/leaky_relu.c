/* One factor for numbers of at least 0, another one below, and one rounding (SPEC 4). */
#include "core/check.h"

ZQ_MULTIVERSION
void zq_leaky_relu(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    const zq_value *values = state->program->values;
    const int32_t frames = state->frames[step->y], channels = values[step->y].channels;
    (void)scratch;
    for (int32_t c = first; c < last; c++) {
        const int64_t positive = step->multiplier[c], negative = step->multiplier[channels + c];
        for (int32_t t0 = 0; t0 < frames; t0 += ZQ_TILE) {
            const int32_t n = zq_min(ZQ_TILE, frames - t0);
            int32_t x[ZQ_TILE] = {0};
            zq_load(zq_row(state, step->x[0], c), values[step->x[0]].storage, t0, n, x);
            for (int32_t t = 0; t < ZQ_TILE; t++) {
                const int64_t scaled = x[t] * (x[t] < 0 ? negative : positive);
                x[t] = (int32_t)zq_saturate(zq_rounding_shift_right_half_up(scaled, step->shift[c]), step->clip_lo,
                                            step->clip_hi);
            }
            zq_store(zq_row(state, step->y, c), values[step->y].storage, t0, n, x);
        }
    }
}

static int check(const zq_program *program, const zq_step *step)
{
    if (step->inputs != 1 || !zq_are_inputs_like_y(program, step)) return 0;
    return zq_is_rescale_sound(step, program->values[step->y].channels, 62);
}

const zq_kernel_entry zq_portable_leaky_relu = {.run = zq_leaky_relu};
const zq_op_entry zq_op_leaky_relu = {.check = check, .kind = ZQ_KERNEL_LEAKY_RELU};
