/* Attention for AVX-512 VNNI: a unit is one head and a tile of 64 frames, processed six frames at a time.
 *
 * The softmax powers are 16-bit numbers. VPDPWSSD multiplies them with the values. Sums have 32 bits over KEYS
 * keys, then 64 bits. */
#include "x86/avx512vnni/attention_layout.h"

#ifdef ZQ_X86_TABLES

enum { KEYS = 512 }; /* keys whose sum of e * v fits 32 bits: 2^9 * 2^14 * 255 < 2^31 */

uint64_t zq_avx512vnni_attention_scratch(const zq_program *program, const zq_step *step, int32_t frames_y)
{
    zq_head head;
    const size_t width = (size_t)(program->values[step->y].channels / step->params.attention.heads);
    return frames_y <= ZQ_MOST_FRAMES ? zq_lay_out_head((size_t)frames_y, width, NULL, &head) : 0;
}

#define EACH_6(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)

/* sums[d] += a of some keys, from 32-bit accumulators. */
ZQ_TARGET_INLINE void add_sums(__m512i acc, int64_t *sums)
{
    const __m512i lower = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(acc));
    const __m512i upper = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(acc, 1));
    _mm512_storeu_si512(sums, _mm512_add_epi64(_mm512_loadu_si512(sums), lower));
    _mm512_storeu_si512(sums + 8, _mm512_add_epi64(_mm512_loadu_si512(sums + 8), upper));
}

/* Broadcast two powers to every lane. */
ZQ_TARGET_INLINE __m512i two_powers(const int16_t *powers)
{
    int32_t two;
    memcpy(&two, powers, 4);
    return _mm512_set1_epi32(two);
}

