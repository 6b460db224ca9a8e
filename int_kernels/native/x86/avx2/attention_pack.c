/* Packing of attention operands for AVX2, in the order in which zq_avx2_block reads them. */
#include "x86/avx2/attention_layout.h"

#ifdef ZQ_X86_TABLES

static size_t whole_lanes(size_t n)
{
    return (n + ZQ_LANES - 1) / ZQ_LANES * ZQ_LANES;
}

size_t zq_avx2_lay_out_head(size_t frames, size_t width, char *memory, zq_avx2_head *h)
{
    const uintptr_t start = (uintptr_t)memory;
    uintptr_t end = start;
    h->frames = frames, h->padded = whole_lanes(frames);
    h->width = width, h->wide = whole_lanes(width), h->pairs = (width + 1) / 2;
#define TAKE(TYPE, name, count) h->name = (TYPE *)end, end += (count) * sizeof(TYPE)
    TAKE(int64_t, sums, ZQ_QUERIES * h->wide);
    TAKE(int32_t, scores, ZQ_QUERIES * h->padded);
    TAKE(int32_t, far, ZQ_QUERIES * (h->padded + 3 * ZQ_LANES));
    TAKE(int32_t, means, ZQ_TILE * h->wide);
    TAKE(int16_t, keys, h->padded * 2 * h->pairs);
    TAKE(int16_t, places, whole_lanes(2 * frames - 1) * 2 * h->pairs);
    TAKE(int16_t, values, h->wide * h->padded);
    TAKE(int16_t, content, ZQ_TILE * 2 * h->pairs);
    TAKE(int16_t, position, ZQ_TILE * 2 * h->pairs);
    TAKE(int16_t, powers, ZQ_QUERIES * h->padded);
#undef TAKE
    return end - start;
}

/* Pack h->width channels of a value, from channel `first` on, as interleaved pairs. A missing last channel is 0. */
ZQ_TARGET static void pack_columns(const zq_state *state, int32_t value, int32_t first, const zq_avx2_head *h,
                                   int16_t *columns)
{
    const int32_t frames = state->frames[value], storage = state->program->values[value].storage;
    int16_t line[2 * ZQ_LANES];
    for (size_t pair = 0; pair < h->pairs; pair++)
        for (int32_t t = 0; t < frames; t += ZQ_LANES) {
            memset(line, 0, sizeof line);
            for (size_t i = 0; i < 2 && 2 * pair + i < h->width; i++)
                zq_widen(zq_row(state, value, first + (int32_t)(2 * pair + i)), storage, t, 1,
                         zq_min(ZQ_LANES, frames - t), line + i * ZQ_LANES);
            const __m256i a = zq_load_vector(line), b = zq_load_vector(line + ZQ_LANES);
            int16_t *out = columns + ((size_t)t * h->pairs + pair * ZQ_LANES) * 2;
            zq_store_vector(out, _mm256_unpacklo_epi16(a, b));
            zq_store_vector(out + ZQ_LANES, _mm256_unpackhi_epi16(a, b));
        }
}

/* Pack v: lanes are channels, pairs are frames. Missing channels and frames are 0. */
ZQ_TARGET static void pack_values(const zq_state *state, int32_t value, int32_t first, const zq_avx2_head *h)
{
    const int32_t storage = state->program->values[value].storage;
    memset(h->values, 0, h->wide * h->padded * sizeof *h->values);
    for (size_t d = 0; d < h->width; d++) {
        const size_t lane = d % ZQ_LANES, slot = (lane & 3) | (lane & 8) / 2 | (lane & 4) * 2;
        const char *row = zq_row(state, value, first + (int32_t)d);
        int16_t *out = h->values + (d - lane) * h->padded + 2 * slot;
        for (size_t t = 0; t < h->frames; t++)
            out[t / 2 * 2 * ZQ_LANES + t % 2] = (int16_t)(storage == ZQ_INT8 ? (int8_t)row[t] : (uint8_t)row[t]);
    }
}

/* Pack the queries of the tile at t0, one row per frame. Frames and channels beyond the last are 0. */
static void pack_queries(const zq_state *state, int32_t value, int32_t first, int32_t t0, const zq_avx2_head *h,
                         int16_t *queries)
{
    const int32_t storage = state->program->values[value].storage, n = zq_min(ZQ_TILE, (int32_t)h->frames - t0);
    memset(queries, 0, ZQ_TILE * 2 * h->pairs * sizeof *queries);
    for (size_t d = 0; d < h->width; d++) {
        const char *row = zq_row(state, value, first + (int32_t)d) + t0;
        for (int32_t t = 0; t < n; t++)
            queries[(size_t)t * 2 * h->pairs + d] = (int16_t)(storage == ZQ_INT8 ? (int8_t)row[t] : (uint8_t)row[t]);
    }
}

void zq_avx2_pack_head(const zq_state *state, const zq_step *step, int32_t first, const zq_avx2_head *h)
{
    pack_columns(state, step->x[2], first, h, h->keys);
    pack_columns(state, step->x[4], first, h, h->places);
    pack_values(state, step->x[3], first, h);
}

void zq_avx2_pack_queries(const zq_state *state, const zq_step *step, int32_t first, int32_t t0, const zq_avx2_head *h)
{
    pack_queries(state, step->x[0], first, t0, h, h->content);
    pack_queries(state, step->x[1], first, t0, h, h->position);
}

#endif
