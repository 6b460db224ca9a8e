/* Shared by the AVX-512 VNNI kernels: one row of one tile, from accumulators to quantized values in memory.
 *
 * VPDPBUSD adds four products of an unsigned and a signed byte to each 32-bit lane, modulo 2^32 and without
 * saturation. Activations are the unsigned operand. Signed activations enter as x + 128, and -128 * sum(weight) is
 * added to the bias. Intermediate sums may wrap: the true result fits 32 bits (SPEC 5), so it is exact.
 *
 * The frames of a tile are in four vectors. "Tile order" is the order that packing to bytes undoes: of 64 frames,
 * 16-byte lane l of vector v holds frames 16 * l + 4 * v .. + 3. A shorter tile, the last one of an utterance, has
 * n / 8 half vectors ("halves", rounded up), filled in the same order of lanes: first l, then v. In "plain order"
 * vector v holds frames 16 * v .. + 15. */
#ifndef ZQ_AVX512VNNI_H
#define ZQ_AVX512VNNI_H

#include "core/kernels.h"

#ifdef ZQ_X86_TABLES
#include <immintrin.h>

#define ZQ_TARGET __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")))
#define ZQ_TARGET_INLINE static inline __attribute__((always_inline)) ZQ_TARGET

zq_packed_size zq_avx512vnni_dense_bytes, zq_avx512vnni_depthwise_bytes;
zq_packer zq_avx512vnni_pack_dense, zq_avx512vnni_pack_depthwise;
zq_scratch_size zq_avx512vnni_dense_scratch, zq_avx512vnni_depthwise_scratch, zq_avx512vnni_attention_scratch;
zq_kernel zq_avx512vnni_dense, zq_avx512vnni_depthwise, zq_avx512vnni_sum, zq_avx512vnni_attention;
zq_kernel zq_avx512vnni_activation, zq_avx512vnni_layer_norm;
zq_unit_count zq_avx512vnni_sum_units;
zq_packed_k4_use zq_avx512vnni_sum_writes;

/* Bias and requantize parameters of an output channel. The shift is that of zq_rescale_high. Multiplier and shift
 * are 0 unless zq_has_high_shifts. */
typedef struct {
    int32_t bias, multiplier, shift;
} zq_requant_params;

/* Frame orders other than tile order, passed in place of a number of halves. */
enum { ZQ_PLAIN = 0, ZQ_PHASED = -1 };

/* Rows of one tile of a dense convolution: `rows` output maps from o on. */
typedef struct {
    const zq_step *step;
    const zq_requant_params *numbers; /* [rows] */
    const int8_t *weight;             /* [rows][quads][4] */
    const uint8_t *columns;           /* the operand of quad q starts at columns + places[q] */
    const size_t *places;             /* [quads] */
    size_t quads;                     /* groups of four taps */
    int32_t is_plain;                 /* frames are in plain order, else in tile order */
    int32_t o, rows, halves, n;       /* n: frames */
    int32_t storage;                  /* of y */
    char *y;                          /* row o, first frame of the tile */
    size_t pitch;                     /* bytes between rows */
} zq_tile_rows;

/* Frames that the kernel taps of `tiles` tiles read, rounded up to whole vectors. */
static inline int32_t zq_window_frames(const zq_step *step, int32_t tiles)
{
    const zq_conv_params *conv = &step->params.conv;
    return zq_ceil_div(tiles * ZQ_TILE + (conv->kernel - 1) * conv->dilation, 64) * 64;
}

/* True for a direct convolution: the inputs of a tile are packed once for all taps, in no more bytes than by
 * im2col. A dword has four channels, not four taps of one channel. */
static inline int zq_is_windowed(const zq_program *program, const zq_step *step)
{
    const zq_conv_params *conv = &step->params.conv;
    return step->op == ZQ_CONV1D && conv->kernel > 1 && conv->stride == 1 && conv->dilation <= ZQ_TILE &&
           zq_maps_in(program, step) % 4 == 0;
}

