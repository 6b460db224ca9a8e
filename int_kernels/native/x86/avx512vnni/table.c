/* Dispatch table for AVX-512 VNNI. */
#include "x86/avx512vnni/avx512vnni.h"

#ifdef ZQ_X86_TABLES

const zq_kernels zq_avx512vnni = {
    .name = "avx512vnni",
    .entries = {[ZQ_KERNEL_CONV_DENSE] = {.run = zq_avx512vnni_dense,
                                          .packed_bytes = zq_avx512vnni_dense_bytes,
                                          .pack = zq_avx512vnni_pack_dense,
                                          .scratch_bytes = zq_avx512vnni_dense_scratch},
                [ZQ_KERNEL_CONV1D_DEPTHWISE] = {.run = zq_avx512vnni_depthwise,
                                                .packed_bytes = zq_avx512vnni_depthwise_bytes,
                                                .pack = zq_avx512vnni_pack_depthwise,
                                                .scratch_bytes = zq_avx512vnni_depthwise_scratch},
                [ZQ_KERNEL_CONV2D_DEPTHWISE] = {.run = zq_avx2_conv2d_depthwise,
                                                .scratch_bytes = zq_avx2_conv2d_depthwise_scratch},
                [ZQ_KERNEL_SUM] = {.run = zq_avx512vnni_sum},
                [ZQ_KERNEL_ACTIVATION] = {.run = zq_avx512vnni_activation,
                                          .packed_bytes = zq_activation_bytes,
                                          .pack = zq_pack_activation},
                [ZQ_KERNEL_LAYER_NORM] = {.run = zq_avx512vnni_layer_norm},
                [ZQ_KERNEL_ATTENTION] = {.run = zq_avx512vnni_attention,
                                         .scratch_bytes = zq_avx512vnni_attention_scratch}},
};

#endif
