/* Dense conv1d and conv2d (two or more input maps per group) for AVX-512 VNNI: a matrix product over tiles of 64
 * frames.
 *
 * The inputs of a tile are packed four per dword, for each tap (im2col.c) or once for all taps of a long kernel
 * (direct_conv.c). They are multiplied with all output maps of the units at hand, software-pipelined
 * (dense_pipelined.c) or block by block (blocks.c). */
#include "x86/avx512vnni/avx512vnni.h"

#ifdef ZQ_X86_TABLES

static size_t quads_of(const zq_program *program, const zq_step *step)
{
    return (zq_taps(program, step) + 3) / 4;
}

/* Packed weights: [C_out] zq_requant_params, then [C_out][quads][4]: four taps in the order of the weights, padded
 * with zeros at the end, or for a direct convolution the same tap of four channels. */
uint64_t zq_avx512vnni_dense_bytes(const zq_program *program, const zq_step *step)
{
    const uint64_t maps = (uint64_t)zq_maps_out(program, step) * (uint64_t)step->params.conv.groups;
    return maps * (sizeof(zq_requant_params) + 4 * (uint64_t)quads_of(program, step));
}

void zq_avx512vnni_pack_dense(const zq_program *program, const zq_step *step, void *packed)
{
    const zq_conv_params *conv = &step->params.conv;
    const int32_t maps = zq_maps_out(program, step) * conv->groups, maps_in = zq_maps_in(program, step);
    const size_t taps = zq_taps(program, step), size = 4 * quads_of(program, step), kernel = (size_t)conv->kernel;
    const int is_windowed = zq_is_windowed(program, step);
    zq_requant_params *numbers = packed;
    int8_t *row = (int8_t *)(numbers + maps);
    zq_pack_requant_params(step, program->values[step->x[0]].storage, maps, taps, numbers);
    for (int32_t o = 0; o < maps; o++, row += size) {
        const int8_t *weight = conv->weight + (size_t)o * taps;
        if (is_windowed) {
            for (size_t c = 0; c < (size_t)maps_in; c++)
                for (size_t k = 0; k < kernel; k++) row[(c / 4 * kernel + k) * 4 + c % 4] = weight[c * kernel + k];
        } else {
            memcpy(row, weight, taps);
            memset(row + taps, 0, size - taps);
        }
    }
}

/* Bytes of the packed inputs. In the scratch the offsets of the quads follow. */
static size_t columns_bytes(const zq_program *program, const zq_step *step)
{
    if (zq_is_windowed(program, step)) return (size_t)zq_maps_in(program, step) * (size_t)zq_window_frames(step, 1);
    return quads_of(program, step) * 256;
}

uint64_t zq_avx512vnni_dense_scratch(const zq_program *program, const zq_step *step, int32_t frames_y)
{
    (void)frames_y;
    return (uint64_t)columns_bytes(program, step) + (uint64_t)quads_of(program, step) * sizeof(size_t);
}

/* Pack the inputs of a tile and compute the offset of each quad. */
static void lay_out(const zq_state *state, const zq_dense_unit *unit, uint8_t *columns, zq_tile_rows *rows)
{
    const zq_step *step = rows->step;
    const uint8_t flip = zq_flip_of(state->program->values[step->x[0]].storage);
    size_t *places = (size_t *)(void *)(columns + columns_bytes(state->program, step));
    rows->columns = columns;
    rows->places = places;
    rows->is_plain = zq_is_windowed(state->program, step);
    if (rows->is_plain) {
        const size_t kernel = (size_t)step->params.conv.kernel, group = 4 * (size_t)zq_window_frames(step, 1);
        zq_avx512vnni_window(state, step, unit, columns);
        for (size_t start = 0, quad = 0; quad < rows->quads; quad += kernel, start += group)
            for (size_t k = 0; k < kernel; k++) *places++ = start + 4 * k * (size_t)step->params.conv.dilation;
    } else {
        const size_t size = 64 * (((size_t)rows->halves + 1) / 2);
        zq_avx512vnni_im2col(state, step, unit, rows->halves, flip, columns);
        for (size_t quad = 0; quad < rows->quads; quad++) places[quad] = quad * size;
    }
}

/* Join the maps of units first .. last - 1 that read the same inputs. Returns the first unit that does not. */
static int32_t join_units(const zq_program *program, const zq_step *step, int32_t first, int32_t last, zq_dense_unit *u)
{
    *u = zq_dense_unit_of(program, step, first);
    for (int32_t unit = first + 1; unit < last; unit++) {
        const zq_dense_unit next = zq_dense_unit_of(program, step, unit);
        if (next.place != u->place) return unit;
        u->last = next.last;
    }
    return last;
}

static void skip(zq_tile_rows *rows, int32_t count)
{
    rows->numbers += count;
    rows->weight += (size_t)count * 4 * rows->quads;
    rows->y += (size_t)count * rows->pitch;
    rows->o += count;
    rows->rows -= count;
}

void zq_avx512vnni_dense(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    if (!step->packed) {
        zq_conv_dense(state, step, first, last, scratch);
        return;
    }
    const zq_program *program = state->program;
    const int32_t maps = zq_maps_out(program, step), storage = program->values[step->y].storage;
    const size_t size = zq_size(storage), pitch = (size_t)state->pitch[step->y] * (size_t)zq_rows_out(step) * size;
    const zq_requant_params *numbers = step->packed;
    const int8_t *weight = (const int8_t *)(numbers + maps * step->params.conv.groups);
    zq_tile_rows rows = {.step = step, .quads = quads_of(program, step), .storage = storage, .pitch = pitch};
    for (int32_t unit = first; unit < last;) {
        zq_dense_unit u;
        unit = join_units(program, step, unit, last, &u);
        rows.n = zq_min(ZQ_TILE, state->frames[step->y] - u.t0);
        rows.halves = zq_ceil_div(rows.n, 8);
        lay_out(state, &u, scratch, &rows);
        rows.numbers = numbers, rows.weight = weight, rows.o = 0;
        rows.y = zq_row(state, step->y, u.row) + (size_t)u.t0 * size;
        skip(&rows, u.group * maps + u.first);
        rows.rows = u.last - u.first;
        skip(&rows, zq_avx512vnni_dense_pipelined(&rows));
        zq_avx512vnni_blocks(&rows);
    }
}

#endif
