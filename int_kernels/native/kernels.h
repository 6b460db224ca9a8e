/* The table of inner loops, and what they share.
 *
 * Loops for a particular instruction set go into a file of their own and enter the list in kernels.c; nothing else
 * changes. */
#ifndef ZQ_KERNELS_H
#define ZQ_KERNELS_H

#include <string.h>

#include "fixed_point.h"
#include "zq.h"

#ifndef ZQ_TILE
#define ZQ_TILE 64 /* frames worked on at once: with ZQ_ROWS, what fits the registers of a large core */
#endif
#if ZQ_TILE < 2 || ZQ_TILE % 2
#error "ZQ_TILE must be even"
#endif
#define ZQ_ROWS 4   /* output channels worked on at once */
#define ZQ_CHUNK 64 /* output channels in one unit of a dense convolution */

/* gcc on x86-64 compiles such a function once per instruction set and glibc picks one when the program is loaded.
 * One source, the same bytes from each. */
#if defined(__x86_64__) && defined(__SSE2__) && defined(__GLIBC__) && !defined(__clang__) && __GNUC__ >= 12 && \
    !defined(ZQ_SINGLE_VERSION)
#define ZQ_MULTIVERSION __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define ZQ_MULTIVERSION
#endif

/* The loops for AVX2 and AVX-512 VNNI are compiled by gcc and clang for x86-64, for their own functions only; the
 * processor is asked before one of them is called. They are made for tiles of 64 frames. */
#if defined(__x86_64__) && defined(__SSE2__) && ZQ_TILE == 64 && \
    ((defined(__clang__) && __clang_major__ >= 8) || (!defined(__clang__) && defined(__GNUC__) && __GNUC__ >= 9))
#define ZQ_X86_TABLES
#endif
#if defined(__GNUC__)
#define ZQ_INLINE static inline __attribute__((always_inline))
#else
#define ZQ_INLINE static inline
#endif

/* Work on units first..last-1 of a step. */
typedef void zq_kernel(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch);

/* Bytes of one step's packed weights (0: this step runs unpacked), the packing, the bytes of its scratch. */
typedef uint64_t zq_packed_size(const zq_program *program, const zq_step *step);
typedef void zq_packer(const zq_program *program, const zq_step *step, void *packed);
typedef uint64_t zq_scratch_size(const zq_program *program, const zq_step *step, int32_t frames_y);

struct zq_kernels {
    const char *name;
    zq_kernel *conv1d_dense;     /* unit: a tile of time x a group x ZQ_CHUNK of its output channels */
    zq_kernel *conv1d_depthwise; /* unit: an output channel */
    zq_kernel *sum;              /* unit: a channel */
    zq_kernel *argmax;           /* unit: a tile of time */
    zq_packed_size *packed_bytes; /* of a conv1d; NULL: nothing is ever packed */
    zq_packer *pack;
    zq_scratch_size *scratch_bytes; /* of a conv1d, beyond what the portable loops ask for; NULL: nothing more */
};

zq_kernel zq_conv1d_dense, zq_conv1d_depthwise, zq_sum, zq_argmax;
#ifdef ZQ_X86_TABLES
extern const zq_kernels zq_avx2, zq_avx512vnni;
#endif

/* True for a convolution with one input channel per group. */
ZQ_INLINE int zq_is_depthwise(const zq_program *program, const zq_step *step)
{
    return program->values[step->x[0]].channels == step->groups;
}

/* The tables that run on this processor, best first; NULL after the last. */
const zq_kernels *zq_kernels_at(int32_t index);

/* Row of a value: where channel c starts. */
ZQ_INLINE char *zq_row(const zq_state *state, int32_t value, int32_t channel)
{
    size_t size = state->program->values[value].storage == ZQ_INT32 ? 4 : 1;
    return (char *)state->data[value] + (size_t)channel * (size_t)state->frames[value] * size;
}

/* out[t] = row[first + t] as int32, t < n. */
ZQ_INLINE void zq_load(const char *row, int32_t storage, int32_t first, int32_t n, int32_t *restrict out)
{
    if (storage == ZQ_INT32) {
        memcpy(out, (const int32_t *)row + first, (size_t)n * 4);
    } else if (storage == ZQ_INT8) {
        const int8_t *codes = (const int8_t *)row + first;
        for (int32_t t = 0; t < n; t++) out[t] = codes[t];
    } else {
        const uint8_t *codes = (const uint8_t *)row + first;
        for (int32_t t = 0; t < n; t++) out[t] = codes[t];
    }
}

/* out[t] = row[start + t * stride] as int16, t < n, from codes. */
ZQ_INLINE void zq_widen(const char *row, int32_t storage, int32_t start, int32_t stride, int32_t n,
                        int16_t *restrict out)
{
    const int8_t *codes = (const int8_t *)row + start;
    const uint8_t *unsigned_codes = (const uint8_t *)row + start;
    if (stride == 1 && storage == ZQ_INT8) { /* without a stride the compiler copies whole vectors */
        for (int32_t t = 0; t < n; t++) out[t] = codes[t];
    } else if (stride == 1) {
        for (int32_t t = 0; t < n; t++) out[t] = unsigned_codes[t];
    } else if (storage == ZQ_INT8) {
        for (int32_t t = 0; t < n; t++) out[t] = codes[t * stride];
    } else {
        for (int32_t t = 0; t < n; t++) out[t] = unsigned_codes[t * stride];
    }
}

/* column[t] = x[start + t * stride], 0 outside 0 .. frames-1. */
ZQ_INLINE void zq_gather_column(const char *x, int32_t storage, int32_t frames, int32_t start, int32_t stride,
                             int16_t *restrict column)
{
    int32_t first = start >= 0 ? 0 : zq_min(zq_ceil_div(-start, stride), ZQ_TILE);
    int32_t last = start >= frames ? first : zq_min((frames - 1 - start) / stride + 1, ZQ_TILE);
    last = last < first ? first : last;
    for (int32_t t = 0; t < first; t++) column[t] = 0;
    if (first < last) zq_widen(x, storage, start + first * stride, stride, last - first, column + first);
    for (int32_t t = last; t < ZQ_TILE; t++) column[t] = 0;
}

/* row[first + t] = codes[t] in the row's storage, t < n; codes are saturated to it already. */
ZQ_INLINE void zq_store(char *row, int32_t storage, int32_t first, int32_t n, const int32_t *restrict codes)
{
    if (storage == ZQ_INT32) {
        memcpy((int32_t *)row + first, codes, (size_t)n * 4);
    } else if (storage == ZQ_INT8) {
        int8_t *out = (int8_t *)row + first;
        for (int32_t t = 0; t < n; t++) out[t] = (int8_t)codes[t];
    } else {
        uint8_t *out = (uint8_t *)row + first;
        for (int32_t t = 0; t < n; t++) out[t] = (uint8_t)codes[t];
    }
}

/* acc[t] = saturate(rescale_o(acc[t])) for a whole tile; nothing for a step without rescale. */
ZQ_INLINE void zq_rescale_tile(const zq_step *step, int32_t o, int32_t *restrict acc)
{
    if (!step->multiplier) return;
    const int64_t multiplier = step->multiplier[o], lo = step->clip_lo, hi = step->clip_hi;
    const int32_t shift = step->shift[o];
    for (int32_t t = 0; t < ZQ_TILE; t++)
        acc[t] = (int32_t)zq_saturate(zq_rounding_shift_right_half_up(acc[t] * multiplier, shift), lo, hi);
}

#endif
