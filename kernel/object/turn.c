/* The end of an entry: see turn.h. */
#include "object/turn.h"

#include "object/fault.h"

uint64_t timer_due;

void schedule_init(void)
{
    due_init();
    /*@ loop invariant 1 <= c <= C_MAX;
        loop invariant \forall integer k; 1 <= k < c ==> c_budget[k] == 0 && c_period[k] == 0 &&
            c_count[k] == 1 && c_turn[k] == 0 && c_amount0[k] == 0 && c_amount1[k] == 0 &&
            c_amount2[k] == 0 && c_amount3[k] == 0;
        loop assigns c, c_budget[1 .. C_MAX-1], c_period[1 .. C_MAX-1], c_turn[1 .. C_MAX-1];
        loop assigns c_used[1 .. C_MAX-1];
        CONTEXTS_FIELDS(loop assigns)
        loop variant C_MAX - c; */
    for (uint32_t c = 1; c < C_MAX; c++) {
        context_configure(c, 0, 0, 0);
    }
    timer_due = ARCH_NEVER;
}

/* clang-format off */
/* For contracts: the running thread, if any, can go on. */
#define GOES_ON                                                                                    \
    (current != NIL ==> t_state[current] == THREAD_READY && t_queue[current] == NIL &&             \
     t_reply[current] == NIL && is_context(t_context[current]) &&                                  \
     due_count < c_place[t_context[current]])
/* clang-format on */

/* The running thread, which is ready, may have been bound to a context that waits: that one waits
 * no more. */
/*@ requires due_times && placed(NIL);
    requires x_links && current != NIL && t_queue[current] == NIL;
    requires is_context(t_context[current]);
    DUE_FIELDS(assigns)
    ensures due_times;
    ensures placed(NIL);
    ensures due_count < c_place[t_context[current]]; */
static void stop_waiting(void)
{
    uint32_t t = current;
    uint32_t c = t_context[t];
    if (c_place[c] > due_count) {
        return;
    }
    /*@ assert \forall integer x; is_thread(x) ==> t_context[x] == c ==> x == t; */
    due_remove(c);
    /*@ assert \forall integer x; is_thread(x) && x != t ==> t_context[x] != NIL ==>
        (c_place[t_context[x]] <= due_count <==>
            \at(c_place[t_context[x]] <= due_count, Pre)); */
}

/* The running thread's context waits for its next refill; it is nobody's turn then. */
/*@ requires due_times && placed(NIL);
    requires x_links && current != NIL && t_queue[current] == NIL;
    requires is_context(t_context[current]) && due_count < c_place[t_context[current]];
    DUE_FIELDS(assigns)
    assigns current;
    ensures due_times;
    ensures placed(NIL);
    ensures current == NIL; */
static void start_waiting(void)
{
    uint32_t t = current;
    uint32_t c = t_context[t];
    /*@ assert \forall integer x; is_thread(x) ==> t_context[x] == c ==> x == t; */
    current = NIL;
    due_insert(c, c_time0[c]);
    /*@ assert \forall integer x; is_thread(x) && x != t ==> t_context[x] != NIL ==>
        (c_place[t_context[x]] <= due_count <==>
            \at(c_place[t_context[x]] <= due_count, Pre)); */
}

/* The running thread, which can go on, goes behind those of its priority. */
/*@ requires queues && ready_queues && placed(NIL);
    requires current != NIL && GOES_ON;
    READY_FIELDS(assigns)
    assigns t_queue[current], current;
    ensures queues;
    ensures ready_queues;
    ensures placed(NIL);
    ensures current == NIL; */
static void go_behind(void)
{
    uint32_t t = current;
    current = NIL;
    ready_append(t);
}

/* Puts the running thread, which can go on, off when its budget is used up or its turn is over. On
 * lent time it tells its handler of the former. */
