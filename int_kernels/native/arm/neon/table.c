/* Dispatch tables for AArch64: convolutions with and without the dot product extension. All other kernels are the
 * portable ones. The compiler vectorizes these, since every AArch64 processor has NEON. */
#include "arm/neon/neon.h"

#ifdef ZQ_NEON_TABLES

const zq_kernels zq_neon = {
    .name = "neon",
    .entries = {[ZQ_KERNEL_CONV_DENSE] = {.run = zq_neon_dense,
                                          .packed_bytes = zq_neon_dense_bytes,
                                          .pack = zq_neon_pack_dense},
                [ZQ_KERNEL_CONV1D_DEPTHWISE] = {.run = zq_neon_depthwise}},
};

#ifdef ZQ_DOTPROD_TABLE
const zq_kernels zq_neon_dotprod = {
    .name = "neon-dotprod",
    .entries = {[ZQ_KERNEL_CONV_DENSE] = {.run = zq_neon_dotprod_dense,
                                          .packed_bytes = zq_neon_dotprod_dense_bytes,
                                          .pack = zq_neon_dotprod_pack_dense,
                                          .scratch_bytes = zq_neon_dotprod_dense_scratch},
                [ZQ_KERNEL_CONV1D_DEPTHWISE] = {.run = zq_neon_dotprod_depthwise,
                                                .packed_bytes = zq_neon_dotprod_depthwise_bytes,
                                                .pack = zq_neon_dotprod_pack_depthwise,
                                                .scratch_bytes = zq_neon_dotprod_depthwise_scratch}},
};
#endif

#endif
