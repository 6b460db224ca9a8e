/* Dense conv1d and conv2d for every AArch64 processor. SMLAL adds products of 16-bit values to 32-bit accumulators,
 * which is exact. A block is eight output maps x eight frames. */
#include "arm/neon/neon.h"

#ifdef ZQ_NEON_TABLES

enum { ROWS = ZQ_NEON_ROWS, FRAMES = ZQ_NEON_FRAMES };

/* Packed: [groups][blocks][taps][ROWS]. Maps beyond the last of a group are 0. */
uint64_t zq_neon_dense_bytes(const zq_program *program, const zq_step *step)
{
    return (uint64_t)step->params.conv.groups * zq_neon_blocks(program, step) * zq_taps(program, step) * ROWS;
}

void zq_neon_pack_dense(const zq_program *program, const zq_step *step, void *packed)
{
    const zq_conv_params *conv = &step->params.conv;
    const size_t taps = zq_taps(program, step), blocks = zq_neon_blocks(program, step);
    const int32_t maps = zq_maps_out(program, step);
    const int8_t *weight = conv->weight;
    memset(packed, 0, (size_t)zq_neon_dense_bytes(program, step));
    for (int32_t group = 0; group < conv->groups; group++)
        for (int32_t map = 0; map < maps; map++, weight += taps) {
            const size_t block = (size_t)group * blocks + (size_t)(map / ROWS);
            int8_t *out = (int8_t *)packed + block * taps * ROWS + map % ROWS;
            for (size_t tap = 0; tap < taps; tap++) out[tap * ROWS] = weight[tap];
        }
}

/* im2col: columns[ZQ_TILE / FRAMES][taps][FRAMES] of the unit's group and tile. */
static void im2col(const zq_state *state, const zq_step *step, const zq_dense_unit *unit, void *memory)
{
    const zq_conv_params *conv = &step->params.conv;
    int16_t *columns = memory;
    const int32_t frames = state->frames[step->x[0]], maps = zq_maps_in(state->program, step);
    const int32_t storage = state->program->values[step->x[0]].storage;
    const int32_t first = unit->group * maps * conv->height,
                  top = unit->row * conv->stride_height - conv->padding_height;
    const size_t taps = zq_taps(state->program, step);
    int16_t column[ZQ_TILE];
    for (int32_t i = 0; i < (int32_t)taps; i++, columns += FRAMES) {
        const int32_t start = unit->t0 * conv->stride + i % conv->kernel * conv->dilation - conv->padding;
        const int32_t line = i / conv->kernel, row = top + line % conv->kernel_height;
        if (row < 0 || row >= conv->height)
            memset(column, 0, sizeof column);
        else
            zq_im2col_column(zq_row(state, step->x[0], first + line / conv->kernel_height * conv->height + row),
                             storage, frames, start, conv->stride, column);
        for (size_t part = 0; part < ZQ_TILE / FRAMES; part++)
            vst1q_s16(columns + part * taps * FRAMES, vld1q_s16(column + part * FRAMES));
    }
}

/* acc[r][0..7] = sum over taps of weight[tap][r] * columns[tap][0..7]. */
static void multiply(const void *memory, size_t t, const int8_t *weight, size_t taps, int32_t (*acc)[ZQ_TILE])
{
    const int16_t *columns = (const int16_t *)memory + t * taps;
    int32x4_t a0 = vdupq_n_s32(0), a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, a6 = a0, a7 = a0;
    int32x4_t b0 = a0, b1 = a0, b2 = a0, b3 = a0, b4 = a0, b5 = a0, b6 = a0, b7 = a0;
    for (size_t tap = 0; tap < taps; tap++, columns += FRAMES, weight += ROWS) {
        const int16x8_t x = vld1q_s16(columns), w = vmovl_s8(vld1_s8(weight));
        const int16x4_t low = vget_low_s16(x);
#define ROW(r)                               \
    a##r = vmlal_laneq_s16(a##r, low, w, r); \
    b##r = vmlal_high_laneq_s16(b##r, x, w, r);
        ROW(0) ROW(1) ROW(2) ROW(3) ROW(4) ROW(5) ROW(6) ROW(7)
#undef ROW
    }
    const int32x4_t a[ROWS] = {a0, a1, a2, a3, a4, a5, a6, a7}, b[ROWS] = {b0, b1, b2, b3, b4, b5, b6, b7};
    for (int32_t r = 0; r < ROWS; r++) {
        vst1q_s32(acc[r], a[r]);
        vst1q_s32(acc[r] + 4, b[r]);
    }
}

void zq_neon_dense(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    if (!step->packed) {
        zq_conv_dense(state, step, first, last, scratch);
        return;
    }
    const size_t taps = zq_taps(state->program, step);
    const zq_neon_product product = {im2col, multiply, step->params.conv.bias, step->packed, taps, taps * ROWS};
    zq_neon_walk(state, step, first, last, &product, scratch);
}

#endif
