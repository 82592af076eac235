/* Entries: what the machine calls, and which system call does what.
 *
 * call           endpoint: message_check, then lend and wait. Kernel object: invoke (decode.h).
 * reply_receive  answers the caller in the reply object, if one waits there, and receives, offering
 *                the same reply object again.
 * send           endpoint, notification (the badge's bits are set), reply object (the answer).
 * receive        endpoint, with or without a reply object to offer; notification.
 * send_try, receive_try  the same without waiting.
 * yield          the others of the thread's priority come first.
 *
 * All is decoded before any of it is done: a refused reply_receive has neither answered nor
 * received, except that a message may turn out not to fit.
 */
#include "object/entry.h"
#include "abi/message.h"
#include "object/answer.h"
#include "object/cnode.h"
#include "object/decode.h"
#include "object/endpoint.h"
#include "object/fault.h"
#include "object/irq.h"
#include "object/message.h"
#include "object/notification.h"
#include "object/turn.h"

/* The slot behind a handle of t; NIL when nothing is there. */
/*@ CNODES(requires)
    requires bound_cnode && is_thread(t);
    assigns \nothing;
    ensures \result < HOME_SLOTS && (\result != NIL ==> s_type[\result] != 0);
    ensures \result != NIL ==> 1 <= handle < k_count[t_cnode[t]] && \result == t_cnode[t] + handle;
    ensures \result == NIL && 1 <= handle < k_count[t_cnode[t]] ==>
        s_type[t_cnode[t] + handle] == 0; */
static uint32_t handle_slot(uint32_t t, uint64_t handle)
{
    uint32_t s = cnode_slot(t_cnode[t], handle);
    return s != NIL && s_type[s] != 0 ? s : NIL;
}

/* Refuses t's system call because of the capability in s: empty, of a type that the call does not
 * have, or without the right. */
/*@ requires bound_cnode && is_thread(t) && s < SLOTS;
    assigns t_reg[t * 32 .. t * 32 + 2];
    ensures t_reg[t * 32] == 2 * 0x100000000 + 0x100000000000000 *
        (s == NIL ? ERR_HANDLE : s_type[s] != type ? ERR_TYPE : ERR_RIGHT);
    ensures t_reg[t * 32 + 1] == argument;
    ensures t_reg[t * 32 + 2] ==
        (s == NIL ? k_count[t_cnode[t]] : s_type[s] != type ? type : right); */
static void refuse_slot(uint32_t t, uint32_t s, uint32_t argument, uint32_t type, uint32_t right)
{
    if (s == NIL) {
        message_refuse(t, ERR_HANDLE, argument, k_count[t_cnode[t]]);
    } else if (s_type[s] != type) {
        message_refuse(t, ERR_TYPE, argument, type);
    } else {
        message_refuse(t, ERR_RIGHT, argument, right);
    }
}

/*@ requires s < SLOTS;
    assigns \nothing;
    ensures \result == true <==> s != NIL && s_type[s] == type && (s_rights[s] & right) != 0; */
static bool slot_allows(uint32_t s, uint32_t type, uint32_t right)
{
    return s != NIL && s_type[s] == type && (s_rights[s] & right) != 0;
}

/* For contracts: t, the running thread, has made a system call that is not answered yet. */
#define ASKS(t)                                                                                    \
    ((t) == current && is_thread(t) && t_state[t] == THREAD_READY && t_queue[t] == NIL &&          \
     t_reply[t] == NIL)

/* And what it was told: nothing is behind its handle; or it would have to wait, and may not. */
#define TOLD(t, error) (t_reg[(t)*32] == (error)*0x100000000000000 + 2 * 0x100000000)
#define UNNAMED(t)     TOLD(t, ERR_HANDLE)
#define WAITS_NOT(t)   TOLD(t, ERR_WAIT)

