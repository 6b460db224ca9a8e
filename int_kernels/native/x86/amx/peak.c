/* Peak rate of 8-bit multiply-adds on AMX; see host/peak.c. */
#include "x86/amx/amx.h"

#ifdef ZQ_AMX_TABLE

/* Four accumulators, as in the dense kernel, so that no product waits for the previous one. */
int64_t zq_amx_peak(int32_t rounds, int32_t *codes)
{
    int32_t tile[ZQ_AMX_BYTES / 4] __attribute__((aligned(64)));
    for (int32_t i = 0; i < ZQ_AMX_BYTES / 4; i++) tile[i] = *codes ^ i;
    zq_amx_begin();
    ZQ_AMX_ZERO(0);
    ZQ_AMX_ZERO(1);
    ZQ_AMX_ZERO(2);
    ZQ_AMX_ZERO(3);
    ZQ_AMX_LOAD(4, tile, ZQ_AMX_TAPS);
    ZQ_AMX_LOAD(5, tile, ZQ_AMX_TAPS);
    for (int32_t round = 0; round < rounds; round++) {
        ZQ_AMX_DOT_SS(0, 4, 5);
        ZQ_AMX_DOT_SS(1, 4, 5);
        ZQ_AMX_DOT_SS(2, 4, 5);
        ZQ_AMX_DOT_SS(3, 4, 5);
    }
    ZQ_AMX_STORE(0, tile, ZQ_AMX_TAPS);
    *codes += tile[0];
    ZQ_AMX_STORE(1, tile, ZQ_AMX_TAPS);
    *codes += tile[0];
    ZQ_AMX_STORE(2, tile, ZQ_AMX_TAPS);
    *codes += tile[0];
    ZQ_AMX_STORE(3, tile, ZQ_AMX_TAPS);
    *codes += tile[0];
    zq_amx_release_tiles();
    return (int64_t)rounds * 4 * ZQ_AMX_ROWS * 16 * ZQ_AMX_TAPS;
}

#endif
