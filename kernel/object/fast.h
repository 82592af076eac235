/* The steps of the fast path (fast.c) and of its use for foreign system calls (fast_fault.c).
 *
 * One asks whether the fast path can be gone, and changes nothing; another then does all of a
 * system call but passing the message, and tells who gets that and runs next. That entry NIL has no
 * reply object and waits for no answer saves asking whether there is somebody; that the first slot
 * of a cnode, which has no handle, never holds an endpoint or a reply object saves asking for
 * handle 0.
 */
#ifndef KERNEL_FAST_H
#define KERNEL_FAST_H

#include "object/cnode.h"
#include "object/endpoint.h"
#include "object/notification.h"

/* For contracts: the queue of receivers of the endpoint of a slot, and the first in it. */
#define RECEIVERS(s) (PRIORITIES + E_MAX + s_object[s] + 1)
#define CALLED(s)    q_head[RECEIVERS(s)]

/* What the steps rely on beside the links: the running thread has a context and no reply object. */
/*@ predicate runs(integer t) = is_thread(t) && t_queue[t] == NIL && is_context(t_context[t]) &&
        t_reply[t] == NIL; */

/* For contracts: the slots that t's message names, and who waits for the answer. */
#define ENDPOINT_SLOT(t) (t_cnode[t] + t_reg[(t)*32 + 11] % 0x100000000)
#define REPLY_SLOT(t)    (t_cnode[t] + t_reg[(t)*32 + 11] / 0x100000000)
#define CALLER(t)        r_thread[c_top[t_context[t]]]

/* The endpoint's slot, which was found to be one. */
/*@ requires is_thread(t) && ENDPOINT_SLOT(t) < SLOTS;
    assigns \nothing;
    ensures \result == ENDPOINT_SLOT(t); */
static inline uint32_t fast_slot(uint32_t t)
{
    return t_cnode[t] + (uint32_t)(t_reg[t_row(t) + R_HANDLE] % 0x100000000ULL);
}

/* Somebody receives at the endpoint of slot s who takes calls, has no time, and would run next. */
/*@ requires q_ends && s_nil && 0 <= s < SLOTS && is_endpoint(s_object[s]);
    assigns \nothing;
    ensures \result == true <==> t_reply[CALLED(s)] != NIL && t_context[CALLED(s)] == NIL &&
        ready_top <= t_priority[CALLED(s)]; */
static inline bool fast_lends(uint32_t s)
{
    uint32_t to = q_head[Q_RECEIVE(s_object[s])];
    return t_reply[to] != NIL && t_context[to] == NIL && t_priority[to] >= ready_top;
}

/* t calls that one by the endpoint's capability in slot s, and then waits in state. */
/*@ requires queues && replies;
    requires x_links && s_nil;
    requires runs(t) && 0 <= s < SLOTS && is_endpoint(s_object[s]);
    requires t_reply[CALLED(s)] != NIL && t_context[CALLED(s)] == NIL;
    requires r_context[t_reply[CALLED(s)]] == NIL;
    assigns q_head[RECEIVERS(s)], q_tail[RECEIVERS(s)], t_next[CALLED(s)], t_queue[CALLED(s)];
    assigns t_prev[t_next[CALLED(s)]], r_thread[t_reply[CALLED(s)]], t_reply[CALLED(s)], t_reply[t];
    assigns r_context[t_reply[CALLED(s)]], r_below[t_reply[CALLED(s)]];
    assigns r_above[c_top[t_context[t]]], c_top[t_context[t]], c_thread[t_context[t]];
    assigns t_context[t], t_context[CALLED(s)], t_state[t], t_reg[CALLED(s) * 32 + 11];
    QUEUES(ensures)
    REPLIES(ensures)
    ensures x_links;
    ensures \result == \old(q_head[RECEIVERS(s)]) && is_thread(\result) && \result != t;
    ensures t_queue[\result] == NIL && q_head[RECEIVERS(s)] == \old(t_next[q_head[RECEIVERS(s)]]);
    ensures t_context[\result] == \old(t_context[t]) && t_context[t] == NIL;
    ensures t_reply[\result] == NIL && t_reply[t] == \old(t_reply[q_head[RECEIVERS(s)]]) &&
        t_reply[t] != NIL;
    ensures c_top[t_context[\result]] == t_reply[t] &&
        r_below[t_reply[t]] == \old(c_top[t_context[t]]);
    ensures t_state[t] == state && t_reg[\result * 32 + 11] == s_badge[s]; */
static inline uint32_t fast_lend(uint32_t t, uint32_t s, uint32_t state)
{
    uint32_t e = s_object[s];
    uint32_t to = queue_pop(Q_RECEIVE(e));
    uint32_t r = t_reply[to];
    uint32_t c = t_context[t];
    reply_pass(r, to, t);
    reply_push(r, c);
    context_pass(c, t, to);
    t_state[t] = state;
    t_reg[t_row(to) + R_HANDLE] = s_badge[s];
    return to;
}

