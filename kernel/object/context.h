/* Scheduling contexts: the right to run for a budget of ticks in every period.
 *
 * A context holds up to four refills, each a time from which on, and an amount that may then be
 * used. Number 0 is the one in use or to be used next; those beyond the count have amount 0. The
 * amounts always add up to the budget.
 * What is used of a refill comes back as a refill one period after it was used, so no stretch of
 * one period holds more than the budget (theorem of the sporadic server). When all places are
 * taken, and when the next refill is too small to be worth a switch (CONTEXT_BUDGET_MIN), refills
 * are merged to the later of their times: merging may delay, and never advances.
 *
 * A context whose budget is its whole period only takes turns: what was used comes back at once,
 * and the thread goes behind the others of its priority.
 *
 * A context serves one thread, c_thread, and a thread runs on one, t_context; the two agree. A call
 * lends the context to the thread that is called (reply.h).
 */
#ifndef KERNEL_CONTEXT_H
#define KERNEL_CONTEXT_H

#include "abi/abi.h"
#include "arch/arch.h"
#include "object/due.h"
#include "object/queue.h"

#define CONTEXT_BUDGET_MIN 40000ULL           /* ticks; longer than twice the longest entry */
#define CONTEXT_PERIOD_MAX 0x1000000000000ULL /* ticks, 2^48; times stay far from overflow */

extern uint64_t c_budget[C_MAX];
extern uint64_t c_period[C_MAX];
extern uint32_t c_count[C_MAX];
extern uint64_t c_time0[C_MAX];
extern uint64_t c_time1[C_MAX];
extern uint64_t c_time2[C_MAX];
extern uint64_t c_time3[C_MAX];
extern uint64_t c_amount0[C_MAX];
extern uint64_t c_amount1[C_MAX];
extern uint64_t c_amount2[C_MAX];
extern uint64_t c_amount3[C_MAX];
extern uint64_t c_turn[C_MAX]; /* used of this turn, where the budget is the period */
extern uint64_t c_used[C_MAX]; /* ticks used since they were last asked for */
extern uint32_t c_thread[C_MAX];
extern uint32_t t_context[T_MAX];

/*@ predicate x_links{L} =
        (\forall integer t; is_thread(t) ==> 0 <= t_context[t] < C_MAX &&
            (t_context[t] != NIL ==> c_thread[t_context[t]] == t)) &&
        (\forall integer c; is_context(c) ==> 0 <= c_thread[c] < T_MAX &&
            (c_thread[c] != NIL ==> t_context[c_thread[c]] == c));

    predicate x_period{L} = \forall integer c; is_context(c) ==>
        0 <= c_budget[c] <= c_period[c] <= CONTEXT_PERIOD_MAX;

    predicate x_count{L} = \forall integer c; is_context(c) ==> 1 <= c_count[c] <= REFILLS;

    predicate x_sum{L} = \forall integer c; is_context(c) ==>
        c_amount0[c] + c_amount1[c] + c_amount2[c] + c_amount3[c] == c_budget[c];

    predicate x_turn{L} = \forall integer c; is_context(c) ==>
        c_turn[c] == 0 || c_turn[c] < c_budget[c];

    predicate x_none{L} = \forall integer c; is_context(c) ==>
        (c_count[c] <= 1 ==> c_amount1[c] == 0) && (c_count[c] <= 2 ==> c_amount2[c] == 0) &&
        (c_count[c] <= 3 ==> c_amount3[c] == 0);

    predicate contexts{L} = x_period && x_count && x_sum && x_none && x_turn; */

/* clang-format off */
#define CONTEXTS(clause) clause x_period; clause x_count; clause x_sum; clause x_none;     \
    clause x_turn;
#define REFILL_FIELDS(clause)                                                                     \
    clause c_time0[c], c_time1[c], c_time2[c], c_time3[c];                                        \
    clause c_amount0[c], c_amount1[c], c_amount2[c], c_amount3[c];
#define CONTEXTS_FIELDS(clause)                                                                   \
    clause c_count[1 .. C_MAX-1], c_time0[1 .. C_MAX-1], c_time1[1 .. C_MAX-1];                   \
    clause c_time2[1 .. C_MAX-1], c_time3[1 .. C_MAX-1], c_amount0[1 .. C_MAX-1];                 \
    clause c_amount1[1 .. C_MAX-1], c_amount2[1 .. C_MAX-1], c_amount3[1 .. C_MAX-1];
/* clang-format on */

/* The sum, at most ARCH_NEVER. */
/*@ logic integer end_of(integer a, integer b) = a + b <= ARCH_NEVER ? a + b : ARCH_NEVER; */
/*@ assigns \nothing;
    ensures \result == end_of(a, b); */
