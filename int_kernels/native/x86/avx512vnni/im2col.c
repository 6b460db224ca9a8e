/* im2col of a dense convolution, for AVX-512 VNNI: the inputs of every tap for a tile of up to 64 frames, in the
 * packed K4 layout
 *     columns[taps / 4][vectors][16 frames in tile order][4 taps],
 * as unsigned bytes.
 *
 * Taps are loaded one by one into separate variables: an array filled by a loop would go through memory. */
#include "x86/avx512vnni/avx512vnni.h"

#ifdef ZQ_X86_TABLES

/* 64 bytes of a tap: x[start + t * stride] + flip; x is 0 outside 0 .. frames - 1. */
ZQ_TARGET_INLINE __m512i im2col_tap(const char *x, int32_t frames, int32_t start, int32_t stride, __m512i flip)
{
    if (start >= 0 && stride <= 2 && start + 64 * stride <= frames) { /* common case */
        const __m512i near = _mm512_loadu_si512(x + start);
        if (stride == 1) return _mm512_xor_si512(near, flip);
        const __m256i a = _mm512_cvtepi16_epi8(near), b = _mm512_cvtepi16_epi8(_mm512_loadu_si512(x + start + 64));
        return _mm512_xor_si512(_mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1), flip);
    }
    const int32_t first = start >= 0 ? 0 : zq_min(zq_ceil_div(-start, stride), 64);
    const int32_t last = start >= frames ? first : zq_min((frames - 1 - start) / stride + 1, 64);
    if (last <= first) return flip;
    if (stride == 1) {
        const __mmask64 mask = zq_first_bytes(last) & ~zq_first_bytes(first);
        return _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, x + start), flip);
    }
    if (stride == 2) { /* every other byte of 128 */
        const int32_t from = 2 * first, to = 2 * last - 1;
        const __mmask64 low = zq_first_bytes(to) & ~zq_first_bytes(from);
        const __mmask64 high = zq_first_bytes(to - 64) & ~zq_first_bytes(from - 64);
        const __m256i a = _mm512_cvtepi16_epi8(_mm512_maskz_loadu_epi8(low, x + start));
        const __m256i b = _mm512_cvtepi16_epi8(_mm512_maskz_loadu_epi8(high, x + start + 64));
        return _mm512_xor_si512(_mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1), flip);
    }
    char bytes[64] = {0};
    for (int32_t t = first; t < last; t++) bytes[t] = x[start + t * stride];
    return _mm512_xor_si512(_mm512_loadu_si512(bytes), flip);
}

/* Destination of the packed inputs. A tile of fewer than 8 halves has fewer vectors, and its dwords are permuted
 * first. */
typedef struct {
    uint8_t *columns;
    int32_t vectors, halves;
    __m512i order;
} target;

/* Interleave four rows of frames, in tile order. All four vectors are stored; the next taps overwrite the surplus
 * ones. */
ZQ_TARGET_INLINE void interleave(__m512i tap[4], target *to)
{
    if (to->halves < 8)
        for (int32_t i = 0; i < 4; i++) tap[i] = _mm512_permutexvar_epi32(to->order, tap[i]);
    zq_interleave(tap);
    for (int32_t i = 0; i < 4; i++) _mm512_storeu_si512(to->columns + 64 * i, tap[i]);
    to->columns += 64 * to->vectors;
}

/* kernel = 1, stride = 1, padding = 0: every tap is an input row. */
ZQ_TARGET static void im2col_rows(const char *x, int32_t frames, int32_t pitch, int32_t channels, int32_t t0,
                                  __m512i flip, target to)
{
    const __mmask64 mask = zq_first_bytes(frames - t0);
    int32_t c = 0;
    for (x += t0; c + 4 <= channels; c += 4) {
        __m512i tap[4];
        for (int32_t i = 0; i < 4; i++, x += pitch) {
            tap[i] = _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, x), flip);
            _mm_prefetch(x + 128,
                         _MM_HINT_T1); /* for the next tile: rows are too far apart for the hardware prefetcher */
        }
        interleave(tap, &to);
    }
    if (c < channels) {
        __m512i tap[4] = {flip, flip, flip, flip};
        for (int32_t i = 0; i < channels - c; i++, x += pitch)
            tap[i] = _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, x), flip);
        interleave(tap, &to);
    }
}