/* Sends by the capability in s. */
/*@ requires going && messages;
    requires ASKS(t) && is_slot(s) && s_type[s] == OBJ_ENDPOINT;
    requires state == THREAD_CALLING || state == THREAD_SENDING;
    MEET_FIELDS(assigns)
    assigns t_badge[t], t_rights[t];
    ensures going;
    ensures messages;
    ensures t_badge[t] == \old(s_badge[s]) && t_rights[t] == \old(s_rights[s]);
    ensures \old(q_head[PRIORITIES + E_MAX + s_object[s] + 1]) == NIL ==>
        (wait ? t_state[t] == state && t_queue[t] == PRIORITIES + \old(s_object[s]) + 1
              : WAITS_NOT(t)); */
static void send_to_endpoint(uint32_t t, uint32_t s, uint32_t state, bool wait)
{
    uint32_t error;
    t_badge[t] = s_badge[s];
    t_rights[t] = s_rights[s];
    error = endpoint_send(t, s_object[s], state, wait);
    if (error != 0) {
        message_refuse(t, error, 0, 0);
    }
}

/* Answers through the reply object in s; true when that was done. */
/*@ requires going && messages;
    requires ASKS(t) && is_slot(s) && s_type[s] == OBJ_REPLY;
    MEET_FIELDS(assigns)
    assigns t_badge[t], t_rights[t], t_fault[0 .. T_MAX-1];
    ensures going;
    ensures messages;
    ensures ASKS(t);
    ensures t_badge[t] == 0 && t_rights[t] == \old(s_rights[s]);
    ensures t_reg[t * 32] % 0x100000000000000 == (\result ? 0 : 2 * 0x100000000);
    ensures \result ==> r_thread[\old(s_object[s])] == NIL; */
static bool send_to_reply(uint32_t t, uint32_t s)
{
    uint32_t error;
    t_badge[t] = 0;
    t_rights[t] = s_rights[s];
    error = answer(t, s_object[s]);
    if (error != 0) {
        message_refuse(t, error, 0, 0);
        return false;
    }
    message_done(t);
    return true;
}

/* Signals by the capability in s. */
/*@ requires going && messages;
    requires ASKS(t) && is_slot(s) && s_type[s] == OBJ_NOTIFICATION;
    WAKE_FIELDS(assigns)
    assigns n_word[0 .. N_MAX-1];
    ensures going;
    ensures messages;
    ensures t_reg[t * 32] == 0;
    ensures n_word[s_object[s]] == 0 ||
        n_word[s_object[s]] == (\old(n_word[s_object[s]]) | s_badge[s]); */
static void send_signal(uint32_t t, uint32_t s)
{
    notification_signal(s_object[s], s_badge[s]);
    message_done(t);
}

/* For contracts: s, when the call began, led to an endpoint at which nobody waits to receive. */
#define SENDS(s)                                                                                   \
    \at((s) != NIL && s_type[s] == OBJ_ENDPOINT && (s_rights[s] & RIGHT_WRITE) != 0 &&             \
            q_head[PRIORITIES + E_MAX + s_object[s] + 1] == NIL,                                   \
        Pre)

/*@ requires going && messages;
    requires ASKS(t) && s < HOME_SLOTS;
    INVOKE_FIELDS(assigns)
    ensures going;
    ensures messages;
    ensures s == NIL ==> UNNAMED(t);
    ensures SENDS(s) ==> t_state[t] == THREAD_CALLING;
    ensures \old(s != NIL && s_type[s] != OBJ_ENDPOINT) ==> d_caller == t && d_self == s; */
static void syscall_call(uint32_t t, uint32_t s)
{
    if (s != NIL && s_type[s] != OBJ_ENDPOINT) {
        invoke(t, s);
    } else if (slot_allows(s, OBJ_ENDPOINT, RIGHT_WRITE)) {
        send_to_endpoint(t, s, THREAD_CALLING, true);
    } else {
        refuse_slot(t, s, 0, OBJ_ENDPOINT, RIGHT_WRITE);
    }
}

