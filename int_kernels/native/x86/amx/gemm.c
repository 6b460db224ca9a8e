/* Tile products of a dense convolution for AMX: 16 output maps x 64 frames x 64 taps at a time.
 *
 * Tile registers 0 to 3 hold the sums, one for each vector of 16 frames. The epilogue of one block runs during the
 * products of the next block. A pointwise convolution also packs the inputs of the next tile meanwhile. The three
 * use different execution units of the processor. */
#include "x86/amx/gemm_tile.h"

#ifdef ZQ_AMX_TABLE

/* Sums of 16 maps x 64 frames that wait for the epilogue: [map][frame], or for a direct convolution [vector][16
 * frames][16 maps]. */
typedef struct {
    int32_t *sums;
    const zq_requant_params *numbers;
    char *y;
    int32_t o, n, rows, done; /* first map; frames; maps; maps stored so far */
} pending_rows;

/* Transpose the sums of a direct convolution to [map][frame]. */
ZQ_TARGET static void transpose_sums(int32_t *sums)
{
    __m512i v[4][16];
    for (int32_t i = 0; i < 4; i++) {
        for (int32_t f = 0; f < 16; f++) v[i][f] = _mm512_load_si512(sums + 256 * i + 16 * f);
        zq_transpose_16(v[i]);
    }
    for (int32_t map = 0; map < ZQ_AMX_MAPS; map++)
        for (int32_t i = 0; i < 4; i++) _mm512_store_si512(sums + map * ZQ_TILE + 16 * i, v[i][map]);
}

/* Epilogue of the next row. */
ZQ_TARGET_INLINE void row_epilogue(const zq_amx_product *p, pending_rows *e, const zq_amx_row_epilogue *end,
                                   const int is_windowed, const int32_t kind)
{
    const int32_t r = e->done++;
    if (is_windowed && r == 0) transpose_sums(e->sums);
    const zq_amx_channel_epilogue channel = zq_amx_channel_epilogue_of(e->numbers + r);
    zq_amx_epilogue(end, kind, &channel, e->o + r, e->sums + r * ZQ_TILE, e->y + (size_t)r * p->map, e->n);
}

#define INPUTS_SIGNED(sums, weight, inputs) ZQ_AMX_DOT_SS(sums, inputs, weight)
#define INPUTS_UNSIGNED(sums, weight, inputs) ZQ_AMX_DOT_US(sums, inputs, weight)
#define WEIGHTS_SIGNED(sums, weight, inputs) ZQ_AMX_DOT_SS(sums, weight, inputs)
#define WEIGHTS_UNSIGNED(sums, weight, inputs) ZQ_AMX_DOT_SU(sums, weight, inputs)

/* Multiply one block of weights with up to four vectors of 16 frames, `next` bytes apart. */
#define MULTIPLY(DOT)                                    \
    {                                                    \
        ZQ_AMX_LOAD(4, weight, ZQ_AMX_TAPS);             \
        ZQ_AMX_LOAD(5, inputs, p->pitch);                \
        DOT(0, 4, 5);                                    \
        if (vectors > 1) {                               \
            ZQ_AMX_LOAD(6, inputs + next, p->pitch);     \
            DOT(1, 4, 6);                                \
        }                                                \
        if (vectors > 2) {                               \
            ZQ_AMX_LOAD(7, inputs + 2 * next, p->pitch); \
            DOT(2, 4, 7);                                \
        }                                                \
        if (vectors > 3) {                               \
            ZQ_AMX_LOAD(5, inputs + 3 * next, p->pitch); \
            DOT(3, 4, 5);                                \
        }                                                \
    }

ZQ_TARGET_INLINE void multiply(const zq_amx_product *p, const int8_t *weight, const uint8_t *inputs, int32_t vectors,
                               const int is_windowed)
{
    const size_t next = is_windowed ? ZQ_AMX_BYTES : 64;
    if (is_windowed && p->is_signed)
        MULTIPLY(INPUTS_SIGNED)
    else if (is_windowed)
        MULTIPLY(INPUTS_UNSIGNED)
    else if (p->is_signed)
        MULTIPLY(WEIGHTS_SIGNED)
    else
        MULTIPLY(WEIGHTS_UNSIGNED)
}

ZQ_TARGET_INLINE void store(int32_t *sums, const int is_windowed)
{
    const int32_t next = is_windowed ? 256 : 16;
    const size_t row = is_windowed ? 64 : sizeof(int32_t) * ZQ_TILE;
    ZQ_AMX_STORE(0, sums, row);
    ZQ_AMX_STORE(1, sums + next, row);
    ZQ_AMX_STORE(2, sums + 2 * next, row);
    ZQ_AMX_STORE(3, sums + 3 * next, row);
}

static inline int32_t vectors_of(const zq_amx_product *p, int32_t n)
{
    return p->order == ZQ_PLAIN ? zq_ceil_div(n, 16) : (p->order + 1) / 2;
}

ZQ_TARGET_INLINE void fetch(zq_amx_fetching *f)
{
    for (int32_t i = 0; i < f->lines; i++, f->next += 64) _mm_prefetch(f->next, _MM_HINT_T1);
}

/* Steps before sums are scaled. Reading back a stored tile stalls until the store retires, and the stall blocks later
 * products: the epilogue is delayed by these steps. */
enum { WAIT = 1 };

/* HALF: bytes of the int4 weights of one K step. The other two: K steps between the weights being unpacked and the
 * cache lines being prefetched, for the int4 source and the int8 destination. Unpacking mostly waits for cache
 * lines. */
enum { HALF = ZQ_AMX_BYTES / 2, INT4_AHEAD = 3, BYTES_AHEAD = 2 };

ZQ_TARGET_INLINE void fetch_near(const void *from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 64) _mm_prefetch((const char *)from + i, _MM_HINT_T0);
}

