/* Attention scores of 16 frames with all keys, for AMX.
 *
 * The tile products with k and p are computed for 64 keys at a time and converted to scores while they are in L1.
 * Frame r of 16 reads the position products shifted by 15 - r elements. */
#include <stddef.h>

#include "x86/amx/attention_layout.h"

#ifdef ZQ_AMX_TABLE

/* Products of 16 queries with a packed K4 matrix, one tile after the other. */
typedef struct {
    const int8_t *queries;
    const uint8_t *columns;
    int32_t *products;
    size_t steps, pitch; /* pitch: bytes between rows of products */
    int is_signed;       /* of the packed K4 matrix */
} product;

ZQ_TARGET_INLINE product content_of(const zq_amx_head *head, size_t group, size_t block)
{
    return (product){head->content + group * head->steps * ZQ_AMX_BYTES,
                     head->keys + 4 * block * head->steps * ZQ_AMX_BYTES,
                     head->products->content[0],
                     head->steps,
                     sizeof head->products->content[0],
                     head->is_k_signed};
}

/* The first tile of a block is the last one of the previous block. `start`: the first tile of the band. */
ZQ_TARGET_INLINE product position_of(const zq_amx_head *head, size_t group, size_t block, size_t start)
{
    return (product){head->position + group * head->steps * ZQ_AMX_BYTES,
                     head->places + (start + 4 * block + 1) * head->steps * ZQ_AMX_BYTES,
                     head->products->position[0] + 16,
                     head->steps,
                     sizeof head->products->position[0],
                     head->is_p_signed};
}

#define DOT(p, sums, rows, columns)         \
    if ((p)->is_signed) {                   \
        ZQ_AMX_DOT_SS(sums, rows, columns); \
    } else {                                \
        ZQ_AMX_DOT_SU(sums, rows, columns); \
    }

/* Channels 64 * step .. + 63 of matrix columns 16 * n .. + 15. */
static inline const uint8_t *columns_at(const product *p, int32_t n, size_t step)
{
    const int32_t steps = (int32_t)p->steps;
    return p->columns + (ptrdiff_t)(n * steps + (int32_t)step) * ZQ_AMX_BYTES;
}

#define LOAD(p, n, columns) ZQ_AMX_LOAD(columns, columns_at(p, n, 0), 64)
#define STORE(p, n, sums) ZQ_AMX_STORE(sums, (p)->products + 16 * (n), (p)->pitch)
/* Sums of matrix columns 16 * n .. + 15. Their first 64 channels must be loaded already, and the queries too if
 * there is only one K step. */
#define MULTIPLY(p, n, sums, queries_tile, columns_tile)                   \
    ZQ_AMX_ZERO(sums);                                                     \
    if ((p)->steps > 1) ZQ_AMX_LOAD(queries_tile, (p)->queries, 64);       \
    DOT(p, sums, queries_tile, columns_tile)                               \
    for (size_t step = 1; step < (p)->steps; step++) {                     \
        ZQ_AMX_LOAD(queries_tile, (p)->queries + step * ZQ_AMX_BYTES, 64); \
        ZQ_AMX_LOAD(columns_tile, columns_at(p, n, step), 64);             \
        DOT(p, sums, queries_tile, columns_tile)                           \
    }

/* How products become doubled scores. The additional bit is rounded off when scores are subtracted. CLAMPED: the
 * doubled score fits 32 bits. QUICK: in addition, nothing saturates. */
enum { ANY, CLAMPED, QUICK };

typedef struct {
    zq_scorer s;
    __m512i less, pick; /* the shift minus one; the same as multishift offsets, for the upper half of each 64 bits */
    int32_t way;
} halver;

