/* Depthwise conv1d (one input channel per group) for AMX: 512 frames of a channel at a time.
 *
 * Row i of tile A is the input from frame 32 * i on. Column j of tile B is the kernel, shifted down by j:
 *     sums[i][j] = sum over n of x[32 * i + n] * kernel[n - j],
 * for 64 values of n at a time. The next 64 values of row i are row i + 2. The second half of each 32 frames uses
 * the same rows with columns shifted down by 16 more. Four values of a column form one dword: the four taps from n
 * - j on. The next four are the next row of the tile, so all tiles B are cut from one strip of rows, which starts
 * and ends with zeros. The overlapping input rows are written out, because a tile register loads six times as fast
 * from whole cache lines. This is done for a channel before its products start. With a stride it is done for each
 * phase of the row, as in ops/conv1d_depthwise.c. */
#include "x86/amx/amx.h"

#ifdef ZQ_AMX_TABLE

enum {
    FRAMES = 512,
    STEP = FRAMES / ZQ_AMX_ROWS, /* frames between rows */
    HALF = STEP / 2,             /* half of them: columns of a tile */
    QUAD = 4,                    /* channels processed together */
    ABOVE = HALF / 4,            /* rows of zeros at the start of a strip */
    LEAST_USE = 8                /* taps of 64: kernels with mostly zeros between the taps use AVX-512 VNNI */
};

/* Length of the kernel of one phase, whose taps are at k * dilation / stride. */
static size_t span_of(const zq_step *step)
{
    const zq_conv_params *conv = &step->params.conv;
    return (size_t)conv->dilation * (size_t)(conv->kernel - 1) / (size_t)conv->stride + 1;
}

/* K steps of a sum of one half, for each phase. The kernel of the last column is shifted down by HALF * half + 15. */
static size_t chunks_of(const zq_step *step, size_t half)
{
    return (span_of(step) + HALF * half + 15 + 63) / 64;
}

static int is_suited(const zq_step *step)
{
    const zq_conv_params *conv = &step->params.conv;
    return (size_t)conv->stride * chunks_of(step, 1) * LEAST_USE <= (size_t)conv->kernel + 2 * LEAST_USE;
}

/* Packed weights: [C_out] zq_requant_params, then [C_out][stride][span]. */
uint64_t zq_amx_depthwise_bytes(const zq_program *program, const zq_step *step)
{
    const size_t channels = (size_t)program->values[step->y].channels;
    if (!is_suited(step)) return zq_avx512vnni_depthwise_bytes(program, step);
    return (uint64_t)zq_amx_numbers_bytes(channels) +
           (uint64_t)channels * (uint64_t)step->params.conv.stride * span_of(step);
}

void zq_amx_pack_depthwise(const zq_program *program, const zq_step *step, void *packed)
{
    const zq_conv_params *conv = &step->params.conv;
    const size_t channels = (size_t)program->values[step->y].channels, span = span_of(step);
    const size_t stride = (size_t)conv->stride, kernel = (size_t)conv->kernel;
    int8_t *taps = (int8_t *)packed + zq_amx_numbers_bytes(channels);
    if (!is_suited(step)) {
        zq_avx512vnni_pack_depthwise(program, step, packed);
        return;
    }
    zq_pack_requant_params(step, ZQ_UINT8, (int32_t)channels, kernel, packed); /* inputs have no offset */
    memset(taps, 0, channels * stride * span);
    for (size_t o = 0; o < channels; o++, taps += stride * span)
        for (size_t k = 0; k < kernel; k++) {
            const size_t at = k * (size_t)conv->dilation;
            taps[at % stride * span + at / stride] = conv->weight[o * kernel + k];
        }
}

