/* conv1d with one input channel per group, for AMX: 256 frames of a channel at a time.
 *
 * Row i of the first tile is the input from frame 16 * i on, column j of the second the kernel, j places down:
 *     sums[i][j] = sum over n of x[16 * i + n] * kernel[n - j],
 * 64 places n at a time; the next 64 of row i are row i + 4. Four places of a column are the dword of the four taps from
 * n - j on. Rows that overlap, and columns that do, are written out, since a tile is loaded six times as fast from whole
 * lines of the cache; this is done for a channel before it is its turn. With a stride it is done for each phase of the
 * row, as in conv1d_depthwise.c. */
#include "amx.h"

#ifdef ZQ_AMX_TABLE

enum {
    FRAMES = 256,
    AT_ONCE = 4,           /* sums of 256 frames each */
    LEAST_USE = 8          /* of 64 places: kernels that are mostly zeros between the taps are done otherwise */
};

/* Places of a phase's kernel, whose taps are at k * dilation / stride. */
static size_t span_of(const zq_step *step)
{
    return (size_t)step->dilation * (size_t)(step->kernel - 1) / (size_t)step->stride + 1;
}

/* Products that make a sum, for each phase: the last column's kernel starts 15 places down. */
static size_t chunks_of(const zq_step *step)
{
    return (span_of(step) + 15 + 63) / 64;
}

static int is_suited(const zq_step *step)
{
    return (size_t)step->stride * chunks_of(step) * LEAST_USE <= (size_t)step->kernel + 2 * LEAST_USE;
}

/* Packed: [C_out] zq_channel_numbers, then [C_out][stride][span]. */
uint64_t zq_amx_depthwise_bytes(const zq_program *program, const zq_step *step)
{
    const size_t channels = (size_t)program->values[step->y].channels;
    if (!is_suited(step)) return zq_avx512vnni_depthwise_bytes(program, step);
    return (uint64_t)zq_amx_numbers_bytes(channels) + (uint64_t)channels * (uint64_t)step->stride * span_of(step);
}

void zq_amx_pack_depthwise(const zq_program *program, const zq_step *step, void *packed)
{
    const size_t channels = (size_t)program->values[step->y].channels, span = span_of(step);
    const size_t stride = (size_t)step->stride, kernel = (size_t)step->kernel;
    int8_t *taps = (int8_t *)packed + zq_amx_numbers_bytes(channels);
    if (!is_suited(step)) {
        zq_avx512vnni_pack_depthwise(program, step, packed);
        return;
    }
    zq_pack_channel_numbers(step, ZQ_UINT8, (int32_t)channels, kernel, packed); /* codes are read as they are */
    memset(taps, 0, channels * stride * span);
    for (size_t o = 0; o < channels; o++, taps += stride * span)
        for (size_t k = 0; k < kernel; k++) {
            const size_t at = k * (size_t)step->dilation;
            taps[at % stride * span + at / stride] = step->weight[o * kernel + k];
        }
}

/* A step at work. */
typedef struct {
    const zq_state *state;
    const zq_step *step;
    const zq_channel_numbers *numbers; /* [C_out] */
    const int8_t *taps;                /* [C_out][stride][span] */
    uint8_t *rows;                     /* [ready][stride][rows_bytes]: 64 bytes from every 16th on */
    uint8_t *columns;                  /* [ready][stride][chunks][16][16 columns][4] */
    uint8_t *phases;                   /* [stride][length]: of one row, where there is a stride */
    size_t stride, span, chunks, rows_bytes, length;
    int32_t tiles, ready, is_signed;   /* tiles of 256 frames; channels that can be laid out at a time */
} filter;

/* In scratch (which may be NULL) for y of so many frames; returns the bytes that it takes. */
static size_t lay_out_filter(filter *f, const zq_step *step, int32_t frames_y, uint8_t *scratch)
{
    f->step = step;
    f->stride = (size_t)step->stride;
    f->span = span_of(step);
    f->chunks = chunks_of(step);
    f->tiles = zq_ceil_div(frames_y, FRAMES);
    f->ready = zq_ceil_div(2 * AT_ONCE, f->tiles) + 1;
    f->rows_bytes = 64 * (16 * (size_t)f->tiles + 4 * (f->chunks - 1));
    f->length = f->stride > 1 ? (size_t)f->tiles * FRAMES + 64 * f->chunks : 0;
    const size_t rows = (size_t)f->ready * f->stride * f->rows_bytes;
    const size_t columns = (size_t)f->ready * f->stride * f->chunks * ZQ_AMX_BYTES;
    f->rows = scratch;
    f->columns = scratch + rows;
    f->phases = scratch + rows + columns;
    return rows + columns + f->stride * f->length;
}

uint64_t zq_amx_depthwise_scratch(const zq_program *program, const zq_step *step, int32_t frames_y)
{
    filter f;
    const uint64_t otherwise = zq_avx512vnni_depthwise_scratch(program, step, frames_y);
    const uint64_t bytes = is_suited(step) ? lay_out_filter(&f, step, frames_y, NULL) : 0;
    return bytes > otherwise ? bytes : otherwise;
}

