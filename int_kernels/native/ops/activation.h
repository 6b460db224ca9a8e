/* The table that an activation is packed into. */
#ifndef ZQ_ACTIVATION_H
#define ZQ_ACTIVATION_H

#include "core/kernels.h"

enum { ZQ_MOST_FIXED = 65536 }; /* of |u| */

/* Followed by y (glu: sigma, 16 bits) of the numbers lo..hi; those below count as lo, those above as hi. */
typedef struct {
    int32_t lo, hi;
} zq_function_table;

/* sigma of a number lo..hi of a glu's table: index it with the number. */
ZQ_INLINE const uint16_t *zq_sigma_table(const zq_function_table *table)
{
    return (const uint16_t *)(const void *)(table + 1) - table->lo;
}

/* y[t] = table[u[t]], t < n, eight at a time: the processor then has eight loads under way. */
#define ZQ_LOOK_UP(TYPE, table, u, n, y)                                                               \
    do {                                                                                               \
        int32_t t = 0;                                                                                 \
        for (; t + 8 <= (n); t += 8) {                                                                 \
            const int32_t *at = (u) + t;                                                               \
            const TYPE a = (table)[at[0]], b = (table)[at[1]], c = (table)[at[2]], d = (table)[at[3]]; \
            const TYPE e = (table)[at[4]], f = (table)[at[5]], g = (table)[at[6]], h = (table)[at[7]]; \
            TYPE *to = (y) + t;                                                                        \
            to[0] = a, to[1] = b, to[2] = c, to[3] = d, to[4] = e, to[5] = f, to[6] = g, to[7] = h;    \
        }                                                                                              \
        for (; t < (n); t++) (y)[t] = (table)[(u)[t]];                                                 \
    } while (0)

/* y[t] = the table's number of `size` bytes for u[t], lo <= u[t] <= hi. */
ZQ_INLINE void zq_look_up(const zq_function_table *table, size_t size, const int32_t *restrict u, int32_t n,
                          char *restrict y)
{
    const uint8_t *bytes = (const uint8_t *)(table + 1) - table->lo;
    const uint16_t *words = (const uint16_t *)(const void *)(table + 1) - table->lo;
    uint8_t *narrow = (uint8_t *)y;
    uint16_t *wide = (uint16_t *)(void *)y;
    if (size == 2)
        ZQ_LOOK_UP(uint16_t, words, u, n, wide);
    else
        ZQ_LOOK_UP(uint8_t, bytes, u, n, narrow);
}

#endif