/* The next tap of a conv1d: map by map, each over time. After the last map there are zeros. */
ZQ_TARGET_INLINE __m512i next_tap(const zq_step *step, const char **x, size_t pitch, int32_t frames, int32_t *start,
                                  int32_t *k, int32_t *maps, __m512i flip)
{
    const zq_conv_params *conv = &step->params.conv;
    if (*maps == 0) return flip;
    const __m512i tap = im2col_tap(*x, frames, *start, conv->stride, flip);
    *start += conv->dilation;
    if (++*k == conv->kernel) {
        *start -= conv->kernel * conv->dilation;
        *k = 0;
        *x += pitch;
        --*maps;
    }
    return tap;
}

/* conv1d */
ZQ_TARGET static void im2col_taps(const zq_step *step, const char *x, size_t pitch, int32_t frames, int32_t maps,
                                  int32_t start, __m512i flip, target to)
{
    int32_t k = 0;
    while (maps > 0) {
        __m512i tap[4];
        tap[0] = next_tap(step, &x, pitch, frames, &start, &k, &maps, flip);
        tap[1] = next_tap(step, &x, pitch, frames, &start, &k, &maps, flip);
        tap[2] = next_tap(step, &x, pitch, frames, &start, &k, &maps, flip);
        tap[3] = next_tap(step, &x, pitch, frames, &start, &k, &maps, flip);
        interleave(tap, &to);
    }
}

enum { AHEAD = 4 }; /* maps to prefetch ahead */

/* The rows that a kernel reads of one map are too far from those of the next map for the hardware prefetcher. */
ZQ_TARGET_INLINE void prefetch_row(const char *x, int32_t stride)
{
    for (int32_t i = 0; i <= stride; i++) _mm_prefetch(x + 64 * i, _MM_HINT_T0);
}

/* Position of the next tap of a conv2d: map by map, each row by row, each over time. */
typedef struct {
    const char *x;      /* row 0 of the map */
    size_t pitch;       /* bytes between rows */
    int32_t maps, i, k; /* maps left; row and tap in the kernel */
    int32_t top, start; /* row and frame of the kernel's corner */
    int32_t frames;
} map_place;

/* After the last map there are zeros. */
ZQ_TARGET_INLINE __m512i next_map_tap(const zq_step *step, map_place *p, __m512i flip)
{
    const zq_conv_params *conv = &step->params.conv;
    const int32_t row = p->top + p->i, start = p->start + p->k * conv->dilation;
    __m512i tap = flip;
    if (p->maps > 0 && row >= 0 && row < conv->height) {
        const char *x = p->x + (size_t)row * p->pitch;
        if (p->k == 0 && p->maps > AHEAD)
            prefetch_row(x + (size_t)(AHEAD * conv->height) * p->pitch + start, conv->stride);
        tap = im2col_tap(x, p->frames, start, conv->stride, flip);
    }
    if (++p->k == conv->kernel) {
        p->k = 0;
        if (++p->i == conv->kernel_height) {
            p->i = 0;
            p->maps--;
            p->x += (size_t)conv->height * p->pitch;
        }
    }
    return tap;
}

ZQ_TARGET static void im2col_maps(const zq_step *step, map_place place, __m512i flip, target to)
{
    while (place.maps > 0) {
        __m512i tap[4];
        tap[0] = next_map_tap(step, &place, flip);
        tap[1] = next_map_tap(step, &place, flip);
        tap[2] = next_map_tap(step, &place, flip);
        tap[3] = next_map_tap(step, &place, flip);
        interleave(tap, &to);
    }
}

ZQ_TARGET void zq_avx512vnni_im2col(const zq_state *state, const zq_step *step, const zq_dense_unit *unit,
                                    int32_t halves, uint8_t flip_byte, uint8_t *columns)
{
    const zq_conv_params *conv = &step->params.conv;
    int32_t to_tile[16], to_plain[16];
    zq_tile_order(halves, to_tile, to_plain);
    const target to = {columns, (halves + 1) / 2, halves, _mm512_loadu_si512(to_tile)};
    const int32_t frames = state->frames[step->x[0]], pitch = state->pitch[step->x[0]];
    const int32_t maps = zq_maps_in(state->program, step), start = unit->t0 * conv->stride - conv->padding;
    const char *x = zq_row(state, step->x[0], unit->group * maps * conv->height);
    const __m512i flip = _mm512_set1_epi8((char)flip_byte);
    if (step->op == ZQ_CONV2D) {
        const int32_t top = unit->row * conv->stride_height - conv->padding_height;
        im2col_maps(step, (map_place){x, (size_t)pitch, maps, 0, 0, top, start, frames}, flip, to);
    } else if (conv->kernel > 1 || conv->stride > 1 || conv->padding > 0) {
        im2col_taps(step, x, (size_t)pitch, frames, maps, start, flip, to);
    } else {
        im2col_rows(x, frames, pitch, maps, unit->t0, flip, to);
    }
}

#endif
