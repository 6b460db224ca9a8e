/* Kernels with VPDPBUSD on 256-bit vectors, for processors that have it without AVX-512.
 *
 * VPDPBUSD adds four products of an unsigned and a signed byte to each 32-bit lane, modulo 2^32 and without
 * saturation. Activations are the unsigned operand. Signed activations enter as x + 128, and -128 * sum(weight) is
 * added to the bias.
 *
 * AVX-VNNI (VEX) and AVX-512 (EVEX) encode the same instruction differently. loops.h is compiled once per encoding
 * (table.c, avx512vl_table.c), so that a processor with either one tests the same kernels against the reference. Only
 * VPDPBUSD differs; everything else is AVX2. */
#ifndef ZQ_AVXVNNI_H
#define ZQ_AVXVNNI_H

#include "x86/avx2/avx2.h"

#ifdef ZQ_AVXVNNI_TABLES

enum {
    ZQ_VNNI_ROWS = 6,    /* output channels per block of the dense kernel: 12 accumulators, 2 inputs, 1 weight */
    ZQ_VNNI_FRAMES = 16, /* frames per block of the dense kernel */
    ZQ_VNNI_FRONT = 4    /* zeros before each depthwise kernel */
};

/* Shared by both tables: packing, im2col and the layout of depthwise inputs. */
zq_packed_size zq_avxvnni_dense_bytes, zq_avxvnni_depthwise_bytes;
zq_packer zq_avxvnni_pack_dense, zq_avxvnni_pack_depthwise;
zq_scratch_size zq_avxvnni_dense_scratch, zq_avxvnni_depthwise_scratch;
void zq_avxvnni_im2col(const zq_state *state, const zq_step *step, const zq_dense_unit *unit, uint8_t *columns);
void zq_avxvnni_lay_out(const zq_state *state, const zq_step *step, int32_t channel, uint8_t *phases);
size_t zq_avxvnni_phase_bytes(const zq_step *step, int32_t frames_y);

/* Epilogue, shared too, with the requantization parameters of each output map: frames t .. t + n - 1, n <= 16, of row
 * row_y of maps o .. o + rows - 1. Each map has two vectors of eight frames in frame order. */
void zq_avxvnni_epilogue_plain(const zq_state *state, const zq_step *step, int32_t o, int32_t rows, int32_t row_y,
                               int32_t t, int32_t n, __m256i *acc);
/* Epilogue of `count` times 32 frames of channel o, from t0 on. Each 32 frames are four vectors: lane i of vector p
 * holds frame 4 * i + p. */
void zq_avxvnni_epilogue_phases(const zq_state *state, const zq_step *step, int32_t o, int32_t t0, int32_t count,
                                __m256i *acc);

/* K4 blocks (four taps each) of a dense convolution. */
ZQ_INLINE size_t zq_avxvnni_quads(const zq_program *program, const zq_step *step)
{
    return (zq_taps(program, step) + 3) / 4;
}

/* Number of rows in the block that starts at row `row` of a group of `rows`. */
ZQ_INLINE int32_t zq_avxvnni_block_rows(int32_t row, int32_t rows)
{
    const int32_t end = zq_min((row / ZQ_CHUNK + 1) * ZQ_CHUNK, rows);
    return zq_min(ZQ_VNNI_ROWS, end - row);
}

/* K4 blocks in the kernel of one phase of a depthwise convolution's stride: taps at k * dilation / stride, zeros
 * between. The most shifted of the four copies of the kernel starts 3 later. */
ZQ_INLINE size_t zq_avxvnni_groups(const zq_step *step)
{
    const zq_conv_params *conv = &step->params.conv;
    return ((size_t)conv->dilation * (size_t)(conv->kernel - 1) / (size_t)conv->stride + 1 + 3 + 3) / 4;
}

/* Broadcast four weights to every 32-bit lane. */
ZQ_TARGET_INLINE __m256i zq_four_weights(const int8_t *weight)
{
    int32_t four;
    memcpy(&four, weight, 4);
    return _mm256_set1_epi32(four);
}

#endif
#endif
