/* What normalises the frames of a tile. */
#ifndef ZQ_LAYER_NORM_H
#define ZQ_LAYER_NORM_H

#include "core/kernels.h"

/* z = (q * factor - taken) >> shift. */
typedef struct {
    int64_t factor[ZQ_TILE], taken[ZQ_TILE];
    int32_t shift[ZQ_TILE];
} zq_norms;

/* From the sums and the sums of squares of a tile's frames over their channels. */
void zq_make_norms(const zq_step *step, int32_t channels, const int32_t *sums, const int64_t *squares, zq_norms *norms);

#endif
