/* From boot.S to the first thread. */
#include "machine.h"
#include "arch/arch.h"
#include "asm.h"

static void require(uint32_t word, uint32_t bit, const char *otherwise)
{
    if ((word & (1u << bit)) == 0) {
        machine_stop(otherwise);
    }
}

/* What the kernel relies on; some is only switched on here. */
static void features_init(void)
{
    struct cpuid seven = cpuid(7, 0);
    struct cpuid extended = cpuid(0x80000001, 0);
    require(extended.d, 20, "this processor has no NX");
    require(extended.d, 11, "this processor has no SYSCALL");
    require(seven.b, 0, "this processor has no FSGSBASE");
    require(seven.b, 7, "this processor has no SMEP");
    require(seven.b, 20, "this processor has no SMAP");
    uint64_t cr4 = cr4_read() | (1ULL << 16) | (1ULL << 20) | (1ULL << 21);
    if (seven.c & 4) {
        cr4 |= 1ULL << 11; /* UMIP: user mode does not read the descriptor tables' addresses */
    }
    cr4_write(cr4);
}

void boot_machine(uint64_t start_info)
{
    serial_init();
    features_init();
    segments_init();
    pvh_read(start_info);
    paging_init();
    fpu_init();
    apic_init();
    boot_root();
}
