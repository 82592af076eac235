/* The fast path: see fast.h. */
#include "object/fast.h"

#include "abi/message.h"
#include "object/cnode.h"
#include "object/endpoint.h"
#include "object/notification.h"
#include "object/words.h"

/* All of a tag but the lower part of the label and the words. */
#define FAST_MASK          (~TAG(0, 0x7fffffff, 0x3ff, 0))
#define FAST_CALL          (TAG_NATIVE | TAG(SYS_CALL, 0, 0, 0))
#define FAST_REPLY_RECEIVE (TAG_NATIVE | TAG(SYS_REPLY_RECEIVE, 0, 0, 0))

/* The slot behind a handle of t; one that no capability needs to be in. NIL: none. */
static uint32_t fast_slot(uint32_t t, uint32_t handle)
{
    return cnode_slot(t_cnode[t], handle);
}

/* The message is t's, with so many words; to runs next. */
static void fast_pass(uint32_t t, uint32_t to, uint64_t tag, uint64_t badge)
{
    message_words(t, to, TAG_WORDS(tag));
    t_reg[to * T_REGS + R_TAG] = tag & ~FAST_MASK;
    t_reg[to * T_REGS + R_HANDLE] = badge;
    t_reg[to * T_REGS + R_EXTRA] = 0;
    t_state[to] = THREAD_READY;
    current = to;
}

bool fast_call(uint32_t t)
{
    uint64_t tag = t_reg[t * T_REGS + R_TAG];
    uint32_t s = fast_slot(t, (uint32_t)(t_reg[t * T_REGS + R_HANDLE] & 0xffffffffULL));
    uint32_t c = t_context[t];
    uint32_t to;
    uint32_t r;
    if ((tag & FAST_MASK) != FAST_CALL || TAG_WORDS(tag) > MSG_WORDS_REGS || s == NIL ||
        s_type[s] != OBJ_ENDPOINT || (s_rights[s] & RIGHT_WRITE) == 0) {
        return false;
    }
    to = q_head[Q_RECEIVE(s_object[s])];
    r = t_reply[to];
    if (to == NIL || r == NIL || t_context[to] != NIL || t_priority[to] < ready_top) {
        return false;
    }
    queue_remove(to);
    reply_unlink(r);
    reply_link(r, t);
    reply_push(r, c);
    context_take(c);
    context_give(c, to);
    t_state[t] = THREAD_ANSWER;
    fast_pass(t, to, tag, s_badge[s]);
    return true;
}

bool fast_reply_receive(uint32_t t)
{
    uint64_t tag = t_reg[t * T_REGS + R_TAG];
    uint64_t handles = t_reg[t * T_REGS + R_HANDLE];
    uint32_t s = fast_slot(t, (uint32_t)(handles & 0xffffffffULL));
    uint32_t o = fast_slot(t, (uint32_t)(handles >> 32));
    uint32_t c = t_context[t];
    uint32_t r;
    uint32_t a;
    if ((tag & FAST_MASK) != FAST_REPLY_RECEIVE || TAG_WORDS(tag) > MSG_WORDS_REGS || s == NIL ||
        o == NIL || s_type[s] != OBJ_ENDPOINT || (s_rights[s] & RIGHT_READ) == 0 ||
        s_type[o] != OBJ_REPLY || (s_rights[o] & RIGHT_WRITE) == 0) {
        return false;
    }
    r = s_object[o];
    a = r_thread[r];
    if (a == NIL || t_state[a] != THREAD_ANSWER || t_fault[a] != 0 || r_context[r] != c ||
        c_top[c] != r || t_context[a] != NIL || t_priority[a] < ready_top ||
        q_head[Q_SEND(s_object[s])] != NIL || n_word[t_notification[t]] != 0) {
        return false;
    }
    reply_pull(r);
    reply_unlink(r);
    reply_link(r, t);
    context_take(c);
    context_give(c, a);
    t_state[t] = THREAD_RECEIVING;
    queue_append(Q_RECEIVE(s_object[s]), t);
    fast_pass(t, a, tag, 0);
    return true;
}
