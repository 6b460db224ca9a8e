/* conv1d with one input channel per group, for AVX-512 VNNI: each output channel filters one row.
 *
 * The row is laid out once as unsigned bytes with its padding, split into `stride` phases as in conv1d_depthwise.c.
 * Frame 4 * i + p of a tile is the sum over j of four products,
 *     row[4 * (i + j) .. + 3] * kernel[4 * j - p .. + 3],
 * so that lane i of accumulator p needs whole dwords of the row, and four shifted readings of the kernel. */
#include "avx512vnni.h"

#ifdef ZQ_X86_TABLES

enum { FRONT = 4, TILES = 4 }; /* zeros before each kernel; tiles worked on at once */

/* The kernel of one phase of the stride: taps at k * dilation / stride, zeros between. */
static uint64_t groups_of(const zq_step *step)
{
    const uint64_t span = (uint64_t)step->dilation * (uint64_t)(step->kernel - 1) / (uint64_t)step->stride + 1;
    return (span + 3 + 3) / 4; /* the last phase starts 3 later */
}

static uint64_t kernel_bytes(const zq_step *step)
{
    return FRONT + 4 * groups_of(step);
}

/* Packed: [C_out] shifted bias, then [C_out][stride][FRONT + 4 * groups]. Kernels that are mostly zeros between the
 * taps stay with the portable loops. */
uint64_t zq_avx512vnni_depthwise_bytes(const zq_program *program, const zq_step *step)
{
    const uint64_t bytes = (uint64_t)step->stride * kernel_bytes(step);
    if (bytes > 64 + 8 * (uint64_t)step->kernel) return 0;
    return (uint64_t)program->values[step->y].channels * (4 + bytes);
}

void zq_avx512vnni_pack_depthwise(const zq_program *program, const zq_step *step, void *packed)
{
    const int32_t channels = program->values[step->y].channels;
    const size_t size = (size_t)kernel_bytes(step), stride = (size_t)step->stride;
    int32_t *bias = packed;
    int8_t *kernels = (int8_t *)(bias + channels);
    memset(kernels, 0, (size_t)channels * stride * size);
    for (int32_t o = 0; o < channels; o++, kernels += stride * size) {
        bias[o] = zq_shifted_bias(step, program->values[step->x[0]].storage, o, (size_t)step->kernel);
        for (int32_t k = 0; k < step->kernel; k++) {
            const size_t place = (size_t)k * (size_t)step->dilation;
            kernels[place % stride * size + FRONT + place / stride] =
                step->weight[(size_t)o * (size_t)step->kernel + (size_t)k];
        }
    }
}

/* Bytes of one phase of the row, whole vectors: what the last group reads for the last whole tile. */
static size_t phase_bytes(const zq_step *step, int32_t frames_y)
{
    return (size_t)zq_ceil_div(frames_y, ZQ_TILE) * ZQ_TILE + 64 * (((size_t)groups_of(step) + 15) / 16);
}

uint64_t zq_avx512vnni_depthwise_scratch(const zq_program *program, const zq_step *step, int32_t frames_y)
{
    if (!zq_avx512vnni_depthwise_bytes(program, step)) return 0;
    return (uint64_t)step->stride * phase_bytes(step, frames_y);
}

/* phases[p][i] = x[i * stride + p - padding] + flip, where outside 0 .. frames - 1 x counts as 0. */
ZQ_TARGET static void lay_out(const uint8_t *x, int32_t frames, const zq_step *step, uint8_t flip, size_t length,
                              uint8_t *phases)
{
    const int32_t stride = step->stride, size = (int32_t)length;
    if (stride == 1) {
        const __m512i flips = _mm512_set1_epi8((char)flip);
        for (int32_t i = 0; i < size; i += 64) {
            const int32_t time = i - step->padding; /* of the first byte */
            const __mmask64 mask = zq_first_bytes(frames - time) & ~zq_first_bytes(-time);
            _mm512_storeu_si512(phases + i, _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, x + time), flips));
        }
        return;
    }
    memset(phases, flip, (size_t)stride * length);
    for (int32_t p = 0; p < stride; p++, phases += length) {
        const int32_t first = p >= step->padding ? 0 : zq_ceil_div(step->padding - p, stride);
        const int32_t time = first * stride + p - step->padding;
        const int32_t n = time >= frames ? 0 : zq_min((frames - 1 - time) / stride + 1, size - first);
        for (int32_t i = 0; i < n; i++) phases[first + i] = x[time + i * stride] ^ flip;
    }
}

