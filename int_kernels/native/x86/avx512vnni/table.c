/* Dispatch table for AVX-512 VNNI. */
#include "x86/avx512vnni/avx512vnni.h"

#ifdef ZQ_X86_TABLES

const zq_kernels zq_avx512vnni = {
    .name = "avx512vnni",
    .run = {[ZQ_LOOP_DENSE] = zq_avx512vnni_dense,
            [ZQ_LOOP_DEPTHWISE] = zq_avx512vnni_depthwise,
            [ZQ_LOOP_DEPTHWISE_PLANES] = zq_avx2_planes,
            [ZQ_LOOP_SUM] = zq_avx512vnni_sum,
            [ZQ_LOOP_MULTIPLY] = zq_multiply,
            [ZQ_LOOP_MEAN] = zq_mean,
            [ZQ_LOOP_LOOKUP] = zq_lookup,
            [ZQ_LOOP_ACTIVATION] = zq_avx512vnni_activation,
            [ZQ_LOOP_LAYER_NORM] = zq_avx512vnni_layer_norm,
            [ZQ_LOOP_ARGMAX] = zq_argmax,
            [ZQ_LOOP_POSITIONS] = zq_positions,
            [ZQ_LOOP_ATTENTION] = zq_avx512vnni_attention},
    .packed_bytes = {[ZQ_LOOP_DENSE] = zq_avx512vnni_dense_bytes,
                     [ZQ_LOOP_DEPTHWISE] = zq_avx512vnni_depthwise_bytes,
                     [ZQ_LOOP_ACTIVATION] = zq_activation_bytes},
    .pack = {[ZQ_LOOP_DENSE] = zq_avx512vnni_pack_dense,
             [ZQ_LOOP_DEPTHWISE] = zq_avx512vnni_pack_depthwise,
             [ZQ_LOOP_ACTIVATION] = zq_pack_activation},
    .scratch_bytes = {[ZQ_LOOP_DEPTHWISE_PLANES] = zq_avx2_planes_scratch,
                      [ZQ_LOOP_DENSE] = zq_avx512vnni_dense_scratch,
                      [ZQ_LOOP_DEPTHWISE] = zq_avx512vnni_depthwise_scratch,
                      [ZQ_LOOP_ATTENTION] = zq_avx512vnni_attention_scratch},
};

#endif
