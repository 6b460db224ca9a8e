/* Scratch layout of an attention head, shared by the two AVX2 attention files. */
#ifndef ZQ_AVX2_ATTENTION_H
#define ZQ_AVX2_ATTENTION_H

#include "x86/avx2/avx2.h"

#ifdef ZQ_X86_TABLES

enum { ZQ_QUERIES = 4, ZQ_LANES = 16 }; /* per block: frames of y; keys, positions or channels of v */

/* The current head, in a worker's scratch. Packed operands are [lanes / 16][pairs][16 lanes][2], with lanes in the
 * order of zq_avx2_block. */
typedef struct {
    size_t frames, padded;       /* T; T rounded up to ZQ_LANES */
    size_t width, wide, pairs;   /* channels of the head; rounded up to ZQ_LANES; pairs of channels */
    int64_t *sums;               /* [ZQ_QUERIES][wide]: a, the sums of e * v */
    int32_t *scores;             /* [ZQ_QUERIES][padded]: products with k, then scores s */
    int32_t *far;                /* [ZQ_QUERIES][padded + 3 * ZQ_LANES]: products with p */
    int32_t *means;              /* [ZQ_TILE][wide]: the quotients */
    int16_t *keys, *places;      /* packed k and p: lanes are frames, pairs are channels */
    int16_t *values;             /* packed v: lanes are channels, pairs are keys */
    int16_t *content, *position; /* [ZQ_TILE][2 * pairs]: queries for k and for p */
    int16_t *powers;             /* [ZQ_QUERIES][padded]: e, the exponentials of the scores */
} zq_avx2_head;

/* Lay out a head in `memory`, which may be NULL. Returns the size in bytes. */
size_t zq_avx2_lay_out_head(size_t frames, size_t width, char *memory, zq_avx2_head *h);

/* Pack k, v and p of the head whose first channel is `first`, and the queries of its tile at t0. */
void zq_avx2_pack_head(const zq_state *state, const zq_step *step, int32_t first, const zq_avx2_head *h);
void zq_avx2_pack_queries(const zq_state *state, const zq_step *step, int32_t first, int32_t t0, const zq_avx2_head *h);

#endif
#endif
