/* Normalisation over the channels of each frame, from exact sums (SPEC 4). */
#include "core/check.h"
#include "ops/layer_norm.h"

/* root[t] = floor(sqrt(x[t])), bit by bit. */
ZQ_INLINE void square_roots(const uint64_t *restrict x, uint64_t *restrict root)
{
    for (int32_t t = 0; t < ZQ_TILE; t++) root[t] = 0;
    for (int32_t bit = 31; bit >= 0; bit--)
        for (int32_t t = 0; t < ZQ_TILE; t++) {
            const uint64_t candidate = root[t] | (uint64_t)1 << bit;
            root[t] = candidate * candidate <= x[t] ? candidate : root[t];
        }
}

/* z = ((d * q - s1) * inverse + half) >> (42 - k), with d * inverse and s1 * inverse - half made here. */
ZQ_MULTIVERSION
void zq_make_norms(const zq_step *step, int32_t channels, const int32_t *sums, const int64_t *squares, zq_norms *norms)
{
    const int64_t epsilon = step->params.layer_norm.epsilon;
    uint64_t variance[ZQ_TILE], root[ZQ_TILE];
    for (int32_t t = 0; t < ZQ_TILE; t++) {
        const int64_t spread = channels * squares[t] - (int64_t)sums[t] * sums[t];
        variance[t] = (uint64_t)(spread * 4096 + epsilon); /* below 2^63 */
        const int32_t bits = zq_bit_length(variance[t]), k = bits < 62 ? (62 - bits) / 2 : 0;
        variance[t] <<= 2 * k;
        norms->shift[t] = 42 - k;
    }
    square_roots(variance, root);
    for (int32_t t = 0; t < ZQ_TILE; t++) {
        const int64_t inverse = (int64_t)(((uint64_t)1 << 62) / root[t]);
        norms->factor[t] = channels * inverse;
        norms->taken[t] = sums[t] * inverse - ((int64_t)1 << (norms->shift[t] - 1));
    }
}

/* Sums over the channels of the tile at t0; frames beyond n count as 0. */
ZQ_INLINE void add_up(const zq_state *state, const zq_step *step, int32_t t0, int32_t n, int32_t *restrict sums,
                      int64_t *restrict squares)
{
    const zq_value *x = &state->program->values[step->x[0]];
    int32_t q[ZQ_TILE] = {0};
    for (int32_t t = 0; t < ZQ_TILE; t++) sums[t] = 0, squares[t] = 0;
    for (int32_t c = 0; c < x->channels; c++) {
        zq_load(zq_row(state, step->x[0], c), x->storage, t0, n, q);
        for (int32_t t = 0; t < ZQ_TILE; t++) {
            sums[t] += q[t];
            squares[t] += q[t] * q[t];
        }
    }
}

ZQ_MULTIVERSION
void zq_layer_norm(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    const zq_value *x = &state->program->values[step->x[0]], *y = &state->program->values[step->y];
    const int32_t frames = state->frames[step->y], channels = x->channels;
    (void)scratch;
    for (int32_t tile = first; tile < last; tile++) {
        const int32_t t0 = tile * ZQ_TILE, n = zq_min(ZQ_TILE, frames - t0);
        zq_norms norms;
        int32_t sums[ZQ_TILE], q[ZQ_TILE] = {0}, codes[ZQ_TILE];
        int64_t squares[ZQ_TILE];
        add_up(state, step, t0, n, sums, squares);
        zq_make_norms(step, channels, sums, squares, &norms);
        for (int32_t c = 0; c < channels; c++) {
            const int32_t shift = step->shift[c];
            const int64_t m = step->multiplier[c],
                          added = step->params.layer_norm.bias[c] + ((int64_t)1 << (shift - 1));
            zq_load(zq_row(state, step->x[0], c), x->storage, t0, n, q);
            for (int32_t t = 0; t < ZQ_TILE; t++) {
                const int64_t z = (q[t] * norms.factor[t] - norms.taken[t]) >> norms.shift[t];
                codes[t] = (int32_t)zq_saturate((z * m + added) >> shift, step->clip_lo, step->clip_hi);
            }
            zq_store(zq_row(state, step->y, c), y->storage, t0, n, codes);
        }
    }
}

static int check(const zq_program *program, const zq_step *step)
{
    if (step->inputs != 1) return 0;
    const zq_value *x = &program->values[step->x[0]], *y = &program->values[step->y];
    const zq_layer_norm_params *layer_norm = &step->params.layer_norm;
    const int32_t most = x->storage == ZQ_INT16 ? 1 << 10 : ZQ_MAX_CHANNELS;
    if (!zq_is_code_or_int16(x) || !zq_is_code_or_int16(y) || x->channels > most || !layer_norm->bias) return 0;
    if (x->channels != y->channels || !zq_is_as_long(x, y)) return 0;
    return zq_is_within(layer_norm->epsilon, 1, (int64_t)1 << 60) && zq_is_rescale_sound(step, y->channels, 62);
}

const zq_kernel_entry zq_portable_layer_norm = {.run = zq_layer_norm, .units = zq_count_tiles};
const zq_op_entry zq_op_layer_norm = {.check = check, .kind = ZQ_KERNEL_LAYER_NORM};
