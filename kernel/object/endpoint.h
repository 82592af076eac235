/* Endpoints: where senders and receivers meet, first come first served.
 *
 * One of an endpoint's two queues is empty. A call to a receiver without context lends the caller's
 * through the reply object that the receiver offers; a receiver that offers none takes messages,
 * but no calls.
 */
#ifndef KERNEL_ENDPOINT_H
#define KERNEL_ENDPOINT_H

#include "object/cnode.h"
#include "object/message.h"
#include "object/notification.h"

extern uint64_t e_badge[E_MAX]; /* that the cancelling in e_cursor is about */

/*@ predicate is_endpoint(integer e) = 1 <= e < E_MAX; */

/* clang-format off */
/* What a message changes when t sends or receives it. */
#define MEET_FIELDS(clause)                                                                        \
    WAKE_FIELDS(clause) COPY_FIELDS(clause)                                                        \
    clause c_thread[0 .. C_MAX-1], t_context[0 .. T_MAX-1], c_top[0 .. C_MAX-1];                   \
    clause r_context[0 .. R_MAX-1], r_below[0 .. R_MAX-1], r_above[0 .. R_MAX-1];                  \
    clause phys[0 .. PHYS_FRAMES * 512 - 1];
/* clang-format on */

/* The message in t's registers, sent with t_badge[t] and t_rights[t]; state is THREAD_SENDING or
 * THREAD_CALLING. With wait, t queues up when nobody receives. 0, or the error for t. */
/*@ requires works && messages;
    requires is_thread(t) && is_endpoint(e);
    requires state == THREAD_CALLING || (state == THREAD_SENDING && t_fault[t] == 0);
    requires t_queue[t] == NIL && t_reply[t] == NIL && t_state[t] <= THREAD_READY;
    MEET_FIELDS(assigns)
    ensures works;
    ensures messages;
    ensures \result < ERRORS;
    ensures \result != 0 ==> t_state[t] == \old(t_state[t]) && t_queue[t] == NIL &&
        t_reply[t] == NIL;
    ensures \old(q_head[PRIORITIES + E_MAX + e + 1]) == NIL ==>
        \result == (wait ? 0 : ERR_WAIT);
    ensures \result == 0 && \old(q_head[PRIORITIES + E_MAX + e + 1]) == NIL ==>
        t_state[t] == state && t_queue[t] == PRIORITIES + e + 1 &&
        q_tail[PRIORITIES + e + 1] == t;
    ensures \result == 0 && \old(q_head[PRIORITIES + E_MAX + e + 1]) != NIL ==>
        t_state[\old(q_head[PRIORITIES + E_MAX + e + 1])] == THREAD_READY &&
        t_state[t] == (state == THREAD_SENDING ? THREAD_READY
                       : t_fault[t] == 0 ? THREAD_ANSWER : THREAD_HANDLED); */
uint32_t endpoint_send(uint32_t t, uint32_t e, uint32_t state, bool wait);

/* t, the running thread, takes what is there of its notification, or the first message; or waits
 * for one, if it may. r: reply object that it offers, linked with nobody, or NIL. */
/*@ requires going && messages && is_thread(t) && is_endpoint(e);
    requires r == NIL || (is_reply(r) && r_thread[r] == NIL);
    requires t == current && t_queue[t] == NIL && t_reply[t] == NIL;
    requires t_state[t] == THREAD_READY;
    MEET_FIELDS(assigns)
    assigns t_fault[0 .. T_MAX-1], n_word[0 .. N_MAX-1];
    ensures going;
    ensures messages;
    ensures \result < ERRORS;
    ensures \result != 0 ==>
        t_state[t] == THREAD_READY && t_queue[t] == NIL && t_reply[t] == NIL;
    ensures \old(n_word[t_notification[t]]) != 0 ==>
        \result == 0 && t_reg[t * 32] == LABEL_SIGNAL;
    ensures \old(n_word[t_notification[t]]) == 0 && \old(q_head[PRIORITIES + e + 1]) == NIL ==>
        \result == (wait ? 0 : ERR_WAIT) && (wait ==> t_state[t] == THREAD_RECEIVING);
    ensures t_state[t] == THREAD_READY ||
        (wait && t_state[t] == THREAD_RECEIVING && t_reply[t] == r); */
uint32_t endpoint_receive(uint32_t t, uint32_t e, uint32_t r, bool wait);

/* For the contract: who is looked at first: the first sender, or the next one of a cancelling that
 * is under way. */
#define CANCELLED_FIRST(e)                                                                         \
    \at(e_cursor[e] == NIL || e_badge[e] != badge ? q_head[PRIORITIES + (e) + 1] : e_cursor[e], Pre)

/* One slice of ending the waiting of senders with a badge. True when all are gone. */
/*@ requires works;
    requires is_endpoint(e);
    WAKE_FIELDS(assigns)
    assigns t_fault[0 .. T_MAX-1], e_badge[e];
    ensures works;
    ensures e_badge[e] == badge;
    ensures \let t = CANCELLED_FIRST(e);
        t != NIL && t_badge[t] == badge ==> t_state[t] <= THREAD_READY;
    ensures \result == true <==> e_cursor[e] == NIL; */
bool endpoint_cancel(uint32_t e, uint64_t badge);

#endif
