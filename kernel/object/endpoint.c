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
/*@ requires queues && placed(NIL) && replies && links(NIL);
    requires s_fault && x_links && MEETS(from, to) && t_reply[to] == NIL;
    requires is_reply(r) && r_thread[r] == NIL;
    assigns t_state[from], t_reply[from], r_thread[r], r_context[r], r_below[r];
    assigns r_above[c_top[t_context[from]]], c_top[t_context[from]];
    assigns c_thread[t_context[from]], t_context[from], t_context[to];
    ensures placed(NIL);
    ensures replies;
    ensures links(NIL);
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
/*@ requires works && messages && MEETS(from, to) && t_reply[to] == NIL;
    requires state == THREAD_CALLING || (state == THREAD_SENDING && t_fault[from] == 0);
    requires state == THREAD_CALLING ==> is_reply(r) && r_thread[r] == NIL;
    requires t_fault[from] == 0 ==> message_fits(from, to);
    MEET_FIELDS(assigns)
    RUNNING(ensures)
    ensures messages;
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

/* t waits for a receiver. */
/*@ requires stands;
    requires is_thread(t) && is_endpoint(e) && t_queue[t] == NIL && t_reply[t] == NIL;
    requires t_state[t] <= THREAD_READY && q_head[PRIORITIES + E_MAX + e + 1] == NIL;
    requires state == THREAD_CALLING || (state == THREAD_SENDING && t_fault[t] == 0);
    assigns t_state[t], t_order[0 .. T_MAX-1];
    assigns t_next[t], t_prev[t], t_queue[t], t_next[q_tail[PRIORITIES + e + 1]];
    assigns q_head[PRIORITIES + e + 1], q_tail[PRIORITIES + e + 1];
    STANDING(ensures)
    ensures t_state[t] == state && t_queue[t] == PRIORITIES + e + 1;
    ensures q_tail[PRIORITIES + e + 1] == t; */
static void send_wait(uint32_t t, uint32_t e, uint32_t state)
{
    t_state[t] = state;
    queue_append(Q_SEND(e), t);
}

/* t waits to receive no more, nor offers r. */
/*@ requires stands;
    requires is_thread(t) && t_state[t] == THREAD_RECEIVING && t_reply[t] == r;
    assigns t_state[t], t_queue[t], t_reply[t], r_thread[r], ready_map, ready_top;
    assigns t_next[0 .. T_MAX-1], t_prev[0 .. T_MAX-1], q_head[0 .. Q_MAX-1];
    assigns q_tail[0 .. Q_MAX-1], e_cursor[0 .. E_MAX-1];
    ensures stands;
    ensures t_state[t] == THREAD_STOPPED && t_queue[t] == NIL && t_reply[t] == NIL;
    ensures r != NIL ==> r_thread[r] == NIL; */
static void receive_leave(uint32_t t, uint32_t r)
{
    if (r != NIL) {
        reply_unlink(r);
    }
    schedule_leave(t);
}

/* t's message, which was checked, goes to to, which receives and offers r. */
/*@ requires works;
    requires messages && is_thread(t) && is_thread(to) && to != t;
    requires t_queue[t] == NIL && t_reply[t] == NIL && t_state[t] <= THREAD_READY;
    requires t_state[to] == THREAD_RECEIVING && t_reply[to] == r;
    requires (state == THREAD_CALLING && r != NIL) ||
        (state == THREAD_SENDING && t_fault[t] == 0);
    requires t_fault[t] == 0 ==> message_fits(t, to);
    MEET_FIELDS(assigns)
    ensures works;
    ensures messages;
    ensures t_state[to] == THREAD_READY;
    ensures t_state[t] == (state == THREAD_SENDING ? THREAD_READY
                           : t_fault[t] == 0 ? THREAD_ANSWER : THREAD_HANDLED); */
static void send_now(uint32_t t, uint32_t to, uint32_t r, uint32_t state)
{
    receive_leave(to, r);
    meet(t, to, r, state);
    schedule_ready(to);
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
        send_wait(t, e, state);
        return 0;
    }
    error = meet_check(t, to, r, state);
    if (error != 0) {
        return error;
    }
    /*@ assert to != t && t_state[to] == THREAD_RECEIVING; */
    send_now(t, to, r, state);
    return 0;
}

/* t, the running thread, waits, and offers r. */
/*@ requires stands;
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

/* t takes the first message, or waits for one, if it may. A sender whose message does not fit is
 * told so; then it is ERR_AGAIN. */
