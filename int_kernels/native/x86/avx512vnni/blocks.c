/* Up to six rows at a time of a dense convolution's tile, for AVX-512 VNNI. All accumulators are in registers. One
 * instruction multiplies a vector of 16 frames with four weights of one row. Tiles can have any width: if the last
 * vector is only half used, it is multiplied as a 256-bit vector.
 *
 * There is one function for each number of rows and of halves, because gcc keeps accumulators in registers only if
 * each has a variable of its own. */
#include "x86/avx512vnni/avx512vnni.h"

#ifdef ZQ_X86_TABLES

enum { ROWS = 6 }; /* registers: 24 accumulators, 4 inputs, 1 weights */

typedef void block_function(const zq_tile_rows *rows, int32_t first, __m512i sums[ROWS][4]);

#define EACH_1(DO, halves) DO(0, halves)
#define EACH_2(DO, halves) EACH_1(DO, halves) DO(1, halves)
#define EACH_3(DO, halves) EACH_2(DO, halves) DO(2, halves)
#define EACH_4(DO, halves) EACH_3(DO, halves) DO(3, halves)
#define EACH_5(DO, halves) EACH_4(DO, halves) DO(4, halves)
#define EACH_6(DO, halves) EACH_5(DO, halves) DO(5, halves)

#define DOTS_1(r) zq_dot_low(&a##r, x0, four);
#define DOTS_2(r) zq_dot(&a##r, x0, four);
#define DOTS_3(r) DOTS_2(r) zq_dot_low(&b##r, x1, four);
#define DOTS_4(r) DOTS_2(r) zq_dot(&b##r, x1, four);
#define DOTS_5(r) DOTS_4(r) zq_dot_low(&c##r, x2, four);
#define DOTS_6(r) DOTS_4(r) zq_dot(&c##r, x2, four);
#define DOTS_7(r) DOTS_6(r) zq_dot_low(&d##r, x3, four);
#define DOTS_8(r) DOTS_6(r) zq_dot(&d##r, x3, four);

#define START(r, halves)                          \
    const int8_t *const w##r = weight + r * size; \
    __m512i a##r = _mm512_set1_epi32(numbers[r].bias), b##r = a##r, c##r = a##r, d##r = a##r;
#define ADD(r, halves)                                         \
    {                                                          \
        const __m512i four = zq_four_weights(w##r + 4 * quad); \
        DOTS_##halves(r)                                       \
    }
#define KEEP(r, halves) sums[r][0] = a##r, sums[r][1] = b##r, sums[r][2] = c##r, sums[r][3] = d##r;
#define BLOCK(count, halves)                                                                                       \
    ZQ_TARGET static void block_##count##_##halves(const zq_tile_rows *rows, int32_t first, __m512i sums[ROWS][4]) \
    {                                                                                                              \
        const size_t quads = rows->quads, size = 4 * quads;                                                        \
        const zq_requant_params *numbers = rows->numbers + first;                                                  \
        const int8_t *weight = rows->weight + (size_t)first * size;                                                \
        const int8_t *ahead = weight + count * size;                                                               \
        EACH_##count(START, halves) for (size_t quad = 0; quad < quads; quad++)                                    \
        {                                                                                                          \
            const uint8_t *x = rows->columns + rows->places[quad];                                                 \
            const __m512i x0 = _mm512_loadu_si512(x), x1 = _mm512_loadu_si512(x + (halves > 2 ? 64 : 0));          \
            const __m512i x2 = _mm512_loadu_si512(x + (halves > 4 ? 128 : 0));                                     \
            const __m512i x3 = _mm512_loadu_si512(x + (halves > 6 ? 192 : 0));                                     \
            (void)x0, (void)x1, (void)x2, (void)x3;                                                                \
            _mm_prefetch(ahead + 4 * count * quad, _MM_HINT_T0);                                                   \
            EACH_##count(ADD, halves)                                                                              \
        }                                                                                                          \
        EACH_##count(KEEP, halves)                                                                                 \
    }
#define BLOCKS(halves) \
    BLOCK(1, halves) BLOCK(2, halves) BLOCK(3, halves) BLOCK(4, halves) BLOCK(5, halves) BLOCK(6, halves)

BLOCKS(1)
BLOCKS(2)
BLOCKS(3)
BLOCKS(4)
BLOCKS(5)
BLOCKS(6)
BLOCKS(7)
BLOCKS(8)

#define NAMES(halves)                                                                                              \
    {                                                                                                              \
        block_1_##halves, block_2_##halves, block_3_##halves, block_4_##halves, block_5_##halves, block_6_##halves \
    }
static block_function *const blocks[8][ROWS] = {NAMES(1), NAMES(2), NAMES(3), NAMES(4),
                                                NAMES(5), NAMES(6), NAMES(7), NAMES(8)};

/* Epilogue constants of a tile's rows. */
typedef struct {
    const zq_tile_rows *rows;
    __m512i to_plain, lo, hi;
    int32_t order, are_codes; /* quantized bytes with high shifts */
} pending_rows;

ZQ_TARGET static void block_epilogue(const pending_rows *e, int32_t first, int32_t count, __m512i sums[ROWS][4])
{
    const zq_tile_rows *rows = e->rows;
    char *y = rows->y + (size_t)first * rows->pitch;
    for (int32_t r = 0; r < count; r++, y += rows->pitch)
        if (e->are_codes)
            zq_codes_epilogue(rows->storage, rows->numbers + first + r, sums[r], e->lo, e->hi, e->to_plain, y, rows->n);
        else
            zq_row_epilogue(rows->step, rows->storage, rows->o + first + r, e->order, e->to_plain, y, rows->n, sums[r]);
}

ZQ_TARGET void zq_avx512vnni_blocks(const zq_tile_rows *rows)
{
    const int32_t order = rows->is_plain ? ZQ_PLAIN : rows->halves, last = (rows->rows - 1) / ROWS * ROWS;
    const pending_rows e = {rows,
                            zq_to_plain_order(order),
                            _mm512_set1_epi8((char)rows->step->clip_lo),
                            _mm512_set1_epi8((char)rows->step->clip_hi),
                            order,
                            rows->storage != ZQ_INT32 && rows->numbers->multiplier};
    __m512i sums[2][ROWS][4]; /* of this and the last block: data that was just stored cannot be read at once */
    if (rows->rows < 1) return;
    for (int32_t first = 0, turn = 0; first <= last; first += ROWS, turn ^= 1) {
        blocks[rows->halves - 1][zq_min(ROWS, rows->rows - first) - 1](rows, first, sums[turn]);
        if (first > 0) block_epilogue(&e, first - ROWS, ROWS, sums[turn ^ 1]);
    }
    block_epilogue(&e, last, rows->rows - last, sums[last / ROWS % 2]);
}

#endif
