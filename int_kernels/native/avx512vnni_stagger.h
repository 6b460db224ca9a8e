/* The loop of avx512vnni_stagger.c, written out for one way in which rows end:
 *     STAGGER              the function's name
 *     END(numbers, v, y)   what becomes of a row's four vectors of sums; lo, hi, n, to_plain and
 *                          order (a number of halves, or ZQ_PLAIN) are at hand */

#define START_ROW(r)                                                                                     \
    a##r = _mm512_set1_epi32(numbers[next].bias), b##r = a##r, c##r = a##r, d##r = a##r;                  \
    w##r = rows->weight + (size_t)next++ * 4 * quads;
#define END_ROW(r)                                    \
    {                                                 \
        __m512i sums[4] = {a##r, b##r, c##r, d##r};   \
        END(numbers + ended, sums, y);                \
        y += rows->pitch, ended++;                    \
    }
#define ADD(r)                                                 \
    {                                                          \
        const __m512i four = zq_four_weights(w##r + 4 * quad); \
        zq_dot(&a##r, x0, four);                               \
        zq_dot(&b##r, x1, four);                               \
        zq_dot(&c##r, x2, four);                               \
        zq_dot(&d##r, x3, four);                               \
    }
/* Sixth i of the taps, for some rows. Weights of rows to come are fetched at the rate at which they are used. */
#define SIXTH(i, ADDS) TAPS(quads * i / ROWS, quads * (i + 1) / ROWS, ADDS)
#define TAPS(from, to, ADDS)                                                                 \
    for (size_t quad = from; quad < to; quad++) {                                            \
        const uint8_t *x = rows->columns + rows->places[quad];                               \
        const __m512i x0 = _mm512_loadu_si512(x), x1 = _mm512_loadu_si512(x + 64);           \
        const __m512i x2 = _mm512_loadu_si512(x + 128), x3 = _mm512_loadu_si512(x + 192);    \
        _mm_prefetch(ahead, _MM_HINT_T0);                                                    \
        ahead += 4 * ROWS;                                                                   \
        ADDS                                                                                 \
    }
#define UP_TO_0 ADD(0)
#define UP_TO_1 UP_TO_0 ADD(1)
#define UP_TO_2 UP_TO_1 ADD(2)
#define UP_TO_3 UP_TO_2 ADD(3)
#define UP_TO_4 UP_TO_3 ADD(4)
#define ALL UP_TO_4 ADD(5)
#define FROM_5 ADD(5)
#define FROM_4 ADD(4) FROM_5
#define FROM_3 ADD(3) FROM_4
#define FROM_2 ADD(2) FROM_3
#define FROM_1 ADD(1) FROM_2

/* The first `count` rows, a multiple of six, staggered or together. Row number i is r = i mod 6 here. */
ZQ_TARGET static void STAGGER(const zq_tile_rows *rows, int32_t count, int is_staggered)
{
    const zq_channel_numbers *numbers = rows->numbers;
    const size_t quads = rows->quads;
    const int32_t n = rows->n, order = rows->is_plain ? ZQ_PLAIN : rows->halves;
    const __m512i to_plain = zq_to_plain_order(order);
    const __m512i lo = _mm512_set1_epi8((char)rows->step->clip_lo), hi = _mm512_set1_epi8((char)rows->step->clip_hi);
    const int8_t *ahead = rows->weight + 4 * quads + NEAR, *w0, *w1, *w2, *w3, *w4, *w5;
    __m512i a0, b0, c0, d0, a1, b1, c1, d1, a2, b2, c2, d2, a3, b3, c3, d3, a4, b4, c4, d4, a5, b5, c5, d5;
    char *y = rows->y;
    int32_t next = 0, ended = 0;
    (void)lo, (void)hi, (void)order, (void)to_plain;
    if (!is_staggered) {
        while (next < count) {
            START_ROW(0) START_ROW(1) START_ROW(2) START_ROW(3) START_ROW(4) START_ROW(5)
            TAPS(0, quads, ALL)
            END_ROW(0) END_ROW(1) END_ROW(2) END_ROW(3) END_ROW(4) END_ROW(5)
        }
        return;
    }
    START_ROW(0) SIXTH(0, UP_TO_0)
    START_ROW(1) SIXTH(1, UP_TO_1)
    START_ROW(2) SIXTH(2, UP_TO_2)
    START_ROW(3) SIXTH(3, UP_TO_3)
    START_ROW(4) SIXTH(4, UP_TO_4)
    START_ROW(5) SIXTH(5, ALL)
    END_ROW(0)
    while (next < count) {
        START_ROW(0) SIXTH(0, ALL) END_ROW(1)
        START_ROW(1) SIXTH(1, ALL) END_ROW(2)
        START_ROW(2) SIXTH(2, ALL) END_ROW(3)
        START_ROW(3) SIXTH(3, ALL) END_ROW(4)
        START_ROW(4) SIXTH(4, ALL) END_ROW(5)
        START_ROW(5) SIXTH(5, ALL) END_ROW(0)
    }
    SIXTH(0, FROM_1) END_ROW(1)
    SIXTH(1, FROM_2) END_ROW(2)
    SIXTH(2, FROM_3) END_ROW(3)
    SIXTH(3, FROM_4) END_ROW(4)
    SIXTH(4, FROM_5) END_ROW(5)
}

#undef STAGGER
#undef END
#undef START_ROW
#undef END_ROW
#undef ADD
#undef SIXTH
#undef UP_TO_0
#undef UP_TO_1
#undef UP_TO_2
#undef UP_TO_3
#undef UP_TO_4
#undef ALL
#undef FROM_5
#undef FROM_4
#undef FROM_3
#undef FROM_2
#undef FROM_1
