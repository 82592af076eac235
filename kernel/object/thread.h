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

/*@ predicate s_fault{L} = \forall integer t; is_thread(t) ==> 0 <= t_fault[t] < FAULTS &&
        (t_fault[t] != 0 ==> t_state[t] == THREAD_STOPPED || t_state[t] == THREAD_CALLING ||
            t_state[t] == THREAD_HANDLED); */

/* What holds between threads and their queues in the middle of an entry; works: with their time. A
 * step that changes nothing of time keeps what stands. */
/*@ predicate stands{L} = queues && ready_queues && placed(NIL) && replies && links(NIL) && s_fault;

    predicate works{L} = stands && due_times && contexts && x_links; */

/* clang-format off */
/* Clause by clause, each a goal, for those who change it; and what may change. */
#define STANDING(clause)                                                                           \
    clause queues; READY(clause) PLACED(clause) clause replies; LINKS(clause) clause s_fault;
#define RUNNING(clause)                                                                            \
    STANDING(clause) clause due_times; clause contexts; clause x_links;
#define RUNNING_FIELDS(clause)                                                                     \
    clause current, running, ready_map, ready_top, due_count;                                      \
    clause t_state[0 .. T_MAX-1], t_next[0 .. T_MAX-1], t_prev[0 .. T_MAX-1];                      \
    clause t_queue[0 .. T_MAX-1], t_order[0 .. T_MAX-1], t_priority[0 .. T_MAX-1];                 \
    clause t_context[0 .. T_MAX-1], t_reply[0 .. T_MAX-1], t_fault[0 .. T_MAX-1];                  \
    clause t_badge[0 .. T_MAX-1], t_rights[0 .. T_MAX-1], t_reg[0 .. T_MAX * 32 - 1];              \
    clause q_head[0 .. Q_MAX-1], q_tail[0 .. Q_MAX-1], e_cursor[0 .. E_MAX-1];                     \
    clause due_heap[0 .. C_MAX-1], c_place[0 .. C_MAX-1], c_due[0 .. C_MAX-1];                     \
    clause c_budget[0 .. C_MAX-1], c_period[0 .. C_MAX-1], c_count[0 .. C_MAX-1];                  \
    clause c_time0[0 .. C_MAX-1], c_time1[0 .. C_MAX-1], c_time2[0 .. C_MAX-1];                    \
    clause c_time3[0 .. C_MAX-1], c_amount0[0 .. C_MAX-1], c_amount1[0 .. C_MAX-1];                \
    clause c_amount2[0 .. C_MAX-1], c_amount3[0 .. C_MAX-1], c_turn[0 .. C_MAX-1];                 \
    clause c_used[0 .. C_MAX-1], c_thread[0 .. C_MAX-1], c_top[0 .. C_MAX-1];                      \
    clause r_thread[0 .. R_MAX-1], r_context[0 .. R_MAX-1], r_below[0 .. R_MAX-1];                 \
    clause r_above[0 .. R_MAX-1];
/* What changes when t stops. */
#define STOP_FIELDS(clause)                                                                        \
    clause t_state[t], t_queue[t], t_fault[t], t_reg[t * 32 .. t * 32 + 2];                        \
    clause t_next[0 .. T_MAX-1], t_prev[0 .. T_MAX-1], q_head[0 .. Q_MAX-1], q_tail[0 .. Q_MAX-1]; \
    clause ready_map, ready_top, e_cursor[0 .. E_MAX-1], t_reply[t], r_thread[t_reply[t]];
/* clang-format on */

/* Ends whatever t waits for, and leaves it stopped: a system call is answered with error. A call
 * through which time was lent stays in the way of that time: when it comes back, t has it again. */
/*@ requires stands;
    requires is_thread(t) && error < ERRORS;
    STOP_FIELDS(assigns)
    STANDING(ensures)
    ensures t_state[t] == THREAD_STOPPED && t_queue[t] == NIL;
    ensures t_reply[t] == NIL || t_reply[t] == \old(t_reply[t]);
    ensures \old(t_queue[t]) != NIL && \old(t_prev[t]) == NIL ==>
        q_head[\old(t_queue[t])] == \old(t_next[t]);
    ensures \forall integer e; 0 <= e < E_MAX ==> e_cursor[e] ==
        (\at(e_cursor[e], Pre) == t ? \at(t_next[t], Pre) : \at(e_cursor[e], Pre));
    ensures \old(t_state[t]) > THREAD_READY || \old(t_fault[t]) == 0 ==> t_fault[t] == 0;
    ensures \old(t_state[t]) > THREAD_READY && \old(t_fault[t]) == 0 ==>
        t_reg[t * 32] == error * 0x100000000000000 + 2 * 0x100000000; */
void thread_cancel(uint32_t t, uint32_t error);

/* Lets t, if it is stopped, run again, from where it is. */
/*@ requires works;
    requires is_thread(t);
    assigns t_state[t], t_queue[t], t_fault[t];
    READY_FIELDS(assigns)
    DUE_FIELDS(assigns)
    ensures works;
    ensures t_state[t] ==
        (\old(t_state[t]) == THREAD_STOPPED ? THREAD_READY : \old(t_state[t]));
    ensures \old(t_state[t]) == THREAD_STOPPED ==> t_fault[t] == 0; */
void thread_resume(uint32_t t);

/*@ requires stands;
    requires is_thread(t) && is_priority(priority);
    assigns t_priority[t], t_queue[t];
    READY_FIELDS(assigns)
    STANDING(ensures)
    ensures t_priority[t] == priority && (t_queue[t] == NIL <==> \old(t_queue[t]) == NIL); */
void thread_set_priority(uint32_t t, uint32_t priority);

#endif
