/* Scheduling contexts: see context.h. */
#include "object/context.h"

uint64_t c_budget[C_MAX];
uint64_t c_period[C_MAX];
uint32_t c_count[C_MAX];
uint64_t c_time0[C_MAX];
uint64_t c_time1[C_MAX];
uint64_t c_time2[C_MAX];
uint64_t c_time3[C_MAX];
uint64_t c_amount0[C_MAX];
uint64_t c_amount1[C_MAX];
uint64_t c_amount2[C_MAX];
uint64_t c_amount3[C_MAX];
uint64_t c_turn[C_MAX];
uint64_t c_used[C_MAX];
uint32_t c_thread[C_MAX];
uint32_t t_context[T_MAX];

uint64_t time_sum(uint64_t a, uint64_t b)
{
    return a > ARCH_NEVER - b ? ARCH_NEVER : a + b;
}

void context_configure(uint32_t c, uint64_t budget, uint64_t period, uint64_t start)
{
    c_budget[c] = budget;
    c_period[c] = period;
    c_count[c] = 1;
    c_used[c] = 0;
    c_turn[c] = 0;
    c_time0[c] = budget == 0 ? ARCH_NEVER : start;
    c_amount0[c] = budget;
    c_time1[c] = 0;
    c_amount1[c] = 0;
    c_time2[c] = 0;
    c_amount2[c] = 0;
    c_time3[c] = 0;
    c_amount3[c] = 0;
}

/* Drops the refill in use, whose amount is 0; there is another. */
/*@ requires contexts;
    requires is_context(c) && c_count[c] > 1 && c_amount0[c] == 0;
    assigns c_count[c];
    REFILL_FIELDS(assigns)
    CONTEXTS(ensures)
    ensures c_count[c] == \old(c_count[c]) - 1;
    ensures c_amount0[c] == \old(c_amount1[c]);
    ensures c_time0[c] == \old(c_time1[c]);
    ensures c_amount1[c] == \old(c_amount2[c]);
    ensures c_time1[c] == \old(c_time2[c]);
    ensures c_amount2[c] == \old(c_amount3[c]);
    ensures c_time2[c] == \old(c_time3[c]); */
static void refill_drop(uint32_t c)
{
    c_time0[c] = c_time1[c];
    c_amount0[c] = c_amount1[c];
    c_time1[c] = c_time2[c];
    c_amount1[c] = c_amount2[c];
    c_time2[c] = c_time3[c];
    c_amount2[c] = c_amount3[c];
    c_time3[c] = 0;
    c_amount3[c] = 0;
    c_count[c] = c_count[c] - 1;
}

/* Amount and time of the last refill. */
/*@ logic integer last_amount{L}(integer c) =
        c_count[c] == 1 ? c_amount0[c] : c_count[c] == 2 ? c_amount1[c]
        : c_count[c] == 3 ? c_amount2[c] : c_amount3[c];

    logic integer last_time{L}(integer c) =
        c_count[c] == 1 ? c_time0[c] : c_count[c] == 2 ? c_time1[c]
        : c_count[c] == 3 ? c_time2[c] : c_time3[c]; */

/*@ requires is_context(c);
    assigns \nothing;
    ensures \result == last_amount(c); */
static uint64_t refill_last_amount(uint32_t c)
{
    return c_count[c] == 1   ? c_amount0[c]
           : c_count[c] == 2 ? c_amount1[c]
           : c_count[c] == 3 ? c_amount2[c]
                             : c_amount3[c];
}

/*@ requires is_context(c);
    assigns \nothing;
    ensures \result == last_time(c); */
static uint64_t refill_last_time(uint32_t c)
{
    return c_count[c] == 1   ? c_time0[c]
           : c_count[c] == 2 ? c_time1[c]
           : c_count[c] == 3 ? c_time2[c]
                             : c_time3[c];
}

