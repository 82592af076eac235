/* Interrupt lines. Line n of the machine is object n + 1.
 *
 * A line that comes is masked by the machine, signals the notification in its hidden slot, and is
 * let come again when its driver acknowledges it.
 */
#ifndef KERNEL_IRQ_H
#define KERNEL_IRQ_H

#include "arch/arch.h"
#include "object/capability.h"

/* Line i came. The slot of the notification to signal, which is empty when none is bound. */
/*@ requires 1 <= i < I_MAX;
    assigns i_pending[i];
    ensures i_pending[i] == 1 && \result == IRQ_SLOT(i); */
uint32_t irq_came(uint32_t i);

/* Binds line i, which is not bound, to the notification of slot s, and lets it come. */
/*@ FOREST(requires) CAPS(requires)
    requires 1 <= i < I_MAX && is_slot(s) && s_type[s] != 0 && s_type[IRQ_SLOT(i)] == 0;
    assigns i_pending[i], s_order[0 .. SLOTS-1], s_prev[s_first[s]], s_first[s];
    assigns s_type[IRQ_SLOT(i)], s_rights[IRQ_SLOT(i)], s_object[IRQ_SLOT(i)];
    assigns s_badge[IRQ_SLOT(i)], s_kind[IRQ_SLOT(i)], s_count[IRQ_SLOT(i)];
    assigns s_parent[IRQ_SLOT(i)], s_next[IRQ_SLOT(i)];
    FOREST(ensures) CAPS(ensures)
    ensures i_pending[i] == 0 && s_parent[IRQ_SLOT(i)] == s;
    ensures s_type[IRQ_SLOT(i)] == s_type[s] && s_object[IRQ_SLOT(i)] == s_object[s];
    ensures s_badge[IRQ_SLOT(i)] == s_badge[s]; */
void irq_bind(uint32_t i, uint32_t s);

/* The driver is done: line i may come again. */
/*@ requires 1 <= i < I_MAX;
    assigns i_pending[i];
    ensures i_pending[i] == 0; */
void irq_ack(uint32_t i);

/* Makes the line one that nobody owns. */
/*@ ALL(requires, NIL)
    requires 1 <= i < I_MAX;
    SLOT_FIELDS(assigns)
    BOUND_FIELDS(assigns)
    ALL(ensures, NIL)
    ensures \result == true;
    ensures \forall integer x; is_slot(x) && x != IRQ_SLOT(i) ==> slot_stays(x);
    ensures s_type[IRQ_SLOT(i)] == 0;
    ensures \forall integer x; is_slot(x) && \at(s_first[x],Pre) == NIL ==> s_first[x] == NIL; */
bool irq_end(uint32_t i);

#endif
