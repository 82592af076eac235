/* Endpoints: see endpoint.h. */
#include "object/endpoint.h"

#include "object/answer.h"
#include "object/message.h"
#include "object/notification.h"
#include "object/object.h"

#define REFUSE_SLICE 8 /* senders whose message does not fit, in one receive */

uint64_t e_badge[E_MAX];

/* Whether the message of from, which calls or sends, can go to to, which offers r. */
/*@ CNODES(requires)
    requires bound_cnode && is_thread(from) && is_thread(to);
    assigns \nothing;
    ensures \result < ERRORS;
    ensures \result == 0 && state == THREAD_CALLING ==> r != NIL;
    ensures \result == 0 && t_fault[from] == 0 ==> message_fits(from, to); */
static uint32_t meet_check(uint32_t from, uint32_t to, uint32_t r, uint32_t state)
{
    if (state == THREAD_CALLING && r == NIL) {
        return ERR_FIT;
    }
    return message_check(from, to);
}

/* For contracts: from, in no queue, gives its message to to, which has left its. */
#define MEETS(from, to)                                                                            \
    (is_thread(from) && is_thread(to) && (from) != (to) && t_queue[from] == NIL &&                 \
     t_queue[to] == NIL && t_reply[from] == NIL && t_state[from] <= THREAD_READY &&                \
     (t_state[to] == THREAD_STOPPED || (t_state[to] == THREAD_READY && (to) == current)))

/* from, which calls, waits for its answer in the reply object r; its time goes along to to, if that
 * has none. */
/*@ QUEUES(requires) PLACED(requires) REPLIES(requires) LINKS(requires)
    requires s_fault && x_links && MEETS(from, to) && t_reply[to] == NIL;
    requires is_reply(r) && r_thread[r] == NIL;
    assigns t_state[from], t_reply[from], r_thread[r], r_context[r], r_below[r];
    assigns r_above[c_top[t_context[from]]], c_top[t_context[from]];
    assigns c_thread[t_context[from]], t_context[from], t_context[to];
    PLACED(ensures) REPLIES(ensures) LINKS(ensures)
    ensures s_fault;
    ensures x_links;
    ensures t_state[from] == (t_fault[from] == 0 ? THREAD_ANSWER : THREAD_HANDLED);
    ensures t_reply[from] == r && r_thread[r] == from;
    ensures \old(t_context[from]) != NIL && \old(t_context[to]) == NIL &&
        t_fault[from] != FAULT_TIME ==>
        t_context[to] == \old(t_context[from]) && c_top[\old(t_context[from])] == r;
    ensures \old(t_context[from]) == NIL || \old(t_context[to]) != NIL ||
        t_fault[from] == FAULT_TIME ==> t_context[from] == \old(t_context[from]) &&
            t_context[to] == \old(t_context[to]); */
static void lend(uint32_t from, uint32_t to, uint32_t r)
{
    uint32_t c = t_context[from];
    reply_link(r, from);
    t_state[from] = t_fault[from] == 0 ? THREAD_ANSWER : THREAD_HANDLED;
    if (c == NIL || t_context[to] != NIL || t_fault[from] == FAULT_TIME) {
        return;
    }
    reply_push(r, c);
    context_pass(c, from, to);
}

/* from and to, neither in a queue, meet; the message was checked. from waits for its answer in r,
 * or has sent and is ready. */
/*@ QUEUES(requires) READY(requires) DUE(requires) PLACED(requires) REPLIES(requires)
    LINKS(requires) MESSAGES(requires)
    requires s_fault && x_links && MEETS(from, to) && t_reply[to] == NIL;
    requires state == THREAD_CALLING || (state == THREAD_SENDING && t_fault[from] == 0);
    requires state == THREAD_CALLING ==> is_reply(r) && r_thread[r] == NIL;
    requires t_fault[from] == 0 ==> message_fits(from, to);
    MEET_FIELDS(assigns)
    QUEUES(ensures) READY(ensures) DUE(ensures) PLACED(ensures) REPLIES(ensures)
    LINKS(ensures) MESSAGES(ensures)
    ensures s_fault;
    ensures x_links;
    ensures t_queue[to] == NIL && t_state[to] == \old(t_state[to]) && t_reply[to] == NIL;
    ensures t_state[from] == (state == THREAD_SENDING ? THREAD_READY
                              : t_fault[from] == 0 ? THREAD_ANSWER : THREAD_HANDLED);
    ensures \forall integer q; PRIORITIES < q < Q_MAX ==> q_head[q] == \at(q_head[q],Pre); */
static void meet(uint32_t from, uint32_t to, uint32_t r, uint32_t state)
{
    message_pass(from, to);
    if (state == THREAD_CALLING) {
        lend(from, to, r);
        return;
    }
    message_done(from);
    schedule_ready(from);
}

