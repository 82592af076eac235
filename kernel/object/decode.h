/* Decoding an invocation of a kernel object: all checks, no change. Then, and only then, doing it,
 * which cannot fail.
 *
 * invoke() reads the message from the caller's registers into d_word, checks label, type, rights,
 * length and every argument that the ABI table can check (abi_table.h), and hands over to the noun:
 * decode_NOUN() checks the rest and does the work through the noun's own functions. A refusal says
 * which argument broke which limit.
 */
#ifndef KERNEL_DECODE_H
#define KERNEL_DECODE_H

#include "abi/abi_table.h"
#include "object/delete.h"
#include "object/endpoint.h"

#include <stdint.h>

extern uint32_t d_caller;               /* thread that calls */
extern uint32_t d_self;                 /* slot of the invoked capability */
extern uint32_t d_object;               /* its object */
extern uint32_t d_words;                /* words that came */
extern uint64_t d_word[MSG_WORDS_REGS]; /* they, and afterwards the answer's */
extern uint32_t d_slot[ABI_ARGS];       /* slots of the arguments that are handles; NIL: none */
extern uint32_t d_answers;              /* words of the answer */
extern uint32_t d_argument;             /* of a refusal: argument, counted from 1 */
extern uint64_t d_limit;                /* of a refusal: what it broke */

/* Notes a refusal; returns the error. */
/*@ assigns d_argument, d_limit;
    ensures \result == error && d_argument == argument && d_limit == limit; */
uint32_t refuse(uint32_t error, uint32_t argument, uint64_t limit);

/* For the contracts: argument n of a label is what the table wants, a handle is behind a filled
 * slot. A predicate would hide d_slot[n] and d_word[n] from the provers' triggers. */
/* clang-format off */
#define ARGUMENT_FITS(label, n)                                                                    \
    ((arg_kind[(label)*ABI_ARGS + (n)] == ARG_BELOW ==>                                            \
          d_word[n] < arg_below[(label)*ABI_ARGS + (n)]) &&                                        \
     (arg_kind[(label)*ABI_ARGS + (n)] >= ARG_CAP ==>                                              \
         (arg_kind[(label)*ABI_ARGS + (n)] == ARG_OPT && d_word[n] == 0 && d_slot[n] == NIL) ||    \
         (1 <= d_slot[n] < HOME_SLOTS && s_type[d_slot[n]] != 0 &&                                 \
          (arg_type[(label)*ABI_ARGS + (n)] == 0 ||                                                \
           s_type[d_slot[n]] == arg_type[(label)*ABI_ARGS + (n)]) &&                               \
          (s_rights[d_slot[n]] & arg_rights[(label)*ABI_ARGS + (n)]) ==                            \
              arg_rights[(label)*ABI_ARGS + (n)])))
/* clang-format on */

/* clang-format off */
/* What an invocation may change. */
#define INVOKE_FIELDS(clause)                                                                      \
    TABLES(clause)                                                                                 \
    clause e_badge[0 .. E_MAX-1], s_home[0 .. HOME_SLOTS-1];                                       \
    clause d_caller, d_self, d_object, d_words, d_answers, d_argument, d_limit;                    \
    clause d_word[0 .. MSG_WORDS_REGS - 1], d_slot[0 .. ABI_ARGS - 1];
/* clang-format on */

/* Does what thread t asks of the kernel object in slot; the answer is in t's registers. */
/*@ requires going && messages;
    requires is_thread(t) && is_home(slot);
    INVOKE_FIELDS(assigns)
    ensures going;
    ensures messages;
    ensures d_caller == t && d_self == slot && d_answers <= MSG_WORDS_REGS;
    ensures t_reg[t * 32] < ERRORS * 0x100000000000000; */
void invoke(uint32_t t, uint32_t slot);

/* The nouns' parts: 0, or ERR_AGAIN when a slice is done and more is left, or what refuse() gave.
 * label is one of the type, and the table's checks have passed. */
/*@ WHOLE(requires, NIL)
    requires is_home(d_self) && s_type[d_self] == OBJ_UNTYPED;
    requires is_home(d_slot[4]) && s_type[d_slot[4]] == OBJ_CNODE;
    assigns d_argument, d_limit, owner[0 .. OBJECTS-1], f_state[0 .. PHYS_FRAMES-1];
    assigns k_count[0 .. HOME_SLOTS-1], k_size[0 .. HOME_SLOTS-1], s_home[0 .. HOME_SLOTS-1];
    SLOT_FIELDS(assigns)
    RUNNING_FIELDS(assigns)
    WHOLE(ensures, NIL)
    ensures \result < ERRORS;
    ensures \forall integer x; is_slot(x) ==> slot_stays(x) || (\result == 0 &&
        \at(s_type[x],Pre) == 0 && s_type[x] == d_word[0]); */