/* Adds amount to refill k, which then comes no earlier than time. */
/*@ requires is_context(c) && k < REFILLS;
    requires c_amount0[c] + amount <= ARCH_NEVER && c_amount1[c] + amount <= ARCH_NEVER;
    requires c_amount2[c] + amount <= ARCH_NEVER && c_amount3[c] + amount <= ARCH_NEVER;
    REFILL_FIELDS(assigns)
    ensures c_amount0[c] == \old(c_amount0[c]) + (k == 0 ? amount : 0);
    ensures c_amount1[c] == \old(c_amount1[c]) + (k == 1 ? amount : 0);
    ensures c_amount2[c] == \old(c_amount2[c]) + (k == 2 ? amount : 0);
    ensures c_amount3[c] == \old(c_amount3[c]) + (k == 3 ? amount : 0);
    ensures k != 0 ==> c_time0[c] == \old(c_time0[c]);
    ensures k == 0 ==> c_time0[c] == \max(\old(c_time0[c]), time);
    ensures k == 1 ==> c_time1[c] == \max(\old(c_time1[c]), time);
    ensures k == 2 ==> c_time2[c] == \max(\old(c_time2[c]), time);
    ensures k == 3 ==> c_time3[c] == \max(\old(c_time3[c]), time); */
static void refill_add(uint32_t c, uint32_t k, uint64_t amount, uint64_t time)
{
    if (k == 0) {
        c_time0[c] = time > c_time0[c] ? time : c_time0[c];
        c_amount0[c] = c_amount0[c] + amount;
    } else if (k == 1) {
        c_time1[c] = time > c_time1[c] ? time : c_time1[c];
        c_amount1[c] = c_amount1[c] + amount;
    } else if (k == 2) {
        c_time2[c] = time > c_time2[c] ? time : c_time2[c];
        c_amount2[c] = c_amount2[c] + amount;
    } else {
        c_time3[c] = time > c_time3[c] ? time : c_time3[c];
        c_amount3[c] = c_amount3[c] + amount;
    }
}

/* For the contract: what the last refill has without the amount that is used. */
#define LAST_LEFT (\old(c_count[c]) == 1 ? \old(c_amount0[c]) - amount : \old(last_amount(c)))

/* Moves amount from the refill in use to the last one, to come back at due: as a refill of its own
 * if a place is free and the last one, used up, would end before; else within the last one, which
 * is delayed as far as needed. */
/*@ requires contexts;
    requires is_context(c) && amount <= c_amount0[c];
    assigns c_count[c];
    REFILL_FIELDS(assigns)
    CONTEXTS(ensures)
    ensures c_count[c] >= \old(c_count[c]);
    ensures c_count[c] == 1 ==> c_amount0[c] == \old(c_amount0[c]);
    ensures c_count[c] > 1 ==> c_amount0[c] == \old(c_amount0[c]) - amount;
    ensures \old(c_count[c]) > 1 ==> c_time0[c] == \old(c_time0[c]);
    ensures c_count[c] == \old(c_count[c]) + 1 <==>
        due - LAST_LEFT > \old(last_time(c)) && due > LAST_LEFT && \old(c_count[c]) < REFILLS;
    ensures c_count[c] > \old(c_count[c]) ==> last_time(c) >= due;
    ensures c_count[c] == \old(c_count[c]) ==>
        last_time(c) == \max(\old(last_time(c)), \max(due - LAST_LEFT, 0)); */
static void refill_return(uint32_t c, uint64_t amount, uint64_t due)
{
    uint64_t last;
    uint64_t begin;
    c_amount0[c] = c_amount0[c] - amount;
    last = refill_last_amount(c);
    begin = due > last ? due - last : 0;
    if (begin > refill_last_time(c) && c_count[c] < REFILLS) {
        refill_add(c, c_count[c], amount, due);
        c_count[c] = c_count[c] + 1;
    } else {
        refill_add(c, c_count[c] - 1, amount, begin);
    }
}

/* Uses amount of the refill in use from start on; it comes back one period later. */
/*@ requires contexts;
    requires is_context(c) && amount <= c_amount0[c] && start >= c_time0[c];
    assigns c_count[c];
    REFILL_FIELDS(assigns)
    CONTEXTS(ensures)
    ensures \old(c_count[c]) == 1 && amount == \old(c_amount0[c]) ==>
        c_count[c] == 1 && c_time0[c] == end_of(start, c_period[c]);
    ensures \old(c_count[c]) > 1 && amount < \old(c_amount0[c]) ==>
        c_amount0[c] == \old(c_amount0[c]) - amount && c_time0[c] == end_of(start, amount); */