/* State of a running step. 512 frames of four channels are processed together while the next ones are laid out. */
typedef struct {
    const zq_state *state;
    const zq_step *step;
    const zq_requant_params *numbers; /* [C_out] */
    const int8_t *taps;               /* [C_out][stride][span] */
    uint8_t *rows;                    /* [4][stride][rows_bytes]: 64 bytes from every 32nd on; used_bytes are needed */
    uint8_t *strips;                  /* [4][stride][strip_bytes] of [16 columns][4] */
    uint8_t *phases;                  /* [stride][length]: phases of one row, if the stride is above 1 */
    uint8_t *unpacked[2];             /* [4][unpacked_bytes]: rows of what is read in the packed K4 layout */
    const char *behind;               /* end of the taps: the weights of the next step; */
    size_t share;                     /* bytes of them prefetched with each channel */
    size_t stride, span, chunks[2], rows_bytes, used_bytes, strip_bytes, length, unpacked_bytes;
    int32_t tiles, height;       /* tiles of 512 frames; rows needed of a tile, 16 if there are several */
    int32_t channels, is_signed; /* of y; of x */
    int32_t is_packed_k4;        /* x is in the packed K4 layout */
} filter;

/* Lay out the scratch (may be NULL) for y of frames_y frames. Returns its size in bytes. */
static size_t lay_out_filter(filter *f, const zq_step *step, int32_t frames_y, uint8_t *scratch)
{
    f->step = step;
    f->stride = (size_t)step->params.conv.stride;
    f->span = span_of(step);
    f->chunks[0] = chunks_of(step, 0);
    f->chunks[1] = chunks_of(step, 1);
    f->tiles = zq_ceil_div(frames_y, FRAMES);
    f->rows_bytes = 64 * (ZQ_AMX_ROWS + 2 * (f->chunks[1] - 1));
    f->height = f->tiles > 1 ? ZQ_AMX_ROWS : zq_ceil_div(frames_y, STEP);
    f->used_bytes = f->rows_bytes - 64 * (size_t)((ZQ_AMX_ROWS - f->height) / 2 * 2);
    f->strip_bytes = 64 * (ABOVE + ZQ_AMX_ROWS * f->chunks[1]);
    f->length = f->stride > 1 ? FRAMES + 64 * f->chunks[1] : 0;
    const size_t rows = QUAD * f->stride * f->rows_bytes, strips = QUAD * f->stride * f->strip_bytes;
    f->rows = scratch;
    f->strips = scratch + rows;
    f->unpacked_bytes = f->rows_bytes / 2 + 2 * 64;
    f->unpacked[0] = scratch + rows + strips;
    f->unpacked[1] = f->unpacked[0] + QUAD * f->unpacked_bytes;
    f->phases = f->unpacked[1] + QUAD * f->unpacked_bytes;
    return rows + strips + 2 * QUAD * f->unpacked_bytes + f->stride * f->length;
}

uint64_t zq_amx_depthwise_scratch(const zq_program *program, const zq_step *step, int32_t frames_y)
{
    filter f;
    const uint64_t otherwise = zq_avx512vnni_depthwise_scratch(program, step, frames_y);
    const uint64_t bytes = is_suited(step) ? lay_out_filter(&f, step, frames_y, NULL) : 0;
    return bytes > otherwise ? bytes : otherwise;
}

/* One tile of four channels: 512 frames from `start` on. */
typedef struct {
    int32_t o, count, start; /* first channel; number of channels, 0 at the end */
    int unpacked;            /* which transpose buffer has its rows */
} place;

/* The tile after p, of channels before `last`. */
static inline place next_place(const filter *f, place p, int32_t last)
{
    p.unpacked ^= 1;
    p.start += FRAMES;
    if (p.start / FRAMES < f->tiles) return p;
    const int32_t o = p.o + QUAD;
    return (place){o, o < last ? zq_min(QUAD, last - o) : 0, 0, p.unpacked};
}

/* Input rows of channel c of four; below, its kernel strips. */
static inline uint8_t *rows_of(const filter *f, int32_t c)
{
    return f->rows + (size_t)c * f->stride * f->rows_bytes;
}

