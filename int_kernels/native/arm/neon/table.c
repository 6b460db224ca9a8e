/* The tables for AArch64: convolutions with and without the dot product. The other loops are the portable ones, which
 * the compiler turns into vector code, as every AArch64 processor has the instructions. */
#include "arm/neon/neon.h"

#ifdef ZQ_NEON_TABLES

const zq_kernels zq_neon = {
    .name = "neon",
    .run = {ZQ_PORTABLE_LOOPS, [ZQ_LOOP_DENSE] = zq_neon_dense, [ZQ_LOOP_DEPTHWISE] = zq_neon_depthwise},
    .packed_bytes = {[ZQ_LOOP_DENSE] = zq_neon_dense_bytes, [ZQ_LOOP_ACTIVATION] = zq_activation_bytes},
    .pack = {[ZQ_LOOP_DENSE] = zq_neon_pack_dense, [ZQ_LOOP_ACTIVATION] = zq_pack_activation},
};

#ifdef ZQ_DOTPROD_TABLE
const zq_kernels zq_neon_dotprod = {
    .name = "neon-dotprod",
    .run =
        {ZQ_PORTABLE_LOOPS, [ZQ_LOOP_DENSE] = zq_neon_dotprod_dense, [ZQ_LOOP_DEPTHWISE] = zq_neon_dotprod_depthwise},
    .packed_bytes = {[ZQ_LOOP_DENSE] = zq_neon_dotprod_dense_bytes,
                     [ZQ_LOOP_DEPTHWISE] = zq_neon_dotprod_depthwise_bytes,
                     [ZQ_LOOP_ACTIVATION] = zq_activation_bytes},
    .pack = {[ZQ_LOOP_DENSE] = zq_neon_dotprod_pack_dense,
             [ZQ_LOOP_DEPTHWISE] = zq_neon_dotprod_pack_depthwise,
             [ZQ_LOOP_ACTIVATION] = zq_pack_activation},
    .scratch_bytes =
        {[ZQ_LOOP_DENSE] = zq_neon_dotprod_dense_scratch, [ZQ_LOOP_DEPTHWISE] = zq_neon_dotprod_depthwise_scratch},
};
#endif

#endif