/*@ requires going && messages;
    requires is_thread(t) && is_endpoint(e) && t == current && t_queue[t] == NIL;
    requires t_state[t] == THREAD_READY && t_reply[t] == NIL;
    requires r == NIL || (is_reply(r) && r_thread[r] == NIL);
    MEET_FIELDS(assigns)
    assigns t_fault[0 .. T_MAX-1];
    ensures \result == ERR_AGAIN ==> t_state[\old(q_head[PRIORITIES + e + 1])] <= THREAD_READY;
    ensures going;
    ensures messages;
    ensures \result < ERRORS;
    ensures \result != 0 ==> t_state[t] == THREAD_READY && t_queue[t] == NIL &&
        t_reply[t] == NIL && (r == NIL || r_thread[r] == NIL);
    ensures \old(q_head[PRIORITIES + e + 1]) == NIL ==>
        \result == (wait ? 0 : ERR_WAIT) && (wait ==> t_state[t] == THREAD_RECEIVING);
    ensures t_state[t] == THREAD_READY ||
        (wait && t_state[t] == THREAD_RECEIVING && t_reply[t] == r); */
static uint32_t receive_next(uint32_t t, uint32_t e, uint32_t r, bool wait)
{
    uint32_t from = q_head[Q_SEND(e)];
    uint32_t state = t_state[from];
    uint32_t error;
    if (from == NIL && !wait) {
        return ERR_WAIT;
    }
    if (from == NIL) {
        receive_wait(t, e, r);
        /*@ assert works; */
        /*@ assert n_links; */
        return 0;
    }
    /*@ assert from != t && t_reply[from] == NIL; */
    error = meet_check(from, t, r, state);
    if (error != 0) {
        answer_error(from, error);
        /*@ assert going; */
        return ERR_AGAIN;
    }
    schedule_leave(from);
    meet(from, t, r, state);
    /*@ assert works; */
    /*@ assert n_links; */
    return 0;
}

uint32_t endpoint_receive(uint32_t t, uint32_t e, uint32_t r, bool wait)
{
    uint32_t error = ERR_AGAIN;
    if (notification_take(t)) {
        return 0;
    }
    /*@ loop invariant 0 <= k <= REFUSE_SLICE && error < ERRORS;
        loop invariant going;
        loop invariant messages;
        loop invariant error != 0 ==> t_queue[t] == NIL && t_reply[t] == NIL &&
            t_state[t] == THREAD_READY && (r == NIL || r_thread[r] == NIL);
        loop invariant k == 0 ==> error == ERR_AGAIN &&
            q_head[PRIORITIES + e + 1] == \at(q_head[PRIORITIES + e + 1],Pre);
        loop invariant k > 0 && \at(q_head[PRIORITIES + e + 1],Pre) == NIL ==>
            error == (wait ? 0 : ERR_WAIT) && (wait ==> t_state[t] == THREAD_RECEIVING);
        loop invariant t_state[t] == THREAD_READY ||
            (wait && t_state[t] == THREAD_RECEIVING && t_reply[t] == r);
        loop assigns k, error, t_fault[0 .. T_MAX-1];
        MEET_FIELDS(loop assigns)
        loop variant REFUSE_SLICE - k; */
    for (uint32_t k = 0; k < REFUSE_SLICE && error == ERR_AGAIN; k++) {
        error = receive_next(t, e, r, wait);
    }
    return error;
}

bool endpoint_cancel(uint32_t e, uint64_t badge)
{
    if (e_cursor[e] == NIL || e_badge[e] != badge) {
        e_cursor[e] = q_head[Q_SEND(e)];
        e_badge[e] = badge;
    }
    /*@ loop invariant 0 <= k <= DRAIN_SLICE;
        loop invariant works;
        loop invariant e_badge[e] == badge;
        loop invariant \let t = CANCELLED_FIRST(e);
            k == 0 ? e_cursor[e] == t : t != NIL && t_badge[t] == badge ==>
                t_state[t] <= THREAD_READY;
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
        loop invariant works;
        loop invariant \let t = \at(q_head[Q_SEND(e)] != NIL ? q_head[Q_SEND(e)]
                                                           : q_head[Q_RECEIVE(e)],Pre);
            k > 0 && t != NIL ==> t_state[t] <= THREAD_READY;
        loop invariant k == 0 ==> q_head[Q_SEND(e)] == \at(q_head[Q_SEND(e)],Pre) &&
            q_head[Q_RECEIVE(e)] == \at(q_head[Q_RECEIVE(e)],Pre);
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
