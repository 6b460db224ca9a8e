/* The list of kernel tables, best first. A table for an instruction set counts only where the processor has it and
 * the system saves its registers. */
#define _DEFAULT_SOURCE /* syscall */
#include "core/kernels.h"

#ifdef ZQ_X86_TABLES
#include <cpuid.h>

/* Register state that the system saves: bits 1, 2 for AVX, also 5, 6, 7 for AVX-512. */
static uint32_t saved_state(void)
{
    uint32_t a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) return 0; /* no XGETBV */
    __asm__("xgetbv" : "=a"(a), "=d"(d) : "c"(0));
    return a;
}

static int has_avx2(void)
{
    uint32_t a, b, c, d;
    return (saved_state() & 0x06) == 0x06 && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b >> 5 & 1);
}

static int has_avx512vnni(void)
{
    const uint32_t f = 1u << 16, dq = 1u << 17, bw = 1u << 30, vl = 1u << 31;
    uint32_t a, b, c, d;
    return (saved_state() & 0xE6) == 0xE6 && __get_cpuid_count(7, 0, &a, &b, &c, &d) &&
           (b & (f | dq | bw | vl)) == (f | dq | bw | vl) && (c >> 11 & 1);
}
#endif

#ifdef ZQ_AVXVNNI_TABLES
static int has_avxvnni(void)
{
    uint32_t a, b, c, d;
    return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a >> 4 & 1);
}
#endif

#ifdef ZQ_AMX_TABLE
#include <sys/syscall.h>
#include <unistd.h>

/* A process may use tiles once it has asked for them; asking again does no harm. */
static int may_use_tiles(void)
{
    enum { REQUEST = 0x1023, TILES = 18 }; /* ARCH_REQ_XCOMP_PERM, XFEATURE_XTILE_DATA */
    return syscall(SYS_arch_prctl, REQUEST, TILES) == 0;
}

static int has_amx(void)
{
    const uint32_t tile = 1u << 24, int8 = 1u << 25, saved = 3u << 17, vbmi = 1u << 1;
    uint32_t a, b, c, d;
    return has_avx512vnni() && (saved_state() & saved) == saved && __get_cpuid_count(7, 0, &a, &b, &c, &d) &&
           (d & (tile | int8)) == (tile | int8) && (c & vbmi) && may_use_tiles();
}
#endif

#ifdef ZQ_DOTPROD_TABLE
#if defined(__ARM_FEATURE_DOTPROD)
static int has_dotprod(void)
{
    return 1;
}
#elif defined(__linux__)
#include <sys/auxv.h>

static int has_dotprod(void)
{
    return getauxval(AT_HWCAP) >> 20 & 1; /* HWCAP_ASIMDDP */
}
#else
static int has_dotprod(void)
{
    return 0;
}
#endif
#endif

static const zq_kernels portable = {.name = "c"};

const zq_kernels *zq_kernels_at(int32_t index)
{
#ifdef ZQ_AMX_TABLE
    if (has_amx() && index-- == 0) return &zq_amx;
#endif
#ifdef ZQ_X86_TABLES
    if (has_avx512vnni() && index-- == 0) return &zq_avx512vnni;
#ifdef ZQ_AVXVNNI_TABLES
    if (has_avxvnni() && index-- == 0) return &zq_avxvnni;
    if (has_avx512vnni() && index-- == 0) return &zq_avx512vl_vnni;
#endif
    if (has_avx2() && index-- == 0) return &zq_avx2;
#endif
#ifdef ZQ_DOTPROD_TABLE
    if (has_dotprod() && index-- == 0) return &zq_neon_dotprod;
#endif
#ifdef ZQ_NEON_TABLES
    if (index-- == 0) return &zq_neon;
#endif
    return index == 0 ? &portable : NULL;
}
