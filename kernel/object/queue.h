/* Queues of threads: first in, first out, doubly linked, every operation O(1).
 *
 * A thread stands in at most one queue, so all queues share the links. Queues are numbered: one for
 * each priority (threads that are ready), two for each endpoint (senders, receivers), one for each
 * notification (waiters). t_queue tells a thread's queue, NIL when it stands in none.
 *
 * The invariant is local: neighbours agree with each other and about the queue, and the ends of a
 * queue are its threads without neighbour. What the prover knows beside the fields is t_order, a
 * permutation of the threads' indices in which each thread stands before its next: so there is no
 * cycle, and a queue with a member has a head.
 */
#ifndef KERNEL_QUEUE_H
#define KERNEL_QUEUE_H

#include "abi/abi.h"
#include "config.h"

#include <stdint.h>

#define Q_READY(p)   ((p) + 1u)
#define Q_SEND(e)    (PRIORITIES + (e) + 1u)
#define Q_RECEIVE(e) (PRIORITIES + E_MAX + (e) + 1u)
#define Q_WAIT(n)    (PRIORITIES + 2u * E_MAX + (n) + 1u)
#define Q_MAX        (PRIORITIES + 2u * E_MAX + N_MAX + 1u)

extern uint32_t q_head[Q_MAX];
extern uint32_t q_tail[Q_MAX];
extern uint32_t t_next[T_MAX];
extern uint32_t t_prev[T_MAX];
extern uint32_t t_queue[T_MAX];
/*@ ghost extern uint32_t t_order[T_MAX]; */

/*@ predicate is_thread(integer t) = 1 <= t < T_MAX;
    predicate is_queue(integer q) = 1 <= q < Q_MAX;

    predicate q_refs{L} = \forall integer t; is_thread(t) ==>
        0 <= t_next[t] < T_MAX && 0 <= t_prev[t] < T_MAX && 0 <= t_queue[t] < Q_MAX;

    predicate q_ends{L} = \forall integer q; is_queue(q) ==>
        0 <= q_head[q] < T_MAX && 0 <= q_tail[q] < T_MAX;

    predicate q_out{L} = \forall integer t; is_thread(t) ==> t_queue[t] == NIL ==>
        t_next[t] == NIL && t_prev[t] == NIL;

    predicate q_next{L} = \forall integer t; is_thread(t) ==> t_next[t] != NIL ==>
        t_prev[t_next[t]] == t && t_queue[t_next[t]] == t_queue[t] && t_queue[t] != NIL;

    predicate q_prev{L} = \forall integer t; is_thread(t) ==> t_prev[t] != NIL ==>
        t_next[t_prev[t]] == t && t_queue[t_prev[t]] == t_queue[t] && t_queue[t] != NIL;

    predicate q_first{L} = \forall integer q; is_queue(q) ==> q_head[q] != NIL ==>
        t_queue[q_head[q]] == q && t_prev[q_head[q]] == NIL;

    predicate q_last{L} = \forall integer q; is_queue(q) ==> q_tail[q] != NIL ==>
        t_queue[q_tail[q]] == q && t_next[q_tail[q]] == NIL;

    predicate q_headed{L} = \forall integer t; is_thread(t) ==>
        t_queue[t] != NIL && t_prev[t] == NIL ==> q_head[t_queue[t]] == t;

    predicate q_tailed{L} = \forall integer t; is_thread(t) ==>
        t_queue[t] != NIL && t_next[t] == NIL ==> q_tail[t_queue[t]] == t;

    predicate q_both{L} = \forall integer q; is_queue(q) ==>
        (q_head[q] == NIL <==> q_tail[q] == NIL);

    predicate to_range{L} = \forall integer t; is_thread(t) ==> 1 <= t_order[t] < T_MAX;

    predicate to_one{L} = \forall integer t, u; is_thread(t) && is_thread(u) ==>
        t_order[t] == t_order[u] ==> t == u;

    predicate to_next{L} = \forall integer t; is_thread(t) ==> t_next[t] != NIL ==>
        t_order[t] < t_order[t_next[t]];

    predicate to_between{L} = \forall integer t, u; is_thread(t) && is_thread(u) ==>
        t_next[t] != NIL && t_queue[u] == t_queue[t] ==>
        t_order[u] <= t_order[t] || t_order[t_next[t]] <= t_order[u];

    predicate to_first{L} = \forall integer t; is_thread(t) ==> t_queue[t] != NIL ==>
        q_head[t_queue[t]] != NIL && t_order[q_head[t_queue[t]]] <= t_order[t];

    predicate to_last{L} = \forall integer t; is_thread(t) ==> t_queue[t] != NIL ==>
        q_tail[t_queue[t]] != NIL && t_order[t] <= t_order[q_tail[t_queue[t]]];

    predicate queues{L} = q_refs && q_ends && q_out && q_next && q_prev && q_first && q_last &&
        q_headed && q_tailed && q_both && to_range && to_one && to_next && to_between && to_first &&
        to_last; */

/* The whole invariant, each clause a goal of its own. */
/* clang-format off */
#define QUEUES(clause)                                                                            \
    clause q_refs; clause q_ends; clause q_out; clause q_next; clause q_prev; clause q_first;     \
    clause q_last; clause q_headed; clause q_tailed; clause q_both; clause to_range;              \
    clause to_one; clause to_next; clause to_between; clause to_first; clause to_last;
/* clang-format on */

