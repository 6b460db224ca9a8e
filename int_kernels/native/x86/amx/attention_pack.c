/* Pack one attention head for AMX. */
#include "x86/amx/attention_layout.h"

#ifdef ZQ_AMX_TABLE

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

size_t zq_amx_lay_out_head(size_t frames, size_t width, char *memory, zq_amx_head *head)
{
    char *const start = memory;
    const size_t padded = zq_rounded(frames, 64), steps = zq_rounded(width, 64) / 64, wide = zq_rounded(width, 32);
    const size_t before = zq_rounded(frames, 16) - frames;
    head->frames = frames;
    head->width = width;
    head->steps = steps;
    head->wide = wide;
    head->padded = padded;
    head->before = before;
    head->keys = zq_take(&memory, padded * 64 * steps);
    /* the last band starts at column T - 16 + before; 64 columns are packed at a time */
    head->places = zq_take(&memory, zq_rounded(frames + before + padded, 64) * 64 * steps);
    head->values = zq_take(&memory, padded * wide);
    head->content = zq_take(&memory, ZQ_TILE * 64 * steps);
    head->position = zq_take(&memory, ZQ_TILE * 64 * steps);
    head->halves = zq_take(&memory, larger(sizeof *head->products, wide / 16 * 2 * ZQ_AMX_BYTES));
    head->products = (zq_amx_products *)(void *)head->halves;
    head->powers = zq_take(&memory, 2 * ZQ_AMX_BYTES + ZQ_AMX_ROWS * padded * 4);
    head->scores = (int32_t *)(void *)head->powers + ZQ_AMX_BYTES / 2; /* a block after the powers that replace them */
    head->sums = zq_take(&memory, ZQ_AMX_ROWS * wide * 8);
    head->means = zq_take(&memory, ZQ_TILE * wide * 4);
    return (size_t)(memory - start);
}

/* Pack a value in the packed K4 layout, starting `before` frames before its first frame. */
ZQ_TARGET static void pack_columns(const zq_state *state, int32_t value, int32_t first, int32_t before,
                                   const zq_amx_head *head, uint8_t *columns)
{
    const int32_t frames = state->frames[value], width = (int32_t)head->width;
    const size_t tile = head->steps * ZQ_AMX_BYTES;
    for (int32_t t = -before; t < frames; t += 64, columns += 4 * tile)
        for (int32_t quad = 0; quad < 16 * (int32_t)head->steps; quad++) {
            __m512i v[4];
            zq_load_quad(state, value, first + 4 * quad, width - 4 * quad, t, _mm512_setzero_si512(), v);
            for (size_t i = 0; i < 4; i++) _mm512_store_si512(columns + i * tile + 64 * (size_t)quad, v[i]);
        }
}

/* Pack the values, with frames in the order of the powers: element 8 * n + r of 64 is frame 2 * n + order[r]. */
ZQ_AMX_TARGET static void pack_values(const zq_state *state, int32_t value, int32_t first, const zq_amx_head *head)
{
    static const uint8_t order[8] = {0, 32, 1, 33, 16, 48, 17, 49};
    const int32_t frames = (int32_t)head->frames, width = (int32_t)head->width;
    uint8_t *tile = head->values, places[64];
    for (int32_t i = 0; i < 64; i++) places[i] = (uint8_t)(i / 8 * 2 + order[i % 8]);
    const __m512i pick = _mm512_loadu_si512(places);
    for (int32_t t = 0; t < frames; t += 64) {
        const __mmask64 mask = zq_first_bytes(frames - t);
        for (int32_t c = 0; c < (int32_t)head->wide; c += 16, tile += ZQ_AMX_BYTES) {
            __m512i v[16];
            for (int32_t i = 0; i < 16; i++)
                v[i] = c + i < width ? _mm512_permutexvar_epi8(
                                           pick, _mm512_maskz_loadu_epi8(mask, zq_row(state, value, first + c + i) + t))
                                     : _mm512_setzero_si512();
            zq_transpose_16(v);
            for (int32_t i = 0; i < 16; i++) _mm512_store_si512(tile + 64 * i, v[i]);
        }
    }
}

void zq_amx_pack_head(const zq_state *state, const zq_step *step, int32_t first, zq_amx_head *head)
{
    const zq_value *values = state->program->values;
    head->is_k_signed = values[step->x[2]].storage == ZQ_INT8;
    head->is_v_signed = values[step->x[3]].storage == ZQ_INT8;
    head->is_p_signed = values[step->x[4]].storage == ZQ_INT8;
    pack_columns(state, step->x[2], first, 0, head, head->keys);
    pack_columns(state, step->x[4], first, (int32_t)head->before, head, head->places);
    pack_values(state, step->x[3], first, head);
}

static void pack_queries(const zq_state *state, int32_t value, int32_t first, int32_t t0, const zq_amx_head *head,
                         int8_t *queries)
{
    uint8_t *tile = (uint8_t *)queries;
    for (int32_t c = 0; c < (int32_t)head->width; c += ZQ_AMX_TAPS, tile += ZQ_AMX_BYTES)
        zq_amx_transpose_frames(state, value, first + c, (int32_t)head->width - c, t0, tile,
                                head->steps * ZQ_AMX_BYTES);
}

void zq_amx_pack_queries(const zq_state *state, const zq_step *step, int32_t first, int32_t t0, const zq_amx_head *head)
{
    pack_queries(state, step->x[0], first, t0, head, head->content);
    pack_queries(state, step->x[1], first, t0, head, head->position);
}

#endif
