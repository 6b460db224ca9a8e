/* Dense conv1d and conv2d for AArch64 with the dot product extension. SDOT adds four products of signed bytes to each
 * 32-bit accumulator, exactly. A block is eight output maps x eight frames. */
#include "arm/neon/neon.h"

#ifdef ZQ_DOTPROD_TABLE

enum { ROWS = ZQ_NEON_ROWS, FRAMES = ZQ_NEON_FRAMES, LINE = 16 /* frames interleaved by im2col */ };

static size_t quads_of(const zq_program *program, const zq_step *step)
{
    return (zq_taps(program, step) + 3) / 4;
}

/* Packed K4 layout: [C_out] bias, then [groups][blocks][quads][ROWS][4 taps]. Taps and maps beyond the last are 0. */
uint64_t zq_neon_dotprod_dense_bytes(const zq_program *program, const zq_step *step)
{
    const zq_conv_params *conv = &step->params.conv;
    const uint64_t maps = (uint64_t)conv->groups * (uint64_t)zq_maps_out(program, step);
    return 4 * maps + (uint64_t)conv->groups * zq_neon_blocks(program, step) * quads_of(program, step) * 4 * ROWS;
}

void zq_neon_dotprod_pack_dense(const zq_program *program, const zq_step *step, void *packed)
{
    const zq_conv_params *conv = &step->params.conv;
    const size_t taps = zq_taps(program, step), blocks = zq_neon_blocks(program, step);
    const size_t size = quads_of(program, step) * 4 * ROWS;
    const int32_t maps = zq_maps_out(program, step), all = conv->groups * maps;
    int32_t *bias = packed;
    int8_t *weights = (int8_t *)(bias + all);
    memset(weights, 0, (size_t)conv->groups * blocks * size);
    for (int32_t o = 0; o < all; o++) {
        const int32_t map = o % maps;
        const size_t block = (size_t)(o / maps) * blocks + (size_t)(map / ROWS);
        int8_t *out = weights + block * size + map % ROWS * 4;
        bias[o] = zq_neon_bias(program, step, o, taps);
        for (size_t tap = 0; tap < taps; tap++)
            out[tap / 4 * 4 * ROWS + tap % 4] = conv->weight[(size_t)o * taps + tap];
    }
}

uint64_t zq_neon_dotprod_dense_scratch(const zq_program *program, const zq_step *step, int32_t frames_y)
{
    (void)frames_y;
    return (uint64_t)quads_of(program, step) * 4 * ZQ_TILE;
}

/* column[t] = x[start + t * stride] ^ flip, with x = 0 outside 0 .. frames - 1. */
static void im2col_bytes(const uint8_t *x, int32_t frames, int32_t start, int32_t stride, uint8_t flip, uint8_t *column)
{
    const int32_t first = start >= 0 ? 0 : zq_min(zq_ceil_div(-start, stride), ZQ_TILE);
    const int32_t last = start >= frames ? 0 : zq_min((frames - 1 - start) / stride + 1, ZQ_TILE);
    memset(column, flip, ZQ_TILE);
    if (stride == 1) /* with stride 1 the compiler vectorizes the loop */
        for (int32_t t = first; t < last; t++) column[t] = x[start + t] ^ flip;
    else
        for (int32_t t = first; t < last; t++) column[t] = x[start + t * stride] ^ flip;
}

/* im2col: columns[ZQ_TILE / LINE][quads][LINE][4 taps] of the unit's group and tile. */
static void im2col(const zq_state *state, const zq_step *step, const zq_dense_unit *unit, void *memory)
{
    const zq_conv_params *conv = &step->params.conv;
    uint8_t *columns = memory;
    const int32_t frames = state->frames[step->x[0]], maps = zq_maps_in(state->program, step);
    const int32_t first = unit->group * maps * conv->height,
                  top = unit->row * conv->stride_height - conv->padding_height;
    const int32_t taps = (int32_t)zq_taps(state->program, step);
    const size_t quads = quads_of(state->program, step);
    const uint8_t flip = zq_neon_flip(state->program, step);
    for (int32_t quad = 0; quad < (int32_t)quads; quad++, columns += 4 * LINE) {
        uint8_t column[4][ZQ_TILE];
        for (int32_t i = 4 * quad; i < 4 * quad + 4; i++) {
            const int32_t start = unit->t0 * conv->stride + i % conv->kernel * conv->dilation - conv->padding;
            const int32_t line = i / conv->kernel, row = top + line % conv->kernel_height;
            if (i >= taps || row < 0 || row >= conv->height) { /* weights beyond the last tap are 0 */
                memset(column[i % 4], flip, ZQ_TILE);
                continue;
            }
            const char *x = zq_row(state, step->x[0], first + line / conv->kernel_height * conv->height + row);
            im2col_bytes((const uint8_t *)x, frames, start, conv->stride, flip, column[i % 4]);
        }
        for (size_t t = 0; t < ZQ_TILE; t += LINE) {
            const uint8x16x4_t four = {
                {vld1q_u8(column[0] + t), vld1q_u8(column[1] + t), vld1q_u8(column[2] + t), vld1q_u8(column[3] + t)}};
            vst4q_u8(columns + t * quads * 4, four);
        }
    }
}

/* acc[r][0..7] = sum over taps of weight[tap][r] * columns[tap][0..7]. */
ZQ_DOTPROD static void multiply(const void *memory, size_t t, const int8_t *weight, size_t quads,
                                int32_t (*acc)[ZQ_TILE])
{
    const int8_t *columns = (const int8_t *)memory + (t / LINE * quads * LINE + t % LINE) * 4;
    int32x4_t a0 = vdupq_n_s32(0), a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, a6 = a0, a7 = a0;
    int32x4_t b0 = a0, b1 = a0, b2 = a0, b3 = a0, b4 = a0, b5 = a0, b6 = a0, b7 = a0;
    for (size_t quad = 0; quad < quads; quad++, columns += 4 * LINE, weight += 4 * ROWS) {
        const int8x16_t x = vld1q_s8(columns), z = vld1q_s8(columns + 16);
        const int8x16_t v = vld1q_s8(weight), w = vld1q_s8(weight + 16);
#define ROW(r, weights, lane)                       \
    a##r = vdotq_laneq_s32(a##r, x, weights, lane); \
    b##r = vdotq_laneq_s32(b##r, z, weights, lane);
        ROW(0, v, 0) ROW(1, v, 1) ROW(2, v, 2) ROW(3, v, 3) ROW(4, w, 0) ROW(5, w, 1) ROW(6, w, 2) ROW(7, w, 3)
#undef ROW
    }
    const int32x4_t a[ROWS] = {a0, a1, a2, a3, a4, a5, a6, a7}, b[ROWS] = {b0, b1, b2, b3, b4, b5, b6, b7};
    for (int32_t r = 0; r < ROWS; r++) {
        vst1q_s32(acc[r], a[r]);
        vst1q_s32(acc[r] + 4, b[r]);
    }
}

void zq_neon_dotprod_dense(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    if (!step->packed) {
        zq_conv_dense(state, step, first, last, scratch);
        return;
    }
    const int32_t *bias = step->packed;
    const int8_t *weights = (const int8_t *)(bias + step->params.conv.groups * zq_maps_out(state->program, step));
    const size_t quads = quads_of(state->program, step);
    const zq_neon_product product = {im2col, multiply, bias, weights, quads, quads * 4 * ROWS};
    zq_neon_walk(state, step, first, last, &product, scratch);
}

#endif