/*@ requires works && messages;
    requires current != NIL && GOES_ON;
    MEET_FIELDS(assigns)
    assigns t_fault[current], t_badge[current], t_rights[current], current;
    ensures works;
    ensures messages;
    ensures GOES_ON && (current == NIL || current == \old(current));
    ensures current == NIL <==> \old(c_time0[t_context[current]]) > now ||
        (turn_over && \old(t_context[current]) == running);
    ensures \let t = \old(current); t_state[t] != THREAD_READY <==>
        \old(c_time0[t_context[current]] > now && c_top[t_context[current]] != NIL &&
             HAS_TIMEOUT(current));
    ensures \let t = \old(current); t_state[t] != THREAD_READY ==> t_fault[t] == FAULT_TIME; */
static void end_turn(void)
{
    uint32_t t = current;
    uint32_t c = t_context[t];
    if (c_time0[c] > now) {
        start_waiting();
        if (c_top[c] != NIL) {
            fault_time(t);
        }
        return;
    }
    if (turn_over && c == running) {
        go_behind();
    }
}

/* Puts the running thread off when it cannot go on or its turn is over; it is nobody's turn then.
 */
/*@ requires works && messages;
    MEET_FIELDS(assigns)
    assigns t_fault[current], t_badge[current], t_rights[current], current;
    ensures works;
    ensures messages;
    ensures GOES_ON && (current == NIL || current == \old(current)); */
static void schedule_put_off(void)
{
    uint32_t t = current;
    if (t == NIL) {
        return;
    }
    if (t_state[t] != THREAD_READY || t_context[t] == NIL) {
        current = NIL;
        /*@ assert works; */
        return;
    }
    /*@ assert t_queue[t] == NIL; */
    /*@ assert t_reply[t] == NIL; */
    stop_waiting();
    end_turn();
}

/* The refill for which c waits is due: its thread is ready. */
/*@ requires queues && ready_queues && due_times && contexts && placed(NIL);
    requires x_links && GOES_ON;
    requires is_context(c) && c_place[c] <= due_count;
    READY_FIELDS(assigns)
    DUE_FIELDS(assigns)
    assigns t_queue[c_thread[c]], c_count[c];
    REFILL_FIELDS(assigns)
    ensures queues;
    ensures ready_queues;
    ensures due_times;
    ensures contexts;
    ensures placed(NIL);
    ensures GOES_ON && due_count == \old(due_count) - 1;
    ensures c_count[c] == 1 || c_time1[c] > now; */
static void release(uint32_t c)
{
    uint32_t t = c_thread[c];
    /*@ assert \forall integer x; is_thread(x) ==> t_context[x] == c ==> x == t; */
    due_remove(c);
    /*@ assert \forall integer x; is_thread(x) && x != t ==> t_context[x] != NIL ==>
        (c_place[t_context[x]] <= due_count <==>
            \at(c_place[t_context[x]] <= due_count, Pre)); */
    context_merge(c, now);
    if (t_state[t] != THREAD_READY) {
        return;
    }
    ready_append(t);
}

/* Contexts whose refill is due. */
/*@ requires queues && ready_queues && due_times && contexts && placed(NIL);
    requires x_links && GOES_ON;
    READY_FIELDS(assigns)
    DUE_FIELDS(assigns)
    CONTEXTS_FIELDS(assigns)
    assigns t_queue[0 .. T_MAX-1];
    ensures queues;
    ensures ready_queues;
    ensures due_times;
    ensures contexts;
    ensures placed(NIL);
    ensures GOES_ON;
    ensures due_count == 0 || now < c_due[due_heap[1]] ||
        due_count == \old(due_count) - RELEASE_SLICE; */
static void schedule_release(void)
{
    /*@ loop invariant 0 <= k <= RELEASE_SLICE && due_count == \at(due_count,Pre) - k;
        loop invariant queues;
        loop invariant ready_queues;
        loop invariant due_times;
        loop invariant contexts;
        loop invariant placed(NIL);
        loop invariant GOES_ON;
        loop assigns k, t_queue[0 .. T_MAX-1];
        READY_FIELDS(loop assigns)
        DUE_FIELDS(loop assigns)
        CONTEXTS_FIELDS(loop assigns)
        loop variant RELEASE_SLICE - k; */
    for (uint32_t k = 0; k < RELEASE_SLICE && due_count > 0 && c_due[due_heap[1]] <= now; k++) {
        release(due_heap[1]);
    }
}

