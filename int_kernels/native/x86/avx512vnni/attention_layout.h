/* Shared by the attention files of AVX-512 VNNI and of AMX: scratch layout, division, scores. */
#ifndef ZQ_AVX512VNNI_ATTENTION_H
#define ZQ_AVX512VNNI_ATTENTION_H

#include "x86/avx512vnni/avx512vnni.h"

#ifdef ZQ_X86_TABLES

enum {
    ZQ_QUERIES = 6,           /* frames of y processed at once */
    ZQ_MOST_FRAMES = 1 << 17, /* n, the sum of powers, is below 2^32 */
    ZQ_LARGEST_SCORE = 1 << 29
};

/* Working set of one head, in a worker's scratch. k and p are in the packed K4 layout, [64-frame blocks][quads][64
 * frames][4 channels], as unsigned bytes. */
typedef struct {
    size_t frames, width;                    /* T; channels of the head */
    size_t quads;                            /* channels / 4, rounded up */
    size_t wide;                             /* channels, rounded up to 16 */
    size_t padded;                           /* T, rounded up to 64 */
    uint8_t *keys;                           /* packed k */
    uint8_t *places;                         /* packed p */
    int16_t *values;                         /* v, [padded / 2][wide][2] */
    int8_t *content;                         /* [quads][64 frames][4 channels] queries of the tile for k */
    int8_t *position;                        /* the same for p */
    int32_t *content_start, *position_start; /* [ZQ_TILE + ZQ_QUERIES] initial accumulators */
    int32_t *scores;                         /* [ZQ_QUERIES][padded]: products with k, then s */
    int32_t *far;                            /* [ZQ_QUERIES][padded + 128]: products with p */
    int16_t *powers;                         /* [ZQ_QUERIES][padded]: e */
    int64_t *sums;                           /* [ZQ_QUERIES][wide]: a */
    int32_t *means;                          /* [ZQ_TILE][wide]: the quotients */
} zq_head;

static inline size_t zq_rounded(size_t number, size_t unit)
{
    return (number + unit - 1) / unit * unit;
}

/* Take the next `bytes` bytes of `memory`, rounded up to whole cache lines. */
static inline void *zq_take(char **memory, size_t bytes)
{
    void *taken = *memory;
    *memory += zq_rounded(bytes, 64);
    return taken;
}

/* Lay out the scratch of a head. Returns its size in bytes. `memory` may be NULL. */
size_t zq_lay_out_head(size_t frames, size_t width, char *memory, zq_head *head);

/* Pack `channels` channels of a value from `first` on in the packed K4 layout. 128 is added to signed values. */
void zq_pack_columns(const zq_state *state, int32_t value, int32_t first, int32_t channels, uint8_t *columns);
void zq_pack_values(const zq_state *state, int32_t value, int32_t first, const zq_head *head);
void zq_pack_queries(const zq_state *state, const zq_step *step, int32_t first, int32_t t0, const zq_head *head);

/* Compute the powers of head `number` for at most six frames of the tile, from t0 + i on, and the sums of the
 * powers. */
void zq_attend(const zq_step *step, int32_t number, const zq_head *head, int32_t t0, int32_t i,
               int64_t totals[ZQ_QUERIES]);

/* True for signed queries and at most ZQ_MOST_FRAMES frames. All other cases use the portable kernel. */
static inline int zq_is_suited(const zq_state *state, const zq_step *step)
{
    const zq_value *values = state->program->values;
    return state->frames[step->y] <= ZQ_MOST_FRAMES && values[step->x[0]].storage == ZQ_INT8 &&
           values[step->x[1]].storage == ZQ_INT8;
}

/* Division by n, 2^14 to 2^31, with a precomputed inverse.
 *
 * a' = a + 256 n is not negative, and its quotient q = floor((a' * 2^15 + floor(n / 2)) / n) is below 2^24. Let s =
 * bit_length(n), I = floor(2^(s+30) / n), u = max(0, s - 23) and X = a' >> u. Then X * I / 2^(s+15-u) is below a' *
 * 2^15 / n by at most 2^-6 + 2^-7, so that rounding it gives q or q - 1. The remainder decides which. */