/* sums[r][d] += a of 2 * pairs keys for six frames and 64 channels; below, for 16 channels. */
ZQ_TARGET static void weigh_64(const int16_t *powers, size_t stride, const int16_t *values, size_t wide, size_t pairs,
                               int64_t *sums)
{
#define START(r) __m512i a##r = _mm512_setzero_si512(), b##r = a##r, c##r = a##r, d##r = a##r;
#define ADD(r)                                                       \
    {                                                                \
        const __m512i two = two_powers(powers + r * stride + 2 * i); \
        zq_dot_words(&a##r, x0, two);                                \
        zq_dot_words(&b##r, x1, two);                                \
        zq_dot_words(&c##r, x2, two);                                \
        zq_dot_words(&d##r, x3, two);                                \
    }
#define EPILOGUE(r)                       \
    add_sums(a##r, sums + r * wide);      \
    add_sums(b##r, sums + r * wide + 16); \
    add_sums(c##r, sums + r * wide + 32); \
    add_sums(d##r, sums + r * wide + 48);
    EACH_6(START)
    for (size_t i = 0; i < pairs; i++, values += 2 * wide) {
        const __m512i x0 = _mm512_loadu_si512(values), x1 = _mm512_loadu_si512(values + 32);
        const __m512i x2 = _mm512_loadu_si512(values + 64), x3 = _mm512_loadu_si512(values + 96);
        EACH_6(ADD)
    }
    EACH_6(EPILOGUE)
#undef START
#undef ADD
#undef EPILOGUE
}

ZQ_TARGET static void weigh_16(const int16_t *powers, size_t stride, const int16_t *values, size_t wide, size_t pairs,
                               int64_t *sums)
{
#define START(r) __m512i a##r = _mm512_setzero_si512();
#define ADD(r) zq_dot_words(&a##r, x, two_powers(powers + r * stride + 2 * i));
#define EPILOGUE(r) add_sums(a##r, sums + r * wide);
    EACH_6(START)
    for (size_t i = 0; i < pairs; i++, values += 2 * wide) {
        const __m512i x = _mm512_loadu_si512(values);
        EACH_6(ADD)
    }
    EACH_6(EPILOGUE)
#undef START
#undef ADD
#undef EPILOGUE
}

/* sums[r][d] = a of six frames. */
static void weigh(const zq_head *head)
{
    memset(head->sums, 0, ZQ_QUERIES * head->wide * sizeof *head->sums);
    for (size_t key = 0; key < head->frames; key += KEYS) {
        const size_t keys = head->frames - key < KEYS ? head->frames - key : KEYS, pairs = (keys + 1) / 2;
        const int16_t *powers = head->powers + key, *values = head->values + key * head->wide;
        size_t d = 0;
        for (; d + 64 <= head->wide; d += 64)
            weigh_64(powers, head->padded, values + 2 * d, head->wide, pairs, head->sums + d);
        for (; d < head->wide; d += 16)
            weigh_16(powers, head->padded, values + 2 * d, head->wide, pairs, head->sums + d);
    }
}

ZQ_TARGET void zq_divide(const int64_t *sums, int64_t n, size_t wide, int32_t *means)
{
    const zq_divisor by = zq_divisor_of(n);
    const __m512i inverse = _mm512_set1_epi64((int64_t)by.inverse);
    const __m512i total = _mm512_set1_epi64(n), shifted = _mm512_set1_epi64(256 * n);
    const __m512i half = _mm512_set1_epi64((int64_t)1 << (by.shift - 1)), rest_half = _mm512_set1_epi64(n / 2);
    const __m512i narrow = _mm512_set1_epi64(by.narrow), shift = _mm512_set1_epi64(by.shift);
    for (size_t d = 0; d < wide; d += 8) {
        const __m512i a = _mm512_add_epi64(_mm512_loadu_si512(sums + d), shifted);
        const __m512i product = _mm512_mul_epu32(_mm512_srlv_epi64(a, narrow), inverse);
        const __m512i q = _mm512_srlv_epi64(_mm512_add_epi64(product, half), shift);
        const __m512i exact = _mm512_add_epi64(_mm512_slli_epi64(a, 15), rest_half);
        const __m512i rest = _mm512_sub_epi64(exact, _mm512_mul_epu32(q, total));
        const __m512i one_more = _mm512_maskz_set1_epi64(_mm512_cmpge_epi64_mask(rest, total), 1);
        const __m512i mean = _mm512_sub_epi64(_mm512_add_epi64(q, one_more), _mm512_set1_epi64(1 << 23));
        _mm256_storeu_si256((__m256i *)(void *)(means + d), _mm512_cvtepi64_epi32(mean));
    }
}

/* Requantize the quotients and store y: up to 16 channels from channel c on, up to 16 of n frames from t on. */
ZQ_TARGET static void store(const zq_state *state, const zq_step *step, const int32_t *means, size_t wide, int32_t c,
                            int32_t channels, int32_t t, int32_t n)
{
    const int32_t storage = state->program->values[step->y].storage;
    const __m512i lo = _mm512_set1_epi32(step->clip_lo), hi = _mm512_set1_epi32(step->clip_hi);
    const __mmask16 mask = zq_first_numbers(n);
    __m512i v[16];
    for (int32_t i = 0; i < 16; i++)
        v[i] = i < n ? _mm512_loadu_si512(means + (size_t)i * wide) : _mm512_setzero_si512();
    zq_transpose_16(v);
    for (int32_t d = 0; d < zq_min(16, channels); d++) {
        const zq_rescaler r = zq_rescaler_of(step, c + d);
        const __m512i scaled = r.is_wide ? zq_rescale_wide(&r, v[d]) : zq_rescale_high(&r, v[d]);
        const __m512i codes = _mm512_min_epi32(_mm512_max_epi32(scaled, lo), hi);
        zq_store_vector(zq_row(state, step->y, c + d), storage, t, mask, codes);
    }
}

static void pack_head(const zq_state *state, const zq_step *step, int32_t first, const zq_head *head)
{
    zq_pack_columns(state, step->x[2], first, (int32_t)head->width, head->keys);
    zq_pack_columns(state, step->x[4], first, (int32_t)head->width, head->places);
    zq_pack_values(state, step->x[3], first, head);
}

/* Compute frames t0 .. t0 + 63 of the head's channels. */
static void run_tile(const zq_state *state, const zq_step *step, int32_t number, int32_t t0, const zq_head *head)
{
    const int32_t n = zq_min(ZQ_TILE, (int32_t)head->frames - t0), width = (int32_t)head->width;
    zq_pack_queries(state, step, number * width, t0, head);
    for (int32_t i = 0; i < n; i += ZQ_QUERIES) {
        int64_t totals[ZQ_QUERIES];
        zq_attend(step, number, head, t0, i, totals);
        weigh(head);
        for (int32_t r = 0; r < zq_min(ZQ_QUERIES, n - i); r++)
            zq_divide(head->sums + (size_t)r * head->wide, totals[r], head->wide,
                      head->means + (size_t)(i + r) * head->wide);
    }
    for (int32_t i = 0; i < n; i += 16)
        for (int32_t c = 0; c < width; c += 16)
            store(state, step, head->means + (size_t)i * head->wide + c, head->wide, number * width + c, width - c,
                  t0 + i, n - i);
}

void zq_avx512vnni_attention(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    const int32_t frames = state->frames[step->y], tiles = zq_ceil_div(frames, ZQ_TILE);
    const int32_t width = state->program->values[step->y].channels / step->params.attention.heads;
    int32_t packed = -1;
    zq_head head;
    if (!zq_is_suited(state, step)) {
        zq_attention(state, step, first, last, scratch);
        return;
    }
    zq_lay_out_head((size_t)frames, (size_t)width, scratch, &head);
    for (int32_t unit = first; unit < last; unit++) {
        if (unit / tiles != packed) pack_head(state, step, unit / tiles * width, &head);
        packed = unit / tiles;
        run_tile(state, step, packed, unit % tiles * ZQ_TILE, &head);
    }
}

#endif
