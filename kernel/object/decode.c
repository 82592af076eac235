/* Decoding invocations: what the ABI table can check. See decode.h. */
#include "object/decode.h"

#include "abi/abi_table.h"
#include "abi/message.h"
#include "arch/regs.h"
#include "object/cnode.h"
#include "object/thread.h"

uint32_t d_caller;
uint32_t d_self;
uint32_t d_object;
uint32_t d_words;
uint64_t d_word[MSG_WORDS_REGS];
uint32_t d_slot[ABI_ARGS];
uint32_t d_answers;
uint32_t d_argument;
uint64_t d_limit;

uint32_t refuse(uint32_t error, uint32_t argument, uint64_t limit)
{
    d_argument = argument;
    d_limit = limit;
    return error;
}

/* clang-format off */
#define LOOKING(clause)                                                                            \
    CNODES(clause)                                                                                 \
    clause 1 <= d_caller < T_MAX && t_cnode[d_caller] < HOME_SLOTS;
/* clang-format on */

/* Argument n of the label is a handle of the caller with type and rights that the table wants. */
/*@ LOOKING(requires)
    requires 1 <= label < LABELS && n < ABI_ARGS && arg_kind[label * ABI_ARGS + n] >= ARG_CAP;
    assigns d_slot[n], d_argument, d_limit;
    ensures \result == 0 ==> ARGUMENT_FITS(label, n);
    ensures \result != 0 ==> d_argument == n + 1;
    ensures \result < ERRORS; */
static uint32_t check_handle(uint32_t label, uint32_t n)
{
    uint32_t at = label * ABI_ARGS + n;
    uint32_t k = t_cnode[d_caller];
    d_slot[n] = NIL;
    if (arg_kind[at] == ARG_OPT && d_word[n] == 0) {
        return 0;
    }
    uint32_t s = cnode_slot(k, d_word[n]);
    if (s == NIL || s_type[s] == 0) {
        return refuse(ERR_HANDLE, n + 1, k_count[k]);
    }
    if (arg_type[at] != 0 && s_type[s] != arg_type[at]) {
        return refuse(ERR_TYPE, n + 1, arg_type[at]);
    }
    if ((s_rights[s] & arg_rights[at]) != arg_rights[at]) {
        return refuse(ERR_RIGHT, n + 1, arg_rights[at]);
    }
    d_slot[n] = s;
    /*@ assert 1 <= d_slot[n] < HOME_SLOTS && s_type[d_slot[n]] != 0; */
    /*@ assert arg_type[at] == 0 || s_type[d_slot[n]] == arg_type[at]; */
    /*@ assert (s_rights[d_slot[n]] & arg_rights[at]) == arg_rights[at]; */
    return 0;
}

/*@ LOOKING(requires)
    requires 1 <= label < LABELS && n < ABI_ARGS;
    assigns d_slot[n], d_argument, d_limit;
    ensures \result == 0 ==> ARGUMENT_FITS(label, n);
    ensures \result != 0 ==> d_argument == n + 1;
    ensures \result < ERRORS; */
static uint32_t check_argument(uint32_t label, uint32_t n)
{
    uint32_t at = label * ABI_ARGS + n;
    if (arg_kind[at] == ARG_WORD) {
        return 0;
    }
    if (arg_kind[at] == ARG_BELOW) {
        return d_word[n] < arg_below[at] ? 0 : refuse(ERR_RANGE, n + 1, arg_below[at]);
    }
    return check_handle(label, n);
}

/* Everything that the table says about the message to d_self. */
/*@ LOOKING(requires)
    requires 1 <= d_self < HOME_SLOTS;
    assigns d_slot[0 .. ABI_ARGS - 1], d_argument, d_limit;
    ensures \result == 0 ==> 1 <= label < LABELS && s_type[d_self] == inv_type[label];
    ensures \result == 0 ==> (s_rights[d_self] & inv_rights[label]) == inv_rights[label];
    ensures \result == 0 ==> inv_words[label] <= d_words <= inv_words[label] + inv_more[label];
    ensures \result == 0 ==> \forall integer n; 0 <= n < ABI_ARGS && n < inv_words[label] ==>
        ARGUMENT_FITS(label, n);
    ensures \result < ERRORS; */
static uint32_t check_table(uint32_t label)
{
    if (label == 0 || label >= LABELS) {
        return refuse(ERR_LABEL, 0, LABELS);
    }
    if (s_type[d_self] != inv_type[label]) {
        return refuse(ERR_TYPE, 0, inv_type[label]);
    }
    if ((s_rights[d_self] & inv_rights[label]) != inv_rights[label]) {
        return refuse(ERR_RIGHT, 0, inv_rights[label]);
    }
    if (d_words < inv_words[label] || d_words > inv_words[label] + inv_more[label]) {
        return refuse(ERR_LENGTH, 0, inv_words[label]);
    }
    uint32_t error = 0;
    /*@ loop invariant 0 <= n <= ABI_ARGS && error < ERRORS;
        loop invariant error == 0 ==> \forall integer k; 0 <= k < n ==> ARGUMENT_FITS(label, k);
        loop assigns n, error, d_slot[0 .. ABI_ARGS - 1], d_argument, d_limit;
        loop variant ABI_ARGS - n; */
    for (uint32_t n = 0; n < ABI_ARGS && n < inv_words[label] && error == 0; n++) {
        error = check_argument(label, n);
    }
    return error;
}

