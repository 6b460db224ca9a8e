/* Peak throughput of byte products with SDOT: see host/peak.c. */
#include "arm/neon/neon.h"

#ifdef ZQ_DOTPROD_TABLE

#define EACH(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)
#define START(i) int32x4_t a##i = vdupq_n_s32(0);
#define DOT(i)                    \
    a##i = vdotq_s32(a##i, x, x); \
    __asm__ volatile("" : "+w"(a##i));
#define JOIN(i) sums = vaddq_s32(sums, a##i);

ZQ_DOTPROD int64_t zq_neon_dotprod_peak(int32_t rounds, int32_t *codes)
{
    const int8x16_t x = vdupq_n_s8((int8_t)*codes);
    int32x4_t sums = vdupq_n_s32(0);
    EACH(START)
    for (int32_t round = 0; round < rounds; round++) { EACH(DOT) }
    EACH(JOIN)
    *codes += vaddvq_s32(sums);
    return (int64_t)rounds * 12 * 16;
}

#endif
