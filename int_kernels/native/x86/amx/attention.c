/* Attention for AMX: a unit is one head and a tile of 64 frames, processed 16 frames at a time.
 *
 * The softmax powers have 16 bits. Their low and high bytes are multiplied with the values in separate tile
 * products. The powers are computed 32 at a time in 16-bit lanes. */
#include "x86/amx/attention_layout.h"

#ifdef ZQ_AMX_TABLE

enum {
    AT_ONCE = 4,  /* blocks of 64 keys whose powers and values stay in L1 */
    BLOCKS = 512, /* blocks of 64 keys whose sums of power bytes times v fit 32 bits: 2^15 * 255 * 255 < 2^31 */
    FEW = 512     /* frames for which a + 256 n fits 32 bits: 2^9 * 2^14 * 511 < 2^32 */
};

uint64_t zq_amx_attention_scratch(const zq_program *program, const zq_step *step, int32_t frames_y)
{
    zq_amx_head head;
    const size_t width = (size_t)(program->values[step->y].channels / step->params.attention.heads);
    return frames_y <= ZQ_MOST_FRAMES ? zq_amx_lay_out_head((size_t)frames_y, width, NULL, &head) : 0;
}

/* Fraction and octaves of x = t + 65535 as 16-bit words, from two vectors of 2 x. Words 4 * n + 0..3 are those of
 * lanes 2n, 2n + 1 of a, then of b. All octaves of 16 or more are equivalent, so they need not be exact. */
typedef struct {
    __m512i fraction, octaves;
} parts;

ZQ_AMX_TARGET_INLINE parts parts_of(__m512i a, __m512i b)
{
    /* bits 1..16 of both numbers, then bits 17..31; bit 24 appears in both bytes of the latter */
    const __m512i pick = _mm512_set1_epi64(0x3831181129210901);
    const __m512i x = _mm512_multishift_epi64_epi8(pick, a), y = _mm512_multishift_epi64_epi8(pick, b);
    return (parts){_mm512_mask_shuffle_epi32(x, 0xAAAA, y, _MM_PERM_CDAB),
                   _mm512_mask_shuffle_epi32(y, 0x5555, x, _MM_PERM_CDAB)};
}

/* The powers e of 32 words. With x = t + 65535 the octave is rounded up, so f is the lower half of x, inverted, and
 * below 65536. P / 2 = (65536 + (f * slope >> 16)) / 2 is an average (vpavgw), and so is the last rounding. */
ZQ_AMX_TARGET_INLINE __m512i raise(parts x)
{
    const __m512i f = _mm512_andnot_si512(x.fraction, _mm512_set1_epi32(-1));
    const __m512i slope =
        _mm512_add_epi16(_mm512_mulhi_epu16(f, _mm512_set1_epi16(22267)), _mm512_set1_epi16((int16_t)(uint16_t)43269));
    const __m512i mantissa = _mm512_avg_epu16(_mm512_mulhi_epu16(f, slope), _mm512_set1_epi32(-1));
    return _mm512_avg_epu16(_mm512_srlv_epi16(mantissa, x.octaves), _mm512_setzero_si512());
}

/* Compute row r of the powers of a block of 64 keys. */
ZQ_AMX_TARGET_INLINE void raise_row(const zq_amx_head *head, size_t block, size_t r, const int32_t *twice,
                                    __m512i *totals)
{
    const int32_t *scores = head->scores + (block * ZQ_AMX_ROWS + r) * 64;
    uint8_t *low = head->powers + block * 2 * ZQ_AMX_BYTES + 64 * r;
    const __m512i top = _mm512_set1_epi32(twice[r]), ones = _mm512_set1_epi16(1);
    const __m512i odd = _mm512_set1_epi16((int16_t)(uint16_t)0xFF00);
    __m512i z[4];
    for (size_t i = 0; i < 4; i++) z[i] = _mm512_sub_epi32(top, _mm512_load_si512(scores + 16 * i));
    const __m512i a = raise(parts_of(z[0], z[1])), b = raise(parts_of(z[2], z[3]));
    __m512i total = _mm512_load_si512(totals + r);
    zq_dot_words(&total, a, ones);
    zq_dot_words(&total, b, ones);
    _mm512_store_si512(totals + r, total);
    _mm512_store_si512(low, _mm512_ternarylogic_epi32(odd, _mm512_slli_epi16(b, 8), a, 0xCA));
    _mm512_store_si512(low + ZQ_AMX_BYTES, _mm512_ternarylogic_epi32(odd, b, _mm512_srli_epi16(a, 8), 0xCA));
}

/* Compute the powers of blocks from..to-1 and prefetch the values of these blocks. */
ZQ_AMX_TARGET static void raise_blocks(const zq_amx_head *head, size_t from, size_t to, const int32_t *twice,
                                       __m512i *totals)
{
    const char *values = (const char *)head->values + from * head->wide * 64;
    for (size_t block = from; block < to; block++)
        for (size_t r = 0; r < ZQ_AMX_ROWS; r++, values += 4 * head->wide) {
            for (size_t i = 0; i < 4 * head->wide; i += 64) _mm_prefetch(values + i, _MM_HINT_T0);
            raise_row(head, block, r, twice, totals);
        }
}

