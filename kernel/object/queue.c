/* Queues of threads: see queue.h. */
#include "object/queue.h"

uint32_t q_head[Q_MAX];
uint32_t q_tail[Q_MAX];
uint32_t t_next[T_MAX];
uint32_t t_prev[T_MAX];
uint32_t t_queue[T_MAX];
/*@ ghost uint32_t t_order[T_MAX]; */
