/* Contexts that wait for their next refill: a binary heap by the time when it is due.
 *
 * Positions are 1 .. C_MAX-1 and due_heap is always a permutation of all contexts, whose first
 * due_count are the heap: taking a context in swaps it to the place behind them, so there is room
 * without anybody having counted. A context waits when its place is within the heap.
 */
#ifndef KERNEL_DUE_H
#define KERNEL_DUE_H

#include "config.h"

#include <stdbool.h>
#include <stdint.h>

extern uint32_t due_heap[C_MAX]; /* context at a position */
extern uint32_t c_place[C_MAX];  /* position of a context */
extern uint64_t c_due[C_MAX];    /* when it is due, for those in the heap */
extern uint32_t due_count;

/*@ predicate is_context(integer c) = 1 <= c < C_MAX;
    predicate waits_due(integer c) = c_place[c] <= due_count;

    predicate d_count{L} = 0 <= due_count < C_MAX;

    predicate d_heap{L} = \forall integer i; 1 <= i < C_MAX ==>
        is_context(due_heap[i]) && c_place[due_heap[i]] == i;

    predicate d_place{L} = \forall integer c; is_context(c) ==>
        1 <= c_place[c] < C_MAX && due_heap[c_place[c]] == c;

    predicate d_order{L} = \forall integer i; 2 <= i <= due_count ==>
        c_due[due_heap[i / 2]] <= c_due[due_heap[i]];

    predicate due_times{L} = d_count && d_heap && d_place && d_order; */

/* clang-format off */
#define DUE(clause) clause d_count; clause d_heap; clause d_place; clause d_order;
/* clang-format on */

/* At boot: no context waits. */
/*@ assigns due_heap[0 .. C_MAX-1], c_place[0 .. C_MAX-1], c_due[0 .. C_MAX-1], due_count;
    DUE(ensures)
    ensures due_count == 0; */
void due_init(void);

/* Lets c, which does not wait, wait until due. */
/*@ requires due_times;
    requires is_context(c) && !waits_due(c);
    assigns due_heap[1 .. C_MAX-1], c_place[1 .. C_MAX-1], c_due[c], due_count;
    DUE(ensures)
    ensures waits_due(c) && c_due[c] == due && due_count == \old(due_count) + 1;
    ensures \forall integer x; is_context(x) && x != c ==>
        (c_place[x] <= due_count <==> \at(c_place[x] <= due_count, Pre)); */
void due_insert(uint32_t c, uint64_t due);

/* Ends the waiting of c. */
/*@ requires due_times;
    requires is_context(c) && waits_due(c);
    assigns due_heap[1 .. C_MAX-1], c_place[1 .. C_MAX-1], due_count;
    DUE(ensures)
    ensures !waits_due(c) && due_count == \old(due_count) - 1;
    ensures \forall integer x; is_context(x) && x != c ==>
        (c_place[x] <= due_count <==> \at(c_place[x] <= due_count, Pre)); */
void due_remove(uint32_t c);

#endif
