/* The invariant of queues, ready queues and due times. */
#include "object/check.h"
#include "object/endpoint.h"
#include "object/notification.h"
#include "object/slot.h"

/* Links and queues are within their tables. */
bool inv_queue_refs(void)
{
    for (uint32_t t = 1; t < T_MAX; t++) {
        if (!(t_next[t] < T_MAX && t_prev[t] < T_MAX && t_queue[t] < Q_MAX)) {
            return false;
        }
    }
    return true;
}

bool inv_queue_ends(void)
{
    for (uint32_t q = 1; q < Q_MAX; q++) {
        if (!(q_head[q] < T_MAX && q_tail[q] < T_MAX)) {
            return false;
        }
    }
    return true;
}

/* A thread in no queue has no neighbours. */
bool inv_queue_out(void)
{
    for (uint32_t t = 1; t < T_MAX; t++) {
        if (!(t_queue[t] != NIL || (t_next[t] == NIL && t_prev[t] == NIL))) {
            return false;
        }
    }
    return true;
}

/* Neighbours agree with each other and about the queue. */
bool inv_queue_next(void)
{
    for (uint32_t t = 1; t < T_MAX; t++) {
        if (!(t_next[t] == NIL || (t_prev[t_next[t]] == t && t_queue[t_next[t]] == t_queue[t]))) {
            return false;
        }
    }
    return true;
}

bool inv_queue_prev(void)
{
    for (uint32_t t = 1; t < T_MAX; t++) {
        if (!(t_prev[t] == NIL || (t_next[t_prev[t]] == t && t_queue[t_prev[t]] == t_queue[t]))) {
            return false;
        }
    }
    return true;
}

/* The ends of a queue are in it, and have no neighbour beyond. */
bool inv_queue_first(void)
{
    for (uint32_t q = 1; q < Q_MAX; q++) {
        if (!(q_head[q] == NIL || (t_queue[q_head[q]] == q && t_prev[q_head[q]] == NIL))) {
            return false;
        }
    }
    return true;
}

bool inv_queue_last(void)
{
    for (uint32_t q = 1; q < Q_MAX; q++) {
        if (!(q_tail[q] == NIL || (t_queue[q_tail[q]] == q && t_next[q_tail[q]] == NIL))) {
            return false;
        }
    }
    return true;
}

/* Who is in a queue and has no neighbour is its end. */
bool inv_queue_headed(void)
{
    for (uint32_t t = 1; t < T_MAX; t++) {
        if (!(t_queue[t] == NIL || t_prev[t] != NIL || q_head[t_queue[t]] == t)) {
            return false;
        }
    }
    return true;
}

bool inv_queue_tailed(void)
{
    for (uint32_t t = 1; t < T_MAX; t++) {
        if (!(t_queue[t] == NIL || t_next[t] != NIL || q_tail[t_queue[t]] == t)) {
            return false;
        }
    }
    return true;
}

bool inv_queue_both(void)
{
    for (uint32_t q = 1; q < Q_MAX; q++) {
        if (!((q_head[q] == NIL) == (q_tail[q] == NIL))) {
            return false;
        }
    }
    return true;
}

bool inv_ready_priority(void)
{
    for (uint32_t t = 1; t < T_MAX; t++) {
        if (!(t_priority[t] < PRIORITIES)) {
            return false;
        }
    }
    return true;
}

/* The map and the top say which ready queues have threads. */
bool inv_ready_map(void)
{
    for (uint32_t p = 0; p < PRIORITIES; p++) {
        if (!((ready_map >> p & 1) == (q_head[Q_READY(p)] != NIL))) {
            return false;
        }
    }
    return true;
}

bool inv_ready_top(void)
{
    for (uint32_t p = 0; p < PRIORITIES; p++) {
        if (!(ready_top < PRIORITIES && (p <= ready_top || q_head[Q_READY(p)] == NIL) &&
              (ready_top == 0 || q_head[Q_READY(ready_top)] != NIL))) {
            return false;
        }
    }
    return true;
}

/* A ready thread stands in the queue of its priority. */
bool inv_ready_own(void)
{
    for (uint32_t t = 1; t < T_MAX; t++) {
        if (!(t_queue[t] == NIL || t_queue[t] > PRIORITIES ||
              t_queue[t] == Q_READY(t_priority[t]))) {
            return false;
        }
    }
    return true;
}

/* Places and heap are inverse to each other. */
bool inv_due_place(void)
{
    for (uint32_t c = 1; c < C_MAX; c++) {
        if (!(c_place[c] >= 1 && c_place[c] < C_MAX && due_heap[c_place[c]] == c &&
              due_count < C_MAX)) {
            return false;
        }
    }
    return true;
}

/* A parent in the heap is due no later. */
bool inv_due_order(void)
{
    for (uint32_t c = 1; c < C_MAX; c++) {
        if (!(c_place[c] > due_count || c_place[c] < 2 ||
              c_due[due_heap[c_place[c] / 2]] <= c_due[c])) {
            return false;
        }
    }
    return true;
}

/* Who waits, waits for the refill that is next. */
bool inv_due_time(void)
{
    for (uint32_t c = 1; c < C_MAX; c++) {
        if (!(c_place[c] > due_count || c_due[c] == c_time0[c])) {
            return false;
        }
    }
    return true;
}

/* Each thread of a queue is reached from its head: so there is no cycle beside it. */
bool inv_queue_reached(void)
{
    uint32_t reached = 0;
    uint32_t queued = 0;
    for (uint32_t q = 1; q < Q_MAX; q++) {
        for (uint32_t t = q_head[q]; t != NIL && reached < T_MAX; t = t_next[t]) {
            reached++;
        }
    }
    for (uint32_t t = 1; t < T_MAX; t++) {
        queued += t_queue[t] != NIL;
    }
    return reached == queued;
}
