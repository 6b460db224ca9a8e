/* The dispatch table for AVX2, and its dense and conv1d depthwise convolutions.
 *
 * Convolution weights are read unpacked and widened to 16 bits in scratch, so they take no packed memory. */
#include "x86/avx2/avx2.h"

#ifdef ZQ_X86_TABLES

enum { ROWS = 4, FRAMES = 16 }; /* output channels and frames per block of the dense kernel */
enum { FRONT = 2 };             /* zeros before each depthwise kernel */

zq_kernel zq_avx2_dense, zq_avx2_depthwise;

/* ---- dense: im2col as columns[64 / 16][taps / 2][16 frames][2 taps], frames in the order of zq_avx2_block ---- */

static size_t pairs_of(const zq_program *program, const zq_step *step)
{
    return (zq_taps(program, step) + 1) / 2;
}

/* im2col of a tile, widened weights of a chunk, accumulators of a chunk. */
static uint64_t dense_scratch(const zq_program *program, const zq_step *step, int32_t frames_y)
{
    (void)frames_y;
    return (uint64_t)pairs_of(program, step) * 4 * (ZQ_TILE + ZQ_CHUNK) + 4 * ZQ_CHUNK * ZQ_TILE;
}

ZQ_TARGET static void im2col(const zq_state *state, const zq_step *step, const zq_dense_unit *unit, int16_t *columns)
{
    const zq_conv_params *conv = &step->params.conv;
    const int32_t frames = state->frames[step->x[0]], maps = zq_maps_in(state->program, step);
    const int32_t storage = state->program->values[step->x[0]].storage, taps = (int32_t)zq_taps(state->program, step);
    const int32_t first = unit->group * maps * conv->height,
                  top = unit->row * conv->stride_height - conv->padding_height;
    const size_t pairs = pairs_of(state->program, step);
    int16_t tap[2][ZQ_TILE];
    for (int32_t i = 0; i < taps; i++) {
        const int32_t start = unit->t0 * conv->stride + i % conv->kernel * conv->dilation - conv->padding;
        const int32_t line = i / conv->kernel, row = top + line % conv->kernel_height;
        if (row < 0 || row >= conv->height)
            memset(tap[i % 2], 0, sizeof tap[0]);
        else
            zq_im2col_column(zq_row(state, step->x[0], first + line / conv->kernel_height * conv->height + row),
                             storage, frames, start, conv->stride, tap[i % 2]);
        if (i == taps - 1 && i % 2 == 0) memset(tap[1], 0, sizeof tap[1]);
        if (i % 2 == 0 && i < taps - 1) continue;
        for (int32_t part = 0; part < ZQ_TILE / FRAMES; part++) {
            const __m256i a = zq_load_vector(tap[0] + FRAMES * part), b = zq_load_vector(tap[1] + FRAMES * part);
            int16_t *out = columns + ((size_t)part * pairs + (size_t)i / 2) * 2 * FRAMES;
            _mm256_storeu_si256((__m256i *)(void *)out, _mm256_unpacklo_epi16(a, b));
            _mm256_storeu_si256((__m256i *)(void *)(out + 16), _mm256_unpackhi_epi16(a, b));
        }
    }
}

ZQ_TARGET void zq_avx2_block(const int16_t *columns, const int16_t *weight, size_t weight_pitch, size_t pairs,
                             int32_t *acc, size_t acc_pitch)
{
    const int16_t *w0 = weight, *w1 = w0 + weight_pitch, *w2 = w1 + weight_pitch, *w3 = w2 + weight_pitch;
    __m256i a0 = _mm256_setzero_si256(), b0 = a0, a1 = a0, b1 = a0, a2 = a0, b2 = a0, a3 = a0, b3 = a0;
    for (size_t i = 0; i < 2 * pairs; i += 2, columns += 2 * FRAMES) {
        const __m256i xa = zq_load_once(columns), xb = zq_load_once(columns + 16);
        const __m256i v0 = zq_two_weights(w0 + i), v1 = zq_two_weights(w1 + i);
        const __m256i v2 = zq_two_weights(w2 + i), v3 = zq_two_weights(w3 + i);
        a0 = zq_add_products(a0, xa, v0), b0 = zq_add_products(b0, xb, v0);
        a1 = zq_add_products(a1, xa, v1), b1 = zq_add_products(b1, xb, v1);
        a2 = zq_add_products(a2, xa, v2), b2 = zq_add_products(b2, xb, v2);
        a3 = zq_add_products(a3, xa, v3), b3 = zq_add_products(b3, xb, v3);
    }
    const __m256i a[ROWS] = {a0, a1, a2, a3}, b[ROWS] = {b0, b1, b2, b3};
    for (size_t r = 0; r < ROWS; r++) {
        zq_store_vector(acc + r * acc_pitch, _mm256_permute2x128_si256(a[r], b[r], 0x20));
        zq_store_vector(acc + r * acc_pitch + 8, _mm256_permute2x128_si256(a[r], b[r], 0x31));
    }
}

