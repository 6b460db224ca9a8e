/* What the two files of dense convolutions for AMX share. */
#ifndef ZQ_AMX_DENSE_H
#define ZQ_AMX_DENSE_H

#include "x86/amx/amx.h"
#include "core/int4.h"

#ifdef ZQ_AMX_TABLE

enum { ZQ_AMX_MAPS = ZQ_AMX_ROWS /* of a block */ };

/* Weights come from far: what lies behind those in use is fetched meanwhile, some lines with each step. */
typedef struct {
    const char *next; /* NULL: behind each block of maps, the next block */
    int32_t lines;
} zq_amx_fetching;

/* A tile's inputs of a pointwise convolution, gathered four channels at a time. */
typedef struct {
    const char *x;    /* the next channel, the tile's first frame */
    size_t pitch;     /* bytes from channel to channel */
    __mmask64 mask;   /* frames there are */
    uint8_t *columns; /* [quads][64 frames in tile order][4] */
    int32_t channels; /* left to gather */
    int32_t quads;    /* to be gathered with a step */
} zq_amx_gathering;

ZQ_TARGET_INLINE void zq_amx_gather(zq_amx_gathering *g, int32_t quads)
{
    for (; quads > 0 && g->channels > 0; quads--, g->columns += 256, g->channels -= 4) {
        __m512i v[4];
        for (int32_t i = 0; i < 4; i++, g->x += g->pitch) {
            v[i] = i < g->channels ? _mm512_maskz_loadu_epi8(g->mask, g->x) : _mm512_setzero_si512();
            _mm_prefetch(g->x + 64, _MM_HINT_T1); /* for the tile behind: rows lie too far apart to be foreseen */
        }
        zq_interleave(v);
        for (int32_t i = 0; i < 4; i++) _mm512_store_si512(g->columns + 64 * i, v[i]);
    }
}

/* What is multiplied: output maps of one group with a tile, with some tiles, or with the same tile of some rows of feature
 * maps. */
typedef struct {
    const zq_step *step;
    const zq_channel_numbers *numbers; /* of the first map */
    const int8_t *weight;              /* [blocks][steps][a tile] */
    const uint8_t *inputs;             /* what step i multiplies starts at inputs + places[i], */
    const size_t *places;
    size_t steps, pitch;            /* with pitch bytes from row to row */
    int32_t is_windowed, is_signed; /* x is signed */
    int32_t o, maps;                /* the first map; how many */
    int32_t order;                  /* of frames: ZQ_PLAIN, or tile order of so many halves */
    int32_t count;                  /* of tiles */
    int32_t frames, next_frames;    /* of the first tile and all behind it; frames to the next one: 0 for rows */
    size_t next_inputs, next_y;     /* bytes to the next tile */
    int32_t storage;                /* of y */
    char *y;                        /* map o, the first frame */
    size_t map;                     /* bytes from map to map */
    zq_amx_fetching ahead;          /* weights */
    zq_amx_gathering soon;          /* the tile that comes next: inputs to gather, */
    zq_amx_fetching near;           /* or to fetch */
    const uint8_t *nibbles;         /* in place of the weight, half a tile each; or NULL */
    int8_t *unpacked;               /* place for a block's bytes */
} zq_amx_product;

/* All of it (amx_multiply.c). */
void zq_amx_multiply(const zq_amx_product *p);

#endif
#endif
