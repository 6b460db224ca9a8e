/* sum for AVX-512: 16 frames at a time, in 64 bits, or 64 frames if quantized bytes need only the high halves. */
#include "x86/avx512vnni/avx512vnni.h"

#ifdef ZQ_X86_TABLES

/* One input of a sum in one channel. */
typedef struct {
    const char *row;
    __m512i multiplier;
    int32_t storage;
} addend;

ZQ_TARGET_INLINE addend addend_of(const zq_state *state, const zq_step *step, int32_t i, int32_t c)
{
    const zq_value *values = state->program->values;
    const size_t place = (size_t)i * (size_t)values[step->y].channels + (size_t)c;
    return (addend){zq_row(state, step->x[i], c), _mm512_set1_epi32(step->multiplier[place]),
                    values[step->x[i]].storage};
}

/* Epilogue constants of a sum in one channel; below, 16 sums, split into even and odd numbers. */
typedef struct {
    __m512i start, shift, high_shift, lo, hi; /* start: the bias plus 2^(shift - 1) for rounding */
    int32_t is_narrow;                        /* the shifted sum fits 32 bits */
} adder;

typedef struct {
    __m512i even, odd;
} wide_sum;

/* True if the shifted and rounded sums of channel c fit 32 bits for all inputs. */
static int fits_32_bits(const zq_state *state, const zq_step *step, int32_t c)
{
    const zq_sum_params *sum = &step->params.sum;
    static const int32_t bits[] = {[ZQ_INT8] = 8, [ZQ_UINT8] = 8, [ZQ_INT16] = 16, [ZQ_INT32] = 32};
    const zq_value *values = state->program->values;
    const int64_t bias = sum->bias ? sum->bias[c] : 0;
    uint64_t all = 2 + ((bias < 0 ? -(uint64_t)bias : (uint64_t)bias) >> step->shift[c]);
    for (int32_t i = 0; i < step->inputs && all < (uint64_t)1 << 31; i++) {
        const int64_t m = step->multiplier[(size_t)i * (size_t)values[step->y].channels + (size_t)c];
        all += 1 + ((uint64_t)(m < 0 ? -m : m) << bits[values[step->x[i]].storage] >> step->shift[c]);
    }
    return all < (uint64_t)1 << 31;
}

ZQ_TARGET_INLINE adder adder_of(const zq_state *state, const zq_step *step, int32_t c)
{
    const zq_sum_params *sum = &step->params.sum;
    const uint64_t half = (uint64_t)1 << (step->shift[c] - 1), bias = sum->bias ? (uint64_t)sum->bias[c] : 0;
    return (adder){_mm512_set1_epi64((int64_t)(bias + half)), _mm512_set1_epi64(step->shift[c]),
                   _mm512_set1_epi32(step->shift[c] - 32),    _mm512_set1_epi32(step->clip_lo),
                   _mm512_set1_epi32(step->clip_hi),          fits_32_bits(state, step, c)};
}

ZQ_TARGET_INLINE void add_product(wide_sum *sum, __m512i x, __m512i multiplier)
{
    sum->even = _mm512_add_epi64(sum->even, _mm512_mul_epi32(x, multiplier));
    sum->odd = _mm512_add_epi64(sum->odd, _mm512_mul_epi32(_mm512_srli_epi64(x, 32), multiplier));
}

/* Add 16 frames of an input from t on. */
ZQ_TARGET_INLINE void add_input(wide_sum *sum, const addend *input, int32_t t, __mmask16 mask)
{
    add_product(sum, zq_load_numbers(input->row, input->storage, t, mask), input->multiplier);
}

ZQ_TARGET_INLINE __m512i sum_epilogue(const adder *end, wide_sum sum)
{
    const __m512i even = _mm512_srav_epi64(sum.even, end->shift), odd = _mm512_srav_epi64(sum.odd, end->shift);
    const __m512i v = end->is_narrow ? zq_join_low(even, odd) : zq_narrow(even, odd);
    return _mm512_min_epi32(_mm512_max_epi32(v, end->lo), end->hi);
}

/* The same without clipping, for a shift of 32 or more. */
ZQ_TARGET_INLINE __m512i high_epilogue(const adder *end, wide_sum sum)
{
    return _mm512_srav_epi32(zq_join_high(sum.even, sum.odd), end->high_shift);
}

/* 16 sums of channel c. few: the number of inputs, a compile-time constant after inlining. One or two inputs are
 * set up once for the channel: a and b. few = 0: any number of inputs, each set up for every vector. */
