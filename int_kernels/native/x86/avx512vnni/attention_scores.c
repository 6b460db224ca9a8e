/* Scores of six frames with all keys, and their powers of two, for AVX-512 VNNI.
 *
 * Products with the positions are computed for one band of positions that serves all six frames. Each frame reads
 * the band at its own offset. */
#include "x86/avx512vnni/attention_layout.h"

#ifdef ZQ_X86_TABLES

#define EACH_6(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)

/* products[r][64 * b + j] = starts[r] + query r . column j of block b, for six queries. */
ZQ_TARGET static void multiply(const int8_t *queries, const int32_t *starts, const uint8_t *columns, size_t quads,
                               size_t blocks, int32_t *products, size_t stride)
{
    __m512i start[ZQ_QUERIES];
    for (size_t r = 0; r < ZQ_QUERIES; r++) start[r] = _mm512_set1_epi32(starts[r]);
    for (size_t b = 0; b < blocks; b++, products += 64) {
        const int8_t *query = queries;
#define START(r) __m512i a##r = start[r], b##r = a##r, c##r = a##r, d##r = a##r;
#define ADD(r)                                               \
    {                                                        \
        const __m512i four = zq_four_weights(query + 4 * r); \
        zq_dot(&a##r, x0, four);                             \
        zq_dot(&b##r, x1, four);                             \
        zq_dot(&c##r, x2, four);                             \
        zq_dot(&d##r, x3, four);                             \
    }
#define STORE(r)                                           \
    _mm512_storeu_si512(products + r * stride, a##r);      \
    _mm512_storeu_si512(products + r * stride + 16, b##r); \
    _mm512_storeu_si512(products + r * stride + 32, c##r); \
    _mm512_storeu_si512(products + r * stride + 48, d##r);
        EACH_6(START)
        for (size_t quad = 0; quad < quads; quad++, columns += 256, query += 256) {
            const __m512i x0 = _mm512_loadu_si512(columns), x1 = _mm512_loadu_si512(columns + 64);
            const __m512i x2 = _mm512_loadu_si512(columns + 128), x3 = _mm512_loadu_si512(columns + 192);
            EACH_6(ADD)
        }
        EACH_6(STORE)
#undef START
#undef ADD
#undef STORE
    }
}

/* Replace the products with k by scores[j] = s. Returns the greatest score. */
ZQ_TARGET static int32_t requantize_scores(const zq_scorer *s, size_t frames, int32_t *scores, const int32_t *far)
{
    __m512i most = _mm512_set1_epi32(-ZQ_LARGEST_SCORE);
    for (size_t j = 0; j < frames; j += 16) {
        const __mmask16 mask = zq_first_numbers((int32_t)(frames - j));
        const __m512i numbers = zq_score(s, _mm512_loadu_si512(scores + j), _mm512_loadu_si512(far + j));
        _mm512_storeu_si512(scores + j, numbers);
        most = _mm512_mask_max_epi32(most, mask, most, numbers);
    }
    return _mm512_reduce_max_epi32(most);
}

/* powers[j] = e of scores[j], and 0 from T on. Returns the sum of all powers. */
ZQ_TARGET static int64_t raise(size_t frames, int32_t most, const int32_t *scores, int16_t *powers)
{
    const __m512i top = _mm512_set1_epi32(most), furthest = _mm512_set1_epi32(ZQ_MOST_OCTAVES);
    const __m512i one = _mm512_set1_epi32(65536), fraction = _mm512_set1_epi32(65535), zero = _mm512_setzero_si512();
    __m512i total = zero; /* each lane adds 2^17 / 16 numbers of at most 2^14 */
    for (size_t j = 0; j < (frames + 63) / 64 * 64; j += 16) {
        const __mmask16 mask = j < frames ? zq_first_numbers((int32_t)(frames - j)) : 0;
        const __m512i t = _mm512_min_epi32(_mm512_sub_epi32(top, _mm512_loadu_si512(scores + j)), furthest);
        const __m512i g = _mm512_and_si512(t, fraction), f = _mm512_sub_epi32(one, g);
        const __m512i slope = _mm512_add_epi32(_mm512_srli_epi32(_mm512_mullo_epi32(f, _mm512_set1_epi32(22267)), 16),
                                               _mm512_set1_epi32(43269));
        /* f * slope is below 2^32, except for f = 65536, where it is 2^32 */
        const __m512i part = _mm512_mask_mov_epi32(_mm512_srli_epi32(_mm512_mullo_epi32(f, slope), 16),
                                                   _mm512_cmpeq_epi32_mask(g, zero), one);
        const __m512i shift = _mm512_add_epi32(_mm512_srli_epi32(t, 16), _mm512_set1_epi32(2));
        const __m512i doubled = _mm512_srlv_epi32(_mm512_add_epi32(one, part), shift);
        const __m512i e = _mm512_maskz_srli_epi32(mask, _mm512_add_epi32(doubled, _mm512_set1_epi32(1)), 1);
        total = _mm512_add_epi32(total, e);
        _mm256_storeu_si256((__m256i *)(void *)(powers + j), _mm512_cvtepi32_epi16(e));
    }
    return _mm512_reduce_add_epi64(_mm512_cvtepi32_epi64(_mm512_castsi512_si256(total))) +
           _mm512_reduce_add_epi64(_mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(total, 1)));
}

ZQ_TARGET void zq_attend(const zq_step *step, int32_t number, const zq_head *head, int32_t t0, int32_t i,
                         int64_t totals[ZQ_QUERIES])
{
    const int32_t frames = (int32_t)head->frames, queries = zq_min(ZQ_QUERIES, zq_min(ZQ_TILE, frames - t0) - i);
    const int32_t first = frames - t0 - i - queries; /* the position of key 0 for the last of the frames */
    const int32_t base = first / 64 * 64, last = 2 * frames - 2 - t0 - i;
    const size_t stride = head->padded + 128;
    const zq_scorer s = zq_scorer_of(step, number, head->width);
    multiply(head->content + 4 * i, head->content_start + i, head->keys, head->quads, head->padded / 64, head->scores,
             head->padded);
    multiply(head->position + 4 * i, head->position_start + i, head->places + (size_t)base * 4 * head->quads,
             head->quads, (size_t)((last - base) / 64 + 1), head->far, stride);
    for (int32_t r = 0; r < queries; r++) {
        int32_t *scores = head->scores + (size_t)r * head->padded;
        const int32_t *far = head->far + (size_t)r * stride + (first - base + queries - 1 - r);
        const int32_t most = requantize_scores(&s, head->frames, scores, far);
        totals[r] = raise(head->frames, most, scores, head->powers + (size_t)r * head->padded);
    }
}

#endif
