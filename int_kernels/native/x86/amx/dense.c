/* Dense conv1d and conv2d (two or more input maps per group) for AMX: 16 output maps x 64 frames x 64 taps at a
 * time.
 *
 * Normally the weights are rows (A) and the inputs are columns (B). The inputs of a tile of 64 frames are packed by
 * im2col as for AVX-512 VNNI, four taps per dword, unless the previous step has written the packed K4 layout. If a
 * long kernel reads each input often, the inputs are rows and the weights are columns: one input buffer with 64
 * adjacent channels serves all taps (direct_conv.c). Its sums come out frame by frame and are transposed. Weights
 * that exceed L2 are read once for several tiles, or for several rows of feature maps. This file prepares the
 * operands that gemm.c multiplies. */
#include "x86/amx/gemm_tile.h"

#ifdef ZQ_AMX_TABLE

enum {
    BAND = 8,             /* tiles, or rows of feature maps, processed together, at most */
    BAND_BYTES = 1 << 20, /* of their inputs by im2col */
    NEAR_BYTES = 1 << 19, /* of weights: up to this size they stay in L2 */
    CHANNELS = 64,        /* minimum for a direct convolution */
    FEW_MAPS = 64         /* maximum at which two workers split the frames instead of the maps */
};

static int is_windowed(const zq_program *program, const zq_step *step)
{
    return zq_is_windowed(program, step) && zq_maps_in(program, step) >= CHANNELS;
}

/* K steps of a sum: 64 taps each, or for a direct convolution one tap of 64 channels each. */
static size_t steps_of(const zq_program *program, const zq_step *step)
{
    const int32_t maps = zq_maps_in(program, step);
    if (is_windowed(program, step)) return (size_t)zq_ceil_div(maps, ZQ_AMX_TAPS) * (size_t)step->params.conv.kernel;
    return (zq_taps(program, step) + ZQ_AMX_TAPS - 1) / ZQ_AMX_TAPS;
}

/* ---- weights -------------------------------------------------------------------------------------------------- */

/* Packed bytes of a block of 16 maps. */
static size_t block_bytes(const zq_program *program, const zq_step *step)
{
    return steps_of(program, step) * ZQ_AMX_BYTES;
}

static size_t blocks_of_group(const zq_program *program, const zq_step *step)
{
    return (size_t)zq_ceil_div(zq_maps_out(program, step), ZQ_AMX_MAPS);
}

/* True if the weights do not stay in L2. */
static int is_far(const zq_program *program, const zq_step *step)
{
    return is_windowed(program, step) || blocks_of_group(program, step) * block_bytes(program, step) > NEAR_BYTES;
}

/* True if the weights stay packed as int4 and are unpacked with the first of several tiles. For 4-bit weights from
 * beyond L2, reading half of the bytes pays for unpacking. 6-bit packing, four values in three bytes, does not pay
 * (1 to 4 % slower than bytes). Neither does int4 if the weights stay in L2 and two workers unpack the same ones
 * for each piece of their share (5 %). With groups every unit would unpack different weights. There must be more
 * than one K step, because the next one must not overwrite the one being read. */
static int is_worth_int4(const zq_program *program, const zq_step *step)
{
    const zq_conv_params *conv = &step->params.conv;
    const size_t count = (size_t)zq_maps_out(program, step) * zq_taps(program, step);
    return conv->groups == 1 && is_far(program, step) && steps_of(program, step) > 1 &&
           zq_fit_int4(conv->weight, count);
}

/* Int4 weights start with a header: requantize parameters with a sentinel shift of -1, which no channel has. The
 * header is as large as a tile, so that no tile behind it crosses a page boundary. */
enum { HEAD_BYTES = ZQ_AMX_BYTES, INT4_MARK = -1 };

static int are_int4(const zq_step *step)
{
    return step->packed && ((const zq_requant_params *)step->packed)->shift == INT4_MARK;
}

static const char *numbers_of(const zq_step *step)
{
    return (const char *)step->packed + (are_int4(step) ? HEAD_BYTES : 0);
}

static size_t packed_bytes(const zq_program *program, const zq_step *step, int is_half)
{
    const size_t groups = (size_t)step->params.conv.groups, maps = (size_t)zq_maps_out(program, step) * groups;
    const size_t weights = groups * blocks_of_group(program, step) * block_bytes(program, step);
    return zq_amx_numbers_bytes(maps) + (is_half ? HEAD_BYTES + weights / 2 : weights);
}

