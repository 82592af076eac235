/* Notifications: a word of bits that signals set, and that whoever waits takes as a whole.
 *
 * A notification may be bound to one thread (a capability in the thread's hidden slot): a signal
 * then also ends the thread's waiting on an endpoint. What is received has label LABEL_SIGNAL and
 * the word in the place of the badge.
 */
#ifndef KERNEL_NOTIFICATION_H
#define KERNEL_NOTIFICATION_H

#include "object/schedule.h"

extern uint64_t n_word[N_MAX];
extern uint32_t n_thread[N_MAX]; /* bound to, NIL for none */
extern uint32_t t_notification[T_MAX];

/*@ predicate is_notification(integer n) = 1 <= n < N_MAX;

    predicate n_links{L} = n_word[0] == 0 &&
        (\forall integer n; is_notification(n) ==> 0 <= n_thread[n] < T_MAX &&
            (n_thread[n] != NIL ==> t_notification[n_thread[n]] == n)) &&
        (\forall integer t; is_thread(t) ==> 0 <= t_notification[t] < N_MAX &&
            (t_notification[t] != NIL ==> n_thread[t_notification[t]] == t)); */

/* Sets bits: answers the bound thread if it waits to receive, else the first waiter, else they stay
 * to be taken. */
void notification_signal(uint32_t n, uint64_t bits);

/* t, the running thread, takes the word; or waits for it, if it may. */
uint32_t notification_wait(uint32_t t, uint32_t n, bool wait);

/* Gives t what is there of its bound notification. True when there was something. */
bool notification_take(uint32_t t);

/* n and t, neither bound, are bound to each other; what is there already is taken. */
void notification_bind(uint32_t n, uint32_t t);
/* n is bound. */
/*@ requires n_links && is_notification(n) && n_thread[n] != NIL;
    assigns t_notification[n_thread[n]], n_thread[n];
    ensures n_links;
    ensures n_thread[n] == NIL && t_notification[\old(n_thread[n])] == NIL; */
void notification_unbind(uint32_t n);

#endif
