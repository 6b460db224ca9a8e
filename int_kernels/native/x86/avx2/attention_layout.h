/* What the two files of attention for AVX2 share: where things lie. */
#ifndef ZQ_AVX2_ATTENTION_H
#define ZQ_AVX2_ATTENTION_H

#include "x86/avx2/avx2.h"

#ifdef ZQ_X86_TABLES

enum { ZQ_QUERIES = 4, ZQ_LANES = 16 }; /* frames of y at once; keys, positions, or channels of v at once */

/* One head at work, in a worker's scratch. Columns are [lanes / 16][pairs][16 lanes][2], in the order of
 * zq_avx2_block. */
typedef struct {
    size_t frames, padded;       /* T, and in whole lanes */
    size_t width, wide, pairs;   /* channels of the head, in whole lanes, two at a time */
    int64_t *sums;               /* [ZQ_QUERIES][wide]: a */
    int32_t *scores;             /* [ZQ_QUERIES][padded]: products with k, then s */
    int32_t *far;                /* [ZQ_QUERIES][padded + 3 * ZQ_LANES]: products with p */
    int32_t *means;              /* [ZQ_TILE][wide]: the quotients */
    int16_t *keys, *places;      /* columns of k and p, pairs of channels */
    int16_t *values;             /* columns of v, lanes are channels, pairs are keys */
    int16_t *content, *position; /* [ZQ_TILE][2 * pairs]: queries for k and p */
    int16_t *powers;             /* [ZQ_QUERIES][padded]: e */
} zq_avx2_head;

/* The layout of a head; returns the bytes it takes. `memory` may be NULL. */
size_t zq_avx2_lay_out_head(size_t frames, size_t width, char *memory, zq_avx2_head *h);

/* k, v, p of the head whose first channel is `first`, and the queries of the tile at t0. */
void zq_avx2_pack_head(const zq_state *state, const zq_step *step, int32_t first, const zq_avx2_head *h);
void zq_avx2_pack_queries(const zq_state *state, const zq_step *step, int32_t first, int32_t t0, const zq_avx2_head *h);

#endif
#endif
