/* Decoding the invocations of threads and contexts. */
#include "abi/abi_table.h"
#include "object/capability.h"
#include "object/decode.h"
#include "object/notification.h"
#include "object/thread.h"

enum { A_ROLE = 1, A_CAP };
enum { A_FIRST = 1, A_COUNT };
enum { A_BUDGET = 1, A_PERIOD };

#define REGISTERS (R_GS + 1) /* that programs name */

/* The capability in slot s may be bound to thread t: 0 or the error. */
/*@ requires cap_object && n_links && x_links && r_refs;
    requires is_thread(t) && role < ROLES && is_slot(s) && s_type[s] != 0;
    assigns d_argument, d_limit;
    ensures \result == 0 ==> s_type[s] == role_type[role] &&
        (s_rights[s] & role_rights[role]) == role_rights[role];
    ensures \result == 0 && role == ROLE_NOTIFICATION ==>
        n_thread[s_object[s]] == NIL || n_thread[s_object[s]] == t;
    ensures \result == 0 && role == ROLE_CONTEXT ==> c_top[s_object[s]] == NIL;
    ensures \result < ERRORS; */
static uint32_t check_role(uint32_t t, uint32_t role, uint32_t s)
{
    uint32_t object = s_object[s];
    if (s_type[s] != role_type[role]) {
        return refuse(ERR_TYPE, A_CAP, role_type[role]);
    }
    if ((s_rights[s] & role_rights[role]) != role_rights[role]) {
        return refuse(ERR_RIGHT, A_CAP, role_rights[role]);
    }
    if (role == ROLE_NOTIFICATION && n_thread[object] != NIL && n_thread[object] != t) {
        return refuse(ERR_BUSY, A_CAP, 0);
    }
    if (role == ROLE_CONTEXT) {
        uint32_t b = c_thread[object];
        bool bound = b != NIL && b != t && s_type[THREAD_SLOT(b, ROLE_CONTEXT)] != 0 &&
                     s_object[THREAD_SLOT(b, ROLE_CONTEXT)] == object;
        if (bound || c_top[object] != NIL) {
            return refuse(ERR_BUSY, A_CAP, 0);
        }
    }
    return 0;
}

/* The one notification that knows t is the one in t's hidden slot. */
/*@ ghost
    /@ requires n_links && cap_object && hidden_thread && bound_fields && is_thread(t);
       assigns \nothing;
       ensures \forall integer n; is_notification(n) && n_thread[n] == t ==>
           s_type[THREAD_SLOT(t, ROLE_NOTIFICATION)] != 0 &&
           s_object[THREAD_SLOT(t, ROLE_NOTIFICATION)] == n;
    @/
    static void notified_by_one(uint32_t t)
    {
        /@ assert thread: (THREAD_SLOT(t, ROLE_NOTIFICATION) - HOME_SLOTS) / THREAD_SLOTS == t; @/
    }
*/

/* Ends what thread t is bound to in a role, if anything. */
/*@ WHOLE(requires, NIL)
    requires is_thread(t) && role < ROLES;
    SLOT_FIELDS(assigns)
    BOUND_FIELDS(assigns)
    WHOLE(ensures, NIL)
    ensures s_type[THREAD_SLOT(t, role)] == 0;
    ensures \forall integer x; is_slot(x) && x != THREAD_SLOT(t, role) ==> slot_stays(x);
    ensures role == ROLE_NOTIFICATION ==> t_notification[t] == NIL;
    ensures role == ROLE_NOTIFICATION ==> \forall integer n; is_notification(n) ==>
        n_thread[n] == (\at(n_thread[n],Pre) == t ? NIL : \at(n_thread[n],Pre)); */
static void unbind_role(uint32_t t, uint32_t role)
{
    uint32_t hidden = THREAD_SLOT(t, role);
    /*@ assert place: (hidden - HOME_SLOTS) / THREAD_SLOTS == t &&
            (hidden - HOME_SLOTS) % THREAD_SLOTS == role; */
    /*@ assert linked: n_links; */
    /*@ ghost notified_by_one(t); */
    if (s_type[hidden] != 0) {
        cap_remove(hidden);
    }
    /*@ assert linked: n_links; */
    /*@ assert free: role == ROLE_NOTIFICATION ==>
            \forall integer n; is_notification(n) ==> n_thread[n] != t; */
}

