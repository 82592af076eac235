/* The end of an entry: who runs next, and until when.
 *
 * The running thread goes on unless it waits, its turn is over, its budget is used up, or somebody
 * of a higher priority is ready. The timer is set to the end of the turn or to the next due time,
 * whichever is first.
 */
#ifndef KERNEL_TURN_H
#define KERNEL_TURN_H

#include "object/endpoint.h"

#define RELEASE_SLICE                                                                              \
    8u /* contexts that one entry releases; the others follow by a timer at once */

extern uint64_t timer_due; /* what the timer is set to */

/* Between two entries: the running thread is one that can go on. */
/*@ predicate turn_runs{L} = running == t_context[current] &&
        (current != NIL ==> t_state[current] == THREAD_READY && t_queue[current] == NIL &&
            t_reply[current] == NIL && running != NIL && due_count < c_place[running]); */

/* At boot. */
/*@ assigns due_heap[0 .. C_MAX-1], c_place[0 .. C_MAX-1], c_due[0 .. C_MAX-1], due_count;
    assigns c_budget[1 .. C_MAX-1], c_period[1 .. C_MAX-1], c_count[1 .. C_MAX-1];
    assigns c_time0[1 .. C_MAX-1], c_time1[1 .. C_MAX-1], c_time2[1 .. C_MAX-1];
    assigns c_time3[1 .. C_MAX-1], c_amount0[1 .. C_MAX-1], c_amount1[1 .. C_MAX-1];
    assigns c_amount2[1 .. C_MAX-1], c_amount3[1 .. C_MAX-1], c_turn[1 .. C_MAX-1];
    assigns c_used[1 .. C_MAX-1], timer_due;
    ensures due_times;
    ensures contexts;
    ensures due_count == 0 && timer_due == ARCH_NEVER; */
void schedule_init(void);

/* Ends an entry: chooses current and sets the timer. */
/*@ requires works && messages;
    MEET_FIELDS(assigns)
    CONTEXTS_FIELDS(assigns)
    assigns t_fault[current], t_badge[current], t_rights[current], current, running, timer_due;
    ensures works;
    ensures messages;
    ensures turn_runs;
    ensures current == NIL ==> \forall integer q; 1 <= q <= PRIORITIES ==> q_head[q] == NIL;
    ensures current != NIL ==> ready_top <= t_priority[current]; */
void schedule(void);

#endif
