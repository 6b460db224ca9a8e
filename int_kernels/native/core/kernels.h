/* Dispatch tables, and what kernels share.
 *
 * Kernels for an instruction set are in a folder of their own, and their table is in the list in dispatch.c. */
#ifndef ZQ_KERNELS_H
#define ZQ_KERNELS_H

#include <string.h>

#include "core/fixed_point.h"
#include "core/zq.h"

#ifndef ZQ_TILE
#define ZQ_TILE 64 /* frames worked on at once: with ZQ_ROWS, what fits the registers of a large core */
#endif
#if ZQ_TILE < 4 || ZQ_TILE % 4
#error "ZQ_TILE must be a multiple of ZQ_ROWS"
#endif
#define ZQ_ROWS 4   /* output channels, or queries, worked on at once */
#define ZQ_CHUNK 64 /* output channels in one unit of a dense convolution */

/* gcc on x86-64 compiles such a function once per instruction set and glibc picks one when the program is loaded.
 * One source, the same bytes from each. */
#if defined(__x86_64__) && defined(__SSE2__) && defined(__GLIBC__) && !defined(__clang__) && __GNUC__ >= 12 && \
    !defined(ZQ_SINGLE_VERSION)
#define ZQ_MULTIVERSION __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define ZQ_MULTIVERSION
#endif

/* The kernels for AVX2 and AVX-512 VNNI are compiled by gcc and clang for x86-64, with target attributes; CPUID is read
 * before one of them is called. They are made for tiles of 64 frames. */
#if defined(__x86_64__) && defined(__SSE2__) && ZQ_TILE == 64 && \
    ((defined(__clang__) && __clang_major__ >= 8) || (!defined(__clang__) && defined(__GNUC__) && __GNUC__ >= 9))
#define ZQ_X86_TABLES
/* Later compilers also know the VEX encoding of VPDPBUSD. */
#if (defined(__clang__) && __clang_major__ >= 12) || (!defined(__clang__) && __GNUC__ >= 11)
#define ZQ_AVXVNNI_TABLES
/* A process has to request AMX tiles from the system; only the request of Linux is implemented. */
#if defined(__linux__)
#define ZQ_AMX_TABLE
#endif
#endif
#endif
/* The same for AArch64. SDOT, which not every such processor has, needs a compiler that enables it per function. */
#if defined(__aarch64__) && defined(__ARM_NEON) && !defined(__ARM_BIG_ENDIAN) && ZQ_TILE == 64 && defined(__GNUC__)
#define ZQ_NEON_TABLES
#if defined(__ARM_FEATURE_DOTPROD) || (defined(__clang__) && __clang_major__ >= 17) || \
    (!defined(__clang__) && __GNUC__ >= 10)
#define ZQ_DOTPROD_TABLE
#endif
#endif
#if defined(__GNUC__)
#define ZQ_INLINE static inline __attribute__((always_inline))
#else
#define ZQ_INLINE static inline
#endif

/* Work on units first..last-1 of a step. */
typedef void zq_kernel(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch);

/* Whether a step can write y, or read x, in the packed K4 layout (zq_state).
 * 0: no; 1: yes; 2: yes, and it is faster. */
typedef int zq_packed_k4_use(const zq_program *program, const zq_step *step);

/* Bytes of one step's packed weights (0: this step runs unpacked), the packing, its units, the bytes of its scratch. */
typedef uint64_t zq_packed_size(const zq_program *program, const zq_step *step);
typedef void zq_packer(const zq_program *program, const zq_step *step, void *packed);
typedef int32_t zq_unit_count(const zq_state *state, const zq_step *step);
typedef uint64_t zq_scratch_size(const zq_program *program, const zq_step *step, int32_t frames_y);

