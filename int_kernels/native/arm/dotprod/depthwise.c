/* conv1d with one input channel per group, for AArch64 with the dot product extension.
 *
 * A row is laid out once as signed bytes with its padding, split into `stride` phases as in ops/conv1d_depthwise.c.
 * Frame 4 * i + p of a tile is the sum over j of four products,
 *     row[4 * (i + j) .. + 3] * kernel[4 * j - p .. + 3].
 * Lane i of accumulator p therefore reads whole dwords of the row and copy p of the kernel, shifted by p. The four
 * copies are adjacent in one vector. */
#include "arm/neon/neon.h"

#ifdef ZQ_DOTPROD_TABLE

/* Groups of four taps in the kernel of one phase of the stride: taps at k * dilation / stride, zeros between. */
static size_t groups_of(const zq_step *step)
{
    const zq_conv_params *conv = &step->params.conv;
    const size_t span = (size_t)conv->dilation * (size_t)(conv->kernel - 1) / (size_t)conv->stride + 1;
    return (span + 3 + 3) / 4; /* copy 3 starts 3 later */
}

/* Packed: [C_out] bias, then [C_out][stride][groups][4 copies][4 taps]. Kernels with more groups than taps use the
 * SMLAL kernel, which skips the zeros between taps. */
uint64_t zq_neon_dotprod_depthwise_bytes(const zq_program *program, const zq_step *step)
{
    const zq_conv_params *conv = &step->params.conv;
    const uint64_t groups = (uint64_t)conv->stride * groups_of(step);
    if (groups > (uint64_t)conv->kernel) return 0;
    return (uint64_t)program->values[step->y].channels * (4 + 16 * groups);
}

void zq_neon_dotprod_pack_depthwise(const zq_program *program, const zq_step *step, void *packed)
{
    const zq_conv_params *conv = &step->params.conv;
    const int32_t channels = program->values[step->y].channels;
    const size_t groups = groups_of(step), stride = (size_t)conv->stride, taps = (size_t)conv->kernel;
    int32_t *bias = packed;
    int8_t *kernels = (int8_t *)(bias + channels);
    memset(kernels, 0, (size_t)channels * stride * groups * 16);
    for (int32_t o = 0; o < channels; o++, kernels += stride * groups * 16) {
        bias[o] = zq_neon_bias(program, step, o, taps);
        for (size_t k = 0; k < taps; k++) {
            const size_t place = k * (size_t)conv->dilation, phase = place % stride;
            for (size_t p = 0; p < 4; p++) { /* copy p is shifted by p */
                const size_t i = place / stride + p;
                kernels[((phase * groups + i / 4) * 4 + p) * 4 + i % 4] = conv->weight[(size_t)o * taps + k];
            }
        }
    }
}

/* Bytes of one phase of the row, up to the last that the last group reads for the last whole tile. */
static size_t phase_bytes(const zq_step *step, int32_t frames_y)
{
    return (size_t)zq_ceil_div(frames_y, ZQ_TILE) * ZQ_TILE + 4 * groups_of(step);
}

uint64_t zq_neon_dotprod_depthwise_scratch(const zq_program *program, const zq_step *step, int32_t frames_y)
{
    if (!zq_neon_dotprod_depthwise_bytes(program, step)) return 0;
    return (uint64_t)step->params.conv.stride * phase_bytes(step, frames_y);
}

/* acc[0..63] in frame order: lane i of accumulator p of vector v is frame 16 * v + 4 * i + p. */
ZQ_DOTPROD static void tile(const int8_t *kernel, const int8_t *row, size_t groups, int32_t stride, size_t length,
                            int32_t *acc)
{
    int32x4_t a0 = vdupq_n_s32(0), b0 = a0, c0 = a0, d0 = a0, a1 = a0, b1 = a0, c1 = a0, d1 = a0;
    int32x4_t a2 = a0, b2 = a0, c2 = a0, d2 = a0, a3 = a0, b3 = a0, c3 = a0, d3 = a0;
    for (int32_t phase = 0; phase < stride; phase++, row += length)
        for (size_t j = 0; j < groups; j++, kernel += 16) {
            const int8x16_t w = vld1q_s8(kernel);
#define SIXTEEN(v)                                          \
    {                                                       \
        const int8x16_t x = vld1q_s8(row + 4 * j + 16 * v); \
        a##v = vdotq_laneq_s32(a##v, x, w, 0);              \
        b##v = vdotq_laneq_s32(b##v, x, w, 1);              \
        c##v = vdotq_laneq_s32(c##v, x, w, 2);              \
        d##v = vdotq_laneq_s32(d##v, x, w, 3);              \
    }
            SIXTEEN(0) SIXTEEN(1) SIXTEEN(2) SIXTEEN(3)
#undef SIXTEEN
        }
    const int32x4x4_t all[4] = {{{a0, b0, c0, d0}}, {{a1, b1, c1, d1}}, {{a2, b2, c2, d2}}, {{a3, b3, c3, d3}}};
    for (int32_t v = 0; v < 4; v++) vst4q_s32(acc + 16 * v, all[v]);
}

void zq_neon_dotprod_depthwise(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    const zq_conv_params *conv = &step->params.conv;
    if (!step->packed) {
        zq_neon_depthwise(state, step, first, last, scratch);
        return;
    }
    const int32_t channels = state->program->values[step->y].channels, frames = state->frames[step->y];
    const int32_t rows = channels / conv->groups; /* output channels per input channel */
    const size_t groups = groups_of(step), length = phase_bytes(step, frames);
    const int32_t *bias = step->packed;
    const int8_t *kernels = (const int8_t *)(bias + channels);
    int32_t laid_out = -1;
    for (int32_t o = first; o < last; o++) {
        if (o / rows != laid_out)
            zq_lay_out_phases((const uint8_t *)zq_row(state, step->x[0], o / rows), state->frames[step->x[0]],
                              -conv->padding, conv->stride, zq_neon_flip(state->program, step), length, scratch);
        laid_out = o / rows;
        for (int32_t t0 = 0; t0 < frames; t0 += ZQ_TILE) {
            int32_t acc[ZQ_TILE];
            tile(kernels + (size_t)o * (size_t)conv->stride * groups * 16, (const int8_t *)scratch + t0, groups,
                 conv->stride, length, acc);
            zq_neon_row_epilogue(state, step, o, o, t0, bias[o], acc);
        }
    }
}

#endif