#define DOT(sums, rows, columns)            \
    if (head->is_v_signed) {                \
        ZQ_AMX_DOT_US(sums, rows, columns); \
    } else {                                \
        ZQ_AMX_DOT_UU(sums, rows, columns); \
    }

/* Multiply the low and high bytes of the powers of blocks from..to-1 with the values of 32 channels from c on. The
 * products are added to those of earlier blocks. */
ZQ_TARGET static void weigh(const zq_amx_head *head, size_t from, size_t to, size_t c)
{
    int32_t *halves = head->halves + 32 * c;
    const uint8_t *powers = head->powers + from * 2 * ZQ_AMX_BYTES;
    const uint8_t *values = head->values + (from * head->wide + c) * 64;
    if (from % BLOCKS == 0) {
        ZQ_AMX_ZERO(0);
        ZQ_AMX_ZERO(1);
        ZQ_AMX_ZERO(2);
        ZQ_AMX_ZERO(3);
    } else {
        ZQ_AMX_LOAD(0, halves, 64);
        ZQ_AMX_LOAD(1, halves + 256, 64);
        ZQ_AMX_LOAD(2, halves + 512, 64);
        ZQ_AMX_LOAD(3, halves + 768, 64);
    }
    for (size_t block = from; block < to; block++, powers += 2 * ZQ_AMX_BYTES, values += head->wide * 64) {
        ZQ_AMX_LOAD(4, powers, 64);
        ZQ_AMX_LOAD(6, values, 64);
        DOT(0, 4, 6)
        ZQ_AMX_LOAD(5, powers + ZQ_AMX_BYTES, 64);
        DOT(1, 5, 6)
        ZQ_AMX_LOAD(7, values + ZQ_AMX_BYTES, 64);
        DOT(2, 4, 7)
        DOT(3, 5, 7)
    }
    ZQ_AMX_STORE(0, halves, 64);
    ZQ_AMX_STORE(1, halves + 256, 64);
    ZQ_AMX_STORE(2, halves + 512, 64);
    ZQ_AMX_STORE(3, halves + 768, 64);
}

/* Quotients of 16 frames, equal to those of zq_divide, in 32-bit arithmetic. Valid for up to FEW frames. */
ZQ_TARGET static void divide_few(const zq_amx_head *head, const int32_t *totals, int32_t *means)
{
    for (size_t r = 0; r < ZQ_AMX_ROWS; r++) {
        const zq_divisor by = zq_divisor_of(totals[r]);
        const __m512i total = _mm512_set1_epi32(totals[r]), inverse = _mm512_set1_epi64((int64_t)by.inverse);
        const __m512i half = _mm512_set1_epi64((int64_t)1 << (by.shift - 1)), shift = _mm512_set1_epi64(by.shift);
        const __m512i shifted = _mm512_slli_epi32(total, 8), rest_half = _mm512_srli_epi32(total, 1);
        const __m512i narrow = _mm512_set1_epi32(by.narrow);
        const int32_t *low = head->halves + 16 * r;
        for (size_t c = 0; c < head->wide; c += 16, low += 512) {
            const __m512i high = _mm512_slli_epi32(_mm512_load_si512(low + 256), 8);
            const __m512i a = _mm512_add_epi32(_mm512_add_epi32(_mm512_load_si512(low), high), shifted);
            const __m512i x = _mm512_srlv_epi32(a, narrow);
            const __m512i even = _mm512_mul_epu32(x, inverse);
            const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(x, 32), inverse);
            const __m512i q = zq_join_low(_mm512_srlv_epi64(_mm512_add_epi64(even, half), shift),
                                          _mm512_srlv_epi64(_mm512_add_epi64(odd, half), shift));
            const __m512i exact = _mm512_add_epi32(_mm512_slli_epi32(a, 15), rest_half);
            const __m512i rest = _mm512_sub_epi32(exact, _mm512_mullo_epi32(q, total)); /* below 2 n: 32 bits suffice */
            const __m512i mean = _mm512_sub_epi32(q, _mm512_set1_epi32(1 << 23));
            const __mmask16 one_more = _mm512_cmpge_epu32_mask(rest, total);
            _mm512_store_si512(means + r * head->wide + c,
                               _mm512_mask_sub_epi32(mean, one_more, mean, _mm512_set1_epi32(-1)));
        }
    }
}

