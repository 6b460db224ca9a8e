/* Relative-position attention for AVX2: one unit is a head x a tile of 64 frames, processed four frames at a time.
 *
 * All three matrix products use zq_avx2_block (table.c). Queries x keys and queries x positions sum pairs of channels;
 * exponentials x values sum pairs of keys. Products with positions are computed for a band that serves all four
 * frames. */
#include "x86/avx2/attention_layout.h"

#ifdef ZQ_X86_TABLES

enum {
    KEYS = 512,            /* keys per 32-bit sum of e * v: 2^9 * 2^14 * 255 < 2^31 */
    MOST_FRAMES = 1 << 17, /* n < 2^32 */
    LARGEST_SCORE = 1 << 29
};

uint64_t zq_avx2_attention_scratch(const zq_program *program, const zq_step *step, int32_t frames_y)
{
    zq_avx2_head h;
    const size_t width = (size_t)(program->values[step->y].channels / step->params.attention.heads);
    return frames_y <= MOST_FRAMES ? zq_avx2_lay_out_head((size_t)frames_y, width, NULL, &h) : 0;
}

/* Parameters of the score s of a content product and a position product. */
typedef struct {
    int64_t content, position;
    int32_t shift, is_narrow; /* is_narrow: scores fit 32 bits, so the low 32 bits of a shifted 64-bit sum suffice */
} scorer;

static scorer scorer_of(const zq_step *step, int32_t number, size_t width)
{
    const zq_attention_params *attention = &step->params.attention;
    const scorer s = {attention->content[number], attention->position[number], attention->shift, 0};
    const uint64_t worst = (uint64_t)width << 16, both = (uint64_t)(s.content + s.position);
    scorer known = s;
    known.is_narrow = s.shift <= 32 && worst < (1u << 30) && (worst * both) >> s.shift < (1u << 30);
    return known;
}

/* scores[j] = s of the products with k (scores[j], in place) and with p (far[j]). Returns the maximum. */
ZQ_TARGET static int32_t requantize_scores(const scorer *s, int32_t frames, int32_t *scores, const int32_t *far)
{
    const __m256i content = _mm256_set1_epi32((int32_t)s->content), position = _mm256_set1_epi32((int32_t)s->position);
    const __m256i half = _mm256_set1_epi64x((int64_t)1 << (s->shift - 1));
    const __m256i lo = _mm256_set1_epi32(-LARGEST_SCORE), hi = _mm256_set1_epi32(LARGEST_SCORE);
    const __m128i shift = _mm_cvtsi32_si128(s->shift);
    int32_t most = -LARGEST_SCORE, j = 0;
    for (; s->is_narrow && j < frames; j += 8) {
        const __m256i a = zq_load_vector(scores + j), b = zq_load_vector(far + j);
        const __m256i a1 = _mm256_srli_epi64(a, 32), b1 = _mm256_srli_epi64(b, 32);
        const __m256i even = _mm256_add_epi64(_mm256_mul_epi32(a, content), _mm256_mul_epi32(b, position));
        const __m256i odd = _mm256_add_epi64(_mm256_mul_epi32(a1, content), _mm256_mul_epi32(b1, position));
        const __m256i e = _mm256_srl_epi64(_mm256_add_epi64(even, half), shift);
        const __m256i o = _mm256_srl_epi64(_mm256_add_epi64(odd, half), shift);
        const __m256i joined = _mm256_blend_epi32(e, _mm256_slli_epi64(o, 32), 0xAA);
        zq_store_vector(scores + j, _mm256_min_epi32(_mm256_max_epi32(joined, lo), hi));
    }
    for (; j < frames; j++) {
        const int64_t v = zq_rounding_shift_right_half_up(scores[j] * s->content + far[j] * s->position, s->shift);
        scores[j] = (int32_t)zq_saturate(v, -LARGEST_SCORE, LARGEST_SCORE);
    }
    for (j = 0; j < frames; j++) most = scores[j] > most ? scores[j] : most;
    return most;
}

