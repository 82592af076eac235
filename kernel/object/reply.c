/* Reply objects: see reply.h. */
#include "object/reply.h"

uint32_t r_thread[R_MAX];
uint32_t r_context[R_MAX];
uint32_t r_below[R_MAX];
uint32_t r_above[R_MAX];
uint32_t t_reply[T_MAX];
uint32_t c_top[C_MAX];

void reply_link(uint32_t r, uint32_t t)
{
    r_thread[r] = t;
    t_reply[t] = r;
}

void reply_unlink(uint32_t r)
{
    uint32_t t = r_thread[r];
    if (t != NIL) {
        t_reply[t] = NIL;
        r_thread[r] = NIL;
    }
}

void reply_push(uint32_t r, uint32_t c)
{
    uint32_t top = c_top[c];
    r_context[r] = c;
    r_below[r] = top;
    if (top != NIL) {
        r_above[top] = r;
    }
    c_top[c] = r;
}

void reply_pull(uint32_t r)
{
    uint32_t c = r_context[r];
    uint32_t below = r_below[r];
    uint32_t above = r_above[r];
    if (above != NIL) {
        r_below[above] = below;
    } else {
        c_top[c] = below;
    }
    if (below != NIL) {
        r_above[below] = above;
    }
    r_context[r] = NIL;
    r_below[r] = NIL;
    r_above[r] = NIL;
}
