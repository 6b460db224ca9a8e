/* The table for AMX: convolutions and attention as products of tiles, all else as with AVX-512 VNNI. */
#include "x86/amx/amx.h"

#ifdef ZQ_AMX_TABLE

const zq_kernels zq_amx = {
    .name = "amx",
    .entries = {[ZQ_KERNEL_CONV_DENSE] = {.run = zq_amx_dense,
                                          .units = zq_amx_dense_units,
                                          .packed_bytes = zq_amx_dense_bytes,
                                          .pack = zq_amx_pack_dense,
                                          .scratch_bytes = zq_amx_dense_scratch,
                                          .reads_columns = zq_amx_dense_columns},
                [ZQ_KERNEL_CONV1D_DEPTHWISE] = {.run = zq_amx_depthwise,
                                                .units = zq_amx_depthwise_units,
                                                .packed_bytes = zq_amx_depthwise_bytes,
                                                .pack = zq_amx_pack_depthwise,
                                                .scratch_bytes = zq_amx_depthwise_scratch,
                                                .writes_columns = zq_amx_depthwise_writes,
                                                .reads_columns = zq_amx_depthwise_reads},
                [ZQ_KERNEL_CONV2D_DEPTHWISE] = {.run = zq_avx2_planes, .scratch_bytes = zq_avx2_planes_scratch},
                [ZQ_KERNEL_SUM] = {.run = zq_avx512vnni_sum,
                                   .units = zq_avx512vnni_sum_units,
                                   .writes_columns = zq_avx512vnni_sum_columns},
                [ZQ_KERNEL_ACTIVATION] = {.run = zq_avx512vnni_activation,
                                          .packed_bytes = zq_activation_bytes,
                                          .pack = zq_pack_activation},
                [ZQ_KERNEL_LAYER_NORM] = {.run = zq_avx512vnni_layer_norm},
                [ZQ_KERNEL_ATTENTION] = {.run = zq_amx_attention, .scratch_bytes = zq_amx_attention_scratch}},
};

#endif