/* bytes[start .. start + 63], those outside 0 .. count - 1 as 0. */
ZQ_TARGET_INLINE __m512i bytes_from(const void *bytes, int32_t start, int32_t count)
{
    return _mm512_maskz_loadu_epi8(zq_first_bytes(count - start) & ~zq_first_bytes(-start), (const char *)bytes + start);
}

/* rows[i] = the 64 bytes from x[16 * i - padding] on, x is 0 outside 0 .. frames - 1. A load across lines takes longer than
 * joining two vectors. */
ZQ_TARGET static void write_rows(const uint8_t *x, int32_t frames, int32_t padding, size_t bytes, uint8_t *rows)
{
    __m512i v = bytes_from(x, -padding, frames);
    for (int32_t start = 64 - padding; bytes > 0; start += 64, rows += 256, bytes -= 256) {
        const __m512i next = bytes_from(x, start, frames);
        _mm512_store_si512(rows, v);
        _mm512_store_si512(rows + 64, _mm512_alignr_epi64(next, v, 2));
        _mm512_store_si512(rows + 128, _mm512_alignr_epi64(next, v, 4));
        _mm512_store_si512(rows + 192, _mm512_alignr_epi64(next, v, 6));
        v = next;
    }
}

/* Rows of the columns' tiles: dword j of row q holds the four taps from 4 * q - j on. Four rows need 31 taps. */
ZQ_AMX_TARGET static void write_columns(const filter *f, const int8_t *taps, uint8_t *columns)
{
    const __m512i first = _mm512_setr_epi32(0x13121110, 0x1211100F, 0x11100F0E, 0x100F0E0D, 0x0F0E0D0C, 0x0E0D0C0B, 0x0D0C0B0A,
                                            0x0C0B0A09, 0x0B0A0908, 0x0A090807, 0x09080706, 0x08070605, 0x07060504,
                                            0x06050403, 0x05040302, 0x04030201); /* of taps from 4 * q - 16 on */
    const __m512i second = _mm512_add_epi8(first, _mm512_set1_epi8(4));
    const __m512i third = _mm512_add_epi8(first, _mm512_set1_epi8(8)), fourth = _mm512_add_epi8(first, _mm512_set1_epi8(12));
    const int32_t span = (int32_t)f->span;
    __m512i v = bytes_from(taps, -16, span), next;
#define FOUR_ROWS(shift)                                                          \
    {                                                                             \
        const __m512i near = _mm512_alignr_epi64(next, v, shift);                 \
        _mm512_store_si512(columns, _mm512_permutexvar_epi8(first, near));        \
        _mm512_store_si512(columns + 64, _mm512_permutexvar_epi8(second, near));  \
        _mm512_store_si512(columns + 128, _mm512_permutexvar_epi8(third, near));  \
        _mm512_store_si512(columns + 192, _mm512_permutexvar_epi8(fourth, near)); \
        columns += 256;                                                           \
    }
    for (int32_t chunk = 0; chunk < (int32_t)f->chunks; chunk++, v = next) {
        next = bytes_from(taps, 64 * chunk + 48, span);
        FOUR_ROWS(0)
        FOUR_ROWS(2)
        FOUR_ROWS(4)
        FOUR_ROWS(6)
    }
#undef FOUR_ROWS
}

static void lay_out_channel(const filter *f, int32_t o)
{
    const int32_t shared = f->state->program->values[f->step->y].channels / f->step->groups, value = f->step->x[0];
    const uint8_t *x = (const uint8_t *)zq_row(f->state, value, o / shared);
    const int32_t frames = f->state->frames[value];
    const size_t slot = (size_t)(o % f->ready) * f->stride;
    uint8_t *rows = f->rows + slot * f->rows_bytes;
    if (f->stride == 1) {
        write_rows(x, frames, f->step->padding, f->rows_bytes, rows);
    } else {
        zq_lay_out_phases(x, frames, f->step, 0, f->length, f->phases);
        for (size_t phase = 0; phase < f->stride; phase++)
            write_rows(f->phases + phase * f->length, (int32_t)f->length, 0, f->rows_bytes,
                       rows + phase * f->rows_bytes);
    }
    for (size_t phase = 0; phase < f->stride; phase++)
        write_columns(f, f->taps + ((size_t)o * f->stride + phase) * f->span,
                      f->columns + (slot + phase) * f->chunks * ZQ_AMX_BYTES);
}

/* Sums of four times 256 frames: of tile job % tiles of channel job / tiles, job = first .. last - 1. */
typedef struct {
    int32_t sums[AT_ONCE][FRAMES] __attribute__((aligned(64)));
    int32_t first, last;
} batch;

