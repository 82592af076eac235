/* Ready queues: see ready.h. */
#include "object/ready.h"

uint64_t ready_map;
uint32_t ready_top;
uint32_t t_priority[T_MAX];

void ready_append(uint32_t t)
{
    uint32_t p = t_priority[t];
    queue_append(Q_READY(p), t);
    ready_map = ready_map | bit_single(p);
    if (p > ready_top) {
        ready_top = p;
    }
}

void ready_prepend(uint32_t t)
{
    uint32_t p = t_priority[t];
    queue_prepend(Q_READY(p), t);
    ready_map = ready_map | bit_single(p);
    if (p > ready_top) {
        ready_top = p;
    }
}

void ready_remove(uint32_t t)
{
    uint32_t p = t_priority[t];
    queue_remove(t);
    if (q_head[Q_READY(p)] == NIL) {
        ready_map = ready_map & ~bit_single(p);
        /*@ assert y_map; */
        ready_top = bit_highest(ready_map);
        /*@ assert \forall integer q; ready_top + 1 < q <= PRIORITIES ==>
            !bit(ready_map, q - 1); */
        /*@ assert ready_top != 0 ==> bit(ready_map, (ready_top + 1) - 1); */
    }
}

uint32_t ready_first(void)
{
    return q_head[Q_READY(ready_top)];
}
