/* conv1d and conv2d with two or more input maps per group, for AVX-512 VNNI: a matrix product of tiles of 64 frames.
 *
 * The inputs of a tile are gathered four taps at a time (avx512vnni_gather.c); each block of output channels then runs
 * over the taps with all its accumulators in registers, a vector of 16 frames times four weights of one channel per
 * instruction. */
#include "avx512vnni.h"

#ifdef ZQ_X86_TABLES

enum { ROWS = 6 }; /* output channels at once: 24 accumulators, 4 vectors of inputs, 1 of weights */

/* Packed: a shifted bias for each output map, then per block of maps ("rows") [taps / 4][rows of the block][4]; the
 * rows of a chunk of ZQ_CHUNK are cut into blocks of ROWS, the last one smaller. */
static size_t quads_of(const zq_program *program, const zq_step *step)
{
    return (zq_taps(program, step) + 3) / 4;
}

/* How many rows the block has that starts at row `row` of a group of `rows`. */
static int32_t block_rows(int32_t row, int32_t rows)
{
    const int32_t end = zq_min((row / ZQ_CHUNK + 1) * ZQ_CHUNK, rows);
    return zq_min(ROWS, end - row);
}

uint64_t zq_avx512vnni_dense_bytes(const zq_program *program, const zq_step *step)
{
    const uint64_t maps = (uint64_t)zq_maps_out(program, step) * (uint64_t)step->groups;
    return maps * (4 + 4 * (uint64_t)quads_of(program, step));
}

void zq_avx512vnni_pack_dense(const zq_program *program, const zq_step *step, void *packed)
{
    const int32_t rows = zq_maps_out(program, step), maps = rows * step->groups;
    const size_t quads = quads_of(program, step), taps = zq_taps(program, step);
    int32_t *bias = packed;
    int8_t *out = (int8_t *)(bias + maps);
    for (int32_t o = 0; o < maps; o++)
        bias[o] = zq_shifted_bias(step, program->values[step->x[0]].storage, o, taps);
    for (int32_t o = 0; o < maps;) {
        const int32_t block = block_rows(o % rows, rows);
        for (size_t tap = 0; tap < 4 * quads; tap += 4)
            for (int32_t r = 0; r < block; r++, out += 4) {
                const int8_t *four = step->weight + (size_t)(o + r) * taps + tap;
                if (tap + 4 <= taps) {
                    memcpy(out, four, 4);
                    continue;
                }
                memset(out, 0, 4);
                memcpy(out, four, taps - tap);
            }
        o += block;
    }
}

uint64_t zq_avx512vnni_dense_scratch(const zq_program *program, const zq_step *step, int32_t frames_y)
{
    (void)frames_y;
    return (uint64_t)quads_of(program, step) * 256;
}

/* One block of rows, written out for every height, because gcc keeps accumulators in registers only under names
 * of their own. */
#define EACH_1(DO) DO(0)
#define EACH_2(DO) EACH_1(DO) DO(1)
#define EACH_3(DO) EACH_2(DO) DO(2)
#define EACH_4(DO) EACH_3(DO) DO(3)
#define EACH_5(DO) EACH_4(DO) DO(4)
#define EACH_6(DO) EACH_5(DO) DO(5)

#define START(r) __m512i a##r = _mm512_set1_epi32(bias[r]), b##r = a##r, c##r = a##r, d##r = a##r;
#define ADD(r)                                                \
    {                                                         \
        const __m512i four = zq_four_weights(weight + 4 * r); \
        zq_dot(&a##r, x0, four);                              \
        zq_dot(&b##r, x1, four);                              \
        zq_dot(&c##r, x2, four);                              \
        zq_dot(&d##r, x3, four);                              \
    }
#define FINISH(r)                                                                    \
    {                                                                                \
        __m512i row[4] = {a##r, b##r, c##r, d##r};                                   \
        zq_finish_row(state, step, o + r, (o + r) * rows_y + row_y, t0, n, row, 0);  \
    }
#define BLOCK(rows)                                                                                                \
    ZQ_TARGET static void block_##rows(const zq_state *state, const zq_step *step, int32_t o, const int32_t *bias, \
                                       const int8_t *weight, const uint8_t *columns, size_t quads, int32_t row_y,  \
                                       int32_t t0, int32_t n)                                                      \
    {                                                                                                              \
        const int32_t rows_y = zq_rows_out(step);                                                                  \
        EACH_##rows(START);                                                                                        \
        for (size_t quad = 0; quad < quads; quad++, columns += 256, weight += 4 * rows) {                          \
            const __m512i x0 = _mm512_loadu_si512(columns), x1 = _mm512_loadu_si512(columns + 64);                 \
            const __m512i x2 = _mm512_loadu_si512(columns + 128), x3 = _mm512_loadu_si512(columns + 192);          \
            EACH_##rows(ADD)                                                                                       \
        }                                                                                                          \
        EACH_##rows(FINISH)                                                                                        \
    }

BLOCK(1)
BLOCK(2)
BLOCK(3)
BLOCK(4)
BLOCK(5)
BLOCK(6)

typedef void block_function(const zq_state *, const zq_step *, int32_t, const int32_t *, const int8_t *,
                            const uint8_t *, size_t, int32_t, int32_t, int32_t);
static block_function *const blocks[ROWS] = {block_1, block_2, block_3, block_4, block_5, block_6};

void zq_avx512vnni_dense(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    if (!step->packed) {
        zq_conv_dense(state, step, first, last, scratch);
        return;
    }
    const int32_t frames = state->frames[step->y], rows = zq_maps_out(state->program, step);
    const size_t quads = quads_of(state->program, step);
    const int32_t *bias = step->packed;
    const int8_t *weight = (const int8_t *)(bias + rows * step->groups);
    int32_t gathered = -1;
    for (int32_t unit = first; unit < last; unit++) {
        const zq_dense_unit u = zq_dense_unit_of(state->program, step, unit);
        if (u.place != gathered) zq_avx512vnni_gather(state, step, &u, scratch);
        gathered = u.place;
        for (int32_t row = u.first; row < u.last;) {
            const int32_t o = u.group * rows + row, block = block_rows(row, rows);
            blocks[block - 1](state, step, o, bias + o, weight + (size_t)o * quads * 4, scratch, quads, u.row, u.t0,
                              zq_min(ZQ_TILE, frames - u.t0));
            row += block;
        }
    }
}

#endif
