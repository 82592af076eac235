/* Floating-point and vector registers, one XSAVE area a thread. When fpu_live is 0 the registers
 * hold the initial state and CR0.TS is set: the first use traps and loads the thread's own. On the
 * way to another thread they are saved and made initial at once: no thread runs, not even
 * speculatively, with another's values in the registers, and threads that do not use them pay for a
 * comparison. */
#include "arch/arch.h"
#include "asm.h"
#include "machine.h"
#include "object/thread.h"

#define FPU_BYTES 832u /* legacy 512, header 64, upper halves of AVX 256 */
#define CR0_TS    8ULL
#define XCR0_BITS 7u /* x87, SSE, AVX */

uint32_t fpu_live; /* whose values are in the registers; 0: nobody's */
static uint8_t area[T_MAX][FPU_BYTES] __attribute__((aligned(64))); /* area[0]: the initial state */
static uint32_t xcr0;

static void reset(uint32_t thread)
{
    for (uint32_t i = 512; i < 576; i++) {
        area[thread][i] = 0; /* XSTATE_BV: every component is in its initial state */
    }
    area[thread][24] = 0x80; /* MXCSR 0x1f80, which is loaded in any case */
    area[thread][25] = 0x1f;
    area[thread][26] = 0;
    area[thread][27] = 0;
}

static void restore(uint32_t thread)
{
    __asm__ volatile("xrstor64 %0" : : "m"(area[thread]), "a"(xcr0), "d"(0) : "memory");
}

void fpu_init(void)
{
    struct cpuid has = cpuid(1, 0);
    if ((has.c & (1u << 26)) == 0) {
        machine_stop("this processor has no XSAVE");
    }
    cr0_write((cr0_read() & ~0xcULL) | 2u); /* no emulation, no TS; MP */
    cr4_write(cr4_read() | 0x40600);        /* OSFXSR, OSXMMEXCPT, OSXSAVE */
    xcr0 = cpuid(0xd, 0).a & XCR0_BITS;
    __asm__ volatile("xsetbv" : : "c"(0), "a"(xcr0), "d"(0));
    if (cpuid(0xd, 0).b > FPU_BYTES) {
        machine_stop("the XSAVE area of this processor is longer than planned");
    }
    reset(0);
    restore(0);
    cr0_write(cr0_read() | CR0_TS);
}

/* Makes the registers nobody's. */
static void clear(void)
{
    fpu_live = 0;
    restore(0);
    cr0_write(cr0_read() | CR0_TS);
}

void fpu_leave(void)
{
    __asm__ volatile("xsave64 %0" : "+m"(area[fpu_live]) : "a"(xcr0), "d"(0) : "memory");
    clear();
}

void fpu_use(void)
{
    __asm__ volatile("clts");
    restore(current);
    fpu_live = current;
}

void arch_fpu_reset(uint32_t thread)
{
    reset(thread);
    if (fpu_live == thread) {
        clear();
    }
}
