/* Threads: see thread.h. */
#include "object/thread.h"

#include "object/answer.h"
#include "object/message.h"
#include "object/notification.h"
#include "object/object.h"
#include "object/slot.h"

uint64_t t_reg[T_MAX * T_REGS];
uint32_t t_space[T_MAX];
uint32_t t_cnode[T_MAX];
uint32_t t_buffer[T_MAX];
uint64_t t_badge[T_MAX];
uint8_t t_rights[T_MAX];
uint32_t t_fault[T_MAX];

void thread_init(uint32_t t)
{
    for (uint32_t r = 0; r < T_REGS; r++) {
        t_reg[t * T_REGS + r] = 0;
    }
    t_reg[t * T_REGS + R_FULL] = 1;
    t_state[t] = THREAD_STOPPED;
    t_priority[t] = 0;
    t_fault[t] = 0;
    t_badge[t] = 0;
    t_rights[t] = 0;
    arch_fpu_reset(t);
}

bool thread_end(uint32_t t)
{
    uint32_t r;
    uint32_t c = t_context[t];
    thread_suspend(t);
    r = t_reply[t];
    if (r != NIL) {
        if (r_context[r] != NIL) {
            reply_pull(r);
        }
        reply_unlink(r);
    }
    if (c != NIL) {
        context_take(c);
    }
    if (current == t) {
        current = NIL;
    }
    arch_fpu_reset(t);
    return true;
}

void thread_cancel(uint32_t t, uint32_t error)
{
    uint32_t state = t_state[t];
    uint32_t r = t_reply[t];
    schedule_leave(t, THREAD_STOPPED);
    if (state == THREAD_STOPPED || state == THREAD_READY) {
        return;
    }
    if (r != NIL && r_context[r] == NIL) {
        reply_unlink(r);
    }
    if (t_fault[t] == 0) {
        message_refuse(t, error, 0, 0);
    }
    t_fault[t] = 0;
}

void thread_suspend(uint32_t t)
{
    thread_cancel(t, ERR_CANCELLED);
}

void thread_resume(uint32_t t)
{
    if (t_state[t] == THREAD_STOPPED) {
        t_fault[t] = 0;
        schedule_ready(t);
    }
}

void thread_set_priority(uint32_t t, uint32_t priority)
{
    uint32_t q = t_queue[t];
    if (q != NIL && q <= PRIORITIES) {
        ready_remove(t);
        t_priority[t] = priority;
        ready_append(t);
    } else {
        t_priority[t] = priority;
    }
}

/* Makes t run on context c, which is lent to nobody by another. What t itself has lent, it no
 * longer gets back. */
static void bind_context(uint32_t t, uint32_t c)
{
    uint32_t r = t_reply[t];
    uint32_t b = context_take(c);
    if (b != NIL) {
        schedule_again(b);
    }
    if (r != NIL && t_state[t] != THREAD_RECEIVING && r_context[r] != NIL) {
        reply_pull(r);
        if (t_state[t] < THREAD_ANSWER) {
            reply_unlink(r);
        }
    }
    if (t_context[t] != NIL) {
        context_take(t_context[t]);
    }
    context_give(c, t);
    schedule_again(t);
}

/* t has context c no more: neither now nor when it comes back. */
static void unbind_context(uint32_t t, uint32_t c)
{
    uint32_t r = t_reply[t];
    if (t_context[t] == c) {
        context_take(c);
        schedule_again(t);
    } else if (r != NIL && r_context[r] == c) {
        reply_pull(r);
        if (t_state[t] < THREAD_ANSWER) {
            reply_unlink(r);
        }
    }
}

void thread_bound(uint32_t t, uint32_t role)
{
    uint32_t object = s_object[THREAD_SLOT(t, role)];
    switch (role) {
    case ROLE_CNODE:
        t_cnode[t] = object;
        break;
    case ROLE_SPACE:
        t_space[t] = object;
        break;
    case ROLE_BUFFER:
        t_buffer[t] = object;
        break;
    case ROLE_NOTIFICATION:
        notification_bind(object, t);
        break;
    case ROLE_CONTEXT:
        bind_context(t, object);
        break;
    default:
        break;
    }
}

void thread_unbound(uint32_t t, uint32_t role)
{
    uint32_t object = s_object[THREAD_SLOT(t, role)];
    switch (role) {
    case ROLE_CNODE:
        t_cnode[t] = NIL;
        break;
    case ROLE_SPACE:
        t_space[t] = NIL;
        break;
    case ROLE_BUFFER:
        t_buffer[t] = NIL;
        break;
    case ROLE_NOTIFICATION:
        notification_unbind(object);
        break;
    case ROLE_CONTEXT:
        unbind_context(t, object);
        break;
    default:
        break;
    }
}
