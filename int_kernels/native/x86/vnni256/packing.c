/* Packing of weights and im2col of inputs, in the order in which the kernels in loops.h read them. */
#include "x86/vnni256/vnni256.h"

#ifdef ZQ_AVXVNNI_TABLES

/* XOR mask for the top bit of each quantized value: signed values enter as x + 128. */
static uint8_t flip_of(const zq_program *program, const zq_step *step)
{
    return program->values[step->x[0]].storage == ZQ_INT8 ? 128 : 0;
}

static int32_t bias_of(const zq_program *program, const zq_step *step, int32_t o, size_t taps)
{
    return zq_shifted_by(step, o, taps, -(int32_t)flip_of(program, step));
}

/* ---- dense ---- */

/* Packed K4 (VNNI) layout: a shifted bias for each output map, then [taps / 4][rows of the block][4] per block of maps
 * ("rows"). Each chunk of ZQ_CHUNK rows is divided into blocks of ZQ_VNNI_ROWS; the last block is smaller. */
uint64_t zq_avxvnni_dense_bytes(const zq_program *program, const zq_step *step)
{
    const uint64_t maps = (uint64_t)zq_maps_out(program, step) * (uint64_t)step->params.conv.groups;
    return maps * (4 + 4 * (uint64_t)zq_avxvnni_quads(program, step));
}

void zq_avxvnni_pack_dense(const zq_program *program, const zq_step *step, void *packed)
{
    const zq_conv_params *conv = &step->params.conv;
    const int32_t rows = zq_maps_out(program, step), maps = rows * conv->groups;
    const size_t quads = zq_avxvnni_quads(program, step), taps = zq_taps(program, step);
    int32_t *bias = packed;
    int8_t *out = (int8_t *)(bias + maps);
    for (int32_t o = 0; o < maps; o++) bias[o] = bias_of(program, step, o, taps);
    for (int32_t o = 0; o < maps;) {
        const int32_t block = zq_avxvnni_block_rows(o % rows, rows);
        for (size_t tap = 0; tap < 4 * quads; tap += 4)
            for (int32_t r = 0; r < block; r++)
                for (size_t i = tap; i < tap + 4; i++)
                    *out++ = (int8_t)(i < taps ? conv->weight[(size_t)(o + r) * taps + i] : 0);
        o += block;
    }
}

uint64_t zq_avxvnni_dense_scratch(const zq_program *program, const zq_step *step, int32_t frames_y)
{
    (void)frames_y;
    return (uint64_t)zq_avxvnni_quads(program, step) * 4 * ZQ_TILE;
}

/* 64 bytes as two vectors: x[start + t * stride] ^ flip, with x = 0 outside 0 .. frames - 1. */
ZQ_TARGET_INLINE void im2col_tap(const uint8_t *x, int32_t frames, int32_t start, int32_t stride, __m256i flip,
                                 __m256i tap[2])
{
    const int is_inside = start >= 0 && start + ZQ_TILE * stride <= frames; /* the common case */
    if (is_inside && stride == 1) {
        tap[0] = zq_load_vector(x + start), tap[1] = zq_load_vector(x + start + 32);
    } else if (is_inside && stride == 2) {
        const __m256i even = _mm256_set1_epi16(255);
        for (int32_t i = 0; i < 2; i++) {
            const __m256i a = _mm256_and_si256(zq_load_vector(x + start + 64 * i), even);
            const __m256i b = _mm256_and_si256(zq_load_vector(x + start + 64 * i + 32), even);
            tap[i] = _mm256_permute4x64_epi64(_mm256_packus_epi16(a, b), 0xD8);
        }
    } else {
        const int32_t first = start >= 0 ? 0 : zq_min(zq_ceil_div(-start, stride), ZQ_TILE);
        const int32_t last = start >= frames ? 0 : zq_min((frames - 1 - start) / stride + 1, ZQ_TILE);
        uint8_t bytes[ZQ_TILE] = {0};
        if (stride == 1 && first < last) memcpy(bytes + first, x + start + first, (size_t)(last - first));
        if (stride > 1)
            for (int32_t t = first; t < last; t++) bytes[t] = x[start + t * stride];
        tap[0] = zq_load_vector(bytes), tap[1] = zq_load_vector(bytes + 32);
    }
    tap[0] = _mm256_xor_si256(tap[0], flip), tap[1] = _mm256_xor_si256(tap[1], flip);
}

/* Transpose four taps of 32 frames to K4 order: 64 bytes for the first 16 frames, the other 16 `apart` bytes later. */
ZQ_TARGET_INLINE void interleave(const __m256i tap[4], size_t apart, uint8_t *columns)
{
    const __m256i order = _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7); /* unpacking then gives frame order */
    __m256i x[4];
    for (int32_t i = 0; i < 4; i++) x[i] = _mm256_permutevar8x32_epi32(tap[i], order);
    const __m256i a = _mm256_unpacklo_epi8(x[0], x[1]), b = _mm256_unpackhi_epi8(x[0], x[1]);
    const __m256i c = _mm256_unpacklo_epi8(x[2], x[3]), d = _mm256_unpackhi_epi8(x[2], x[3]);
    zq_store_vector(columns, _mm256_unpacklo_epi16(a, c));
    zq_store_vector(columns + 32, _mm256_unpackhi_epi16(a, c));
    zq_store_vector(columns + apart, _mm256_unpacklo_epi16(b, d));
    zq_store_vector(columns + apart + 32, _mm256_unpackhi_epi16(b, d));
}

