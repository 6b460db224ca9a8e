/* The tables for AArch64: convolutions with and without the dot product. The other loops are the portable ones, which
 * the compiler turns into vector code, as every AArch64 processor has the instructions. */
#include "neon.h"

#ifdef ZQ_NEON_TABLES

#define ZQ_OTHER_LOOPS                                                                                         \
    [ZQ_LOOP_DEPTHWISE_PLANES] = zq_conv2d_depthwise, [ZQ_LOOP_SUM] = zq_sum, [ZQ_LOOP_MULTIPLY] = zq_multiply, \
    [ZQ_LOOP_MEAN] = zq_mean, [ZQ_LOOP_LOOKUP] = zq_lookup, [ZQ_LOOP_ACTIVATION] = zq_activation,              \
    [ZQ_LOOP_LAYER_NORM] = zq_layer_norm, [ZQ_LOOP_ARGMAX] = zq_argmax, [ZQ_LOOP_POSITIONS] = zq_positions,    \
    [ZQ_LOOP_ATTENTION] = zq_attention

const zq_kernels zq_neon = {
    .name = "neon",
    .run = {[ZQ_LOOP_DENSE] = zq_neon_dense, [ZQ_LOOP_DEPTHWISE] = zq_neon_depthwise, ZQ_OTHER_LOOPS},
    .packed_bytes = {[ZQ_LOOP_DENSE] = zq_neon_dense_bytes, [ZQ_LOOP_ACTIVATION] = zq_activation_bytes},
    .pack = {[ZQ_LOOP_DENSE] = zq_neon_pack_dense, [ZQ_LOOP_ACTIVATION] = zq_pack_activation},
};

#ifdef ZQ_DOTPROD_TABLE
const zq_kernels zq_neon_dotprod = {
    .name = "neon-dotprod",
    .run = {[ZQ_LOOP_DENSE] = zq_neon_dotprod_dense, [ZQ_LOOP_DEPTHWISE] = zq_neon_dotprod_depthwise, ZQ_OTHER_LOOPS},
    .packed_bytes = {[ZQ_LOOP_DENSE] = zq_neon_dotprod_dense_bytes,
                     [ZQ_LOOP_DEPTHWISE] = zq_neon_dotprod_depthwise_bytes,
                     [ZQ_LOOP_ACTIVATION] = zq_activation_bytes},
    .pack = {[ZQ_LOOP_DENSE] = zq_neon_dotprod_pack_dense,
             [ZQ_LOOP_DEPTHWISE] = zq_neon_dotprod_pack_depthwise,
             [ZQ_LOOP_ACTIVATION] = zq_pack_activation},
    .scratch_bytes = {[ZQ_LOOP_DENSE] = zq_neon_dotprod_dense_scratch,
                      [ZQ_LOOP_DEPTHWISE] = zq_neon_dotprod_depthwise_scratch},
};
#endif

#endif
