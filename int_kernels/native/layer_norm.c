/* Normalisation over the channels of each frame, from exact sums (SPEC 4). */
#include "kernels.h"

/* What the numbers of one tile of frames have in common. */
typedef struct {
    int32_t sum[ZQ_TILE];     /* s1 */
    int64_t inverse[ZQ_TILE]; /* floor(2^62 / R) */
    int64_t half[ZQ_TILE];    /* of the shift */
    int32_t shift[ZQ_TILE];   /* 42 - k */
} norms;

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

/* Inverse deviations of the tile at t0; frames beyond n get harmless numbers. */
ZQ_INLINE void measure(const zq_state *state, const zq_step *step, int32_t t0, int32_t n, norms *norm)
{
    const zq_value *x = &state->program->values[step->x[0]];
    int64_t squares[ZQ_TILE] = {0};
    uint64_t variance[ZQ_TILE], root[ZQ_TILE];
    int32_t q[ZQ_TILE] = {0};
    for (int32_t t = 0; t < ZQ_TILE; t++) norm->sum[t] = 0;
    for (int32_t c = 0; c < x->channels; c++) {
        zq_load(zq_row(state, step->x[0], c), x->storage, t0, n, q);
        for (int32_t t = 0; t < ZQ_TILE; t++) {
            norm->sum[t] += q[t];
            squares[t] += q[t] * q[t];
        }
    }
    for (int32_t t = 0; t < ZQ_TILE; t++) {
        const int64_t spread = x->channels * squares[t] - (int64_t)norm->sum[t] * norm->sum[t];
        variance[t] = (uint64_t)(spread * 4096 + step->epsilon); /* below 2^63 */
        const int32_t bits = zq_bit_length(variance[t]), k = bits < 62 ? (62 - bits) / 2 : 0;
        variance[t] <<= 2 * k;
        norm->shift[t] = 42 - k;
        norm->half[t] = (int64_t)1 << (41 - k);
    }
    square_roots(variance, root);
    for (int32_t t = 0; t < ZQ_TILE; t++) norm->inverse[t] = (int64_t)(((uint64_t)1 << 62) / root[t]);
}

ZQ_MULTIVERSION
void zq_layer_norm(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    const zq_value *x = &state->program->values[step->x[0]], *y = &state->program->values[step->y];
    const int32_t frames = state->frames[step->y], channels = x->channels;
    (void)scratch;
    for (int32_t tile = first; tile < last; tile++) {
        const int32_t t0 = tile * ZQ_TILE, n = zq_min(ZQ_TILE, frames - t0);
        norms norm;
        int32_t q[ZQ_TILE] = {0}, codes[ZQ_TILE];
        measure(state, step, t0, n, &norm);
        for (int32_t c = 0; c < channels; c++) {
            const int64_t m = step->multiplier[c], half = (int64_t)1 << (step->shift[c] - 1);
            const int64_t added = step->wide_bias[c] + half;
            const int32_t shift = step->shift[c];
            zq_load(zq_row(state, step->x[0], c), x->storage, t0, n, q);
            for (int32_t t = 0; t < ZQ_TILE; t++) {
                const int64_t z = ((channels * q[t] - norm.sum[t]) * norm.inverse[t] + norm.half[t]) >> norm.shift[t];
                codes[t] = (int32_t)zq_saturate((z * m + added) >> shift, step->clip_lo, step->clip_hi);
            }
            zq_store(zq_row(state, step->y, c), y->storage, t0, n, codes);
        }
    }
}