/* Packed weights: [C_out] zq_requant_params, then [groups][blocks of 16 maps][steps][16 maps][64 taps]. For a
 * direct convolution each step is [16][16 maps][4 channels]. Int4 weights: a header, then the same with half the
 * bytes per step. */
uint64_t zq_amx_dense_bytes(const zq_program *program, const zq_step *step)
{
    return packed_bytes(program, step, is_worth_int4(program, step));
}

/* Fill the tile of K step i for up to 16 maps. `weight` starts at the first of these maps. */
static void fill_tile(const zq_program *program, const zq_step *step, size_t maps, const int8_t *weight, size_t i,
                      int8_t *tile)
{
    const size_t taps = zq_taps(program, step), kernel = (size_t)step->params.conv.kernel;
    memset(tile, 0, ZQ_AMX_BYTES);
    if (is_windowed(program, step)) {
        const size_t first = i / kernel * ZQ_AMX_TAPS, k = i % kernel, channels = taps / kernel - first;
        for (size_t map = 0; map < maps; map++)
            for (size_t c = 0; c < channels && c < ZQ_AMX_TAPS; c++)
                tile[c / 4 * 64 + 4 * map + c % 4] = weight[map * taps + (first + c) * kernel + k];
    } else {
        const size_t first = i * ZQ_AMX_TAPS, count = taps - first < ZQ_AMX_TAPS ? taps - first : ZQ_AMX_TAPS;
        for (size_t map = 0; map < maps; map++) memcpy(tile + ZQ_AMX_TAPS * map, weight + map * taps + first, count);
    }
}

void zq_amx_pack_dense(const zq_program *program, const zq_step *step, void *packed)
{
    const zq_conv_params *conv = &step->params.conv;
    const int32_t maps = zq_maps_out(program, step), all = maps * conv->groups;
    const size_t taps = zq_taps(program, step), steps = steps_of(program, step);
    const int is_half = is_worth_int4(program, step);
    char *const numbers = (char *)packed + (is_half ? HEAD_BYTES : 0);
    uint8_t *to = (uint8_t *)numbers + zq_amx_numbers_bytes((size_t)all);
    int8_t tile[ZQ_AMX_BYTES];
    if (is_half) {
        memset(packed, 0, HEAD_BYTES);
        *(zq_requant_params *)packed = (zq_requant_params){.shift = INT4_MARK};
    }
    zq_pack_requant_params(step, ZQ_UINT8, all, taps, (void *)numbers); /* inputs have no offset */
    for (int32_t g = 0; g < conv->groups; g++)
        for (int32_t o = 0; o < maps; o += ZQ_AMX_MAPS)
            for (size_t i = 0; i < steps; i++, to += ZQ_AMX_BYTES / (is_half ? 2 : 1)) {
                const size_t count = (size_t)zq_min(ZQ_AMX_MAPS, maps - o);
                fill_tile(program, step, count, conv->weight + (size_t)(g * maps + o) * taps, i, tile);
                if (is_half)
                    zq_pack_int4(tile, ZQ_AMX_BYTES, to);
                else
                    memcpy(to, tile, ZQ_AMX_BYTES);
            }
}

/* ---- inputs --------------------------------------------------------------------------------------------------- */

/* Bytes of packed inputs: of all tiles of a band for a direct convolution, else of one tile. */
static size_t inputs_bytes(const zq_program *program, const zq_step *step)
{
    const size_t channels = (size_t)zq_ceil_div(zq_maps_in(program, step), ZQ_AMX_TAPS) * ZQ_AMX_TAPS;
    if (is_windowed(program, step)) return channels * (size_t)zq_window_frames(step, BAND);
    return steps_of(program, step) * ZQ_AMX_TAPS * ZQ_TILE;
}

/* im2col of a tile runs while the one before it is multiplied. */
static int is_ahead(const zq_program *program, const zq_step *step)
{
    const zq_conv_params *conv = &step->params.conv;
    return step->op == ZQ_CONV1D && conv->kernel == 1 && conv->stride == 1 && conv->padding == 0 &&
           !is_far(program, step);
}

/* Maximum number of tiles, or of rows of feature maps, that are processed together. */
static int32_t most_together(const zq_program *program, const zq_step *step)
{
    const size_t bytes = inputs_bytes(program, step), most = BAND_BYTES / bytes;
    if (is_windowed(program, step)) return BAND;
    if (step->params.conv.groups > 1 || most < 2 || !is_far(program, step)) return 1;
    return most < BAND ? (int32_t)most : BAND;
}

