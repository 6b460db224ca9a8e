/* A table of one number per code (SPEC 4). */
#include "core/check.h"

void zq_lookup(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    const zq_lookup_params *lookup = &step->params.lookup;
    const zq_value *values = state->program->values;
    const int32_t frames = state->frames[step->y], is_signed = values[step->x[0]].storage == ZQ_INT8;
    const int is_wide = values[step->y].storage == ZQ_INT16;
    const int16_t *table = lookup->table + lookup->offset;
    (void)scratch;
    for (int32_t c = first; c < last; c++) {
        const uint8_t *x = (const uint8_t *)zq_row(state, step->x[0], c);
        char *y = zq_row(state, step->y, c);
        for (int32_t t = 0; t < frames; t++) {
            const int16_t number = table[is_signed ? (int8_t)x[t] : x[t]];
            if (is_wide)
                ((int16_t *)y)[t] = number;
            else
                y[t] = (char)number;
        }
    }
}

static int check(const zq_program *program, const zq_step *step)
{
    if (step->inputs != 1) return 0;
    const zq_value *x = &program->values[step->x[0]], *y = &program->values[step->y];
    const zq_lookup_params *lookup = &step->params.lookup;
    if (!lookup->table || !zq_is_code(x) || !zq_is_code_or_int16(y)) return 0;
    if (x->storage == ZQ_UINT8 ? lookup->offset != 0 : !zq_is_within(lookup->offset, 2, 128)) return 0;
    return x->channels == y->channels && zq_is_as_long(x, y);
}

const zq_kernel_entry zq_portable_lookup = {.run = zq_lookup};
const zq_op_entry zq_op_lookup = {.check = check, .kind = ZQ_KERNEL_LOOKUP};
