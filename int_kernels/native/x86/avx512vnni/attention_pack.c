/* Pack one attention head for AVX-512 VNNI. */
#include "x86/avx512vnni/attention_layout.h"

#ifdef ZQ_X86_TABLES

size_t zq_lay_out_head(size_t frames, size_t width, char *memory, zq_head *head)
{
    char *const start = memory;
    const size_t padded = zq_rounded(frames, 64);
    head->frames = frames;
    head->width = width;
    head->quads = (width + 3) / 4;
    head->wide = zq_rounded(width, 16);
    head->padded = padded;
    head->keys = zq_take(&memory, padded * 4 * head->quads);
    head->places = zq_take(&memory, zq_rounded(2 * frames, 64) * 4 * head->quads);
    head->values = zq_take(&memory, padded * head->wide * 2);
    head->content = zq_take(&memory, 256 * head->quads + 4 * ZQ_QUERIES); /* the last six may extend past the tile */
    head->position = zq_take(&memory, 256 * head->quads + 4 * ZQ_QUERIES);
    head->content_start = zq_take(&memory, (ZQ_TILE + ZQ_QUERIES) * 4);
    head->position_start = zq_take(&memory, (ZQ_TILE + ZQ_QUERIES) * 4);
    head->scores = zq_take(&memory, ZQ_QUERIES * padded * 4);
    head->far = zq_take(&memory, ZQ_QUERIES * (padded + 128) * 4);
    head->powers = zq_take(&memory, ZQ_QUERIES * padded * 2);
    head->sums = zq_take(&memory, ZQ_QUERIES * head->wide * 8);
    head->means = zq_take(&memory, ZQ_TILE * head->wide * 4);
    return (size_t)(memory - start);
}

ZQ_TARGET void zq_pack_columns(const zq_state *state, int32_t value, int32_t first, int32_t channels, uint8_t *columns)
{
    const int32_t frames = state->frames[value];
    const __m512i flip = zq_flip(state->program->values[value].storage);
    for (int32_t t = 0; t < frames; t += 64) {
        for (int32_t c = 0; c < channels; c += 4, columns += 256) {
            __m512i v[4];
            zq_load_quad(state, value, first + c, channels - c, t, flip, v);
            for (int32_t i = 0; i < 4; i++) _mm512_storeu_si512(columns + 64 * i, v[i]);
        }
    }
}

/* Widen two bytes of each dword to 16-bit numbers. */
ZQ_TARGET_INLINE __m512i widen_two(__m512i dwords, int is_signed, int is_upper)
{
    /* move each byte to the upper half of its word, then shift it down with its sign */
    const __m512i shifted = is_upper ? _mm512_srli_epi32(dwords, 16) : dwords;
    const __m512i even = _mm512_slli_epi32(_mm512_and_si512(shifted, _mm512_set1_epi32(0xFF)), 8);
    const __m512i odd = _mm512_slli_epi32(_mm512_and_si512(shifted, _mm512_set1_epi32(0xFF00)), 16);
    const __m512i words = _mm512_or_si512(even, odd);
    return is_signed ? _mm512_srai_epi16(words, 8) : _mm512_srli_epi16(words, 8);
}

ZQ_TARGET void zq_pack_values(const zq_state *state, int32_t value, int32_t first, const zq_head *head)
{
    const int32_t frames = (int32_t)head->frames, width = (int32_t)head->width;
    const int is_signed = state->program->values[value].storage == ZQ_INT8;
    for (int32_t c = 0; c < width; c += 16) {
        for (int32_t t = 0; t < frames; t += 64) {
            __m512i v[16];
            for (int32_t i = 0; i < 16; i++)
                v[i] = c + i < width ? _mm512_maskz_loadu_epi8(zq_first_bytes(frames - t),
                                                               zq_row(state, value, first + c + i) + t)
                                     : _mm512_setzero_si512();
            zq_transpose_16(v); /* v[i]: frames t + 4 * i .. + 3 of 16 channels */
            for (int32_t i = 0; i < 16; i++) {
                int16_t *out = head->values + ((size_t)(t / 2 + 2 * i) * head->wide + (size_t)c) * 2;
                _mm512_storeu_si512(out, widen_two(v[i], is_signed, 0));
                _mm512_storeu_si512(out + 2 * head->wide, widen_two(v[i], is_signed, 1));
            }
        }
    }
}

/* Pack the queries of one tile. Packed signed k and p have 128 added, so their accumulators start at -128 times the
 * sum of the queries. */
ZQ_TARGET static void pack_queries(const zq_state *state, int32_t value, int32_t first, int32_t t0, int is_flipped,
                                   const zq_head *head, int8_t *queries, int32_t *start)
{
    const int32_t width = (int32_t)head->width;
    const __m512i ones = _mm512_set1_epi8(1), zero = _mm512_setzero_si512();
    __m512i sums[4] = {zero, zero, zero, zero};
    for (int32_t c = 0; c < width; c += 4, queries += 256) {
        __m512i v[4];
        zq_load_quad(state, value, first + c, width - c, t0, zero, v);
        for (int32_t i = 0; i < 4; i++) {
            _mm512_storeu_si512(queries + 64 * i, v[i]);
            zq_dot(&sums[i], ones, v[i]);
        }
    }
    memset(queries, 0, 4 * ZQ_QUERIES);
    memset(start, 0, (ZQ_TILE + ZQ_QUERIES) * sizeof *start);
    for (int32_t i = 0; i < 4 && is_flipped; i++)
        _mm512_storeu_si512(start + 16 * i, _mm512_sub_epi32(zero, _mm512_slli_epi32(sums[i], 7)));
}

void zq_pack_queries(const zq_state *state, const zq_step *step, int32_t first, int32_t t0, const zq_head *head)
{
    const int is_k_signed = state->program->values[step->x[2]].storage == ZQ_INT8;
    const int is_p_signed = state->program->values[step->x[4]].storage == ZQ_INT8;
    pack_queries(state, step->x[0], first, t0, is_k_signed, head, head->content, head->content_start);
    pack_queries(state, step->x[1], first, t0, is_p_signed, head, head->position, head->position_start);
}

#endif
