/* Dispatch table with the AVX-VNNI kernels in the EVEX encoding (AVX-512 VL), so that processors with only that
 * encoding test them too. */
#include "core/kernels.h"

#ifdef ZQ_AVXVNNI_TABLES

#define ZQ_TABLE zq_avx512vl_vnni
#define ZQ_TABLE_NAME "avx512vl-vnni"
#define ZQ_NAMED(x) zq_avx512vl_vnni_##x
#define ZQ_VPDPBUSD "%{evex%} vpdpbusd"

#include "x86/vnni256/loops.h"

#endif
