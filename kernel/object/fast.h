/* The steps of the fast path (fast.c) and of its use for foreign system calls (fast_fault.c).
 *
 * Each does all of a system call but passing the message: who gets it and runs next, or NIL, and
 * then nothing has changed. That entry NIL has no reply object and waits for no answer saves asking
 * whether there is somebody; that the first slot of a cnode, which has no handle, never holds an
 * endpoint or a reply object saves asking for handle 0.
 */
#ifndef KERNEL_FAST_H
#define KERNEL_FAST_H

#include "object/cnode.h"
#include "object/endpoint.h"
#include "object/notification.h"

/* t calls by the endpoint's capability in slot s, and then waits in state. */
static inline uint32_t fast_lend(uint32_t t, uint32_t s, uint32_t state)
{
    uint32_t e = s_object[s];
    uint32_t to = q_head[Q_RECEIVE(e)];
    uint32_t r = t_reply[to];
    uint32_t c;
    if (r == NIL || t_context[to] != NIL || t_priority[to] < ready_top) {
        return NIL;
    }
    c = t_context[t];
    (void)queue_pop(Q_RECEIVE(e));
    reply_pass(r, to, t);
    reply_push(r, c);
    context_pass(c, t, to);
    t_state[t] = state;
    t_reg[t_row(to) + R_HANDLE] = s_badge[s];
    return to;
}

/* t answers the one who waits in state in the reply object that its message names, and receives. */
static inline uint32_t fast_return(uint32_t t, uint32_t state)
{
    uint32_t k = t_cnode[t];
    uint64_t handles = t_reg[t_row(t) + R_HANDLE];
    uint32_t handle = (uint32_t)(handles & 0xffffffffULL);
    uint32_t reply = (uint32_t)(handles >> 32);
    uint32_t s = k + handle;
    uint32_t o = k + reply;
    uint32_t e;
    uint32_t r;
    uint32_t a;
    uint32_t c;
    if (handle >= k_count[k] || reply >= k_count[k] || s_type[s] != OBJ_ENDPOINT ||
        (s_rights[s] & RIGHT_READ) == 0 || s_type[o] != OBJ_REPLY ||
        (s_rights[o] & RIGHT_WRITE) == 0) {
        return NIL;
    }
    e = s_object[s];
    r = s_object[o];
    a = r_thread[r];
    c = t_context[t];
    if (c_top[c] != r || t_state[a] != state || t_priority[a] < ready_top ||
        q_head[Q_SEND((uint64_t)e)] != NIL || n_word[t_notification[t]] != 0) {
        return NIL;
    }
    reply_pop(r, c);
    reply_pass(r, a, t);
    context_pass(c, t, a);
    t_state[t] = THREAD_RECEIVING;
    queue_append(Q_RECEIVE(e), t);
    return a;
}

#endif
