/* Sinusoids of relative positions, by the addition theorem (SPEC 4). */
#include "core/check.h"

enum { FINE = 64 };

ZQ_INLINE int8_t code_of(int32_t sinusoid)
{
    return (int8_t)zq_saturate(zq_rounding_shift_right_half_up((int64_t)127 * sinusoid, 28), -127, 127);
}

/* A unit is a pair of channels. */
void zq_positions(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    const zq_positions_params *positions = &step->params.positions;
    const int32_t frames = state->frames[step->x[0]], pairs = state->program->values[step->y].channels / 2;
    (void)scratch;
    for (int32_t d = first; d < last; d++) {
        const int16_t *fine_sine = positions->fine + (size_t)d * FINE, *fine_cosine = fine_sine + (size_t)pairs * FINE;
        const int16_t *sine = positions->coarse + (size_t)d * (size_t)positions->blocks;
        const int16_t *cosine = sine + (size_t)pairs * (size_t)positions->blocks;
        int8_t *y_sine = (int8_t *)zq_row(state, step->y, 2 * d);
        int8_t *y_cosine = (int8_t *)zq_row(state, step->y, 2 * d + 1);
        for (int32_t p = 0; p < frames; p++) {
            const int32_t i = p / FINE, k = p % FINE;
            const int32_t s = sine[i] * fine_cosine[k] + cosine[i] * fine_sine[k];
            const int32_t c = cosine[i] * fine_cosine[k] - sine[i] * fine_sine[k];
            y_sine[frames - 1 + p] = code_of(-s);
            y_sine[frames - 1 - p] = code_of(s); /* later than its mirror image, for p = 0 */
            y_cosine[frames - 1 + p] = y_cosine[frames - 1 - p] = code_of(c);
        }
    }
}

static int32_t count_units(const zq_state *state, const zq_step *step)
{
    return state->program->values[step->y].channels / 2;
}

static int check(const zq_program *program, const zq_step *step)
{
    if (step->inputs != 1) return 0;
    const zq_value *x = &program->values[step->x[0]], *y = &program->values[step->y];
    const zq_positions_params *positions = &step->params.positions;
    if (!positions->fine || !positions->coarse || !zq_is_within(positions->blocks, 1, ZQ_MAX_LENGTH) ||
        y->channels % 2 || y->storage != ZQ_INT8)
        return 0;
    return x->length == ZQ_LENGTH_FRAMES && y->length == ZQ_LENGTH_POSITIONS && x->offset == y->offset &&
           x->stride == y->stride;
}

static int64_t max_frames(const zq_step *step)
{
    return (int64_t)FINE * step->params.positions.blocks;
}

const zq_kernel_entry zq_portable_positions = {.run = zq_positions, .units = count_units};
const zq_op_entry zq_op_positions = {.check = check, .kind = ZQ_KERNEL_POSITIONS, .max_frames = max_frames};
