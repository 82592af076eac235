/* Answers: see answer.h. */
#include "object/answer.h"

#include "object/fault.h"
#include "object/message.h"
#include "object/object.h"

void answer_return(uint32_t r)
{
    uint32_t a = r_thread[r];
    uint32_t c = r_context[r];
    bool back = c != NIL && c_top[c] == r && t_context[a] == NIL;
    if (c != NIL) {
        reply_pull(r);
    }
    reply_unlink(r);
    if (back) {
        uint32_t b = context_take(c);
        if (b != NIL) {
            schedule_again(b);
        }
        context_give(c, a);
    }
}

uint32_t answer(uint32_t t, uint32_t r)
{
    uint32_t a = r_thread[r];
    bool runs = true;
    if (a == NIL || t_state[a] == THREAD_RECEIVING) {
        return ERR_ABSENT;
    }
    if (t_state[a] < THREAD_ANSWER) {
        answer_return(r);
        schedule_again(a);
        return 0;
    }
    if (t_state[a] == THREAD_HANDLED) {
        runs = fault_answer(t, a);
    } else {
        uint32_t error = message_check(t, a);
        if (error != 0) {
            return error;
        }
        message_pass(t, a);
    }
    answer_return(r);
    t_state[a] = THREAD_STOPPED;
    if (runs) {
        schedule_ready(a);
    }
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
        return true;
    }
    answer_return(r);
    if (t_state[a] >= THREAD_ANSWER) {
        answer_error(a, ERR_CANCELLED);
    } else {
        schedule_again(a);
    }
    return true;
}

void reply_init(uint32_t r)
{
    r_thread[r] = NIL;
}

void context_init(uint32_t c)
{
    context_configure(c, 0, 0, 0);
}

bool context_end(uint32_t c)
{
    uint32_t b;
    for (uint32_t k = 0; k < DRAIN_SLICE && c_top[c] != NIL; k++) {
        uint32_t r = c_top[c];
        reply_pull(r);
        if (t_state[r_thread[r]] < THREAD_ANSWER) {
            reply_unlink(r);
        }
    }
    if (c_top[c] != NIL) {
        return false;
    }
    b = context_take(c);
    if (b != NIL) {
        schedule_again(b);
    }
    if (c_place[c] <= due_count) {
        due_remove(c);
    }
    if (running == c) {
        running = NIL;
    }
    context_configure(c, 0, 0, 0);
    return true;
}
