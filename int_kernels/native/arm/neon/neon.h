/* Shared by the AArch64 kernels: blocks of output maps and frames, the dense driver, and the epilogue. */
#ifndef ZQ_NEON_H
#define ZQ_NEON_H

#include "core/kernels.h"

#ifdef ZQ_NEON_TABLES
#include <arm_neon.h>

enum { ZQ_NEON_ROWS = 8, ZQ_NEON_FRAMES = 8 }; /* maps and frames of y per block of the dense kernels */

zq_kernel zq_neon_dense, zq_neon_depthwise;
zq_packed_size zq_neon_dense_bytes;
zq_packer zq_neon_pack_dense;

#ifdef ZQ_DOTPROD_TABLE
/* If the whole build targets the extension, functions need no target attribute. */
#ifdef __ARM_FEATURE_DOTPROD
#define ZQ_DOTPROD
#else
#define ZQ_DOTPROD __attribute__((target("arch=armv8.2-a+dotprod")))
#endif
zq_kernel zq_neon_dotprod_dense, zq_neon_dotprod_depthwise;
zq_packed_size zq_neon_dotprod_dense_bytes, zq_neon_dotprod_depthwise_bytes;
zq_packer zq_neon_dotprod_pack_dense, zq_neon_dotprod_pack_depthwise;
zq_scratch_size zq_neon_dotprod_dense_scratch, zq_neon_dotprod_depthwise_scratch;
int64_t zq_neon_dotprod_peak(int32_t rounds, int32_t *codes); /* see zq_peak */

/* SDOT needs signed operands, so unsigned values are read as x - 128, that is with the top bit flipped. */
ZQ_INLINE uint8_t zq_neon_flip(const zq_program *program, const zq_step *step)
{
    return program->values[step->x[0]].storage == ZQ_UINT8 ? 128 : 0;
}

/* The bias corrected for this offset. */
ZQ_INLINE int32_t zq_neon_bias(const zq_program *program, const zq_step *step, int32_t o, size_t taps)
{
    return zq_shifted_by(step, o, taps, zq_neon_flip(program, step));
}
#endif

/* Number of blocks of ZQ_NEON_ROWS output maps in one group of a convolution. */
ZQ_INLINE size_t zq_neon_blocks(const zq_program *program, const zq_step *step)
{
    return (size_t)zq_ceil_div(zq_maps_out(program, step), ZQ_NEON_ROWS);
}

/* acc[t] = saturate(rescale_o(acc[t] + bias)). SQDMULH gives floor(a * m / 2^31): it saturates only if both factors are
 * -2^31, and m >= 0. The rounding shift by r - 31 does the rest in full precision. Both are exact for r >= 32. */
ZQ_INLINE void zq_neon_rescale(const zq_step *step, int32_t o, int32_t bias, int32_t *acc)
{
    const int32x4_t start = vdupq_n_s32(bias);
    for (int32_t t = 0; t < ZQ_TILE; t += 4) vst1q_s32(acc + t, vaddq_s32(vld1q_s32(acc + t), start));
    if (!step->multiplier || step->shift[o] < 32) {
        zq_rescale_tile(step, o, acc);
        return;
    }
    const int32x4_t multiplier = vdupq_n_s32(step->multiplier[o]), shift = vdupq_n_s32(31 - step->shift[o]);
    const int32x4_t lo = vdupq_n_s32(step->clip_lo), hi = vdupq_n_s32(step->clip_hi);
    for (int32_t t = 0; t < ZQ_TILE; t += 4) {
        const int32x4_t product = vqdmulhq_s32(vld1q_s32(acc + t), multiplier);
        vst1q_s32(acc + t, vminq_s32(vmaxq_s32(vrshlq_s32(product, shift), lo), hi));
    }
}

/* Epilogue of one row of the tile at t0, output map o: add the bias to acc, requantize, store. */
ZQ_INLINE void zq_neon_row_epilogue(const zq_state *state, const zq_step *step, int32_t o, int32_t channel, int32_t t0,
                                    int32_t bias, int32_t *acc)
{
    const int32_t n = zq_min(ZQ_TILE, state->frames[step->y] - t0);
    zq_neon_rescale(step, o, bias, acc);
    zq_store(zq_row(state, step->y, channel), state->program->values[step->y].storage, t0, n, acc);
}

/* The parts that differ between the dense kernels. gather: im2col of a unit's tile. multiply: acc[r][0..7] = the sums
 * over the taps, without bias, of a block of maps for frames t .. t + 7 of the tile. */
typedef struct {
    void (*im2col)(const zq_state *state, const zq_step *step, const zq_dense_unit *unit, void *columns);
    void (*multiply)(const void *columns, size_t t, const int8_t *weights, size_t taps, int32_t (*acc)[ZQ_TILE]);
    const int32_t *bias;   /* of each output map */
    const int8_t *weights; /* [groups][blocks], block_bytes each */
    size_t taps, block_bytes;
} zq_neon_product;

/* Run units first..last-1, one block of maps at a time. im2col is done once for successive units with the same tile. */
ZQ_INLINE void zq_neon_walk(const zq_state *state, const zq_step *step, int32_t first, int32_t last,
                            const zq_neon_product *product, void *columns)
{
    const int32_t maps = zq_maps_out(state->program, step), rows = zq_rows_out(step);
    const size_t blocks = zq_neon_blocks(state->program, step);
    int32_t im2col_place = -1;
    for (int32_t unit = first; unit < last; unit++) {
        const zq_dense_unit u = zq_dense_unit_of(state->program, step, unit);
        if (u.place != im2col_place) product->im2col(state, step, &u, columns);
        im2col_place = u.place;
        for (int32_t map = u.first; map < u.last; map += ZQ_NEON_ROWS) {
            const size_t number = (size_t)u.group * blocks + (size_t)(map / ZQ_NEON_ROWS);
            int32_t acc[ZQ_NEON_ROWS][ZQ_TILE];
            for (size_t t = 0; t < ZQ_TILE; t += ZQ_NEON_FRAMES)
                product->multiply(columns, t, product->weights + number * product->block_bytes, product->taps,
                                  (int32_t(*)[ZQ_TILE])(acc[0] + t));
            for (int32_t r = 0; r < zq_min(ZQ_NEON_ROWS, u.last - map); r++) {
                const int32_t o = u.group * maps + map + r;
                zq_neon_row_epilogue(state, step, o, o * rows + u.row, u.t0, product->bias[o], acc[r]);
            }
        }
    }
}

#endif
#endif
