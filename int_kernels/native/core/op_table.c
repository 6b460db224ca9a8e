/* The operations and their portable kernels, as listed in op_table.h. */
#include "core/kernels.h"

#define OP(NAME, name) [ZQ_##NAME] = &zq_op_##name,
#define KERNEL(NAME, name) [ZQ_KERNEL_##NAME] = &zq_portable_##name,

const zq_op_entry *const zq_ops[ZQ_OP_COUNT] = {ZQ_OP_TABLE(OP)};
const zq_kernel_entry *const zq_portable[ZQ_KERNEL_COUNT] = {ZQ_KERNEL_TABLE(KERNEL)};
