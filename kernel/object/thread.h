/* Threads: registers, bindings, priority.
 *
 * A thread's registers are one row of t_reg (arch/regs.h). What it is bound to stands as derived
 * capabilities in its hidden slots (config.h); the fields here are what is read at every entry,
 * and follow the slots through thread_bound and thread_unbound (object.h).
 */
#ifndef KERNEL_THREAD_H
#define KERNEL_THREAD_H

#include "object/schedule.h"

extern uint64_t t_reg[T_MAX * T_REGS];
extern uint32_t t_space[T_MAX];  /* frame of its top page table, NIL for none */
extern uint32_t t_cnode[T_MAX];  /* first slot of its cnode, NIL for none */
extern uint32_t t_buffer[T_MAX]; /* frame of its message buffer, NIL for none */
extern uint64_t t_badge[T_MAX];  /* badge and rights of the capability by which it sends */
extern uint8_t t_rights[T_MAX];
extern uint32_t t_fault[T_MAX]; /* FAULT_... that it is about, 0 for none */

/* Where t's row begins in t_reg. 64 bits wide: so register numbers are folded into addresses. */
/*@ requires is_thread(t) || t == NIL;
    assigns \nothing;
    ensures \result == t * 32; */
static inline uint64_t t_row(uint32_t t)
{
    return (uint64_t)t * T_REGS;
}

/* Ends whatever t waits for, and leaves it stopped: a system call is answered with error. A call
 * through which time was lent stays in the way of that time: when it comes back, t has it again. */
void thread_cancel(uint32_t t, uint32_t error);

/* Stops t; lets it run again, from where it is. */
void thread_suspend(uint32_t t);
void thread_resume(uint32_t t);

void thread_set_priority(uint32_t t, uint32_t priority);

#endif