/* e of eight scores, relative to the maximum `most`. */
ZQ_TARGET_INLINE __m256i power(__m256i most, __m256i scores)
{
    const __m256i one = _mm256_set1_epi32(65536);
    const __m256i t = _mm256_min_epi32(_mm256_sub_epi32(most, scores), _mm256_set1_epi32(ZQ_MOST_OCTAVES));
    const __m256i past = _mm256_and_si256(t, _mm256_set1_epi32(65535)), f = _mm256_sub_epi32(one, past);
    const __m256i slope = _mm256_add_epi32(_mm256_srli_epi32(_mm256_mullo_epi32(f, _mm256_set1_epi32(22267)), 16),
                                           _mm256_set1_epi32(43269));
    /* f * slope < 2^32, except for f = 65536, where it is 2^32 and wraps to 0 */
    const __m256i part = _mm256_blendv_epi8(_mm256_srli_epi32(_mm256_mullo_epi32(f, slope), 16), one,
                                            _mm256_cmpeq_epi32(past, _mm256_setzero_si256()));
    const __m256i shift = _mm256_add_epi32(_mm256_srli_epi32(t, 16), _mm256_set1_epi32(2));
    const __m256i doubled = _mm256_srlv_epi32(_mm256_add_epi32(one, part), shift);
    return _mm256_srli_epi32(_mm256_add_epi32(doubled, _mm256_set1_epi32(1)), 1);
}

/* powers[j] = e of scores[j], 0 for j >= T. Returns their sum, at most 2^17 * 2^14. */
ZQ_TARGET static int64_t raise(const zq_avx2_head *h, int32_t most, const int32_t *scores, int16_t *powers)
{
    const __m256i top = _mm256_set1_epi32(most), lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const int32_t frames = (int32_t)h->frames;
    __m256i total = _mm256_setzero_si256();
    for (int32_t j = 0; j < (int32_t)h->padded; j += ZQ_LANES) {
        __m256i e[2];
        for (int32_t i = 0; i < 2; i++) {
            const __m256i inside = _mm256_cmpgt_epi32(_mm256_set1_epi32(frames - j - 8 * i), lanes);
            e[i] = _mm256_and_si256(power(top, zq_load_vector(scores + j + 8 * i)), inside);
            total = _mm256_add_epi32(total, e[i]);
        }
        zq_store_vector(powers + j, _mm256_permute4x64_epi64(_mm256_packs_epi32(e[0], e[1]), 0xD8));
    }
    uint32_t parts[8];
    int64_t sum = 0;
    zq_store_vector(parts, total);
    for (int32_t i = 0; i < 8; i++) sum += parts[i];
    return sum;
}

/* h->powers for frames t0 + i .. t0 + i + rows - 1, and their sums in totals. Unused rows of h->powers become 0. */
ZQ_TARGET static void attend(const scorer *s, const zq_avx2_head *h, int32_t t0, int32_t i, int32_t rows,
                             int64_t totals[ZQ_QUERIES])
{
    const size_t size = 2 * h->pairs, reach = h->padded + 3 * ZQ_LANES;
    const int32_t frames = (int32_t)h->frames, own = frames - 1 - t0 - i; /* position of key 0, first frame */
    const size_t base = (size_t)(own - rows + 1) / ZQ_LANES * ZQ_LANES, end = (size_t)(own + frames);
    for (size_t j = 0; j < h->frames; j += ZQ_LANES)
        zq_avx2_block(h->keys + j * size, h->content + (size_t)i * size, size, h->pairs, h->scores + j, h->padded);
    for (size_t m = base; m < end; m += ZQ_LANES)
        zq_avx2_block(h->places + m * size, h->position + (size_t)i * size, size, h->pairs, h->far + (m - base), reach);
    for (int32_t r = 0; r < rows; r++) {
        int32_t *scores = h->scores + (size_t)r * h->padded;
        const int32_t *far = h->far + (size_t)r * reach + (size_t)(own - r) - base;
        totals[r] = raise(h, requantize_scores(s, frames, scores, far), scores, h->powers + (size_t)r * h->padded);
    }
    memset(h->powers + (size_t)rows * h->padded, 0, (size_t)(ZQ_QUERIES - rows) * h->padded * sizeof *h->powers);
}

/* sums[r][d] = a, the sum over keys of e * v, for four frames. */
ZQ_TARGET static void weigh(const zq_avx2_head *h)
{
    memset(h->sums, 0, ZQ_QUERIES * h->wide * sizeof *h->sums);
    for (size_t d = 0; d < h->wide; d += ZQ_LANES)
        for (size_t key = 0; key < h->padded; key += KEYS) {
            const size_t keys = h->padded - key < KEYS ? h->padded - key : KEYS;
            int32_t acc[ZQ_QUERIES][ZQ_LANES];
            zq_avx2_block(h->values + d * h->padded + key * ZQ_LANES, h->powers + key, h->padded, keys / 2, acc[0],
                          ZQ_LANES);
            for (size_t r = 0; r < ZQ_QUERIES; r++)
                for (size_t lane = 0; lane < ZQ_LANES; lane++) h->sums[r * h->wide + d + lane] += acc[r][lane];
        }
}

