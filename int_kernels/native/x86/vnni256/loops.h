/* The kernels with 256-bit VPDPBUSD and their dispatch table. The including file chooses the encoding: ZQ_VPDPBUSD is
 * the instruction, ZQ_TABLE the table, ZQ_TABLE_NAME its public name, ZQ_NAMED(x) the table's function x. */
#include "x86/vnni256/vnni256.h"

zq_kernel ZQ_NAMED(dense), ZQ_NAMED(depthwise);

/* acc += the four products of each lane. Constraint "x": registers that both encodings can address. */
ZQ_TARGET_INLINE void dot(__m256i *acc, __m256i activations, __m256i weights)
{
    __asm__(ZQ_VPDPBUSD " %2,%1,%0" : "+x"(*acc) : "x"(activations), "x"(weights));
}

/* Unrolled for every number of rows or vectors: gcc keeps accumulators in registers only if each is a separate
 * variable. */
#define EACH_1(DO) DO(0)
#define EACH_2(DO) EACH_1(DO) DO(1)
#define EACH_3(DO) EACH_2(DO) DO(2)
#define EACH_4(DO) EACH_3(DO) DO(3)
#define EACH_5(DO) EACH_4(DO) DO(4)
#define EACH_6(DO) EACH_5(DO) DO(5)

/* ---- dense: im2col as columns[64 / 16][taps / 4][16 frames][4 taps], one block of output channels at a time ---- */

#define START_ROW(r) __m256i a##r = _mm256_set1_epi32(bias[r]), b##r = a##r;
#define ADD_ROW(r)                                            \
    {                                                         \
        const __m256i four = zq_four_weights(weight + 4 * r); \
        dot(&a##r, x0, four);                                 \
        dot(&b##r, x1, four);                                 \
    }
#define GIVE_ROW(r) acc[2 * r] = a##r, acc[2 * r + 1] = b##r;
#define BLOCK(rows)                                                                                                \
    ZQ_TARGET static void block_##rows(const zq_state *state, const zq_step *step, int32_t o, const int32_t *bias, \
                                       const int8_t *weight, const uint8_t *columns, size_t quads, int32_t row_y,  \
                                       int32_t t, int32_t n)                                                       \
    {                                                                                                              \
        __m256i acc[2 * rows];                                                                                     \
        EACH_##rows(START_ROW);                                                                                    \
        for (size_t quad = 0; quad < quads; quad++, columns += 64, weight += 4 * rows) {                           \
            const __m256i x0 = zq_load_vector(columns), x1 = zq_load_vector(columns + 32);                         \
            EACH_##rows(ADD_ROW)                                                                                   \
        }                                                                                                          \
        EACH_##rows(GIVE_ROW) zq_avxvnni_epilogue_plain(state, step, o, rows, row_y, t, n, acc);                   \
    }

BLOCK(1)
BLOCK(2)
BLOCK(3)
BLOCK(4)
BLOCK(5)
BLOCK(6)

typedef void block_function(const zq_state *, const zq_step *, int32_t, const int32_t *, const int8_t *,
                            const uint8_t *, size_t, int32_t, int32_t, int32_t);
static block_function *const blocks[ZQ_VNNI_ROWS] = {block_1, block_2, block_3, block_4, block_5, block_6};

void ZQ_NAMED(dense)(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    if (!step->packed) {
        zq_conv_dense(state, step, first, last, scratch);
        return;
    }
    const int32_t rows = zq_maps_out(state->program, step);
    const size_t quads = zq_avxvnni_quads(state->program, step);
    const int32_t *bias = step->packed;
    const int8_t *weight = (const int8_t *)(bias + rows * step->params.conv.groups);
    int32_t im2col_place = -1;
    for (int32_t unit = first; unit < last; unit++) {
        const zq_dense_unit u = zq_dense_unit_of(state->program, step, unit);
        const int32_t frames = zq_min(ZQ_TILE, state->frames[step->y] - u.t0);
        if (u.place != im2col_place) zq_avxvnni_im2col(state, step, &u, scratch);
        im2col_place = u.place;
        for (int32_t t = 0; t < frames; t += ZQ_VNNI_FRAMES)
            for (int32_t row = u.first; row < u.last;) {
                const int32_t o = u.group * rows + row, block = zq_avxvnni_block_rows(row, rows);
                blocks[block - 1](state, step, o, bias + o, weight + (size_t)o * quads * 4,
                                  (const uint8_t *)scratch + (size_t)t * quads * 4, quads, u.row, u.t0 + t,
                                  zq_min(ZQ_VNNI_FRAMES, frames - t));
                row += block;
            }
    }
}

/* ---- depthwise: frame 4i + p is the sum over j of row[4 * (i + j) .. + 3] * kernel[4 * j - p .. + 3] ---- */

enum { VECTORS = 3, VECTOR_FRAMES = 32 }; /* of one row per block: 12 accumulators, 3 vectors of inputs, 1 of weights */

#define START_VECTOR(i) __m256i a##i = start, b##i = start, c##i = start, d##i = start;
#define LOAD_VECTOR(i) const __m256i x##i = zq_load_vector(row + 32 * i);
#define ADD_PHASE_0(i) dot(&a##i, x##i, four);
#define ADD_PHASE_1(i) dot(&b##i, x##i, four);
#define ADD_PHASE_2(i) dot(&c##i, x##i, four);
#define ADD_PHASE_3(i) dot(&d##i, x##i, four);
#define ADD_VECTORS(count, p)                             \
    {                                                     \
        const __m256i four = zq_four_weights(kernel - p); \
        EACH_##count(ADD_PHASE_##p)                       \
    }
#define GIVE_VECTOR(i) acc[4 * i] = a##i, acc[4 * i + 1] = b##i, acc[4 * i + 2] = c##i, acc[4 * i + 3] = d##i;
#define VECTORS_OF(count)                                                                                        \
    ZQ_TARGET static void vectors_##count(const zq_state *state, const zq_step *step, int32_t o, int32_t t0,     \
                                          int32_t bias, const int8_t *kernel, const uint8_t *row, size_t length) \
    {                                                                                                            \
        const size_t groups = zq_avxvnni_groups(step);                                                           \
        const __m256i start = _mm256_set1_epi32(bias);                                                           \
        __m256i acc[4 * count];                                                                                  \
        EACH_##count(START_VECTOR);                                                                              \
        row += t0;                                                                                               \
        for (int32_t phase = 0; phase < step->params.conv.stride; phase++) {                                     \
            kernel += ZQ_VNNI_FRONT;                                                                             \
            for (size_t j = 0; j < groups; j++, kernel += 4, row += 4) {                                         \
                EACH_##count(LOAD_VECTOR) ADD_VECTORS(count, 0) ADD_VECTORS(count, 1) ADD_VECTORS(count, 2)      \
                    ADD_VECTORS(count, 3)                                                                        \
            }                                                                                                    \
            row += length - 4 * groups;                                                                          \
        }                                                                                                        \
        EACH_##count(GIVE_VECTOR) zq_avxvnni_epilogue_phases(state, step, o, t0, count, acc);                    \
    }

