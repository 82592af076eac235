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
    /*@ loop invariant 0 <= r <= 32;
        loop invariant \forall integer k; t * 32 <= k < t * 32 + r ==> t_reg[k] == 0;
        loop assigns r, t_reg[t * 32 .. t * 32 + 31];
        loop variant 32 - r; */
    for (uint32_t r = 0; r < T_REGS; r++) {
        t_reg[t * T_REGS + r] = 0;
    }
    t_reg[t * T_REGS + R_FULL] = 1;
    arch_fpu_reset(t);
}

/* Takes from t its context and what it has lent. */
/*@ requires works;
    requires is_thread(t);
    CONTEXT_FIELDS(assigns)
    ensures works;
    ensures t_context[t] == NIL && (t_reply[t] == NIL || r_context[t_reply[t]] == NIL);
    ensures t_state[t] == \old(t_state[t]);
    ensures t_state[t] != THREAD_READY ==> t_queue[t] == \old(t_queue[t]); */
static void leave_context(uint32_t t)
{
    answer_forget(t);
    if (t_context[t] != NIL) {
        context_free(t_context[t]);
    }
}

/* Leaves t, which is stopped and has no time, as the boot left it. */
/*@ requires works;
    requires is_thread(t) && t_state[t] == THREAD_STOPPED && t_queue[t] == NIL;
    assigns current, t_fault[t], t_priority[t];
    ensures works;
    ensures current != t && t_fault[t] == 0 && t_priority[t] == 0; */
static void thread_clear(uint32_t t)
{
    if (current == t) {
        current = NIL;
    }
    t_fault[t] = 0;
    t_priority[t] = 0;
    arch_fpu_reset(t);
}

bool thread_end(uint32_t t)
{
    thread_cancel(t, ERR_CANCELLED);
    leave_context(t);
    /*@ assert t_reply[t] == NIL; */
    thread_clear(t);
    return true;
}

void thread_cancel(uint32_t t, uint32_t error)
{
    uint32_t state = t_state[t];
    uint32_t r = t_reply[t];
    schedule_leave(t);
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
    if (q == NIL || q > PRIORITIES) {
        t_priority[t] = priority;
        return;
    }
    ready_remove(t);
    t_priority[t] = priority;
    ready_append(t);
}

/* Makes t run on context c, which is lent to nobody by another. What t itself has lent, it no
 * longer gets back. */
/*@ requires works;
    requires is_thread(t) && is_context(c);
    CONTEXT_FIELDS(assigns)
    ensures works;
    ensures t_context[t] == c && (t_reply[t] == NIL || r_context[t_reply[t]] == NIL); */
static void bind_context(uint32_t t, uint32_t c)
{
    leave_context(t);
    context_move(c, t);
}

/* t has context c no more: neither now nor when it comes back. */
/*@ requires works;
    requires is_thread(t) && is_context(c);
    CONTEXT_FIELDS(assigns)
    ensures works;
    ensures t_context[t] != c && (t_reply[t] == NIL || r_context[t_reply[t]] != c); */
static void unbind_context(uint32_t t, uint32_t c)
{
    uint32_t r = t_reply[t];
    if (t_context[t] == c) {
        context_free(c);
        return;
    }
    if (r != NIL && r_context[r] == c) {
        answer_forget(t);
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
