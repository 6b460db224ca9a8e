/* conv1d with one input channel per group, for AMX: 512 frames of a channel at a time.
 *
 * Row i of the first tile is the input from frame 32 * i on, column j of the second the kernel, j places down:
 *     sums[i][j] = sum over n of x[32 * i + n] * kernel[n - j],
 * 64 places n at a time; the next 64 of row i are row i + 2. The second half of each 32 frames is the same with columns
 * 16 places further down. Four places of a column are the dword of the four taps from n - j on; as the next four are the
 * next row of the tile, all columns' tiles are cut from one strip of rows, which starts and ends with zeros. Rows of
 * inputs overlap and are written out, since a tile is loaded six times as fast from whole lines of the cache; this is done
 * for a channel before it is its turn. With a stride it is done for each phase of the row, as in conv1d_depthwise.c. */
#include "amx.h"

#ifdef ZQ_AMX_TABLE

enum {
    FRAMES = 512,
    STEP = FRAMES / ZQ_AMX_ROWS, /* frames from row to row */
    HALF = STEP / 2,             /* of them: columns of a tile */
    AT_ONCE = 2,                 /* times FRAMES */
    ABOVE = HALF / 4,            /* rows of zeros that a strip starts with */
    LEAST_USE = 8                /* of 64 places: kernels that are mostly zeros between the taps are done otherwise */
};

/* Places of a phase's kernel, whose taps are at k * dilation / stride. */
static size_t span_of(const zq_step *step)
{
    return (size_t)step->dilation * (size_t)(step->kernel - 1) / (size_t)step->stride + 1;
}

/* Products that make a sum of one half, for each phase: the last column's kernel starts so many places down. */
static size_t chunks_of(const zq_step *step, size_t half)
{
    return (span_of(step) + HALF * half + 15 + 63) / 64;
}

static int is_suited(const zq_step *step)
{
    return (size_t)step->stride * chunks_of(step, 1) * LEAST_USE <= (size_t)step->kernel + 2 * LEAST_USE;
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
    uint8_t *rows;                     /* [ready][stride][rows_bytes]: 64 bytes from every 32nd on; used_bytes count */
    uint8_t *strips;                   /* [ready][stride][strip_bytes] of [16 columns][4] */
    uint8_t *phases;                   /* [stride][length]: of one row, where there is a stride */
    size_t stride, span, chunks[2], rows_bytes, used_bytes, strip_bytes, length;
    int32_t tiles, ready, is_signed;   /* tiles of 512 frames; channels that can be laid out at a time */
    int32_t height;                    /* rows of a tile that count, where there is only one */
} filter;

/* Tile `tile` of channel o, which is laid out in slot `slot`. */
typedef struct {
    int32_t o, tile, slot;
} place;

static inline place next_channel(const filter *f, place p)
{
    return (place){p.o + 1, 0, p.slot + 1 < f->ready ? p.slot + 1 : 0};
}

static inline place next_place(const filter *f, place p)
{
    return p.tile + 1 < f->tiles ? (place){p.o, p.tile + 1, p.slot} : next_channel(f, p);
}

/* In scratch (which may be NULL) for y of so many frames; returns the bytes that it takes. */
static size_t lay_out_filter(filter *f, const zq_step *step, int32_t frames_y, uint8_t *scratch)
{
    f->step = step;
    f->stride = (size_t)step->stride;
    f->span = span_of(step);
    f->chunks[0] = chunks_of(step, 0);
    f->chunks[1] = chunks_of(step, 1);
    f->tiles = zq_ceil_div(frames_y, FRAMES);
    f->ready = zq_ceil_div(2 * AT_ONCE, f->tiles) + 1;
    f->rows_bytes = 64 * (ZQ_AMX_ROWS * (size_t)f->tiles + 2 * (f->chunks[1] - 1));
    f->height = f->tiles > 1 ? ZQ_AMX_ROWS : zq_ceil_div(frames_y, STEP);
    f->used_bytes = f->rows_bytes - 64 * (size_t)((ZQ_AMX_ROWS - f->height) / 2 * 2);
    f->strip_bytes = 64 * (ABOVE + ZQ_AMX_ROWS * f->chunks[1]);
    f->length = f->stride > 1 ? (size_t)f->tiles * FRAMES + 64 * f->chunks[1] : 0;
    const size_t rows = (size_t)f->ready * f->stride * f->rows_bytes;
    const size_t strips = (size_t)f->ready * f->stride * f->strip_bytes;
    f->rows = scratch;
    f->strips = scratch + rows;
    f->phases = scratch + rows + strips;
    return rows + strips + f->stride * f->length;
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
    if (start >= 0 && count - start >= 64) return _mm512_loadu_si512((const char *)bytes + start);
    return _mm512_maskz_loadu_epi8(zq_first_bytes(count - start) & ~zq_first_bytes(-start), (const char *)bytes + start);
}

