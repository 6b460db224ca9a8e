/* conv1d with one input channel per group: each output channel filters one row (SPEC 4).
 *
 * The row is laid out once as 16-bit numbers with its padding, split into `stride` phases:
 * phase[p][i] = padded[i * stride + p]. Every tap then reads contiguous frames, whatever stride and dilation are. */
#include "core/kernels.h"

enum { HALF = ZQ_TILE / 2 };

/* Frames of one phase: what the last tap of the last whole tile reads. */
static int32_t phase_frames(const zq_step *step, int32_t frames_y)
{
    const zq_conv_params *conv = &step->params.conv;
    return frames_y + ZQ_TILE + conv->dilation * (conv->kernel - 1) / conv->stride + 1;
}

static uint64_t scratch_bytes(const zq_program *program, const zq_step *step, int32_t frames_y)
{
    (void)program;
    return (uint64_t)step->params.conv.stride * (uint64_t)phase_frames(step, frames_y) * 2;
}

ZQ_INLINE void lay_out(const char *row, int32_t storage, int32_t frames, const zq_step *step, int32_t length,
                       int16_t *restrict phases)
{
    const zq_conv_params *conv = &step->params.conv;
    memset(phases, 0, (size_t)conv->stride * (size_t)length * 2);
    for (int32_t p = 0; p < conv->stride; p++) {
        int16_t *phase = phases + (size_t)p * (size_t)length;
        /* the first i with i * stride + p - padding >= 0, and that time */
        int32_t first = p >= conv->padding ? 0 : zq_ceil_div(conv->padding - p, conv->stride);
        int32_t time = first * conv->stride + p - conv->padding;
        int32_t n = time >= frames ? 0 : zq_min((frames - 1 - time) / conv->stride + 1, length - first);
        if (n > 0) zq_widen(row, storage, time, conv->stride, n, phase + first);
    }
}

/* acc[t] = sum over k of weight[k] * padded[(t0 + t) * stride + k * dilation]. */
ZQ_INLINE void accumulate(const zq_step *step, const int8_t *weight, const int16_t *restrict phases, int32_t length,
                          int32_t t0, int32_t *restrict acc)
{
    const zq_conv_params *conv = &step->params.conv;
    const int32_t kernel = conv->kernel, stride = conv->stride;
    const int32_t jump = conv->dilation / stride, turn = conv->dilation % stride;
    int32_t p = 0, i = t0; /* tap k reads phase p = k * dilation % stride from i = t0 + k * dilation / stride on */
    for (int32_t t = 0; t < ZQ_TILE; t++) acc[t] = 0;
    for (int32_t k = 0; k < kernel; k++) {
        const int32_t w = weight[k];
        const int16_t *column = phases + (size_t)p * (size_t)length + i;
        for (int32_t h = 0; h < 2; h++) /* in halves: gcc would jam one loop with the next tap's, and stay scalar */
            for (int32_t t = 0; t < HALF; t++) acc[h * HALF + t] += w * column[h * HALF + t];
        p += turn;
        i += jump + (p >= stride);
        p -= p >= stride ? stride : 0;
    }
}

ZQ_MULTIVERSION
void zq_conv1d_depthwise(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    const zq_conv_params *conv = &step->params.conv;
    const zq_value *x = &state->program->values[step->x[0]], *y = &state->program->values[step->y];
    const int32_t frames = state->frames[step->y], length = phase_frames(step, frames);
    const int32_t rows = y->channels / conv->groups; /* output channels that share an input channel */
    int32_t laid_out = -1;
    for (int32_t o = first; o < last; o++) {
        const int8_t *weight = conv->weight + (size_t)o * (size_t)conv->kernel;
        if (o / rows != laid_out)
            lay_out(zq_row(state, step->x[0], o / rows), x->storage, state->frames[step->x[0]], step, length, scratch);
        laid_out = o / rows;
        for (int32_t t0 = 0; t0 < frames; t0 += ZQ_TILE) {
            int32_t acc[ZQ_TILE];
            accumulate(step, weight, scratch, length, t0, acc);
            for (int32_t t = 0; t < ZQ_TILE; t++) acc[t] += conv->bias[o];
            zq_rescale_tile(step, o, acc);
            zq_store(zq_row(state, step->y, o), y->storage, t0, zq_min(ZQ_TILE, frames - t0), acc);
        }
    }
}

const zq_kernel_entry zq_portable_conv1d_depthwise = {.run = zq_conv1d_depthwise, .scratch_bytes = scratch_bytes};
