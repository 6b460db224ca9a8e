/* Shared by the AVX2 kernels: products of 16-bit values, and the epilogue.
 *
 * VPMADDWD adds two 16-bit products in each 32-bit lane. Quantized values and weights have at most 9 bits including the
 * sign, so the pair fits and the result is exact. VPMADDUBSW, the byte form, would saturate. */
#ifndef ZQ_AVX2_H
#define ZQ_AVX2_H

#include "core/kernels.h"

#ifdef ZQ_X86_TABLES
#include <immintrin.h>

#define ZQ_TARGET __attribute__((target("avx2")))
#define ZQ_TARGET_INLINE static inline __attribute__((always_inline)) ZQ_TARGET

/* Entries of every AVX2-based dispatch table except that of AVX-512. */
#define ZQ_AVX2_ENTRIES                                                                 \
    [ZQ_KERNEL_CONV2D_DEPTHWISE] = {.run = zq_avx2_conv2d_depthwise,                    \
                                    .scratch_bytes = zq_avx2_conv2d_depthwise_scratch}, \
    [ZQ_KERNEL_SUM] = {.run = zq_avx2_sum},                                             \
    [ZQ_KERNEL_ACTIVATION] = {.run = zq_avx2_activation,                                \
                              .packed_bytes = zq_activation_bytes,                      \
                              .pack = zq_pack_activation},                              \
    [ZQ_KERNEL_LAYER_NORM] = {.run = zq_avx2_layer_norm},                               \
    [ZQ_KERNEL_ATTENTION] = {.run = zq_avx2_attention, .scratch_bytes = zq_avx2_attention_scratch}
zq_kernel zq_avx2_attention, zq_avx2_sum, zq_avx2_activation, zq_avx2_layer_norm;
zq_scratch_size zq_avx2_attention_scratch;

/* acc[r][lane] = the sum over pairs of weight[r][2 * pair .. + 1] * columns[pair][lane][0 .. 1], for four rows x 16
 * lanes. weight_pitch and acc_pitch are the distances between rows. The lanes of `columns` are stored in the order
 * 0..3, 8..11, 4..7, 12..15, which unpacking two rows of 16 produces. */
void zq_avx2_block(const int16_t *columns, const int16_t *weight, size_t weight_pitch, size_t pairs, int32_t *acc,
                   size_t acc_pitch);

/* Broadcast two weights to every 32-bit lane. */
ZQ_TARGET_INLINE __m256i zq_two_weights(const int16_t *weight)
{
    int32_t two;
    memcpy(&two, weight, 4);
    return _mm256_set1_epi32(two);
}

ZQ_TARGET_INLINE __m256i zq_load_vector(const void *memory)
{
    return _mm256_loadu_si256((const __m256i *)memory);
}

/* As zq_load_vector, but held in a register: gcc would otherwise load again for every use. */
ZQ_TARGET_INLINE __m256i zq_load_once(const void *memory)
{
    __m256i vector = zq_load_vector(memory);
    __asm__("" : "+x"(vector));
    return vector;
}

ZQ_TARGET_INLINE void zq_store_vector(void *memory, __m256i vector)
{
    _mm256_storeu_si256((__m256i *)memory, vector);
}

ZQ_TARGET_INLINE __m256i zq_add_products(__m256i acc, __m256i x, __m256i weights)
{
    return _mm256_add_epi32(acc, _mm256_madd_epi16(x, weights));
}

/* A multiplier with a shift r >= 33. Then floor((high * 2^32 + low + 2^(r-1)) / 2^r) depends only on the high halves of
 * the products (SPEC 2). */
typedef struct {
    __m256i multiplier, half;
    __m128i shift;
} zq_ratio;

ZQ_TARGET_INLINE zq_ratio zq_ratio_of(int32_t multiplier, int32_t shift)
{
    zq_ratio r;
    r.multiplier = _mm256_set1_epi32(multiplier);
    r.half = _mm256_set1_epi32((int32_t)1 << (shift - 33));
    r.shift = _mm_cvtsi32_si128(shift - 32);
    return r;
}

