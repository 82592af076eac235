/* Who runs: see schedule.h. */
#include "object/schedule.h"
#include "object/fault.h"

uint32_t current;
uint32_t t_state[T_MAX];
uint64_t now;
uint32_t running;
uint64_t since;
uint64_t timer_due;
bool turn_over;
uint32_t e_cursor[E_MAX];

void schedule_init(void)
{
    due_init();
    for (uint32_t c = 1; c < C_MAX; c++) {
        context_configure(c, 0, 0, 0);
    }
    timer_due = ARCH_NEVER;
}

void schedule_enter(void)
{
    now = arch_now();
    turn_over = false;
    if (running != NIL && now > since) {
        turn_over = context_charge(running, since, now - since);
    }
    since = now;
}

void schedule_ready(uint32_t t)
{
    uint32_t c = t_context[t];
    t_state[t] = THREAD_READY;
    if (c == NIL || t == current || c_place[c] <= due_count) {
        return;
    }
    if (c_time0[c] > now) {
        due_insert(c, c_time0[c]);
    } else if (c == running && !turn_over) {
        ready_prepend(t);
    } else {
        ready_append(t);
    }
}

void schedule_leave(uint32_t t, uint32_t state)
{
    uint32_t q = t_queue[t];
    t_state[t] = state;
    if (q == NIL) {
        return;
    }
    if (q <= PRIORITIES) {
        ready_remove(t);
        return;
    }
    if (q <= PRIORITIES + E_MAX && e_cursor[q - PRIORITIES - 1] == t) {
        e_cursor[q - PRIORITIES - 1] = t_next[t];
    }
    queue_remove(t);
}

void schedule_again(uint32_t t)
{
    if (t_state[t] == THREAD_READY) {
        schedule_leave(t, THREAD_READY);
        schedule_ready(t);
    }
}

void context_set(uint32_t c, uint64_t budget, uint64_t period)
{
    uint32_t t = c_thread[c];
    if (c_place[c] <= due_count) {
        due_remove(c);
    }
    context_configure(c, budget, period, now);
    if (t != NIL) {
        schedule_again(t);
    }
}

/* Puts the running thread off when it cannot go on or its turn is over; it is nobody's turn then.
 */
static void schedule_put_off(void)
{
    uint32_t t = current;
    uint32_t c = t_context[t];
    if (t == NIL) {
        return;
    }
    if (t_state[t] != THREAD_READY || c == NIL) {
        current = NIL;
    } else if (c_time0[c] > now) {
        current = NIL;
        if (c_place[c] > due_count) {
            due_insert(c, c_time0[c]);
        }
        if (c_top[c] != NIL) {
            fault_time(t);
        }
    } else if (turn_over && c == running) {
        current = NIL;
        ready_append(t);
    }
}

/* Contexts whose refill is due: their threads are ready. */
static void schedule_release(void)
{
    for (uint32_t k = 0; k < RELEASE_SLICE && due_count > 0 && c_due[due_heap[1]] <= now; k++) {
        uint32_t c = due_heap[1];
        uint32_t t = c_thread[c];
        due_remove(c);
        context_merge(c, now);
        if (t != NIL && t_state[t] == THREAD_READY && t_queue[t] == NIL && t != current) {
            ready_append(t);
        }
    }
}

/* Sets the timer for the thread that runs from now on. */
/*@ DUE(requires)
    CONTEXTS(requires)
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
    uint32_t first;
    schedule_put_off();
    schedule_release();
    first = ready_first();
    if (first != NIL && (current == NIL || t_priority[first] > t_priority[current])) {
        ready_remove(first);
        if (current != NIL) {
            ready_prepend(current);
        }
        current = first;
    }
    schedule_timer();
}
