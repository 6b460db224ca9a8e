/* What a dense conv1d of a long kernel multiplies, for AVX-512 VNNI: four channels side by side at every frame that a tile
 * and its kernels see,
 *     columns[channels / 4][64 + (kernel - 1) * dilation, whole vectors][4]
 * as unsigned bytes. Tap k of frame t is there once, at frame t + k * dilation: vectors of it start anywhere. */
#include "avx512vnni.h"

#ifdef ZQ_X86_TABLES

/* 64 bytes of a row from frame t on, 0 outside 0 .. frames - 1. */
ZQ_TARGET_INLINE __m512i load_row(const char *row, int32_t frames, int32_t t, __m512i flip)
{
    const __mmask64 mask = zq_first_bytes(frames - t) & ~zq_first_bytes(-t);
    return _mm512_xor_si512(_mm512_maskz_loadu_epi8(mask, row + t), flip);
}

ZQ_TARGET void zq_avx512vnni_window(const zq_state *state, const zq_step *step, const zq_dense_unit *unit,
                                    uint8_t *columns)
{
    const int32_t x = step->x[0], frames = state->frames[x], maps = zq_maps_in(state->program, step);
    const size_t pitch = (size_t)state->pitch[x];
    const __m512i flip = state->program->values[x].storage == ZQ_INT8 ? _mm512_set1_epi8((char)-128)
                                                                      : _mm512_setzero_si512();
    const char *row = zq_row(state, x, unit->group * maps);
    for (int32_t c = 0; c < maps; c += 4, row += 4 * pitch)
        for (int32_t t = 0; t < zq_window_frames(step); t += 64, columns += 256) {
            __m512i v[4];
            for (int32_t i = 0; i < 4; i++)
                v[i] = c + i < maps ? load_row(row + (size_t)i * pitch, frames, unit->t0 - step->padding + t, flip) : flip;
            zq_interleave(v);
            zq_transpose_lanes(v);
            for (int32_t i = 0; i < 4; i++) _mm512_storeu_si512(columns + 64 * i, v[i]);
        }
}

#endif
