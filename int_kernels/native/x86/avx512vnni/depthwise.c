/* Depthwise conv1d (one input channel per group) for AVX-512 VNNI: each output channel filters one row.
 *
 * The row is laid out once as unsigned bytes with its padding, split into `stride` phases as in
 * ops/conv1d_depthwise.c. Frame 4 * i + p of a tile is the sum over j of four products,
 *     row[4 * (i + j) .. + 3] * kernel[4 * j - p .. + 3],
 * so lane i of accumulator p needs whole dwords of the row and four shifted reads of the kernel. */
#include "x86/avx512vnni/avx512vnni.h"

#ifdef ZQ_X86_TABLES

enum { FRONT = 4, TILES = 4 }; /* zeros before each kernel; tiles processed at once */

/* Dwords of the row that accumulator p of a tile reads for a kernel whose taps are at k * dilation / stride. The
 * kernel starts p frames later. */
static uint64_t groups_of_phase(const zq_step *step, uint64_t p)
{
    const zq_conv_params *conv = &step->params.conv;
    const uint64_t span = (uint64_t)conv->dilation * (uint64_t)(conv->kernel - 1) / (uint64_t)conv->stride + 1;
    return (span + p + 3) / 4;
}

static uint64_t groups_of(const zq_step *step)
{
    return groups_of_phase(step, 3);
}

static uint64_t kernel_bytes(const zq_step *step)
{
    return FRONT + 4 * groups_of(step);
}

/* Packed weights: [C_out] zq_requant_params, then [C_out][stride][FRONT + 4 * groups]. Kernels with mostly zeros
 * between the taps use the portable kernel. */
uint64_t zq_avx512vnni_depthwise_bytes(const zq_program *program, const zq_step *step)
{
    const zq_conv_params *conv = &step->params.conv;
    const uint64_t bytes = (uint64_t)conv->stride * kernel_bytes(step);
    if (bytes > 64 + 8 * (uint64_t)conv->kernel) return 0;
    return (uint64_t)program->values[step->y].channels * (sizeof(zq_requant_params) + bytes);
}

void zq_avx512vnni_pack_depthwise(const zq_program *program, const zq_step *step, void *packed)
{
    const zq_conv_params *conv = &step->params.conv;
    const int32_t channels = program->values[step->y].channels;
    const size_t size = (size_t)kernel_bytes(step), stride = (size_t)conv->stride;
    zq_requant_params *numbers = packed;
    int8_t *kernels = (int8_t *)(numbers + channels);
    zq_pack_requant_params(step, program->values[step->x[0]].storage, channels, (size_t)conv->kernel, numbers);
    memset(kernels, 0, (size_t)channels * stride * size);
    for (int32_t o = 0; o < channels; o++, kernels += stride * size) {
        for (int32_t k = 0; k < conv->kernel; k++) {
            const size_t place = (size_t)k * (size_t)conv->dilation;
            kernels[place % stride * size + FRONT + place / stride] =
                conv->weight[(size_t)o * (size_t)conv->kernel + (size_t)k];
        }
    }
}

/* Bytes of one phase of the row, in whole vectors: all that the last group reads for the last whole tile. */
static size_t phase_bytes(const zq_step *step, int32_t frames_y)
{
    return (size_t)zq_ceil_div(frames_y, ZQ_TILE) * ZQ_TILE + 64 * (((size_t)groups_of(step) + 15) / 16);
}

uint64_t zq_avx512vnni_depthwise_scratch(const zq_program *program, const zq_step *step, int32_t frames_y)
{
    if (!zq_avx512vnni_depthwise_bytes(program, step)) return 0;
    return 2 * (uint64_t)step->params.conv.stride * phase_bytes(step, frames_y);
}

/* zq_lay_out_phases, with whole vectors if the stride is 1. */
ZQ_TARGET static void lay_out(const uint8_t *x, int32_t frames, const zq_step *step, uint8_t flip, size_t length,
                              uint8_t *phases)
{
    const zq_conv_params *conv = &step->params.conv;
    const int32_t size = (int32_t)length;
    if (conv->stride == 1) {
        const __m512i flips = _mm512_set1_epi8((char)flip);
        for (int32_t i = 0; i < size; i += 64) {
            const int32_t time = i - conv->padding; /* of the first byte */
            if (time >= 0 && time <= frames - 64) { /* common case */
                _mm512_storeu_si512(phases + i, _mm512_xor_si512(_mm512_loadu_si512(x + time), flips));
                continue;
            }
            const __mmask64 mask = zq_first_bytes(frames - time) & ~zq_first_bytes(-time);
            _mm512_storeu_si512(phases + i, _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, x + time), flips));
        }
        return;
    }
    zq_lay_out_phases(x, frames, -conv->padding, conv->stride, flip, length, phases);
}

/* Several tiles at once, written out for each number of tiles (reason: see blocks.c). */
#define EACH_1(DO) DO(0)
#define EACH_2(DO) EACH_1(DO) DO(1)
#define EACH_3(DO) EACH_2(DO) DO(2)
#define EACH_4(DO) EACH_3(DO) DO(3)

