/* Attention with relative positions (SPEC 4), one head and one tile of frames at a time: their scores with one tile of
 * keys after the other, the powers of two of the scores, the weighted mean of the values. */
#include "core/check.h"

enum { LARGEST_SCORE = 1 << 29 };

/* A worker's scratch. A column holds one channel of the head for a tile of keys. */
typedef struct {
    int32_t padded;   /* T in whole tiles */
    int64_t *sums;    /* [ZQ_TILE][width]: a */
    int64_t *totals;  /* [ZQ_TILE]: n */
    int32_t *scores;  /* [ZQ_TILE][padded]: s */
    int16_t *powers;  /* [ZQ_TILE][padded]: e */
    int16_t *columns; /* [width][ZQ_TILE] of k, later of v */
    int16_t *places;  /* [width][2 * ZQ_TILE] of p */
} workplace;

static void lay_out(int32_t frames, int32_t width, char *memory, workplace *place)
{
    const size_t padded = (size_t)zq_ceil_div(frames, ZQ_TILE) * ZQ_TILE, wide = (size_t)width;
    place->padded = (int32_t)padded;
    place->sums = (int64_t *)(void *)memory;
    place->totals = place->sums + ZQ_TILE * wide;
    place->scores = (int32_t *)(void *)(place->totals + ZQ_TILE);
    place->powers = (int16_t *)(void *)(place->scores + ZQ_TILE * padded);
    place->columns = place->powers + ZQ_TILE * padded;
    place->places = place->columns + ZQ_TILE * wide;
}

static uint64_t scratch_bytes(const zq_program *program, const zq_step *step, int32_t frames_y)
{
    const uint64_t padded = (uint64_t)zq_ceil_div(frames_y, ZQ_TILE) * ZQ_TILE;
    const uint64_t width = (uint64_t)(program->values[step->y].channels / step->params.attention.heads);
    return (uint64_t)ZQ_TILE * (8 * width + 8 + 4 * padded + 2 * padded + 2 * width + 4 * width);
}

/* columns[d] = `tiles` tiles of channel first + d from frame `start` on, 0 where there is no frame. */
ZQ_INLINE void widen(const zq_state *state, int32_t value, int32_t first, int32_t width, int32_t start, int32_t tiles,
                     int16_t *columns)
{
    const int32_t storage = state->program->values[value].storage;
    for (int32_t d = 0; d < width; d++)
        for (int32_t tile = 0; tile < tiles; tile++, columns += ZQ_TILE)
            zq_gather_column(zq_row(state, value, first + d), storage, state->frames[value], start + tile * ZQ_TILE, 1,
                             columns);
}

/* products[r][j] = the sum over d of x[first + d, i + r] * columns[d][j - r * slope]; frames beyond the last repeat
 * it. columns[d] are `size` apart. */
ZQ_INLINE void multiply(const zq_state *state, int32_t x, int32_t first, int32_t width, int32_t i,
                        const int16_t *columns, int32_t size, int32_t slope, int32_t products[ZQ_ROWS][ZQ_TILE])
{
    const int32_t storage = state->program->values[x].storage, last = state->frames[x] - 1;
    for (int32_t r = 0; r < ZQ_ROWS; r++)
        for (int32_t j = 0; j < ZQ_TILE; j++) products[r][j] = 0;
    for (int32_t d = 0; d < width; d++, columns += size) {
        const char *row = zq_row(state, x, first + d);
        for (int32_t r = 0; r < ZQ_ROWS; r++) {
            const int32_t q = zq_get(row, storage, zq_min(i + r, last));
            const int16_t *restrict column = columns - r * slope;
            for (int32_t j = 0; j < ZQ_TILE; j++) products[r][j] += q * column[j];
        }
    }
}

/* scores[i][j0 + j] of the tile at t0 with the keys from j0 on. */
ZQ_INLINE void score_tile(const zq_state *state, const zq_step *step, int32_t head, int32_t t0, int32_t j0,
                          const workplace *place)
{
    const zq_attention_params *attention = &step->params.attention;
    const int32_t frames = state->frames[step->y], width = state->program->values[step->y].channels / attention->heads;
    const int32_t first = head * width, last = ZQ_TILE - 1; /* place of key j0 for frame t0: column `last` */
    const int64_t content = attention->content[head], position = attention->position[head];
    widen(state, step->x[2], first, width, j0, 1, place->columns);
    widen(state, step->x[4], first, width, frames - 1 - t0 - last + j0, 2, place->places);
    for (int32_t i = 0; i < zq_min(ZQ_TILE, frames - t0); i += ZQ_ROWS) {
        int32_t a[ZQ_ROWS][ZQ_TILE], b[ZQ_ROWS][ZQ_TILE];
        multiply(state, step->x[0], first, width, t0 + i, place->columns, ZQ_TILE, 0, a);
        multiply(state, step->x[1], first, width, t0 + i, place->places + last - i, 2 * ZQ_TILE, 1, b);
        for (int32_t r = 0; r < ZQ_ROWS; r++) {
            int32_t *scores = place->scores + (size_t)(i + r) * (size_t)place->padded + j0;
            for (int32_t j = 0; j < ZQ_TILE; j++) {
                const int64_t sum = a[r][j] * content + b[r][j] * position;
                const int64_t s = zq_rounding_shift_right_half_up(sum, attention->shift);
                scores[j] = (int32_t)zq_saturate(s, -LARGEST_SCORE, LARGEST_SCORE);
            }
        }
    }
}

