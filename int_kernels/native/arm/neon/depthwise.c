/* conv1d with one input channel per group, for every AArch64 processor. A row is laid out as in ops/conv1d_depthwise.c.
 * Each tap adds its products with SMLAL to a whole tile of accumulators in registers. */
#include "arm/neon/neon.h"

#ifdef ZQ_NEON_TABLES

/* Values of one phase of the row, up to the last that the last tap of the last whole tile reads. The portable kernel
 * lays out as many, and this one uses its scratch. */
static int32_t phase_numbers(const zq_step *step, int32_t frames_y)
{
    const zq_conv_params *conv = &step->params.conv;
    return frames_y + ZQ_TILE + conv->dilation * (conv->kernel - 1) / conv->stride + 1;
}

/* phases[p][i] = x[i * stride + p - padding], with x = 0 outside 0 .. frames - 1. */
static void lay_out(const char *row, int32_t storage, int32_t frames, const zq_step *step, int32_t length,
                    int16_t *phases)
{
    const zq_conv_params *conv = &step->params.conv;
    memset(phases, 0, (size_t)conv->stride * (size_t)length * 2);
    for (int32_t p = 0; p < conv->stride; p++, phases += length) {
        const int32_t first = p >= conv->padding ? 0 : zq_ceil_div(conv->padding - p, conv->stride);
        const int32_t time = first * conv->stride + p - conv->padding;
        const int32_t n = time >= frames ? 0 : zq_min((frames - 1 - time) / conv->stride + 1, length - first);
        if (n > 0) zq_widen(row, storage, time, conv->stride, n, phases + first);
    }
}

/* acc[t] = sum over k of weight[k] * padded[(t0 + t) * stride + k * dilation]; phases start at t0. */
static void tile(const zq_step *step, const int8_t *weight, const int16_t *phases, int32_t length, int32_t *acc)
{
    const zq_conv_params *conv = &step->params.conv;
    const int32_t stride = conv->stride, jump = conv->dilation / stride, turn = conv->dilation % stride;
    int32_t p = 0, i = 0; /* tap k reads phase p = k * dilation % stride from index i = k * dilation / stride on */
    int32x4_t a0 = vdupq_n_s32(0), a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, a6 = a0, a7 = a0;
    int32x4_t b0 = a0, b1 = a0, b2 = a0, b3 = a0, b4 = a0, b5 = a0, b6 = a0, b7 = a0;
    for (int32_t k = 0; k < conv->kernel; k++) {
        const int16_t *x = phases + (size_t)p * (size_t)length + i;
        const int16x8_t w = vdupq_n_s16(weight[k]);
#define EIGHT(v)                                                        \
    {                                                                   \
        const int16x8_t numbers = vld1q_s16(x + 8 * v);                 \
        a##v = vmlal_s16(a##v, vget_low_s16(numbers), vget_low_s16(w)); \
        b##v = vmlal_high_s16(b##v, numbers, w);                        \
    }
        /* clang-format off */
        EIGHT(0) EIGHT(1) EIGHT(2) EIGHT(3) EIGHT(4) EIGHT(5) EIGHT(6) EIGHT(7)
        /* clang-format on */
#undef EIGHT
            p += turn;
        i += jump + (p >= stride);
        p -= p >= stride ? stride : 0;
    }
    const int32x4_t a[8] = {a0, a1, a2, a3, a4, a5, a6, a7}, b[8] = {b0, b1, b2, b3, b4, b5, b6, b7};
    for (int32_t v = 0; v < 8; v++) {
        vst1q_s32(acc + 8 * v, a[v]);
        vst1q_s32(acc + 8 * v + 4, b[v]);
    }
}

void zq_neon_depthwise(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    const zq_conv_params *conv = &step->params.conv;
    const zq_value *x = &state->program->values[step->x[0]];
    const int32_t frames = state->frames[step->y], length = phase_numbers(step, frames);
    const int32_t rows = state->program->values[step->y].channels / conv->groups; /* outputs per input channel */
    int16_t *phases = scratch;
    int32_t laid_out = -1;
    for (int32_t o = first; o < last; o++) {
        const int8_t *weight = conv->weight + (size_t)o * (size_t)conv->kernel;
        if (o / rows != laid_out)
            lay_out(zq_row(state, step->x[0], o / rows), x->storage, state->frames[step->x[0]], step, length, phases);
        laid_out = o / rows;
        for (int32_t t0 = 0; t0 < frames; t0 += ZQ_TILE) {
            int32_t acc[ZQ_TILE];
            tile(step, weight, phases + t0, length, acc);
            zq_neon_row_epilogue(state, step, o, o, t0, conv->bias[o], acc);
        }
    }
}

#endif