/* How one kernel kind (zq_kernel_kind) is implemented. */
typedef struct {
    zq_kernel *run;
    zq_unit_count *units; /* NULL, or 0 as its result: as many as the portable kernel; there: the channels of y */
    zq_packed_size *packed_bytes; /* NULL: nothing is packed */
    zq_packer *pack;
    zq_scratch_size *scratch_bytes; /* NULL: none; the scratch is never smaller than that of the portable kernel */
    zq_packed_k4_use *writes_packed_k4, *reads_packed_k4; /* NULL: never */
} zq_kernel_entry;

/* A dispatch table: the kernels for one instruction set. An entry without `run` stands for the portable kernel. */
struct zq_kernels {
    const char *name;
    zq_kernel_entry entries[ZQ_KERNEL_COUNT];
};

/* What an op states beside its kernels. */
typedef struct {
    /* Every index, size and pointer that its kernels use is valid (SPEC 6); x and y already are indices of values. */
    int (*check)(const zq_program *program, const zq_step *step);
    zq_kernel_kind kind; /* of its steps, unless choose_kind is there to tell */
    zq_kernel_kind (*choose_kind)(const zq_program *program, const zq_step *step);
    int64_t (*max_frames)(const zq_step *step); /* of x[0] (SPEC 9); NULL: no limit of its own */
} zq_op_entry;

/* zq_op_<op>, zq_portable_<kind> and the portable kernels zq_<kind>, defined in ops/. */
#define ZQ_DECLARE_OP(NAME, name) extern const zq_op_entry zq_op_##name;
#define ZQ_DECLARE_KERNEL(NAME, name)                \
    extern const zq_kernel_entry zq_portable_##name; \
    zq_kernel zq_##name;
ZQ_OP_TABLE(ZQ_DECLARE_OP)
ZQ_KERNEL_TABLE(ZQ_DECLARE_KERNEL)
extern const zq_op_entry *const zq_ops[ZQ_OP_COUNT];
extern const zq_kernel_entry *const zq_portable[ZQ_KERNEL_COUNT];

zq_packed_size zq_activation_bytes; /* a table of the function, for every dispatch table */
zq_packer zq_pack_activation;
zq_unit_count zq_count_tiles; /* ZQ_TILE frames of y each */

#ifdef ZQ_X86_TABLES
extern const zq_kernels zq_avx2, zq_avx512vnni;
zq_kernel zq_avx2_conv2d_depthwise; /* for every table here */
zq_scratch_size zq_avx2_conv2d_depthwise_scratch;
#endif
#ifdef ZQ_AVXVNNI_TABLES
extern const zq_kernels zq_avxvnni, zq_avx512vl_vnni;
int64_t zq_avxvnni_peak(int32_t rounds, int32_t *codes), zq_avx512vl_vnni_peak(int32_t rounds, int32_t *codes);
#endif
#ifdef ZQ_AMX_TABLE
extern const zq_kernels zq_amx;
int64_t zq_amx_peak(int32_t rounds, int32_t *codes);
#endif
#ifdef ZQ_NEON_TABLES
extern const zq_kernels zq_neon, zq_neon_dotprod;
#endif

/* True for a convolution with one input map per group; a conv1d's maps have one row. A conv2d of a single map is worth
 * im2col of its taps once for all output maps. */
ZQ_INLINE int zq_is_depthwise(const zq_program *program, const zq_step *step)
{
    const zq_conv_params *conv = &step->params.conv;
    return program->values[step->x[0]].channels / conv->height == conv->groups &&
           (step->op == ZQ_CONV1D || conv->groups > 1);
}

/* Rows of each of y's maps. */
ZQ_INLINE int32_t zq_rows_out(const zq_step *step)
{
    const zq_conv_params *conv = &step->params.conv;
    return (conv->height + 2 * conv->padding_height - conv->kernel_height) / conv->stride_height + 1;
}

/* Input maps of one group of a convolution. */
ZQ_INLINE int32_t zq_maps_in(const zq_program *program, const zq_step *step)
{
    const zq_conv_params *conv = &step->params.conv;
    return program->values[step->x[0]].channels / conv->height / conv->groups;
}

