/* What the files of attention for AMX share: where things lie. */
#ifndef ZQ_AMX_ATTENTION_H
#define ZQ_AMX_ATTENTION_H

#include "x86/amx/amx.h"
#include "x86/avx512vnni/attention_layout.h"

#ifdef ZQ_AMX_TABLE

/* Products of 16 frames with 64 keys. Those of frame r with positions lie 15 - r numbers further on. */
typedef struct {
    int32_t content[ZQ_AMX_ROWS][64], position[ZQ_AMX_ROWS][80];
} zq_amx_products;

/* One head at work, in a worker's scratch; all that is read starts at a line of the cache. Sixteen frames of y are
 * worked on at once. */
typedef struct {
    size_t frames, width;       /* T; channels of the head */
    size_t steps;               /* channels, 64 at a time */
    size_t wide;                /* channels, rounded up to 32 */
    size_t padded;              /* T, rounded up to 64 */
    size_t before;              /* columns of p before its first position: its bands start with a tile */
    uint8_t *keys, *places;     /* k and p, [16 frames][steps][16 quads][16 frames][4 channels] */
    uint8_t *values;            /* v, [64 frames][wide / 16][16 quads][16 channels][4], in the order of powers */
    int8_t *content, *position; /* the tile's queries for k and for p, [4][steps][16 frames][64 channels] */
    zq_amx_products *products;  /* of a block of 64 keys */
    int32_t *scores;            /* [64 keys][16][64]: s, doubled */
    uint8_t *powers;            /* [64 keys][2][16][64]: low bytes of e, then high ones; where scores were */
    int32_t *halves;            /* [wide / 16][2][16][16]: sums of e's low, high bytes times v; where products were */
    int64_t *sums;              /* [16][wide]: a */
    int32_t *means;             /* [ZQ_TILE][wide]: the quotients */
    int is_k_signed, is_p_signed, is_v_signed;
} zq_amx_head;

/* The layout of a head; returns the bytes it takes. `memory` may be NULL. */
size_t zq_amx_lay_out_head(size_t frames, size_t width, char *memory, zq_amx_head *head);

/* The head whose first channel is `first`; the queries of its tile of 64 frames at t0. */
void zq_amx_pack_head(const zq_state *state, const zq_step *step, int32_t first, zq_amx_head *head);
void zq_amx_pack_queries(const zq_state *state, const zq_step *step, int32_t first, int32_t t0,
                         const zq_amx_head *head);

/* Scores of head `number` for the 16 frames from t0 + i on; twice[r]: what raising subtracts them from. */
void zq_amx_score(const zq_step *step, int32_t number, int32_t t0, int32_t i, const zq_amx_head *head,
                  int32_t twice[ZQ_AMX_ROWS]);

/* means[r][0 .. wide - 1] of 16 frames. */
void zq_amx_average(const zq_amx_head *head, const int32_t twice[ZQ_AMX_ROWS], int32_t *means);

#endif
#endif