static void refill_use(uint32_t c, uint64_t amount, uint64_t start)
{
    uint64_t due = time_sum(start, c_period[c]);
    if (amount == c_amount0[c] && c_count[c] == 1) {
        c_time0[c] = due;
    } else {
        c_time0[c] = time_sum(start, amount);
        refill_return(c, amount, due);
        if (c_amount0[c] == 0) {
            refill_drop(c);
        }
    }
}

/* Merges the refill in use into the next one. */
/*@ requires contexts;
    requires is_context(c) && c_count[c] > 1;
    assigns c_count[c];
    REFILL_FIELDS(assigns)
    CONTEXTS(ensures)
    ensures c_count[c] == \old(c_count[c]) - 1;
    ensures c_time0[c] == \old(c_time1[c]);
    ensures c_amount0[c] == \old(c_amount0[c]) + \old(c_amount1[c]); */
static void refill_delay(uint32_t c)
{
    c_amount1[c] = c_amount1[c] + c_amount0[c];
    c_amount0[c] = 0;
    refill_drop(c);
}

/* The same for a refill that is too small to run on. */
/*@ requires contexts;
    requires is_context(c);
    assigns c_count[c];
    REFILL_FIELDS(assigns)
    CONTEXTS(ensures)
    ensures c_count[c] == 1 || c_amount0[c] >= CONTEXT_BUDGET_MIN; */
static void refill_gather(uint32_t c)
{
    /*@ loop invariant is_context(c);
        CONTEXTS(loop invariant)
        loop assigns c_count[c];
        REFILL_FIELDS(loop assigns)
        loop variant c_count[c]; */
    while (c_count[c] > 1 && c_amount0[c] < CONTEXT_BUDGET_MIN) {
        refill_delay(c);
    }
}

bool context_charge(uint32_t c, uint64_t start, uint64_t used)
{
    uint64_t end = time_sum(start, used);
    c_used[c] = time_sum(c_used[c], used);
    if (c_budget[c] == c_period[c]) {
        uint64_t turn = time_sum(c_turn[c], used);
        c_turn[c] = turn < c_budget[c] ? turn : 0;
        return c_turn[c] == 0;
    }
    if (c_budget[c] == 0) {
        return true;
    }
    /*@ ghost uint64_t booked = 0; */
    /*@ loop invariant 0 <= k <= REFILLS && booked + used == \at(used, Pre);
        CONTEXTS(loop invariant)
        loop assigns k, used, start, booked, c_count[c];
        REFILL_FIELDS(loop assigns)
        loop variant REFILLS - k; */
    for (uint32_t k = 0; k < REFILLS && used > 0; k++) {
        uint64_t amount = used < c_amount0[c] ? used : c_amount0[c];
        start = start > c_time0[c] ? start : c_time0[c];
        refill_use(c, amount, start);
        start = time_sum(start, amount);
        used = used - amount;
        /*@ ghost booked = booked + amount; */
    }
    if (c_time0[c] > end) {
        refill_gather(c);
    }
    return c_time0[c] > end;
}

void context_merge(uint32_t c, uint64_t time)
{
    /*@ loop invariant is_context(c);
        CONTEXTS(loop invariant)
        loop invariant c_time0[c] == \at(c_time0[c], Pre) || c_time0[c] <= time;
        loop invariant c_amount0[c] >= \at(c_amount0[c], Pre);
        loop assigns c_count[c];
        REFILL_FIELDS(loop assigns)
        loop variant c_count[c]; */
    while (c_count[c] > 1 && c_time1[c] <= time) {
        refill_delay(c);
    }
}

uint64_t context_left(uint32_t c)
{
    return c_budget[c] == c_period[c] ? c_budget[c] - c_turn[c] : c_amount0[c];
}
