/* The list of kernel tables, best first. A table for an instruction set counts only where the processor has it. */
#include "kernels.h"

static const zq_kernels portable = {.name = "c",
                                    .conv1d_dense = zq_conv1d_dense,
                                    .conv1d_depthwise = zq_conv1d_depthwise,
                                    .sum = zq_sum,
                                    .argmax = zq_argmax};

#ifdef ZQ_AVX512VNNI
static int has_avx512vnni(void)
{
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512vnni");
}
#endif

const zq_kernels *zq_kernels_at(int32_t index)
{
#ifdef ZQ_AVX512VNNI
    if (has_avx512vnni() && index-- == 0) return &zq_avx512vnni;
#endif
    return index == 0 ? &portable : NULL;
}
