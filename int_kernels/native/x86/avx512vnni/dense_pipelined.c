/* Many rows of a dense convolution's tile, for AVX-512 VNNI: six at a time, software-pipelined.
 *
 * When its sums are complete, a row must be requantized, packed and stored, and the processor does not look far
 * enough ahead to start the products of the next rows meanwhile. So the six rows do not end together. Each row
 * starts a sixth of the taps after the previous one, at the tap which that one has reached, and processes all taps
 * cyclically from there. Then one row ends and one starts at a time, between the products of five others. */
#include "x86/avx512vnni/avx512vnni.h"

#ifdef ZQ_X86_TABLES

enum {
    ROWS = 6,
    NARROWEST = 5, /* halves: narrower tiles are too little work to matter */
    LEAST = 32,    /* quads to pipeline: shorter rows end too often */
    MOST = 256,    /* quads in tile order: more inputs arrive too slowly while fewer than six rows run */
    NEAR = 4096    /* bytes of weights to prefetch, beyond one row */
};

/* Row i uses the variables r = i mod 6: gcc keeps accumulators in registers only if each has a variable of its own.
 * The destination of the row is prefetched, because rows are too far apart for the hardware prefetcher. */
#define START(r)                                                                         \
    a##r = _mm512_set1_epi32(numbers[next].bias), b##r = a##r, c##r = a##r, d##r = a##r; \
    w##r = rows->weight + (size_t)next * 4 * quads;                                      \
    for (int32_t byte = 0; byte < n * (int32_t)zq_size(storage); byte += 64)             \
        _mm_prefetch(rows->y + (size_t)next * rows->pitch + byte, _MM_HINT_T0);          \
    next++;
