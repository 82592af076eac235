/* What object/ needs of the machine, and what the machine calls in object/. Implemented in
 * arch/x86_64 for the image and in arch/host for the unit tests; for the prover these contracts are
 * all there is, and each is counted as trusted.
 *
 * Rules:
 * - The kernel runs with interrupts off, on one stack that is empty at each entry; nothing of an
 * entry outlives it but the tables.
 * - At an entry t_reg[current * T_REGS ..] holds the interrupted thread's registers (regs.h); at
 * its end `current` names the thread to run, NIL when none is ready, and the registers are restored
 * from there. current == NIL at an entry means that the processor was idle.
 * - A thread runs in the address space whose top-level table is the frame t_space[thread]; 0 is the
 * kernel's own, without user memory.
 * - Frames are numbered by physical address / 4096. phys holds those of the memory; device frames
 * have numbers >= PHYS_FRAMES. The frames under the image's end are never written through phys, and
 * no object ever names them.
 */
#ifndef KERNEL_ARCH_H
#define KERNEL_ARCH_H

#include "arch/regs.h"
#include "config.h"
#include <stdint.h>

/* PHYS_FRAMES (config.h): frames that phys covers, a maximum of the build; at most 262,144 (1 GiB)
 * on x86_64. */
extern uint64_t phys[PHYS_FRAMES * 512ULL];

/* A page-table entry is frame * 4096 + flags; ARCH_PTE_NX is added too where the frame is not to be
 * executed. Present is also accessed, writable also dirty, so that the processor itself never
 * changes an entry. */
#define ARCH_PTE_PRESENT 33ULL
#define ARCH_PTE_WRITE   66ULL
#define ARCH_PTE_USER    4ULL
#define ARCH_PTE_NOCACHE 24ULL /* PWT and PCD: for device frames */
#define ARCH_PTE_LARGE   128ULL
#define ARCH_PTE_NX      0x8000000000000000ULL

#define ARCH_LEVELS  4u
#define ARCH_ENTRIES 512u
#define ARCH_USER_ENTRIES                                                                          \
    256u /* of a top-level table: the lower half; the kernel's entries stand above */
#define ARCH_USER_END 0x00007ffffffff000ULL
#define ARCH_IRQS     24u /* the IOAPIC's pins, numbered 0 .. ARCH_IRQS - 1 */
#define ARCH_PORTS    65536u
#define ARCH_NEVER    0xffffffffffffffffULL

/*@ ghost extern uint64_t arch_clock; */

/* Ticks of the processor's time-stamp counter since reset; boot information tells how many make a
 * microsecond. */
/*@ assigns arch_clock;
    ensures \result == arch_clock && arch_clock >= \old(arch_clock) && arch_clock < ARCH_NEVER;
*/
uint64_t arch_now(void);

/* entry_timer comes as soon as arch_now() >= due, or at once; each call replaces the former.
 * ARCH_NEVER: it does not come. */
/*@ assigns \nothing; */
void arch_timer_set(uint64_t due);

/* Writes one entry of a page table. An entry that was present needs arch_tlb_flush before the entry
 * ends. */
/*@ requires table < PHYS_FRAMES && index < ARCH_ENTRIES;
    assigns phys[table * 512 + index];
    ensures phys[table * 512 + index] == value;
*/
void arch_pte_write(uint32_t table, uint32_t index, uint64_t value);

/* Translations of the current address space that were withdrawn are gone when user mode is next
 * reached. Costs one store. */
/*@ assigns \nothing; */
void arch_tlb_flush(void);

/* Makes a zeroed frame a top-level table: writes the kernel's entries, ARCH_USER_ENTRIES ..
 * ARCH_ENTRIES - 1. */
/*@ requires table < PHYS_FRAMES;
    assigns phys[table * 512 + ARCH_USER_ENTRIES .. table * 512 + ARCH_ENTRIES - 1];
*/
void arch_space_init(uint32_t table);

/* The top-level table is about to lose its kernel entries or its frame: the processor leaves it.
 * Each thread of the space has left it. */
/*@ requires table < PHYS_FRAMES; assigns \nothing; */
void arch_space_fini(uint32_t table);

/* Zeroes one frame: 512 steps. */
/*@ requires frame < PHYS_FRAMES;
    assigns phys[frame * 512 .. frame * 512 + 511];
    ensures \forall integer i; frame * 512 <= i < frame * 512 + 512 ==> phys[i] == 0;
*/
void arch_frame_zero(uint32_t frame);

/* An interrupt reaches entry_interrupt masked and is masked until unmasked here; one that came in
 * between is then delivered. */
/*@ requires irq < ARCH_IRQS; assigns \nothing; */
void arch_irq_mask(uint32_t irq);
/*@ requires irq < ARCH_IRQS; assigns \nothing; */
void arch_irq_unmask(uint32_t irq);

/* One access of 1, 2 or 4 bytes. */
/*@ requires port < ARCH_PORTS && (bytes == 1 || bytes == 2 || bytes == 4); assigns \nothing; */
uint32_t arch_port_in(uint32_t port, uint32_t bytes);
/*@ requires port < ARCH_PORTS && (bytes == 1 || bytes == 2 || bytes == 4); assigns \nothing; */
void arch_port_out(uint32_t port, uint32_t bytes, uint32_t value);

/* The thread's floating-point and vector registers are the initial ones when it next runs: for a
 * new or ended thread. */
/*@ requires thread < T_MAX; assigns \nothing; */
void arch_fpu_reset(uint32_t thread);

/* The debug line, and the end of the machine where that can be told (QEMU: status 2 * status + 1).
 */
/*@ assigns \nothing; */
void arch_debug_put(uint8_t character);
/*@ assigns \nothing; */
void arch_stop(uint32_t status);

/* A broken invariant: says so on the serial line and stops the machine. Does not return. */
/*@ requires \false; assigns \nothing; ensures \false; */
void arch_panic(uint32_t line);

/* What the assembly calls, each with the registers saved; see the rules above. Each ends within the
 * steps that object/steps.h promises: STEPS_SYSCALL, STEPS_FAULT, STEPS_INTERRUPT, STEPS_TIMER. */
void entry_syscall(void);
void entry_fault(uint64_t vector, uint64_t code, uint64_t address);
void entry_interrupt(uint32_t irq);
void entry_timer(void);

#endif
