/* Named fixed-point primitives (SPEC 2), the same names as in fixed_point.py. */
#ifndef ZQ_FIXED_POINT_H
#define ZQ_FIXED_POINT_H

#include <stdint.h>

/* SPEC 2 needs the arithmetic shift, which C leaves to the compiler: another one stops here. */
typedef char zq_needs_an_arithmetic_shift_right[(-3 >> 1) == -2 ? 1 : -1];

/* (v + 2^(r-1)) >> r, 1 <= r <= 62. The bounds proved for every program keep the sum inside 64 bits. */
static inline int64_t zq_rounding_shift_right_half_up(int64_t value, int32_t shift)
{
    return (value + ((int64_t)1 << (shift - 1))) >> shift;
}

static inline int64_t zq_saturate(int64_t value, int64_t lo, int64_t hi)
{
    value = value < lo ? lo : value;
    return value > hi ? hi : value;
}

static inline int32_t zq_min(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

static inline int32_t zq_ceil_div(int32_t a, int32_t b)
{
    return (a + b - 1) / b;
}

#endif
