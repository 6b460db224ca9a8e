/* conv1d with two or more input channels per group; a pointwise convolution is the case kernel = 1 (SPEC 4).
 *
 * For a tile of output frames the inputs of every tap are gathered side by side as 16-bit columns [tap][ZQ_TILE];
 * each block of ZQ_ROWS output channels then runs over the taps with its accumulators in registers. */
#include "kernels.h"

/* columns[c * kernel + k] = what tap k of channel c of the group sees in the tile that starts at frame t0. */
ZQ_INLINE void gather(const zq_state *state, const zq_step *step, int32_t group, int32_t t0, int16_t *columns)
{
    const zq_value *x = &state->program->values[step->x[0]];
    const int32_t frames = state->frames[step->x[0]], channels = x->channels / step->groups;
    for (int32_t c = 0; c < channels; c++) {
        const char *row = zq_row(state, step->x[0], group * channels + c);
        for (int32_t k = 0; k < step->kernel; k++) {
            int32_t start = t0 * step->stride + k * step->dilation - step->padding;
            zq_gather_column(row, x->storage, frames, start, step->stride, columns);
            columns += ZQ_TILE;
        }
    }
}

/* acc[j][t] = bias[o + j] + sum over taps of weight[o + j][tap] * columns[tap][t]; rows beyond `last` repeat row
 * last - 1. */
ZQ_INLINE void accumulate(const zq_step *step, int32_t o, int32_t last, int32_t taps, const int16_t *restrict columns,
                          int32_t acc[ZQ_ROWS][ZQ_TILE])
{
    const int8_t *weight[ZQ_ROWS];
    for (int32_t j = 0; j < ZQ_ROWS; j++) {
        int32_t row = zq_min(o + j, last - 1);
        weight[j] = step->weight + (size_t)row * (size_t)taps;
        for (int32_t t = 0; t < ZQ_TILE; t++) acc[j][t] = 0;
    }
    for (int32_t tap = 0; tap < taps; tap++) {
        const int16_t *column = columns + (size_t)tap * ZQ_TILE;
        for (int32_t j = 0; j < ZQ_ROWS; j++) {
            const int32_t w = weight[j][tap];
            for (int32_t t = 0; t < ZQ_TILE; t++) acc[j][t] += w * column[t];
        }
    }
    for (int32_t j = 0; j < ZQ_ROWS; j++)
        for (int32_t t = 0; t < ZQ_TILE; t++) acc[j][t] += step->bias[zq_min(o + j, last - 1)];
}

ZQ_MULTIVERSION
void zq_conv1d_dense(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    const zq_value *x = &state->program->values[step->x[0]], *y = &state->program->values[step->y];
    const int32_t frames = state->frames[step->y];
    const int32_t taps = x->channels / step->groups * step->kernel, rows = y->channels / step->groups;
    const int32_t chunks = zq_ceil_div(rows, ZQ_CHUNK);
    int16_t *columns = scratch;
    int32_t gathered = -1;
    for (int32_t unit = first; unit < last; unit++) {
        const int32_t chunk = unit % chunks, place = unit / chunks;
        const int32_t group = place % step->groups, t0 = place / step->groups * ZQ_TILE;
        const int32_t o_end = group * rows + zq_min((chunk + 1) * ZQ_CHUNK, rows);
        if (place != gathered) gather(state, step, group, t0, columns);
        gathered = place;
        for (int32_t o = group * rows + chunk * ZQ_CHUNK; o < o_end; o += ZQ_ROWS) {
            int32_t acc[ZQ_ROWS][ZQ_TILE];
            accumulate(step, o, o_end, taps, columns, acc);
            for (int32_t j = 0; j < zq_min(ZQ_ROWS, o_end - o); j++) {
                zq_rescale_tile(step, o + j, acc[j]);
                zq_store(zq_row(state, step->y, o + j), y->storage, t0, zq_min(ZQ_TILE, frames - t0), acc[j]);
            }
        }
    }
}