/* Pack the inputs of one unit of a dense convolution: by im2col for every tap, in tile order (im2col.c), or once
 * for all taps of a direct convolution, in plain order (direct_conv.c). im2col XORs every value with the flip
 * (zq_flip_of, or 0). */
void zq_avx512vnni_im2col(const zq_state *state, const zq_step *step, const zq_dense_unit *unit, int32_t halves,
                          uint8_t flip, uint8_t *columns);
void zq_avx512vnni_window(const zq_state *state, const zq_step *step, const zq_dense_unit *unit, uint8_t *columns);

/* Compute rows of y, a few at a time, for tiles of any width (blocks.c). */
void zq_avx512vnni_blocks(const zq_tile_rows *rows);

/* The same for many rows of a whole tile, software-pipelined, where possible (dense_pipelined.c). Returns the
 * number of rows computed. */
int32_t zq_avx512vnni_dense_pipelined(const zq_tile_rows *rows);

/* Conversion of quantized values to unsigned bytes: x ^ flip = x + 128 for signed values. */
static inline uint8_t zq_flip_of(int32_t storage)
{
    return storage == ZQ_INT8 ? 128 : 0;
}

/* bias[o] - 128 * sum(weight) for signed activations, else bias[o]; modulo 2^32. */
static inline int32_t zq_shifted_bias(const zq_step *step, int32_t storage, int32_t o, size_t taps)
{
    const zq_conv_params *conv = &step->params.conv;
    const int8_t *weight = conv->weight + (size_t)o * taps;
    int64_t sum = 0;
    for (size_t tap = 0; tap < taps; tap++) sum += weight[tap];
    return (int32_t)(uint32_t)(conv->bias[o] - (storage == ZQ_INT8 ? 128 * sum : 0));
}

/* True if every output channel's ratio is a multiplier / 2^33 or less. Only the high halves of products matter
 * then. */
static inline int zq_has_high_shifts(const zq_step *step, int32_t channels)
{
    for (int32_t o = 0; o < channels; o++)
        if (!step->multiplier || step->shift[o] < 33) return 0;
    return 1;
}

/* Bias and requantize parameters of `channels` output channels. storage: of x. */
static inline void zq_pack_requant_params(const zq_step *step, int32_t storage, int32_t channels, size_t taps,
                                          zq_requant_params *numbers)
{
    const int is_high = zq_has_high_shifts(step, channels);
    for (int32_t o = 0; o < channels; o++) {
        const int32_t bias = zq_shifted_bias(step, storage, o, taps);
        numbers[o] = (zq_requant_params){bias, is_high ? step->multiplier[o] : 0, is_high ? step->shift[o] - 32 : 0};
    }
}

/* acc += the four products of each lane. Inline assembly, because with the intrinsic gcc 12 copies and spills
 * accumulators. */
ZQ_TARGET_INLINE void zq_dot(__m512i *acc, __m512i activations, __m512i weights)
{
    __asm__("vpdpbusd %2,%1,%0" : "+v"(*acc) : "v"(activations), "v"(weights));
}

/* The same for the lower half of the lanes; the upper half becomes 0. */
ZQ_TARGET_INLINE void zq_dot_low(__m512i *acc, __m512i activations, __m512i weights)
{
    __asm__("vpdpbusd %t2,%t1,%t0" : "+v"(*acc) : "v"(activations), "v"(weights));
}

/* Broadcast four weights to every lane. */
ZQ_TARGET_INLINE __m512i zq_four_weights(const int8_t *weight)
{
    int32_t four;
    memcpy(&four, weight, 4);
    return _mm512_set1_epi32(four);
}

/* Requantize constants of one row. */
typedef struct {
    __m512i multiplier, half, shift;
    int32_t is_wide; /* the shift is 32 or less: all 64 bits of the products are needed */
} zq_rescaler;

