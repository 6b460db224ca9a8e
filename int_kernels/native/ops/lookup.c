/* A table of one number per code (SPEC 4). */
#include "core/kernels.h"

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
