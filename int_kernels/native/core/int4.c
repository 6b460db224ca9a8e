/* Packing weights of 4 bits or less (layout: int4.h). */
#include "core/int4.h"

#ifdef ZQ_X86_TABLES

enum { AT_ONCE = 1 << 12 /* codes: a loop without an exit takes whole vectors */ };

int32_t zq_fit_int4(const int8_t *codes, size_t count)
{
    uint8_t beyond = 0;
    for (size_t start = 0; start < count && !beyond; start += AT_ONCE)
        for (size_t i = start; i < count && i < start + AT_ONCE; i++) beyond |= (uint8_t)(codes[i] + 8) & 0xF0;
    return !beyond;
}

void zq_pack_int4(const int8_t *codes, size_t count, uint8_t *packed)
{
    for (size_t start = 0; start < count; start += ZQ_INT4_BLOCK, codes += ZQ_INT4_BLOCK)
        for (size_t i = 0; i < 64; i++) *packed++ = (uint8_t)((codes[i] + 8) | (codes[64 + i] + 8) << 4);
}

#endif
