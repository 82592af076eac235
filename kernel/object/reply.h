/* Reply objects: who waits for an answer, and the time that was lent meanwhile.
 *
 * A reply object is linked with one thread (r_thread and t_reply agree): with the receiver that
 * offers it while it waits for a caller, then with the caller until it is answered. A call to a
 * thread that has no context lends the caller's: the reply object goes on top of the context's
 * stack, and answering it gives the context back. The stack is doubly linked, r_context says whose
 * it is, and no operation walks along it.
 */
#ifndef KERNEL_REPLY_H
#define KERNEL_REPLY_H

#include "object/context.h"

extern uint32_t r_thread[R_MAX];
extern uint32_t r_context[R_MAX]; /* lent through it, NIL for none */
extern uint32_t r_below[R_MAX];
extern uint32_t r_above[R_MAX];
extern uint32_t t_reply[T_MAX];
extern uint32_t c_top[C_MAX]; /* the latest lending */

/*@ predicate is_reply(integer r) = 1 <= r < R_MAX;

    predicate r_refs{L} =
        (\forall integer r; is_reply(r) ==> 0 <= r_thread[r] < T_MAX && 0 <= r_context[r] < C_MAX &&
            0 <= r_below[r] < R_MAX && 0 <= r_above[r] < R_MAX) &&
        (\forall integer t; is_thread(t) ==> 0 <= t_reply[t] < R_MAX) &&
        (\forall integer c; is_context(c) ==> 0 <= c_top[c] < R_MAX);

    predicate r_agree{L} =
        (\forall integer r; is_reply(r) ==> r_thread[r] != NIL ==> t_reply[r_thread[r]] == r) &&
        (\forall integer t; is_thread(t) ==> t_reply[t] != NIL ==> r_thread[t_reply[t]] == t);

    predicate r_lent{L} = \forall integer r; is_reply(r) ==> r_context[r] != NIL ==>
        r_thread[r] != NIL;

    predicate r_tops{L} = \forall integer c; is_context(c) ==> c_top[c] != NIL ==>
        r_context[c_top[c]] == c && r_above[c_top[c]] == NIL;

    predicate r_topped{L} = \forall integer r; is_reply(r) ==>
        r_context[r] != NIL && r_above[r] == NIL ==> c_top[r_context[r]] == r;

    predicate r_out{L} = \forall integer r; is_reply(r) ==> r_context[r] == NIL ==>
        r_below[r] == NIL && r_above[r] == NIL;

    predicate r_down{L} = \forall integer r; is_reply(r) ==> r_below[r] != NIL ==>
        r_above[r_below[r]] == r && r_context[r_below[r]] == r_context[r];

    predicate r_up{L} = \forall integer r; is_reply(r) ==> r_above[r] != NIL ==>
        r_below[r_above[r]] == r && r_context[r_above[r]] == r_context[r];

    predicate replies{L} = r_refs && r_agree && r_lent && r_tops && r_topped && r_out && r_down &&
        r_up; */

/* clang-format off */
#define REPLIES(clause)                                                                           \
    clause r_refs; clause r_agree; clause r_lent; clause r_tops; clause r_topped; clause r_out;   \
    clause r_down; clause r_up;
/* clang-format on */

/* Links r and t, which are linked with nobody. */
/*@ requires replies;
    requires is_reply(r) && is_thread(t) && r_thread[r] == NIL && t_reply[t] == NIL;
    assigns r_thread[r], t_reply[t];
    REPLIES(ensures)
    ensures r_thread[r] == t && t_reply[t] == r; */
static inline void reply_link(uint32_t r, uint32_t t)
{
    r_thread[r] = t;
    t_reply[t] = r;
}

/* Ends the link of r, through which nothing is lent, with its thread, if any. */
/*@ requires replies;
    requires is_reply(r) && r_context[r] == NIL;
    assigns r_thread[r], t_reply[r_thread[r]];
    REPLIES(ensures)
    ensures r_thread[r] == NIL;
    ensures \old(r_thread[r]) != NIL ==> t_reply[\old(r_thread[r])] == NIL;
    ensures \old(r_thread[r]) == NIL ==> t_reply[0] == \old(t_reply[0]); */
static inline void reply_unlink(uint32_t r)
{
    uint32_t t = r_thread[r];
    if (t != NIL) {
        t_reply[t] = NIL;
        r_thread[r] = NIL;
    }
}

/* Puts r, which is linked, on the stack of c. */
/*@ requires replies;
    requires is_reply(r) && is_context(c) && r_thread[r] != NIL && r_context[r] == NIL;
    assigns r_context[r], r_below[r], r_above[c_top[c]], c_top[c];
    REPLIES(ensures)
    ensures c_top[c] == r && r_below[r] == \old(c_top[c]) && r_context[r] == c; */
static inline void reply_push(uint32_t r, uint32_t c)
{
    uint32_t top = c_top[c];
    r_context[r] = c;
    r_below[r] = top;
    if (top != NIL) {
        r_above[top] = r;
    }
    c_top[c] = r;
}

/* Takes r off the stack that it stands in, wherever it stands there. */
/*@ requires replies;
    requires is_reply(r) && r_context[r] != NIL;
    assigns r_context[r], r_below[r], r_above[r], r_below[r_above[r]], r_above[r_below[r]];
    assigns c_top[r_context[r]];
    REPLIES(ensures)
    ensures r_context[r] == NIL;
    ensures c_top[\old(r_context[r])] ==
        (\old(r_above[r]) == NIL ? \old(r_below[r]) : \old(c_top[r_context[r]])); */
static inline void reply_pull(uint32_t r)
{
    uint32_t c = r_context[r];
    uint32_t below = r_below[r];
    uint32_t above = r_above[r];
    if (above != NIL) {
        r_below[above] = below;
    } else {
        c_top[c] = below;
    }
    if (below != NIL) {
        r_above[below] = above;
    }
    r_context[r] = NIL;
    r_below[r] = NIL;
    r_above[r] = NIL;
}

/* r, linked with a and lending nothing, is linked with t instead, which is linked with nobody. */
/*@ requires replies;
    requires is_reply(r) && is_thread(a) && is_thread(t) && r_thread[r] == a && a != t;
    requires t_reply[t] == NIL;
    assigns r_thread[r], t_reply[a], t_reply[t];
    REPLIES(ensures)
    ensures r_thread[r] == t && t_reply[t] == r && t_reply[a] == NIL; */
static inline void reply_pass(uint32_t r, uint32_t a, uint32_t t)
{
    t_reply[a] = NIL;
    r_thread[r] = t;
    t_reply[t] = r;
}

/* Takes r off the stack of c, on which it is the uppermost. */
/*@ requires replies;
    requires is_reply(r) && is_context(c) && c_top[c] == r;
    assigns r_context[r], r_below[r], r_above[r_below[r]], c_top[c];
    REPLIES(ensures)
    ensures r_context[r] == NIL && c_top[c] == \old(r_below[r]); */
static inline void reply_pop(uint32_t r, uint32_t c)
{
    uint32_t below = r_below[r];
    c_top[c] = below;
    if (below != NIL) {
        r_above[below] = NIL;
        r_below[r] = NIL;
    }
    r_context[r] = NIL;
}

#endif
