/* Weights of 4 bits or less: two codes in each byte of memory, made bytes again right before they are multiplied.
 *
 * 128 codes lie together: byte i of 64 has code i in its lower half and code 64 + i in its upper one, each as
 * code + 8. */
#ifndef ZQ_INT4_H
#define ZQ_INT4_H

#include "x86/avx512vnni/avx512vnni.h"

#ifdef ZQ_X86_TABLES

enum { ZQ_INT4_BLOCK = 128 /* codes that lie together */ };

/* All codes are in -8 .. 7. */
int32_t zq_fit_int4(const int8_t *codes, size_t count);

/* count: a multiple of ZQ_INT4_BLOCK; packed: half as many bytes. */
void zq_pack_int4(const int8_t *codes, size_t count, uint8_t *packed);

/* The code in the lower half of each byte. */
ZQ_TARGET_INLINE __m512i zq_lower_int4(__m512i v)
{
    return _mm512_sub_epi8(_mm512_and_si512(v, _mm512_set1_epi8(15)), _mm512_set1_epi8(8));
}

/* zq_pack_int4 undone; codes start at a line of the cache. */
ZQ_TARGET_INLINE void zq_unpack_int4(const uint8_t *packed, size_t count, int8_t *codes)
{
    for (size_t i = 0; i < count; i += ZQ_INT4_BLOCK) {
        const __m512i v = _mm512_loadu_si512(packed + i / 2);
        _mm512_store_si512(codes + i, zq_lower_int4(v));
        _mm512_store_si512(codes + i + 64, zq_lower_int4(_mm512_srli_epi16(v, 4)));
    }
}

#endif
#endif