uint32_t decode_untyped(uint32_t label);
/*@ WHOLE(requires, NIL)
    requires is_home(d_self) && s_type[d_self] == OBJ_CNODE && d_object == s_object[d_self];
    requires label == INV_CNODE_COPY || label == INV_CNODE_MINT || label == INV_CNODE_MOVE ==>
        is_home(d_slot[1]) && s_type[d_slot[1]] == OBJ_CNODE;
    requires label == INV_CNODE_COPY || label == INV_CNODE_MINT ==> d_word[3] <= RIGHTS_ALL;
    requires label == INV_CNODE_EXTEND ==>
        is_home(d_slot[0]) && s_type[d_slot[0]] == OBJ_UNTYPED;
    assigns d_argument, d_limit, d_word[0 .. 7], d_answers;
    assigns e_badge[0 .. E_MAX-1], s_home[0 .. HOME_SLOTS-1];
    TABLES(assigns)
    WHOLE(ensures, NIL)
    ensures \result < ERRORS;
    ensures \result == 0 && label == INV_CNODE_DELETE ==>
        s_type[\old(slot_at(d_object, d_word[0]))] == 0;
    ensures \result == 0 && label == INV_CNODE_REVOKE ==>
        s_first[\old(slot_at(d_object, d_word[0]))] == NIL;
    ensures \result == 0 && label == INV_CNODE_CANCEL ==>
        s_type[\old(slot_at(d_object, d_word[0]))] == OBJ_ENDPOINT;
    ensures \result == 0 && label == INV_CNODE_LOOK ==> d_answers == 8;
    ensures d_answers == \old(d_answers) || d_answers == 8; */
uint32_t decode_cnode(uint32_t label);
/*@ WHOLE(requires, NIL)
    requires is_thread(d_object);
    requires label == INV_THREAD_BIND ==> d_word[0] < ROLES &&
        (d_slot[1] == NIL || (is_home(d_slot[1]) && s_type[d_slot[1]] != 0));
    requires label == INV_THREAD_WRITE ==> 1 <= d_words <= MSG_WORDS_REGS;
    requires label == INV_THREAD_PRIORITY ==> d_word[0] < PRIORITIES;
    assigns d_argument, d_limit, d_word[0 .. MSG_WORDS_REGS - 1], d_answers;
    SLOT_FIELDS(assigns)
    BOUND_FIELDS(assigns)
    WHOLE(ensures, NIL)
    ensures \result < ERRORS;
    ensures d_answers == \old(d_answers) || d_answers <= MSG_WORDS_REGS;
    ensures label == INV_THREAD_RESUME && \result == 0 ==> t_state[d_object] == THREAD_READY;
    ensures label == INV_THREAD_PRIORITY ==> t_priority[d_object] == d_word[0];
    ensures label == INV_THREAD_SUSPEND ==> t_state[d_object] == THREAD_STOPPED; */
uint32_t decode_thread(uint32_t label);
/*@ WHOLE(requires, NIL)
    requires is_context(d_object);
    assigns d_argument, d_limit, d_word[0], d_answers;
    RUNNING_FIELDS(assigns)
    WHOLE(ensures, NIL)
    ensures \result < ERRORS;
    ensures label == INV_CONTEXT_CONFIGURE ==> d_answers == \old(d_answers);
    ensures label == INV_CONTEXT_CONFIGURE && \result == 0 ==>
        c_budget[d_object] == d_word[0] && c_period[d_object] == d_word[1];
    ensures label != INV_CONTEXT_CONFIGURE ==> \result == 0 && d_answers == 1 &&
        d_word[0] == \old(c_used[d_object]) && c_used[d_object] == 0; */
uint32_t decode_context(uint32_t label);
/*@ MAPS(requires)
    requires is_slot(d_self) && is_table(d_object) && f_state[d_object] < F_SPACE;
    requires label != INV_TABLE_UNMAP ==> is_slot(d_slot[0]) && d_word[1] < ARCH_ENTRIES;
    requires label != INV_TABLE_UNMAP &&
        (s_type[d_slot[0]] == OBJ_TABLE || s_type[d_slot[0]] == OBJ_SPACE) ==>
        is_table(s_object[d_slot[0]]);
    assigns d_argument, d_limit, s_table[d_self], s_entry[d_self], phys[0 .. PHYS_FRAMES * 512 - 1];
    MAPS(ensures)
    ensures label != INV_TABLE_UNMAP && \result == 0 ==>
        s_table[d_self] == s_object[d_slot[0]] && s_entry[d_self] == d_word[1] &&
        f_state[s_table[d_self]] == f_state[d_object] + 1 &&
        ENTRY_OF(s_table[d_self], s_entry[d_self]) == pte_of(d_self, 0);
    ensures label == INV_TABLE_UNMAP ==> s_table[d_self] == NIL;
    ensures \result < ERRORS; */