static inline uint8_t *strips_of(const filter *f, int32_t c)
{
    return f->strips + (size_t)c * f->stride * f->strip_bytes;
}

/* bytes[start .. start + 63], 0 outside 0 .. count - 1. */
ZQ_TARGET_INLINE __m512i bytes_from(const void *bytes, int32_t start, int32_t count)
{
    if (start >= 0 && count - start >= 64) return _mm512_loadu_si512((const char *)bytes + start);
    return _mm512_maskz_loadu_epi8(zq_first_bytes(count - start) & ~zq_first_bytes(-start),
                                   (const char *)bytes + start);
}

/* rows[i] = the 64 bytes from x[start + 32 * i] on; x is 0 outside 0 .. frames - 1. Joining two vectors is faster
 * than a load across a cache line boundary. */
ZQ_TARGET static void write_rows(const uint8_t *x, int32_t frames, int32_t start, size_t bytes, uint8_t *rows)
{
    __m512i v = bytes_from(x, start, frames);
    for (start += 64; bytes > 0; start += 64, rows += 128, bytes -= 128) {
        const __m512i next = bytes_from(x, start, frames);
        _mm512_store_si512(rows, v);
        _mm512_store_si512(rows + 64, _mm512_alignr_epi64(next, v, 4));
        v = next;
    }
}

/* Write the nonzero rows of a strip, four at a time. Dword j of row q holds the four taps from 4 * q - j on. Four
 * rows need 31 taps. */
ZQ_AMX_TARGET static void write_strip(const int8_t *taps, int32_t span, uint8_t *rows)
{
    const __m512i first =
        _mm512_setr_epi32(0x13121110, 0x1211100F, 0x11100F0E, 0x100F0E0D, 0x0F0E0D0C, 0x0E0D0C0B, 0x0D0C0B0A,
                          0x0C0B0A09, 0x0B0A0908, 0x0A090807, 0x09080706, 0x08070605, 0x07060504, 0x06050403,
                          0x05040302, 0x04030201); /* taps from 4 * q - 16 on */
    const __m512i second = _mm512_add_epi8(first, _mm512_set1_epi8(4));
    const __m512i third = _mm512_add_epi8(first, _mm512_set1_epi8(8)),
                  fourth = _mm512_add_epi8(first, _mm512_set1_epi8(12));
    for (int32_t start = -16; start + 1 < span; start += 16, rows += 256) {
        const __m512i near = bytes_from(taps, start, span);
        _mm512_store_si512(rows, _mm512_permutexvar_epi8(first, near));
        _mm512_store_si512(rows + 64, _mm512_permutexvar_epi8(second, near));
        _mm512_store_si512(rows + 128, _mm512_permutexvar_epi8(third, near));
        _mm512_store_si512(rows + 192, _mm512_permutexvar_epi8(fourth, near));
    }
}

/* Clear the rows of all strips that write_strip does not write. */
static void clear_strips(const filter *f)
{
    const size_t above = 64 * ABOVE, written = 256 * ((f->span + 30) / 16);
    uint8_t *strip = f->strips;
    for (size_t i = 0; i < QUAD * f->stride; i++, strip += f->strip_bytes) {
        memset(strip, 0, above);
        memset(strip + above + written, 0, f->strip_bytes - above - written);
    }
}

/* The first frame of x that a tile reads; below, the index of the block of 64 frames that contains a frame. */
static inline int32_t start_of(const filter *f, place at)
{
    return at.start * f->step->params.conv.stride - f->step->params.conv.padding;
}

static inline int32_t block_of(int32_t frame)
{
    return (int32_t)((uint32_t)(frame + (1 << 30)) / 64) - (1 << 24);
}

/* Transpose four channels from the packed K4 layout to rows, in blocks of 64 frames. This is done one tile before
 * the rows are laid out, so that data that was just stored is not read at once. */
