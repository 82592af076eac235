/* Answers: see answer.h. */
#include "object/answer.h"

#include "object/fault.h"
#include "object/message.h"
#include "object/object.h"

void answer_forget(uint32_t t)
{
    uint32_t r = t_reply[t];
    if (r == NIL || r_context[r] == NIL) {
        return;
    }
    reply_pull(r);
    if (t_state[t] < THREAD_ANSWER) {
        reply_unlink(r);
    }
}

/* Ends the link between r and its thread, which gets back nothing. */
/*@ requires replies && links(r_thread[r]);
    requires is_reply(r) && r_thread[r] != NIL && t_state[r_thread[r]] <= THREAD_READY;
    assigns r_thread[r], t_reply[r_thread[r]], r_context[r], r_below[r], r_above[r];
    assigns r_below[r_above[r]], r_above[r_below[r]], c_top[r_context[r]];
    ensures replies;
    LINKS(ensures)
    ensures r_thread[r] == NIL && r_context[r] == NIL && t_reply[\old(r_thread[r])] == NIL; */
static void unlink_all(uint32_t r)
{
    if (r_context[r] == NIL) {
        reply_unlink(r);
        return;
    }
    reply_pull(r);
    reply_unlink(r);
}

void answer_return(uint32_t r)
{
    uint32_t a = r_thread[r];
    uint32_t c = r_context[r];
    bool back = c != NIL && c_top[c] == r;
    unlink_all(r);
    /*@ assert placed(NIL); */
    if (!back) {
        return;
    }
    context_move(c, a);
}

/* a, which has waited in r for its answer, waits no more: it runs, or stays stopped. */
/*@ requires works;
    requires is_reply(r) && is_thread(a) && r_thread[r] == a;
    requires t_state[a] >= THREAD_ANSWER && t_fault[a] == 0;
    CONTEXT_FIELDS(assigns)
    ensures works;
    ensures r_thread[r] == NIL && r_context[r] == NIL;
    ensures t_state[a] <= THREAD_READY && t_reply[a] == NIL;
    ensures \forall integer t; is_thread(t) && t != a ==>
        t_state[t] == \at(t_state[t],Pre) && t_reply[t] == \at(t_reply[t],Pre); */
static void answer_done(uint32_t a, uint32_t r, bool runs)
{
    t_state[a] = THREAD_STOPPED;
    answer_return(r);
    /*@ assert works; */
    if (!runs) {
        return;
    }
    /*@ assert t_queue[a] == NIL; */
    schedule_ready(a);
    /*@ assert works; */
}

uint32_t answer(uint32_t t, uint32_t r)
{
    uint32_t a = r_thread[r];
    uint32_t error;
    if (a == NIL || t_state[a] == THREAD_RECEIVING) {
        return ERR_ABSENT;
    }
    /*@ assert a != t; */
    if (t_state[a] < THREAD_ANSWER) {
        /*@ assert t_state[a] <= THREAD_READY; */
        answer_return(r);
        return 0;
    }
    if (t_state[a] == THREAD_HANDLED) {
        answer_done(a, r, fault_answer(t, a));
        return 0;
    }
    error = message_check(t, a);
    if (error != 0) {
        return error;
    }
    message_pass(t, a);
    answer_done(a, r, true);
    return 0;
}

void answer_error(uint32_t t, uint32_t error)
{
    bool faulted = t_fault[t] != 0;
    thread_cancel(t, error);
    if (!faulted) {
        schedule_ready(t);
    }
}

bool reply_end(uint32_t r)
{
    uint32_t a = r_thread[r];
    if (a == NIL) {
        return true;
    }
    if (t_state[a] == THREAD_RECEIVING) {
        reply_unlink(r);
        /*@ assert l_answer; */
        /*@ assert l_offer; */
        /*@ assert l_none; */
        /*@ assert l_lent(NIL); */
        /*@ assert l_lender; */
        /*@ assert placed(NIL); */
        return true;
    }
    if (t_state[a] >= THREAD_ANSWER) {
        answer_error(a, ERR_CANCELLED);
    }
    if (r_thread[r] != NIL) {
        answer_return(r);
    }
    return true;
}

/* One slice of taking c from those who would get it back. True when nobody is left. */
/*@ requires works;
    requires is_context(c);
    assigns t_reply[0 .. T_MAX-1], r_thread[0 .. R_MAX-1], r_context[0 .. R_MAX-1];
    assigns r_below[0 .. R_MAX-1], r_above[0 .. R_MAX-1], c_top[0 .. C_MAX-1];
    ensures works;
    ensures \result == true <==> c_top[c] == NIL; */
static bool forget_slice(uint32_t c)
{
    /*@ loop invariant 0 <= k <= DRAIN_SLICE;
        loop invariant works;
        loop assigns k, t_reply[0 .. T_MAX-1], r_thread[0 .. R_MAX-1], r_context[0 .. R_MAX-1];
        loop assigns r_below[0 .. R_MAX-1], r_above[0 .. R_MAX-1], c_top[0 .. C_MAX-1];
        loop variant DRAIN_SLICE - k; */
    for (uint32_t k = 0; k < DRAIN_SLICE && c_top[c] != NIL; k++) {
        answer_forget(r_thread[c_top[c]]);
        /*@ assert shorter: c_top[c] == \at(r_below[c_top[c]],LoopCurrent); */
    }
    return c_top[c] == NIL;
}

/* Leaves c, which serves nobody, as the boot left it. */
/*@ requires due_times && contexts && placed(NIL);
    requires x_links && is_context(c) && c_thread[c] == NIL;
    DUE_FIELDS(assigns)
    REFILL_FIELDS(assigns)
    assigns running, c_budget[c], c_period[c], c_count[c], c_used[c], c_turn[c];
    ensures due_times;
    ensures contexts;
    ensures placed(NIL);
    ensures due_count < c_place[c] && c_budget[c] == 0 && running != c; */
static void context_clear(uint32_t c)
{
    /*@ assert \forall integer x; is_thread(x) ==> t_context[x] != c; */
    if (c_place[c] <= due_count) {
        due_remove(c);
    }
    /*@ assert \forall integer x; is_thread(x) ==> t_context[x] != NIL ==>
        (c_place[t_context[x]] <= due_count <==>
            \at(c_place[t_context[x]] <= due_count, Pre)); */
    if (running == c) {
        running = NIL;
    }
    context_configure(c, 0, 0, 0);
}

bool context_end(uint32_t c)
{
    if (!forget_slice(c)) {
        return false;
    }
    context_free(c);
    context_clear(c);
    return true;
}
