/* Interrupt lines. Line n of the machine is object n + 1.
 *
 * A line that comes is masked by the machine, signals the notification in its hidden slot, and is
 * let come again when its driver acknowledges it.
 */
#ifndef KERNEL_IRQ_H
#define KERNEL_IRQ_H

#include "arch/arch.h"
#include "object/capability.h"

extern uint8_t i_pending[I_MAX]; /* came, and is not yet acknowledged */

/* Line i came. The notification to signal and its badge; NIL: none is bound. */
uint32_t irq_came(uint32_t i, uint64_t *badge);

/* Binds line i, which is not bound, to the notification of slot s, and lets it come. */
void irq_bind(uint32_t i, uint32_t s);

/* The notification of line i is about to leave its hidden slot. */
void irq_unbound(uint32_t i);

/* The driver is done: line i may come again. */
void irq_ack(uint32_t i);

/* Makes the line one that nobody owns. */
bool irq_end(uint32_t i);

#endif
