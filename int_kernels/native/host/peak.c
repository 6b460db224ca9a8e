/* Peak throughput of a dispatch table: the multiply-add instructions of its dense kernel, on registers only. Programs
 * run without this file; a benchmark compares with it. */
#include "arm/neon/neon.h"

enum { COLUMNS = 8 };

/* The inner loop of zq_conv_dense on data that stay in the L1 cache, as compiled from plain C. */
ZQ_MULTIVERSION
int64_t zq_c_peak(int32_t rounds, int32_t *codes)
{
    int16_t column[COLUMNS][ZQ_TILE], weight[ZQ_ROWS][COLUMNS];
    int32_t acc[ZQ_ROWS][ZQ_TILE];
    for (int32_t i = 0; i < COLUMNS; i++) {
        for (int32_t j = 0; j < ZQ_ROWS; j++) weight[j][i] = (int16_t)((*codes >> j & 3) - 1);
        for (int32_t t = 0; t < ZQ_TILE; t++) column[i][t] = (int16_t)((*codes ^ t) & 15);
    }
    memset(acc, 0, sizeof acc);
    for (int32_t round = 0; round < rounds; round++)
        for (int32_t i = 0; i < COLUMNS; i++)
            for (int32_t j = 0; j < ZQ_ROWS; j++)
                for (int32_t t = 0; t < ZQ_TILE; t++) acc[j][t] += weight[j][i] * column[i][t];
    for (int32_t j = 0; j < ZQ_ROWS; j++)
        for (int32_t t = 0; t < ZQ_TILE; t++) *codes += acc[j][t] & 1;
    return (int64_t)rounds * COLUMNS * ZQ_ROWS * ZQ_TILE;
}

/* Independent accumulators, so that no instruction waits for the result of another. */
#define EACH(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)
#define ACCUMULATORS 12

#ifdef ZQ_X86_TABLES
#include <immintrin.h>

#define START_512(i) __m512i a##i = _mm512_setzero_si512();
#define DOT_512(i) __asm__ volatile("vpdpbusd %1,%1,%0" : "+v"(a##i) : "v"(x));
#define JOIN_512(i) x = _mm512_add_epi32(x, a##i);

__attribute__((target("avx512f,avx512vnni"))) int64_t zq_avx512vnni_peak(int32_t rounds, int32_t *codes)
{
    __m512i x = _mm512_set1_epi32(*codes);
    EACH(START_512)
    for (int32_t round = 0; round < rounds; round++) { EACH(DOT_512) }
    EACH(JOIN_512)
    *codes += _mm512_reduce_add_epi32(x);
    return (int64_t)rounds * ACCUMULATORS * 64;
}

#define START_256(i) __m256i a##i = _mm256_setzero_si256();
#define PAIRS_256(i) __asm__ volatile("vpmaddwd %2,%2,%1\n\tvpaddd %1,%0,%0" : "+x"(a##i), "=&x"(product) : "x"(x));
#define JOIN_256(i) x = _mm256_add_epi32(x, a##i);

__attribute__((target("avx2"))) int64_t zq_avx2_peak(int32_t rounds, int32_t *codes)
{
    __m256i x = _mm256_set1_epi32(*codes), product;
    EACH(START_256)
    for (int32_t round = 0; round < rounds; round++) { EACH(PAIRS_256) }
    EACH(JOIN_256)
    *codes += _mm_cvtsi128_si32(_mm256_castsi256_si128(x));
    return (int64_t)rounds * ACCUMULATORS * 16;
}
#endif

#ifdef ZQ_NEON_TABLES
#define START_NEON(i) int32x4_t a##i = vdupq_n_s32(0);
#define PRODUCTS_NEON(i) __asm__ volatile("smlal %0.4s,%1.4h,%1.4h" : "+w"(a##i) : "w"(x));
#define JOIN_NEON(i) sums = vaddq_s32(sums, a##i);

int64_t zq_neon_peak(int32_t rounds, int32_t *codes)
{
    const int16x4_t x = vdup_n_s16((int16_t)*codes);
    int32x4_t sums = vdupq_n_s32(0);
    EACH(START_NEON)
    for (int32_t round = 0; round < rounds; round++) { EACH(PRODUCTS_NEON) }
    EACH(JOIN_NEON)
    *codes += vaddvq_s32(sums);
    return (int64_t)rounds * ACCUMULATORS * 4;
}
#endif

int64_t zq_peak(const zq_kernels *kernels, int32_t rounds, int32_t *codes)
{
#ifdef ZQ_AMX_TABLE
    if (kernels == &zq_amx) return zq_amx_peak(rounds, codes);
#endif
#ifdef ZQ_X86_TABLES
    if (kernels == &zq_avx512vnni) return zq_avx512vnni_peak(rounds, codes);
#ifdef ZQ_AVXVNNI_TABLES
    if (kernels == &zq_avxvnni) return zq_avxvnni_peak(rounds, codes);
    if (kernels == &zq_avx512vl_vnni) return zq_avx512vl_vnni_peak(rounds, codes);
#endif
    if (kernels == &zq_avx2) return zq_avx2_peak(rounds, codes);
#endif
#ifdef ZQ_DOTPROD_TABLE
    if (kernels == &zq_neon_dotprod) return zq_neon_dotprod_peak(rounds, codes);
#endif
#ifdef ZQ_NEON_TABLES
    if (kernels == &zq_neon) return zq_neon_peak(rounds, codes);
#endif
    (void)kernels;
    return zq_c_peak(rounds, codes);
}
