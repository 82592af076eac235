/* Who runs: states of threads, the running thread, and time.
 *
 * A thread that is ready and has a context is either the running one (current), or stands in the
 * ready queue of its priority, or its context waits for its next refill (due.h). A thread without
 * context is ready without being queued anywhere until it is lent or bound one.
 *
 * Time is read once an entry. The context `running` is charged for the time since `since` at each
 * entry that takes the slow path; the fast path hands the same context on, so what it has used
 * stays to be charged to it.
 *
 * An entry is: schedule_enter, the work, schedule (turn.h). The work changes states and queues and
 * leaves `current` alone; schedule chooses. Nothing runs before the highest priority that is ready.
 */
#ifndef KERNEL_SCHEDULE_H
#define KERNEL_SCHEDULE_H

#include "object/ready.h"
#include "object/reply.h"

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
extern uint32_t e_cursor[E_MAX]; /* sender at which an endpoint_cancel goes on, NIL for none */
extern uint64_t n_word[N_MAX];   /* what was signalled to a notification */
extern bool turn_over;           /* the running context's turn is over */

/* In the middle of an entry. But x: a thread of which something has just changed that its place in
 * the ready queues depends on; NIL for none. */
/*@ predicate s_state{L} = \forall integer t; is_thread(t) ==> 0 <= t_state[t] <= THREAD_HANDLED;

    predicate s_current{L} = 0 <= current < T_MAX && 0 <= running < C_MAX;

    predicate s_nil{L} = t_state[0] == THREAD_STOPPED && t_context[0] == NIL && t_reply[0] == NIL;

    // the running thread stands in no ready queue
    predicate s_aside{L} = current != NIL ==>
        t_queue[current] == NIL || PRIORITIES < t_queue[current];

    // who stands in one is ready, and its context does not wait
    predicate s_placed{L} = \forall integer t; is_thread(t) ==>
        1 <= t_queue[t] <= PRIORITIES ==> t_state[t] == THREAD_READY;

    predicate s_timed{L}(integer x) = \forall integer t; is_thread(t) && t != x ==>
        1 <= t_queue[t] <= PRIORITIES ==> t_context[t] != NIL &&
            due_count < c_place[t_context[t]];

    // who is ready and has time runs or stands in one
    predicate s_queued{L}(integer x) = \forall integer t; is_thread(t) && t != x ==>
        t_state[t] == THREAD_READY && t_queue[t] == NIL ==>
            t == current || t_context[t] == NIL || c_place[t_context[t]] <= due_count;

    predicate s_send{L} = \forall integer t; is_thread(t) ==>
        (PRIORITIES < t_queue[t] <= PRIORITIES + E_MAX <==>
            t_state[t] == THREAD_SENDING || t_state[t] == THREAD_CALLING);

    predicate s_receive{L} = \forall integer t; is_thread(t) ==>
        (PRIORITIES + E_MAX < t_queue[t] <= PRIORITIES + 2 * E_MAX <==>
            t_state[t] == THREAD_RECEIVING);

    predicate s_wait{L} = \forall integer t; is_thread(t) ==>
        (PRIORITIES + 2 * E_MAX < t_queue[t] <==> t_state[t] == THREAD_WAITING);

    // a context waits for the refill that is next
    predicate s_due{L} = \forall integer c; is_context(c) ==> c_place[c] <= due_count ==>
        c_due[c] == c_time0[c];

    // one of an endpoint's two queues is empty
    predicate e_one{L} = \forall integer q; PRIORITIES < q <= PRIORITIES + E_MAX ==>
        q_head[q] == NIL || q_head[q + E_MAX] == NIL;

    predicate e_cursors{L} = \forall integer e; 0 <= e < E_MAX ==> 0 <= e_cursor[e] < T_MAX &&
        (e_cursor[e] != NIL ==> t_queue[e_cursor[e]] == PRIORITIES + e + 1);

    // nobody waits for a signal that is there
    predicate n_waits{L} = \forall integer n; 1 <= n < N_MAX ==> n_word[n] != 0 ==>
        q_head[PRIORITIES + 2 * E_MAX + n + 1] == NIL;

    predicate placed{L}(integer x) = s_state && s_current && s_nil && s_aside && s_placed &&
        s_timed(x) && s_queued(x) && s_send && s_receive && s_wait && s_due && e_one && e_cursors &&
        n_waits; */