/* rows[i] = the 64 bytes from x[32 * i - padding] on, x is 0 outside 0 .. frames - 1. A load across lines takes longer than
 * joining two vectors. */
ZQ_TARGET static void write_rows(const uint8_t *x, int32_t frames, int32_t padding, size_t bytes, uint8_t *rows)
{
    __m512i v = bytes_from(x, -padding, frames);
    for (int32_t start = 64 - padding; bytes > 0; start += 64, rows += 128, bytes -= 128) {
        const __m512i next = bytes_from(x, start, frames);
        _mm512_store_si512(rows, v);
        _mm512_store_si512(rows + 64, _mm512_alignr_epi64(next, v, 4));
        v = next;
    }
}

/* Rows of a strip that are not 0, four at a time: dword j of row q holds the four taps from 4 * q - j on. Four rows need
 * 31 taps. */
ZQ_AMX_TARGET static void write_strip(const int8_t *taps, int32_t span, uint8_t *rows)
{
    const __m512i first = _mm512_setr_epi32(0x13121110, 0x1211100F, 0x11100F0E, 0x100F0E0D, 0x0F0E0D0C, 0x0E0D0C0B, 0x0D0C0B0A,
                                            0x0C0B0A09, 0x0B0A0908, 0x0A090807, 0x09080706, 0x08070605, 0x07060504,
                                            0x06050403, 0x05040302, 0x04030201); /* of taps from 4 * q - 16 on */
    const __m512i second = _mm512_add_epi8(first, _mm512_set1_epi8(4));
    const __m512i third = _mm512_add_epi8(first, _mm512_set1_epi8(8)), fourth = _mm512_add_epi8(first, _mm512_set1_epi8(12));
    for (int32_t start = -16; start + 1 < span; start += 16, rows += 256) {
        const __m512i near = bytes_from(taps, start, span);
        _mm512_store_si512(rows, _mm512_permutexvar_epi8(first, near));
        _mm512_store_si512(rows + 64, _mm512_permutexvar_epi8(second, near));
        _mm512_store_si512(rows + 128, _mm512_permutexvar_epi8(third, near));
        _mm512_store_si512(rows + 192, _mm512_permutexvar_epi8(fourth, near));
    }
}

static void lay_out_channel(const filter *f, place at)
{
    const int32_t shared = f->state->program->values[f->step->y].channels / f->step->groups, value = f->step->x[0];
    const uint8_t *x = (const uint8_t *)zq_row(f->state, value, at.o / shared);
    const int32_t frames = f->state->frames[value];
    const size_t slot = (size_t)at.slot * f->stride;
    uint8_t *rows = f->rows + slot * f->rows_bytes;
    if (f->stride == 1) {
        write_rows(x, frames, f->step->padding, f->used_bytes, rows);
    } else {
        zq_lay_out_phases(x, frames, f->step, 0, f->length, f->phases);
        for (size_t phase = 0; phase < f->stride; phase++)
            write_rows(f->phases + phase * f->length, (int32_t)f->length, 0, f->used_bytes,
                       rows + phase * f->rows_bytes);
    }
    for (size_t phase = 0; phase < f->stride; phase++)
        write_strip(f->taps + ((size_t)at.o * f->stride + phase) * f->span, (int32_t)f->span,
                    f->strips + (slot + phase) * f->strip_bytes + 64 * ABOVE);
}

/* Sums of one tile after the other, from `first` on. */
typedef struct {
    int32_t sums[AT_ONCE][FRAMES] __attribute__((aligned(64)));
    place first;
    int32_t count;
} batch;

/* One chunk of one phase: both halves see the same rows. */
#define MULTIPLY(even, odd, x, DOT)                                \
    ZQ_AMX_LOAD(x, row + 2 * 64 * c, 64);                          \
    if (c < f->chunks[0]) {                                        \
        ZQ_AMX_LOAD(6, strip + 64 * ABOVE + ZQ_AMX_BYTES * c, 64); \
        DOT(even, x, 6);                                           \
    }                                                              \
    ZQ_AMX_LOAD(7, strip + ZQ_AMX_BYTES * c, 64);                  \
    DOT(odd, x, 7);