uint32_t endpoint_send(uint32_t t, uint32_t e, uint32_t state, bool wait)
{
    uint32_t to = q_head[Q_RECEIVE(e)];
    uint32_t r = t_reply[to];
    uint32_t error;
    if (to == NIL && !wait) {
        return ERR_WAIT;
    }
    if (to == NIL) {
        t_state[t] = state;
        queue_append(Q_SEND(e), t);
        return 0;
    }
    error = meet_check(t, to, r, state);
    if (error != 0) {
        return error;
    }
    if (r != NIL) {
        reply_unlink(r);
    }
    schedule_leave(to);
    meet(t, to, r, state);
    schedule_ready(to);
    return 0;
}

/* t, the running thread, waits, and offers r. */
/*@ STANDING(requires)
    requires is_thread(t) && is_endpoint(e) && t == current && t_queue[t] == NIL;
    requires t_state[t] == THREAD_READY && t_reply[t] == NIL;
    requires q_head[PRIORITIES + e + 1] == NIL;
    requires r == NIL || (is_reply(r) && r_thread[r] == NIL);
    assigns t_state[t], t_reply[t], r_thread[r], t_order[0 .. T_MAX-1];
    assigns t_next[t], t_prev[t], t_queue[t], t_next[q_tail[PRIORITIES + E_MAX + e + 1]];
    assigns q_head[PRIORITIES + E_MAX + e + 1], q_tail[PRIORITIES + E_MAX + e + 1];
    STANDING(ensures)
    ensures t_state[t] == THREAD_RECEIVING && t_reply[t] == r; */
static void receive_wait(uint32_t t, uint32_t e, uint32_t r)
{
    if (r != NIL) {
        reply_link(r, t);
    }
    t_state[t] = THREAD_RECEIVING;
    queue_append(Q_RECEIVE(e), t);
}

uint32_t endpoint_receive(uint32_t t, uint32_t e, uint32_t r, bool wait)
{
    if (notification_take(t)) {
        return 0;
    }
    /*@ loop invariant 0 <= k <= REFUSE_SLICE;
        RUNNING(loop invariant) MESSAGES(loop invariant)
        loop invariant n_links;
        loop invariant r == NIL || r_thread[r] == NIL;
        loop invariant t_queue[t] == NIL && t_reply[t] == NIL && t_state[t] == THREAD_READY;
        loop assigns k, t_fault[0 .. T_MAX-1];
        WAKE_FIELDS(loop assigns)
        loop variant REFUSE_SLICE - k; */
    for (uint32_t k = 0; k < REFUSE_SLICE; k++) {
        uint32_t from = q_head[Q_SEND(e)];
        uint32_t state = t_state[from];
        uint32_t error;
        if (from == NIL && !wait) {
            return ERR_WAIT;
        }
        if (from == NIL) {
            receive_wait(t, e, r);
            return 0;
        }
        error = meet_check(from, t, r, state);
        if (error == 0) {
            schedule_leave(from);
            meet(from, t, r, state);
            return 0;
        }
        answer_error(from, error);
    }
    return ERR_AGAIN;
}

bool endpoint_cancel(uint32_t e, uint64_t badge)
{
    if (e_cursor[e] == NIL || e_badge[e] != badge) {
        e_cursor[e] = q_head[Q_SEND(e)];
        e_badge[e] = badge;
    }
    /*@ loop invariant 0 <= k <= DRAIN_SLICE;
        RUNNING(loop invariant)
        loop assigns k, t_fault[0 .. T_MAX-1];
        WAKE_FIELDS(loop assigns)
        loop variant DRAIN_SLICE - k; */
    for (uint32_t k = 0; k < DRAIN_SLICE && e_cursor[e] != NIL; k++) {
        uint32_t t = e_cursor[e];
        /*@ assert t_next[t] != NIL ==> t_queue[t_next[t]] == PRIORITIES + e + 1; */
        e_cursor[e] = t_next[t];
        /*@ assert e_cursors; */
        if (t_badge[t] == badge) {
            answer_error(t, ERR_CANCELLED);
        }
    }
    return e_cursor[e] == NIL;
}

bool endpoint_end(uint32_t e)
{
    /*@ loop invariant 0 <= k <= DRAIN_SLICE;
        RUNNING(loop invariant)
        loop assigns k, t_fault[0 .. T_MAX-1];
        WAKE_FIELDS(loop assigns)
        loop variant DRAIN_SLICE - k; */
    for (uint32_t k = 0; k < DRAIN_SLICE; k++) {
        uint32_t t = q_head[Q_SEND(e)] != NIL ? q_head[Q_SEND(e)] : q_head[Q_RECEIVE(e)];
        if (t == NIL) {
            return true;
        }
        answer_error(t, ERR_CANCELLED);
    }
    return q_head[Q_SEND(e)] == NIL && q_head[Q_RECEIVE(e)] == NIL;
}
