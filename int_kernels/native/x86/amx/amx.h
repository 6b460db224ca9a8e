/* What the loops for AMX share: products of tiles.
 *
 * A tile register holds 16 rows of 64 bytes. One instruction adds to 16 x 16 sums of 32 bits, modulo 2^32, the products
 * of 16 rows of 64 codes with 64 codes of 16 columns; four codes of a column lie side by side, so that the columns'
 * tile is 16 rows of 16 dwords. Signed and unsigned codes have instructions of their own, so nothing is shifted here.
 * Registers are written as numbers, since the instructions want them so; whoever uses one says which. All that is not a
 * product is done as for AVX-512 VNNI. */
#ifndef ZQ_AMX_H
#define ZQ_AMX_H

#include "x86/avx512vnni/avx512vnni.h"

#ifdef ZQ_AMX_TABLE

/* Processors with AMX have AVX-512 VBMI too. */
#define ZQ_AMX_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi")))
#define ZQ_AMX_TARGET_INLINE static inline __attribute__((always_inline)) ZQ_AMX_TARGET

enum { ZQ_AMX_ROWS = 16, ZQ_AMX_TAPS = 64, ZQ_AMX_BYTES = 1024 }; /* of one tile */

zq_packed_size zq_amx_dense_bytes, zq_amx_depthwise_bytes;
zq_packer zq_amx_pack_dense, zq_amx_pack_depthwise;
zq_scratch_size zq_amx_dense_scratch, zq_amx_depthwise_scratch, zq_amx_attention_scratch;
zq_unit_count zq_amx_dense_units, zq_amx_depthwise_units;
zq_kernel zq_amx_dense, zq_amx_depthwise, zq_amx_attention;
zq_column_user zq_amx_dense_columns, zq_amx_depthwise_writes, zq_amx_depthwise_reads;

/* 64 frames of 64 channels, from channel `first` of x and frame t on, as rows of four tiles, `next` bytes from one tile to
 * the next. Channels and frames that are not there are 0. */
void zq_amx_turn_frames(const zq_state *state, int32_t x, int32_t first, int32_t channels, int32_t t, uint8_t *tile,
                        size_t next);

/* What the kernels of a unit's tiles see in so many frames, whole vectors of 64 (amx_window.c). */
void zq_amx_window(const zq_state *state, const zq_step *step, const zq_dense_unit *unit, int32_t frames,
                   uint8_t *window);

/* Eight tiles: palette 1, bytes of a row, rows; tiles 0 to 5 of so many rows, 6 and 7 whole. Every tile is 0 at first;
 * behind zq_amx_end the system has none to save. */
static inline void zq_amx_begin_rows(int32_t rows)
{
    uint8_t tiles[64] = {1};
    for (int32_t tile = 0; tile < 8; tile++) {
        tiles[16 + 2 * tile] = 64;
        tiles[48 + tile] = (uint8_t)(tile < 6 ? rows : ZQ_AMX_ROWS);
    }
    __asm__ volatile("ldtilecfg %0" ::"m"(tiles));
}

static inline void zq_amx_begin(void)
{
    zq_amx_begin_rows(ZQ_AMX_ROWS);
}

static inline void zq_amx_end(void)
{
    __asm__ volatile("tilerelease");
}

#define ZQ_AMX_ZERO(tile) __asm__ volatile("tilezero %%tmm" #tile ::)
/* 16 rows of 64 bytes, `pitch` bytes apart. Rows that cross lines of the cache take six times as long. */
#define ZQ_AMX_LOAD(tile, from, pitch) \
    __asm__ volatile("tileloadd (%0,%1,1),%%tmm" #tile ::"r"(from), "r"((size_t)(pitch)) : "memory")
#define ZQ_AMX_STORE(tile, to, pitch) \
    __asm__ volatile("tilestored %%tmm" #tile ",(%0,%1,1)" ::"r"(to), "r"((size_t)(pitch)) : "memory")
/* sums += rows * columns; the letters say which of rows and columns are signed. */
#define ZQ_AMX_DOT_SS(sums, rows, columns) __asm__ volatile("tdpbssd %%tmm" #columns ",%%tmm" #rows ",%%tmm" #sums ::)
#define ZQ_AMX_DOT_SU(sums, rows, columns) __asm__ volatile("tdpbsud %%tmm" #columns ",%%tmm" #rows ",%%tmm" #sums ::)
#define ZQ_AMX_DOT_US(sums, rows, columns) __asm__ volatile("tdpbusd %%tmm" #columns ",%%tmm" #rows ",%%tmm" #sums ::)
#define ZQ_AMX_DOT_UU(sums, rows, columns) __asm__ volatile("tdpbuud %%tmm" #columns ",%%tmm" #rows ",%%tmm" #sums ::)

/* Bytes of the numbers of so many channels; what is packed behind them starts at a line of the cache. */
static inline size_t zq_amx_numbers_bytes(size_t channels)
{
    return (channels * sizeof(zq_channel_numbers) + 63) / 64 * 64;
}

/* How sums become numbers of y: ZQ_INT8 and ZQ_UINT8 are codes by high shifts, ZQ_INT32 raw sums; ZQ_INT16: all else. */
static inline int32_t zq_amx_kind(const zq_step *step, int32_t storage, const zq_channel_numbers *numbers)
{
    if (!step->multiplier) return ZQ_INT32;
    return (storage == ZQ_INT8 || storage == ZQ_UINT8) && numbers->multiplier ? storage : ZQ_INT16;
}

/* The same for all rows of a step. */
typedef struct {
    const zq_step *step;
    __m512i to_plain, lo, hi;
    int32_t order, storage;
} zq_amx_row_end;

ZQ_TARGET_INLINE zq_amx_row_end zq_amx_row_end_of(const zq_step *step, int32_t order, int32_t storage)
{
    return (zq_amx_row_end){step,
                            zq_to_plain_order(order),
                            _mm512_set1_epi8((char)step->clip_lo),
                            _mm512_set1_epi8((char)step->clip_hi),
                            order,
                            storage};
}

/* The same for all rows of a channel. */
typedef struct {
    zq_rescaler rescaler; /* not looked at where it is not by high shifts */
    __m512i bias;
} zq_amx_channel_end;

ZQ_TARGET_INLINE zq_amx_channel_end zq_amx_channel_end_of(const zq_channel_numbers *numbers)
{
    return (zq_amx_channel_end){zq_rescaler_packed(numbers), _mm512_set1_epi32(numbers->bias)};
}

/* n frames of channel o at y, from 64 sums. */
ZQ_TARGET_INLINE void zq_amx_end_row(const zq_amx_row_end *end, const int32_t kind, const zq_amx_channel_end *channel,
                                     int32_t o, const int32_t *sums, char *y, int32_t n)
{
    __m512i v[4];
    for (int32_t i = 0; i < 4; i++) v[i] = _mm512_add_epi32(_mm512_load_si512(sums + 16 * i), channel->bias);
    if (kind == ZQ_INT16) {
        zq_finish_row(end->step, end->storage, o, end->order, end->to_plain, y, n, v);
    } else if (kind == ZQ_INT32) {
        zq_store_numbers(v, ZQ_INT32, end->order, y, n);
    } else {
        for (int32_t i = 0; i < 4; i++) v[i] = zq_rescale_high(&channel->rescaler, v[i]);
        zq_store_bytes(y, n, _mm512_permutexvar_epi32(end->to_plain, zq_pack_codes(kind, v, end->lo, end->hi)));
    }
}

#endif
#endif
