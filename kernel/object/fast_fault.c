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

/* t's fault handler waits, takes calls, and would run next. */
/*@ requires q_ends && s_nil && cap_object && is_thread(t);
    assigns \nothing;
    ensures \result ==> s_type[THREAD_SLOT(t, ROLE_FAULT)] == OBJ_ENDPOINT &&
        t_reply[CALLED(THREAD_SLOT(t, ROLE_FAULT))] != NIL &&
        t_context[CALLED(THREAD_SLOT(t, ROLE_FAULT))] == NIL &&
        ready_top <= t_priority[CALLED(THREAD_SLOT(t, ROLE_FAULT))]; */
static bool fast_tells(uint32_t t)
{
    uint32_t s = THREAD_SLOT(t, ROLE_FAULT);
    return s_type[s] == OBJ_ENDPOINT && fast_lends(s);
}

/* It hears of the fault, and runs. */
/*@ requires entry;
    requires t == current && t != NIL && 0 < fault < FAULTS;
    requires s_type[THREAD_SLOT(t, ROLE_FAULT)] == OBJ_ENDPOINT &&
        t_reply[CALLED(THREAD_SLOT(t, ROLE_FAULT))] != NIL &&
        t_context[CALLED(THREAD_SLOT(t, ROLE_FAULT))] == NIL;
    RUNNING_FIELDS(assigns)
    ENTRY(ensures)
    ensures current == \old(CALLED(THREAD_SLOT(t, ROLE_FAULT)));
    ensures t_state[t] == THREAD_HANDLED && t_fault[t] == fault; */
static void fast_tell(uint32_t t, uint32_t fault)
{
    uint32_t s = THREAD_SLOT(t, ROLE_FAULT);
    /*@ assert t_state[CALLED(s)] == THREAD_RECEIVING; */
    uint32_t to = fast_lend(t, s, THREAD_HANDLED);
    t_fault[t] = fault;
    t_badge[t] = s_badge[s];
    fault_message(t, to);
    t_state[to] = THREAD_READY;
    current = to;
}

/* t's message lets the one go on whose fault it is about. */
/*@ requires entry;
    requires t == current && t != NIL;
    assigns \nothing;
    ensures \result ==> is_slot(ENDPOINT_SLOT(t)) && is_endpoint(s_object[ENDPOINT_SLOT(t)]);
    ensures \result ==> q_head[PRIORITIES + s_object[ENDPOINT_SLOT(t)] + 1] == NIL;
    ensures \result ==> c_top[t_context[t]] != NIL && t_state[CALLER(t)] == THREAD_HANDLED;
    ensures \result ==> t_reg[t * 32] % 0x100000000 == 0; */
static bool fast_answers(uint32_t t)
{
    uint64_t tag = t_reg[t_row(t) + R_TAG];
    return TAG_LABEL(tag) == 0 && TAG_WORDS(tag) <= MSG_WORDS_REGS && TAG_HANDLES(tag) == 0 &&
           fast_returns(t, THREAD_HANDLED);
}

/*@ requires entry;
    requires t == current && t != NIL;
    requires is_slot(ENDPOINT_SLOT(t)) && is_endpoint(s_object[ENDPOINT_SLOT(t)]);
    requires q_head[PRIORITIES + s_object[ENDPOINT_SLOT(t)] + 1] == NIL;
    requires c_top[t_context[t]] != NIL && t_state[CALLER(t)] == THREAD_HANDLED;
    RUNNING_FIELDS(assigns)
    ENTRY(ensures)
    ensures current == \old(CALLER(t)) && t_state[t] == THREAD_RECEIVING; */
static void fast_answer(uint32_t t)
{
    /*@ assert t_context[CALLER(t)] == NIL && t_queue[CALLER(t)] == NIL; */
    uint32_t a = fast_return(t);
    (void)fault_answer(t, a);
    t_state[a] = THREAD_READY;
    current = a;
}

void other_syscall(uint32_t t)
{
    uint64_t tag = t_reg[t_row(t) + R_TAG];
    if (tag < TAG_NATIVE && fast_tells(t)) {
        fast_tell(t, FAULT_SYSCALL);
        /*@ assert told: t_fault[t] == FAULT_SYSCALL; */
    } else if (tag / 0x100000000000000ULL == CODE_REPLY_RECEIVE && fast_answers(t)) {
        fast_answer(t);
        /*@ assert waits: t_state[t] == THREAD_RECEIVING; */
    } else {
        slow_syscall(t);
        /*@ assert charged: since == now; */
    }
}

/*@ requires entry;
    requires current != NIL;
    ENTRY_FIELDS(assigns)
    ensures entry; */
void entry_fault(uint64_t vector, uint64_t code, uint64_t address)
{
    uint32_t t = current;
    uint32_t fault = fault_note(t, vector, code, address);
    if (fast_tells(t)) {
        fast_tell(t, fault);
        /*@ assert told: t_fault[t] == fault; */
    } else {
        slow_fault(t, fault);
        /*@ assert charged: since == now; */
    }
}