ZQ_TARGET static void unpack_k4(const filter *f, place at)
{
    if (!f->is_packed_k4 || at.count == 0) return;
    const __m512i to_plain = zq_to_plain_order(ZQ_PLAIN);
    const int32_t value = f->step->x[0], frames = f->state->frames[value];
    const int32_t first = block_of(start_of(f, at)), blocks = (int32_t)(f->unpacked_bytes / 64);
    uint8_t *to = f->unpacked[at.unpacked];
    for (int32_t b = first; b < first + blocks; b++, to += 64) {
        const __mmask64 mask = b < 0 ? 0 : zq_first_bytes(frames - 64 * b);
        __m512i v[QUAD];
        for (int32_t i = 0; i < QUAD; i++)
            v[i] = mask ? zq_transpose_bytes(_mm512_load_si512(zq_packed_k4(f->state, value, at.o, 64 * b) + 64 * i))
                        : _mm512_setzero_si512();
        zq_transpose_numbers(v);
        for (size_t c = 0; c < QUAD; c++)
            _mm512_store_si512(to + c * f->unpacked_bytes,
                               _mm512_maskz_mov_epi8(mask, _mm512_permutexvar_epi32(to_plain, v[c])));
    }
}

/* Lay out channel c of four. */
static void lay_out_channel(const filter *f, place at, int32_t c)
{
    const int32_t o = at.o + c, value = f->step->x[0], stride = f->step->params.conv.stride, start = start_of(f, at);
    const int32_t frames = f->state->frames[value], shared = f->channels / f->step->params.conv.groups;
    const uint8_t *x = (const uint8_t *)zq_row(f->state, value, o / shared);
    uint8_t *rows = rows_of(f, c);
    if (f->is_packed_k4) {
        const size_t bytes = f->unpacked_bytes;
        write_rows(f->unpacked[at.unpacked] + (size_t)c * bytes, (int32_t)bytes, start - 64 * block_of(start),
                   f->used_bytes, rows);
    } else if (stride == 1) {
        write_rows(x, frames, start, f->used_bytes, rows);
    } else {
        zq_lay_out_phases(x, frames, start, stride, 0, f->length, f->phases);
        for (size_t phase = 0; phase < f->stride; phase++)
            write_rows(f->phases + phase * f->length, (int32_t)f->length, 0, f->used_bytes,
                       rows + phase * f->rows_bytes);
    }
    if (at.start > 0) return;
    for (size_t i = 0; i < f->share; i += 64) _mm_prefetch(f->behind + f->share * (size_t)o + i, _MM_HINT_T1);
    for (size_t phase = 0; phase < f->stride; phase++)
        write_strip(f->taps + ((size_t)o * f->stride + phase) * f->span, (int32_t)f->span,
                    strips_of(f, c) + phase * f->strip_bytes + 64 * ABOVE);
}

/* Sums of one tile of four channels. */
typedef struct {
    int32_t sums[QUAD][FRAMES] __attribute__((aligned(64)));
    place at;
} batch;

/* One K step of one phase. Both halves read the same rows. */
#define MULTIPLY(even, odd, x, DOT)                                \
    ZQ_AMX_LOAD(x, row + 2 * 64 * k, 64);                          \
    if (k < f->chunks[0]) {                                        \
        ZQ_AMX_LOAD(6, strip + 64 * ABOVE + ZQ_AMX_BYTES * k, 64); \
        DOT(even, x, 6);                                           \
    }                                                              \
    ZQ_AMX_LOAD(7, strip + ZQ_AMX_BYTES * k, 64);                  \
    DOT(odd, x, 7);

#define FILTER(even, odd, x, c)                                                                           \
    {                                                                                                     \
        const uint8_t *row = rows_of(f, c), *strip = strips_of(f, c);                                     \
        ZQ_AMX_ZERO(even);                                                                                \
        ZQ_AMX_ZERO(odd);                                                                                 \
        for (size_t phase = 0; phase < f->stride; phase++, row += f->rows_bytes, strip += f->strip_bytes) \
            for (size_t k = 0; k < f->chunks[1]; k++) {                                                   \
                if (f->is_signed) {                                                                       \
                    MULTIPLY(even, odd, x, ZQ_AMX_DOT_SS)                                                 \
                } else {                                                                                  \
                    MULTIPLY(even, odd, x, ZQ_AMX_DOT_US)                                                 \
                }                                                                                         \
            }                                                                                             \
    }

