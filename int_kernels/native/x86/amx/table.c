/* Dispatch table for AMX. Convolutions and attention use tile products; everything else is as for AVX-512 VNNI. */
#include "x86/amx/amx.h"

#ifdef ZQ_AMX_TABLE

const zq_kernels zq_amx = {
    .name = "amx",
    .entries = {[ZQ_KERNEL_CONV_DENSE] = {.run = zq_amx_dense,
                                          .units = zq_amx_dense_units,
                                          .packed_bytes = zq_amx_dense_bytes,
                                          .pack = zq_amx_pack_dense,
                                          .scratch_bytes = zq_amx_dense_scratch,
                                          .reads_packed_k4 = zq_amx_dense_reads},
                [ZQ_KERNEL_CONV1D_DEPTHWISE] = {.run = zq_amx_depthwise,
                                                .units = zq_amx_depthwise_units,
                                                .packed_bytes = zq_amx_depthwise_bytes,
                                                .pack = zq_amx_pack_depthwise,
                                                .scratch_bytes = zq_amx_depthwise_scratch,
                                                .writes_packed_k4 = zq_amx_depthwise_writes,
                                                .reads_packed_k4 = zq_amx_depthwise_reads},
                [ZQ_KERNEL_CONV2D_DEPTHWISE] = {.run = zq_avx2_conv2d_depthwise,
                                                .scratch_bytes = zq_avx2_conv2d_depthwise_scratch},
                [ZQ_KERNEL_SUM] = {.run = zq_avx512vnni_sum,
                                   .units = zq_avx512vnni_sum_units,
                                   .writes_packed_k4 = zq_avx512vnni_sum_writes},
                [ZQ_KERNEL_ACTIVATION] = {.run = zq_avx512vnni_activation,
                                          .packed_bytes = zq_activation_bytes,
                                          .pack = zq_pack_activation},
                [ZQ_KERNEL_LAYER_NORM] = {.run = zq_avx512vnni_layer_norm},
                [ZQ_KERNEL_ATTENTION] = {.run = zq_amx_attention, .scratch_bytes = zq_amx_attention_scratch}},
};

#endif
