/* The list of kernel tables, best first. Tables for instruction sets are added in front, each behind a test of the
 * processor. */
#include "kernels.h"

static const zq_kernels portable = {"c", zq_conv1d_dense, zq_conv1d_depthwise, zq_sum, zq_argmax};

static const zq_kernels *const tables[] = {&portable};

const zq_kernels *zq_kernels_at(int32_t index)
{
    return index >= 0 && index < (int32_t)(sizeof tables / sizeof *tables) ? tables[index] : NULL;
}
