/* What the checks of all ops share: limits of SPEC 4 and 9, and small questions about values and steps. */
#ifndef ZQ_CHECK_H
#define ZQ_CHECK_H

#include "core/kernels.h"

enum { ZQ_MAX_CHANNELS = 1 << 16, ZQ_MAX_EXTENT = 1 << 15, ZQ_MAX_LENGTH = 1 << 24, ZQ_MAX_FRAMES = 1 << 20 };

ZQ_INLINE int zq_is_within(int64_t number, int64_t lo, int64_t hi)
{
    return number >= lo && number <= hi;
}

ZQ_INLINE int zq_is_code(const zq_value *value)
{
    return value->storage == ZQ_INT8 || value->storage == ZQ_UINT8;
}

ZQ_INLINE int zq_is_code_or_int16(const zq_value *value)
{
    return value->storage != ZQ_INT32;
}

/* Equally long for every input. */
ZQ_INLINE int zq_is_as_long(const zq_value *a, const zq_value *b)
{
    return a->length == b->length && a->offset == b->offset && a->stride == b->stride;
}

/* `count` multipliers are there, with shifts from 1 to `most`, and the clip is not empty. */
ZQ_INLINE int zq_is_rescale_sound(const zq_step *step, int32_t count, int32_t most)
{
    if (!step->multiplier || !step->shift) return 0;
    for (int32_t c = 0; c < count; c++)
        if (!zq_is_within(step->shift[c], 1, most)) return 0;
    return step->clip_lo <= step->clip_hi;
}

/* All inputs are as long as y and have its channels. */
ZQ_INLINE int zq_are_inputs_like_y(const zq_program *program, const zq_step *step)
{
    const zq_value *y = &program->values[step->y];
    for (int32_t i = 0; i < step->inputs; i++) {
        const zq_value *x = &program->values[step->x[i]];
        if (x->channels != y->channels || !zq_is_as_long(x, y)) return 0;
    }
    return 1;
}

#endif
