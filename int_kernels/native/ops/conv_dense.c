/* conv1d and conv2d with two or more input maps per group; a pointwise convolution is the case kernel = 1, a conv1d
 * that of maps with one row (SPEC 4).
 *
 * For a tile of output frames im2col makes 16-bit columns [tap][ZQ_TILE] of the inputs of every tap. Each block of
 * ZQ_ROWS output maps then runs over the taps with its accumulators in registers. */
#include "core/kernels.h"

static uint64_t scratch_bytes(const zq_program *program, const zq_step *step, int32_t frames_y)
{
    (void)frames_y;
    return (uint64_t)zq_taps(program, step) * ZQ_TILE * 2;
}

/* columns[(c * kernel_height + i) * kernel + k] = what that tap of the group's map c sees in the tile. */
ZQ_INLINE void im2col(const zq_state *state, const zq_step *step, const zq_dense_unit *unit, int16_t *columns)
{
    const zq_conv_params *conv = &step->params.conv;
    const int32_t frames = state->frames[step->x[0]], maps = zq_maps_in(state->program, step);
    const int32_t storage = state->program->values[step->x[0]].storage;
    for (int32_t c = 0; c < maps; c++) {
        for (int32_t i = 0; i < conv->kernel_height; i++) {
            const int32_t row = unit->row * conv->stride_height + i - conv->padding_height;
            const int is_inside = row >= 0 && row < conv->height;
            const char *x = zq_row(state, step->x[0], (unit->group * maps + c) * conv->height + (is_inside ? row : 0));
            for (int32_t k = 0; k < conv->kernel; k++, columns += ZQ_TILE) {
                const int32_t start = unit->t0 * conv->stride + k * conv->dilation - conv->padding;
                if (is_inside)
                    zq_im2col_column(x, storage, frames, start, conv->stride, columns);
                else
                    memset(columns, 0, ZQ_TILE * sizeof *columns);
            }
        }
    }
}

/* acc[j][t] = bias[o + j] + sum over taps of weight[o + j][tap] * columns[tap][t]; rows beyond `last` repeat row
 * last - 1. */
ZQ_INLINE void accumulate(const zq_step *step, int32_t o, int32_t last, size_t taps, const int16_t *restrict columns,
                          int32_t acc[ZQ_ROWS][ZQ_TILE])
{
    const zq_conv_params *conv = &step->params.conv;
    const int8_t *weight[ZQ_ROWS];
    for (int32_t j = 0; j < ZQ_ROWS; j++) {
        int32_t row = zq_min(o + j, last - 1);
        weight[j] = conv->weight + (size_t)row * taps;
        for (int32_t t = 0; t < ZQ_TILE; t++) acc[j][t] = 0;
    }
    for (size_t tap = 0; tap < taps; tap++) {
        const int16_t *column = columns + tap * ZQ_TILE;
        for (int32_t j = 0; j < ZQ_ROWS; j++) {
            const int32_t w = weight[j][tap];
            for (int32_t t = 0; t < ZQ_TILE; t++) acc[j][t] += w * column[t];
        }
    }
    for (int32_t j = 0; j < ZQ_ROWS; j++)
        for (int32_t t = 0; t < ZQ_TILE; t++) acc[j][t] += conv->bias[zq_min(o + j, last - 1)];
}

ZQ_MULTIVERSION
void zq_conv_dense(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    const int32_t frames = state->frames[step->y], storage = state->program->values[step->y].storage;
    const int32_t maps = zq_maps_out(state->program, step), rows = zq_rows_out(step);
    const size_t taps = zq_taps(state->program, step);
    int32_t im2col_place = -1;
    for (int32_t unit = first; unit < last; unit++) {
        const zq_dense_unit u = zq_dense_unit_of(state->program, step, unit);
        const int32_t o_end = u.group * maps + u.last;
        if (u.place != im2col_place) im2col(state, step, &u, scratch);
        im2col_place = u.place;
        for (int32_t o = u.group * maps + u.first; o < o_end; o += ZQ_ROWS) {
            int32_t acc[ZQ_ROWS][ZQ_TILE];
            accumulate(step, o, o_end, taps, scratch, acc);
            for (int32_t j = 0; j < zq_min(ZQ_ROWS, o_end - o); j++) {
                char *y = zq_row(state, step->y, (o + j) * rows + u.row);
                zq_rescale_tile(step, o + j, acc[j]);
                zq_store(y, storage, u.t0, zq_min(ZQ_TILE, frames - u.t0), acc[j]);
            }
        }
    }
}

/* A unit is a tile of time x a row of y's maps x a group x ZQ_CHUNK maps. */
static int32_t count_units(const zq_state *state, const zq_step *step)
{
    return zq_count_tiles(state, step) * step->params.conv.groups * zq_rows_out(step) *
           zq_ceil_div(zq_maps_out(state->program, step), ZQ_CHUNK);
}

const zq_kernel_entry zq_portable_conv_dense = {
    .run = zq_conv_dense, .units = count_units, .scratch_bytes = scratch_bytes};