/*@ WHOLE(requires, NIL)
    requires is_home(d_self) && d_object == s_object[d_self] && d_answers == 0;
    requires 1 <= label < LABELS && s_type[d_self] == inv_type[label];
    requires inv_words[label] <= d_words <= inv_words[label] + inv_more[label];
    requires \forall integer n; 0 <= n < ABI_ARGS && n < inv_words[label] ==>
        ARGUMENT_FITS(label, n);
    assigns d_argument, d_limit, d_word[0 .. MSG_WORDS_REGS - 1], d_answers;
    assigns e_badge[0 .. E_MAX-1], s_home[0 .. HOME_SLOTS-1];
    TABLES(assigns)
    WHOLE(ensures, NIL)
    ensures \result < ERRORS && d_answers <= MSG_WORDS_REGS; */
static uint32_t decode_noun(uint32_t label)
{
    switch (inv_type[label]) {
    case OBJ_UNTYPED:
        return decode_untyped(label);
    case OBJ_CNODE:
        return decode_cnode(label);
    case OBJ_THREAD:
        return decode_thread(label);
    case OBJ_CONTEXT:
        return decode_context(label);
    case OBJ_TABLE:
        return decode_table(label);
    case OBJ_FRAME:
        return decode_frame(label);
    case OBJ_DEVICE:
        return decode_device(label);
    case OBJ_IRQ:
        return decode_irq(label);
    case OBJ_PORT:
        return decode_port(label);
    default:
        break;
    }
    return decode_monitor(label);
}

/* The message's words come from the caller's registers. */
/*@ requires 1 <= d_caller < T_MAX;
    assigns d_word[0 .. MSG_WORDS_REGS - 1];
    ensures \forall integer n; 0 <= n < MSG_WORDS_REGS ==>
        d_word[n] == t_reg[d_caller * T_REGS + R_W0 + n]; */
static void take_words(void)
{
    /*@ loop invariant 0 <= n <= MSG_WORDS_REGS;
        loop invariant \forall integer k; 0 <= k < n ==>
            d_word[k] == t_reg[d_caller * T_REGS + R_W0 + k];
        loop assigns n, d_word[0 .. MSG_WORDS_REGS - 1];
        loop variant MSG_WORDS_REGS - n; */
    for (uint32_t n = 0; n < MSG_WORDS_REGS; n++) {
        d_word[n] = t_reg[d_caller * T_REGS + R_W0 + n];
    }
}

/* The answer goes there. */
/*@ requires 1 <= d_caller < T_MAX && error < ERRORS && d_answers <= MSG_WORDS_REGS;
    assigns d_word[0 .. 1], d_answers;
    assigns t_reg[d_caller * T_REGS + R_TAG .. d_caller * T_REGS + R_W9];
    ensures error != 0 ==> d_answers == 2 && t_reg[d_caller * T_REGS + R_W0] == d_argument &&
        t_reg[d_caller * T_REGS + R_W1] == d_limit;
    ensures error == 0 ==> d_answers == \old(d_answers);
    ensures t_reg[d_caller * T_REGS + R_TAG] ==
        error * 0x100000000000000 + d_answers * 0x100000000;
    ensures \forall integer n; 0 <= n < d_answers ==>
        t_reg[d_caller * T_REGS + R_W0 + n] == d_word[n]; */
static void give_words(uint32_t error)
{
    if (error != 0) {
        d_word[0] = d_argument;
        d_word[1] = d_limit;
        d_answers = 2;
    }
    /*@ loop invariant 0 <= n <= MSG_WORDS_REGS && n <= d_answers;
        loop invariant \forall integer k; 0 <= k < n ==>
            t_reg[d_caller * T_REGS + R_W0 + k] == d_word[k];
        loop assigns n, t_reg[d_caller * T_REGS + R_W0 .. d_caller * T_REGS + R_W9];
        loop variant MSG_WORDS_REGS - n; */
    for (uint32_t n = 0; n < MSG_WORDS_REGS && n < d_answers; n++) {
        t_reg[d_caller * T_REGS + R_W0 + n] = d_word[n];
    }
    t_reg[d_caller * T_REGS + R_TAG] = TAG(error, 0, d_answers, 0);
}

void invoke(uint32_t t, uint32_t slot)
{
    uint64_t tag = t_reg[t * T_REGS + R_TAG];
    uint32_t label = TAG_LABEL(tag);
    d_caller = t;
    d_self = slot;
    d_object = s_object[slot];
    d_words = TAG_WORDS(tag);
    d_answers = 0;
    d_argument = 0;
    d_limit = 0;
    take_words();
    /*@ assert taken: d_words == tag / 0x100000000 % 0x400 && d_argument == 0 && d_limit == 0 &&
            \forall integer n; 0 <= n < MSG_WORDS_REGS ==>
                d_word[n] == t_reg[t * T_REGS + R_W0 + n]; */
    uint32_t error = check_table(label);
    give_words(error != 0 ? error : decode_noun(label));
    /*@ assert handles: bound_cnode; */
    /*@ assert buffers: bound_buffer; */
}