typedef struct {
    uint64_t inverse;      /* I */
    int32_t narrow, shift; /* u, s + 15 - u */
} zq_divisor;

static inline zq_divisor zq_divisor_of(int64_t n)
{
    const int32_t s = zq_bit_length((uint64_t)n), u = s > 23 ? s - 23 : 0;
    return (zq_divisor){((uint64_t)1 << (s + 30)) / (uint64_t)n, u, s + 15 - u};
}

/* means[d] = floor((a * 2^15 + floor(n / 2)) / n) for `wide` channels, a multiple of 8. */
void zq_divide(const int64_t *sums, int64_t n, size_t wide, int32_t *means);

/* acc += the two products of 16-bit numbers in each 32-bit lane. */
ZQ_TARGET_INLINE void zq_dot_words(__m512i *acc, __m512i a, __m512i b)
{
    __asm__("vpdpwssd %2,%1,%0" : "+v"(*acc) : "v"(a), "v"(b));
}

/* Constants that convert products to scores, the same for a whole head. */
typedef struct {
    __m512i content, position, half;
    __m512i shift;
    int is_narrow; /* before saturation every score fits 32 bits */
} zq_scorer;

ZQ_TARGET_INLINE zq_scorer zq_scorer_of(const zq_step *step, int32_t head, size_t width)
{
    const zq_attention_params *attention = &step->params.attention;
    enum { WORST_PRODUCT = 255 * 255 };
    const int64_t content = attention->content[head], position = attention->position[head];
    const uint64_t worst = (uint64_t)width * WORST_PRODUCT; /* of a product; below 2^31, SPEC 5 */
    zq_scorer s;
    s.content = _mm512_set1_epi32((int32_t)content);
    s.position = _mm512_set1_epi32((int32_t)position);
    s.half = _mm512_set1_epi64((int64_t)1 << (attention->shift - 1));
    s.shift = _mm512_set1_epi64(attention->shift);
    s.is_narrow = worst < (1u << 31) && (worst * (uint64_t)(content + position) >> attention->shift) < (1u << 30);
    return s;
}

/* Weighted sums of 16 pairs of products before the shift, for even and odd lanes. */
ZQ_TARGET_INLINE void zq_weigh_products(const zq_scorer *s, __m512i a, __m512i b, __m512i *even, __m512i *odd)
{
    const __m512i a1 = _mm512_srli_epi64(a, 32), b1 = _mm512_srli_epi64(b, 32);
    *even = _mm512_add_epi64(_mm512_mul_epi32(a, s->content), _mm512_mul_epi32(b, s->position));
    *odd = _mm512_add_epi64(_mm512_mul_epi32(a1, s->content), _mm512_mul_epi32(b1, s->position));
}

/* The scores s of 16 pairs of products. */
ZQ_TARGET_INLINE __m512i zq_score(const zq_scorer *s, __m512i a, __m512i b)
{
    const __m512i lo = _mm512_set1_epi32(-ZQ_LARGEST_SCORE), hi = _mm512_set1_epi32(ZQ_LARGEST_SCORE);
    __m512i even, odd;
    zq_weigh_products(s, a, b, &even, &odd);
    if (s->is_narrow) {
        const __m512i e = _mm512_srav_epi64(_mm512_add_epi64(even, s->half), s->shift);
        const __m512i o = _mm512_srav_epi64(_mm512_add_epi64(odd, s->half), s->shift);
        return _mm512_min_epi32(_mm512_max_epi32(zq_join_low(e, o), lo), hi);
    }
    return _mm512_min_epi32(_mm512_max_epi32(zq_round_wide(even, odd, s->half, s->shift), lo), hi);
}

#endif
#endif