/* Output maps of one group of a convolution. */
ZQ_INLINE int32_t zq_maps_out(const zq_program *program, const zq_step *step)
{
    return program->values[step->y].channels / zq_rows_out(step) / step->params.conv.groups;
}

/* Weights of one output map of a convolution. */
ZQ_INLINE size_t zq_taps(const zq_program *program, const zq_step *step)
{
    const zq_conv_params *conv = &step->params.conv;
    return (size_t)zq_maps_in(program, step) * (size_t)conv->kernel_height * (size_t)conv->kernel;
}

/* bias[o] + shift * the sum of its weights, modulo 2^32: what makes up for codes read as x - shift. */
ZQ_INLINE int32_t zq_shifted_by(const zq_step *step, int32_t o, size_t taps, int32_t shift)
{
    const zq_conv_params *conv = &step->params.conv;
    const int8_t *weight = conv->weight + (size_t)o * taps;
    int64_t sum = 0;
    for (size_t tap = 0; tap < taps; tap++) sum += weight[tap];
    return (int32_t)(uint32_t)(conv->bias[o] + shift * sum);
}

/* One unit of ZQ_KERNEL_CONV_DENSE. */
typedef struct {
    int32_t place;          /* number of tile, row and group together: units of one place read the same inputs */
    int32_t t0, row, group; /* the first frame, the row of y's maps */
    int32_t first, last;    /* the chunk's maps, counted within the group */
} zq_dense_unit;

ZQ_INLINE zq_dense_unit zq_dense_unit_of(const zq_program *program, const zq_step *step, int32_t unit)
{
    const zq_conv_params *conv = &step->params.conv;
    const int32_t maps = zq_maps_out(program, step), chunks = zq_ceil_div(maps, ZQ_CHUNK);
    const int32_t place = unit / chunks, rows = zq_rows_out(step);
    zq_dense_unit u;
    u.place = place;
    u.group = place % conv->groups;
    u.row = place / conv->groups % rows;
    u.t0 = place / conv->groups / rows * ZQ_TILE;
    u.first = unit % chunks * ZQ_CHUNK;
    u.last = zq_min(u.first + ZQ_CHUNK, maps);
    return u;
}

/* The tables that run on this processor, best first; NULL after the last. */
const zq_kernels *zq_kernels_at(int32_t index);

/* For benchmarks (peak.c): fill the registers with products `rounds` times (1 to 2^24), by the instructions of the
 * table's dense kernel; returns how many products were added up. *codes: what is multiplied, then what came of it. */
int64_t zq_peak(const zq_kernels *kernels, int32_t rounds, int32_t *codes);

/* Bytes of one number. */
ZQ_INLINE size_t zq_size(int32_t storage)
{
    return storage == ZQ_INT32 ? 4 : storage == ZQ_INT16 ? 2 : 1;
}

/* Row of a value: where channel c starts. */
ZQ_INLINE char *zq_row(const zq_state *state, int32_t value, int32_t channel)
{
    const size_t size = zq_size(state->program->values[value].storage);
    return (char *)state->data[value] + (size_t)channel * (size_t)state->pitch[value] * size;
}

/* A value in the packed K4 layout (zq_state): the address of the 64 frames from t on of the four channels from
 * `channel` on. */
ZQ_INLINE char *zq_packed_k4(const zq_state *state, int32_t value, int32_t channel, int32_t t)
{
    const size_t channels = (size_t)state->program->values[value].channels;
    return (char *)state->data[value] + (size_t)t * channels + (size_t)channel * 64;
}

/* row[t] as int32. */
ZQ_INLINE int32_t zq_get(const char *row, int32_t storage, int32_t t)
{
    if (storage == ZQ_INT32) return ((const int32_t *)row)[t];
    if (storage == ZQ_INT16) return ((const int16_t *)row)[t];
    return storage == ZQ_INT8 ? ((const int8_t *)row)[t] : ((const uint8_t *)row)[t];
}

