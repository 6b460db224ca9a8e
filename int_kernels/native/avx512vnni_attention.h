/* What the two files of attention for AVX-512 VNNI share: where things lie, and transposing. */
#ifndef ZQ_AVX512VNNI_ATTENTION_H
#define ZQ_AVX512VNNI_ATTENTION_H

#include "avx512vnni.h"

#ifdef ZQ_X86_TABLES

enum { ZQ_QUERIES = 6 }; /* frames of y worked on at once */

/* One head at work, in a worker's scratch. Columns are blocks of 64 frames, [block][quads][64 frames][4 channels], as
 * bytes without sign. */
typedef struct {
    size_t frames, width; /* T; channels of the head */
    size_t quads;         /* channels, four at a time */
    size_t wide;          /* channels, rounded up to 16 */
    size_t padded;        /* T, rounded up to 64 */
    uint8_t *keys;        /* columns of k */
    uint8_t *places;      /* columns of p */
    int16_t *values;      /* v, [padded / 2][wide][2] */
    int8_t *content;      /* [quads][64 frames][4 channels] queries of the tile for k */
    int8_t *position;     /* the same for p */
    int32_t *content_start, *position_start; /* [ZQ_TILE + ZQ_QUERIES] what their products start from */
    int32_t *scores;      /* [ZQ_QUERIES][padded]: first with k only, then s */
    int32_t *far;         /* [ZQ_QUERIES][padded + 128]: with p */
    int16_t *powers;      /* [ZQ_QUERIES][padded]: e */
    int64_t *sums;        /* [ZQ_QUERIES][wide]: a */
    int32_t *means;       /* [ZQ_TILE][wide]: the quotients */
} zq_head;

/* The layout of a head; returns the bytes it takes. `memory` may be NULL. */
size_t zq_lay_out_head(size_t frames, size_t width, char *memory, zq_head *head);

/* Columns of a value, `channels` channels from `first` on; signed codes are shifted by 128. */
void zq_pack_columns(const zq_state *state, int32_t value, int32_t first, int32_t channels, uint8_t *columns);
void zq_pack_values(const zq_state *state, int32_t value, int32_t first, const zq_head *head);
void zq_pack_queries(const zq_state *state, const zq_step *step, int32_t first, int32_t t0, const zq_head *head);

/* The powers of frames t0 + i .. of head `number`, at most six of the tile, and their sums. */
void zq_attend(const zq_step *step, int32_t number, const zq_head *head, int32_t t0, int32_t i,
               int64_t totals[ZQ_QUERIES]);

/* v[i] lane j = v[j] lane i, for 16 vectors of 16 numbers. */
ZQ_TARGET_INLINE void zq_transpose_16(__m512i v[16])
{
    __m512i out[16];
    for (int32_t g = 0; g < 16; g += 4) zq_transpose_numbers(v + g);
    for (int32_t k = 0; k < 4; k++) {
        __m512i lanes[4] = {v[k], v[4 + k], v[8 + k], v[12 + k]};
        zq_transpose_lanes(lanes);
        for (int32_t l = 0; l < 4; l++) out[4 * l + k] = lanes[l];
    }
    for (int32_t i = 0; i < 16; i++) v[i] = out[i];
}

#endif
#endif
