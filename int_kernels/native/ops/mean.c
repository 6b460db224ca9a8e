/* Mean over time, with one rounding (SPEC 4). */
#include "core/check.h"

ZQ_MULTIVERSION
void zq_mean(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    const zq_value *values = state->program->values;
    const int32_t frames = state->frames[step->x[0]];
    (void)scratch;
    for (int32_t c = first; c < last; c++) {
        const int64_t unit = (int64_t)frames << step->shift[c]; /* at most 2^60: 2^20 frames, shifts of 40 */
        int32_t sum = 0, x[ZQ_TILE] = {0};
        for (int32_t t0 = 0; t0 < frames; t0 += ZQ_TILE) {
            const int32_t n = zq_min(ZQ_TILE, frames - t0);
            zq_load(zq_row(state, step->x[0], c), values[step->x[0]].storage, t0, n, x);
            for (int32_t t = n; t < ZQ_TILE; t++) x[t] = 0;
            for (int32_t t = 0; t < ZQ_TILE; t++) sum += x[t];
        }
        const int64_t mean = zq_floor_div((int64_t)sum * step->multiplier[c] * 2 + unit, 2 * unit);
        const int32_t y = (int32_t)zq_saturate(mean, step->clip_lo, step->clip_hi);
        zq_store(zq_row(state, step->y, c), values[step->y].storage, 0, 1, &y);
    }
}

static int check(const zq_program *program, const zq_step *step)
{
    if (step->inputs != 1) return 0;
    const zq_value *x = &program->values[step->x[0]], *y = &program->values[step->y];
    return zq_is_code(x) && zq_is_code_or_int16(y) && y->length == ZQ_LENGTH_ONCE && x->channels == y->channels &&
           zq_is_rescale_sound(step, y->channels, 40);
}

static int64_t max_frames(const zq_step *step)
{
    (void)step;
    return ZQ_MAX_FRAMES;
}

const zq_kernel_entry zq_portable_mean = {.run = zq_mean};
const zq_op_entry zq_op_mean = {.check = check, .kind = ZQ_KERNEL_MEAN, .max_frames = max_frames};
