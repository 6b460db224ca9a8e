/* Dispatch table for AMX. Convolutions and attention use tile products; everything else is as for AVX-512 VNNI. */
#include "x86/amx/amx.h"

#ifdef ZQ_AMX_TABLE

const zq_kernels zq_amx = {
    .name = "amx",
    .run = {[ZQ_LOOP_DENSE] = zq_amx_dense,
            [ZQ_LOOP_DEPTHWISE] = zq_amx_depthwise,
            [ZQ_LOOP_DEPTHWISE_PLANES] = zq_avx2_planes,
            [ZQ_LOOP_SUM] = zq_avx512vnni_sum,
            [ZQ_LOOP_MULTIPLY] = zq_multiply,
            [ZQ_LOOP_MEAN] = zq_mean,
            [ZQ_LOOP_LOOKUP] = zq_lookup,
            [ZQ_LOOP_ACTIVATION] = zq_avx512vnni_activation,
            [ZQ_LOOP_LAYER_NORM] = zq_avx512vnni_layer_norm,
            [ZQ_LOOP_ARGMAX] = zq_argmax,
            [ZQ_LOOP_POSITIONS] = zq_positions,
            [ZQ_LOOP_ATTENTION] = zq_amx_attention},
    .units = {[ZQ_LOOP_DENSE] = zq_amx_dense_units,
              [ZQ_LOOP_DEPTHWISE] = zq_amx_depthwise_units,
              [ZQ_LOOP_SUM] = zq_avx512vnni_sum_units},
    .packed_bytes = {[ZQ_LOOP_DENSE] = zq_amx_dense_bytes,
                     [ZQ_LOOP_DEPTHWISE] = zq_amx_depthwise_bytes,
                     [ZQ_LOOP_ACTIVATION] = zq_activation_bytes},
    .pack = {[ZQ_LOOP_DENSE] = zq_amx_pack_dense,
             [ZQ_LOOP_DEPTHWISE] = zq_amx_pack_depthwise,
             [ZQ_LOOP_ACTIVATION] = zq_pack_activation},
    .scratch_bytes = {[ZQ_LOOP_DEPTHWISE_PLANES] = zq_avx2_planes_scratch,
                      [ZQ_LOOP_DENSE] = zq_amx_dense_scratch,
                      [ZQ_LOOP_DEPTHWISE] = zq_amx_depthwise_scratch,
                      [ZQ_LOOP_ATTENTION] = zq_amx_attention_scratch},
    .writes_columns = {[ZQ_LOOP_DEPTHWISE] = zq_amx_depthwise_writes, [ZQ_LOOP_SUM] = zq_avx512vnni_sum_columns},
    .reads_columns = {[ZQ_LOOP_DEPTHWISE] = zq_amx_depthwise_reads, [ZQ_LOOP_DENSE] = zq_amx_dense_columns},
};

#endif
