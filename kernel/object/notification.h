/* Notifications: a word of bits that signals set, and that whoever waits takes as a whole.
 *
 * A notification may be bound to one thread (a capability in the thread's hidden slot): a signal
 * then also ends the thread's waiting on an endpoint. What is received has label LABEL_SIGNAL and
 * the word in the place of the badge.
 */
#ifndef KERNEL_NOTIFICATION_H
#define KERNEL_NOTIFICATION_H

#include "abi/message.h"
#include "object/thread.h"

extern uint32_t n_thread[N_MAX]; /* bound to, NIL for none */
extern uint32_t t_notification[T_MAX];

/*@ predicate is_notification(integer n) = 1 <= n < N_MAX;

    predicate n_links{L} = n_word[0] == 0 &&
        (\forall integer n; is_notification(n) ==> 0 <= n_thread[n] < T_MAX &&
            (n_thread[n] != NIL ==> t_notification[n_thread[n]] == n)) &&
        (\forall integer t; is_thread(t) ==> 0 <= t_notification[t] < N_MAX &&
            (t_notification[t] != NIL ==> n_thread[t_notification[t]] == t)); */

/* The same, and what is bound to what. */
/*@ predicate going{L} = works && n_links; */

/* clang-format off */
#define BOUND_FIELDS(clause)                                                                       \
    RUNNING_FIELDS(clause)                                                                         \
    clause t_cnode[0 .. T_MAX-1], t_space[0 .. T_MAX-1], t_buffer[0 .. T_MAX-1];                   \
    clause t_notification[0 .. T_MAX-1], n_thread[0 .. N_MAX-1], n_word[0 .. N_MAX-1];
/* For contracts: what changes when t is given something, and is made ready. */
#define WAKE_FIELDS(clause)                                                                        \
    READY_FIELDS(clause)                                                                           \
    DUE_FIELDS(clause)                                                                             \
    clause t_state[0 .. T_MAX-1], t_queue[0 .. T_MAX-1], q_head[0 .. Q_MAX-1];                     \
    clause q_tail[0 .. Q_MAX-1], e_cursor[0 .. E_MAX-1], t_reply[0 .. T_MAX-1];                    \
    clause r_thread[0 .. R_MAX-1], t_reg[0 .. T_MAX * 32 - 1];
/* clang-format on */

/* For contracts: who gets what is signalled to n; NIL: nobody waits. */
#define WAITER(n)                                                                                  \
    (t_state[n_thread[n]] == THREAD_RECEIVING ? n_thread[n]                                        \
                                              : q_head[PRIORITIES + 2 * E_MAX + (n) + 1])

/* Sets bits: answers the bound thread if it waits to receive, else the first waiter, else they stay
 * to be taken. */
/*@ requires works;
    requires n_links && is_notification(n);
    WAKE_FIELDS(assigns)
    assigns n_word[n];
    ensures works;
    ensures n_links;
    ensures n_word[n] == 0 || n_word[n] == (\old(n_word[n]) | bits);
    ensures \let t = \old(WAITER(n)); t != NIL && (\old(n_word[n]) | bits) != 0 ==>
        t_state[t] == THREAD_READY && t_reg[t * 32] == LABEL_SIGNAL &&
        t_reg[t * 32 + 11] == (\old(n_word[n]) | bits);
    ensures n_word[n] != 0 ==> t_state[n_thread[n]] != THREAD_RECEIVING; */
void notification_signal(uint32_t n, uint64_t bits);

/* t, the running thread, takes the word; or waits for it, if it may. */
/*@ requires stands;
    requires n_links && is_notification(n) && is_thread(t);
    requires t_state[t] == THREAD_READY && t_queue[t] == NIL && t_reply[t] == NIL;
    assigns t_reg[t * 32], t_reg[t * 32 + 11], n_word[n], t_state[t];
    assigns t_next[t], t_prev[t], t_queue[t], t_next[q_tail[PRIORITIES + 2 * E_MAX + n + 1]];
    assigns q_head[PRIORITIES + 2 * E_MAX + n + 1], q_tail[PRIORITIES + 2 * E_MAX + n + 1];
    assigns t_order[0 .. T_MAX-1];
    STANDING(ensures)
    ensures n_links;
    ensures \result == (\old(n_word[n]) == 0 && !wait ? ERR_WAIT : 0);
    ensures \old(n_word[n]) != 0 ==> n_word[n] == 0 && t_reg[t * 32] == LABEL_SIGNAL &&
        t_reg[t * 32 + 11] == \old(n_word[n]);
    ensures t_state[t] == (\old(n_word[n]) == 0 && wait ? THREAD_WAITING : THREAD_READY);
    ensures t_state[t] == THREAD_READY ==> t_queue[t] == NIL; */
uint32_t notification_wait(uint32_t t, uint32_t n, bool wait);

/* Gives t what is there of its bound notification. True when there was something. */
/*@ requires n_waits && n_links && is_thread(t);
    assigns n_word[t_notification[t]], t_reg[t * 32], t_reg[t * 32 + 11];
    ensures n_waits && n_links;
    ensures n_word[t_notification[t]] == 0;
    ensures \result == true <==> \old(n_word[t_notification[t]]) != 0;
    ensures \result ==> t_reg[t * 32] == LABEL_SIGNAL &&
        t_reg[t * 32 + 11] == \old(n_word[t_notification[t]]);
    ensures !\result ==> t_reg[t * 32] == \old(t_reg[t * 32]) &&
        t_reg[t * 32 + 11] == \old(t_reg[t * 32 + 11]); */
bool notification_take(uint32_t t);

/* n and t, neither bound, are bound to each other; what is there already is taken. */
/*@ requires works;
    requires n_links && is_notification(n) && is_thread(t);
    requires n_thread[n] == NIL && t_notification[t] == NIL;
    WAKE_FIELDS(assigns)
    assigns n_word[n], n_thread[n], t_notification[t];
    ensures works;
    ensures n_links;
    ensures n_thread[n] == t && t_notification[t] == n;
    ensures \old(n_word[n]) != 0 && \old(t_state[t]) == THREAD_RECEIVING ==>
        t_reg[t * 32] == LABEL_SIGNAL && t_reg[t * 32 + 11] == \old(n_word[n]);
    ensures n_word[n] != 0 ==> t_state[t] != THREAD_RECEIVING; */
void notification_bind(uint32_t n, uint32_t t);

/* n, which is bound, and its thread are bound to each other no more. */
/*@ requires n_links && is_notification(n) && n_thread[n] != NIL;
    assigns t_notification[n_thread[n]], n_thread[n];
    ensures n_links;
    ensures n_thread[n] == NIL && t_notification[\old(n_thread[n])] == NIL; */
void notification_unbind(uint32_t n);

#endif