uint32_t decode_table(uint32_t label);
/*@ MAPS(requires)
    requires is_slot(d_self);
    requires label == INV_FRAME_MAP ==> is_slot(d_slot[0]) && is_table(s_object[d_slot[0]]) &&
        d_word[1] < ARCH_ENTRIES && d_word[2] <= RIGHTS_ALL;
    assigns d_argument, d_limit, s_table[d_self], s_entry[d_self], phys[0 .. PHYS_FRAMES * 512 - 1];
    assigns d_word[0], d_answers;
    MAPS(ensures)
    ensures label == INV_FRAME_MAP && \result == 0 ==>
        s_table[d_self] == s_object[d_slot[0]] && s_entry[d_self] == d_word[1] &&
        ENTRY_OF(s_table[d_self], s_entry[d_self]) == pte_of(d_self, d_word[2]);
    ensures label != INV_FRAME_MAP && label != INV_FRAME_ADDRESS ==> s_table[d_self] == NIL;
    ensures label == INV_FRAME_ADDRESS ==> \result == 0 && d_word[0] == d_object;
    ensures \result < ERRORS;
    ensures d_answers == \old(d_answers) || d_answers == 1; */
uint32_t decode_frame(uint32_t label);
/*@ MAPS(requires)
    requires is_slot(d_self);
    requires label == INV_DEVICE_MAP ==> is_slot(d_slot[0]) && is_table(s_object[d_slot[0]]) &&
        d_word[1] < ARCH_ENTRIES && d_word[2] <= RIGHTS_ALL;
    assigns d_argument, d_limit, s_table[d_self], s_entry[d_self], phys[0 .. PHYS_FRAMES * 512 - 1];
    assigns d_word[0], d_answers;
    MAPS(ensures)
    ensures label == INV_DEVICE_MAP && \result == 0 ==>
        s_table[d_self] == s_object[d_slot[0]] && s_entry[d_self] == d_word[1] &&
        ENTRY_OF(s_table[d_self], s_entry[d_self]) == pte_of(d_self, d_word[2]);
    ensures label != INV_DEVICE_MAP && label != INV_DEVICE_ADDRESS ==> s_table[d_self] == NIL;
    ensures label == INV_DEVICE_ADDRESS ==> \result == 0 && d_word[0] == d_object;
    ensures \result < ERRORS;
    ensures d_answers == \old(d_answers) || d_answers == 1; */
uint32_t decode_device(uint32_t label);
/*@ WHOLE(requires, NIL)
    requires 1 <= d_object < I_MAX;
    requires label == INV_IRQ_BIND ==>
        is_home(d_slot[0]) && s_type[d_slot[0]] == OBJ_NOTIFICATION;
    assigns d_argument, d_limit;
    SLOT_FIELDS(assigns)
    BOUND_FIELDS(assigns)
    WHOLE(ensures, NIL)
    ensures \result < ERRORS;
    ensures label == INV_IRQ_BIND && \result == 0 ==>
        s_parent[IRQ_SLOT(d_object)] == d_slot[0] && i_pending[d_object] == 0;
    ensures label == INV_IRQ_ACK && \result == 0 ==> i_pending[d_object] == 0;
    ensures label == INV_IRQ_UNBIND ==> s_type[IRQ_SLOT(d_object)] == 0; */
uint32_t decode_irq(uint32_t label);
/*@ requires is_slot(d_self) && d_object + s_count[d_self] <= ARCH_PORTS;
    assigns d_argument, d_limit, d_word[0], d_answers;
    ensures \result == 0 ==> \old(d_word[0]) + d_word[1] <= s_count[d_self] &&
        (d_word[1] == 1 || d_word[1] == 2 || d_word[1] == 4);
    ensures \result == 0 && label == INV_PORT_OUT && d_word[1] == 1 ==> d_word[2] <= 255;
    ensures \result == 0 && label != INV_PORT_OUT ==> d_answers == 1;
    ensures \result != 0 ==> d_word[0] == \old(d_word[0]);
    ensures \result < ERRORS;
    ensures d_answers == \old(d_answers) || d_answers == 1; */
uint32_t decode_port(uint32_t label);
/*@ requires INV_MONITOR_READ <= label <= INV_MONITOR_STOP;
    requires label == INV_MONITOR_READ || label == INV_MONITOR_SUM ==> d_word[0] < FIELDS;
    requires label == INV_MONITOR_PUT ==> d_word[0] <= 64 && 2 <= d_words <= 9;
    requires label == INV_MONITOR_STOP ==> d_word[0] < 128;
    assigns d_argument, d_limit, d_word[0 .. DUMP_WORDS - 1], d_answers;
    ensures label == INV_MONITOR_SUM && \result == 0 ==> d_answers == 2;
    ensures \result < ERRORS;
    ensures d_answers == \old(d_answers) || d_answers <= DUMP_WORDS; */
uint32_t decode_monitor(uint32_t label);

#endif