#define START(i) __m512i a##i = start, b##i = start, c##i = start, d##i = start;
#define ADD(i)                                              \
    {                                                       \
        const __m512i x = _mm512_loadu_si512(row + 64 * i); \
        zq_dot(&a##i, x, w0);                               \
        zq_dot(&b##i, x, w1);                               \
        zq_dot(&c##i, x, w2);                               \
        zq_dot(&d##i, x, w3);                               \
    }
#define EPILOGUE(i)                                                                                                \
    {                                                                                                              \
        __m512i phases[4] = {a##i, b##i, c##i, d##i};                                                              \
        const int32_t t = t0 + 64 * i;                                                                             \
        zq_row_epilogue(step, storage, o, ZQ_PHASED, start, y + (size_t)t * zq_size(storage), frames - t, phases); \
    }
#define TILES_OF(count)                                                                                        \
    ZQ_TARGET static void tiles_##count(const zq_state *state, const zq_step *step, int32_t o, int32_t t0,     \
                                        int32_t bias, const int8_t *kernel, const uint8_t *row, size_t length) \
    {                                                                                                          \
        const size_t groups = (size_t)groups_of(step);                                                         \
        const int32_t frames = state->frames[step->y], storage = state->program->values[step->y].storage;      \
        char *y = zq_row(state, step->y, o);                                                                   \
        const __m512i start = _mm512_set1_epi32(bias);                                                         \
        EACH_##count(START);                                                                                   \
        row += t0;                                                                                             \
        for (int32_t phase = 0; phase < step->params.conv.stride; phase++) {                                   \
            kernel += FRONT;                                                                                   \
            for (size_t j = 0; j < groups; j++, kernel += 4, row += 4) {                                       \
                const __m512i w0 = zq_four_weights(kernel), w1 = zq_four_weights(kernel - 1);                  \
                const __m512i w2 = zq_four_weights(kernel - 2), w3 = zq_four_weights(kernel - 3);              \
                EACH_##count(ADD)                                                                              \
            }                                                                                                  \
            row += length - 4 * groups;                                                                        \
        }                                                                                                      \
        EACH_##count(EPILOGUE)                                                                                 \
    }

TILES_OF(1)
TILES_OF(2)
TILES_OF(3)
TILES_OF(4)

typedef void tiles_function(const zq_state *, const zq_step *, int32_t, int32_t, int32_t, const int8_t *,
                            const uint8_t *, size_t);
static tiles_function *const tiles_at_once[TILES] = {tiles_1, tiles_2, tiles_3, tiles_4};

/* Input rows of one call. The scratch has two of them. The next row is laid out before the current one is filtered,
 * because a load that spans two recent stores waits until they have reached the cache. */
typedef struct {
    const zq_state *state;
    const zq_step *step;
    uint8_t *phases;
    size_t length;    /* of a phase */
    int32_t channels; /* of y that share a row */
    int32_t last;     /* last channel of y to process, + 1 */
} rows;

static uint8_t *row_of(const rows *r, int32_t o)
{
    return r->phases + (size_t)(o / r->channels % 2) * (size_t)r->step->params.conv.stride * r->length;
}

ZQ_TARGET static void lay_out_row(const rows *r, int32_t o)
{
    const int32_t x = r->step->x[0];
    const uint8_t flip = zq_flip_of(r->state->program->values[x].storage);
    lay_out((const uint8_t *)zq_row(r->state, x, o / r->channels), r->state->frames[x], r->step, flip, r->length,
            row_of(r, o));
}

/* The row of output channel o, called after that of o - 1. The following row is laid out already. */
ZQ_TARGET static const uint8_t *next_row(const rows *r, int32_t o)
{
    if (o + 1 < r->last && (o + 1) / r->channels != o / r->channels) lay_out_row(r, o + 1);
    return row_of(r, o);
}

/* The accumulators of a pair of tiles, and those of the previous pair, which waits for requantization. */
#define EACH_ACCUMULATOR(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7)
#define DECLARE(i) __m512i acc##i, old##i = _mm512_setzero_si512();
#define START_ACC(i) acc##i = start;
#define KEEP(i) old##i = acc##i;
#define GROUP                                                                                               \
    {                                                                                                       \
        const __m512i w0 = zq_four_weights(kernel), w1 = zq_four_weights(kernel - 1);                       \
        const __m512i w2 = zq_four_weights(kernel - 2), w3 = zq_four_weights(kernel - 3);                   \
        const __m512i near = _mm512_loadu_si512(row), far = _mm512_loadu_si512(row + 64);                   \
        zq_dot(&acc0, near, w0), zq_dot(&acc1, near, w1), zq_dot(&acc2, near, w2), zq_dot(&acc3, near, w3); \
        zq_dot(&acc4, far, w0), zq_dot(&acc5, far, w1), zq_dot(&acc6, far, w2), zq_dot(&acc7, far, w3);     \
        kernel += 4, row += 4;                                                                              \
    }
/* The last group, in which phases 0 and 1 are complete. */
#define LATE_GROUP                                                                                        \
    {                                                                                                     \
        const __m512i w2 = zq_four_weights(kernel - 2), w3 = zq_four_weights(kernel - 3);                 \
        const __m512i near = _mm512_loadu_si512(row), far = _mm512_loadu_si512(row + 64);                 \
        zq_dot(&acc2, near, w2), zq_dot(&acc3, near, w3), zq_dot(&acc6, far, w2), zq_dot(&acc7, far, w3); \
    }
#define RESCALE(i) old##i = zq_rescale_packed(numbers, old##i);
#define GROUP_AND_RESCALE(i) GROUP RESCALE(i)
#define STORE_PAIR                                                                                  \
    {                                                                                               \
        const __m512i one[4] = {old0, old1, old2, old3};                                            \
        const __m512i two[4] = {old4, old5, old6, old7};                                            \
        zq_store_bytes(y, left, zq_transpose_bytes(zq_pack_codes(storage, one, lo, hi)));           \
        zq_store_bytes(y + 64, left - 64, zq_transpose_bytes(zq_pack_codes(storage, two, lo, hi))); \
    }

/* Filter channels first .. r->last - 1 to quantized bytes, two tiles at a time. Requires a stride of 1, kernels of
 * at least 8 groups and high shifts. Each pair is requantized during the products of the next pair. Requantizing on
 * its own would leave the multipliers idle, because the processor does not look far enough ahead to start the next
 * pair meanwhile. */
ZQ_TARGET static void filter_pairs(const rows *r, int32_t first, const zq_requant_params *channels,
                                   const int8_t *kernels, size_t size, int32_t pairs)
{
    const zq_step *step = r->step;
    const int32_t frames = r->state->frames[step->y], storage = r->state->program->values[step->y].storage;
    const size_t groups = (size_t)groups_of(step), together = (size_t)groups_of_phase(step, 1);
    const __m512i lo = _mm512_set1_epi8((char)step->clip_lo), hi = _mm512_set1_epi8((char)step->clip_hi);
    const zq_requant_params *numbers = NULL; /* of the waiting pair */
    char *y = NULL;
    int32_t left = 0; /* frames from the first one of the pair on */
    EACH_ACCUMULATOR(DECLARE)
    for (int32_t o = first; o < r->last; o++) {
        const uint8_t *phases = next_row(r, o);
        for (int32_t pair = 0; pair < pairs; pair++) {
            const int8_t *kernel = kernels + (size_t)o * size + FRONT;
            const uint8_t *row = phases + 128 * pair;
            const __m512i start = _mm512_set1_epi32(channels[o].bias);
            size_t j = 0;
            EACH_ACCUMULATOR(START_ACC)
            if (numbers) {
                EACH_ACCUMULATOR(GROUP_AND_RESCALE)
                STORE_PAIR
                j = 8;
            }
            for (; j < together; j++) GROUP
            if (together < groups) LATE_GROUP
            EACH_ACCUMULATOR(KEEP)
            numbers = channels + o;
            y = zq_row(r->state, step->y, o) + 128 * pair;
            left = frames - 128 * pair;
        }
    }
    if (!numbers) return;
    EACH_ACCUMULATOR(RESCALE)
    STORE_PAIR
}

ZQ_TARGET void zq_avx512vnni_depthwise(const zq_state *state, const zq_step *step, int32_t first, int32_t last,
                                       void *scratch)
{
    const zq_conv_params *conv = &step->params.conv;
    if (!step->packed) {
        zq_conv1d_depthwise(state, step, first, last, scratch);
        return;
    }
    const zq_value *y = &state->program->values[step->y];
    const int32_t tiles = zq_ceil_div(state->frames[step->y], ZQ_TILE);
    const size_t length = phase_bytes(step, state->frames[step->y]);
    const size_t size = (size_t)kernel_bytes(step) * (size_t)conv->stride;
    const zq_requant_params *channels = step->packed;
    const int8_t *kernels = (const int8_t *)(channels + y->channels);
    const rows r = {state, step, scratch, length, y->channels / conv->groups, last};
    const int is_paired = conv->stride == 1 && groups_of_phase(step, 1) >= 8 && zq_size(y->storage) == 1 &&
                          zq_has_high_shifts(step, y->channels);
    const int32_t paired = is_paired ? tiles / 2 * 2 : 0;
    if (paired) {
        lay_out_row(&r, first);
        filter_pairs(&r, first, channels, kernels, size, paired / 2);
    }
    if (paired == tiles) return;
    lay_out_row(&r, first);
    for (int32_t o = first; o < last; o++) {
        const uint8_t *phases = next_row(&r, o);
        for (int32_t tile = paired; tile < tiles; tile += TILES)
            tiles_at_once[zq_min(TILES, tiles - tile) - 1](state, step, o, tile * ZQ_TILE, channels[o].bias,
                                                           kernels + (size_t)o * size, phases, length);
    }
}

#endif
