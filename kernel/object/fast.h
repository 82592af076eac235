/* The fast path: a call to a server that waits and has no time of its own, and the server's answer.
 *
 * It does what the slow path does for the same call, by the same steps; what it saves is reading
 * the clock, the general decoding, and the ready queues. The context goes on with the call, so
 * nothing needs to be charged: its use is counted on from where it was. The conditions, all of
 * them:
 *
 * both           at most ten words, no capabilities, a label below LABEL_FAULT, and nobody ready
 *                with a higher priority than the one to run next
 * call           an endpoint with the right to write; somebody receives there, offers a reply
 *                object, and has no context
 * reply_receive  a reply object in which a caller waits that lent the context on which the server
 *                runs, and that is not about a fault; an endpoint with the right to read, on which
 *                nobody waits to send; no signal is there for the server
 */
#ifndef KERNEL_FAST_H
#define KERNEL_FAST_H

#include "abi/message.h"
#include "object/cnode.h"
#include "object/endpoint.h"
#include "object/notification.h"
#include "object/words.h"

/* All of a tag but the words and the lower part of the label. */
#define FAST_MASK          (~TAG(0, 0x7fffffff, 0x3ff, 0))
#define FAST_CALL          (TAG_NATIVE | TAG(SYS_CALL, 0, 0, 0))
#define FAST_REPLY_RECEIVE (TAG_NATIVE | TAG(SYS_REPLY_RECEIVE, 0, 0, 0))

/* The slot behind a handle of t when it holds a capability of the type with the right; else NIL. */
static inline uint32_t fast_slot(uint32_t t, uint64_t handle, uint32_t type, uint32_t right)
{
    uint32_t s = cnode_slot(t_cnode[t], handle);
    return s != NIL && s_type[s] == type && (s_rights[s] & right) != 0 ? s : NIL;
}

/* The message of t goes to to, which runs next. */
static inline void fast_pass(uint32_t t, uint32_t to, uint64_t tag, uint64_t badge)
{
    t_reg[t_row(to) + R_TAG] = tag & ~FAST_MASK;
    t_reg[t_row(to) + R_HANDLE] = badge;
    t_reg[t_row(to) + R_EXTRA] = 0;
    t_state[to] = THREAD_READY;
    current = to;
    message_words(t, to, TAG_WORDS(tag));
}

/* Each does the running thread's system call, or leaves everything as it is: then false. */
static inline bool fast_call(uint32_t t, uint64_t tag)
{
    uint64_t handle = t_reg[t_row(t) + R_HANDLE] & 0xffffffffULL;
    uint32_t s = fast_slot(t, handle, OBJ_ENDPOINT, RIGHT_WRITE);
    uint32_t c = t_context[t];
    uint32_t e = s_object[s];
    uint32_t to = q_head[Q_RECEIVE(e)];
    uint32_t r = t_reply[to];
    if (s == NIL || to == NIL || r == NIL || t_context[to] != NIL || t_priority[to] < ready_top ||
        TAG_WORDS(tag) > MSG_WORDS_REGS) {
        return false;
    }
    (void)queue_pop(Q_RECEIVE(e));
    reply_pass(r, to, t);
    reply_push(r, c);
    context_pass(c, t, to);
    t_state[t] = THREAD_ANSWER;
    fast_pass(t, to, tag, s_badge[s]);
    return true;
}

static inline bool fast_reply_receive(uint32_t t, uint64_t tag)
{
    uint64_t handles = t_reg[t_row(t) + R_HANDLE];
    uint32_t s = fast_slot(t, handles & 0xffffffffULL, OBJ_ENDPOINT, RIGHT_READ);
    uint32_t o = fast_slot(t, handles >> 32, OBJ_REPLY, RIGHT_WRITE);
    uint32_t r = s_object[o];
    uint32_t e = s_object[s];
    uint32_t c = t_context[t];
    uint32_t a = r_thread[r];
    if (s == NIL || o == NIL || a == NIL || c_top[c] != r || t_state[a] != THREAD_ANSWER ||
        t_fault[a] != 0 || t_context[a] != NIL || t_priority[a] < ready_top ||
        q_head[Q_SEND(e)] != NIL || n_word[t_notification[t]] != 0 ||
        TAG_WORDS(tag) > MSG_WORDS_REGS) {
        return false;
    }
    reply_pop(r, c);
    reply_pass(r, a, t);
    context_pass(c, t, a);
    t_state[t] = THREAD_RECEIVING;
    queue_append(Q_RECEIVE(e), t);
    fast_pass(t, a, tag, 0);
    return true;
}

#endif
