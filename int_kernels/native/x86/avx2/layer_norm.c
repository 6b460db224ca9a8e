/* layer_norm for AVX2: all 64 frames of a tile at once. Even and odd frames of each eight are in separate vectors. */
#include "x86/avx2/avx2.h"
#include "ops/layer_norm.h"

#ifdef ZQ_X86_TABLES

enum { VECTORS = ZQ_TILE / 8 };

/* Sums over the channels. Squares are summed as two 16-bit halves, whose sums always fit 32 bits. */
ZQ_TARGET static void add_up(const zq_state *state, const zq_step *step, int32_t t0, int32_t n, int32_t *sums,
                             int64_t *squares)
{
    const zq_value *x = &state->program->values[step->x[0]];
    int32_t q[ZQ_TILE] = {0};
    uint32_t low[ZQ_TILE] = {0}, high[ZQ_TILE] = {0};
    memset(sums, 0, ZQ_TILE * sizeof *sums);
    for (int32_t c = 0; c < x->channels; c++) {
        zq_load(zq_row(state, step->x[0], c), x->storage, t0, n, q);
        for (int32_t t = 0; t < ZQ_TILE; t++) {
            const uint32_t square = (uint32_t)(q[t] * q[t]);
            sums[t] += q[t];
            low[t] += square & 65535;
            high[t] += square >> 16;
        }
    }
    for (int32_t t = 0; t < ZQ_TILE; t++) squares[t] = (int64_t)high[t] * 65536 + low[t];
}

/* z = (q * factor - taken) >> shift for four frames, each with its own factor, taken and shift. The factor is split in
 * two parts, the lower of 31 bits. AVX2 has no 64-bit arithmetic shift: 2^63 is added before a logical shift and
 * 2^(63 - shift) subtracted after it. */
typedef struct {
    __m256i low, high, taken, shift, back;
} normer;

ZQ_TARGET static normer normer_of(const zq_norms *norms, int32_t t)
{
    int64_t low[4], high[4], taken[4], shift[4], back[4];
    for (int32_t i = 0; i < 4; i++) {
        const int64_t factor = norms->factor[t + 2 * i];
        low[i] = factor & INT32_MAX;
        high[i] = factor >> 31;
        taken[i] = (int64_t)((uint64_t)norms->taken[t + 2 * i] + ((uint64_t)1 << 63));
        shift[i] = norms->shift[t + 2 * i];
        back[i] = (int64_t)((uint64_t)1 << (63 - shift[i]));
    }
    const normer f = {zq_load_vector(low), zq_load_vector(high), zq_load_vector(taken), zq_load_vector(shift),
                      zq_load_vector(back)};
    return f;
}

ZQ_TARGET_INLINE __m256i normalise(const normer *f, __m256i q)
{
    const __m256i high = _mm256_slli_epi64(_mm256_mul_epi32(q, f->high), 31);
    const __m256i product = _mm256_add_epi64(high, _mm256_mul_epi32(q, f->low));
    return _mm256_sub_epi64(_mm256_srlv_epi64(_mm256_sub_epi64(product, f->taken), f->shift), f->back);
}

ZQ_TARGET static void apply(const zq_state *state, const zq_step *step, int32_t t0, int32_t n, const zq_norms *norms)
{
    const zq_value *x = &state->program->values[step->x[0]], *y = &state->program->values[step->y];
    int32_t q[ZQ_TILE] = {0}, codes[ZQ_TILE];
    normer even[VECTORS], odd[VECTORS];
    for (int32_t v = 0; v < VECTORS; v++) {
        even[v] = normer_of(norms, 8 * v);
        odd[v] = normer_of(norms, 8 * v + 1);
    }
    for (int32_t c = 0; c < x->channels; c++) {
        const zq_rounder r = zq_rounder_of(step->shift[c], step->clip_lo, step->clip_hi);
        const __m256i m = _mm256_set1_epi32(step->multiplier[c]),
                      bias = _mm256_set1_epi64x(step->params.layer_norm.bias[c]);
        zq_load(zq_row(state, step->x[0], c), x->storage, t0, n, q);
        for (int32_t v = 0; v < VECTORS; v++) {
            const __m256i numbers = zq_load_vector(q + 8 * v);
            const __m256i a = normalise(&even[v], numbers), b = normalise(&odd[v], _mm256_srli_epi64(numbers, 32));
            zq_store_vector(codes + 8 * v, zq_round_eight(&r, _mm256_add_epi64(_mm256_mul_epi32(a, m), bias),
                                                          _mm256_add_epi64(_mm256_mul_epi32(b, m), bias)));
        }
        zq_store(zq_row(state, step->y, c), y->storage, t0, n, codes);
    }
}

void zq_avx2_layer_norm(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
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
