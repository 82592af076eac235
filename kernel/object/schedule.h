/* Who runs: states of threads, the running thread, and time.
 *
 * A thread that is ready and has a context is either the running one (current), or stands in the
 * ready queue of its priority, or its context waits for its next refill (due.h). A thread without
 * context is ready without being queued anywhere until it is lent or bound one.
 *
 * Time is read once an entry. The context `running` is charged for the time since `since` at each
 * entry that takes the slow path; the fast path hands the same context on, so what it has used
 * stays to be charged to it. The timer is set to the end of its turn or to the next due time,
 * whichever is first.
 *
 * An entry is: schedule_enter, the work, schedule. The work changes states and queues and leaves
 * `current` alone; schedule chooses. Nothing runs before the highest priority that is ready.
 */
#ifndef KERNEL_SCHEDULE_H
#define KERNEL_SCHEDULE_H

#include "object/ready.h"
#include "object/reply.h"

#define RELEASE_SLICE                                                                              \
    8u /* contexts that one entry releases; the others follow by a timer at once */

#define THREAD_STOPPED   0u /* not to run until it is resumed */
#define THREAD_READY     1u
#define THREAD_SENDING   2u /* in the endpoint's queue of senders */
#define THREAD_CALLING   3u /* the same, and wants an answer */
#define THREAD_RECEIVING 4u /* in the endpoint's queue of receivers */
#define THREAD_WAITING   5u /* in the notification's queue */
#define THREAD_ANSWER    6u /* waits for the answer through its reply object */
#define THREAD_HANDLED   7u /* the same, from its fault handler */

extern uint32_t current;
extern uint32_t t_state[T_MAX];
extern uint64_t now;             /* time of this entry */
extern uint32_t running;         /* context to be charged */
extern uint64_t since;           /* from when on */
extern uint64_t timer_due;       /* what the timer is set to */
extern uint32_t e_cursor[E_MAX]; /* sender at which an endpoint_cancel goes on, NIL for none */
extern bool turn_over;           /* the running context's turn is over */

/*@ predicate s_state{L} = \forall integer t; is_thread(t) ==> 0 <= t_state[t] <= THREAD_HANDLED;

    predicate s_current{L} = 0 <= current < T_MAX && 0 <= running < C_MAX;

    predicate s_idle{L} = current != NIL ==> t_queue[current] == NIL;

    predicate s_ready{L} = \forall integer t; is_thread(t) ==>
        1 <= t_queue[t] <= PRIORITIES ==> t_state[t] == THREAD_READY && t_context[t] != NIL &&
            !waits_due(t_context[t]);

    predicate s_send{L} = \forall integer t; is_thread(t) ==>
        (PRIORITIES < t_queue[t] <= PRIORITIES + E_MAX <==>
            t_state[t] == THREAD_SENDING || t_state[t] == THREAD_CALLING);

    predicate s_receive{L} = \forall integer t; is_thread(t) ==>
        (PRIORITIES + E_MAX < t_queue[t] <= PRIORITIES + 2 * E_MAX <==>
            t_state[t] == THREAD_RECEIVING);

    predicate s_wait{L} = \forall integer t; is_thread(t) ==>
        (PRIORITIES + 2 * E_MAX < t_queue[t] <==> t_state[t] == THREAD_WAITING);

    predicate s_answer{L} = \forall integer t; is_thread(t) ==> t_state[t] >= THREAD_ANSWER ==>
        t_reply[t] != NIL; */

/* clang-format off */
#define SCHEDULE(clause)                                                                          \
    clause s_state; clause s_current; clause s_idle; clause s_ready; clause s_send;               \
    clause s_receive; clause s_wait; clause s_answer;
#define THREADS(clause)                                                                           \
    QUEUES(clause) READY(clause) DUE(clause) CONTEXTS(clause) clause x_links; SCHEDULE(clause)
/* clang-format on */

