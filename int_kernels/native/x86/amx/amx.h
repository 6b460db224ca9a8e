/* Shared by the AMX kernels: tile registers and tile products.
 *
 * A tile register holds 16 rows of 64 bytes. One TDP instruction accumulates 16 x 16 int32 sums, modulo 2^32: it
 * multiplies 16 rows (A) of 64 8-bit values with 16 columns (B) of 64 values. B is in the packed K4 (VNNI) layout:
 * four consecutive values of a column form one dword, so B is 16 rows of 16 dwords. There is an instruction for
 * each combination of signed and unsigned operands, so no value is offset by 128 here. Tile registers are immediate
 * operands; callers choose the number. Everything except the products is done as for AVX-512 VNNI. */
#ifndef ZQ_AMX_H
#define ZQ_AMX_H

#include "x86/avx512vnni/avx512vnni.h"

#ifdef ZQ_AMX_TABLE

/* Every processor with AMX also has AVX-512 VBMI. */
#define ZQ_AMX_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi")))
#define ZQ_AMX_TARGET_INLINE static inline __attribute__((always_inline)) ZQ_AMX_TARGET

enum { ZQ_AMX_ROWS = 16, ZQ_AMX_TAPS = 64, ZQ_AMX_BYTES = 1024 }; /* of one tile register */

zq_packed_size zq_amx_dense_bytes, zq_amx_depthwise_bytes;
zq_packer zq_amx_pack_dense, zq_amx_pack_depthwise;
zq_scratch_size zq_amx_dense_scratch, zq_amx_depthwise_scratch, zq_amx_attention_scratch;
zq_unit_count zq_amx_dense_units, zq_amx_depthwise_units;
zq_kernel zq_amx_dense, zq_amx_depthwise, zq_amx_attention;
zq_packed_k4_use zq_amx_dense_reads, zq_amx_depthwise_writes, zq_amx_depthwise_reads;

/* Transpose 64 frames of 64 channels, from channel `first` of x and frame t on, to the frame-major rows of four
 * tiles, `next` bytes apart. Missing channels and frames are 0. */
void zq_amx_transpose_frames(const zq_state *state, int32_t x, int32_t first, int32_t channels, int32_t t,
                             uint8_t *tile, size_t next);

/* Input of a direct convolution: all frames that the kernel taps of a unit's tiles read; `frames` is a multiple of
 * 64 (direct_conv.c). */
void zq_amx_window(const zq_state *state, const zq_step *step, const zq_dense_unit *unit, int32_t frames,
                   uint8_t *window);

/* Configure eight tile registers: palette 1, 64 bytes per row. Tiles 0 to 5 have `rows` rows, tiles 6 and 7 have
 * 16. Loading the configuration clears every tile. After zq_amx_release_tiles the operating system has no tile state
 * to save. */
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

static inline void zq_amx_release_tiles(void)
{
    __asm__ volatile("tilerelease");
}

#define ZQ_AMX_ZERO(tile) __asm__ volatile("tilezero %%tmm" #tile ::)
/* 16 rows of 64 bytes, `pitch` bytes apart. Loading rows that cross cache line boundaries takes six times as long. */
#define ZQ_AMX_LOAD(tile, from, pitch) \
    __asm__ volatile("tileloadd (%0,%1,1),%%tmm" #tile ::"r"(from), "r"((size_t)(pitch)) : "memory")
#define ZQ_AMX_STORE(tile, to, pitch) \
    __asm__ volatile("tilestored %%tmm" #tile ",(%0,%1,1)" ::"r"(to), "r"((size_t)(pitch)) : "memory")
/* sums += rows * columns. The suffix gives the signedness of rows, then of columns (S signed, U unsigned). */
#define ZQ_AMX_DOT_SS(sums, rows, columns) __asm__ volatile("tdpbssd %%tmm" #columns ",%%tmm" #rows ",%%tmm" #sums ::)
#define ZQ_AMX_DOT_SU(sums, rows, columns) __asm__ volatile("tdpbsud %%tmm" #columns ",%%tmm" #rows ",%%tmm" #sums ::)
#define ZQ_AMX_DOT_US(sums, rows, columns) __asm__ volatile("tdpbusd %%tmm" #columns ",%%tmm" #rows ",%%tmm" #sums ::)
#define ZQ_AMX_DOT_UU(sums, rows, columns) __asm__ volatile("tdpbuud %%tmm" #columns ",%%tmm" #rows ",%%tmm" #sums ::)

/* Bytes of the requantize parameters of `channels` channels, rounded up so that the data behind them starts on a
 * cache line. */
static inline size_t zq_amx_numbers_bytes(size_t channels)
{
    return (channels * sizeof(zq_requant_params) + 63) / 64 * 64;
}

/* Epilogue kind. ZQ_INT8 and ZQ_UINT8: requantize to that type with high shifts. ZQ_INT32: store raw sums.
 * ZQ_INT16: every other case. */
static inline int32_t zq_amx_kind(const zq_step *step, int32_t storage, const zq_requant_params *numbers)
{
    if (!step->multiplier) return ZQ_INT32;
    return (storage == ZQ_INT8 || storage == ZQ_UINT8) && numbers->multiplier ? storage : ZQ_INT16;
}

/* Epilogue constants that are the same for all rows of a step. */
typedef struct {
    const zq_step *step;
    __m512i to_plain, lo, hi;
    int32_t order, storage;
} zq_amx_row_epilogue;

ZQ_TARGET_INLINE zq_amx_row_epilogue zq_amx_row_epilogue_of(const zq_step *step, int32_t order, int32_t storage)
{
    return (zq_amx_row_epilogue){step,
                                 zq_to_plain_order(order),
                                 _mm512_set1_epi8((char)step->clip_lo),
                                 _mm512_set1_epi8((char)step->clip_hi),
                                 order,
                                 storage};
}

/* Epilogue constants of one channel. */
typedef struct {
    zq_rescaler rescaler; /* unused unless requantized with high shifts */
    __m512i bias;
} zq_amx_channel_epilogue;

ZQ_TARGET_INLINE zq_amx_channel_epilogue zq_amx_channel_epilogue_of(const zq_requant_params *numbers)
{
    return (zq_amx_channel_epilogue){zq_rescaler_packed(numbers), _mm512_set1_epi32(numbers->bias)};
}

/* Epilogue of one row: n frames of channel o at y, from 64 sums. */
ZQ_TARGET_INLINE void zq_amx_epilogue(const zq_amx_row_epilogue *end, const int32_t kind,
                                      const zq_amx_channel_epilogue *channel, int32_t o, const int32_t *sums, char *y,
                                      int32_t n)
{
    __m512i v[4];
    for (int32_t i = 0; i < 4; i++) v[i] = _mm512_add_epi32(_mm512_load_si512(sums + 16 * i), channel->bias);
    if (kind == ZQ_INT16) {
        zq_row_epilogue(end->step, end->storage, o, end->order, end->to_plain, y, n, v);
    } else if (kind == ZQ_INT32) {
        zq_store_numbers(v, ZQ_INT32, end->order, y, n);
    } else {
        for (int32_t i = 0; i < 4; i++) v[i] = zq_rescale_high(&channel->rescaler, v[i]);
        zq_store_bytes(y, n, _mm512_permutexvar_epi32(end->to_plain, zq_pack_codes(kind, v, end->lo, end->hi)));
    }
}

#endif
#endif