/* means[d] = floor((a * 2^15 + floor(n / 2)) / n), four channels at a time.
 *
 * a' = a + 256 n is not negative, and its quotient q = floor((a' * 2^15 + floor(n / 2)) / n) is below 2^24.
 * Let s = bit_length(n), u = max(0, s - 23), I = floor(2^(s+30) / n) and X = a' >> u. Then X * I / 2^(s+15-u) is
 * below a' * 2^15 / n by at most 2^-6 + 2^-7. Rounding it gives q or q - 1; the remainder decides which. */
ZQ_TARGET static void divide(const int64_t *sums, int64_t n, size_t wide, int32_t *means)
{
    const int32_t s = zq_bit_length((uint64_t)n), u = s > 23 ? s - 23 : 0;
    const __m256i inverse = _mm256_set1_epi64x((int64_t)(((uint64_t)1 << (s + 30)) / (uint64_t)n));
    const __m256i total = _mm256_set1_epi64x(n), shifted = _mm256_set1_epi64x(256 * n);
    const __m256i half = _mm256_set1_epi64x((int64_t)1 << (s + 14 - u)), rest_half = _mm256_set1_epi64x(n / 2);
    const __m256i offset = _mm256_set1_epi64x((1 << 23) - 1), low = _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6);
    const __m128i narrow = _mm_cvtsi32_si128(u), shift = _mm_cvtsi32_si128(s + 15 - u);
    for (size_t d = 0; d < wide; d += 4) {
        const __m256i a = _mm256_add_epi64(zq_load_vector(sums + d), shifted);
        const __m256i product = _mm256_mul_epu32(_mm256_srl_epi64(a, narrow), inverse);
        const __m256i q = _mm256_srl_epi64(_mm256_add_epi64(product, half), shift);
        const __m256i exact = _mm256_add_epi64(_mm256_slli_epi64(a, 15), rest_half);
        const __m256i rest = _mm256_sub_epi64(exact, _mm256_mul_epu32(q, total));
        const __m256i is_right = _mm256_cmpgt_epi64(total, rest); /* -1, or 0 if q is one too small */
        const __m256i mean = _mm256_sub_epi64(_mm256_add_epi64(q, is_right), offset);
        _mm_storeu_si128((__m128i *)(void *)(means + d),
                         _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(mean, low)));
    }
}

/* Requantize the quotients of the tile at t0 and store them in y. */
ZQ_TARGET static void store(const zq_state *state, const zq_step *step, int32_t first, int32_t t0,
                            const zq_avx2_head *h)
{
    const int32_t storage = state->program->values[step->y].storage, n = zq_min(ZQ_TILE, (int32_t)h->frames - t0);
    for (size_t d = 0; d < h->width; d++) {
        const int32_t c = first + (int32_t)d;
        int32_t means[ZQ_TILE] = {0};
        for (int32_t t = 0; t < n; t++) means[t] = h->means[(size_t)t * h->wide + d];
        zq_avx2_rescale(step->multiplier[c], step->shift[c], step->clip_lo, step->clip_hi, means);
        zq_store(zq_row(state, step->y, c), storage, t0, n, means);
    }
}

static void run_tile(const zq_state *state, const zq_step *step, int32_t number, int32_t t0, const zq_avx2_head *h)
{
    const int32_t first = number * (int32_t)h->width, n = zq_min(ZQ_TILE, (int32_t)h->frames - t0);
    const scorer s = scorer_of(step, number, h->width);
    zq_avx2_pack_queries(state, step, first, t0, h);
    for (int32_t i = 0; i < n; i += ZQ_QUERIES) {
        const int32_t rows = zq_min(ZQ_QUERIES, n - i);
        int64_t totals[ZQ_QUERIES];
        attend(&s, h, t0, i, rows, totals);
        weigh(h);
        for (int32_t r = 0; r < rows; r++)
            divide(h->sums + (size_t)r * h->wide, totals[r], h->wide, h->means + (size_t)(i + r) * h->wide);
    }
    store(state, step, first, t0, h);
}

void zq_avx2_attention(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    const int32_t frames = state->frames[step->y], tiles = zq_ceil_div(frames, ZQ_TILE);
    const int32_t width = state->program->values[step->y].channels / step->params.attention.heads;
    int32_t packed = -1;
    zq_avx2_head h;
    if (frames > MOST_FRAMES) {
        zq_attention(state, step, first, last, scratch);
        return;
    }
    zq_avx2_lay_out_head((size_t)frames, (size_t)width, scratch, &h);
    for (int32_t unit = first; unit < last; unit++) {
        const int32_t number = unit / tiles;
        if (number != packed) zq_avx2_pack_head(state, step, number * width, &h);
        packed = number;
        run_tile(state, step, number, unit % tiles * ZQ_TILE, &h);
    }
}

#endif