/* Unpack the int4 weights of one K step of a block. */
ZQ_TARGET_INLINE void unpack(const uint8_t *int4, int8_t *weight, size_t step)
{
    int4 += step * HALF;
    weight += step * ZQ_AMX_BYTES;
    zq_unpack_int4(int4, ZQ_AMX_BYTES, weight);
    fetch_near(int4 + INT4_AHEAD * HALF, HALF);
    fetch_near(weight + BYTES_AHEAD * ZQ_AMX_BYTES, ZQ_AMX_BYTES);
}

/* Unpack weights one K step before their first product: data that was just stored cannot be loaded into a tile
 * register at once. All blocks use the same buffer, so the first K step of the next block is unpacked once this
 * block no longer reads its own. */
ZQ_TARGET_INLINE void unpack_ahead(const zq_amx_product *p, const uint8_t *int4, int is_last, int32_t tile, size_t step)
{
    if (tile == 0 && step + 1 < p->steps)
        unpack(int4, p->unpacked, step + 1);
    else if (tile + 1 == p->count && step + 1 == p->steps && !is_last)
        unpack(int4 + p->steps * HALF, p->unpacked, 0);
}

ZQ_TARGET_INLINE void multiply_all(const zq_amx_product *p, const int is_windowed, const int are_int4,
                                   const int32_t kind)
{
    const zq_amx_row_epilogue end = zq_amx_row_epilogue_of(p->step, p->order, p->storage);
    int32_t sums[ZQ_AMX_MAPS * ZQ_TILE] __attribute__((aligned(64)));
    pending_rows e = {.rows = 0};
    zq_amx_fetching ahead = p->ahead, near = p->near;
    zq_amx_im2col_job soon = p->soon;
    const size_t block = p->steps * ZQ_AMX_BYTES;
    if (are_int4) unpack(p->int4, p->unpacked, 0);
    for (int32_t o = 0; o < p->maps; o += ZQ_AMX_MAPS) {
        const size_t start = (size_t)(o / ZQ_AMX_MAPS) * block;
        const uint8_t *int4 = are_int4 ? p->int4 + start / 2 : NULL;
        const int8_t *weight = are_int4 ? p->unpacked : p->weight + start;
        if (!p->ahead.next) ahead.next = are_int4 ? (const char *)int4 + block / 2 : (const char *)weight + block;
        for (int32_t tile = 0; tile < p->count; tile++) {
            const int32_t n = zq_min(ZQ_TILE, p->frames - tile * p->next_frames);
            const int32_t vectors = vectors_of(p, n);
            const size_t wait = p->steps > WAIT ? WAIT : p->steps - 1;
            const int32_t quota = zq_ceil_div(e.rows, (int32_t)(p->steps - wait));
            const uint8_t *inputs = p->inputs + (size_t)tile * p->next_inputs;
            ZQ_AMX_ZERO(0);
            ZQ_AMX_ZERO(1);
            ZQ_AMX_ZERO(2);
            ZQ_AMX_ZERO(3);
            for (size_t step = 0; step < p->steps; step++) {
                if (are_int4) unpack_ahead(p, int4, o + ZQ_AMX_MAPS >= p->maps, tile, step);
                multiply(p, weight + step * ZQ_AMX_BYTES, inputs + p->places[step], vectors, is_windowed);
                fetch(&ahead); /* not before the loads of the next step, which it would delay: 5 % */
                fetch(&near);
                if (!is_windowed) zq_amx_im2col(&soon, soon.quads);
                for (int32_t r = step < wait ? 0 : zq_min(quota, e.rows - e.done); r > 0; r--)
                    row_epilogue(p, &e, &end, is_windowed, kind);
            }
            store(sums, is_windowed);
            e = (pending_rows){sums,
                               p->numbers + o,
                               p->y + (size_t)o * p->map + (size_t)tile * p->next_y,
                               p->o + o,
                               n,
                               zq_min(ZQ_AMX_MAPS, p->maps - o),
                               0};
        }
    }
    while (e.done < e.rows) row_epilogue(p, &e, &end, is_windowed, kind);
    zq_amx_im2col(&soon, soon.channels);
}

#define KIND(name, is_windowed, are_int4, kind)                    \
    ZQ_TARGET static void multiply_##name(const zq_amx_product *p) \
    {                                                              \
        multiply_all(p, is_windowed, are_int4, kind);              \
    }
#define KINDS(name, is_windowed, are_int4)              \
    KIND(name##_int8, is_windowed, are_int4, ZQ_INT8)   \
    KIND(name##_uint8, is_windowed, are_int4, ZQ_UINT8) \
    KIND(name##_raw, is_windowed, are_int4, ZQ_INT32)   \
    KIND(name##_other, is_windowed, are_int4, ZQ_INT16)
KINDS(columns, 0, 0)
KINDS(columns_int4, 0, 1)
KINDS(window, 1, 0)
KINDS(window_int4, 1, 1)

typedef void multiply_function(const zq_amx_product *p);
#define NAMES(name)                                                                                                   \
    {                                                                                                                 \
        [ZQ_INT8] = multiply_##name##_int8, [ZQ_UINT8] = multiply_##name##_uint8, [ZQ_INT32] = multiply_##name##_raw, \
        [ZQ_INT16] = multiply_##name##_other                                                                          \
    }
static multiply_function *const multiply_kinds[2][2][4] = {{NAMES(columns), NAMES(columns_int4)},
                                                           {NAMES(window), NAMES(window_int4)}};

void zq_amx_multiply(const zq_amx_product *p)
{
    multiply_kinds[p->is_windowed][p->int4 != NULL][zq_amx_kind(p->step, p->storage, p->numbers)](p);
}

#endif