int zq_amx_dense_reads(const zq_program *program, const zq_step *step)
{
    const int can = step->packed && is_ahead(program, step) && step->params.conv.groups == 1;
    return can && zq_maps_in(program, step) % ZQ_AMX_TAPS == 0 ? 2 : 0;
}

/* Bytes for one unpacked block of weights that may be int4. Also called before the weights are packed. */
static size_t unpacked_bytes(const zq_program *program, const zq_step *step)
{
    return step->params.conv.groups == 1 && is_far(program, step) ? block_bytes(program, step) : 0;
}

static size_t inputs_buffer_bytes(const zq_program *program, const zq_step *step)
{
    const int32_t tiles = is_ahead(program, step) ? 2 : most_together(program, step);
    return (is_windowed(program, step) ? 1 : (size_t)tiles) * inputs_bytes(program, step);
}

/* Scratch: packed inputs, unpacked weights, offsets of the K steps. */
uint64_t zq_amx_dense_scratch(const zq_program *program, const zq_step *step, int32_t frames_y)
{
    (void)frames_y;
    return (uint64_t)inputs_buffer_bytes(program, step) + (uint64_t)unpacked_bytes(program, step) +
           (uint64_t)steps_of(program, step) * sizeof(size_t);
}

ZQ_TARGET static void im2col_all(zq_amx_im2col_job g)
{
    zq_amx_im2col(&g, g.channels);
}

/* Prepare the inputs of a unit and the input offset of each K step. */
static void lay_out_window(const zq_state *state, const zq_dense_unit *unit, uint8_t *inputs, size_t *places,
                           zq_amx_product *p)
{
    const zq_step *step = p->step;
    const int32_t frames = zq_window_frames(step, p->count), kernel = step->params.conv.kernel;
    const size_t dilation = (size_t)step->params.conv.dilation;
    p->order = ZQ_PLAIN;
    p->pitch = 64;
    p->next_inputs = 64 * ZQ_TILE;
    zq_amx_window(state, step, unit, frames, inputs);
    for (size_t start = 0, i = 0; i < p->steps; start += 64 * (size_t)frames)
        for (int32_t k = 0; k < kernel; k++) places[i++] = start + 64 * (size_t)k * dilation;
}

static void lay_out_im2col(const zq_state *state, const zq_dense_unit *unit, uint8_t *inputs, size_t *places,
                           zq_amx_product *p)
{
    zq_dense_unit u = *unit;
    p->order = p->count > 1 ? 8 : zq_ceil_div(zq_min(ZQ_TILE, p->frames), 8);
    p->pitch = 64 * (((size_t)p->order + 1) / 2);
    p->next_inputs = inputs_bytes(state->program, p->step);
    for (int32_t tile = 0; tile < p->count; tile++, inputs += p->next_inputs) {
        zq_avx512vnni_im2col(state, p->step, &u, p->order, 0, inputs);
        u.t0 += p->next_frames;
        u.row += p->next_frames == 0;
    }
    for (size_t i = 0; i < p->steps; i++) places[i] = i * ZQ_AMX_ROWS * p->pitch;
}

ZQ_TARGET static zq_amx_im2col_job im2col_job_of(const zq_state *state, const zq_dense_unit *unit, uint8_t *columns,
                                                 const zq_amx_product *p)
{
    const int32_t x = p->step->x[0], maps = zq_maps_in(state->program, p->step);
    const int32_t steps = zq_ceil_div(p->maps, ZQ_AMX_MAPS) * (int32_t)p->steps;
    return (zq_amx_im2col_job){zq_row(state, x, unit->group * maps) + unit->t0,
                               (size_t)state->pitch[x],
                               zq_first_bytes(state->frames[x] - unit->t0),
                               columns,
                               maps,
                               zq_ceil_div(zq_ceil_div(maps, 4), steps)};
}

/* Double buffering: one buffer holds the tile of `unit`, unless that is the first unit. The other buffer receives
 * the tile of `next`, if there is one. */
static void lay_out_ahead(const zq_state *state, const zq_dense_unit *unit, const zq_dense_unit *next, int is_first,
                          uint8_t *inputs, size_t *places, zq_amx_product *p)
{
    uint8_t *const other = inputs + inputs_bytes(state->program, p->step);
    p->count = 1;
    p->next_frames = ZQ_TILE;
    p->order = 8;
    p->pitch = 256;
    p->next_inputs = 0;
    p->inputs = is_first || p->inputs == other ? inputs : other;
    if (is_first) im2col_all(im2col_job_of(state, unit, inputs, p));
    p->soon = (zq_amx_im2col_job){.channels = 0};
    if (next) p->soon = im2col_job_of(state, next, p->inputs == inputs ? other : inputs, p);
    for (size_t i = 0; is_first && i < p->steps; i++) places[i] = i * ZQ_AMX_ROWS * p->pitch;
}

