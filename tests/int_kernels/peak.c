/* How fast this processor can multiply bytes at all: independent VPDPBUSD instructions on registers, nothing else. */
#include <immintrin.h>
#include <stdint.h>

#define EACH(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)
#define START(i) __m512i a##i = _mm512_setzero_si512();
#define DOT(i) __asm__ volatile("vpdpbusd %1,%1,%0" : "+v"(a##i) : "v"(ones));
#define JOIN(i) ones = _mm512_add_epi32(ones, a##i);

/* rounds * 12 instructions of 64 products each. */
__attribute__((target("avx512f,avx512vnni"))) int32_t run_products(int64_t rounds)
{
    __m512i ones = _mm512_set1_epi8(1);
    EACH(START)
    for (int64_t i = 0; i < rounds; i++) { EACH(DOT) }
    EACH(JOIN)
    return _mm512_reduce_add_epi32(ones);
}
