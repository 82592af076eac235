/* The invariant of contexts and reply objects. */
#include "object/check.h"
#include "object/endpoint.h"
#include "object/notification.h"
#include "object/slot.h"

/* Thread and context agree. */
bool inv_context_thread(void)
{
    for (uint32_t c = 1; c < C_MAX; c++) {
        if (!(c_thread[c] < T_MAX && (c_thread[c] == NIL || t_context[c_thread[c]] == c))) {
            return false;
        }
    }
    return true;
}

bool inv_context_context(void)
{
    for (uint32_t t = 1; t < T_MAX; t++) {
        if (!(t_context[t] < C_MAX && (t_context[t] == NIL || c_thread[t_context[t]] == t))) {
            return false;
        }
    }
    return true;
}

bool inv_context_period(void)
{
    for (uint32_t c = 1; c < C_MAX; c++) {
        if (!(c_budget[c] <= c_period[c] && c_period[c] <= CONTEXT_PERIOD_MAX)) {
            return false;
        }
    }
    return true;
}

bool inv_context_count(void)
{
    for (uint32_t c = 1; c < C_MAX; c++) {
        if (!(c_count[c] >= 1 && c_count[c] <= REFILLS)) {
            return false;
        }
    }
    return true;
}

/* Refills add up to the budget; those beyond the count are empty. */
bool inv_context_sum(void)
{
    for (uint32_t c = 1; c < C_MAX; c++) {
        if (!(c_amount0[c] + c_amount1[c] + c_amount2[c] + c_amount3[c] == c_budget[c])) {
            return false;
        }
    }
    return true;
}

bool inv_context_none(void)
{
    for (uint32_t c = 1; c < C_MAX; c++) {
        if (!((c_count[c] > 1 || c_amount1[c] == 0) && (c_count[c] > 2 || c_amount2[c] == 0) &&
              (c_count[c] > 3 || c_amount3[c] == 0))) {
            return false;
        }
    }
    return true;
}

bool inv_context_turn(void)
{
    for (uint32_t c = 1; c < C_MAX; c++) {
        if (!(c_turn[c] == 0 || c_turn[c] < c_budget[c])) {
            return false;
        }
    }
    return true;
}

bool inv_reply_refs(void)
{
    for (uint32_t r = 1; r < R_MAX; r++) {
        if (!(r_thread[r] < T_MAX && r_context[r] < C_MAX && r_below[r] < R_MAX &&
              r_above[r] < R_MAX)) {
            return false;
        }
    }
    return true;
}

/* Reply object and thread agree. */
bool inv_reply_thread(void)
{
    for (uint32_t r = 1; r < R_MAX; r++) {
        if (!(r_thread[r] == NIL || t_reply[r_thread[r]] == r)) {
            return false;
        }
    }
    return true;
}

bool inv_reply_reply(void)
{
    for (uint32_t t = 1; t < T_MAX; t++) {
        if (!(t_reply[t] < R_MAX && (t_reply[t] == NIL || r_thread[t_reply[t]] == t))) {
            return false;
        }
    }
    return true;
}

/* Who has lent a context is linked, and has none. */
bool inv_reply_lent(void)
{
    for (uint32_t r = 1; r < R_MAX; r++) {
        if (!(r_context[r] == NIL || (r_thread[r] != NIL && t_context[r_thread[r]] == NIL))) {
            return false;
        }
    }
    return true;
}

/* The stack of a context is linked from its top. */
bool inv_reply_tops(void)
{
    for (uint32_t c = 1; c < C_MAX; c++) {
        if (!(c_top[c] < R_MAX &&
              (c_top[c] == NIL || (r_context[c_top[c]] == c && r_above[c_top[c]] == NIL)))) {
            return false;
        }
    }
    return true;
}

bool inv_reply_topped(void)
{
    for (uint32_t r = 1; r < R_MAX; r++) {
        if (!(r_context[r] == NIL || r_above[r] != NIL || c_top[r_context[r]] == r)) {
            return false;
        }
    }
    return true;
}

bool inv_reply_out(void)
{
    for (uint32_t r = 1; r < R_MAX; r++) {
        if (!(r_context[r] != NIL || (r_below[r] == NIL && r_above[r] == NIL))) {
            return false;
        }
    }
    return true;
}

bool inv_reply_down(void)
{
    for (uint32_t r = 1; r < R_MAX; r++) {
        if (!(r_below[r] == NIL ||
              (r_above[r_below[r]] == r && r_context[r_below[r]] == r_context[r]))) {
            return false;
        }
    }
    return true;
}

bool inv_reply_up(void)
{
    for (uint32_t r = 1; r < R_MAX; r++) {
        if (!(r_above[r] == NIL ||
              (r_below[r_above[r]] == r && r_context[r_above[r]] == r_context[r]))) {
            return false;
        }
    }
    return true;
}