/* Read the inputs of a unit in place, in the packed K4 layout, and prefetch those of the next unit. */
static void take_im2col(const zq_state *state, const zq_dense_unit *unit, const zq_dense_unit *next, int is_first,
                        size_t *places, zq_amx_product *p)
{
    const int32_t x = p->step->x[0], steps = zq_ceil_div(p->maps, ZQ_AMX_MAPS) * (int32_t)p->steps;
    p->count = 1;
    p->next_frames = ZQ_TILE;
    p->order = ZQ_PLAIN;
    p->pitch = 256;
    p->next_inputs = 0;
    p->inputs = (const uint8_t *)zq_packed_k4(state, x, 0, unit->t0);
    p->near = (zq_amx_fetching){.lines = 0};
    if (next)
        p->near = (zq_amx_fetching){zq_packed_k4(state, x, 0, next->t0),
                                    zq_ceil_div(state->program->values[x].channels, steps)};
    for (size_t i = 0; is_first && i < p->steps; i++) places[i] = i * ZQ_AMX_ROWS * p->pitch;
}

/* ---- units ---------------------------------------------------------------------------------------------------- */

enum { BEYOND = 1 << 16 /* bytes to prefetch in addition to the size of this step */ };

/* Tiles (bands for a direct convolution) x rows of y's maps x groups. */
static int32_t places_of(const zq_state *state, const zq_step *step)
{
    const int32_t tiles = zq_ceil_div(state->frames[step->y], ZQ_TILE);
    const int32_t parts = is_windowed(state->program, step) ? zq_ceil_div(tiles, BAND) : tiles;
    return parts * zq_rows_out(step) * step->params.conv.groups;
}

/* Maps of a unit. Two workers take half of the maps each, the same half as in the steps before and after, which are
 * split by channels. So the workers exchange less data, and each reads half of the weights. For a direct
 * convolution the inputs are less work than the products, so its units are more and smaller. For few maps the
 * products are less work than the inputs, so a unit has all maps. */
static int32_t chunk_of(const zq_program *program, const zq_step *step)
{
    const int32_t maps = zq_maps_out(program, step), half = zq_ceil_div(maps, 2 * ZQ_AMX_MAPS) * ZQ_AMX_MAPS;
    return is_windowed(program, step) ? ZQ_CHUNK : maps <= FEW_MAPS ? maps : half;
}

/* Units: chunks of maps x input tiles. The units of one chunk are consecutive. */
int32_t zq_amx_dense_units(const zq_state *state, const zq_step *step)
{
    const int32_t maps = zq_maps_out(state->program, step);
    if (!step->packed) return 0;
    return places_of(state, step) * zq_ceil_div(maps, chunk_of(state->program, step));
}

static zq_dense_unit unit_of(const zq_state *state, const zq_step *step, int32_t unit, int32_t chunk)
{
    const int32_t maps = zq_maps_out(state->program, step), places = places_of(state, step);
    zq_dense_unit u = zq_dense_unit_of(state->program, step, unit % places * zq_ceil_div(maps, ZQ_CHUNK));
    u.t0 *= is_windowed(state->program, step) ? BAND : 1;
    u.first = unit / places * chunk;
    u.last = zq_min(u.first + chunk, maps);
    return u;
}

/* Join the units that share the weights of `unit`: the following rows of feature maps, else the following tiles in
 * time. Returns the first unit that is not joined. */
static int32_t join_tiles(const zq_state *state, int32_t unit, int32_t last, int32_t chunk, zq_amx_product *p)
{
    const zq_step *step = p->step;
    const zq_dense_unit u = unit_of(state, step, unit, chunk);
    const int32_t end = zq_min(last, unit + most_together(state->program, step));
    p->count = 1;
    p->next_frames = zq_rows_out(step) > 1 ? 0 : ZQ_TILE;
    while (unit + p->count < end) {
        const zq_dense_unit next = unit_of(state, step, unit + p->count, chunk);
        if (next.first != u.first || (p->next_frames == 0 && next.t0 != u.t0)) break;
        p->count++;
    }
    return unit + p->count;
}