/*@ requires going && messages;
    requires ASKS(t) && s < HOME_SLOTS;
    MEET_FIELDS(assigns)
    assigns t_badge[t], t_rights[t], t_fault[0 .. T_MAX-1], n_word[0 .. N_MAX-1];
    ensures going;
    ensures messages;
    ensures s == NIL ==> UNNAMED(t);
    ensures SENDS(s) ==> (wait ? t_state[t] == THREAD_SENDING : WAITS_NOT(t));
    ensures \old(s != NIL && s_type[s] == OBJ_NOTIFICATION && (s_rights[s] & RIGHT_WRITE) != 0) ==>
        t_reg[t * 32] == 0; */
static void syscall_send(uint32_t t, uint32_t s, bool wait)
{
    if (slot_allows(s, OBJ_ENDPOINT, RIGHT_WRITE)) {
        send_to_endpoint(t, s, THREAD_SENDING, wait);
    } else if (slot_allows(s, OBJ_NOTIFICATION, RIGHT_WRITE)) {
        send_signal(t, s);
    } else if (slot_allows(s, OBJ_REPLY, RIGHT_WRITE)) {
        (void)send_to_reply(t, s);
    } else {
        refuse_slot(t, s, 0, s == NIL ? OBJ_ENDPOINT : s_type[s], RIGHT_WRITE);
    }
}

/* For contracts: t, when the call began, asked without a reply object for what s leads to, of this
 * type; and there was nothing. */
#define ASKS_FOR(t, s, type)                                                                       \
    \at((s) != NIL && s_type[s] == (type) && (s_rights[s] & RIGHT_READ) != 0 &&                    \
            t_reg[(t)*32 + 11] < 0x100000000,                                                      \
        Pre)
#define NOTHING_SENT(t, s)                                                                         \
    \at(n_word[t_notification[t]] == 0 && q_head[PRIORITIES + s_object[s] + 1] == NIL, Pre)

/* t receives by the capability in s; r: slot of the reply object to offer, or NIL. What can be
 * refused before anything is done: 0 or the error, which t has then been told. */
/*@ requires bound_cnode && cap_object && is_thread(t) && s < SLOTS && r < SLOTS;
    assigns t_reg[t * 32 .. t * 32 + 2];
    ensures \result == 0 || \result == 1;
    ensures \result == 0 ==> is_slot(s) && (s_rights[s] & RIGHT_READ) != 0;
    ensures \result == 0 ==> s_type[s] == OBJ_ENDPOINT ||
        (!answers && s_type[s] == OBJ_NOTIFICATION);
    ensures \result == 0 && (answers || t_reg[t * 32 + 11] >= 0x100000000) ==>
        is_slot(r) && s_type[r] == OBJ_REPLY && (s_rights[r] & RIGHT_WRITE) != 0 &&
        (!answers ==> r_thread[s_object[r]] == NIL);
    ensures \result == 0 ==> \forall integer k; t * 32 <= k < t * 32 + 3 ==>
        t_reg[k] == \at(t_reg[k],Pre);
    ensures !answers && (ASKS_FOR(t, s, OBJ_ENDPOINT) || ASKS_FOR(t, s, OBJ_NOTIFICATION)) ==>
        \result == 0;
    ensures s == NIL ==> \result == 1 && UNNAMED(t);
    ensures \result == 1 ==> UNNAMED(t) || TOLD(t, ERR_TYPE) || TOLD(t, ERR_RIGHT) ||
        TOLD(t, ERR_BUSY); */