ZQ_TARGET_INLINE wide_sum add_inputs(const zq_state *state, const zq_step *step, int32_t c, const int32_t few,
                                     const adder *end, const addend *a, const addend *b, int32_t t, __mmask16 mask)
{
    wide_sum sum = {end->start, end->start};
    if (few) add_input(&sum, a, t, mask);
    if (few > 1) add_input(&sum, b, t, mask);
    for (int32_t i = 0; !few && i < step->inputs; i++) {
        const addend x = addend_of(state, step, i, c);
        add_input(&sum, &x, t, mask);
    }
    return sum;
}

/* Add up all frames of channel c. */
ZQ_TARGET_INLINE void add_up(const zq_state *state, const zq_step *step, int32_t c, const int32_t few)
{
    const int32_t frames = state->frames[step->y], storage = state->program->values[step->y].storage;
    const adder end = adder_of(state, step, c);
    const addend a = addend_of(state, step, 0, c), b = addend_of(state, step, few > 1, c);
    char *y = zq_row(state, step->y, c);
    if (zq_size(storage) > 1 || step->shift[c] < 32) {
        for (int32_t t = 0; t < frames; t += 16) {
            const __mmask16 mask = zq_first_numbers(frames - t);
            const wide_sum sum = add_inputs(state, step, c, few, &end, &a, &b, t, mask);
            zq_store_vector(y, storage, t, mask, sum_epilogue(&end, sum));
        }
        return;
    }
    const __m512i lo = _mm512_set1_epi8((char)step->clip_lo), hi = _mm512_set1_epi8((char)step->clip_hi);
    const __m512i to_plain = zq_to_plain_order(ZQ_PLAIN);
    for (int32_t t = 0; t < frames; t += 64) {
        __m512i v[4];
        for (int32_t i = 0; i < 4; i++) {
            const int32_t start = t + 16 * i;
            v[i] = high_epilogue(
                &end, add_inputs(state, step, c, few, &end, &a, &b, start, zq_first_numbers(frames - start)));
        }
        const __m512i codes = _mm512_permutexvar_epi32(to_plain, zq_pack_codes(storage, v, lo, hi));
        zq_store_bytes(y + t, zq_min(64, frames - t), codes);
    }
}

/* All frames of four channels from c on, to the packed K4 layout. */
ZQ_TARGET_INLINE void add_up_packed_k4(const zq_state *state, const zq_step *step, int32_t c, const int32_t few)
{
    const __m512i lo = _mm512_set1_epi8((char)step->clip_lo), hi = _mm512_set1_epi8((char)step->clip_hi);
    const int32_t frames = state->frames[step->y], storage = state->program->values[step->y].storage;
    adder ends[4];
    addend a[4], b[4];
    for (int32_t i = 0; i < 4; i++) {
        ends[i] = adder_of(state, step, c + i);
        a[i] = addend_of(state, step, 0, c + i);
        b[i] = addend_of(state, step, few > 1, c + i);
    }
    for (int32_t t0 = 0; t0 < frames; t0 += 64) {
        char *y = zq_packed_k4(state, step->y, c, t0);
        for (int32_t t = t0; t < t0 + 64 && t < frames; t += 16) {
            __m512i v[4];
            for (int32_t i = 0; i < 4; i++)
                v[i] = high_epilogue(&ends[i], add_inputs(state, step, c + i, few, &ends[i], &a[i], &b[i], t,
                                                          zq_first_numbers(frames - t)));
            _mm512_store_si512(y + 4 * (t - t0), zq_transpose_bytes(zq_pack_codes(storage, v, lo, hi)));
        }
    }
}

/* Four channels to a unit where y is in the packed K4 layout. */
int32_t zq_avx512vnni_sum_units(const zq_state *state, const zq_step *step)
{
    return state->is_packed_k4[step->y] ? state->program->values[step->y].channels / 4 : 0;
}

int zq_avx512vnni_sum_writes(const zq_program *program, const zq_step *step)
{
    const zq_value *y = &program->values[step->y];
    for (int32_t c = 0; c < y->channels; c++)
        if (step->shift[c] < 32) return 0;
    return zq_size(y->storage) == 1 && step->inputs <= 2;
}

ZQ_TARGET void zq_avx512vnni_sum(const zq_state *state, const zq_step *step, int32_t first, int32_t last, void *scratch)
{
    (void)scratch;
    if (state->is_packed_k4[step->y]) {
        for (int32_t c = 4 * first; c < 4 * last; c += 4)
            if (step->inputs == 1)
                add_up_packed_k4(state, step, c, 1);
            else
                add_up_packed_k4(state, step, c, 2);
        return;
    }
    for (int32_t c = first; c < last; c++)
        if (step->inputs == 1)
            add_up(state, step, c, 1);
        else if (step->inputs == 2)
            add_up(state, step, c, 2);
        else
            add_up(state, step, c, 0);
}

#endif
