/* Ready queues: the threads that could run at once, by priority.
 *
 * ready_map has one bit for each priority whose queue is not empty, ready_top is the highest of
 * them, 0 when there is none. The running thread stands in no queue.
 */
#ifndef KERNEL_READY_H
#define KERNEL_READY_H

#include "arch/bits.h"
#include "object/queue.h"

#include <stdbool.h>

extern uint64_t ready_map;
extern uint32_t ready_top;
extern uint32_t t_priority[T_MAX];

/*@ predicate is_priority(integer p) = 0 <= p < PRIORITIES;

    predicate y_priority{L} = \forall integer t; is_thread(t) ==> is_priority(t_priority[t]);

    predicate is_ready_queue(integer q) = 1 <= q <= PRIORITIES;

    predicate y_map{L} = \forall integer q; is_ready_queue(q) ==>
        (bit(ready_map, q - 1) <==> q_head[q] != NIL);

    predicate y_top{L} = is_priority(ready_top) &&
        (\forall integer q; ready_top + 1 < q <= PRIORITIES ==> q_head[q] == NIL) &&
        (ready_top != 0 ==> q_head[ready_top + 1] != NIL);

    predicate y_own{L} = \forall integer t; is_thread(t) ==>
        1 <= t_queue[t] <= PRIORITIES ==> t_queue[t] == t_priority[t] + 1;

    predicate ready_queues{L} = y_priority && y_map && y_top && y_own; */

/* clang-format off */
#define READY(clause) clause y_priority; clause y_map; clause y_top; clause y_own;
/* clang-format on */

/* Makes t, which stands in no queue, the last or the first of those with its priority. */
/*@ requires queues && ready_queues;
    requires is_thread(t) && t_queue[t] == NIL;
    assigns t_next[t], t_prev[t], t_queue[t], t_next[q_tail[t_priority[t] + 1]];
    assigns q_head[t_priority[t] + 1], q_tail[t_priority[t] + 1], ready_map, ready_top;
    assigns t_order[0 .. T_MAX-1];
    ensures queues;
    READY(ensures)
    ensures t_queue[t] == t_priority[t] + 1 && q_tail[t_priority[t] + 1] == t;
    ensures ready_top >= t_priority[t]; */
void ready_append(uint32_t t);

/*@ requires queues && ready_queues;
    requires is_thread(t) && t_queue[t] == NIL;
    assigns t_next[t], t_prev[t], t_queue[t], t_prev[q_head[t_priority[t] + 1]];
    assigns q_head[t_priority[t] + 1], q_tail[t_priority[t] + 1], ready_map, ready_top;
    assigns t_order[0 .. T_MAX-1];
    ensures queues;
    READY(ensures)
    ensures t_queue[t] == t_priority[t] + 1 && q_head[t_priority[t] + 1] == t;
    ensures ready_top >= t_priority[t]; */
void ready_prepend(uint32_t t);

/* Takes t out of the ready queue that it stands in. */
/*@ requires queues && ready_queues;
    requires is_thread(t) && 1 <= t_queue[t] <= PRIORITIES;
    assigns t_next[t], t_prev[t], t_queue[t], t_next[t_prev[t]], t_prev[t_next[t]];
    assigns q_head[t_queue[t]], q_tail[t_queue[t]], ready_map, ready_top;
    ensures queues;
    READY(ensures)
    ensures t_queue[t] == NIL;
    ensures \old(t_prev[t]) == NIL ==> q_head[\old(t_queue[t])] == \old(t_next[t]); */
void ready_remove(uint32_t t);

/* The thread to run: first of the highest priority; NIL when none is ready. */
/*@ requires queues && ready_queues;
    assigns \nothing;
    ensures 0 <= \result < T_MAX;
    ensures \result == q_head[ready_top + 1];
    ensures \result != NIL ==> t_priority[\result] == ready_top;
    ensures \result == NIL ==> \forall integer q; is_ready_queue(q) ==> q_head[q] == NIL; */
uint32_t ready_first(void);

#endif
