/* The invariant of threads, endpoints and notifications. */
#include "object/check.h"
#include "object/endpoint.h"
#include "object/notification.h"
#include "object/slot.h"

/* The object in the hidden slot of t's role is this one. */
static bool bound_is(uint32_t t, uint32_t role, uint32_t object)
{
    return s_object[THREAD_SLOT(t, role)] == object;
}

bool inv_thread_state(void)
{
    for (uint32_t t = 1; t < T_MAX; t++) {
        if (!(t_state[t] <= THREAD_HANDLED)) {
            return false;
        }
    }
    return true;
}

/* The running thread is ready, has a context and stands in no queue. */
bool inv_thread_current(void)
{
    return current < T_MAX && running < C_MAX &&
           (current == NIL || (t_queue[current] == NIL && t_state[current] == THREAD_READY &&
                               t_context[current] == running));
}

/* Who stands in a ready queue is ready, and its context does not wait. */
bool inv_thread_ready(void)
{
    for (uint32_t t = 1; t < T_MAX; t++) {
        if (!(t_queue[t] == NIL || t_queue[t] > PRIORITIES ||
              (t_state[t] == THREAD_READY && t_context[t] != NIL &&
               c_place[t_context[t]] > due_count))) {
            return false;
        }
    }
    return true;
}

/* Who is ready and has time runs or stands in a ready queue. */
bool inv_thread_queued(void)
{
    for (uint32_t t = 1; t < T_MAX; t++) {
        if (!(t_state[t] != THREAD_READY || t == current || t_context[t] == NIL ||
              c_place[t_context[t]] <= due_count ||
              (t_queue[t] != NIL && t_queue[t] <= PRIORITIES))) {
            return false;
        }
    }
    return true;
}

/* State and queue agree. */
bool inv_thread_send(void)
{
    for (uint32_t t = 1; t < T_MAX; t++) {
        if (!((t_state[t] == THREAD_SENDING || t_state[t] == THREAD_CALLING) ==
              (t_queue[t] > PRIORITIES && t_queue[t] <= PRIORITIES + E_MAX))) {
            return false;
        }
    }
    return true;
}

bool inv_thread_receive(void)
{
    for (uint32_t t = 1; t < T_MAX; t++) {
        if (!((t_state[t] == THREAD_RECEIVING) ==
              (t_queue[t] > PRIORITIES + E_MAX && t_queue[t] <= PRIORITIES + 2 * E_MAX))) {
            return false;
        }
    }
    return true;
}

bool inv_thread_wait(void)
{
    for (uint32_t t = 1; t < T_MAX; t++) {
        if (!((t_state[t] == THREAD_WAITING) == (t_queue[t] > PRIORITIES + 2 * E_MAX))) {
            return false;
        }
    }
    return true;
}

/* Who waits for an answer is linked with a reply object; who runs is not. */
bool inv_thread_answer(void)
{
    for (uint32_t t = 1; t < T_MAX; t++) {
        if (!((t_state[t] < THREAD_ANSWER || t_reply[t] != NIL) &&
              (t != current || t_reply[t] == NIL))) {
            return false;
        }
    }
    return true;
}

/* Who receives offers a reply object; who waits for something else has none; who waits for nothing
 * has one only while its time is lent. */
bool inv_thread_linked(void)
{
    for (uint32_t t = 1; t < T_MAX; t++) {
        bool lent = r_context[t_reply[t]] != NIL;
        if (!(t_reply[t] == NIL || t_state[t] >= THREAD_ANSWER ||
              (t_state[t] == THREAD_RECEIVING && !lent) || (t_state[t] <= THREAD_READY && lent))) {
            return false;
        }
    }
    return true;
}

bool inv_thread_fault(void)
{
    for (uint32_t t = 1; t < T_MAX; t++) {
        if (!(t_fault[t] < FAULTS &&
              (t_fault[t] == 0 || t_state[t] == THREAD_CALLING || t_state[t] == THREAD_HANDLED ||
               t_state[t] == THREAD_STOPPED))) {
            return false;
        }
    }
    return true;
}

/* One of an endpoint's queues is empty; a cursor is in the queue of senders. */
bool inv_endpoint_one(void)
{
    for (uint32_t e = 1; e < E_MAX; e++) {
        if (!((q_head[Q_SEND(e)] == NIL || q_head[Q_RECEIVE(e)] == NIL) &&
              (e_cursor[e] == NIL || t_queue[e_cursor[e]] == Q_SEND(e)))) {
            return false;
        }
    }
    return true;
}

/* Notification and thread agree; who waits waits for nothing that is there. */
bool inv_notification_thread(void)
{
    for (uint32_t n = 1; n < N_MAX; n++) {
        if (!(n_thread[n] < T_MAX && (n_thread[n] == NIL || t_notification[n_thread[n]] == n) &&
              (n_word[n] == 0 || q_head[Q_WAIT(n)] == NIL))) {
            return false;
        }
    }
    return true;
}

bool inv_notification_bound(void)
{
    for (uint32_t t = 1; t < T_MAX; t++) {
        if (!(t_notification[t] < N_MAX &&
              (t_notification[t] == NIL || n_thread[t_notification[t]] == t) && n_word[NIL] == 0)) {
            return false;
        }
    }
    return true;
}

/* What the fields say about a thread stands in its hidden slots. */
bool inv_bound_fields(void)
{
    for (uint32_t t = 1; t < T_MAX; t++) {
        if (!(bound_is(t, ROLE_CNODE, t_cnode[t]) && bound_is(t, ROLE_SPACE, t_space[t]) &&
              bound_is(t, ROLE_BUFFER, t_buffer[t]) &&
              bound_is(t, ROLE_NOTIFICATION, t_notification[t]))) {
            return false;
        }
    }
    return true;
}
