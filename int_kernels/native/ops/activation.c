/* Sigmoid, tanh, swish, gelu and glu of fixed-point numbers (SPEC 4).
 *
 * All of them see at most 131,073 different numbers u, and are constant far away from 0. zq_pack makes a table of the
 * result (glu: of sigma) for the others once; without one the function is computed for each number. */
#include "core/check.h"
#include "ops/activation.h"

enum {
    MOST = ZQ_MOST_FIXED,
    /* sigma(u) is 0 or 32768 for |u| >= 12 * 1024: e <= 2^14 there. So is that of gelu, which is of a number further
     * away from 0 than u. */
    FAR = 12288
};

/* v of SPEC 4 for one operand. */
static int64_t function_of(int32_t function, int64_t u)
{
    const int32_t number = (int32_t)u;
    if (function == ZQ_SIGMOID) return zq_sigma(number);
    if (function == ZQ_TANH) return 2 * zq_sigma(number) - 32768;
    if (function == ZQ_SWISH) return u * zq_sigma(number);
    const int64_t cubic = 104580 + ((((u * u + 512) >> 10) * 4676 + 512) >> 10);
    return u * zq_sigma((int32_t)zq_saturate((u * cubic + 32768) >> 16, -MOST, MOST));
}

ZQ_INLINE int32_t result_of(const zq_step *step, int64_t v)
{
    const zq_activation_params *activation = &step->params.activation;
    const int64_t y =
        zq_rounding_shift_right_half_up(v * activation->multiplier, activation->shift) + activation->offset;
    return (int32_t)zq_saturate(y, step->clip_lo, step->clip_hi);
}

/* The greatest number that the table needs. Swish and gelu go on growing, up to the clip; they never fall again. */
static int32_t table_end(const zq_step *step)
{
    const zq_activation_params *activation = &step->params.activation;
    if (activation->kind != ZQ_SWISH && activation->kind != ZQ_GELU) return FAR;
    const int32_t highest = result_of(step, function_of(activation->kind, MOST));
    int32_t lo = 0, hi = MOST; /* y(hi) is the highest */
    while (lo < hi) {
        const int32_t middle = (lo + hi) / 2;
        if (result_of(step, function_of(activation->kind, middle)) == highest)
            hi = middle;
        else
            lo = middle + 1;
    }
    return hi;
}

static size_t number_size(const zq_program *program, const zq_step *step)
{
    return step->params.activation.kind == ZQ_GLU ? 2 : zq_size(program->values[step->y].storage);
}

uint64_t zq_activation_bytes(const zq_program *program, const zq_step *step)
{
    return sizeof(zq_function_table) + (uint64_t)(table_end(step) + FAR + 1) * number_size(program, step);
}

void zq_pack_activation(const zq_program *program, const zq_step *step, void *packed)
{
    const zq_activation_params *activation = &step->params.activation;
    const zq_function_table head = {-FAR, table_end(step)};
    const size_t size = number_size(program, step);
    char *numbers = (char *)packed + sizeof head;
    memcpy(packed, &head, sizeof head);
    for (int32_t u = head.lo; u <= head.hi; u++, numbers += size) {
        const int32_t number =
            activation->kind == ZQ_GLU ? zq_sigma(u) : result_of(step, function_of(activation->kind, u));
        const uint16_t wide = (uint16_t)number;
        const uint8_t narrow = (uint8_t)number;
        if (size == 2)
            memcpy(numbers, &wide, 2);
        else
            *numbers = (char)narrow;
    }
}

/* u[t] of operand i: n frames of channel c from t0 on, in 1/1024. */
ZQ_INLINE void load_fixed(const zq_state *state, const zq_step *step, int32_t i, int32_t c, int32_t t0, int32_t n,
                          int64_t lo, int64_t hi, int32_t *restrict u)
{
    const zq_value *values = state->program->values;
    const size_t place = (size_t)i * (size_t)values[step->y].channels + (size_t)c;
    zq_load(zq_row(state, step->x[i], c), values[step->x[i]].storage, t0, n, u);
    zq_rescale_numbers(step->multiplier[place], step->shift[place], lo, hi, u);
}

/* u[t] = y[t] of a glu, from its factor and its gate. */
ZQ_INLINE void gate(const zq_step *step, const zq_function_table *head, const int32_t *restrict gates, int32_t n,
                    int32_t *restrict u)
{
    int32_t sigma[ZQ_TILE] = {0};
    for (int32_t t = 0; t < n; t++) sigma[t] = head ? zq_sigma_table(head)[gates[t]] : zq_sigma(gates[t]);
    for (int32_t t = 0; t < ZQ_TILE; t++) u[t] = result_of(step, (int64_t)u[t] * sigma[t]);
}

ZQ_MULTIVERSION
void zq_activation(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    const zq_activation_params *activation = &step->params.activation;
    const int32_t frames = state->frames[step->y], storage = state->program->values[step->y].storage;
    const zq_function_table *head = step->packed;
    const int64_t lo = head ? head->lo : -MOST, hi = head ? head->hi : MOST;
    const size_t size = zq_size(storage);
    (void)scratch;
    for (int32_t c = first; c < last; c++) {
        for (int32_t t0 = 0; t0 < frames; t0 += ZQ_TILE) {
            const int32_t n = zq_min(ZQ_TILE, frames - t0);
            int32_t u[ZQ_TILE] = {0}, gates[ZQ_TILE] = {0};
            char *y = zq_row(state, step->y, c);
            if (activation->kind == ZQ_GLU) {
                load_fixed(state, step, 0, c, t0, n, -MOST, MOST, u);
                load_fixed(state, step, 1, c, t0, n, lo, hi, gates);
                gate(step, head, gates, n, u);
                zq_store(y, storage, t0, n, u);
            } else {
                load_fixed(state, step, 0, c, t0, n, lo, hi, u);
                if (head)
                    zq_look_up(head, size, u, n, y + (size_t)t0 * size);
                else
                    for (int32_t t = 0; t < n; t++) u[t] = result_of(step, function_of(activation->kind, u[t]));
                if (!head) zq_store(y, storage, t0, n, u);
            }
        }
    }
}

enum { MAX_OFFSET = 1 << 16 };

static int check(const zq_program *program, const zq_step *step)
{
    const zq_value *y = &program->values[step->y];
    const zq_activation_params *activation = &step->params.activation;
    if (!zq_is_within(activation->kind, ZQ_SIGMOID, ZQ_GLU) || step->inputs != 1 + (activation->kind == ZQ_GLU))
        return 0;
    if (!zq_is_within(activation->offset, -MAX_OFFSET, MAX_OFFSET) || !zq_is_within(activation->shift, 1, 62)) return 0;
    if (activation->multiplier < 0 || !zq_is_code_or_int16(y)) return 0;
    if (!zq_are_inputs_like_y(program, step)) return 0;
    return zq_is_rescale_sound(step, step->inputs * y->channels, 62);
}

const zq_kernel_entry zq_portable_activation = {
    .run = zq_activation, .packed_bytes = zq_activation_bytes, .pack = zq_pack_activation};
const zq_op_entry zq_op_activation = {.check = check, .kind = ZQ_KERNEL_ACTIVATION};