/* im2col: columns[64 / 16][quads][16 frames][4 taps] of the unit's group and tile. */
ZQ_TARGET void zq_avxvnni_im2col(const zq_state *state, const zq_step *step, const zq_dense_unit *unit,
                                 uint8_t *columns)
{
    const zq_conv_params *conv = &step->params.conv;
    const int32_t maps = zq_maps_in(state->program, step);
    const int32_t first = unit->group * maps * conv->height,
                  top = unit->row * conv->stride_height - conv->padding_height;
    /* A pointwise convolution may also read the bytes between the end of a row and the start of the next. */
    const int is_pointwise = conv->kernel == 1 && conv->stride == 1 && conv->padding == 0;
    const int32_t frames = is_pointwise ? state->pitch[step->x[0]] : state->frames[step->x[0]];
    const size_t quads = zq_avxvnni_quads(state->program, step), apart = quads * 4 * ZQ_VNNI_FRAMES;
    const __m256i flip = _mm256_set1_epi8((char)flip_of(state->program, step));
    int32_t c = 0, i = 0, k = 0; /* input map, kernel row, kernel tap over time */
    for (size_t quad = 0; quad < quads; quad++, columns += 4 * ZQ_VNNI_FRAMES) {
        __m256i low[4] = {flip, flip, flip, flip}, high[4] = {flip, flip, flip, flip};
        for (int32_t j = 0; j < 4 && c < maps; j++) {
            const int32_t start = unit->t0 * conv->stride + k * conv->dilation - conv->padding, row = top + i;
            __m256i tap[2] = {flip, flip};
            if (row >= 0 && row < conv->height)
                im2col_tap((const uint8_t *)zq_row(state, step->x[0], first + c * conv->height + row), frames, start,
                           conv->stride, flip, tap);
            low[j] = tap[0], high[j] = tap[1];
            i += ++k == conv->kernel;
            k = k == conv->kernel ? 0 : k;
            c += i == conv->kernel_height;
            i = i == conv->kernel_height ? 0 : i;
        }
        interleave(low, apart, columns);
        interleave(high, apart, columns + 2 * apart);
    }
}

/* ---- depthwise ---- */

static uint64_t kernel_bytes(const zq_step *step)
{
    return (uint64_t)step->params.conv.stride * (ZQ_VNNI_FRONT + 4 * (uint64_t)zq_avxvnni_groups(step));
}

/* Packed: [C_out] shifted bias, then [C_out][stride][ZQ_VNNI_FRONT + 4 * groups]. Kernels that are mostly zeros between
 * the taps use the portable kernel. */
uint64_t zq_avxvnni_depthwise_bytes(const zq_program *program, const zq_step *step)
{
    if (kernel_bytes(step) > 64 + 8 * (uint64_t)step->params.conv.kernel) return 0;
    return (uint64_t)program->values[step->y].channels * (4 + kernel_bytes(step));
}

void zq_avxvnni_pack_depthwise(const zq_program *program, const zq_step *step, void *packed)
{
    const zq_conv_params *conv = &step->params.conv;
    const int32_t channels = program->values[step->y].channels;
    const size_t stride = (size_t)conv->stride, size = (size_t)kernel_bytes(step), taps = (size_t)conv->kernel;
    int32_t *bias = packed;
    int8_t *kernels = (int8_t *)(bias + channels);
    memset(kernels, 0, (size_t)channels * size);
    for (int32_t o = 0; o < channels; o++, kernels += size) {
        bias[o] = bias_of(program, step, o, taps);
        for (size_t k = 0; k < taps; k++) {
            const size_t place = k * (size_t)conv->dilation;
            kernels[place % stride * (size / stride) + ZQ_VNNI_FRONT + place / stride] =
                conv->weight[(size_t)o * taps + k];
        }
    }
}

/* Bytes of one phase of the row, up to the last that the last group reads for the last whole tile. */
size_t zq_avxvnni_phase_bytes(const zq_step *step, int32_t frames_y)
{
    return (size_t)zq_ceil_div(frames_y, ZQ_TILE) * ZQ_TILE + 4 * zq_avxvnni_groups(step);
}

uint64_t zq_avxvnni_depthwise_scratch(const zq_program *program, const zq_step *step, int32_t frames_y)
{
    if (!zq_avxvnni_depthwise_bytes(program, step)) return 0;
    return (uint64_t)step->params.conv.stride * zq_avxvnni_phase_bytes(step, frames_y);
}

ZQ_TARGET void zq_avxvnni_lay_out(const zq_state *state, const zq_step *step, int32_t channel, uint8_t *phases)
{
    const zq_conv_params *conv = &step->params.conv;
    const uint8_t *x = (const uint8_t *)zq_row(state, step->x[0], channel);
    const size_t length = zq_avxvnni_phase_bytes(step, state->frames[step->y]);
    zq_lay_out_phases(x, state->frames[step->x[0]], -conv->padding, conv->stride, flip_of(state->program, step), length,
                      phases);
}

#endif
