/* Table-based activations for AVX-512: 16 fixed-point numbers at a time. */
#include "ops/activation.h"
#include "x86/avx512vnni/avx512vnni.h"

#ifdef ZQ_X86_TABLES

/* Conversion of an operand to fixed-point numbers lo..hi in one channel. */
typedef struct {
    zq_rescaler rescaler;
    __m512i lo, hi;
    int32_t storage;
} operand;

ZQ_TARGET_INLINE operand operand_of(const zq_state *state, const zq_step *step, int32_t i, int32_t c, int32_t lo,
                                    int32_t hi)
{
    const zq_value *values = state->program->values;
    operand o;
    o.rescaler = zq_rescaler_of(step, i * values[step->y].channels + c);
    o.lo = _mm512_set1_epi32(lo);
    o.hi = _mm512_set1_epi32(hi);
    o.storage = values[step->x[i]].storage;
    return o;
}

/* Load n <= 64 frames of a row from frame t0 on as fixed-point numbers u[t]. */
ZQ_TARGET_INLINE void load_fixed(const operand *o, const char *row, int32_t t0, int32_t n, int32_t *u)
{
    for (int32_t t = 0; t < n; t += 16) {
        const __m512i x = zq_load_numbers(row, o->storage, t0 + t, zq_first_numbers(n - t));
        const __m512i v = o->rescaler.is_wide ? zq_rescale_wide(&o->rescaler, x) : zq_rescale_high(&o->rescaler, x);
        _mm512_storeu_si512(u + t, _mm512_min_epi32(_mm512_max_epi32(v, o->lo), o->hi));
    }
}

/* u[t] = saturate(round(u * sigma * m / 2^r) + offset): the GLU output from its factor u and the sigmoid of its
 * gate. */
ZQ_TARGET_INLINE void multiply_gates(const zq_step *step, const int32_t *sigma, int32_t n, int32_t *u)
{
    const zq_activation_params *activation = &step->params.activation;
    const __m512i factor = _mm512_set1_epi64(activation->multiplier);
    const __m512i half = _mm512_set1_epi64((int64_t)1 << (activation->shift - 1));
    const __m512i lo = _mm512_set1_epi32(step->clip_lo - activation->offset);
    const __m512i hi = _mm512_set1_epi32(step->clip_hi - activation->offset);
    const __m512i offset = _mm512_set1_epi32(activation->offset);
    const __m512i shift = _mm512_set1_epi64(activation->shift);
    for (int32_t t = 0; t < n; t += 16) {
        const __m512i a = _mm512_loadu_si512(u + t), s = _mm512_loadu_si512(sigma + t);
        const __m512i even = _mm512_mul_epi32(a, s);
        const __m512i odd = _mm512_mul_epi32(_mm512_srli_epi64(a, 32), _mm512_srli_epi64(s, 32));
        const __m512i v = zq_round_wide(_mm512_mullo_epi64(even, factor), _mm512_mullo_epi64(odd, factor), half, shift);
        _mm512_storeu_si512(u + t, _mm512_add_epi32(_mm512_min_epi32(_mm512_max_epi32(v, lo), hi), offset));
    }
}

ZQ_TARGET void zq_avx512vnni_activation(const zq_state *state, const zq_step *step, int32_t first, int32_t last,
                                        void *scratch)
{
    const int32_t frames = state->frames[step->y], storage = state->program->values[step->y].storage;
    const zq_function_table *table = step->packed;
    const size_t size = zq_size(storage);
    if (!table) {
        zq_activation(state, step, first, last, scratch);
        return;
    }
    for (int32_t c = first; c < last; c++) {
        const int is_gated = step->params.activation.kind == ZQ_GLU;
        const operand gate = operand_of(state, step, is_gated, c, table->lo, table->hi);
        const operand factor = operand_of(state, step, 0, c, -ZQ_MOST_FIXED, ZQ_MOST_FIXED);
        const char *gates = zq_row(state, step->x[is_gated], c), *factors = zq_row(state, step->x[0], c);
        char *y = zq_row(state, step->y, c);
        for (int32_t t0 = 0; t0 < frames; t0 += ZQ_TILE) {
            const int32_t n = zq_min(ZQ_TILE, frames - t0);
            int32_t u[ZQ_TILE], v[ZQ_TILE], sigma[ZQ_TILE] = {0};
            load_fixed(&gate, gates, t0, n, u);
            if (is_gated) {
                for (int32_t t = 0; t < n; t++) sigma[t] = zq_sigma_table(table)[u[t]];
                load_fixed(&factor, factors, t0, n, v);
                multiply_gates(step, sigma, n, v);
                zq_store(y, storage, t0, n, v);
            } else {
                zq_look_up(table, size, u, n, y + (size_t)t0 * size);
            }
        }
    }
}

#endif
