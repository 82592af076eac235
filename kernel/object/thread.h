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

/* clang-format off */
/* Everything that holds between threads, their queues and their time in the middle of an entry, and
 * what may change in it. A step that changes nothing of time keeps what STANDING says. */
#define STANDING(clause)                                                                           \
    QUEUES(clause) READY(clause) PLACED(clause) REPLIES(clause) LINKS(clause) clause s_fault;
#define RUNNING(clause)                                                                            \
    STANDING(clause) DUE(clause) CONTEXTS(clause) clause x_links;
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

/* RUNNING in one. */
/*@ predicate works{L} =
        q_refs && q_ends && q_out && q_next && q_prev && q_first && q_last && q_headed &&
        q_tailed && q_both && to_range && to_one && to_next && to_between && to_first && to_last &&
        y_priority && y_map && y_top && y_own && s_state && s_current && s_nil && s_aside &&
        s_placed && s_timed(0) && s_queued(0) && s_send && s_receive && s_wait && s_due && e_one &&
        e_cursors && n_waits && r_refs && r_agree && r_lent && r_tops && r_topped && r_out &&
        r_down && r_up && l_answer && l_offer && l_none && l_lent(0) && l_lender && s_fault &&
        d_count && d_heap && d_place && d_order && x_period && x_count && x_sum && x_none &&
        x_turn && x_links; */

/* Ends whatever t waits for, and leaves it stopped: a system call is answered with error. A call
 * through which time was lent stays in the way of that time: when it comes back, t has it again. */
/*@ STANDING(requires)
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
/*@ RUNNING(requires)
    requires is_thread(t);
    assigns t_state[t], t_queue[t], t_fault[t];
    READY_FIELDS(assigns)
    DUE_FIELDS(assigns)
    RUNNING(ensures)
    ensures t_state[t] ==
        (\old(t_state[t]) == THREAD_STOPPED ? THREAD_READY : \old(t_state[t])); */
void thread_resume(uint32_t t);

/*@ STANDING(requires)
    requires is_thread(t) && is_priority(priority);
    assigns t_priority[t], t_queue[t];
    READY_FIELDS(assigns)
    STANDING(ensures)
    ensures t_priority[t] == priority && (t_queue[t] == NIL <==> \old(t_queue[t]) == NIL); */
void thread_set_priority(uint32_t t, uint32_t priority);

#endif
