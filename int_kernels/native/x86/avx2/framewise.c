/* Sum and activation for AVX2. GLU uses the portable kernel, because its factors need 64-bit products. */
#include "ops/activation.h"
#include "x86/avx2/avx2.h"

#ifdef ZQ_X86_TABLES

enum { VECTORS = ZQ_TILE / 8 };

ZQ_TARGET void zq_avx2_sum(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    const zq_value *values = state->program->values;
    const int32_t frames = state->frames[step->y], storage = values[step->y].storage;
    const size_t channels = (size_t)values[step->y].channels;
    const int64_t *bias = step->params.sum.bias;
    (void)scratch;
    for (int32_t c = first; c < last; c++) {
        const zq_rounder r = zq_rounder_of(step->shift[c], step->clip_lo, step->clip_hi);
        const __m256i start = _mm256_set1_epi64x(bias ? bias[c] : 0);
        for (int32_t t0 = 0; t0 < frames; t0 += ZQ_TILE) {
            const int32_t n = zq_min(ZQ_TILE, frames - t0);
            int32_t x[ZQ_TILE] = {0};
            __m256i even[VECTORS], odd[VECTORS];
            for (int32_t v = 0; v < VECTORS; v++) even[v] = odd[v] = start;
            for (int32_t i = 0; i < step->inputs; i++) {
                const __m256i m = _mm256_set1_epi32(step->multiplier[(size_t)i * channels + (size_t)c]);
                zq_load(zq_row(state, step->x[i], c), values[step->x[i]].storage, t0, n, x);
                for (int32_t v = 0; v < VECTORS; v++) {
                    const __m256i numbers = zq_load_vector(x + 8 * v);
                    even[v] = _mm256_add_epi64(even[v], _mm256_mul_epi32(numbers, m));
                    odd[v] = _mm256_add_epi64(odd[v], _mm256_mul_epi32(_mm256_srli_epi64(numbers, 32), m));
                }
            }
            for (int32_t v = 0; v < VECTORS; v++) zq_store_vector(x + 8 * v, zq_round_eight(&r, even[v], odd[v]));
            zq_store(zq_row(state, step->y, c), storage, t0, n, x);
        }
    }
}

ZQ_TARGET void zq_avx2_activation(const zq_state *state, const zq_step *step, int32_t first, int32_t last,
                                  void *scratch)
{
    const zq_function_table *table = step->packed;
    const int32_t frames = state->frames[step->y], storage = state->program->values[step->x[0]].storage;
    const size_t size = zq_size(state->program->values[step->y].storage);
    if (!table || step->params.activation.kind == ZQ_GLU) {
        zq_activation(state, step, first, last, scratch);
        return;
    }
    for (int32_t c = first; c < last; c++) {
        char *y = zq_row(state, step->y, c);
        for (int32_t t0 = 0; t0 < frames; t0 += ZQ_TILE) {
            const int32_t n = zq_min(ZQ_TILE, frames - t0);
            int32_t u[ZQ_TILE] = {0};
            zq_load(zq_row(state, step->x[0], c), storage, t0, n, u);
            zq_avx2_rescale(step->multiplier[c], step->shift[c], table->lo, table->hi, u);
            zq_look_up(table, size, u, n, y + (size_t)t0 * size);
        }
    }
}

#endif
