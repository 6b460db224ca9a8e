/* conv2d with one input map per group: each output map filters one (SPEC 4). */
#include "core/kernels.h"

/* acc[t] = the sum over the taps of one row of y, without bias. */
ZQ_INLINE void accumulate(const zq_state *state, const zq_step *step, int32_t map, int32_t row_y, const int8_t *weight,
                          int32_t t0, int32_t *restrict acc)
{
    const zq_conv_params *conv = &step->params.conv;
    const int32_t frames = state->frames[step->x[0]], storage = state->program->values[step->x[0]].storage;
    for (int32_t t = 0; t < ZQ_TILE; t++) acc[t] = 0;
    for (int32_t i = 0; i < conv->kernel_height; i++, weight += conv->kernel) {
        const int32_t row = row_y * conv->stride_height + i - conv->padding_height;
        if (row < 0 || row >= conv->height) continue;
        const char *x = zq_row(state, step->x[0], map * conv->height + row);
        for (int32_t k = 0; k < conv->kernel; k++) {
            int16_t column[ZQ_TILE];
            const int32_t w = weight[k];
            zq_gather_column(x, storage, frames, t0 * conv->stride + k * conv->dilation - conv->padding, conv->stride,
                             column);
            for (int32_t t = 0; t < ZQ_TILE; t++) acc[t] += w * column[t];
        }
    }
}

ZQ_MULTIVERSION
void zq_conv2d_depthwise(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    const zq_conv_params *conv = &step->params.conv;
    const int32_t frames = state->frames[step->y], storage = state->program->values[step->y].storage;
    const int32_t rows = zq_rows_out(step), maps = zq_maps_out(state->program, step); /* that share an input map */
    (void)scratch;
    for (int32_t channel = first; channel < last; channel++) {
        const int32_t o = channel / rows;
        const int8_t *weight = conv->weight + (size_t)o * zq_taps(state->program, step);
        for (int32_t t0 = 0; t0 < frames; t0 += ZQ_TILE) {
            int32_t acc[ZQ_TILE];
            accumulate(state, step, o / maps, channel % rows, weight, t0, acc);
            for (int32_t t = 0; t < ZQ_TILE; t++) acc[t] += conv->bias[o];
            zq_rescale_tile(step, o, acc);
            zq_store(zq_row(state, step->y, channel), storage, t0, zq_min(ZQ_TILE, frames - t0), acc);
        }
    }
}

const zq_kernel_entry zq_portable_conv2d_depthwise = {.run = zq_conv2d_depthwise};