#define STORE(even, odd, c)                   \
    ZQ_AMX_STORE(even, b->sums[c], 4 * STEP); \
    ZQ_AMX_STORE(odd, b->sums[c] + HALF, 4 * STEP);

static inline int32_t frames_from(const filter *f, int32_t start)
{
    return zq_min(FRAMES, f->state->frames[f->step->y] - start);
}

/* Epilogue of channel c. */
ZQ_TARGET_INLINE void epilogue_rows(const filter *f, const batch *b, int32_t c, const zq_amx_row_epilogue *end,
                                    const int32_t kind)
{
    const int32_t o = b->at.o + c, frames = frames_from(f, b->at.start);
    const size_t size = zq_size(end->storage);
    const zq_amx_channel_epilogue channel = zq_amx_channel_epilogue_of(f->numbers + o);
    char *y = zq_row(f->state, f->step->y, o) + (size_t)b->at.start * size;
    int32_t t = 0;
    for (; t + ZQ_TILE <= frames; t += ZQ_TILE)
        zq_amx_epilogue(end, kind, &channel, o, b->sums[c] + t, y + (size_t)t * size, ZQ_TILE);
    if (t < frames) zq_amx_epilogue(end, kind, &channel, o, b->sums[c] + t, y + (size_t)t * size, frames - t);
}

/* Epilogue of quarter c of the frames of four channels, in the packed K4 layout. Cache lines that are written soon
 * are prefetched for writing, because another core may own them. */
ZQ_TARGET_INLINE void epilogue_packed_k4(const filter *f, const batch *b, int32_t c, const zq_amx_row_epilogue *end,
                                         const int32_t kind)
{
    const int32_t last = zq_min((c + 1) * (FRAMES / QUAD), frames_from(f, b->at.start));
    zq_amx_channel_epilogue channels[QUAD];
    for (int32_t i = 0; i < QUAD; i++) channels[i] = zq_amx_channel_epilogue_of(f->numbers + b->at.o + i);
    for (int32_t t = c * (FRAMES / QUAD); t < last; t += 16) {
        char *y = zq_packed_k4(f->state, f->step->y, b->at.o, b->at.start + t / ZQ_TILE * ZQ_TILE) + t % ZQ_TILE * QUAD;
        __m512i v[QUAD];
        for (int32_t i = 0; i < QUAD; i++)
            v[i] = zq_rescale_high(&channels[i].rescaler,
                                   _mm512_add_epi32(_mm512_load_si512(b->sums[i] + t), channels[i].bias));
        __asm__ volatile("prefetchw %0" ::"m"(y[2 * QUAD * ZQ_TILE]));
        _mm512_store_si512(y, zq_transpose_bytes(zq_pack_codes(kind, v, end->lo, end->hi)));
    }
}

/* Runs during the products of channel c: the epilogue of channel or quarter c of the previous batch, then the
 * layout of channel c of the next tile into the buffers of this one. */
ZQ_TARGET_INLINE void meanwhile(const filter *f, const batch *before, place next, int32_t c,
                                const zq_amx_row_epilogue *end, const int is_packed_k4, const int32_t kind)
{
    if (c < before->at.count && is_packed_k4)
        epilogue_packed_k4(f, before, c, end, kind);
    else if (c < before->at.count)
        epilogue_rows(f, before, c, end, kind);
    if (c < next.count) lay_out_channel(f, next, c);
}

