/* Notifications: see notification.h. */
#include "object/notification.h"

#include "object/answer.h"
#include "object/message.h"
#include "object/object.h"

uint64_t n_word[N_MAX];
uint32_t n_thread[N_MAX];
uint32_t t_notification[T_MAX];

/* t, which waits, gets the word. */
static void deliver(uint32_t t, uint32_t n)
{
    message_signal(t, n_word[n]);
    n_word[n] = 0;
    schedule_leave(t, THREAD_STOPPED);
    if (t_reply[t] != NIL) {
        reply_unlink(t_reply[t]);
    }
    schedule_ready(t);
}

void notification_signal(uint32_t n, uint64_t bits)
{
    uint32_t bound = n_thread[n];
    uint32_t first = q_head[Q_WAIT(n)];
    n_word[n] = n_word[n] | bits;
    if (n_word[n] == 0) {
        return;
    }
    if (bound != NIL && t_state[bound] == THREAD_RECEIVING) {
        deliver(bound, n);
    } else if (first != NIL) {
        deliver(first, n);
    }
}

uint32_t notification_wait(uint32_t t, uint32_t n, bool wait)
{
    if (n_word[n] != 0) {
        message_signal(t, n_word[n]);
        n_word[n] = 0;
    } else if (wait) {
        schedule_leave(t, THREAD_WAITING);
        queue_append(Q_WAIT(n), t);
    } else {
        return ERR_WAIT;
    }
    return 0;
}

bool notification_take(uint32_t t)
{
    uint32_t n = t_notification[t];
    return n_word[n] != 0 && notification_wait(t, n, false) == 0;
}

void notification_bind(uint32_t n, uint32_t t)
{
    n_thread[n] = t;
    t_notification[t] = n;
    if (n_word[n] != 0 && t_state[t] == THREAD_RECEIVING) {
        deliver(t, n);
    }
}

void notification_unbind(uint32_t n)
{
    t_notification[n_thread[n]] = NIL;
    n_thread[n] = NIL;
}

void notification_init(uint32_t n)
{
    n_word[n] = 0;
}

bool notification_end(uint32_t n)
{
    for (uint32_t k = 0; k < DRAIN_SLICE && q_head[Q_WAIT(n)] != NIL; k++) {
        answer_error(q_head[Q_WAIT(n)], ERR_CANCELLED);
    }
    return q_head[Q_WAIT(n)] == NIL;
}
