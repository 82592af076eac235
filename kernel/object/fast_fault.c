/* The fast path for foreign system calls and faults: from the thread to its handler, when that
 * waits and has no time of its own, and the answer, when the thread goes on. Conditions as in
 * fast.c.
 */
#include "abi/message.h"
#include "object/entry.h"
#include "object/fast.h"
#include "object/fault.h"
#include "object/slot.h"

#define CODE_REPLY_RECEIVE (0x80U | SYS_REPLY_RECEIVE)

bool fast_tell(uint32_t t, uint32_t fault)
{
    uint32_t s = THREAD_SLOT(t, ROLE_FAULT);
    uint32_t to = s_type[s] == OBJ_ENDPOINT ? fast_lend(t, s, THREAD_HANDLED) : NIL;
    if (to == NIL) {
        return false;
    }
    t_fault[t] = fault;
    t_badge[t] = s_badge[s];
    fault_message(t, to);
    t_state[to] = THREAD_READY;
    current = to;
    return true;
}

static bool fast_answer(uint32_t t, uint64_t tag)
{
    uint32_t a;
    if (TAG_LABEL(tag) != 0 || TAG_WORDS(tag) > MSG_WORDS_REGS || TAG_HANDLES(tag) != 0) {
        return false;
    }
    a = fast_return(t, THREAD_HANDLED);
    if (a == NIL) {
        return false;
    }
    (void)fault_answer(t, a);
    t_state[a] = THREAD_READY;
    current = a;
    return true;
}

bool fast_fault(uint32_t t)
{
    uint64_t tag = t_reg[t_row(t) + R_TAG];
    if ((tag & TAG_NATIVE) == 0) {
        return fast_tell(t, FAULT_SYSCALL);
    }
    return tag >> 56 == CODE_REPLY_RECEIVE && fast_answer(t, tag);
}
