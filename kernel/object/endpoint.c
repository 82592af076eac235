/* Endpoints: see endpoint.h. */
#include "object/endpoint.h"

#include "object/answer.h"
#include "object/message.h"
#include "object/notification.h"
#include "object/object.h"

#define REFUSE_SLICE 8 /* senders whose message does not fit, in one receive */

static uint64_t e_badge[E_MAX]; /* that the cancelling in e_cursor is about */

/* Whether the message of from, which calls or sends, can go to to. */
static uint32_t meet_check(uint32_t from, uint32_t to, uint32_t state)
{
    if (state == THREAD_CALLING && t_reply[to] == NIL) {
        return ERR_FIT;
    }
    return message_check(from, to);
}

/* from and to, neither in a queue, meet; the message was checked. from waits for its answer, or has
 * sent and is ready. */
static void meet(uint32_t from, uint32_t to, uint32_t state)
{
    uint32_t r = t_reply[to];
    uint32_t c = t_context[from];
    message_pass(from, to);
    if (r != NIL) {
        reply_unlink(r);
    }
    if (state == THREAD_SENDING) {
        message_done(from);
        schedule_ready(from);
        return;
    }
    reply_link(r, from);
    t_state[from] = t_fault[from] == 0 ? THREAD_ANSWER : THREAD_HANDLED;
    if (c != NIL && t_context[to] == NIL && t_fault[from] != FAULT_TIME) {
        reply_push(r, c);
        context_take(c);
        context_give(c, to);
    }
}

uint32_t endpoint_send(uint32_t t, uint32_t e, uint32_t state, bool wait)
{
    uint32_t to = q_head[Q_RECEIVE(e)];
    uint32_t error;
    if (to == NIL) {
        if (!wait) {
            return ERR_WAIT;
        }
        schedule_leave(t, state);
        queue_append(Q_SEND(e), t);
        return 0;
    }
    error = meet_check(t, to, state);
    if (error != 0) {
        return error;
    }
    schedule_leave(to, THREAD_STOPPED);
    meet(t, to, state);
    schedule_ready(to);
    return 0;
}

/* t waits, or does not. */
static uint32_t receive_wait(uint32_t t, uint32_t e, uint32_t r, bool wait)
{
    if (!wait) {
        if (r != NIL) {
            reply_unlink(r);
        }
        return ERR_WAIT;
    }
    schedule_leave(t, THREAD_RECEIVING);
    queue_append(Q_RECEIVE(e), t);
    return 0;
}

uint32_t endpoint_receive(uint32_t t, uint32_t e, uint32_t r, bool wait)
{
    if (notification_take(t)) {
        return 0;
    }
    if (r != NIL) {
        reply_link(r, t);
    }
    for (uint32_t k = 0; k < REFUSE_SLICE; k++) {
        uint32_t from = q_head[Q_SEND(e)];
        uint32_t state = t_state[from];
        uint32_t error;
        if (from == NIL) {
            return receive_wait(t, e, r, wait);
        }
        error = meet_check(from, t, state);
        if (error == 0) {
            schedule_leave(from, THREAD_STOPPED);
            meet(from, t, state);
            return 0;
        }
        answer_error(from, error);
    }
    if (r != NIL) {
        reply_unlink(r);
    }
    return ERR_AGAIN;
}

bool endpoint_cancel(uint32_t e, uint64_t badge)
{
    if (e_cursor[e] == NIL || e_badge[e] != badge) {
        e_cursor[e] = q_head[Q_SEND(e)];
        e_badge[e] = badge;
    }
    for (uint32_t k = 0; k < DRAIN_SLICE && e_cursor[e] != NIL; k++) {
        uint32_t t = e_cursor[e];
        e_cursor[e] = t_next[t];
        if (t_badge[t] == badge) {
            answer_error(t, ERR_CANCELLED);
        }
    }
    return e_cursor[e] == NIL;
}

void endpoint_init(uint32_t e)
{
    e_cursor[e] = NIL;
}

bool endpoint_end(uint32_t e)
{
    for (uint32_t k = 0; k < DRAIN_SLICE; k++) {
        uint32_t t = q_head[Q_SEND(e)] != NIL ? q_head[Q_SEND(e)] : q_head[Q_RECEIVE(e)];
        if (t == NIL) {
            return true;
        }
        answer_error(t, ERR_CANCELLED);
    }
    return q_head[Q_SEND(e)] == NIL && q_head[Q_RECEIVE(e)] == NIL;
}
