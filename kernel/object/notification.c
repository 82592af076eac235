/* Notifications: see notification.h. */
#include "object/notification.h"

#include "object/answer.h"
#include "object/message.h"
#include "object/object.h"

uint32_t n_thread[N_MAX];
uint32_t t_notification[T_MAX];

/* t, which waits for it, gets the word. */
/*@ requires works;
    requires is_thread(t) &&
        (t_state[t] == THREAD_RECEIVING || t_state[t] == THREAD_WAITING);
    WAKE_FIELDS(assigns)
    RUNNING(ensures)
    ensures t_state[t] == THREAD_READY && t_reply[t] == NIL;
    ensures \forall integer q; PRIORITIES < q < Q_MAX && q != \old(t_queue[t]) ==>
        q_head[q] == \at(q_head[q],Pre);
    ensures t_reg[t * 32] == LABEL_SIGNAL && t_reg[t * 32 + 11] == word; */
static void deliver(uint32_t t, uint64_t word)
{
    message_signal(t, word);
    if (t_reply[t] != NIL) {
        reply_unlink(t_reply[t]);
    }
    schedule_leave(t);
    schedule_ready(t);
}

/* Who gets what is signalled to n; NIL when nobody waits. */
/*@ requires queues && placed(NIL);
    requires n_links && is_notification(n);
    assigns \nothing;
    ensures \result == WAITER(n);
    ensures \result == NIL ==> t_state[n_thread[n]] != THREAD_RECEIVING;
    ensures \result != NIL ==> is_thread(\result) &&
        (t_state[\result] == THREAD_RECEIVING || t_state[\result] == THREAD_WAITING); */
static uint32_t waiter(uint32_t n)
{
    uint32_t t = n_thread[n];
    return t_state[t] == THREAD_RECEIVING ? t : q_head[Q_WAIT(n)];
}

void notification_signal(uint32_t n, uint64_t bits)
{
    uint32_t t = waiter(n);
    uint64_t word = n_word[n] | bits;
    if (t == NIL) {
        n_word[n] = word;
        /*@ assert n_waits; */
        return;
    }
    n_word[n] = 0;
    /*@ assert n_waits; */
    if (word == 0) {
        return;
    }
    deliver(t, word);
}

uint32_t notification_wait(uint32_t t, uint32_t n, bool wait)
{
    if (n_word[n] != 0) {
        message_signal(t, n_word[n]);
        n_word[n] = 0;
        return 0;
    }
    if (!wait) {
        return ERR_WAIT;
    }
    t_state[t] = THREAD_WAITING;
    queue_append(Q_WAIT(n), t);
    return 0;
}

bool notification_take(uint32_t t)
{
    uint32_t n = t_notification[t];
    if (n_word[n] == 0) {
        return false;
    }
    message_signal(t, n_word[n]);
    n_word[n] = 0;
    return true;
}

void notification_bind(uint32_t n, uint32_t t)
{
    uint64_t word = n_word[n];
    n_thread[n] = t;
    t_notification[t] = n;
    if (word != 0 && t_state[t] == THREAD_RECEIVING) {
        n_word[n] = 0;
        deliver(t, word);
    }
}

void notification_unbind(uint32_t n)
{
    t_notification[n_thread[n]] = NIL;
    n_thread[n] = NIL;
}

bool notification_end(uint32_t n)
{
    /*@ loop invariant 0 <= k <= DRAIN_SLICE;
        loop invariant works;
        loop invariant \let t = \at(q_head[Q_WAIT(n)],Pre);
            k > 0 && t != NIL ==> t_state[t] <= THREAD_READY;
        loop invariant k == 0 ==> q_head[Q_WAIT(n)] == \at(q_head[Q_WAIT(n)],Pre);
        loop assigns k;
        WAKE_FIELDS(loop assigns)
        loop assigns t_fault[0 .. T_MAX-1];
        loop variant DRAIN_SLICE - k; */
    for (uint32_t k = 0; k < DRAIN_SLICE && q_head[Q_WAIT(n)] != NIL; k++) {
        answer_error(q_head[Q_WAIT(n)], ERR_CANCELLED);
    }
    if (q_head[Q_WAIT(n)] != NIL) {
        return false;
    }
    n_word[n] = 0;
    return true;
}