/* Who is linked with a reply object. But x: a thread that has just stopped. */
/*@ predicate l_answer{L} = \forall integer t; is_thread(t) ==> t_state[t] >= THREAD_ANSWER ==>
        t_reply[t] != NIL;

    // who receives offers one through which nothing is lent
    predicate l_offer{L} = \forall integer t; is_thread(t) ==>
        t_state[t] == THREAD_RECEIVING && t_reply[t] != NIL ==> r_context[t_reply[t]] == NIL;

    // who waits for something else than a message or an answer has none
    predicate l_none{L} = \forall integer t; is_thread(t) ==> t_state[t] == THREAD_SENDING ||
        t_state[t] == THREAD_CALLING || t_state[t] == THREAD_WAITING ==> t_reply[t] == NIL;

    // who waits for nothing has none but one through which its time is lent
    predicate l_lent{L}(integer x) = \forall integer t; is_thread(t) && t != x ==>
        t_state[t] <= THREAD_READY && t_reply[t] != NIL ==> r_context[t_reply[t]] != NIL;

    // who has lent its time has none
    predicate l_lender{L} = \forall integer t; is_thread(t) ==>
        t_reply[t] != NIL && t_context[t] != NIL ==> r_context[t_reply[t]] == NIL;

    predicate links{L}(integer x) = l_answer && l_offer && l_none && l_lent(x) && l_lender; */

/* clang-format off */
#define PLACED(clause)                                                                             \
    clause s_state; clause s_current; clause s_nil; clause s_aside; clause s_placed;                \
    clause s_timed(NIL); clause s_queued(NIL); clause s_send; clause s_receive; clause s_wait; clause s_due;             \
    clause e_one; clause e_cursors; clause n_waits;
#define LINKS(clause)                                                                             \
    clause l_answer; clause l_offer; clause l_none; clause l_lent(NIL); clause l_lender;
#define READY_FIELDS(clause)                                                                      \
    clause t_next[0 .. T_MAX-1], t_prev[0 .. T_MAX-1], t_order[0 .. T_MAX-1];                     \
    clause q_head[1 .. PRIORITIES], q_tail[1 .. PRIORITIES], ready_map, ready_top;
#define DUE_FIELDS(clause)                                                                        \
    clause due_heap[1 .. C_MAX-1], c_place[1 .. C_MAX-1], c_due[1 .. C_MAX-1], due_count;
/* What changes when contexts change hands. */
#define CONTEXT_FIELDS(clause)                                                                    \
    READY_FIELDS(clause)                                                                          \
    DUE_FIELDS(clause)                                                                            \
    clause c_thread[0 .. C_MAX-1], t_context[0 .. T_MAX-1], t_state[0 .. T_MAX-1];                \
    clause t_queue[0 .. T_MAX-1], t_reply[0 .. T_MAX-1], r_thread[0 .. R_MAX-1];                  \
    clause r_context[0 .. R_MAX-1], r_below[0 .. R_MAX-1], r_above[0 .. R_MAX-1];                 \
    clause c_top[0 .. C_MAX-1];
/* clang-format on */

/* Begins an entry: reads the time and charges it. */
/*@ requires contexts;
    requires s_due && 0 <= running < C_MAX;
    requires running != NIL ==> due_count < c_place[running];
    assigns now, since, turn_over, arch_clock, c_turn[running], c_count[running], c_used[running];
    assigns c_time0[running], c_time1[running], c_time2[running], c_time3[running];
    assigns c_amount0[running], c_amount1[running], c_amount2[running], c_amount3[running];
    ensures contexts;
    ensures s_due;
    ensures since == now == arch_clock;
    ensures running == NIL || now <= \old(since) ==> !turn_over;
    ensures running != NIL && now > \old(since) ==>
        c_used[running] == end_of(\old(c_used[running]), now - \old(since)); */
void schedule_enter(void);

/* Makes t ready, which stands in no queue: it runs as soon as its turn and its budget allow. Who
 * got the running context goes on with its turn; others come behind those who are ready. */
/*@ requires queues && ready_queues && due_times && placed(t);
    requires x_links && is_thread(t) && t_queue[t] == NIL;
    assigns t_state[t], t_queue[t];
    READY_FIELDS(assigns)
    DUE_FIELDS(assigns)
    ensures queues;
    READY(ensures)
    ensures due_times;
    PLACED(ensures)
    ensures t_state[t] == THREAD_READY;
    ensures t_queue[t] == NIL || t_queue[t] == t_priority[t] + 1;
    ensures t_queue[t] != NIL ==> (t_context[t] == running && !turn_over
        ? q_head[t_queue[t]] == t : q_tail[t_queue[t]] == t); */