uint64_t time_sum(uint64_t a, uint64_t b);

/* Gives c, which serves nobody or is charged up to now, a budget and a period, all of it at now.
 * With budget 0 nobody runs on it. */
/*@ requires is_context(c) && budget <= period <= CONTEXT_PERIOD_MAX;
    assigns c_budget[c], c_period[c], c_count[c], c_used[c], c_turn[c];
    REFILL_FIELDS(assigns)
    ensures c_budget[c] == budget && c_period[c] == period && c_count[c] == 1;
    ensures c_used[c] == 0 && c_turn[c] == 0 && c_amount0[c] == budget;
    ensures c_amount1[c] == 0 && c_amount2[c] == 0 && c_amount3[c] == 0;
    ensures \old(x_period) ==> x_period;
    ensures \old(x_count) ==> x_count;
    ensures \old(x_sum) ==> x_sum;
    ensures \old(x_none) ==> x_none;
    ensures \old(x_turn) ==> x_turn;
    ensures c_time1[c] == 0 && c_time2[c] == 0 && c_time3[c] == 0;
    ensures c_time0[c] == (budget == 0 ? ARCH_NEVER : start); */
void context_configure(uint32_t c, uint64_t budget, uint64_t period, uint64_t start);

/* Books ticks that were used from start on. What a refill lacked is taken from the next ones. True
 * when the turn is over: what may be used next is not due at start + used, or a whole share has
 * come back and it is the others' turn. */
/*@ requires contexts;
    requires is_context(c);
    assigns c_turn[c], c_count[c], c_used[c];
    REFILL_FIELDS(assigns)
    CONTEXTS(ensures)
    ensures c_used[c] == end_of(\old(c_used[c]), used);
    ensures c_budget[c] == c_period[c] ==> c_turn[c] ==
        (end_of(\old(c_turn[c]), used) < c_budget[c] ? end_of(\old(c_turn[c]), used) : 0);
    ensures c_budget[c] == 0 ==> \result;
    ensures 0 < c_budget[c] < c_period[c] ==> (\result <==> c_time0[c] > end_of(start, used));
    ensures 0 < c_budget[c] < c_period[c] && \result ==>
        c_count[c] == 1 || c_amount0[c] >= CONTEXT_BUDGET_MIN; */
bool context_charge(uint32_t c, uint64_t start, uint64_t used);

/* Merges the refills that are due at a time into the one in use. */
/*@ requires contexts;
    requires is_context(c);
    assigns c_count[c];
    REFILL_FIELDS(assigns)
    CONTEXTS(ensures)
    ensures c_time0[c] == \old(c_time0[c]) || c_time0[c] <= time;
    ensures c_amount0[c] >= \old(c_amount0[c]);
    ensures c_count[c] == 1 || c_time1[c] > time; */
void context_merge(uint32_t c, uint64_t time);

/* Ticks that may be used before the turn is over. */
/*@ requires contexts;
    requires is_context(c);
    assigns \nothing;
    ensures \result <= c_budget[c]; */
uint64_t context_left(uint32_t c);

/* Makes c serve t. Neither is bound. */
/*@ requires x_links;
    requires is_context(c) && is_thread(t) && c_thread[c] == NIL && t_context[t] == NIL;
    assigns c_thread[c], t_context[t];
    ensures x_links;
    ensures c_thread[c] == t && t_context[t] == c; */
static inline void context_give(uint32_t c, uint32_t t)
{
    c_thread[c] = t;
    t_context[t] = c;
}

/* Takes c from the thread that it serves, if any; which is the result. */
/*@ requires x_links;
    requires is_context(c);
    assigns c_thread[c], t_context[c_thread[c]];
    ensures x_links;
    ensures c_thread[c] == NIL && \result == \old(c_thread[c]);
    ensures \result == NIL ==> t_context[0] == \old(t_context[0]);
    ensures \result != NIL ==> is_thread(\result) && t_context[\result] == NIL; */
static inline uint32_t context_take(uint32_t c)
{
    uint32_t t = c_thread[c];
    if (t != NIL) {
        t_context[t] = NIL;
        c_thread[c] = NIL;
    }
    return t;
}

/* c, which serves a, serves t instead, which has no context. */
/*@ requires x_links;
    requires is_context(c) && is_thread(a) && is_thread(t) && a != t;
    requires t_context[a] == c && t_context[t] == NIL;
    assigns c_thread[c], t_context[a], t_context[t];
    ensures x_links;
    ensures c_thread[c] == t && t_context[t] == c && t_context[a] == NIL; */
static inline void context_pass(uint32_t c, uint32_t a, uint32_t t)
{
    t_context[a] = NIL;
    c_thread[c] = t;
    t_context[t] = c;
}

#endif
