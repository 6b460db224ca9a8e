/* Many rows of a dense convolution's whole tile, for AVX-512 VNNI: six at a time, staggered.
 *
 * A row's sums have to be scaled, packed and stored when they are complete, and the processor does not look far enough
 * ahead to start the next rows' products meanwhile. So the six rows do not end together: each starts a sixth of the taps
 * after the one before it, at the tap where that one stands, and goes through all taps from there, the first after the
 * last. Then one row ends and one starts at a time, between the products of five others. */
#include "avx512vnni.h"

#ifdef ZQ_X86_TABLES

enum {
    ROWS = 6,
    LEAST = 32,  /* quads: shorter rows end too often */
    MOST = 2048, /* quads in tile order: their columns come too slowly where fewer than six rows run */
    NEAR = 4096  /* bytes of weights to be fetched ahead, beyond one row */
};

/* Codes whose ratios all have high shifts. */
ZQ_TARGET_INLINE void end_codes(int32_t storage, const zq_channel_numbers *numbers, __m512i v[4], __m512i lo, __m512i hi,
                                __m512i to_plain, char *y, int32_t n)
{
    for (int32_t i = 0; i < 4; i++) v[i] = zq_rescale_packed(numbers, v[i]);
    zq_store_bytes(y, n, _mm512_permutexvar_epi32(to_plain, zq_pack_codes(storage, v, lo, hi)));
}

#define STAGGER stagger_uint8
#define END(numbers, v, y) end_codes(ZQ_UINT8, numbers, v, lo, hi, to_plain, y, n)
#include "avx512vnni_stagger.h"

#define STAGGER stagger_int8
#define END(numbers, v, y) end_codes(ZQ_INT8, numbers, v, lo, hi, to_plain, y, n)
#include "avx512vnni_stagger.h"

#define STAGGER stagger_int32
#define END(numbers, v, y) zq_store_numbers(v, ZQ_INT32, order, y, n)
#include "avx512vnni_stagger.h"

int32_t zq_avx512vnni_stagger(const zq_tile_rows *rows)
{
    const int32_t count = rows->rows / ROWS * ROWS;
    if (!count || rows->halves < 8 || rows->quads < LEAST || (rows->quads > MOST && !rows->is_plain)) return 0;
    if (!rows->step->multiplier && rows->storage == ZQ_INT32)
        stagger_int32(rows, count);
    else if (!rows->numbers->multiplier)
        return 0;
    else if (rows->storage == ZQ_INT8)
        stagger_int8(rows, count);
    else if (rows->storage == ZQ_UINT8)
        stagger_uint8(rows, count);
    else
        return 0;
    return count;
}

#endif