ZQ_AMX_TARGET_INLINE halver halver_of(const zq_step *step, int32_t number, const zq_amx_head *head)
{
    const zq_attention_params *attention = &step->params.attention;
    const uint64_t content = (uint64_t)attention->content[number], position = (uint64_t)attention->position[number];
    const uint64_t k = head->is_k_signed ? 128 : 255, p = head->is_p_signed ? 128 : 255;
    const uint64_t most = (head->width * 128 * (k * content + p * position) >> attention->shift) + 1;
    const int32_t less = attention->shift - 1;
    halver h;
    h.s = zq_scorer_of(step, number, head->width);
    h.less = _mm512_set1_epi64(less);
    h.pick = _mm512_add_epi8(_mm512_set1_epi8((char)less), _mm512_set1_epi64(0x1810080000000000));
    h.way = most >= 1 << 30 || less > 32 ? ANY : most >= ZQ_LARGEST_SCORE ? CLAMPED : QUICK;
    return h;
}

ZQ_AMX_TARGET_INLINE __m512i score_twice(const halver *h, const int32_t way, __m512i a, __m512i b)
{
    const __m512i lo = _mm512_set1_epi32(-2 * ZQ_LARGEST_SCORE), hi = _mm512_set1_epi32(2 * ZQ_LARGEST_SCORE);
    __m512i even, odd;
    if (way == ANY) return _mm512_slli_epi32(zq_score(&h->s, a, b), 1);
    zq_weigh_products(&h->s, a, b, &even, &odd);
    const __m512i shifted = _mm512_srlv_epi64(even, h->less);
    const __m512i twice = _mm512_mask_multishift_epi64_epi8(shifted, 0xF0F0F0F0F0F0F0F0, h->pick, odd);
    return way == QUICK ? twice : _mm512_min_epi32(_mm512_max_epi32(twice, lo), hi);
}

/* Scores of row r of a block of 64 keys. Only `keys` of them exist; the others get INT32_MIN, which is below every
 * score. */
ZQ_AMX_TARGET_INLINE void score_row(const halver *h, const int32_t way, const zq_amx_head *head, size_t block, size_t r,
                                    int32_t keys, __m512i *most)
{
    const zq_amx_products *products = head->products;
    int32_t *scores = head->scores + (block * ZQ_AMX_ROWS + r) * 64;
    __m512i top = most[r];
    for (int32_t j = 0; j < 64; j += 16) {
        __m512i a = _mm512_load_si512(products->content[r] + j);
        __m512i b = _mm512_loadu_si512(products->position[r] + 15 - r + j);
        __asm__("" : "+v"(a), "+v"(b)); /* keeps the compiler from loading them twice */
        __m512i twice = score_twice(h, way, a, b);
        if (keys < 64) twice = _mm512_mask_mov_epi32(_mm512_set1_epi32(INT32_MIN), zq_first_numbers(keys - j), twice);
        _mm512_store_si512(scores + j, twice);
        top = _mm512_max_epi32(top, twice);
    }
    most[r] = top;
}

/* Compute the products of a block. Tiles 0 to 2 are reused accumulators. Tile 3 keeps the last position products
 * for the next block. Operands are loaded before sums are stored, because a load waits for an earlier store with
 * the same low 12 address bits. */
ZQ_TARGET static void multiply_block(const zq_amx_head *head, size_t group, size_t block, size_t start)
{
    const product content = content_of(head, group, block), position = position_of(head, group, block, start);
    LOAD(&content, 0, 6);
    LOAD(&content, 1, 7);
    MULTIPLY(&content, 0, 0, 4, 6)
    LOAD(&content, 2, 6);
    STORE(&position, -1, 3);
    MULTIPLY(&content, 1, 1, 4, 7)
    LOAD(&content, 3, 7);
    MULTIPLY(&content, 2, 2, 4, 6)
    LOAD(&position, 0, 6);
    STORE(&content, 0, 0);
    MULTIPLY(&content, 3, 0, 4, 7)
    LOAD(&position, 1, 7);
    STORE(&content, 1, 1);
    MULTIPLY(&position, 0, 1, 5, 6)
    LOAD(&position, 2, 6);
    STORE(&content, 2, 2);
    MULTIPLY(&position, 1, 2, 5, 7)
    LOAD(&position, 3, 7);
    STORE(&content, 3, 0);
    MULTIPLY(&position, 2, 0, 5, 6)
    STORE(&position, 0, 1);
    MULTIPLY(&position, 3, 3, 5, 7)
    STORE(&position, 1, 2);
    STORE(&position, 2, 0);
    STORE(&position, 3, 3);
}

