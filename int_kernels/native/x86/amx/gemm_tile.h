/* Shared by dense.c and gemm.c: operands of the dense convolution for AMX. */
#ifndef ZQ_AMX_DENSE_H
#define ZQ_AMX_DENSE_H

#include "x86/amx/amx.h"
#include "core/int4.h"

#ifdef ZQ_AMX_TABLE

enum { ZQ_AMX_MAPS = ZQ_AMX_ROWS /* of a block */ };

/* Prefetch of the data behind that in use, some cache lines with each K step. Needed for weights that come from
 * beyond L2. */
typedef struct {
    const char *next; /* NULL: for each block of maps, the next block */
    int32_t lines;
} zq_amx_fetching;

/* Inputs of a tile of a pointwise convolution, packed (K4) four channels at a time. */
typedef struct {
    const char *x;    /* next channel, first frame of the tile */
    size_t pitch;     /* bytes between channels */
    __mmask64 mask;   /* frames that exist */
    uint8_t *columns; /* [quads][64 frames in tile order][4] */
    int32_t channels; /* left to do */
    int32_t quads;    /* to do with a step */
} zq_amx_im2col_job;

ZQ_TARGET_INLINE void zq_amx_im2col(zq_amx_im2col_job *g, int32_t quads)
{
    for (; quads > 0 && g->channels > 0; quads--, g->columns += 256, g->channels -= 4) {
        __m512i v[4];
        for (int32_t i = 0; i < 4; i++, g->x += g->pitch) {
            v[i] = i < g->channels ? _mm512_maskz_loadu_epi8(g->mask, g->x) : _mm512_setzero_si512();
            _mm_prefetch(g->x + 64,
                         _MM_HINT_T1); /* for the tile behind: rows are too far apart for the hardware prefetcher */
        }
        zq_interleave(v);
        for (int32_t i = 0; i < 4; i++) _mm512_store_si512(g->columns + 64 * i, v[i]);
    }
}

/* Operands of a multiplication: output maps of one group with one tile, with several tiles, or with the same tile
 * of several rows of feature maps. */
typedef struct {
    const zq_step *step;
    const zq_requant_params *numbers; /* of the first map */
    const int8_t *weight;             /* [blocks][steps][one tile] */
    const uint8_t *inputs;            /* the operand of K step i starts at inputs + places[i], */
    const size_t *places;
    size_t steps, pitch;            /* with pitch bytes between rows */
    int32_t is_windowed, is_signed; /* x is signed */
    int32_t o, maps;                /* first map; number of maps */
    int32_t order;                  /* of frames: ZQ_PLAIN, or tile order with this many halves */
    int32_t count;                  /* of tiles */
    int32_t frames, next_frames;    /* from the first tile to the end; between tiles, 0 for rows of feature maps */
    size_t next_inputs, next_y;     /* bytes between tiles */
    int32_t storage;                /* of y */
    char *y;                        /* map o, first frame */
    size_t map;                     /* bytes between maps */
    zq_amx_fetching ahead;          /* prefetch of weights */
    zq_amx_im2col_job soon;         /* the tile that comes next: its im2col, */
    zq_amx_fetching near;           /* or to prefetch */
    const uint8_t *int4;            /* int4 weights, half a tile per K step, used instead of weight; or NULL */
    int8_t *unpacked;               /* buffer for the unpacked weights of a block */
} zq_amx_product;

/* Compute all of it (gemm.c). */
void zq_amx_multiply(const zq_amx_product *p);

#endif
#endif
