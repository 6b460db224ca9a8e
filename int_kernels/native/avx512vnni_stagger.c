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
    LEAST = 32,  /* quads to stagger: shorter rows end too often */
    MOST = 256,  /* in tile order: more columns come too slowly where fewer than six rows run */
    NEAR = 4096  /* bytes of weights to be fetched ahead, beyond one row */
};

#define STAGGER stagger_uint8
#define END(numbers, v, y) zq_end_codes(ZQ_UINT8, numbers, v, lo, hi, to_plain, y, n)
#include "avx512vnni_stagger.h"

#define STAGGER stagger_int8
#define END(numbers, v, y) zq_end_codes(ZQ_INT8, numbers, v, lo, hi, to_plain, y, n)
#include "avx512vnni_stagger.h"

#define STAGGER stagger_int32
#define END(numbers, v, y) zq_store_numbers(v, ZQ_INT32, order, y, n)
#include "avx512vnni_stagger.h"

int32_t zq_avx512vnni_stagger(const zq_tile_rows *rows)
{
    const int32_t count = rows->rows / ROWS * ROWS;
    const int is_staggered = rows->quads >= LEAST && (rows->quads <= MOST || rows->is_plain);
    if (!count || rows->halves < 8) return 0;
    if (!rows->step->multiplier && rows->storage == ZQ_INT32)
        stagger_int32(rows, count, is_staggered);
    else if (!rows->numbers->multiplier)
        return 0;
    else if (rows->storage == ZQ_INT8)
        stagger_int8(rows, count, is_staggered);
    else if (rows->storage == ZQ_UINT8)
        stagger_uint8(rows, count, is_staggered);
    else
        return 0;
    return count;
}

#endif
