/* Messages: what goes from the registers, the buffer and the cnode of one thread to another's.
 *
 * The tag, up to ten words and the packed handles are in registers (abi/message.h). Longer messages
 * have words 10 and on in the buffers that both threads have bound, word k at place k, each read
 * once. The places for capabilities that come are those that the receiver names in its R_EXTRA;
 * what it has handed over itself is shifted out of there. A message is checked as a whole before
 * any of it is passed on, and one that does not fit is refused.
 */
#ifndef KERNEL_MESSAGE_PASS_H
#define KERNEL_MESSAGE_PASS_H

#include "abi/message.h"
#include "object/thread.h"

#include <stdbool.h>

/* Whether the message in the registers of from, sent with t_rights[from], fits to: 0, or the error
 * for its sender. */
uint32_t message_check(uint32_t from, uint32_t to);

/* Passes the message, which was checked, on; to sees t_badge[from]. */
void message_pass(uint32_t from, uint32_t to);

/* What a system call answers that has nothing to tell. */
/*@ requires is_thread(t);
    assigns t_reg[t * 32];
    ensures t_reg[t * 32] == 0; */
void message_done(uint32_t t);

/* What a refused system call answers: see abi/message.h. */
/*@ requires is_thread(t) && error < ERRORS;
    assigns t_reg[t * 32 .. t * 32 + 2];
    ensures t_reg[t * 32] == error * 0x100000000000000 + 2 * 0x100000000;
    ensures t_reg[t * 32 + 1] == argument && t_reg[t * 32 + 2] == limit; */
void message_refuse(uint32_t t, uint32_t error, uint32_t argument, uint64_t limit);

/* What t receives when a notification's bits are taken. */
/*@ requires is_thread(t);
    assigns t_reg[t * 32], t_reg[t * 32 + 11];
    ensures t_reg[t * 32] == LABEL_SIGNAL && t_reg[t * 32 + 11] == bits; */
void message_signal(uint32_t t, uint64_t bits);

#endif
