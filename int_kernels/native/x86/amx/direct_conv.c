/* Input layout of a direct dense conv1d with a long kernel, for AMX. For every frame that the kernel taps of some
 * tiles read, 64 channels are adjacent,
 *     window[channels / 64][frames][64]
 * with unchanged values. Tap k of 16 frames is stored once: 16 whole cache lines from frame t + k * dilation on. */
#include "x86/amx/amx.h"

#ifdef ZQ_AMX_TABLE

ZQ_TARGET void zq_amx_transpose_frames(const zq_state *state, int32_t x, int32_t first, int32_t channels, int32_t t,
                                       uint8_t *tile, size_t next)
{
    __m512i quads[4][16]; /* 16 frames of four channels each */
    for (int32_t q = 0; q < 16; q++) {
        __m512i v[4];
        zq_load_quad(state, x, first + 4 * q, channels - 4 * q, t, _mm512_setzero_si512(), v);
        for (int32_t i = 0; i < 4; i++) quads[i][q] = v[i];
    }
    for (int32_t i = 0; i < 4; i++, tile += next) {
        zq_transpose_16(quads[i]);
        for (int32_t f = 0; f < 16; f++) _mm512_store_si512(tile + 64 * f, quads[i][f]);
    }
}

void zq_amx_window(const zq_state *state, const zq_step *step, const zq_dense_unit *unit, int32_t frames,
                   uint8_t *window)
{
    const int32_t maps = zq_maps_in(state->program, step), first = unit->group * maps;
    for (int32_t c = 0; c < maps; c += ZQ_AMX_TAPS)
        for (int32_t t = 0; t < frames; t += 64, window += 64 * 64)
            zq_amx_transpose_frames(state, step->x[0], first + c, maps - c, unit->t0 - step->params.conv.padding + t,
                                    window, ZQ_AMX_BYTES);
}

#endif