#define END(r)                                                                         \
    {                                                                                  \
        __m512i sums[4] = {a##r, b##r, c##r, d##r};                                    \
        if (storage == ZQ_INT32)                                                       \
            zq_store_numbers(sums, ZQ_INT32, order, y, n);                             \
        else                                                                           \
            zq_codes_epilogue(storage, numbers + ended, sums, lo, hi, to_plain, y, n); \
        y += rows->pitch, ended++;                                                     \
    }
#define ADD(r)                                                 \
    {                                                          \
        const __m512i four = zq_four_weights(w##r + 4 * quad); \
        zq_dot(&a##r, x0, four);                               \
        zq_dot(&b##r, x1, four);                               \
        if (halves == 5) zq_dot_low(&c##r, x2, four);          \
        if (halves > 5) zq_dot(&c##r, x2, four);               \
        if (halves == 7) zq_dot_low(&d##r, x3, four);          \
        if (halves > 7) zq_dot(&d##r, x3, four);               \
    }
#define TO_1 ADD(0)
#define TO_2 TO_1 ADD(1)
#define TO_3 TO_2 ADD(2)
#define TO_4 TO_3 ADD(3)
#define TO_5 TO_4 ADD(4)
#define ALL TO_5 ADD(5)
#define FROM_5 ADD(5)
#define FROM_4 ADD(4) FROM_5
#define FROM_3 ADD(3) FROM_4
#define FROM_2 ADD(2) FROM_3
#define FROM_1 ADD(1) FROM_2

/* Process some quads for some rows. Weights of later rows are prefetched at the rate at which they are used. */
#define QUADS(from, to, ADDS)                                                                 \
    for (size_t quad = from; quad < to; quad++) {                                             \
        const uint8_t *x = rows->columns + rows->places[quad];                                \
        const __m512i x0 = _mm512_loadu_si512(x), x1 = _mm512_loadu_si512(x + 64);            \
        const __m512i x2 = _mm512_loadu_si512(x + 128);                                       \
        const __m512i x3 = halves > 6 ? _mm512_loadu_si512(x + 192) : _mm512_setzero_si512(); \
        (void)x3;                                                                             \
        _mm_prefetch(ahead, _MM_HINT_T0);                                                     \
        ahead += 4 * ROWS;                                                                    \
        ADDS                                                                                  \
    }
/* clang-format off */
#define SIXTH(i, ADDS) QUADS(quads * i / ROWS, quads * (i + 1) / ROWS, ADDS)
/* clang-format on */

/* Compute the first `count` rows, a multiple of six. halves and storage are compile-time constants after inlining. */
ZQ_TARGET_INLINE void multiply(const zq_tile_rows *rows, int32_t count, int is_staggered, const int32_t halves,
                               const int32_t storage)
{
    const zq_requant_params *numbers = rows->numbers;
    const size_t quads = rows->quads;
    const int32_t n = rows->n, order = rows->is_plain ? ZQ_PLAIN : halves;
    const __m512i to_plain = zq_to_plain_order(order);
    const __m512i lo = _mm512_set1_epi8((char)rows->step->clip_lo), hi = _mm512_set1_epi8((char)rows->step->clip_hi);
    const int8_t *ahead = rows->weight + 4 * quads + NEAR, *w0, *w1, *w2, *w3, *w4, *w5;
    __m512i a0, b0, c0, d0, a1, b1, c1, d1, a2, b2, c2, d2, a3, b3, c3, d3, a4, b4, c4, d4, a5, b5, c5, d5;
    char *y = rows->y;
    int32_t next = 0, ended = 0;
    /* clang-format off */
    if (!is_staggered) {
        while (next < count) {
            START(0) START(1) START(2) START(3) START(4) START(5)
            QUADS(0, quads, ALL)
            END(0) END(1) END(2) END(3) END(4) END(5)
        }
        return;
    }
    START(0) SIXTH(0, TO_1)
    START(1) SIXTH(1, TO_2)
    START(2) SIXTH(2, TO_3)
    START(3) SIXTH(3, TO_4)
    START(4) SIXTH(4, TO_5)
    START(5) SIXTH(5, ALL)
    END(0)
    while (next < count) {
        START(0) SIXTH(0, ALL) END(1)
        START(1) SIXTH(1, ALL) END(2)
        START(2) SIXTH(2, ALL) END(3)
        START(3) SIXTH(3, ALL) END(4)
        START(4) SIXTH(4, ALL) END(5)
        START(5) SIXTH(5, ALL) END(0)
    }
    SIXTH(0, FROM_1) END(1)
    SIXTH(1, FROM_2) END(2)
    SIXTH(2, FROM_3) END(3)
    SIXTH(3, FROM_4) END(4)
    SIXTH(4, FROM_5) END(5)
    /* clang-format on */
}

typedef void multiply_function(const zq_tile_rows *rows, int32_t count, int is_staggered);

#define MULTIPLY(halves, storage, name)                                                                         \
    ZQ_TARGET static void multiply_##halves##_##name(const zq_tile_rows *rows, int32_t count, int is_staggered) \
    {                                                                                                           \
        multiply(rows, count, is_staggered, halves, storage);                                                   \
    }
#define MULTIPLY_ALL(halves)          \
    MULTIPLY(halves, ZQ_INT8, int8)   \
    MULTIPLY(halves, ZQ_UINT8, uint8) \
    MULTIPLY(halves, ZQ_INT32, int32)

MULTIPLY_ALL(5)
MULTIPLY_ALL(6)
MULTIPLY_ALL(7)
MULTIPLY_ALL(8)

#define NAMES(halves)                                                                 \
    {                                                                                 \
        [ZQ_INT8] = multiply_##halves##_int8, [ZQ_UINT8] = multiply_##halves##_uint8, \
        [ZQ_INT32] = multiply_##halves##_int32                                        \
    }
static multiply_function *const functions[][ZQ_INT16] = {NAMES(5), NAMES(6), NAMES(7), NAMES(8)};

int32_t zq_avx512vnni_dense_pipelined(const zq_tile_rows *rows)
{
    const int32_t count = rows->rows / ROWS * ROWS, is_raw = !rows->step->multiplier;
    const int is_staggered = rows->quads >= LEAST && (rows->quads <= MOST || rows->is_plain);
    if (!count || rows->halves < NARROWEST || rows->storage == ZQ_INT16) return 0;
    if (rows->storage == ZQ_INT32 ? !is_raw : !rows->numbers->multiplier) return 0;
    functions[rows->halves - NARROWEST][rows->storage](rows, count, is_staggered);
    return count;
}

#endif