/* The running thread, which can go on, becomes the first of its priority, below that of others. */
/*@ requires queues && ready_queues && placed(NIL);
    requires current != NIL && GOES_ON && t_priority[current] < ready_top;
    READY_FIELDS(assigns)
    assigns t_queue[current], current;
    ensures queues;
    ensures ready_queues;
    ensures placed(NIL);
    ensures current == NIL && ready_top == \old(ready_top);
    ensures q_head[ready_top + 1] == \old(q_head[ready_top + 1]); */
static void step_back(void)
{
    uint32_t t = current;
    current = NIL;
    ready_prepend(t);
    /*@ assert q_head[\at(ready_top, Pre) + 1] == \at(q_head[ready_top + 1], Pre); */
    /*@ assert ready_top == \at(ready_top, Pre); */
}

/* t, the first of those that are ready, runs. */
/*@ requires queues && ready_queues && placed(NIL) && links(NIL);
    requires x_links && current == NIL && is_thread(t) && t == q_head[ready_top + 1];
    READY_FIELDS(assigns)
    assigns t_queue[t], current;
    ensures queues;
    ensures ready_queues;
    ensures placed(NIL);
    ensures current == t && GOES_ON && ready_top <= t_priority[t]; */
static void run_first(uint32_t t)
{
    /*@ assert t_queue[t] == ready_top + 1 && t_priority[t] == ready_top; */
    /*@ assert t_reply[t] == NIL; */
    ready_remove(t);
    /*@ assert ready_top <= t_priority[t]; */
    current = t;
}

/* Who is first of those that are ready runs instead of the running thread, which can go on, if its
 * priority is higher. */
/*@ requires queues && ready_queues && placed(NIL) && links(NIL);
    requires x_links && GOES_ON;
    READY_FIELDS(assigns)
    assigns t_queue[0 .. T_MAX-1], current;
    ensures queues;
    ensures ready_queues;
    ensures placed(NIL);
    ensures GOES_ON;
    ensures current == NIL ==> \forall integer q; 1 <= q <= PRIORITIES ==> q_head[q] == NIL;
    ensures current != NIL ==> ready_top <= t_priority[current]; */
static void schedule_choose(void)
{
    uint32_t first = ready_first();
    if (first == NIL) {
        return;
    }
    if (current == NIL) {
        run_first(first);
        return;
    }
    if (t_priority[first] <= t_priority[current]) {
        return;
    }
    step_back();
    run_first(first);
}

/* Sets the timer for the thread that runs from now on. */
/*@ requires due_times && contexts;
    requires 0 <= current < T_MAX && 0 <= t_context[current] < C_MAX;
    assigns running, timer_due;
    ensures running == t_context[current];
    ensures due_count > 0 ==> timer_due <= c_due[due_heap[1]];
    ensures running != NIL ==> timer_due <= now + c_budget[running];
    ensures running == NIL && due_count == 0 ==> timer_due == ARCH_NEVER; */
static void schedule_timer(void)
{
    uint64_t due = due_count > 0 ? c_due[due_heap[1]] : ARCH_NEVER;
    running = t_context[current];
    if (running != NIL) {
        uint64_t end = time_sum(now, context_left(running));
        due = end < due ? end : due;
    }
    if (due != timer_due) {
        timer_due = due;
        arch_timer_set(due);
    }
}

void schedule(void)
{
    schedule_put_off();
    schedule_release();
    /*@ assert released: due_count == 0 || now < c_due[due_heap[1]] ||
            due_count < C_MAX - RELEASE_SLICE; */
    schedule_choose();
    schedule_timer();
}