/* t's message names the reply object in which somebody waits in state who lent t its time and would
 * run next, and an endpoint with nobody to send; there is no signal for t. */
/*@ requires queues && replies;
    requires x_links && s_nil && cap_object && k_sizes;
    requires runs(t) && t_cnode[t] < HOME_SLOTS && 0 <= t_notification[t] < N_MAX;
    requires state >= THREAD_ANSWER;
    assigns \nothing;
    ensures \result ==> is_slot(ENDPOINT_SLOT(t)) && s_type[ENDPOINT_SLOT(t)] == OBJ_ENDPOINT &&
        (s_rights[ENDPOINT_SLOT(t)] & RIGHT_READ) != 0;
    ensures \result ==> is_slot(REPLY_SLOT(t)) && s_type[REPLY_SLOT(t)] == OBJ_REPLY &&
        (s_rights[REPLY_SLOT(t)] & RIGHT_WRITE) != 0 &&
        c_top[t_context[t]] == s_object[REPLY_SLOT(t)];
    ensures \result ==> is_thread(CALLER(t)) && t_state[CALLER(t)] == state &&
        ready_top <= t_priority[CALLER(t)];
    ensures \result ==> n_word[t_notification[t]] == 0 &&
        q_head[PRIORITIES + s_object[ENDPOINT_SLOT(t)] + 1] == NIL; */
static inline bool fast_returns(uint32_t t, uint32_t state)
{
    uint32_t k = t_cnode[t];
    uint64_t handles = t_reg[t_row(t) + R_HANDLE];
    uint32_t handle = (uint32_t)(handles % 0x100000000ULL);
    uint32_t reply = (uint32_t)(handles / 0x100000000ULL);
    uint32_t s;
    uint32_t o;
    uint32_t r;
    uint32_t a;
    if (handle >= k_count[k] || reply >= k_count[k]) {
        return false;
    }
    /*@ assert k_count[0] == 0; */
    /*@ assert 1 <= k; */
    s = k + handle;
    o = k + reply;
    if (s_type[s] != OBJ_ENDPOINT || (s_rights[s] & RIGHT_READ) == 0 || s_type[o] != OBJ_REPLY ||
        (s_rights[o] & RIGHT_WRITE) == 0) {
        return false;
    }
    r = s_object[o];
    a = r_thread[r];
    return c_top[t_context[t]] == r && t_state[a] == state && t_priority[a] >= ready_top &&
           q_head[Q_SEND((uint64_t)s_object[s])] == NIL && n_word[t_notification[t]] == 0;
}

/* t answers that one, and receives. */
/*@ requires queues && replies;
    requires x_links && t_context[CALLER(t)] == NIL && t_queue[CALLER(t)] == NIL;
    requires runs(t) && is_slot(ENDPOINT_SLOT(t)) && is_endpoint(s_object[ENDPOINT_SLOT(t)]);
    requires c_top[t_context[t]] != NIL;
    assigns q_head[PRIORITIES + E_MAX + 1 .. PRIORITIES + 2 * E_MAX];
    assigns q_tail[PRIORITIES + E_MAX + 1 .. PRIORITIES + 2 * E_MAX];
    assigns t_next[0 .. T_MAX-1], t_prev[t], t_queue[t], t_order[0 .. T_MAX-1];
    assigns r_thread[c_top[t_context[t]]], r_context[c_top[t_context[t]]];
    assigns r_below[c_top[t_context[t]]], r_above[r_below[c_top[t_context[t]]]];
    assigns t_reply[t], t_reply[CALLER(t)], c_top[t_context[t]], c_thread[t_context[t]];
    assigns t_context[t], t_context[CALLER(t)], t_state[t];
    QUEUES(ensures)
    REPLIES(ensures)
    ensures x_links;
    ensures \result == \old(CALLER(t)) && is_thread(\result) && \result != t &&
        t_queue[\result] == NIL;
    ensures t_context[\result] == \old(t_context[t]) && t_context[t] == NIL;
    ensures t_reply[\result] == NIL && t_reply[t] == \old(c_top[t_context[t]]);
    ensures r_context[t_reply[t]] == NIL;
    ensures c_top[t_context[\result]] == \old(r_below[c_top[t_context[t]]]);
    ensures t_state[t] == THREAD_RECEIVING && q_tail[t_queue[t]] == t &&
        t_queue[t] == PRIORITIES + E_MAX + s_object[ENDPOINT_SLOT(t)] + 1; */
static inline uint32_t fast_return(uint32_t t)
{
    uint32_t s = fast_slot(t);
    uint32_t c = t_context[t];
    uint32_t r = c_top[c];
    uint32_t a = r_thread[r];
    reply_pop(r, c);
    reply_pass(r, a, t);
    context_pass(c, t, a);
    t_state[t] = THREAD_RECEIVING;
    queue_append(Q_RECEIVE(s_object[s]), t);
    return a;
}

#endif