/* If all weights stay in L2, a unit prefetches its share of the bytes behind them, as many as they have plus
 * BEYOND: the weights of the next convolutions. */
static zq_amx_fetching fetch_of(const zq_state *state, const zq_amx_product *p, int32_t unit, int32_t next,
                                int32_t units)
{
    const zq_program *program = state->program;
    const size_t bytes = packed_bytes(program, p->step, are_int4(p->step)), share = (bytes + BEYOND) / (size_t)units;
    const size_t lines = share * (size_t)(next - unit) / 64;
    const char *behind = (const char *)p->step->packed + bytes + share * (size_t)unit;
    const size_t steps = (size_t)zq_ceil_div(p->maps, ZQ_AMX_MAPS) * p->steps * (size_t)p->count;
    const int32_t tile = ZQ_AMX_BYTES / (are_int4(p->step) ? 2 : 1);
    if (is_far(program, p->step)) return (zq_amx_fetching){NULL, zq_ceil_div(tile / 64, p->count)};
    return (zq_amx_fetching){behind, (int32_t)((lines + steps - 1) / steps)};
}

void zq_amx_dense(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    if (!step->packed) {
        zq_conv_dense(state, step, first, last, scratch);
        return;
    }
    const zq_program *program = state->program;
    const int32_t maps = zq_maps_out(program, step), frames = state->frames[step->y], places = places_of(state, step);
    const int32_t storage = program->values[step->y].storage, is_all = last - first == zq_amx_dense_units(state, step);
    const int32_t chunk = is_all ? maps : chunk_of(program, step); /* one worker: all maps of an input tile */
    const size_t size = zq_size(storage), pitch = (size_t)state->pitch[step->y] * size;
    const size_t blocks = blocks_of_group(program, step);
    const int is_half = are_int4(step);
    const zq_requant_params *numbers = (const void *)numbers_of(step);
    const int8_t *weight = (const int8_t *)numbers + zq_amx_numbers_bytes((size_t)(maps * step->params.conv.groups));
    zq_amx_product p = {.step = step, .steps = steps_of(program, step), .storage = storage, .inputs = scratch};
    p.unpacked = (int8_t *)scratch + inputs_buffer_bytes(program, step);
    size_t *at = (size_t *)(void *)(p.unpacked + unpacked_bytes(program, step));
    p.places = at;
    p.is_windowed = is_windowed(program, step);
    p.is_signed = program->values[step->x[0]].storage == ZQ_INT8;
    p.map = pitch * (size_t)zq_rows_out(step);
    if (is_all) last = places;
    zq_amx_begin();
    for (int32_t unit = first, next; unit < last; unit = next) {
        const zq_dense_unit u = unit_of(state, step, unit, chunk);
        p.frames = frames - u.t0;
        p.o = u.group * maps + u.first;
        p.maps = u.last - u.first;
        if (is_ahead(program, step)) {
            next = unit + 1;
            const zq_dense_unit other = unit_of(state, step, zq_min(next, last - 1), chunk);
            const zq_dense_unit *behind = next < last ? &other : NULL;
            if (state->is_packed_k4[step->x[0]])
                take_im2col(state, &u, behind, unit == first, at, &p);
            else
                lay_out_ahead(state, &u, behind, unit == first, scratch, at, &p);
        } else if (p.is_windowed) {
            next = unit + 1;
            p.next_frames = ZQ_TILE;
            p.count = zq_min(BAND, zq_ceil_div(p.frames, ZQ_TILE));
            lay_out_window(state, &u, scratch, at, &p);
        } else {
            next = join_tiles(state, unit, last, chunk, &p);
            lay_out_im2col(state, &u, scratch, at, &p);
        }
        p.next_y = p.next_frames == 0 ? pitch : ZQ_TILE * size;
        p.numbers = numbers + p.o;
        const size_t start = ((size_t)u.group * blocks + (size_t)(u.first / ZQ_AMX_MAPS)) * p.steps * ZQ_AMX_BYTES;
        if (is_half)
            p.int4 = (const uint8_t *)weight + start / 2;
        else
            p.weight = weight + start;
        p.y = zq_row(state, step->y, p.o * zq_rows_out(step) + u.row) + (size_t)u.t0 * size;
        p.ahead = fetch_of(state, &p, unit, next, places * zq_ceil_div(maps, chunk));
        zq_amx_multiply(&p);
    }
    zq_amx_release_tiles();
}

#endif