static uint32_t check_receive(uint32_t t, uint32_t s, uint32_t r, bool answers)
{
    if (!slot_allows(s, OBJ_ENDPOINT, RIGHT_READ) &&
        (answers || !slot_allows(s, OBJ_NOTIFICATION, RIGHT_READ))) {
        refuse_slot(t, s, 0, OBJ_ENDPOINT, RIGHT_READ);
        return 1;
    }
    if (t_reg[t * T_REGS + R_HANDLE] < 0x100000000ULL && !answers) {
        return 0;
    }
    if (!slot_allows(r, OBJ_REPLY, RIGHT_WRITE)) {
        refuse_slot(t, r, 1, OBJ_REPLY, RIGHT_WRITE);
        return 1;
    }
    if (!answers && r_thread[s_object[r]] != NIL) {
        message_refuse(t, ERR_BUSY, 1, 0);
        return 1;
    }
    return 0;
}

/* Receives from endpoint e, and offers reply object r, or NIL. */
/*@ requires going && messages;
    requires ASKS(t) && is_endpoint(e) && (r == NIL || (is_reply(r) && r_thread[r] == NIL));
    MEET_FIELDS(assigns)
    assigns t_fault[0 .. T_MAX-1], n_word[0 .. N_MAX-1];
    ensures going;
    ensures messages;
    ensures \old(n_word[t_notification[t]]) != 0 ==> t_reg[t * 32] == LABEL_SIGNAL;
    ensures \old(n_word[t_notification[t]]) == 0 && \old(q_head[PRIORITIES + e + 1]) == NIL ==>
        (wait ? t_state[t] == THREAD_RECEIVING : WAITS_NOT(t)); */
static void receive(uint32_t t, uint32_t e, uint32_t r, bool wait)
{
    uint32_t error = endpoint_receive(t, e, r, wait);
    if (error != 0) {
        message_refuse(t, error, 0, 0);
    }
}

/* Receives what was signalled to notification n. */
/*@ requires going && messages;
    requires ASKS(t) && is_notification(n);
    WAKE_FIELDS(assigns)
    assigns n_word[n];
    ensures going;
    ensures messages;
    ensures \old(n_word[n]) != 0 ==> t_reg[t * 32] == LABEL_SIGNAL;
    ensures \old(n_word[n]) == 0 ==> (wait ? t_state[t] == THREAD_WAITING : WAITS_NOT(t)); */
static void receive_signal(uint32_t t, uint32_t n, bool wait)
{
    uint32_t error = notification_wait(t, n, wait);
    if (error != 0) {
        message_refuse(t, error, 0, 0);
    }
}

/*@ requires going && messages;
    requires ASKS(t) && s < HOME_SLOTS;
    MEET_FIELDS(assigns)
    assigns t_fault[0 .. T_MAX-1], n_word[0 .. N_MAX-1];
    ensures going;
    ensures messages;
    ensures s == NIL ==> UNNAMED(t);
    ensures ASKS_FOR(t, s, OBJ_ENDPOINT) && NOTHING_SENT(t, s) ==>
        (wait ? t_state[t] == THREAD_RECEIVING : WAITS_NOT(t));
    ensures ASKS_FOR(t, s, OBJ_NOTIFICATION) && \old(n_word[s_object[s]]) == 0 ==>
        (wait ? t_state[t] == THREAD_WAITING : WAITS_NOT(t)); */
static void syscall_receive(uint32_t t, uint32_t s, bool wait)
{
    uint32_t r = handle_slot(t, t_reg[t * T_REGS + R_HANDLE] / 0x100000000ULL);
    if (check_receive(t, s, r, false) != 0) {
        return;
    }
    if (s_type[s] == OBJ_ENDPOINT) {
        receive(t, s_object[s], r == NIL ? NIL : s_object[r], wait);
    } else {
        receive_signal(t, s_object[s], wait);
    }
}

/* With nobody waiting in the reply object it is just offered. What is received from and offered is
 * what the handles named before the answer. */
/*@ requires going && messages;
    requires ASKS(t) && s < HOME_SLOTS;
    MEET_FIELDS(assigns)
    assigns t_badge[t], t_rights[t], t_fault[0 .. T_MAX-1], n_word[0 .. N_MAX-1];
    ensures going;
    ensures messages;
    ensures s == NIL ==> UNNAMED(t); */