/* powers[j] = e of one frame's scores; returns their sum n. Nothing from T on weighs anything. P is below 2^18, so
 * that a shift by 31 makes 0 of it, as greater ones would. */
ZQ_INLINE int64_t raise(int32_t frames, int32_t padded, const int32_t *restrict scores, int16_t *restrict powers)
{
    int64_t total = 0;
    int32_t most = -LARGEST_SCORE;
    for (int32_t j = 0; j < frames; j++) most = scores[j] > most ? scores[j] : most;
    for (int32_t j = 0; j < frames; j++) {
        const int32_t t = zq_min(most - scores[j], ZQ_MOST_OCTAVES), shift = zq_min((t >> 16) + 2, 31);
        powers[j] = (int16_t)(((zq_exp2_negative(t) >> shift) + 1) >> 1);
    }
    for (int32_t j = frames; j < padded; j++) powers[j] = 0;
    for (int32_t j = 0; j < frames; j++) total += powers[j];
    return total;
}

/* sums[i][d] += the values from j0 on, weighed; at most ZQ_TILE * 2^14 * 2^8 for one tile. */
ZQ_INLINE void weigh_tile(int32_t width, int32_t rows, int32_t j0, const workplace *place)
{
    for (int32_t i = 0; i < rows; i++) {
        const int16_t *restrict powers = place->powers + (size_t)i * (size_t)place->padded + j0;
        for (int32_t d = 0; d < width; d++) {
            const int16_t *restrict column = place->columns + (size_t)d * ZQ_TILE;
            int32_t sum = 0;
            for (int32_t j = 0; j < ZQ_TILE; j++) sum += powers[j] * column[j];
            place->sums[(size_t)i * (size_t)width + (size_t)d] += sum;
        }
    }
}

/* y of the tile at t0, from its sums and totals. */
ZQ_INLINE void finish(const zq_state *state, const zq_step *step, int32_t first, int32_t width, int32_t t0,
                      int32_t rows, const workplace *place)
{
    const int32_t storage = state->program->values[step->y].storage;
    for (int32_t d = 0; d < width; d++) {
        int32_t means[ZQ_TILE] = {0};
        for (int32_t i = 0; i < rows; i++) {
            const int64_t sum = place->sums[(size_t)i * (size_t)width + (size_t)d], total = place->totals[i];
            means[i] = (int32_t)zq_floor_div(sum * 32768 + total / 2, total);
        }
        zq_rescale_tile(step, first + d, means);
        zq_store(zq_row(state, step->y, first + d), storage, t0, rows, means);
    }
}

ZQ_MULTIVERSION
void zq_attention(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    const int32_t frames = state->frames[step->y],
                  width = state->program->values[step->y].channels / step->params.attention.heads;
    const int32_t tiles = zq_ceil_div(frames, ZQ_TILE);
    workplace place;
    lay_out(frames, width, scratch, &place);
    for (int32_t unit = first; unit < last; unit++) {
        const int32_t head = unit / tiles, t0 = unit % tiles * ZQ_TILE, rows = zq_min(ZQ_TILE, frames - t0);
        for (int32_t j0 = 0; j0 < frames; j0 += ZQ_TILE) score_tile(state, step, head, t0, j0, &place);
        for (int32_t i = 0; i < rows; i++) {
            const size_t row = (size_t)i * (size_t)place.padded;
            place.totals[i] = raise(frames, place.padded, place.scores + row, place.powers + row);
        }
        memset(place.sums, 0, ZQ_TILE * (size_t)width * sizeof *place.sums);
        for (int32_t j0 = 0; j0 < frames; j0 += ZQ_TILE) {
            widen(state, step->x[3], head * width, width, j0, 1, place.columns);
            weigh_tile(width, rows, j0, &place);
        }
        finish(state, step, head * width, width, t0, rows, &place);
    }
}

static int32_t count_units(const zq_state *state, const zq_step *step)
{
    return zq_count_tiles(state, step) * step->params.attention.heads;
}

static int check(const zq_program *program, const zq_step *step)
{
    const zq_value *y = &program->values[step->y];
    const zq_attention_params *attention = &step->params.attention;
    if (!attention->content || !attention->position || !zq_is_within(attention->shift, 1, 62) || attention->heads < 1 ||
        y->channels % attention->heads)
        return 0;
    if (step->inputs != 5 || !zq_is_code_or_int16(y) || y->length != ZQ_LENGTH_FRAMES) return 0;
    for (int32_t i = 0; i < 5; i++) {
        const zq_value *x = &program->values[step->x[i]];
        if (!zq_is_code(x) || x->channels != y->channels || x->offset != y->offset || x->stride != y->stride) return 0;
        if (x->length != (i == 4 ? ZQ_LENGTH_POSITIONS : ZQ_LENGTH_FRAMES)) return 0;
    }
    for (int32_t h = 0; h < attention->heads; h++)
        if (attention->content[h] < 0 || attention->position[h] < 0) return 0;
    return zq_is_rescale_sound(step, y->channels, 62);
}

static int64_t max_frames(const zq_step *step)
{
    (void)step;
    return ZQ_MAX_FRAMES;
}

const zq_kernel_entry zq_portable_attention = {
    .run = zq_attention, .units = count_units, .scratch_bytes = scratch_bytes};
const zq_op_entry zq_op_attention = {.check = check, .kind = ZQ_KERNEL_ATTENTION, .max_frames = max_frames};
