/* Epilogue of the kernels in loops.h: accumulators to quantized values in memory. */
#include "x86/vnni256/vnni256.h"

#ifdef ZQ_AVXVNNI_TABLES

/* Requantize v[i], i < count, for output map o. Saturates to the clip range; if is_code, packing and clip() do. */
ZQ_TARGET_INLINE void rescale(const zq_step *step, int32_t o, int is_code, __m256i *v, int32_t count)
{
    const int32_t bits = step->shift[o];
    if (bits < 33) {
        for (int32_t i = 0; i < count; i++) {
            int32_t numbers[8];
            zq_store_vector(numbers, v[i]);
            for (int32_t t = 0; t < 8; t++)
                numbers[t] = (int32_t)zq_saturate(
                    zq_rounding_shift_right_half_up((int64_t)numbers[t] * step->multiplier[o], bits), step->clip_lo,
                    step->clip_hi);
            v[i] = zq_load_vector(numbers);
        }
        return;
    }
    const zq_ratio ratio = zq_ratio_of(step->multiplier[o], bits);
    const __m256i lo = _mm256_set1_epi32(step->clip_lo), hi = _mm256_set1_epi32(step->clip_hi);
    for (int32_t i = 0; i < count; i++) {
        v[i] = zq_rescale_eight(&ratio, v[i]);
        if (!is_code) v[i] = _mm256_min_epi32(_mm256_max_epi32(v[i], lo), hi);
    }
}

/* Clip 8-bit values to the step's clip range, which is within the range of the type. */
ZQ_TARGET_INLINE __m256i clip(const zq_step *step, int32_t storage, __m256i codes)
{
    const __m256i lo = _mm256_set1_epi8((char)step->clip_lo), hi = _mm256_set1_epi8((char)step->clip_hi);
    if (storage == ZQ_INT8) return _mm256_min_epi8(_mm256_max_epi8(codes, lo), hi);
    return _mm256_min_epu8(_mm256_max_epu8(codes, lo), hi);
}

/* Store the first min(n, 32) bytes of a vector; none if n <= 0. */
ZQ_TARGET_INLINE void store_bytes(char *y, __m256i vector, int32_t n)
{
    char bytes[32];
    if (n >= 32) {
        zq_store_vector(y, vector);
    } else if (n > 0) {
        zq_store_vector(bytes, vector);
        memcpy(y, bytes, (size_t)n);
    }
}

/* Store `vectors` vectors of eight values in frame order as n 32-bit or 16-bit values at y. 16-bit values are already
 * within the range of their type. */
ZQ_TARGET_INLINE void store_numbers(const __m256i *v, int32_t vectors, int32_t storage, char *y, int32_t n)
{
    if (storage == ZQ_INT32)
        for (int32_t i = 0; i < vectors; i++) store_bytes(y + 32 * i, v[i], zq_min(32, 4 * (n - 8 * i)));
    else
        for (int32_t i = 0; i < vectors; i += 2)
            store_bytes(y + 16 * i, _mm256_permute4x64_epi64(_mm256_packs_epi32(v[i], v[i + 1]), 0xD8),
                        zq_min(32, 2 * (n - 8 * i)));
}

/* Epilogue of 16 frames of a row in frame order; the first n are stored at y. */
ZQ_TARGET_INLINE void row_epilogue(const zq_step *step, int32_t o, int32_t storage, char *y, int32_t n, __m256i v[2])
{
    const int is_code = storage == ZQ_INT8 || storage == ZQ_UINT8;
    if (step->multiplier) rescale(step, o, is_code, v, 2);
    if (!is_code) {
        store_numbers(v, 2, storage, y, n);
        return;
    }
    const __m256i words = _mm256_packs_epi32(v[0], v[1]); /* frames 0..3, 8..11, 4..7, 12..15 */
    const __m128i a = _mm256_castsi256_si128(words), b = _mm256_extracti128_si256(words, 1);
    const __m128i bytes = storage == ZQ_INT8 ? _mm_packs_epi16(a, b) : _mm_packus_epi16(a, b);
    const __m256i codes = clip(step, storage, _mm256_castsi128_si256(_mm_shuffle_epi32(bytes, 0xD8)));
    if (n >= 16)
        _mm_storeu_si128((__m128i *)(void *)y, _mm256_castsi256_si128(codes));
    else
        store_bytes(y, codes, n);
}

/* Epilogue of 32 frames of a row: lane i of v[p] is frame 4 * i + p. The first n are stored at y. */
ZQ_TARGET_INLINE void phases_epilogue(const zq_step *step, int32_t o, int32_t storage, char *y, int32_t n, __m256i v[4])
{
    const int is_code = storage == ZQ_INT8 || storage == ZQ_UINT8;
    if (step->multiplier) rescale(step, o, is_code, v, 4);
    if (is_code) {
        const __m256i order = _mm256_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15, 0, 4, 8, 12, 1, 5,
                                               9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        const __m256i a = _mm256_packs_epi32(v[0], v[1]), b = _mm256_packs_epi32(v[2], v[3]);
        const __m256i codes = storage == ZQ_INT8 ? _mm256_packs_epi16(a, b) : _mm256_packus_epi16(a, b);
        store_bytes(y, clip(step, storage, _mm256_shuffle_epi8(codes, order)), n);
        return;
    }
    const __m256i a = _mm256_unpacklo_epi32(v[0], v[1]), b = _mm256_unpackhi_epi32(v[0], v[1]);
    const __m256i c = _mm256_unpacklo_epi32(v[2], v[3]), d = _mm256_unpackhi_epi32(v[2], v[3]);
    const __m256i e = _mm256_unpacklo_epi64(a, c), f = _mm256_unpackhi_epi64(a, c); /* frames 0..3, 16..19; 4..7, .. */
    const __m256i g = _mm256_unpacklo_epi64(b, d), h = _mm256_unpackhi_epi64(b, d);
    const __m256i plain[4] = {_mm256_permute2x128_si256(e, f, 0x20), _mm256_permute2x128_si256(g, h, 0x20),
                              _mm256_permute2x128_si256(e, f, 0x31), _mm256_permute2x128_si256(g, h, 0x31)};
    store_numbers(plain, 4, storage, y, n);
}

ZQ_TARGET void zq_avxvnni_epilogue_plain(const zq_state *state, const zq_step *step, int32_t o, int32_t rows,
                                         int32_t row_y, int32_t t, int32_t n, __m256i *acc)
{
    const int32_t storage = state->program->values[step->y].storage, rows_y = zq_rows_out(step);
    const size_t size = zq_size(storage), apart = (size_t)rows_y * (size_t)state->pitch[step->y] * size;
    char *y = zq_row(state, step->y, o * rows_y + row_y) + (size_t)t * size;
    for (int32_t r = 0; r < rows; r++, y += apart) row_epilogue(step, o + r, storage, y, n, acc + 2 * r);
}

ZQ_TARGET void zq_avxvnni_epilogue_phases(const zq_state *state, const zq_step *step, int32_t o, int32_t t0,
                                          int32_t count, __m256i *acc)
{
    const int32_t storage = state->program->values[step->y].storage, n = state->frames[step->y] - t0;
    char *y = zq_row(state, step->y, o) + (size_t)t0 * zq_size(storage);
    for (int32_t i = 0; i < count; i++, y += 32 * zq_size(storage))
        phases_epilogue(step, o, storage, y, n - 32 * i, acc + 4 * i);
}

#endif
