/* Answers: a caller gets its message and its time back. */
#ifndef KERNEL_ANSWER_H
#define KERNEL_ANSWER_H

#include "object/endpoint.h"

/* t gets back no more what it has lent, if anything. */
/*@ requires works;
    requires is_thread(t);
    assigns t_reply[t], r_thread[t_reply[t]], r_context[0 .. R_MAX-1], r_below[0 .. R_MAX-1];
    assigns r_above[0 .. R_MAX-1], c_top[0 .. C_MAX-1];
    ensures works;
    ensures t_reply[t] == NIL || r_context[t_reply[t]] == NIL;
    ensures \old(t_reply[t]) != NIL && \old(r_context[t_reply[t]]) != NIL ==>
   c_top[\old(r_context[t_reply[t]])] ==
        (\old(r_above[t_reply[t]]) == NIL ? \old(r_below[t_reply[t]])
                                          : \old(c_top[r_context[t_reply[t]]])); */
void answer_forget(uint32_t t);

/* Ends the link between r and its thread, which is stopped or ready; what that one has lent through
 * it returns, unless it was lent on meanwhile: then it returns to nobody. */
/*@ requires queues && ready_queues && due_times && contexts && x_links && placed(NIL);
    requires replies && links(r_thread[r]);
    requires s_fault;
    requires is_reply(r) && r_thread[r] != NIL && t_state[r_thread[r]] <= THREAD_READY;
    CONTEXT_FIELDS(assigns)
    RUNNING(ensures)
    ensures r_thread[r] == NIL && r_context[r] == NIL && t_reply[\old(r_thread[r])] == NIL;
    ensures \forall integer t; is_thread(t) ==> t_state[t] == \at(t_state[t],Pre);
    ensures \forall integer t; is_thread(t) && t != \at(r_thread[r],Pre) ==>
        t_reply[t] == \at(t_reply[t],Pre);
    ensures \old(r_context[r]) != NIL && \old(c_top[r_context[r]]) == r ==>
        t_context[\old(r_thread[r])] == \old(r_context[r]); */
void answer_return(uint32_t r);

/* The message in t's registers goes to the thread that waits in r, which then runs again; or the
 * error for t, and nothing has changed. */
/*@ requires going && messages;
    requires is_thread(t) && is_reply(r) && t_reply[t] == NIL && t_fault[t] == 0;
    MEET_FIELDS(assigns)
    assigns t_fault[r_thread[r]];
    ensures going;
    ensures messages;
    ensures \result < ERRORS;
    ensures \result == 0 ==> r_thread[r] == NIL && r_context[r] == NIL &&
        t_state[\old(r_thread[r])] <= THREAD_READY && t_reply[\old(r_thread[r])] == NIL;
    ensures \result != 0 ==> r_thread[r] == \old(r_thread[r]) &&
        r_context[r] == \old(r_context[r]) && t_context[t] == \old(t_context[t]);
    ensures t_state[t] == \old(t_state[t]) && t_reply[t] == NIL; */
uint32_t answer(uint32_t t, uint32_t r);

/* t waits no more: it is answered with error, and runs; a thread that waits because of a fault is
 * stopped instead. */
/*@ requires works;
    requires is_thread(t) && error < ERRORS;
    STOP_FIELDS(assigns)
    assigns t_order[0 .. T_MAX-1];
    DUE_FIELDS(assigns)
    ensures works;
    ensures t_state[t] <= THREAD_READY && t_queue[t] <= PRIORITIES;
    ensures t_reply[t] == NIL || t_reply[t] == \old(t_reply[t]);
    ensures PRIORITIES < \old(t_queue[t]) && \old(t_prev[t]) == NIL ==>
        q_head[\old(t_queue[t])] == \old(t_next[t]);
    ensures \forall integer e; 0 <= e < E_MAX ==> e_cursor[e] ==
        (\at(e_cursor[e], Pre) == t ? \at(t_next[t], Pre) : \at(e_cursor[e], Pre)); */
void answer_error(uint32_t t, uint32_t error);

#endif
