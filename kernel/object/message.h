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
#include "object/cnode.h"
#include "object/thread.h"

#include <stdbool.h>

/*@ // a thread's handles are those of a cnode, and its buffer is a frame
    predicate bound_cnode{L} = \forall integer t; is_thread(t) ==> t_cnode[t] < HOME_SLOTS;

    predicate bound_buffer{L} = \forall integer t; is_thread(t) ==> t_buffer[t] < PHYS_FRAMES &&
        (t_buffer[t] != NIL ==> f_state[t_buffer[t]] == F_FRAME); */

/* For the contracts: what t's tag says. */
#define WORDS_OF(t)   (t_reg[(t)*32] / 0x100000000 % 0x400)
#define HANDLES_OF(t) (t_reg[(t)*32] / 0x40000000000 % 4)
/* The slot behind its packed handle k; and that the first handles of from fit to. */
#define PACKED_OF(t, k) packed_of(t_cnode[t], t_reg[(t)*32 + 12], k)
#define HANDLE_FITS(from, to, k)                                                                   \
    handle_fits(t_cnode[from], t_reg[(from)*32 + 12], t_cnode[to], t_reg[(to)*32 + 12], k)
#define HANDLES_FIT(from, to, handles)                                                             \
    handles_fit(t_cnode[from], t_reg[(from)*32 + 12], t_cnode[to], t_reg[(to)*32 + 12], handles)
/* For contracts: the empty slot of to that packed handle k named has now what from's names. */
#define HANDED_SLOT(t, k) \at(packed_of(t_cnode[t], t_reg[(t)*32 + 12], k), Pre)
#define HANDED(from, to, k)                                                                        \
    (s_type[HANDED_SLOT(to, k)] == s_type[HANDED_SLOT(from, k)] &&                                 \
     s_object[HANDED_SLOT(to, k)] == s_object[HANDED_SLOT(from, k)])
#define ALL_HANDED(from, to, handles)                                                              \
    (((handles) < 1 || HANDED(from, to, 0)) && ((handles) < 2 || HANDED(from, to, 1)) &&           \
     ((handles) < 3 || HANDED(from, to, 2)))

/*@ // the slot of cnode c behind packed handle k
    logic integer packed_of{L}(integer c, integer extra, integer k) =
        slot_at(c, (extra >> (k * HANDLE_BITS)) & 0x1fffff);

    // that of x, in cnode c, leads to a capability, that of y, in cnode d, to an empty slot
    predicate handle_fits{L}(integer c, integer x, integer d, integer y, integer k) =
        is_home(packed_of(c, x, k)) && s_type[packed_of(c, x, k)] != 0 &&
        is_home(packed_of(d, y, k)) && s_type[packed_of(d, y, k)] == 0;

    predicate handles_fit{L}(integer c, integer x, integer d, integer y, integer handles) =
        (handles > 0 ==> handle_fits(c, x, d, y, 0)) &&
        (handles > 1 ==> handle_fits(c, x, d, y, 1) &&
            packed_of(d, y, 0) != packed_of(d, y, 1)) &&
        (handles > 2 ==> handle_fits(c, x, d, y, 2) &&
            packed_of(d, y, 0) != packed_of(d, y, 2) && packed_of(d, y, 1) != packed_of(d, y, 2));

    predicate message_fits{L}(integer from, integer to) =
        WORDS_OF(from) <= MSG_WORDS &&
        (WORDS_OF(from) > 10 ==> t_buffer[from] != NIL && t_buffer[to] != NIL) &&
        HANDLES_FIT(from, to, HANDLES_OF(from)); */

/* What passing messages relies on and keeps; the last two follow from what is hidden. */
/*@ predicate messages{L} = forest && caps(NIL) && maps && hidden && cnodes(NIL) && bound_cnode &&
        bound_buffer; */

/* Whether the message in the registers of from, sent with t_rights[from], fits to: 0, or the error
 * for its sender. */
/*@ CNODES(requires)
    requires bound_cnode && is_thread(from) && is_thread(to);
    assigns \nothing;
    ensures \result < ERRORS;
    ensures \result == 0 && t_fault[from] == 0 ==> message_fits(from, to);
    ensures \result == 0 && t_fault[from] == 0 && HANDLES_OF(from) != 0 ==>
        (t_rights[from] & RIGHT_GRANT) != 0; */
uint32_t message_check(uint32_t from, uint32_t to);

/* Passes the message, which was checked, on; to sees t_badge[from]. */
/*@ requires messages;
    requires is_thread(from) && is_thread(to) && from != to && t_fault[from] < FAULTS;
    requires t_fault[from] == 0 ==> message_fits(from, to);
    assigns t_reg[to * 32 .. to * 32 + 12], t_reg[from * 32 + 12];
    assigns phys[t_buffer[to] * 512 + 10 .. t_buffer[to] * 512 + 511];
    COPY_FIELDS(assigns)
    FOREST(ensures) CAPS(ensures) MAPS(ensures)
    ensures hidden;
    ensures cnodes(NIL);
    ensures bound_cnode && bound_buffer;
    ensures t_reg[to * 32 + 11] == t_badge[from];
    ensures t_fault[from] != 0 ==> t_reg[to * 32] == LABEL_FAULT + t_fault[from] + 10 * 0x100000000;
    ensures t_fault[from] == 0 ==> ALL_HANDED(from, to, \at(HANDLES_OF(from),Pre));
    ensures words: t_fault[from] == 0 ==> \forall integer r;
        to * 32 + 1 <= r < to * 32 + 11 && r < to * 32 + 1 + \at(WORDS_OF(from),Pre) ==>
        t_reg[r] == \at(t_reg[r - to * 32 + from * 32],Pre); */
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
