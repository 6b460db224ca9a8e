/* Dispatch table for AVX-VNNI: VPDPBUSD in the VEX encoding, for processors without AVX-512. */
#include "core/kernels.h"

#ifdef ZQ_AVXVNNI_TABLES

#define ZQ_TABLE zq_avxvnni
#define ZQ_TABLE_NAME "avxvnni"
#define ZQ_NAMED(x) zq_avxvnni_##x
#define ZQ_VPDPBUSD "%{vex%} vpdpbusd"

#include "x86/vnni256/loops.h"

#endif