ZQ_TARGET_INLINE zq_rescaler zq_rescaler_of(const zq_step *step, int32_t o)
{
    const int32_t shift = step->shift[o];
    zq_rescaler r;
    r.is_wide = shift < 33;
    r.multiplier = _mm512_set1_epi32(step->multiplier[o]);
    r.half = r.is_wide ? _mm512_set1_epi64((int64_t)1 << (shift - 1)) : _mm512_set1_epi32((int32_t)1 << (shift - 33));
    r.shift = r.is_wide ? _mm512_set1_epi64(shift) : _mm512_set1_epi32(shift - 32);
    return r;
}

/* Join the low halves of 64-bit numbers: even lanes from `even`, odd lanes from `odd`. */
ZQ_TARGET_INLINE __m512i zq_join_low(__m512i even, __m512i odd)
{
    return _mm512_mask_shuffle_epi32(even, 0xAAAA, odd, _MM_PERM_CCAA);
}

/* Join the high halves of 64-bit numbers in the same way. */
ZQ_TARGET_INLINE __m512i zq_join_high(__m512i even, __m512i odd)
{
    return _mm512_mask_shuffle_epi32(odd, 0x5555, even, _MM_PERM_CDAB);
}

/* rescale(acc) for a shift of 33 or more: floor((high * 2^32 + low + 2^(r-1)) / 2^r) needs only the high half. */
ZQ_TARGET_INLINE __m512i zq_rescale_high(const zq_rescaler *r, __m512i acc)
{
    const __m512i even = _mm512_mul_epi32(acc, r->multiplier);
    const __m512i odd = _mm512_mul_epi32(_mm512_srli_epi64(acc, 32), r->multiplier);
    return _mm512_srav_epi32(_mm512_add_epi32(zq_join_high(even, odd), r->half), r->shift);
}

/* Requantize constants from a channel's packed parameters. */
ZQ_TARGET_INLINE zq_rescaler zq_rescaler_packed(const zq_requant_params *numbers)
{
    const __m512i shift = _mm512_set1_epi32(numbers->shift);
    const __m512i half = _mm512_srli_epi32(_mm512_sllv_epi32(_mm512_set1_epi32(1), shift), 1);
    return (zq_rescaler){_mm512_set1_epi32(numbers->multiplier), half, shift, 0};
}

ZQ_TARGET_INLINE __m512i zq_rescale_packed(const zq_requant_params *numbers, __m512i acc)
{
    const zq_rescaler r = zq_rescaler_packed(numbers);
    return zq_rescale_high(&r, acc);
}

/* Join 64-bit numbers of even and odd lanes, saturated to 32 bits. */
ZQ_TARGET_INLINE __m512i zq_narrow(__m512i even, __m512i odd)
{
    const __m512i order = _mm512_setr_epi32(0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
    const __m256i a = _mm512_cvtsepi64_epi32(even), b = _mm512_cvtsepi64_epi32(odd);
    return _mm512_permutexvar_epi32(order, _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1));
}

/* (v + half) >> shift in 64 bits for even and odd lanes, then saturated to 32 bits. */
ZQ_TARGET_INLINE __m512i zq_round_wide(__m512i even, __m512i odd, __m512i half, __m512i shift)
{
    return zq_narrow(_mm512_srav_epi64(_mm512_add_epi64(even, half), shift),
                     _mm512_srav_epi64(_mm512_add_epi64(odd, half), shift));
}

/* rescale(acc), saturated to 32 bits, for any shift. */
ZQ_TARGET_INLINE __m512i zq_rescale_wide(const zq_rescaler *r, __m512i acc)
{
    const __m512i even = _mm512_mul_epi32(acc, r->multiplier);
    const __m512i odd = _mm512_mul_epi32(_mm512_srli_epi64(acc, 32), r->multiplier);
    return zq_round_wide(even, odd, r->half, r->shift);
}

/* Mask of the first n of 64 bytes. */
ZQ_TARGET_INLINE __mmask64 zq_first_bytes(int32_t n)
{
    return n >= 64 ? ~(__mmask64)0 : n <= 0 ? 0 : ((__mmask64)1 << n) - 1;
}