/* Binds thread t, which is bound to nothing in the role, to what slot s holds. */
/*@ WHOLE(requires, NIL)
    requires is_thread(t) && role < ROLES && s_type[THREAD_SLOT(t, role)] == 0;
    requires is_home(s) && s_type[s] != 0 && s_type[s] == role_type[role];
    requires role == ROLE_NOTIFICATION ==> n_thread[s_object[s]] == NIL && t_notification[t] == NIL;
    SLOT_FIELDS(assigns)
    BOUND_FIELDS(assigns)
    WHOLE(ensures, NIL)
    ensures s_type[THREAD_SLOT(t, role)] == role_type[role]; */
static void bind_role(uint32_t t, uint32_t role, uint32_t s)
{
    uint32_t hidden = THREAD_SLOT(t, role);
    /*@ assert place: (hidden - HOME_SLOTS) / THREAD_SLOTS == t &&
            (hidden - HOME_SLOTS) % THREAD_SLOTS == role; */
    cap_copy(s, hidden, RIGHTS_ALL, s_badge[s]);
    /*@ assert apart: role == ROLE_NOTIFICATION ==> \forall integer x;
            HOME_SLOTS <= x < IRQ_SLOT(0) && x != hidden && s_type[x] != 0 &&
            hides_notification(x) ==> s_object[x] != s_object[hidden]; */
    thread_bound(t, role);
    /*@ assert others: \forall integer x; HOME_SLOTS <= x < IRQ_SLOT(0) && x != hidden ==>
            s_type[x] != 0 && hides_notification(x) ==>
            n_thread[s_object[x]] == (x - HOME_SLOTS) / THREAD_SLOTS; */
    /*@ assert typed: s_type[hidden] == role_type[role]; */
    /*@ assert bound: hidden_thread; */
    /*@ assert cnode: field_cnode; */
    /*@ assert space: field_space; */
    /*@ assert buffer: field_buffer; */
    /*@ assert notification: field_notification; */
}

/*@ WHOLE(requires, NIL)
    requires is_thread(t) && d_word[0] < ROLES;
    requires d_slot[1] == NIL || (is_home(d_slot[1]) && s_type[d_slot[1]] != 0);
    assigns d_argument, d_limit;
    SLOT_FIELDS(assigns)
    BOUND_FIELDS(assigns)
    WHOLE(ensures, NIL)
    ensures \result < ERRORS;
    ensures \result == 0 ==> s_type[THREAD_SLOT(t, \old(d_word[0]))] ==
        (\old(d_slot[1]) == NIL ? 0 : role_type[\old(d_word[0])]); */
static uint32_t decode_bind(uint32_t t)
{
    uint32_t role = (uint32_t)d_word[A_ROLE - 1];
    uint32_t s = d_slot[A_CAP - 1];
    if (s == NIL) {
        if (s_type[THREAD_SLOT(t, role)] == 0) {
            return refuse(ERR_ABSENT, A_ROLE, role);
        }
        unbind_role(t, role);
        return 0;
    }
    uint32_t error = check_role(t, role, s);
    if (error != 0) {
        return error;
    }
    unbind_role(t, role);
    bind_role(t, role, s);
    return 0;
}

/* The registers of a thread stand still: it is stopped, or its handler has it. */
/*@ requires is_thread(t);
    assigns \nothing;
    ensures \result == true <==> t_state[t] == THREAD_STOPPED || t_state[t] == THREAD_HANDLED; */
static bool stands_still(uint32_t t)
{
    return t_state[t] == THREAD_STOPPED || t_state[t] == THREAD_HANDLED;
}

/*@ requires is_thread(t) && 1 <= d_words <= MSG_WORDS_REGS;
    assigns d_argument, d_limit, t_reg[t * 32 .. t * 32 + R_FULL];
    ensures \result == 0 ==>
        (t_state[t] == THREAD_STOPPED || t_state[t] == THREAD_HANDLED) &&
        d_word[0] + d_words - 1 <= REGISTERS && t_reg[t * 32 + R_FULL] == 1;
    ensures \result == 0 ==> \forall integer k; 1 <= k < d_words ==>
        t_reg[t * 32 + d_word[0] + k - 1] == d_word[k];
    ensures \result != 0 ==> \forall integer k; t * 32 <= k <= t * 32 + R_FULL ==>
        t_reg[k] == \at(t_reg[k],Pre);
    ensures \result < ERRORS; */
