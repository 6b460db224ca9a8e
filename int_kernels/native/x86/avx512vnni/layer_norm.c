/* layer_norm for AVX-512: the 64 frames of a tile in parallel. */
#include "x86/avx512vnni/avx512vnni.h"
#include "ops/layer_norm.h"

#ifdef ZQ_X86_TABLES

/* Sums over the channels. Squares are added in two halves of 16 bits, whose sums fit 32 bits. */
ZQ_TARGET static void add_up(const zq_state *state, const zq_step *step, int32_t t0, int32_t n, int32_t *sums,
                             int64_t *squares)
{
    const zq_value *x = &state->program->values[step->x[0]];
    const __m512i lower = _mm512_set1_epi32(65535);
    for (int32_t t = 0; t < ZQ_TILE; t += 32) {
        const __mmask16 mask_a = zq_first_numbers(n - t), mask_b = zq_first_numbers(n - t - 16);
        __m512i sum_a = _mm512_setzero_si512(), low_a = sum_a, high_a = sum_a;
        __m512i sum_b = sum_a, low_b = sum_a, high_b = sum_a;
        for (int32_t c = 0; c < x->channels; c++) {
            const char *row = zq_row(state, step->x[0], c);
            const __m512i a = zq_load_numbers(row, x->storage, t0 + t, mask_a);
            const __m512i b = zq_load_numbers(row, x->storage, t0 + t + 16, mask_b);
            const __m512i aa = _mm512_mullo_epi32(a, a), bb = _mm512_mullo_epi32(b, b);
            sum_a = _mm512_add_epi32(sum_a, a), sum_b = _mm512_add_epi32(sum_b, b);
            low_a = _mm512_add_epi32(low_a, _mm512_and_si512(aa, lower));
            low_b = _mm512_add_epi32(low_b, _mm512_and_si512(bb, lower));
            high_a = _mm512_add_epi32(high_a, _mm512_srli_epi32(aa, 16));
            high_b = _mm512_add_epi32(high_b, _mm512_srli_epi32(bb, 16));
        }
        uint32_t low[32], high[32];
        _mm512_storeu_si512(sums + t, sum_a), _mm512_storeu_si512(sums + t + 16, sum_b);
        _mm512_storeu_si512(low, low_a), _mm512_storeu_si512(low + 16, low_b);
        _mm512_storeu_si512(high, high_a), _mm512_storeu_si512(high + 16, high_b);
        for (int32_t i = 0; i < 32; i++) squares[t + i] = (int64_t)high[i] * 65536 + low[i];
    }
}

/* Load eight numbers of a row as 64-bit numbers. */
ZQ_TARGET_INLINE __m512i load_eight(const char *row, int32_t storage, int32_t t, __mmask8 mask)
{
    if (storage == ZQ_INT16) return _mm512_cvtepi16_epi64(_mm_maskz_loadu_epi16(mask, (const int16_t *)row + t));
    const __m128i codes = _mm_maskz_loadu_epi8(mask, row + t);
    return storage == ZQ_INT8 ? _mm512_cvtepi8_epi64(codes) : _mm512_cvtepu8_epi64(codes);
}

/* Requantize constants of one channel: (z * multiplier + added) >> shift. */
typedef struct {
    __m512i multiplier, added, shift;
} scale;

/* The quantized values of frames t .. t + 7 of a tile. */
ZQ_TARGET_INLINE __m256i normalise(const zq_norms *norms, const int64_t *shifts, int32_t t, const scale *s, __m512i q)
{
    const __m512i product = _mm512_mullo_epi64(q, _mm512_loadu_si512(norms->factor + t));
    const __m512i rest = _mm512_sub_epi64(product, _mm512_loadu_si512(norms->taken + t));
    const __m512i z = _mm512_srav_epi64(rest, _mm512_loadu_si512(shifts + t));
    return _mm512_cvtsepi64_epi32(
        _mm512_srav_epi64(_mm512_add_epi64(_mm512_mul_epi32(z, s->multiplier), s->added), s->shift));
}

ZQ_TARGET static void apply(const zq_state *state, const zq_step *step, int32_t t0, int32_t n, const zq_norms *norms)
{
    const zq_value *x = &state->program->values[step->x[0]], *y = &state->program->values[step->y];
    const __m512i lo = _mm512_set1_epi32(step->clip_lo), hi = _mm512_set1_epi32(step->clip_hi);
    int64_t shifts[ZQ_TILE];
    for (int32_t t = 0; t < ZQ_TILE; t++) shifts[t] = norms->shift[t];
    for (int32_t c = 0; c < x->channels; c++) {
        const int64_t half = (int64_t)1 << (step->shift[c] - 1);
        const scale s = {_mm512_set1_epi64(step->multiplier[c]),
                         _mm512_set1_epi64(step->params.layer_norm.bias[c] + half), _mm512_set1_epi64(step->shift[c])};
        const char *row = zq_row(state, step->x[0], c);
        char *out = zq_row(state, step->y, c);
        for (int32_t t = 0; t < n; t += 16) {
            const __mmask16 mask = zq_first_numbers(n - t);
            const __m512i near = load_eight(row, x->storage, t0 + t, (__mmask8)mask);
            const __m512i far = load_eight(row, x->storage, t0 + t + 8, (__mmask8)(mask >> 8));
            const __m256i a = normalise(norms, shifts, t, &s, near), b = normalise(norms, shifts, t + 8, &s, far);
            const __m512i codes = _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
            const __m512i inside = _mm512_min_epi32(_mm512_max_epi32(codes, lo), hi);
            zq_store_vector(out, y->storage, t0 + t, mask, inside);
        }
    }
}

void zq_avx512vnni_layer_norm(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    const int32_t channels = state->program->values[step->x[0]].channels, frames = state->frames[step->y];
    (void)scratch;
    for (int32_t tile = first; tile < last; tile++) {
        const int32_t t0 = tile * ZQ_TILE, n = zq_min(ZQ_TILE, frames - t0);
        int32_t sums[ZQ_TILE];
        int64_t squares[ZQ_TILE];
        zq_norms norms;
        add_up(state, step, t0, n, sums, squares);
        zq_make_norms(step, channels, sums, squares, &norms);
        apply(state, step, t0, n, &norms);
    }
}

#endif