/* Mask of the first n of 16 numbers. */
ZQ_TARGET_INLINE __mmask16 zq_first_numbers(int32_t n)
{
    return (__mmask16)(n >= 16 ? 0xFFFF : n <= 0 ? 0 : (1 << n) - 1);
}

/* Load 16 numbers of a row from frame t on; those outside the mask are 0. */
ZQ_TARGET_INLINE __m512i zq_load_numbers(const char *row, int32_t storage, int32_t t, __mmask16 mask)
{
    if (storage == ZQ_INT32) return _mm512_maskz_loadu_epi32(mask, (const int32_t *)row + t);
    if (storage == ZQ_INT16) return _mm512_cvtepi16_epi32(_mm256_maskz_loadu_epi16(mask, (const int16_t *)row + t));
    const __m128i codes = _mm_maskz_loadu_epi8(mask, row + t);
    return storage == ZQ_INT8 ? _mm512_cvtepi8_epi32(codes) : _mm512_cvtepu8_epi32(codes);
}

/* Store the numbers inside the mask to a row, from frame t on. */
ZQ_TARGET_INLINE void zq_store_vector(char *row, int32_t storage, int32_t t, __mmask16 mask, __m512i numbers)
{
    if (storage == ZQ_INT32)
        _mm512_mask_storeu_epi32((int32_t *)row + t, mask, numbers);
    else if (storage == ZQ_INT16)
        _mm512_mask_cvtepi32_storeu_epi16((int16_t *)row + t, mask, numbers);
    else
        _mm512_mask_cvtepi32_storeu_epi8(row + t, mask, numbers);
}

/* Convert tile order to plain order or back: transpose the 16-byte lanes. */
ZQ_TARGET_INLINE void zq_transpose_lanes(__m512i v[4])
{
    const __m512i a = _mm512_shuffle_i32x4(v[0], v[1], 0x44), b = _mm512_shuffle_i32x4(v[0], v[1], 0xEE);
    const __m512i c = _mm512_shuffle_i32x4(v[2], v[3], 0x44), d = _mm512_shuffle_i32x4(v[2], v[3], 0xEE);
    v[0] = _mm512_shuffle_i32x4(a, c, 0x88);
    v[1] = _mm512_shuffle_i32x4(a, c, 0xDD);
    v[2] = _mm512_shuffle_i32x4(b, d, 0x88);
    v[3] = _mm512_shuffle_i32x4(b, d, 0xDD);
}

/* Transpose 4 x 4 numbers within each 16-byte lane: number i of vector j becomes number j of vector i. */
ZQ_TARGET_INLINE void zq_transpose_numbers(__m512i v[4])
{
    const __m512i a = _mm512_unpacklo_epi32(v[0], v[1]), b = _mm512_unpackhi_epi32(v[0], v[1]);
    const __m512i c = _mm512_unpacklo_epi32(v[2], v[3]), d = _mm512_unpackhi_epi32(v[2], v[3]);
    v[0] = _mm512_unpacklo_epi64(a, c);
    v[1] = _mm512_unpackhi_epi64(a, c);
    v[2] = _mm512_unpacklo_epi64(b, d);
    v[3] = _mm512_unpackhi_epi64(b, d);
}

/* Transpose 16 vectors of 16 numbers: v[i] lane j = v[j] lane i. */
ZQ_TARGET_INLINE void zq_transpose_16(__m512i v[16])
{
    __m512i out[16];
    for (int32_t g = 0; g < 16; g += 4) zq_transpose_numbers(v + g);
    for (int32_t k = 0; k < 4; k++) {
        __m512i lanes[4] = {v[k], v[4 + k], v[8 + k], v[12 + k]};
        zq_transpose_lanes(lanes);
        for (int32_t l = 0; l < 4; l++) out[4 * l + k] = lanes[l];
    }
    for (int32_t i = 0; i < 16; i++) v[i] = out[i];
}