static void syscall_reply_receive(uint32_t t, uint32_t s)
{
    uint32_t r = handle_slot(t, t_reg[t * T_REGS + R_HANDLE] / 0x100000000ULL);
    uint32_t e = s_object[s];
    uint32_t reply = s_object[r];
    if (check_receive(t, s, r, true) != 0) {
        return;
    }
    if (r_thread[reply] == NIL || send_to_reply(t, r)) {
        receive(t, e, reply, true);
    }
}

/*@ requires going && messages;
    requires ASKS(t);
    INVOKE_FIELDS(assigns)
    assigns turn_over;
    ensures going;
    ensures messages;
    ensures number == SYS_YIELD ==> turn_over && t_reg[t * 32] == 0;
    ensures number >= CALLS ==> TOLD(t, ERR_LABEL);
    ensures SYS_CALL <= number < SYS_YIELD && \old(t_reg[t * 32 + 11]) % 0x100000000 == 0 ==>
        UNNAMED(t); */
static void syscall(uint32_t t, uint32_t number)
{
    uint32_t s = handle_slot(t, t_reg[t * T_REGS + R_HANDLE] % 0x100000000ULL);
    switch (number) {
    case SYS_CALL:
        syscall_call(t, s);
        break;
    case SYS_REPLY_RECEIVE:
        syscall_reply_receive(t, s);
        break;
    case SYS_SEND:
        syscall_send(t, s, true);
        break;
    case SYS_RECEIVE:
        syscall_receive(t, s, true);
        break;
    case SYS_SEND_TRY:
        syscall_send(t, s, false);
        break;
    case SYS_RECEIVE_TRY:
        syscall_receive(t, s, false);
        break;
    case SYS_YIELD:
        message_done(t);
        turn_over = true;
        break;
    default:
        message_refuse(t, ERR_LABEL, 0, CALLS);
        break;
    }
}

void slow_syscall(uint32_t t)
{
    uint64_t tag = t_reg[t_row(t) + R_TAG];
    schedule_enter();
    /*@ assert going && since == now; */
    if (tag >= TAG_NATIVE) {
        syscall(t, TAG_CODE(tag));
    } else {
        fault_tell(t, FAULT_SYSCALL);
    }
    /*@ assert told: tag < TAG_NATIVE ==> t_fault[t] == FAULT_SYSCALL; */
    schedule();
}

void slow_fault(uint32_t t, uint32_t fault)
{
    schedule_enter();
    /*@ assert going && since == now; */
    fault_tell(t, fault);
    /*@ assert told: t_fault[t] == fault; */
    schedule();
}

/* Signals what line i, which came, is bound to. */
/*@ requires going && messages && 1 <= i < I_MAX;
    WAKE_FIELDS(assigns)
    assigns n_word[0 .. N_MAX-1], i_pending[i];
    ensures going;
    ensures messages;
    ensures i_pending[i] == 1; */
static void signal_line(uint32_t i)
{
    uint32_t s = irq_came(i);
    if (s_type[s] == OBJ_NOTIFICATION) {
        notification_signal(s_object[s], s_badge[s]);
    }
}

/*@ requires entry && irq < ARCH_IRQS;
    ENTRY_FIELDS(assigns)
    ensures entry; */
void entry_interrupt(uint32_t irq)
{
    schedule_enter();
    /*@ assert going && since == now; */
    signal_line(irq + 1);
    /*@ assert came: i_pending[irq + 1] == 1; */
    schedule();
}

/*@ requires entry;
    ENTRY_FIELDS(assigns)
    ensures entry; */
void entry_timer(void)
{
    timer_due = ARCH_NEVER;
    schedule_enter();
    /*@ assert going && since == now; */
    schedule();
}