#define FILTER(sum, x, w)                                                                              \
    if (job < b->last) {                                                                               \
        const size_t slot = (size_t)(job / f->tiles % f->ready) * f->stride;                           \
        const uint8_t *row = f->rows + slot * f->rows_bytes + (size_t)(job % f->tiles) * ZQ_AMX_BYTES; \
        const uint8_t *column = f->columns + slot * f->chunks * ZQ_AMX_BYTES;                          \
        ZQ_AMX_ZERO(sum);                                                                              \
        for (size_t phase = 0; phase < f->stride; phase++, row += f->rows_bytes)                       \
            for (size_t c = 0; c < f->chunks; c++, column += ZQ_AMX_BYTES) {                           \
                ZQ_AMX_LOAD(x, row + 4 * 64 * c, 64);                                                  \
                ZQ_AMX_LOAD(w, column, 64);                                                            \
                if (f->is_signed)                                                                      \
                    ZQ_AMX_DOT_SS(sum, x, w);                                                          \
                else                                                                                   \
                    ZQ_AMX_DOT_US(sum, x, w);                                                          \
            }                                                                                          \
        job++;                                                                                         \
    }                                                                                                  \
    if (waiting < before->last) end_frames(f, before, waiting++, end, kind);

/* The frames of one job. */
ZQ_TARGET_INLINE void end_frames(const filter *f, const batch *b, int32_t job, const zq_amx_row_end *end,
                                 const int32_t kind)
{
    const int32_t o = job / f->tiles, start = job % f->tiles * FRAMES;
    const int32_t frames = zq_min(FRAMES, f->state->frames[f->step->y] - start);
    const size_t size = zq_size(end->storage);
    char *y = zq_row(f->state, f->step->y, o) + (size_t)start * size;
    for (int32_t t = 0; t < frames; t += ZQ_TILE)
        zq_amx_end_row(end, kind, f->numbers + o, o, b->sums[job - b->first] + t, y + (size_t)t * size, frames - t);
}

/* The sums of one batch, while those of the batch before it are stored. */
ZQ_TARGET_INLINE void filter_batch(const filter *f, batch *b, const batch *before, const zq_amx_row_end *end,
                                   const int32_t kind)
{
    int32_t job = b->first, waiting = before->first;
    FILTER(0, 4, 6)
    FILTER(1, 5, 7)
    FILTER(2, 4, 6)
    FILTER(3, 5, 7)
    ZQ_AMX_STORE(0, b->sums[0], 64);
    ZQ_AMX_STORE(1, b->sums[1], 64);
    ZQ_AMX_STORE(2, b->sums[2], 64);
    ZQ_AMX_STORE(3, b->sums[3], 64);
}

ZQ_TARGET_INLINE void filter_channels(const filter *f, int32_t first, int32_t last, const int32_t kind)
{
    const zq_amx_row_end end = zq_amx_row_end_of(f->step, ZQ_PLAIN, f->state->program->values[f->step->y].storage);
    const int32_t jobs = last * f->tiles;
    batch batches[2];
    int32_t turn = 0, ready = first;
    batches[1].first = batches[1].last = 0;
    for (int32_t job = first * f->tiles; job < jobs; job += AT_ONCE, turn ^= 1) {
        const int32_t soon = (job + 2 * AT_ONCE - 1) / f->tiles; /* the last channel of the next batch */
        for (; ready < last && ready <= soon; ready++) lay_out_channel(f, ready);
        batches[turn].first = job;
        batches[turn].last = zq_min(job + AT_ONCE, jobs);
        filter_batch(f, &batches[turn], &batches[turn ^ 1], &end, kind);
    }
    const batch *rest = &batches[turn ^ 1];
    for (int32_t job = rest->first; job < rest->last; job++) end_frames(f, rest, job, &end, kind);
}

#define KIND(name, kind)                                                                  \
    ZQ_TARGET static void filter_##name(const filter *f, int32_t first, int32_t last)     \
    {                                                                                     \
        filter_channels(f, first, last, kind);                                            \
    }
KIND(int8, ZQ_INT8)
KIND(uint8, ZQ_UINT8)
KIND(raw, ZQ_INT32)
KIND(other, ZQ_INT16)

typedef void filter_function(const filter *f, int32_t first, int32_t last);
static filter_function *const filter_kinds[] = {
    [ZQ_INT8] = filter_int8, [ZQ_UINT8] = filter_uint8, [ZQ_INT32] = filter_raw, [ZQ_INT16] = filter_other};

/* ---- units ---------------------------------------------------------------------------------------------------- */

enum { CHANNELS = 16 /* of a unit: fewer would begin and end too often */ };

int32_t zq_amx_depthwise_units(const zq_state *state, const zq_step *step)
{
    if (!step->packed || !is_suited(step)) return 0;
    return zq_ceil_div(state->program->values[step->y].channels, CHANNELS);
}

void zq_amx_depthwise(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    const zq_value *y = &state->program->values[step->y];
    filter f = {.state = state, .numbers = step->packed};
    if (!step->packed || !is_suited(step)) {
        zq_avx512vnni_depthwise(state, step, first, last, scratch);
        return;
    }
    lay_out_filter(&f, step, state->frames[step->y], scratch);
    f.taps = (const int8_t *)step->packed + zq_amx_numbers_bytes((size_t)y->channels);
    f.is_signed = state->program->values[step->x[0]].storage == ZQ_INT8;
    zq_amx_begin();
    filter_kinds[zq_amx_kind(step, y->storage, f.numbers)](&f, first * CHANNELS, zq_min(last * CHANNELS, y->channels));
    zq_amx_end();
}

#endif