/* weight[r][2 * pairs] = row o + r as 16-bit values, for `count` rows. The last row is repeated to fill a whole
 * block. */
ZQ_TARGET static void widen(const zq_step *step, int32_t o, int32_t count, size_t taps, size_t pairs, int16_t *weight)
{
    for (int32_t r = 0; r < zq_ceil_div(count, ROWS) * ROWS; r++, weight += 2 * pairs) {
        const int8_t *row = step->params.conv.weight + (size_t)(o + zq_min(r, count - 1)) * taps;
        weight[2 * pairs - 1] = 0;
        for (size_t tap = 0; tap < taps; tap++) weight[tap] = row[tap];
    }
}

ZQ_TARGET void zq_avx2_dense(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    const int32_t maps = zq_maps_out(state->program, step), rows = zq_rows_out(step);
    const size_t taps = zq_taps(state->program, step), pairs = pairs_of(state->program, step);
    int32_t *acc = scratch;
    int16_t *columns = (int16_t *)(acc + ZQ_CHUNK * ZQ_TILE), *weight = columns + pairs * 2 * ZQ_TILE;
    int32_t im2col_place = -1;
    for (int32_t unit = first; unit < last; unit++) {
        const zq_dense_unit u = zq_dense_unit_of(state->program, step, unit);
        const int32_t o = u.group * maps + u.first, count = u.last - u.first;
        if (u.place != im2col_place) im2col(state, step, &u, columns);
        im2col_place = u.place;
        widen(step, o, count, taps, pairs, weight);
        for (int32_t part = 0; part < ZQ_TILE / FRAMES; part++)
            for (int32_t r = 0; r < count; r += ROWS)
                zq_avx2_block(columns + (size_t)part * pairs * 2 * FRAMES, weight + (size_t)r * 2 * pairs, 2 * pairs,
                              pairs, acc + r * ZQ_TILE + part * FRAMES, ZQ_TILE);
        for (int32_t r = 0; r < count; r++)
            zq_avx2_epilogue(state, step, o + r, (o + r) * rows + u.row, u.t0, acc + r * ZQ_TILE);
    }
}

/* ---- depthwise: frame 2i + p is the sum over j of row[2 * (i + j) .. + 1] * kernel[2 * j - p .. + 1] ---- */

/* Pairs in the kernel of one phase of the stride: taps at k * dilation / stride, zeros between. */
static size_t groups_of(const zq_step *step)
{
    const zq_conv_params *conv = &step->params.conv;
    return ((size_t)conv->dilation * (size_t)(conv->kernel - 1) / (size_t)conv->stride + 1 + 1 + 1) / 2;
}

/* Kernels that are mostly zeros between the taps use the portable kernel. */
static int is_dense_enough(const zq_step *step)
{
    const zq_conv_params *conv = &step->params.conv;
    return (uint64_t)conv->stride * (FRONT + 2 * (uint64_t)groups_of(step)) <= 32 + 4 * (uint64_t)conv->kernel;
}

static size_t phase_numbers(const zq_step *step, int32_t frames_y)
{
    return (size_t)zq_ceil_div(frames_y, ZQ_TILE) * ZQ_TILE + 2 * groups_of(step);
}

static uint64_t depthwise_scratch(const zq_program *program, const zq_step *step, int32_t frames_y)
{
    (void)program;
    if (!is_dense_enough(step)) return 0;
    return 2 * (uint64_t)step->params.conv.stride * (phase_numbers(step, frames_y) + FRONT + 2 * groups_of(step));
}

/* phases[p][i] = x[i * stride + p - padding], with x = 0 outside 0 .. frames - 1. */
ZQ_TARGET static void lay_out(const char *row, int32_t storage, int32_t frames, const zq_step *step, size_t length,
                              int16_t *phases)
{
    const zq_conv_params *conv = &step->params.conv;
    memset(phases, 0, (size_t)conv->stride * length * 2);
    for (int32_t p = 0; p < conv->stride; p++, phases += length) {
        const int32_t first = p >= conv->padding ? 0 : zq_ceil_div(conv->padding - p, conv->stride);
        const int32_t time = first * conv->stride + p - conv->padding;
        const int32_t fits = (int32_t)length - first;
        const int32_t n = time >= frames ? 0 : zq_min((frames - 1 - time) / conv->stride + 1, fits);
        if (n > 0) zq_widen(row, storage, time, conv->stride, n, phases + first);
    }
}