#define FILTER(even, odd, x)                                                                              \
    {                                                                                                     \
        const uint8_t *row = f->rows + (size_t)at.slot * slot_rows + (size_t)at.tile * ZQ_AMX_BYTES;      \
        const uint8_t *strip = f->strips + (size_t)at.slot * slot_strips;                                 \
        ZQ_AMX_ZERO(even);                                                                                \
        ZQ_AMX_ZERO(odd);                                                                                 \
        for (size_t phase = 0; phase < f->stride; phase++, row += f->rows_bytes, strip += f->strip_bytes) \
            for (size_t c = 0; c < f->chunks[1]; c++) {                                                   \
                if (f->is_signed) {                                                                       \
                    MULTIPLY(even, odd, x, ZQ_AMX_DOT_SS)                                                 \
                } else {                                                                                  \
                    MULTIPLY(even, odd, x, ZQ_AMX_DOT_US)                                                 \
                }                                                                                         \
            }                                                                                             \
        at = next_place(f, at);                                                                           \
    }

/* The frames of one tile. */
ZQ_TARGET_INLINE void end_frames(const filter *f, place at, const int32_t *sums, const zq_amx_row_end *end,
                                 const int32_t kind)
{
    const int32_t start = at.tile * FRAMES, frames = zq_min(FRAMES, f->state->frames[f->step->y] - start);
    const size_t size = zq_size(end->storage);
    const zq_amx_channel_end channel = zq_amx_channel_end_of(f->numbers + at.o);
    char *y = zq_row(f->state, f->step->y, at.o) + (size_t)start * size;
    int32_t t = 0;
    for (; t + ZQ_TILE <= frames; t += ZQ_TILE)
        zq_amx_end_row(end, kind, &channel, at.o, sums + t, y + (size_t)t * size, ZQ_TILE);
    if (t < frames) zq_amx_end_row(end, kind, &channel, at.o, sums + t, y + (size_t)t * size, frames - t);
}

/* The sums of one batch, while those of the batch before it are stored. */
ZQ_TARGET_INLINE void filter_batch(const filter *f, batch *b, const batch *before, const zq_amx_row_end *end,
                                   const int32_t kind)
{
    const size_t slot_rows = f->stride * f->rows_bytes, slot_strips = f->stride * f->strip_bytes;
    place at = b->first;
    FILTER(0, 1, 4)
    if (before->count > 0) end_frames(f, before->first, before->sums[0], end, kind);
    if (b->count > 1) FILTER(2, 3, 5)
    if (before->count > 1) end_frames(f, next_place(f, before->first), before->sums[1], end, kind);
    ZQ_AMX_STORE(0, b->sums[0], 4 * STEP);
    ZQ_AMX_STORE(1, b->sums[0] + HALF, 4 * STEP);
    ZQ_AMX_STORE(2, b->sums[1], 4 * STEP);
    ZQ_AMX_STORE(3, b->sums[1] + HALF, 4 * STEP);
}

ZQ_TARGET_INLINE void filter_channels(const filter *f, int32_t first, int32_t last, const int32_t kind)
{
    const zq_amx_row_end end = zq_amx_row_end_of(f->step, ZQ_PLAIN, f->state->program->values[f->step->y].storage);
    batch batches[2];
    place at = {first, 0, 0}, laid = {first, 0, 0};
    int32_t turn = 0;
    batches[1].count = 0;
    for (; at.o < last; turn ^= 1) {
        batch *b = &batches[turn];
        b->first = at;
        for (b->count = 0; b->count < AT_ONCE && at.o < last; b->count++) at = next_place(f, at);
        const int32_t soon = at.o + (at.tile + AT_ONCE - 1) / f->tiles; /* the last channel of the next batch */
        for (; laid.o < last && laid.o <= soon; laid = next_channel(f, laid)) lay_out_channel(f, laid);
        filter_batch(f, b, &batches[turn ^ 1], &end, kind);
    }
    const batch *rest = &batches[turn ^ 1];
    if (rest->count > 0) end_frames(f, rest->first, rest->sums[0], &end, kind);
    if (rest->count > 1) end_frames(f, next_place(f, rest->first), rest->sums[1], &end, kind);
}

#define KIND(name, kind)                                                              \
    ZQ_TARGET static void filter_##name(const filter *f, int32_t first, int32_t last) \
    {                                                                                 \
        filter_channels(f, first, last, kind);                                        \
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
    memset(f.strips, 0, (size_t)f.ready * f.stride * f.strip_bytes);
    zq_amx_begin_rows(f.height);
    filter_kinds[zq_amx_kind(step, y->storage, f.numbers)](&f, first * CHANNELS, zq_min(last * CHANNELS, y->channels));
    zq_amx_end();
}

#endif
