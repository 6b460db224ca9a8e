/* Named fixed-point primitives (SPEC 2, and the functions of SPEC 4, activation). */
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

/* floor(a / b), b > 0. */
static inline int64_t zq_floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* How many bits v takes: 2^(bits - 1) <= v < 2^bits. */
static inline int32_t zq_bit_length(uint64_t v)
{
    int32_t bits = 0;
    for (int32_t step = 32; step; step /= 2)
        if (v >> step) {
            v >>= step;
            bits += step;
        }
    return bits + (v != 0);
}

enum { ZQ_MOST_OCTAVES = 31 * 65536 }; /* t stops here: the power is below every unit in use */

/* P of SPEC 4: 2^(-t / 65536) is P / 2^(17 + t / 65536). 65536 < P <= 131072. f times the rest is below 2^32, but for
 * f = 65536, where it is 2^32. */
static inline uint32_t zq_exp2_negative(int32_t t)
{
    const uint32_t past = (uint32_t)t & 65535, f = 65536 - past;
    const uint32_t part = (f * (43269 + ((22267 * f) >> 16))) >> 16;
    return 65536 + (past ? part : 65536);
}

/* 1 / (1 + e^-u) in 1/32768, u in 1/1024, |u| <= 65536. */
static inline int32_t zq_sigma(int32_t u)
{
    const int64_t octaves = ((int64_t)(u < 0 ? -u : u) * 94548 + 512) >> 10;
    const int32_t t = (int32_t)(octaves < ZQ_MOST_OCTAVES ? octaves : ZQ_MOST_OCTAVES);
    const int64_t e = zq_rounding_shift_right_half_up((int64_t)zq_exp2_negative(t) << 14, (t >> 16) + 1);
    const uint64_t one = (uint64_t)1 << 30, below = one + (uint64_t)e;
    const int32_t s = (int32_t)(((one << 15) + below / 2) / below);
    return u >= 0 ? s : 32768 - s;
}

#endif