/* kernels[p][FRONT + i] = tap k, where p = k * dilation % stride and i = k * dilation / stride; the rest stays 0. */
static void lay_out_kernel(const zq_step *step, int32_t o, size_t size, int16_t *kernels)
{
    const zq_conv_params *conv = &step->params.conv;
    const int8_t *weight = conv->weight + (size_t)o * (size_t)conv->kernel;
    for (size_t k = 0; k < (size_t)conv->kernel; k++) {
        const size_t place = k * (size_t)conv->dilation;
        kernels[place % (size_t)conv->stride * size + FRONT + place / (size_t)conv->stride] = weight[k];
    }
}

/* One tile in frame order: lane i of even[v] (p = 0) and odd[v] (p = 1) is frame 16 * v + 2 * i + p. */
ZQ_TARGET static void tile(const zq_step *step, const int16_t *kernel, const int16_t *row, size_t length, int32_t *acc)
{
    const size_t groups = groups_of(step);
    __m256i a0 = _mm256_setzero_si256(), b0 = a0, c0 = a0, d0 = a0, a1 = a0, b1 = a0, c1 = a0, d1 = a0;
    for (int32_t phase = 0; phase < step->params.conv.stride; phase++, row += length, kernel += FRONT + 2 * groups) {
        for (size_t j = 0; j < groups; j++) {
            const int16_t *x = row + 2 * j;
            const __m256i w0 = zq_two_weights(kernel + FRONT + 2 * j), w1 = zq_two_weights(kernel + FRONT + 2 * j - 1);
            const __m256i xa = zq_load_once(x), xb = zq_load_once(x + 16);
            const __m256i xc = zq_load_once(x + 32), xd = zq_load_once(x + 48);
            a0 = zq_add_products(a0, xa, w0), b0 = zq_add_products(b0, xb, w0);
            c0 = zq_add_products(c0, xc, w0), d0 = zq_add_products(d0, xd, w0);
            a1 = zq_add_products(a1, xa, w1), b1 = zq_add_products(b1, xb, w1);
            c1 = zq_add_products(c1, xc, w1), d1 = zq_add_products(d1, xd, w1);
        }
    }
    const __m256i even[4] = {a0, b0, c0, d0}, odd[4] = {a1, b1, c1, d1};
    for (int32_t v = 0; v < 4; v++) {
        const __m256i low = _mm256_unpacklo_epi32(even[v], odd[v]), high = _mm256_unpackhi_epi32(even[v], odd[v]);
        zq_store_vector(acc + 16 * v, _mm256_permute2x128_si256(low, high, 0x20));
        zq_store_vector(acc + 16 * v + 8, _mm256_permute2x128_si256(low, high, 0x31));
    }
}

ZQ_TARGET void zq_avx2_depthwise(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    const zq_conv_params *conv = &step->params.conv;
    if (!is_dense_enough(step)) {
        zq_conv1d_depthwise(state, step, first, last, scratch);
        return;
    }
    const zq_value *x = &state->program->values[step->x[0]];
    const int32_t frames = state->frames[step->y];
    const int32_t rows = state->program->values[step->y].channels / conv->groups; /* outputs per input channel */
    const size_t length = phase_numbers(step, frames), size = FRONT + 2 * groups_of(step);
    int16_t *phases = scratch, *kernels = phases + (size_t)conv->stride * length;
    int32_t laid_out = -1;
    memset(kernels, 0, (size_t)conv->stride * size * 2);
    for (int32_t o = first; o < last; o++) {
        if (o / rows != laid_out)
            lay_out(zq_row(state, step->x[0], o / rows), x->storage, state->frames[step->x[0]], step, length, phases);
        laid_out = o / rows;
        lay_out_kernel(step, o, size, kernels);
        for (int32_t t0 = 0; t0 < frames; t0 += ZQ_TILE) {
            int32_t acc[ZQ_TILE];
            tile(step, kernels, phases + t0, length, acc);
            zq_avx2_epilogue(state, step, o, o, t0, acc);
        }
    }
}

const zq_kernels zq_avx2 = {
    .name = "avx2",
    .entries = {ZQ_AVX2_ENTRIES, [ZQ_KERNEL_CONV_DENSE] = {.run = zq_avx2_dense, .scratch_bytes = dense_scratch},
                [ZQ_KERNEL_CONV1D_DEPTHWISE] = {.run = zq_avx2_depthwise, .scratch_bytes = depthwise_scratch}},
};

#endif