ZQ_TARGET_INLINE void filter_batch(const filter *f, batch *b, const batch *before, place next, place after,
                                   const zq_amx_row_epilogue *end, const int is_packed_k4, const int32_t kind)
{
    for (int32_t c = 0; c < QUAD; c += 2) {
        if (c < b->at.count) FILTER(0, 1, 4, c)
        if (c + 1 < b->at.count) FILTER(2, 3, 5, c + 1)
        meanwhile(f, before, next, c, end, is_packed_k4, kind);
        meanwhile(f, before, next, c + 1, end, is_packed_k4, kind);
        STORE(0, 1, c)
        STORE(2, 3, c + 1)
    }
    unpack_k4(f, after);
}

ZQ_TARGET_INLINE void filter_channels(const filter *f, int32_t first, int32_t last, const int is_packed_k4,
                                      const int32_t kind)
{
    const zq_amx_row_epilogue end =
        zq_amx_row_epilogue_of(f->step, ZQ_PLAIN, f->state->program->values[f->step->y].storage);
    batch batches[2];
    place next = {first, zq_min(QUAD, last - first), 0, 0}, after = next_place(f, next, last);
    int turn = 0;
    batches[1].at.count = 0;
    unpack_k4(f, next);
    unpack_k4(f, after);
    for (int32_t c = 0; c < next.count; c++) lay_out_channel(f, next, c);
    for (; next.count > 0; turn ^= 1) {
        batch *b = &batches[turn];
        b->at = next;
        next = after;
        after = next_place(f, next, last);
        filter_batch(f, b, &batches[turn ^ 1], next, after, &end, is_packed_k4, kind);
    }
    for (int32_t c = 0; c < QUAD; c++) meanwhile(f, &batches[turn ^ 1], next, c, &end, is_packed_k4, kind);
}

#define KIND(name, is_packed_k4, kind)                                                \
    ZQ_TARGET static void filter_##name(const filter *f, int32_t first, int32_t last) \
    {                                                                                 \
        filter_channels(f, first, last, is_packed_k4, kind);                          \
    }
KIND(int8, 0, ZQ_INT8)
KIND(uint8, 0, ZQ_UINT8)
KIND(raw, 0, ZQ_INT32)
KIND(other, 0, ZQ_INT16)
KIND(int8_packed_k4, 1, ZQ_INT8)
KIND(uint8_packed_k4, 1, ZQ_UINT8)

typedef void filter_function(const filter *f, int32_t first, int32_t last);
static filter_function *const filter_kinds[2][4] = {
    {[ZQ_INT8] = filter_int8, [ZQ_UINT8] = filter_uint8, [ZQ_INT32] = filter_raw, [ZQ_INT16] = filter_other},
    {[ZQ_INT8] = filter_int8_packed_k4, [ZQ_UINT8] = filter_uint8_packed_k4}};

int zq_amx_depthwise_reads(const zq_program *program, const zq_step *step)
{
    const zq_conv_params *conv = &step->params.conv;
    return step->packed && is_suited(step) && conv->stride == 1 && conv->groups == program->values[step->y].channels;
}

int zq_amx_depthwise_writes(const zq_program *program, const zq_step *step)
{
    if (!step->packed || !is_suited(step)) return 0;
    return filter_kinds[1][zq_amx_kind(step, program->values[step->y].storage, step->packed)] != NULL;
}

/* ---- units ---------------------------------------------------------------------------------------------------- */

enum { CHANNELS = 16 /* per unit: fewer would start and drain the pipeline too often */ };

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
    f.channels = y->channels;
    f.is_packed_k4 = state->is_packed_k4[step->x[0]];
    f.behind = (const char *)step->packed + zq_amx_depthwise_bytes(state->program, step);
    f.share = (size_t)y->channels + sizeof(zq_requant_params); /* usually the size of a pointwise convolution */
    clear_strips(&f);
    zq_amx_begin_rows(f.height);
    filter_kinds[state->is_packed_k4[step->y]][zq_amx_kind(step, y->storage, f.numbers)](
        &f, first * CHANNELS, zq_min(last * CHANNELS, y->channels));
    zq_amx_release_tiles();
}

#endif
