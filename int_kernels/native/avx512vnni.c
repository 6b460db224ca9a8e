/* The table for AVX-512 VNNI, and its sum. */
#include "avx512vnni.h"

#ifdef ZQ_X86_TABLES

ZQ_TARGET void zq_avx512vnni_sum(const zq_state *state, const zq_step *step, int32_t first, int32_t last,
                                 void *scratch)
{
    const zq_value *values = state->program->values;
    const int32_t frames = state->frames[step->y], storage = values[step->y].storage;
    const size_t channels = (size_t)values[step->y].channels;
    const __m512i lo = _mm512_set1_epi64(step->clip_lo), hi = _mm512_set1_epi64(step->clip_hi);
    (void)scratch;
    for (int32_t c = first; c < last; c++) {
        const __m128i shift = _mm_cvtsi32_si128(step->shift[c]);
        const __m512i half = _mm512_set1_epi64((int64_t)1 << (step->shift[c] - 1));
        const __m512i start = _mm512_set1_epi64(step->wide_bias ? step->wide_bias[c] : 0);
        char *y = zq_row(state, step->y, c);
        for (int32_t t = 0; t < frames; t += 16) {
            const __mmask16 mask = zq_first_numbers(frames - t);
            __m512i even = start, odd = start;
            for (int32_t i = 0; i < step->inputs; i++) {
                const __m512i m = _mm512_set1_epi32(step->multiplier[(size_t)i * channels + (size_t)c]);
                const __m512i x = zq_load_numbers(zq_row(state, step->x[i], c), values[step->x[i]].storage, t, mask);
                even = _mm512_add_epi64(even, _mm512_mul_epi32(x, m));
                odd = _mm512_add_epi64(odd, _mm512_mul_epi32(_mm512_srli_epi64(x, 32), m));
            }
            const __m512i sum = zq_join_low(zq_round_wide(even, half, shift, lo, hi),
                                            zq_round_wide(odd, half, shift, lo, hi));
            if (storage == ZQ_INT32)
                _mm512_mask_storeu_epi32((int32_t *)y + t, mask, sum);
            else if (storage == ZQ_INT16)
                _mm512_mask_cvtepi32_storeu_epi16((int16_t *)y + t, mask, sum);
            else
                _mm512_mask_cvtepi32_storeu_epi8(y + t, mask, sum);
        }
    }
}

const zq_kernels zq_avx512vnni = {
    .name = "avx512vnni",
    .run = {[ZQ_LOOP_DENSE] = zq_avx512vnni_dense,
            [ZQ_LOOP_DEPTHWISE] = zq_avx512vnni_depthwise,
            [ZQ_LOOP_DEPTHWISE_PLANES] = zq_avx2_planes,
            [ZQ_LOOP_SUM] = zq_avx512vnni_sum,
            [ZQ_LOOP_MULTIPLY] = zq_multiply,
            [ZQ_LOOP_MEAN] = zq_mean,
            [ZQ_LOOP_LOOKUP] = zq_lookup,
            [ZQ_LOOP_ACTIVATION] = zq_avx512vnni_activation,
            [ZQ_LOOP_LAYER_NORM] = zq_avx512vnni_layer_norm,
            [ZQ_LOOP_ARGMAX] = zq_argmax,
            [ZQ_LOOP_POSITIONS] = zq_positions,
            [ZQ_LOOP_ATTENTION] = zq_avx512vnni_attention},
    .packed_bytes = {[ZQ_LOOP_DENSE] = zq_avx512vnni_dense_bytes,
                     [ZQ_LOOP_DEPTHWISE] = zq_avx512vnni_depthwise_bytes,
                     [ZQ_LOOP_ACTIVATION] = zq_activation_bytes},
    .pack = {[ZQ_LOOP_DENSE] = zq_avx512vnni_pack_dense,
             [ZQ_LOOP_DEPTHWISE] = zq_avx512vnni_pack_depthwise,
             [ZQ_LOOP_ACTIVATION] = zq_pack_activation},
    .scratch_bytes = {[ZQ_LOOP_DEPTHWISE_PLANES] = zq_avx2_planes_scratch,
                      [ZQ_LOOP_DENSE] = zq_avx512vnni_dense_scratch,
                      [ZQ_LOOP_DEPTHWISE] = zq_avx512vnni_depthwise_scratch,
                      [ZQ_LOOP_ATTENTION] = zq_avx512vnni_attention_scratch},
};

#endif
