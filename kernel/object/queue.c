/* Queues of threads: see queue.h. */
#include "object/queue.h"

uint32_t q_head[Q_MAX];
uint32_t q_tail[Q_MAX];
uint32_t t_next[T_MAX];
uint32_t t_prev[T_MAX];
uint32_t t_queue[T_MAX];
/*@ ghost uint32_t t_order[T_MAX]; */

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

void queue_append(uint32_t q, uint32_t t)
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

void queue_prepend(uint32_t q, uint32_t t)
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

void queue_remove(uint32_t t)
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
