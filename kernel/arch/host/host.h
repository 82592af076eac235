/* What the tests of the host build see of their machine. */
#ifndef KERNEL_HOST_H
#define KERNEL_HOST_H

#include "arch/arch.h"

#define HOST_KERNEL_ENTRY 0xfee3ULL /* stands in the upper half of every top table */

extern uint64_t host_clock;              /* what arch_now answers */
extern uint64_t host_due;                /* what arch_timer_set was told */
extern uint32_t host_flushes;            /* calls of arch_tlb_flush */
extern uint8_t host_irq_open[ARCH_IRQS]; /* lines that may come */
extern uint32_t host_port[ARCH_PORTS];   /* what was last written */
extern uint32_t host_stopped;            /* 1 + status of arch_stop */

#endif
