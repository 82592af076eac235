/* Faults, foreign system calls and the end of a budget, as messages from the thread to its handler.
 *
 * The words are in one order for all: number (of the system call; vector), six arguments (of the
 * call; address and code), ip, sp, flags. The thread waits like a caller. An answer with label 0
 * lets it go on, any other leaves it stopped; its words are set in the same order: word 0 is the
 * result of a system call, words 1-6 its argument registers, and of every fault 7-9 are ip, sp and
 * flags.
 */
#ifndef KERNEL_FAULT_H
#define KERNEL_FAULT_H

#include "abi/message.h"
#include "object/endpoint.h"

/* Keeps what a fault of t is about; which FAULT_... it is. */
/*@ requires is_thread(t);
    assigns t_reg[t * 32 + 21 .. t * 32 + 23];
    ensures t_reg[t * 32 + 21] == vector && t_reg[t * 32 + 22] == address &&
        t_reg[t * 32 + 23] == code;
    ensures \result == (vector == 14 ? FAULT_PAGE : FAULT_EXCEPTION); */
uint32_t fault_note(uint32_t t, uint64_t vector, uint64_t code, uint64_t address);

/* For contracts: t waits for nothing, so it may become a message. */
#define FAULTS_NOW(t)                                                                              \
    (is_thread(t) && t_state[t] == THREAD_READY && t_queue[t] == NIL && t_reply[t] == NIL)

/* Sends the running thread's fault to its handler; without one it is stopped. */
/*@ requires works && messages;
    requires FAULTS_NOW(t) && 0 < fault && fault < FAULTS;
    MEET_FIELDS(assigns)
    assigns t_fault[t], t_badge[t], t_rights[t];
    ensures works;
    ensures messages;
    ensures t_state[t] == THREAD_STOPPED || t_state[t] == THREAD_CALLING ||
        t_state[t] == THREAD_HANDLED;
    ensures t_fault[t] == fault; */
void fault_tell(uint32_t t, uint32_t fault);

/* For contracts: t has a handler for the end of its time. */
#define HAS_TIMEOUT(t) (s_type[THREAD_SLOT(t, ROLE_TIMEOUT)] == OBJ_ENDPOINT)

/* t runs on time that was lent, and that is used up: tells its handler, if it has one. */
/*@ requires works && messages;
    requires FAULTS_NOW(t) && is_context(t_context[t]);
    MEET_FIELDS(assigns)
    assigns t_fault[t], t_badge[t], t_rights[t];
    ensures works;
    ensures messages;
    ensures \old(HAS_TIMEOUT(t)) ==> t_state[t] != THREAD_READY && t_fault[t] == FAULT_TIME;
    ensures !\old(HAS_TIMEOUT(t)) ==> t_state[t] == THREAD_READY; */
void fault_time(uint32_t t);

/* What from, which is about a fault, has to tell goes to to. */
/*@ requires is_thread(from) && is_thread(to) && from != to;
    requires 0 < t_fault[from] < FAULTS;
    assigns t_reg[to * 32 .. to * 32 + 11];
    ensures t_reg[to * 32] == LABEL_FAULT + t_fault[from] + 10 * 0x100000000;
    ensures t_reg[to * 32 + 11] == t_badge[from];
    ensures t_reg[to * 32 + 8] == t_reg[from * 32 + R_RIP] &&
        t_reg[to * 32 + 9] == t_reg[from * 32 + R_RSP] &&
        t_reg[to * 32 + 10] == t_reg[from * 32 + R_RFLAGS];
    ensures t_fault[from] == FAULT_SYSCALL ==> \forall integer k; 0 <= k < 7 ==>
        t_reg[to * 32 + 1 + k] == t_reg[from * 32 + k];
    ensures t_fault[from] != FAULT_SYSCALL ==> \forall integer k; 0 <= k < 3 ==>
        t_reg[to * 32 + 1 + k] == t_reg[from * 32 + 21 + k];
    ensures t_fault[from] != FAULT_SYSCALL ==> \forall integer k; 3 <= k < 7 ==>
        t_reg[to * 32 + 1 + k] == 0; */
void fault_message(uint32_t from, uint32_t to);

/* For the contract: the words of t's message. */
#define MESSAGE_OF(t) (t_reg[(t)*32] / 0x100000000 % 0x400)

/* t's message sets registers of a, which waits because of a fault. True when a goes on. */
/*@ requires is_thread(t) && is_thread(a) && t != a;
    assigns t_reg[a * 32 .. a * 32 + 20], t_fault[a];
    ensures t_fault[a] == 0;
    ensures \result <==> t_reg[t * 32] % 0x100000000 == 0;
    ensures MESSAGE_OF(t) > 7 ==>
        t_reg[a * 32 + R_RIP] == t_reg[t * 32 + 8] && t_reg[a * 32 + R_FULL] == 1;
    ensures MESSAGE_OF(t) <= 7 ==> t_reg[a * 32 + R_RIP] == \old(t_reg[a * 32 + R_RIP]) &&
        t_reg[a * 32 + R_FULL] == \old(t_reg[a * 32 + R_FULL]);
    ensures t_reg[a * 32 + R_RSP] ==
        (MESSAGE_OF(t) > 8 ? t_reg[t * 32 + 9] : \old(t_reg[a * 32 + R_RSP]));
    ensures t_reg[a * 32 + R_RFLAGS] ==
        (MESSAGE_OF(t) > 9 ? t_reg[t * 32 + 10] : \old(t_reg[a * 32 + R_RFLAGS]));
    ensures t_reg[a * 32] == (\old(t_fault[a]) == FAULT_SYSCALL && MESSAGE_OF(t) > 0
        ? t_reg[t * 32 + 1] : \old(t_reg[a * 32]));
    ensures \old(t_fault[a]) == FAULT_SYSCALL ==> \forall integer k; 1 <= k < 7 ==>
        t_reg[a * 32 + k] ==
            (k < MESSAGE_OF(t) ? t_reg[t * 32 + 1 + k] : \at(t_reg[a * 32 + k],Pre));
    ensures \old(t_fault[a]) != FAULT_SYSCALL ==> \forall integer k; 1 <= k < 7 ==>
        t_reg[a * 32 + k] == \at(t_reg[a * 32 + k],Pre); */
bool fault_answer(uint32_t t, uint32_t a);

#endif