ZQ_AMX_TARGET_INLINE void score_all(const halver *given, const int32_t way, const zq_amx_head *head, size_t group,
                                    size_t start, __m512i *most)
{
    const halver h = *given; /* local copy, kept in registers */
    const size_t last = head->padded / 64 - 1;
    const product content = content_of(head, group, 0), position = position_of(head, group, 0, start);
    for (size_t r = 0; r < ZQ_AMX_ROWS; r++) most[r] = _mm512_set1_epi32(INT32_MIN);
    ZQ_AMX_LOAD(4, content.queries, 64);
    ZQ_AMX_LOAD(5, position.queries, 64);
    LOAD(&position, -1, 7);
    MULTIPLY(&position, -1, 3, 5, 7)
    for (size_t block = 0; block < last; block++) {
        multiply_block(head, group, block, start);
        const product next[2] = {content_of(head, group, block + 1), position_of(head, group, block + 1, start)};
        for (size_t r = 0; r < ZQ_AMX_ROWS; r++) {
            for (size_t i = 0; i < 256; i += 64) {
                _mm_prefetch((const char *)next[0].columns + 256 * r + i, _MM_HINT_T0);
                _mm_prefetch((const char *)next[1].columns + 256 * r + i, _MM_HINT_T0);
            }
            score_row(&h, way, head, block, r, 64, most);
        }
    }
    multiply_block(head, group, last, start);
    for (size_t r = 0; r < ZQ_AMX_ROWS; r++)
        score_row(&h, way, head, last, r, (int32_t)(head->frames - 64 * last), most);
}

#define WAY(name, way)                                                                                           \
    ZQ_AMX_TARGET static void score_##name(const halver *h, const zq_amx_head *head, size_t group, size_t start, \
                                           __m512i *most)                                                        \
    {                                                                                                            \
        score_all(h, way, head, group, start, most);                                                             \
    }
WAY(any, ANY)
WAY(clamped, CLAMPED)
WAY(quick, QUICK)

typedef void score_function(const halver *h, const zq_amx_head *head, size_t group, size_t start, __m512i *most);
static score_function *const score_ways[] = {[ANY] = score_any, [CLAMPED] = score_clamped, [QUICK] = score_quick};

/* twice[r] is twice the greatest score, rounded as scores are, plus 2 * 65535. Its difference to a doubled score,
 * shifted right by one, is t + 65535. */
ZQ_AMX_TARGET void zq_amx_score(const zq_step *step, int32_t number, int32_t t0, int32_t i, const zq_amx_head *head,
                                int32_t twice[ZQ_AMX_ROWS])
{
    const halver h = halver_of(step, number, head);
    const size_t start = (head->frames + head->before - (size_t)(t0 + i)) / 16 - 1;
    __m512i most[ZQ_AMX_ROWS];
    score_ways[h.way](&h, head, (size_t)i / 16, start, most);
    zq_transpose_16(most);
    for (size_t r = 1; r < ZQ_AMX_ROWS; r++) most[0] = _mm512_max_epi32(most[0], most[r]);
    const __m512i top = _mm512_andnot_si512(_mm512_set1_epi32(1), _mm512_add_epi32(most[0], _mm512_set1_epi32(1)));
    _mm512_storeu_si512(twice, _mm512_add_epi32(top, _mm512_set1_epi32(2 * 65535)));
}

#endif