/* sums[r][c .. c + 31] of 16 frames in 64 bits, added to those of earlier blocks unless is_first. */
ZQ_TARGET static void add_sums(const zq_amx_head *head, size_t c, int is_first)
{
    for (size_t r = 0; r < ZQ_AMX_ROWS; r++)
        for (size_t d = 0; d < 32; d += 8) {
            const int32_t *low = head->halves + 32 * c + d / 16 * 512 + 16 * r + d % 16;
            int64_t *sums = head->sums + r * head->wide + c + d;
            const __m512i a = _mm512_cvtepi32_epi64(_mm256_load_si256((const __m256i *)(const void *)low));
            const __m512i b = _mm512_cvtepi32_epi64(_mm256_load_si256((const __m256i *)(const void *)(low + 256)));
            const __m512i sum = _mm512_add_epi64(a, _mm512_slli_epi64(b, 8));
            const __m512i before = is_first ? _mm512_setzero_si512() : _mm512_load_si512(sums);
            _mm512_store_si512(sums, _mm512_add_epi64(before, sum));
        }
}

ZQ_AMX_TARGET void zq_amx_average(const zq_amx_head *head, const int32_t twice[ZQ_AMX_ROWS], int32_t *means)
{
    const size_t blocks = head->padded / 64;
    int32_t totals[ZQ_AMX_ROWS];
    __m512i sums[ZQ_AMX_ROWS];
    for (size_t r = 0; r < ZQ_AMX_ROWS; r++) sums[r] = _mm512_setzero_si512();
    for (size_t from = 0; from < blocks; from += AT_ONCE) {
        const size_t to = from + AT_ONCE < blocks ? from + AT_ONCE : blocks;
        raise_blocks(head, from, to, twice, sums);
        for (size_t c = 0; c < head->wide; c += 32) {
            weigh(head, from, to, c);
            if (head->frames > FEW && (to % BLOCKS == 0 || to == blocks)) add_sums(head, c, to <= BLOCKS);
        }
    }
    zq_transpose_16(sums);
    for (size_t r = 1; r < ZQ_AMX_ROWS; r++) sums[0] = _mm512_add_epi32(sums[0], sums[r]);
    _mm512_storeu_si512(totals, sums[0]);
    if (head->frames <= FEW)
        divide_few(head, totals, means);
    else
        for (size_t r = 0; r < ZQ_AMX_ROWS; r++)
            zq_divide(head->sums + r * head->wide, (uint32_t)totals[r], head->wide, means + r * head->wide);
}

/* Requantize the quotients of 16 channels from channel c of the head on. Store n frames of y from t0 on. */
ZQ_TARGET static void store(const zq_state *state, const zq_step *step, const zq_amx_head *head, int32_t number,
                            int32_t t0, int32_t n, int32_t c)
{
    const int32_t storage = state->program->values[step->y].storage, width = (int32_t)head->width;
    const __m512i to_plain = zq_to_plain_order(ZQ_PLAIN);
    __m512i v[4][16];
    for (size_t i = 0; i < 4; i++) {
        const int32_t *means = head->means + 16 * i * head->wide + (size_t)c;
        for (size_t r = 0; r < 16; r++) v[i][r] = _mm512_load_si512(means + r * head->wide);
        zq_transpose_16(v[i]);
    }
    for (int32_t d = 0; d < zq_min(16, width - c); d++) {
        const int32_t o = number * width + c + d;
        char *y = zq_row(state, step->y, o) + (size_t)t0 * zq_size(storage);
        __m512i four[4] = {v[0][d], v[1][d], v[2][d], v[3][d]};
        zq_row_epilogue(step, storage, o, ZQ_PLAIN, to_plain, y, n, four);
    }
}

/* Compute frames t0 .. t0 + 63 of the head's channels. */
static void run_tile(const zq_state *state, const zq_step *step, int32_t number, int32_t t0, const zq_amx_head *head)
{
    const int32_t n = zq_min(ZQ_TILE, (int32_t)head->frames - t0), width = (int32_t)head->width;
    zq_amx_pack_queries(state, step, number * width, t0, head);
    for (int32_t i = 0; i < n; i += ZQ_AMX_ROWS) {
        int32_t twice[ZQ_AMX_ROWS];
        zq_amx_score(step, number, t0, i, head, twice);
        zq_amx_average(head, twice, head->means + (size_t)i * head->wide);
    }
    for (int32_t c = 0; c < width; c += 16) store(state, step, head, number, t0, n, c);
}

void zq_amx_attention(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    const int32_t frames = state->frames[step->y], tiles = zq_ceil_div(frames, ZQ_TILE);
    const int32_t width = state->program->values[step->y].channels / step->params.attention.heads;
    int32_t packed = -1;
    zq_amx_head head;
    if (!zq_is_suited(state, step)) {
        zq_attention(state, step, first, last, scratch);
        return;
    }
    zq_amx_lay_out_head((size_t)frames, (size_t)width, scratch, &head);
    zq_amx_begin();
    for (int32_t unit = first; unit < last; unit++) {
        if (unit / tiles != packed) zq_amx_pack_head(state, step, unit / tiles * width, &head);
        packed = unit / tiles;
        run_tile(state, step, packed, unit % tiles * ZQ_TILE, &head);
    }
    zq_amx_release_tiles();
}

#endif