VECTORS_OF(1)
VECTORS_OF(2)
VECTORS_OF(3)

typedef void vectors_function(const zq_state *, const zq_step *, int32_t, int32_t, int32_t, const int8_t *,
                              const uint8_t *, size_t);
static vectors_function *const vectors_at_once[VECTORS] = {vectors_1, vectors_2, vectors_3};

void ZQ_NAMED(depthwise)(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    const zq_conv_params *conv = &step->params.conv;
    if (!step->packed) {
        zq_conv1d_depthwise(state, step, first, last, scratch);
        return;
    }
    const int32_t frames = state->frames[step->y], channels = state->program->values[step->y].channels;
    const int32_t rows = channels / conv->groups; /* output channels per input channel */
    const size_t length = zq_avxvnni_phase_bytes(step, frames);
    const size_t size = (ZQ_VNNI_FRONT + 4 * zq_avxvnni_groups(step)) * (size_t)conv->stride;
    const int32_t *bias = step->packed;
    const int8_t *kernels = (const int8_t *)(bias + channels);
    int32_t laid_out = -1;
    for (int32_t o = first; o < last; o++) {
        if (o / rows != laid_out) zq_avxvnni_lay_out(state, step, o / rows, scratch);
        laid_out = o / rows;
        for (int32_t t = 0; t < frames; t += VECTORS * VECTOR_FRAMES)
            vectors_at_once[zq_min(VECTORS, zq_ceil_div(frames - t, VECTOR_FRAMES)) - 1](
                state, step, o, t, bias[o], kernels + (size_t)o * size, scratch, length);
    }
}

/* ---- peak throughput: see host/peak.c ---- */

#define START_PEAK(r) __m256i a##r = _mm256_setzero_si256(), b##r = a##r;
#define ADD_PEAK(r)   \
    dot(&a##r, x, x); \
    dot(&b##r, x, x); \
    __asm__ volatile("" : "+x"(a##r), "+x"(b##r));
#define JOIN_PEAK(r) x = _mm256_add_epi32(x, _mm256_add_epi32(a##r, b##r));

ZQ_TARGET int64_t ZQ_NAMED(peak)(int32_t rounds, int32_t *codes)
{
    __m256i x = _mm256_set1_epi32(*codes);
    EACH_6(START_PEAK)
    for (int32_t round = 0; round < rounds; round++) { EACH_6(ADD_PEAK) }
    EACH_6(JOIN_PEAK)
    *codes += _mm_cvtsi128_si32(_mm256_castsi256_si128(x));
    return (int64_t)rounds * 12 * 32;
}

const zq_kernels ZQ_TABLE = {
    .name = ZQ_TABLE_NAME,
    .entries = {ZQ_AVX2_ENTRIES,
                [ZQ_KERNEL_CONV_DENSE] = {.run = ZQ_NAMED(dense),
                                          .packed_bytes = zq_avxvnni_dense_bytes,
                                          .pack = zq_avxvnni_pack_dense,
                                          .scratch_bytes = zq_avxvnni_dense_scratch},
                [ZQ_KERNEL_CONV1D_DEPTHWISE] = {.run = ZQ_NAMED(depthwise),
                                                .packed_bytes = zq_avxvnni_depthwise_bytes,
                                                .pack = zq_avxvnni_pack_depthwise,
                                                .scratch_bytes = zq_avxvnni_depthwise_scratch}},
};
