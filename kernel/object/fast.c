/* The way in of system calls, and the fast path: a call to a server that waits and has no time of
 * its own, and the server's answer.
 *
 * It does what the slow path does for the same call, by the same steps; what it saves is reading
 * the clock, the general decoding, and the ready queues. The context goes on with the call, so
 * nothing needs to be charged: its use is counted on from where it was. The conditions, all of
 * them:
 *
 * both           at most ten words, no capabilities, and nobody ready with a higher priority than
 *                the one to run next
 * call           an endpoint with the right to write; somebody receives there, offers a reply
 *                object, and has no context
 * reply_receive  a reply object in which a caller waits that lent the context on which the server
 *                runs, and that is not about a fault; an endpoint with the right to read, on which
 *                nobody waits to send; no signal is there for the server
 */
#include "object/fast.h"

#include "abi/message.h"
#include "object/entry.h"
#include "object/words.h"

/* The upper half of the tag of each, with no words. */
#define FAST_CALL          (0x80000000U | (uint32_t)SYS_CALL << 24)
#define FAST_REPLY_RECEIVE (0x80000000U | (uint32_t)SYS_REPLY_RECEIVE << 24)

/* t's message names an endpoint that t may call, fast. */
/*@ requires q_ends && s_nil && cap_object && k_sizes;
    requires is_thread(t) && t_cnode[t] < HOME_SLOTS;
    assigns \nothing;
    ensures \result ==> is_home(ENDPOINT_SLOT(t)) && s_type[ENDPOINT_SLOT(t)] == OBJ_ENDPOINT &&
        (s_rights[ENDPOINT_SLOT(t)] & RIGHT_WRITE) != 0;
    ensures \result ==> t_reply[CALLED(ENDPOINT_SLOT(t))] != NIL &&
        t_context[CALLED(ENDPOINT_SLOT(t))] == NIL &&
        ready_top <= t_priority[CALLED(ENDPOINT_SLOT(t))]; */
static bool fast_calls(uint32_t t)
{
    uint32_t k = t_cnode[t];
    uint32_t handle = (uint32_t)(t_reg[t_row(t) + R_HANDLE] % 0x100000000ULL);
    uint32_t s;
    if (handle >= k_count[k]) {
        return false;
    }
    /*@ assert k_count[0] == 0; */
    /*@ assert 1 <= k; */
    s = k + handle;
    return s_type[s] == OBJ_ENDPOINT && (s_rights[s] & RIGHT_WRITE) != 0 && fast_lends(s);
}

/* t, the running thread, calls; the result, who is called, runs from now on. */
/*@ requires entry;
    requires t == current && t != NIL;
    requires is_home(ENDPOINT_SLOT(t)) && s_type[ENDPOINT_SLOT(t)] == OBJ_ENDPOINT;
    requires t_reply[CALLED(ENDPOINT_SLOT(t))] != NIL && t_context[CALLED(ENDPOINT_SLOT(t))] == NIL;
    RUNNING_FIELDS(assigns)
    ENTRY(ensures)
    ensures \result == current == \old(CALLED(ENDPOINT_SLOT(t))) && is_thread(\result);
    ensures t_state[t] == THREAD_ANSWER; */
static inline uint32_t fast_call(uint32_t t)
{
    /*@ assert t_state[CALLED(ENDPOINT_SLOT(t))] == THREAD_RECEIVING; */
    uint32_t to = fast_lend(t, fast_slot(t), THREAD_ANSWER);
    t_state[to] = THREAD_READY;
    current = to;
    return to;
}

/* t, the running thread, answers and receives; the result, who is answered, runs from now on. */
/*@ requires entry;
    requires t == current && t != NIL;
    requires is_slot(ENDPOINT_SLOT(t)) && is_endpoint(s_object[ENDPOINT_SLOT(t)]);
    requires q_head[PRIORITIES + s_object[ENDPOINT_SLOT(t)] + 1] == NIL;
    requires c_top[t_context[t]] != NIL && t_state[CALLER(t)] == THREAD_ANSWER;
    RUNNING_FIELDS(assigns)
    ENTRY(ensures)
    ensures \result == current == \old(CALLER(t)) && is_thread(\result);
    ensures t_state[t] == THREAD_RECEIVING; */
static inline uint32_t fast_reply_receive(uint32_t t)
{
    /*@ assert t_context[CALLER(t)] == NIL && t_queue[CALLER(t)] == NIL; */
    uint32_t to = fast_return(t);
    t_reg[t_row(to) + R_HANDLE] = 0;
    t_state[to] = THREAD_READY;
    current = to;
    return to;
}

/*@ requires entry && current != NIL;
    ENTRY_FIELDS(assigns)
    ensures entry; */
void entry_syscall(void)
{
    uint32_t t = current;
    uint64_t tag = t_reg[t_row(t) + R_TAG];
    uint32_t upper = (uint32_t)(tag / 0x100000000ULL);
    uint32_t to;
    uint32_t words;
    if (upper >= FAST_CALL && upper <= FAST_CALL + MSG_WORDS_REGS && fast_calls(t)) {
        words = upper - FAST_CALL;
        to = fast_call(t);
    } else if (upper >= FAST_REPLY_RECEIVE && upper <= FAST_REPLY_RECEIVE + MSG_WORDS_REGS &&
               fast_returns(t, THREAD_ANSWER)) {
        words = upper - FAST_REPLY_RECEIVE;
        to = fast_reply_receive(t);
    } else {
        other_syscall(t);
        return;
    }
    t_reg[t_row(to) + R_TAG] = tag & TAG_MESSAGE;
    message_words(t, to, words);
}
