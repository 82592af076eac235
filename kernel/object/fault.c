/* Faults: see fault.h. */
#include "object/fault.h"

#include "object/endpoint.h"
#include "object/slot.h"

#define VECTOR_PAGE 14

#define R_FAULT_NUMBER  21 /* of the faulting thread: words 0 .. 2 of the message */
#define R_FAULT_ADDRESS 22
#define R_FAULT_CODE    23

/* Sends a fault of t to the endpoint of a role; t stays stopped where that cannot be done. */
/*@ requires works && messages;
    requires FAULTS_NOW(t) && 0 < fault && fault < FAULTS && role < ROLES;
    MEET_FIELDS(assigns)
    assigns t_fault[t], t_badge[t], t_rights[t];
    ensures works;
    ensures messages;
    ensures t_state[t] == THREAD_STOPPED || t_state[t] == THREAD_CALLING ||
        t_state[t] == THREAD_HANDLED;
    ensures t_fault[t] == fault; */
static void fault_send(uint32_t t, uint32_t fault, uint32_t role)
{
    uint32_t s = THREAD_SLOT(t, role);
    t_state[t] = THREAD_STOPPED;
    t_fault[t] = fault;
    t_badge[t] = s_badge[s];
    t_rights[t] = s_rights[s];
    if (s_type[s] == OBJ_ENDPOINT) {
        (void)endpoint_send(t, s_object[s], THREAD_CALLING, true);
    }
}

void fault_tell(uint32_t t, uint32_t fault)
{
    fault_send(t, fault, ROLE_FAULT);
}

uint32_t fault_note(uint32_t t, uint64_t vector, uint64_t code, uint64_t address)
{
    t_reg[t * T_REGS + R_FAULT_NUMBER] = vector;
    t_reg[t * T_REGS + R_FAULT_ADDRESS] = address;
    t_reg[t * T_REGS + R_FAULT_CODE] = code;
    return vector == VECTOR_PAGE ? FAULT_PAGE : FAULT_EXCEPTION;
}

void fault_time(uint32_t t)
{
    if (s_type[THREAD_SLOT(t, ROLE_TIMEOUT)] == OBJ_ENDPOINT) {
        t_reg[t * T_REGS + R_FAULT_NUMBER] = c_used[t_context[t]];
        t_reg[t * T_REGS + R_FAULT_ADDRESS] = c_time0[t_context[t]];
        t_reg[t * T_REGS + R_FAULT_CODE] = 0;
        /*@ assert noted: t_reg[t * 32 + R_FAULT_NUMBER] == c_used[t_context[t]] &&
                t_reg[t * 32 + R_FAULT_ADDRESS] == c_time0[t_context[t]] &&
                t_reg[t * 32 + R_FAULT_CODE] == 0; */
        fault_send(t, FAULT_TIME, ROLE_TIMEOUT);
    }
}

void fault_message(uint32_t from, uint32_t to)
{
    uint32_t a = from * T_REGS;
    uint32_t b = to * T_REGS;
    if (t_fault[from] == FAULT_SYSCALL) {
        t_reg[b + R_W0] = t_reg[a + R_TAG];
        t_reg[b + R_W1] = t_reg[a + R_W0];
        t_reg[b + R_W2] = t_reg[a + R_W1];
        t_reg[b + R_W3] = t_reg[a + R_W2];
        t_reg[b + R_W4] = t_reg[a + R_W3];
        t_reg[b + R_W5] = t_reg[a + R_W4];
        t_reg[b + R_W6] = t_reg[a + R_W5];
    } else {
        t_reg[b + R_W0] = t_reg[a + R_FAULT_NUMBER];
        t_reg[b + R_W1] = t_reg[a + R_FAULT_ADDRESS];
        t_reg[b + R_W2] = t_reg[a + R_FAULT_CODE];
        t_reg[b + R_W3] = 0;
        t_reg[b + R_W4] = 0;
        t_reg[b + R_W5] = 0;
        t_reg[b + R_W6] = 0;
    }
    t_reg[b + R_W7] = t_reg[a + R_RIP];
    t_reg[b + R_W8] = t_reg[a + R_RSP];
    t_reg[b + R_W9] = t_reg[a + R_RFLAGS];
    t_reg[b + R_TAG] = TAG(0, LABEL_FAULT + t_fault[from], MSG_WORDS_REGS, 0);
    t_reg[b + R_HANDLE] = t_badge[from];
}

bool fault_answer(uint32_t t, uint32_t a)
{
    uint64_t tag = t_reg[t * T_REGS + R_TAG];
    uint32_t words = TAG_WORDS(tag);
    uint32_t from = t * T_REGS + R_W0;
    uint32_t to = a * T_REGS;
    if (t_fault[a] == FAULT_SYSCALL && words > 0) {
        t_reg[to + R_TAG] = t_reg[from];
        /*@ loop invariant 1 <= k <= 7 && (k == 1 || k <= words);
            loop invariant \forall integer j; 1 <= j < k ==>
                t_reg[a * 32 + j] == \at(t_reg[t * 32 + 1 + j], Pre);
            loop invariant \forall integer j; k <= j < 7 ==>
                t_reg[a * 32 + j] == \at(t_reg[a * 32 + j], Pre);
            loop assigns k, t_reg[a * 32 + 1 .. a * 32 + 6];
            loop variant 7 - k; */
        for (uint32_t k = 1; k < 7 && k < words; k++) {
            t_reg[to + R_W0 + k - 1] = t_reg[from + k];
        }
    }
    if (words > 7) {
        t_reg[to + R_RIP] = t_reg[from + 7];
        t_reg[to + R_FULL] = 1;
    }
    if (words > 8) {
        t_reg[to + R_RSP] = t_reg[from + 8];
    }
    if (words > 9) {
        t_reg[to + R_RFLAGS] = t_reg[from + 9];
    }
    t_fault[a] = 0;
    return TAG_LABEL(tag) == 0;
}