/* Interleave four rows of 64 bytes: byte i of each row forms one dword, in tile order. */
ZQ_TARGET_INLINE void zq_interleave(__m512i v[4])
{
    const __m512i a = _mm512_unpacklo_epi8(v[0], v[1]), b = _mm512_unpackhi_epi8(v[0], v[1]);
    const __m512i c = _mm512_unpacklo_epi8(v[2], v[3]), d = _mm512_unpackhi_epi8(v[2], v[3]);
    v[0] = _mm512_unpacklo_epi16(a, c);
    v[1] = _mm512_unpackhi_epi16(a, c);
    v[2] = _mm512_unpacklo_epi16(b, d);
    v[3] = _mm512_unpackhi_epi16(b, d);
}

/* Permutation of the frames of a tile for which zq_interleave leaves the first 32 in v[0] and v[1]: frames 8 * l +
 * 0..3 and + 4..7 in lane l. */
ZQ_TARGET_INLINE __m512i zq_halves_apart(void)
{
    return _mm512_setr_epi32(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15);
}

ZQ_TARGET_INLINE __m512i zq_flip(int32_t storage)
{
    return _mm512_set1_epi8((char)zq_flip_of(storage));
}

/* Load and interleave up to four channels of a value from `first` on: v[i] = frames t + 16 * i .. + 15, each byte
 * XORed with its flip. Frames outside 0 .. frames - 1 and missing channels are the flip alone. */
ZQ_TARGET_INLINE void zq_load_quad(const zq_state *state, int32_t value, int32_t first, int32_t channels, int32_t t,
                                   __m512i flip, __m512i v[4])
{
    const __mmask64 mask = zq_first_bytes(state->frames[value] - t) & ~zq_first_bytes(-t);
    for (int32_t i = 0; i < 4; i++)
        v[i] = i < channels ? _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, zq_row(state, value, first + i) + t), flip)
                            : flip;
    zq_interleave(v);
    zq_transpose_lanes(v); /* to plain order */
}

/* Transpose 4 x 4 bytes within each 16-byte lane: byte i of dword j becomes byte j of dword i. */
ZQ_TARGET_INLINE __m512i zq_transpose_bytes(__m512i v)
{
    const __m128i order = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_shuffle_epi8(v, _mm512_broadcast_i32x4(order));
}

/* Permutations between the dwords of a row and tile order, where index 4 * l + v is lane l of vector v.
 * to_tile[index] is the dword of the row that moves to that index. to_plain is the inverse. */
ZQ_TARGET_INLINE void zq_tile_order(int32_t halves, int32_t to_tile[16], int32_t to_plain[16])
{
    int32_t used = 0;
    for (int32_t place = 0; place < 16; place++) {
        const int32_t l = place / 4, v = place % 4, is_used = 2 * v + l / 2 < halves;
        to_tile[place] = is_used ? used : 0;
        if (is_used) to_plain[used++] = place;
    }
    while (used < 16) to_plain[used++] = 0;
}

/* Permutation that restores the frame order after zq_pack_codes. */
ZQ_TARGET_INLINE __m512i zq_to_plain_order(int32_t halves)
{
    int32_t to_tile[16], to_plain[16];
    if (halves == ZQ_PLAIN) return _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    zq_tile_order(halves, to_tile, to_plain);
    return _mm512_loadu_si512(to_plain);
}

/* Store 64 bytes at y in two halves. On processors with 32-byte stores this costs the products around it nothing,
 * while a store of a whole vector takes issue slots of the multipliers (Zen 4: 1.6). */
ZQ_TARGET_INLINE void zq_store_whole(char *y, __m512i v)
{
    __asm__("vextracti64x4 $0,%1,%0" : "=m"(*(char(*)[32])y) : "v"(v));
    __asm__("vextracti64x4 $1,%1,%0" : "=m"(*(char(*)[32])(y + 32)) : "v"(v));
}

/* Store n bytes at y. */
ZQ_TARGET_INLINE void zq_store_bytes(char *y, int32_t n, __m512i bytes)
{
    if (n >= 64)
        zq_store_whole(y, bytes);
    else
        _mm512_mask_storeu_epi8(y, zq_first_bytes(n), bytes);
}

/* Pack numbers in tile order to 64 quantized bytes, saturated to lo .. hi (in each byte, within the range of the
 * type). */
