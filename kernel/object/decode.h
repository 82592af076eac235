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

/*@ // whom a notification is bound to by field it is bound to by capability
    predicate bound_notification{L} = \forall integer t; is_thread(t) ==>
        t_notification[t] != NIL ==> s_type[THREAD_SLOT(t, ROLE_NOTIFICATION)] != 0; */

/* Does what thread t asks of the kernel object in slot; the answer is in t's registers. */
void invoke(uint32_t t, uint32_t slot);

/* The nouns' parts: 0, or ERR_AGAIN when a slice is done and more is left, or what refuse() gave.
 * label is one of the type, and the table's checks have passed. */
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
    ensures d_answers == \old(d_answers) || d_answers == 8; */
uint32_t decode_cnode(uint32_t label);
/*@ WHOLE(requires, NIL)
    requires bound_notification;
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
uint32_t decode_table(uint32_t label);
uint32_t decode_frame(uint32_t label);
uint32_t decode_device(uint32_t label);
uint32_t decode_irq(uint32_t label);
uint32_t decode_port(uint32_t label);
uint32_t decode_monitor(uint32_t label);

#endif