/* Begins an entry: reads the time and charges it. */
/*@ CONTEXTS(requires)
    requires 0 <= running < C_MAX;
    assigns now, since, turn_over, arch_clock, c_turn[running], c_count[running], c_used[running];
    assigns c_time0[running], c_time1[running], c_time2[running], c_time3[running];
    assigns c_amount0[running], c_amount1[running], c_amount2[running], c_amount3[running];
    CONTEXTS(ensures)
    ensures since == now == arch_clock; */
void schedule_enter(void);

/* Makes t ready, which stands in no queue: it runs as soon as its turn and its budget allow. Who
 * got the running context goes on with its turn; others come behind those who are ready. */
/*@ QUEUES(requires)
    READY(requires)
    DUE(requires)
    requires x_links;
    requires is_thread(t) && t_queue[t] == NIL;
    assigns t_state[t], t_next[t], t_prev[t], t_queue[t], t_next[q_tail[t_priority[t] + 1]];
    assigns t_prev[q_head[t_priority[t] + 1]];
    assigns q_head[t_priority[t] + 1], q_tail[t_priority[t] + 1], ready_map, ready_top;
    assigns t_order[0 .. T_MAX-1];
    assigns due_heap[1 .. C_MAX-1], c_place[1 .. C_MAX-1], c_due[t_context[t]], due_count;
    QUEUES(ensures)
    READY(ensures)
    DUE(ensures)
    ensures t_state[t] == THREAD_READY;
    ensures t_queue[t] == NIL || t_queue[t] == t_priority[t] + 1;
    ensures t_queue[t] != NIL ==> t != current && t_context[t] != NIL && !waits_due(t_context[t]);
    ensures t_queue[t] == NIL ==>
        t == current || t_context[t] == NIL || waits_due(t_context[t]); */
void schedule_ready(uint32_t t);

/* Takes t out of the queue that it stands in, if any, and gives it a state. */
/*@ QUEUES(requires)
    READY(requires)
    requires is_thread(t) && state <= THREAD_HANDLED;
    assigns t_state[t], t_next[t], t_prev[t], t_queue[t], t_next[t_prev[t]], t_prev[t_next[t]];
    assigns q_head[t_queue[t]], q_tail[t_queue[t]], ready_map, ready_top;
    assigns e_cursor[0 .. E_MAX-1];
    QUEUES(ensures)
    READY(ensures)
    ensures t_queue[t] == NIL && t_state[t] == state;
    ensures \forall integer e; 0 <= e < E_MAX ==> e_cursor[e] ==
        (\at(e_cursor[e], Pre) == t && \at(t_queue[t], Pre) == PRIORITIES + e + 1
             ? \at(t_next[t], Pre) : \at(e_cursor[e], Pre)); */
void schedule_leave(uint32_t t, uint32_t state);

/* Something that t's readiness depends on has changed: its context, that one's refills. */
/*@ QUEUES(requires)
    READY(requires)
    DUE(requires)
    requires x_links;
    requires is_thread(t) && (t_state[t] == THREAD_READY ==> t_queue[t] <= PRIORITIES);
    assigns t_state[t], t_next[0 .. T_MAX-1], t_prev[0 .. T_MAX-1], t_queue[t];
    assigns q_head[1 .. PRIORITIES], q_tail[1 .. PRIORITIES], ready_map, ready_top;
    assigns t_order[0 .. T_MAX-1], e_cursor[0 .. E_MAX-1];
    assigns due_heap[1 .. C_MAX-1], c_place[1 .. C_MAX-1], c_due[t_context[t]], due_count;
    QUEUES(ensures)
    READY(ensures)
    DUE(ensures)
    ensures t_state[t] == \old(t_state[t]);
    ensures t_state[t] != THREAD_READY ==> t_queue[t] == \old(t_queue[t]);
    ensures t_state[t] == THREAD_READY && t_queue[t] == NIL ==>
        t == current || t_context[t] == NIL || waits_due(t_context[t]); */
void schedule_again(uint32_t t);

/* Budget and period of c from now on, and what that means for its thread. */
void context_set(uint32_t c, uint64_t budget, uint64_t period);

/* At boot. */
void schedule_init(void);

/* Ends an entry: chooses current and sets the timer. */
void schedule(void);

#endif