static uint32_t decode_write(uint32_t t)
{
    uint64_t first = d_word[A_FIRST - 1];
    uint32_t count = d_words - 1;
    if (!stands_still(t)) {
        return refuse(ERR_STATE, 0, t_state[t]);
    }
    if (first >= REGISTERS || count > REGISTERS - first) {
        return refuse(ERR_RANGE, A_FIRST, REGISTERS);
    }
    /*@ loop invariant 0 <= k <= count;
        loop invariant \forall integer j; 1 <= j <= k ==>
            t_reg[t * 32 + first + j - 1] == d_word[j];
        loop assigns k, t_reg[t * 32 .. t * 32 + R_GS];
        loop variant count - k; */
    for (uint32_t k = 0; k < MSG_WORDS_REGS - 1 && k < count; k++) {
        t_reg[t * T_REGS + (uint32_t)first + k] = d_word[k + 1];
    }
    t_reg[t * T_REGS + R_FULL] = 1;
    return 0;
}

/*@ requires is_thread(t);
    assigns d_argument, d_limit, d_word[0 .. MSG_WORDS_REGS - 1], d_answers;
    ensures \result == 0 ==> d_answers == \old(d_word[1]) <= MSG_WORDS_REGS;
    ensures \result == 0 ==> \forall integer k; 0 <= k < d_answers ==>
        d_word[k] == t_reg[t * 32 + \old(d_word[0]) + k];
    ensures \result != 0 ==> d_answers == \old(d_answers);
    ensures \result < ERRORS; */
static uint32_t decode_read(uint32_t t)
{
    uint64_t first = d_word[A_FIRST - 1];
    uint64_t count = d_word[A_COUNT - 1];
    if (first >= REGISTERS) {
        return refuse(ERR_RANGE, A_FIRST, REGISTERS);
    }
    if (count > MSG_WORDS_REGS || count > REGISTERS - first) {
        return refuse(ERR_RANGE, A_COUNT, REGISTERS - first);
    }
    /*@ loop invariant 0 <= k <= count;
        loop invariant \forall integer j; 0 <= j < k ==> d_word[j] == t_reg[t * 32 + first + j];
        loop assigns k, d_word[0 .. MSG_WORDS_REGS - 1];
        loop variant count - k; */
    for (uint32_t k = 0; k < MSG_WORDS_REGS && k < count; k++) {
        d_word[k] = t_reg[t * T_REGS + (uint32_t)first + k];
    }
    d_answers = (uint32_t)count;
    return 0;
}

uint32_t decode_thread(uint32_t label)
{
    uint32_t t = d_object;
    switch (label) {
    case INV_THREAD_BIND:
        return decode_bind(t);
    case INV_THREAD_WRITE:
        return decode_write(t);
    case INV_THREAD_READ:
        return decode_read(t);
    case INV_THREAD_PRIORITY:
        thread_set_priority(t, (uint32_t)d_word[0]);
        return 0;
    case INV_THREAD_RESUME:
        if (t_state[t] != THREAD_STOPPED) {
            return refuse(ERR_STATE, 0, t_state[t]);
        }
        thread_resume(t);
        return 0;
    default:
        thread_cancel(t, ERR_CANCELLED);
        return 0;
    }
}

/* Budget and period from now on; whoever runs on the context goes on by the new ones. */
/*@ requires works;
    requires is_context(c);
    assigns d_argument, d_limit, t_state[c_thread[c]], t_queue[c_thread[c]];
    READY_FIELDS(assigns)
    DUE_FIELDS(assigns)
    assigns c_budget[c], c_period[c], c_count[c], c_used[c], c_turn[c];
    REFILL_FIELDS(assigns)
    ensures works;
    ensures \result < ERRORS;
    ensures \result == 0 ==> c_budget[c] == d_word[0] && c_period[c] == d_word[1];
    ensures \result != 0 ==>
        c_budget[c] == \old(c_budget[c]) && c_period[c] == \old(c_period[c]);
    ensures c_budget[c] == 0 || \result != 0 || c_budget[c] >= CONTEXT_BUDGET_MIN; */
static uint32_t decode_configure(uint32_t c)
{
    uint64_t budget = d_word[A_BUDGET - 1];
    uint64_t period = d_word[A_PERIOD - 1];
    if (period > CONTEXT_PERIOD_MAX) {
        return refuse(ERR_RANGE, A_PERIOD, CONTEXT_PERIOD_MAX);
    }
    if (budget > period) {
        return refuse(ERR_RANGE, A_BUDGET, period);
    }
    if (budget != 0 && budget < CONTEXT_BUDGET_MIN) {
        return refuse(ERR_RANGE, A_BUDGET, CONTEXT_BUDGET_MIN);
    }
    context_set(c, budget, period);
    return 0;
}

uint32_t decode_context(uint32_t label)
{
    uint32_t c = d_object;
    if (label == INV_CONTEXT_CONFIGURE) {
        return decode_configure(c);
    }
    d_word[0] = c_used[c];
    d_answers = 1;
    c_used[c] = 0;
    return 0;
}
