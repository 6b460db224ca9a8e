/* Input layout of a direct dense conv1d with a long kernel, for AVX-512 VNNI. For every frame that the kernel taps
 * of a tile read, four channels form one dword,
 *     columns[channels / 4][64 + (kernel - 1) * dilation, whole vectors][4]
 * as unsigned bytes. Tap k of frame t is stored once, at frame t + k * dilation. Vectors of a tap can start at any
 * frame. */
#include "x86/avx512vnni/avx512vnni.h"

#ifdef ZQ_X86_TABLES

ZQ_TARGET void zq_avx512vnni_window(const zq_state *state, const zq_step *step, const zq_dense_unit *unit,
                                    uint8_t *columns)
{
    const int32_t x = step->x[0], maps = zq_maps_in(state->program, step), first = unit->group * maps;
    const __m512i flip = zq_flip(state->program->values[x].storage);
    for (int32_t c = 0; c < maps; c += 4)
        for (int32_t t = 0; t < zq_window_frames(step, 1); t += 64, columns += 256) {
            __m512i v[4];
            zq_load_quad(state, x, first + c, maps - c, unit->t0 - step->params.conv.padding + t, flip, v);
            for (int32_t i = 0; i < 4; i++) _mm512_storeu_si512(columns + 64 * i, v[i]);
        }
}

#endif
