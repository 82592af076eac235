/* Who runs: see schedule.h. */
#include "object/schedule.h"

uint32_t current;
uint32_t t_state[T_MAX];
uint64_t now;
uint32_t running;
uint64_t since;
bool turn_over;
uint32_t e_cursor[E_MAX];
uint64_t n_word[N_MAX];

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
        /*@ assert \forall integer x; is_thread(x) ==> t_context[x] == c ==> x == t; */
        due_insert(c, c_time0[c]);
        /*@ assert \forall integer x; is_thread(x) && x != t ==> t_context[x] != NIL ==>
            (c_place[t_context[x]] <= due_count <==>
                \at(c_place[t_context[x]] <= due_count, Pre)); */
    } else if (c == running && !turn_over) {
        ready_prepend(t);
    } else {
        ready_append(t);
    }
}

/* Takes t out of the queue of an endpoint or notification; a cursor at t goes on to the next. */
/*@ requires queues;
    requires e_one && e_cursors;
    requires is_thread(t) && PRIORITIES < t_queue[t];
    assigns t_next[t], t_prev[t], t_queue[t], t_next[t_prev[t]], t_prev[t_next[t]];
    assigns q_head[t_queue[t]], q_tail[t_queue[t]], e_cursor[0 .. E_MAX-1];
    ensures queues;
    ensures e_one;
    ensures e_cursors;
    ensures t_queue[t] == NIL;
    ensures \old(t_prev[t]) == NIL ==> q_head[\old(t_queue[t])] == \old(t_next[t]);
    ensures \forall integer e; 0 <= e < E_MAX ==> e_cursor[e] ==
        (\at(e_cursor[e], Pre) == t ? \at(t_next[t], Pre) : \at(e_cursor[e], Pre)); */
static void schedule_pass(uint32_t t)
{
    uint32_t q = t_queue[t];
    if (q <= PRIORITIES + E_MAX && e_cursor[q - PRIORITIES - 1] == t) {
        e_cursor[q - PRIORITIES - 1] = t_next[t];
    }
    /*@ assert \forall integer e; 0 <= e < E_MAX ==> e_cursor[e] != t; */
    queue_remove(t);
}

void schedule_leave(uint32_t t)
{
    uint32_t q = t_queue[t];
    t_state[t] = THREAD_STOPPED;
    if (q == NIL) {
        return;
    }
    if (q <= PRIORITIES) {
        /*@ assert q == t_priority[t] + 1; */
        ready_remove(t);
        return;
    }
    schedule_pass(t);
}

void schedule_again(uint32_t t)
{
    if (t_state[t] == THREAD_READY) {
        if (t_queue[t] != NIL) {
            ready_remove(t);
        }
        schedule_ready(t);
    }
}

void context_set(uint32_t c, uint64_t budget, uint64_t period)
{
    uint32_t t = c_thread[c];
    /*@ assert \forall integer x; is_thread(x) ==> t_context[x] == c ==> x == t; */
    if (c_place[c] <= due_count) {
        due_remove(c);
        /*@ assert \forall integer x; is_thread(x) && x != t ==> t_context[x] != NIL ==>
            (c_place[t_context[x]] <= due_count <==>
                \at(c_place[t_context[x]] <= due_count, Pre)); */
    }
    context_configure(c, budget, period, now);
    if (t != NIL) {
        schedule_again(t);
    }
}

void context_free(uint32_t c)
{
    uint32_t t = context_take(c);
    if (t != NIL) {
        schedule_again(t);
    }
}

void context_move(uint32_t c, uint32_t t)
{
    context_free(c);
    context_give(c, t);
    schedule_again(t);
}
