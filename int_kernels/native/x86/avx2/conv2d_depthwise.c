/* conv2d with one input map per group and a stride of 2 in time, for AVX2. It is used to subsample feature maps before
 * an encoder.
 *
 * The input rows that a row of y reads are laid out as 16-bit values with their padding. Since the stride is 2, the
 * pairs of taps that VPMADDWD multiplies are adjacent: y[t] is the sum over the rows and j of
 * row[2 * (t + j) .. + 1] * kernel[2 * j .. + 1]. */
#include "x86/avx2/avx2.h"

#ifdef ZQ_X86_TABLES

enum { ROWS = 7, PAIRS = 4 }; /* extents of the largest kernel for which this is faster */

static int is_fast(const zq_step *step)
{
    const zq_conv_params *conv = &step->params.conv;
    return conv->stride == 2 && conv->kernel <= 2 * PAIRS && conv->kernel_height <= ROWS;
}

/* Values in one row, up to the last that the last pair reads for the last whole tile. */
static size_t row_numbers(int32_t frames_y)
{
    return 2 * ((size_t)zq_ceil_div(frames_y, ZQ_TILE) * ZQ_TILE + PAIRS);
}

uint64_t zq_avx2_conv2d_depthwise_scratch(const zq_program *program, const zq_step *step, int32_t frames_y)
{
    (void)program;
    return is_fast(step) ? ROWS * row_numbers(frames_y) * 2 : 0;
}

/* rows[i][padding + t] = x[t] for the input rows that row `row_y` of y reads, with zeros around. Rows outside the map
 * are skipped. Returns the first kernel row inside the map; *count is the number of rows. */
ZQ_TARGET static int32_t lay_out(const zq_state *state, const zq_step *step, int32_t map, int32_t row_y, size_t length,
                                 int16_t *rows, int32_t *count)
{
    const zq_conv_params *conv = &step->params.conv;
    const int32_t top = row_y * conv->stride_height - conv->padding_height;
    const int32_t first = top < 0 ? zq_min(-top, conv->kernel_height) : 0;
    const int32_t last = zq_min(conv->kernel_height, conv->height - top);
    const int32_t storage = state->program->values[step->x[0]].storage;
    const int32_t n = zq_min(state->frames[step->x[0]], (int32_t)length - conv->padding);
    for (int32_t i = first; i < last; i++, rows += length) {
        memset(rows, 0, length * 2);
        if (n > 0)
            zq_widen(zq_row(state, step->x[0], map * conv->height + top + i), storage, 0, 1, n, rows + conv->padding);
    }
    *count = last > first ? last - first : 0;
    return first;
}

/* Accumulators of one tile; `row` points to the tile's first input value. */
ZQ_TARGET static void tile(const int16_t kernel[][2 * PAIRS], int32_t rows, int32_t pairs, const int16_t *row,
                           size_t length, int32_t *acc)
{
    __m256i a = _mm256_setzero_si256(), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
    for (int32_t i = 0; i < rows; i++, row += length)
        for (int32_t j = 0; j < pairs; j++) {
            const __m256i w = zq_two_weights(kernel[i] + 2 * j);
            const int16_t *x = row + 2 * j;
            a = zq_add_products(a, zq_load_vector(x), w), b = zq_add_products(b, zq_load_vector(x + 16), w);
            c = zq_add_products(c, zq_load_vector(x + 32), w), d = zq_add_products(d, zq_load_vector(x + 48), w);
            e = zq_add_products(e, zq_load_vector(x + 64), w), f = zq_add_products(f, zq_load_vector(x + 80), w);
            g = zq_add_products(g, zq_load_vector(x + 96), w), h = zq_add_products(h, zq_load_vector(x + 112), w);
        }
    const __m256i all[8] = {a, b, c, d, e, f, g, h};
    for (int32_t i = 0; i < 8; i++) zq_store_vector(acc + 8 * i, all[i]);
}

ZQ_TARGET void zq_avx2_conv2d_depthwise(const zq_state *state, const zq_step *step, int32_t first, int32_t last,
                                        void *scratch)
{
    const zq_conv_params *conv = &step->params.conv;
    if (!is_fast(step)) {
        zq_conv2d_depthwise(state, step, first, last, scratch);
        return;
    }
    const int32_t frames = state->frames[step->y], rows_y = zq_rows_out(step);
    const int32_t maps = zq_maps_out(state->program, step); /* output maps per input map */
    const size_t length = row_numbers(frames), taps = zq_taps(state->program, step);
    for (int32_t channel = first; channel < last; channel++) {
        const int32_t o = channel / rows_y;
        int16_t kernel[ROWS][2 * PAIRS] = {{0}};
        int32_t count;
        const int32_t top = lay_out(state, step, o / maps, channel % rows_y, length, scratch, &count);
        const int8_t *weight = conv->weight + (size_t)o * taps + (size_t)top * (size_t)conv->kernel;
        for (int32_t i = 0; i < count; i++, weight += conv->kernel)
            for (int32_t k = 0; k < conv->kernel; k++) kernel[i][k] = weight[k];
        for (int32_t t0 = 0; t0 < frames; t0 += ZQ_TILE) {
            int32_t acc[ZQ_TILE];
            tile((const int16_t(*)[2 * PAIRS]) kernel, count, (conv->kernel + 1) / 2, (const int16_t *)scratch + 2 * t0,
                 length, acc);
            zq_avx2_epilogue(state, step, o, channel, t0, acc);
        }
    }
}

#endif
