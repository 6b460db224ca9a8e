/* The table that an activation is packed into. */
#ifndef ZQ_ACTIVATION_H
#define ZQ_ACTIVATION_H

#include "kernels.h"

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

/* y[t] = the table's number of `size` bytes for u[t], lo <= u[t] <= hi. */
ZQ_INLINE void zq_look_up(const zq_function_table *table, size_t size, const int32_t *restrict u, int32_t n,
                          char *restrict y)
{
    const char *bytes = (const char *)(table + 1) - table->lo;
    const uint16_t *words = (const uint16_t *)(const void *)(table + 1) - table->lo;
    uint16_t *wide = (uint16_t *)(void *)y;
    if (size == 2)
        for (int32_t t = 0; t < n; t++) wide[t] = words[u[t]];
    else
        for (int32_t t = 0; t < n; t++) y[t] = bytes[u[t]];
}

#endif
