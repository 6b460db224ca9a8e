/* Scratch layout shared by the AMX attention files. */
#ifndef ZQ_AMX_ATTENTION_H
#define ZQ_AMX_ATTENTION_H

#include "x86/amx/amx.h"
#include "x86/avx512vnni/attention_layout.h"

#ifdef ZQ_AMX_TABLE

/* Products of 16 frames with 64 keys. The position products of frame r are shifted by 15 - r elements. */
typedef struct {
    int32_t content[ZQ_AMX_ROWS][64], position[ZQ_AMX_ROWS][80];
} zq_amx_products;

/* Working set of one head, in a worker's scratch. Every array that is read starts on a cache line. Sixteen frames
 * of y are processed at once. */
typedef struct {
    size_t frames, width;       /* T; channels of the head */
    size_t steps;               /* K steps: channels / 64, rounded up */
    size_t wide;                /* channels, rounded up to 32 */
    size_t padded;              /* T, rounded up to 64 */
    size_t before;              /* padding before the first position of p, so that its bands start at a tile */
    uint8_t *keys, *places;     /* k and p, packed K4: [16-frame blocks][steps][16 quads][16 frames][4 channels] */
    uint8_t *values;            /* v, [64-frame blocks][wide / 16][16 quads][16 channels][4], in the order of powers */
    int8_t *content, *position; /* queries of the tile for k and for p, [4][steps][16 frames][64 channels] */
    zq_amx_products *products;  /* of a block of 64 keys */
    int32_t *scores;            /* [64-key blocks][16][64]: 2 s */
    uint8_t *powers;            /* [64-key blocks][2][16][64]: low, then high bytes of e; overwrites the scores */
    int32_t *halves;            /* [wide / 16][2][16][16]: sums of low, high bytes of e times v; overwrites products */
    int64_t *sums;              /* [16][wide]: a */
    int32_t *means;             /* [ZQ_TILE][wide]: the quotients */
    int is_k_signed, is_p_signed, is_v_signed;
} zq_amx_head;

/* Lay out the scratch of a head. Returns its size in bytes. `memory` may be NULL. */
size_t zq_amx_lay_out_head(size_t frames, size_t width, char *memory, zq_amx_head *head);

/* Pack k, v and p of the head whose first channel is `first`; pack the queries of its tile of 64 frames at t0. */
void zq_amx_pack_head(const zq_state *state, const zq_step *step, int32_t first, zq_amx_head *head);
void zq_amx_pack_queries(const zq_state *state, const zq_step *step, int32_t first, int32_t t0,
                         const zq_amx_head *head);

/* Scores of head `number` for the 16 frames from t0 + i on. twice[r]: the value from which the doubled scores of
 * frame r are subtracted before the powers are computed. */
void zq_amx_score(const zq_step *step, int32_t number, int32_t t0, int32_t i, const zq_amx_head *head,
                  int32_t twice[ZQ_AMX_ROWS]);

/* Compute means[r][0 .. wide - 1] of 16 frames. */
void zq_amx_average(const zq_amx_head *head, const int32_t twice[ZQ_AMX_ROWS], int32_t *means);

#endif
#endif
