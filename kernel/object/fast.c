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

static uint32_t fast_call(uint32_t t)
{
    uint32_t k = t_cnode[t];
    uint32_t handle = (uint32_t)(t_reg[t_row(t) + R_HANDLE] % 0x100000000ULL);
    uint32_t s;
    if (handle >= k_count[k]) {
        return NIL;
    }
    s = k + handle;
    if (s_type[s] != OBJ_ENDPOINT || (s_rights[s] & RIGHT_WRITE) == 0) {
        return NIL;
    }
    return fast_lend(t, s, THREAD_ANSWER);
}

static uint32_t fast_reply_receive(uint32_t t)
{
    uint32_t a = fast_return(t, THREAD_ANSWER);
    if (a != NIL) {
        t_reg[t_row(a) + R_HANDLE] = 0;
    }
    return a;
}

void entry_syscall(void)
{
    uint32_t t = current;
    uint64_t tag = t_reg[t_row(t) + R_TAG];
    uint32_t upper = (uint32_t)(tag / 0x100000000ULL);
    uint32_t to = NIL;
    uint32_t words = 0;
    if (upper >= FAST_CALL && upper <= FAST_CALL + MSG_WORDS_REGS) {
        words = upper - FAST_CALL;
        to = fast_call(t);
    } else if (upper >= FAST_REPLY_RECEIVE && upper <= FAST_REPLY_RECEIVE + MSG_WORDS_REGS) {
        words = upper - FAST_REPLY_RECEIVE;
        to = fast_reply_receive(t);
    }
    if (to == NIL) {
        slow_syscall(t);
        return;
    }
    t_reg[t_row(to) + R_TAG] = tag & TAG_MESSAGE;
    t_state[to] = THREAD_READY;
    current = to;
    message_words(t, to, words);
}
