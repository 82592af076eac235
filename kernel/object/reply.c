/* Reply objects: see reply.h. */
#include "object/reply.h"

uint32_t r_thread[R_MAX];
uint32_t r_context[R_MAX];
uint32_t r_below[R_MAX];
uint32_t r_above[R_MAX];
uint32_t t_reply[T_MAX];
uint32_t c_top[C_MAX];