/* out[t] = row[first + t] as int32, t < n. */
ZQ_INLINE void zq_load(const char *row, int32_t storage, int32_t first, int32_t n, int32_t *restrict out)
{
    if (storage == ZQ_INT32) {
        memcpy(out, (const int32_t *)row + first, (size_t)n * 4);
    } else if (storage == ZQ_INT16) {
        const int16_t *numbers = (const int16_t *)row + first;
        for (int32_t t = 0; t < n; t++) out[t] = numbers[t];
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
ZQ_INLINE void zq_im2col_column(const char *x, int32_t storage, int32_t frames, int32_t start, int32_t stride,
                                int16_t *restrict column)
{
    int32_t first = start >= 0 ? 0 : zq_min(zq_ceil_div(-start, stride), ZQ_TILE);
    int32_t last = start >= frames ? first : zq_min((frames - 1 - start) / stride + 1, ZQ_TILE);
    last = last < first ? first : last;
    for (int32_t t = 0; t < first; t++) column[t] = 0;
    if (first < last) zq_widen(x, storage, start + first * stride, stride, last - first, column + first);
    for (int32_t t = last; t < ZQ_TILE; t++) column[t] = 0;
}

/* A row of a depthwise conv1d as unsigned bytes from frame `start` on, one phase of the stride after the other,
 * `length` bytes each: phases[p][i] = x[start + i * stride + p] + flip, where x counts as 0 outside 0 .. frames - 1. */
ZQ_INLINE void zq_lay_out_phases(const uint8_t *x, int32_t frames, int32_t start, int32_t stride, uint8_t flip,
                                 size_t length, uint8_t *restrict phases)
{
    memset(phases, flip, (size_t)stride * length);
    for (int32_t p = 0; p < stride; p++, phases += length) {
        const int32_t first = start + p >= 0 ? 0 : zq_ceil_div(-start - p, stride);
        const int32_t time = start + first * stride + p;
        const int32_t n = time >= frames ? 0 : zq_min((frames - 1 - time) / stride + 1, (int32_t)length - first);
        if (stride == 1) /* without a stride the compiler copies whole vectors */
            for (int32_t i = 0; i < n; i++) phases[first + i] = x[time + i] ^ flip;
        else
            for (int32_t i = 0; i < n; i++) phases[first + i] = x[time + i * stride] ^ flip;
    }
}

/* row[first + t] = codes[t] in the row's storage, t < n; codes are saturated to it already. */
ZQ_INLINE void zq_store(char *row, int32_t storage, int32_t first, int32_t n, const int32_t *restrict codes)
{
    if (storage == ZQ_INT32) {
        memcpy((int32_t *)row + first, codes, (size_t)n * 4);
    } else if (storage == ZQ_INT16) {
        int16_t *out = (int16_t *)row + first;
        for (int32_t t = 0; t < n; t++) out[t] = (int16_t)codes[t];
    } else if (storage == ZQ_INT8) {
        int8_t *out = (int8_t *)row + first;
        for (int32_t t = 0; t < n; t++) out[t] = (int8_t)codes[t];
    } else {
        uint8_t *out = (uint8_t *)row + first;
        for (int32_t t = 0; t < n; t++) out[t] = (uint8_t)codes[t];
    }
}

/* x[t] = saturate(x[t] * multiplier / 2^shift) for a whole tile. */
ZQ_INLINE void zq_rescale_numbers(int64_t multiplier, int32_t shift, int64_t lo, int64_t hi, int32_t *restrict x)
{
    for (int32_t t = 0; t < ZQ_TILE; t++)
        x[t] = (int32_t)zq_saturate(zq_rounding_shift_right_half_up(x[t] * multiplier, shift), lo, hi);
}

/* acc[t] = saturate(rescale_o(acc[t])) for a whole tile; nothing for a step without rescale. */
ZQ_INLINE void zq_rescale_tile(const zq_step *step, int32_t o, int32_t *restrict acc)
{
    if (step->multiplier) zq_rescale_numbers(step->multiplier[o], step->shift[o], step->clip_lo, step->clip_hi, acc);
}

#endif