void schedule_ready(uint32_t t);

/* Stops t, and takes it out of the queue that it stands in, if any. */
/*@ requires queues && ready_queues && placed(t);
    requires is_thread(t);
    assigns t_state[t], t_next[t], t_prev[t], t_queue[t], t_next[t_prev[t]], t_prev[t_next[t]];
    assigns q_head[t_queue[t]], q_tail[t_queue[t]], ready_map, ready_top;
    assigns e_cursor[0 .. E_MAX-1];
    ensures queues;
    READY(ensures) PLACED(ensures)
    ensures t_queue[t] == NIL && t_state[t] == THREAD_STOPPED;
    ensures \old(t_queue[t]) != NIL && \old(t_prev[t]) == NIL ==>
        q_head[\old(t_queue[t])] == \old(t_next[t]);
    ensures \forall integer e; 0 <= e < E_MAX ==> e_cursor[e] ==
        (\at(e_cursor[e], Pre) == t ? \at(t_next[t], Pre) : \at(e_cursor[e], Pre)); */
void schedule_leave(uint32_t t);

/* Something that t's readiness depends on has changed: its context, that one's refills. */
/*@ requires queues && ready_queues && due_times && placed(t);
    requires x_links && is_thread(t);
    assigns t_state[t], t_queue[t];
    READY_FIELDS(assigns)
    DUE_FIELDS(assigns)
    ensures queues;
    ensures ready_queues;
    ensures due_times;
    ensures placed(NIL);
    ensures t_state[t] == \old(t_state[t]);
    ensures t_state[t] != THREAD_READY ==> t_queue[t] == \old(t_queue[t]); */
void schedule_again(uint32_t t);

/* Budget and period of c from now on, and what that means for its thread. */
/*@ requires queues && ready_queues && due_times && contexts && x_links && placed(NIL);
    requires is_context(c) && budget <= period <= CONTEXT_PERIOD_MAX;
    assigns t_state[c_thread[c]], t_queue[c_thread[c]];
    READY_FIELDS(assigns)
    DUE_FIELDS(assigns)
    assigns c_budget[c], c_period[c], c_count[c], c_used[c], c_turn[c];
    REFILL_FIELDS(assigns)
    ensures queues;
    ensures ready_queues;
    ensures due_times;
    ensures contexts;
    ensures x_links;
    ensures placed(NIL);
    ensures c_budget[c] == budget && c_period[c] == period && c_amount0[c] == budget;
    ensures \forall integer t; is_thread(t) ==> t_state[t] == \at(t_state[t],Pre); */
void context_set(uint32_t c, uint64_t budget, uint64_t period);

/* Takes c from the thread that it serves, if any, which then runs no more. */
/*@ requires queues && ready_queues && due_times && placed(NIL);
    requires x_links && is_context(c);
    assigns c_thread[c], t_context[c_thread[c]], t_state[c_thread[c]], t_queue[c_thread[c]];
    READY_FIELDS(assigns)
    DUE_FIELDS(assigns)
    ensures queues;
    ensures ready_queues;
    ensures due_times;
    ensures placed(NIL);
    ensures x_links;
    ensures c_thread[c] == NIL && t_context[\old(c_thread[c])] == NIL;
    ensures t_state[\old(c_thread[c])] == \old(t_state[c_thread[c]]);
    ensures t_state[\old(c_thread[c])] != THREAD_READY ==>
        t_queue[\old(c_thread[c])] == \old(t_queue[c_thread[c]]); */
void context_free(uint32_t c);

/* c serves t, which has no context, instead of whom it has served. */
/*@ requires queues && ready_queues && due_times && placed(NIL);
    requires x_links && is_context(c) && is_thread(t) && t_context[t] == NIL;
    assigns c_thread[c], t_context[c_thread[c]], t_state[c_thread[c]], t_queue[c_thread[c]];
    assigns t_context[t], t_state[t], t_queue[t];
    READY_FIELDS(assigns)
    DUE_FIELDS(assigns)
    ensures queues;
    ensures ready_queues;
    ensures due_times;
    ensures placed(NIL);
    ensures x_links;
    ensures t_context[t] == c && t_state[t] == \old(t_state[t]);
    ensures t_state[\old(c_thread[c])] == \old(t_state[c_thread[c]]);
    ensures t_context[\old(c_thread[c])] == NIL; */
void context_move(uint32_t c, uint32_t t);

#endif