/* Moves x to rank r in the order; those between move up or down by one. */
/*@ ghost
    /@ requires to_range && to_one;
       requires is_thread(x) && is_thread(r);
       assigns t_order[0 .. T_MAX-1];
       ensures to_range;
       ensures to_one;
       ensures t_order[x] == r;
       ensures \forall integer t; is_thread(t) && t != x ==> t_order[t] ==
           (\at(t_order[x],Pre) < \at(t_order[t],Pre) <= r ? \at(t_order[t],Pre) - 1
            : r <= \at(t_order[t],Pre) < \at(t_order[x],Pre) ? \at(t_order[t],Pre) + 1
                                                              : \at(t_order[t],Pre));
    @/
    static void order_put(uint32_t x, uint32_t r)
    {
        uint32_t was = t_order[x];
        /@ loop invariant 1 <= t <= T_MAX;
           loop invariant \forall integer k; t <= k < T_MAX ==> t_order[k] == \at(t_order[k],Pre);
           loop invariant \forall integer k; 1 <= k < t ==> t_order[k] ==
               (was < \at(t_order[k],Pre) <= r ? \at(t_order[k],Pre) - 1
                : r <= \at(t_order[k],Pre) < was ? \at(t_order[k],Pre) + 1
                                                  : \at(t_order[k],Pre));
           loop assigns t, t_order[1 .. T_MAX-1];
           loop variant T_MAX - t;
        @/
        for (uint32_t t = 1; t < T_MAX; t++) {
            if (was < t_order[t] && t_order[t] <= r) {
                t_order[t] = t_order[t] - 1;
            } else if (r <= t_order[t] && t_order[t] < was) {
                t_order[t] = t_order[t] + 1;
            }
        }
        t_order[x] = r;
    }
*/

/* Puts t, which stands in no queue, at the end of q. */
/*@ requires queues;
    requires is_thread(t) && is_queue(q) && t_queue[t] == NIL;
    assigns t_next[t], t_prev[t], t_queue[t], t_next[q_tail[q]], q_head[q], q_tail[q];
    assigns t_order[0 .. T_MAX-1];
    QUEUES(ensures)
    ensures t_queue[t] == q && q_tail[q] == t && t_prev[t] == \old(q_tail[q]);
    ensures q_head[q] == (\old(q_head[q]) == NIL ? t : \old(q_head[q])); */
static inline void queue_append(uint32_t q, uint32_t t)
{
    uint32_t last = q_tail[q];
    t_prev[t] = last;
    t_queue[t] = q;
    if (last != NIL) {
        t_next[last] = t;
    } else {
        q_head[q] = t;
    }
    q_tail[q] = t;
    /*@ ghost order_put(t, T_MAX - 1); */
}

/* Puts t, which stands in no queue, before all others of q. */
/*@ requires queues;
    requires is_thread(t) && is_queue(q) && t_queue[t] == NIL;
    assigns t_next[t], t_prev[t], t_queue[t], t_prev[q_head[q]], q_head[q], q_tail[q];
    assigns t_order[0 .. T_MAX-1];
    QUEUES(ensures)
    ensures t_queue[t] == q && q_head[q] == t && t_next[t] == \old(q_head[q]);
    ensures q_tail[q] == (\old(q_tail[q]) == NIL ? t : \old(q_tail[q])); */
static inline void queue_prepend(uint32_t q, uint32_t t)
{
    uint32_t first = q_head[q];
    t_next[t] = first;
    t_queue[t] = q;
    if (first != NIL) {
        t_prev[first] = t;
    } else {
        q_tail[q] = t;
    }
    q_head[q] = t;
    /*@ ghost order_put(t, 1); */
}

/* Takes t out of its queue; the order of the others stays. */
/*@ requires queues;
    requires is_thread(t) && t_queue[t] != NIL;
    assigns t_next[t], t_prev[t], t_queue[t], t_next[t_prev[t]], t_prev[t_next[t]];
    assigns q_head[t_queue[t]], q_tail[t_queue[t]];
    QUEUES(ensures)
    ensures t_queue[t] == NIL;
    ensures \old(t_prev[t]) != NIL ==> t_next[\old(t_prev[t])] == \old(t_next[t]);
    ensures \old(t_next[t]) != NIL ==> t_prev[\old(t_next[t])] == \old(t_prev[t]);
    ensures q_head[\old(t_queue[t])] ==
        (\old(t_prev[t]) == NIL ? \old(t_next[t]) : \old(q_head[t_queue[t]]));
    ensures q_tail[\old(t_queue[t])] ==
        (\old(t_next[t]) == NIL ? \old(t_prev[t]) : \old(q_tail[t_queue[t]])); */
static inline void queue_remove(uint32_t t)
{
    uint32_t q = t_queue[t];
    uint32_t next = t_next[t];
    uint32_t prev = t_prev[t];
    if (prev != NIL) {
        t_next[prev] = next;
    } else {
        q_head[q] = next;
    }
    if (next != NIL) {
        t_prev[next] = prev;
    } else {
        q_tail[q] = prev;
    }
    t_next[t] = NIL;
    t_prev[t] = NIL;
    t_queue[t] = NIL;
}

/* Takes the first thread out of q, which has one; it is the result. */
/*@ requires queues;
    requires is_queue(q) && q_head[q] != NIL;
    assigns t_next[q_head[q]], t_queue[q_head[q]], t_prev[t_next[q_head[q]]], q_head[q], q_tail[q];
    QUEUES(ensures)
    ensures \result == \old(q_head[q]) && t_queue[\result] == NIL;
    ensures q_head[q] == \old(t_next[q_head[q]]);
    ensures q_tail[q] == (\old(t_next[q_head[q]]) == NIL ? NIL : \old(q_tail[q])); */
static inline uint32_t queue_pop(uint32_t q)
{
    uint32_t t = q_head[q];
    uint32_t next = t_next[t];
    q_head[q] = next;
    if (next != NIL) {
        t_prev[next] = NIL;
    } else {
        q_tail[q] = NIL;
    }
    t_next[t] = NIL;
    t_queue[t] = NIL;
    return t;
}

#endif