/* Requantize eight values, without saturation. */
ZQ_TARGET_INLINE __m256i zq_rescale_eight(const zq_ratio *r, __m256i v)
{
    const __m256i even = _mm256_mul_epi32(v, r->multiplier);
    const __m256i odd = _mm256_mul_epi32(_mm256_srli_epi64(v, 32), r->multiplier);
    const __m256i high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
    return _mm256_sra_epi32(_mm256_add_epi32(high, r->half), r->shift);
}

/* zq_rescale_numbers with vectors. */
ZQ_TARGET_INLINE void zq_avx2_rescale(int32_t multiplier, int32_t shift, int32_t lo, int32_t hi, int32_t *x)
{
    if (shift < 33) {
        zq_rescale_numbers(multiplier, shift, lo, hi, x);
        return;
    }
    const zq_ratio ratio = zq_ratio_of(multiplier, shift);
    const __m256i least = _mm256_set1_epi32(lo), most = _mm256_set1_epi32(hi);
    for (int32_t t = 0; t < ZQ_TILE; t += 8) {
        const __m256i v = zq_rescale_eight(&ratio, zq_load_vector(x + t));
        zq_store_vector(x + t, _mm256_min_epi32(_mm256_max_epi32(v, least), most));
    }
}

/* Rounds and saturates 64-bit values. AVX2 has no 64-bit arithmetic shift: 2^63 is added before a logical shift and
 * 2^(63 - shift) subtracted after it. For a shift of 32 or more the upper halves suffice. */
typedef struct {
    __m256i half, sign, taken, lo, hi, least, most;
    __m128i shift;
    int32_t is_high;
} zq_rounder;

ZQ_TARGET_INLINE zq_rounder zq_rounder_of(int32_t shift, int32_t lo, int32_t hi)
{
    zq_rounder r;
    r.half = _mm256_set1_epi64x((int64_t)1 << (shift - 1));
    r.sign = _mm256_set1_epi64x(INT64_MIN);
    r.taken = _mm256_set1_epi64x((int64_t)((uint64_t)1 << (63 - shift)));
    r.lo = _mm256_set1_epi64x(lo), r.hi = _mm256_set1_epi64x(hi);
    r.least = _mm256_set1_epi32(lo), r.most = _mm256_set1_epi32(hi);
    r.is_high = shift >= 32;
    r.shift = _mm_cvtsi32_si128(r.is_high ? shift - 32 : shift);
    return r;
}

ZQ_TARGET_INLINE __m256i zq_round_wide(const zq_rounder *r, __m256i v)
{
    v = _mm256_sub_epi64(_mm256_srl_epi64(_mm256_xor_si256(v, r->sign), r->shift), r->taken);
    v = _mm256_blendv_epi8(v, r->lo, _mm256_cmpgt_epi64(r->lo, v));
    return _mm256_blendv_epi8(v, r->hi, _mm256_cmpgt_epi64(v, r->hi));
}

/* Values 0, 2, 4, 6 (even) and 1, 3, 5, 7 (odd) to eight 32-bit values in order. */
ZQ_TARGET_INLINE __m256i zq_round_eight(const zq_rounder *r, __m256i even, __m256i odd)
{
    even = _mm256_add_epi64(even, r->half), odd = _mm256_add_epi64(odd, r->half);
    if (r->is_high) {
        const __m256i high = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
        return _mm256_min_epi32(_mm256_max_epi32(_mm256_sra_epi32(high, r->shift), r->least), r->most);
    }
    return _mm256_blend_epi32(zq_round_wide(r, even), _mm256_slli_epi64(zq_round_wide(r, odd), 32), 0xAA);
}

/* Epilogue of one row of the tile at t0, output map o: add the bias to acc, requantize, store. */
ZQ_TARGET_INLINE void zq_avx2_epilogue(const zq_state *state, const zq_step *step, int32_t o, int32_t channel,
                                       int32_t t0, int32_t *acc)
{
    const int32_t n = zq_min(ZQ_TILE, state->frames[step->y] - t0);
    const int32_t bias = step->params.conv.bias[o]; /* read once: stores to acc might change it, as far as gcc knows */
    for (int32_t t = 0; t < ZQ_TILE; t++) acc[t] += bias;
    if (step->multiplier) zq_avx2_rescale(step->multiplier[o], step->shift[o], step->clip_lo, step->clip_hi, acc);
    zq_store(zq_row(state, step->y, channel), state->program->values[step->y].storage, t0, n, acc);
}

#endif
#endif
