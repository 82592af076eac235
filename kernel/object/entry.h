/* What the fast path leaves to the slow one. The entries themselves are declared in arch/arch.h. */
#ifndef KERNEL_ENTRY_H
#define KERNEL_ENTRY_H

#include "object/decode.h"
#include "object/fast.h"
#include "object/irq.h"
#include "object/message.h"
#include "object/turn.h"

#include <stdint.h>

/* What holds at an entry and when it ends: what holds in the middle of one, and the running thread
 * can go on. In one for those who hand it on, and each clause a goal of its own for those who
 * change it. */
/*@ predicate entry{L} = going && messages && turn_runs; */

/* clang-format off */
#define ENTRY(clause)                                                                              \
    RUNNING(clause) clause n_links; clause messages; clause turn_runs;
/* And what changes in one. */
#define ENTRY_FIELDS(clause)                                                                       \
    INVOKE_FIELDS(clause)                                                                          \
    clause now, since, turn_over, timer_due, arch_clock;
/* clang-format on */

/* Any system call of the running thread but the fast ones of fast.c. */
/*@ requires entry;
    requires t == current && t != NIL;
    ENTRY_FIELDS(assigns)
    ensures entry; */
void other_syscall(uint32_t t);

/* What that one leaves: any system call, and any fault. The time until then is charged. */
/*@ requires entry;
    requires t == current && t != NIL;
    ENTRY_FIELDS(assigns)
    ensures entry;
    ensures since == now; */
void slow_syscall(uint32_t t);
/*@ requires entry;
    requires t == current && t != NIL && 0 < fault < FAULTS;
    ENTRY_FIELDS(assigns)
    ensures entry;
    ensures since == now; */
void slow_fault(uint32_t t, uint32_t fault);

#endif