ZQ_TARGET_INLINE __m512i zq_pack_codes(int32_t storage, const __m512i v[4], __m512i lo, __m512i hi)
{
    const __m512i a = _mm512_packs_epi32(v[0], v[1]), b = _mm512_packs_epi32(v[2], v[3]);
    if (storage == ZQ_INT8) return _mm512_min_epi8(_mm512_max_epi8(_mm512_packs_epi16(a, b), lo), hi);
    return _mm512_min_epu8(_mm512_max_epu8(_mm512_packus_epi16(a, b), lo), hi);
}

/* Epilogue of one row of a tile, if all shifts are high: requantize the accumulators to n bytes at y. */
ZQ_TARGET_INLINE void zq_codes_epilogue(int32_t storage, const zq_requant_params *numbers, __m512i v[4], __m512i lo,
                                        __m512i hi, __m512i to_plain, char *y, int32_t n)
{
    for (int32_t i = 0; i < 4; i++) v[i] = zq_rescale_packed(numbers, v[i]);
    zq_store_bytes(y, n, _mm512_permutexvar_epi32(to_plain, zq_pack_codes(storage, v, lo, hi)));
}

/* Store numbers in tile order as n numbers of 32 or 16 bits at y. halves: ZQ_PLAIN if they are in plain order. */
ZQ_TARGET_INLINE void zq_store_numbers(__m512i v[4], int32_t storage, int32_t halves, char *y, int32_t n)
{
    if (halves != ZQ_PLAIN) zq_transpose_lanes(v);
    for (int32_t l = 0, t = 0; l < 4; l++) {
        const int32_t count = halves == ZQ_PLAIN ? 16 : 4 * ((halves - l / 2 + 1) / 2); /* frames now in vector l */
        const __mmask16 mask = zq_first_numbers(zq_min(count, n - t));
        if (storage == ZQ_INT32 && mask == 0xFFFF)
            zq_store_whole(y + 4 * t, v[l]);
        else
            zq_store_vector(y, storage, t, mask, v[l]);
        t += count;
    }
}

/* Epilogue of one row of a tile: requantize the accumulators with the ratio of output map o and store n frames at
 * y. halves: of tile order; ZQ_PLAIN; or ZQ_PHASED: v[p] holds frames 4 * i + p, i = 0..15. to_plain:
 * zq_to_plain_order(halves), unused for ZQ_PHASED. */
ZQ_TARGET_INLINE void zq_row_epilogue(const zq_step *step, int32_t storage, int32_t o, int32_t halves, __m512i to_plain,
                                      char *y, int32_t n, __m512i v[4])
{
    const int is_code = storage == ZQ_INT8 || storage == ZQ_UINT8;
    if (step->multiplier) {
        const zq_rescaler r = zq_rescaler_of(step, o);
        if (r.is_wide)
            for (int32_t i = 0; i < 4; i++) v[i] = zq_rescale_wide(&r, v[i]);
        else
            for (int32_t i = 0; i < 4; i++) v[i] = zq_rescale_high(&r, v[i]);
        if (!is_code) {
            const __m512i lo = _mm512_set1_epi32(step->clip_lo), hi = _mm512_set1_epi32(step->clip_hi);
            for (int32_t i = 0; i < 4; i++) v[i] = _mm512_min_epi32(_mm512_max_epi32(v[i], lo), hi);
        }
    }
    if (!is_code) {
        if (halves == ZQ_PHASED) zq_transpose_numbers(v);
        zq_store_numbers(v, storage, halves == ZQ_PHASED ? 8 : halves, y, n);
        return;
    }
    __m512i codes =
        zq_pack_codes(storage, v, _mm512_set1_epi8((char)step->clip_lo), _mm512_set1_epi8((char)step->clip_hi));
    codes = halves == ZQ_PHASED ? zq_transpose_bytes(codes) : _mm512_permutexvar_epi32(to_plain, codes);
    zq_store_bytes(y, n, codes);
}

#endif
#endif