/* Some tiles side by side, written out for each number of them (see avx512vnni_dense.c). */
#define EACH_1(DO) DO(0)
#define EACH_2(DO) EACH_1(DO) DO(1)
#define EACH_3(DO) EACH_2(DO) DO(2)
#define EACH_4(DO) EACH_3(DO) DO(3)

#define START(i) __m512i a##i = start, b##i = start, c##i = start, d##i = start;
#define ADD(i)                                                    \
    {                                                             \
        const __m512i x = _mm512_loadu_si512(row + 64 * i);       \
        zq_dot(&a##i, x, w0);                                     \
        zq_dot(&b##i, x, w1);                                     \
        zq_dot(&c##i, x, w2);                                     \
        zq_dot(&d##i, x, w3);                                     \
    }
#define FINISH(i)                                                                                          \
    {                                                                                                      \
        __m512i phases[4] = {a##i, b##i, c##i, d##i};                                                      \
        const int32_t t = t0 + 64 * i;                                                                     \
        zq_finish_row(state, step, o, o, t, zq_min(ZQ_TILE, state->frames[step->y] - t), phases, 1);          \
    }
#define TILES_OF(count)                                                                                        \
    ZQ_TARGET static void tiles_##count(const zq_state *state, const zq_step *step, int32_t o, int32_t t0,     \
                                        int32_t bias, const int8_t *kernel, const uint8_t *row, size_t length) \
    {                                                                                                          \
        const size_t groups = (size_t)groups_of(step);                                                         \
        const __m512i start = _mm512_set1_epi32(bias);                                                         \
        EACH_##count(START);                                                                                   \
        row += t0;                                                                                             \
        for (int32_t phase = 0; phase < step->stride; phase++) {                                               \
            kernel += FRONT;                                                                                   \
            for (size_t j = 0; j < groups; j++, kernel += 4, row += 4) {                                       \
                const __m512i w0 = zq_four_weights(kernel), w1 = zq_four_weights(kernel - 1);                  \
                const __m512i w2 = zq_four_weights(kernel - 2), w3 = zq_four_weights(kernel - 3);              \
                EACH_##count(ADD)                                                                              \
            }                                                                                                  \
            row += length - 4 * groups;                                                                        \
        }                                                                                                      \
        EACH_##count(FINISH)                                                                                   \
    }

TILES_OF(1)
TILES_OF(2)
TILES_OF(3)
TILES_OF(4)

typedef void tiles_function(const zq_state *, const zq_step *, int32_t, int32_t, int32_t, const int8_t *,
                            const uint8_t *, size_t);
static tiles_function *const tiles_at_once[TILES] = {tiles_1, tiles_2, tiles_3, tiles_4};

void zq_avx512vnni_depthwise(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    if (!step->packed) {
        zq_conv1d_depthwise(state, step, first, last, scratch);
        return;
    }
    const zq_value *x = &state->program->values[step->x[0]], *y = &state->program->values[step->y];
    const int32_t tiles = zq_ceil_div(state->frames[step->y], ZQ_TILE);
    const int32_t rows = y->channels / step->groups; /* output channels that share an input channel */
    const size_t length = phase_bytes(step, state->frames[step->y]);
    const size_t size = (size_t)kernel_bytes(step) * (size_t)step->stride;
    const int32_t *bias = step->packed;
    const int8_t *kernels = (const int8_t *)(bias + y->channels);
    int32_t laid_out = -1;
    for (int32_t o = first; o < last; o++) {
        if (o / rows != laid_out)
            lay_out((const uint8_t *)zq_row(state, step->x[0], o / rows), state->frames[step->x[0]], step,
                    x->storage == ZQ_INT8 ? 128 : 0, length, scratch);
        laid_out = o / rows;
        for (int32_t tile = 0; tile < tiles; tile += TILES)
            tiles_at_once[zq_min(TILES, tiles - tile) - 1](state, step, o, tile * ZQ_TILE, bias[o],
                                                           kernels + (size_t)o * size, scratch, length);
    }
}

#endif
