/* The seam to the machine for the host build: memory is an array, the clock is a number that tests
 * set, devices are registers that tests read. So object/ runs as an ordinary program. */
#include "arch/host/host.h"

#include <stdio.h>
#include <stdlib.h>

uint64_t phys[PHYS_FRAMES * 512ULL];
uint64_t host_clock;
uint64_t host_due = ARCH_NEVER;
uint32_t host_flushes;
uint8_t host_irq_open[ARCH_IRQS];
uint32_t host_port[ARCH_PORTS];
uint32_t host_stopped;

uint64_t arch_now(void)
{
    return host_clock;
}

void arch_timer_set(uint64_t due)
{
    host_due = due;
}

void arch_pte_write(uint32_t table, uint32_t index, uint64_t value)
{
    phys[table * 512ULL + index] = value;
}

void arch_tlb_flush(void)
{
    host_flushes++;
}

void arch_space_init(uint32_t table)
{
    for (uint32_t e = ARCH_USER_ENTRIES; e < ARCH_ENTRIES; e++) {
        phys[table * 512ULL + e] = HOST_KERNEL_ENTRY;
    }
}

void arch_space_fini(uint32_t table)
{
    (void)table;
}

void arch_frame_zero(uint32_t frame)
{
    for (uint32_t k = 0; k < 512; k++) {
        phys[frame * 512ULL + k] = 0;
    }
}

void arch_irq_mask(uint32_t irq)
{
    host_irq_open[irq] = 0;
}

void arch_irq_unmask(uint32_t irq)
{
    host_irq_open[irq] = 1;
}

uint32_t arch_port_in(uint32_t port, uint32_t bytes)
{
    return host_port[port] & (uint32_t)(0xffffffffULL >> (32 - 8 * bytes));
}

void arch_port_out(uint32_t port, uint32_t bytes, uint32_t value)
{
    (void)bytes;
    host_port[port] = value;
}

void arch_fpu_reset(uint32_t thread)
{
    (void)thread;
}

void arch_debug_put(uint8_t character)
{
    (void)character;
}

void arch_stop(uint32_t status)
{
    host_stopped = status + 1;
}

void arch_panic(uint32_t line)
{
    fprintf(stderr, "kernel: broken invariant, line %u\n", line);
    abort();
}
