/* Breaks each clause about threads, queues, time and messages once. */
#include "test/check_threads.h"

#include "object/check.h"
#include "test/world.h"

#include <stddef.h>

#define T(i) W_OBJECT(i)

/* A bit of everything: 0 has called 1, which has called 2, which runs on 0's context; 3 and 4 are
 * ready, 5 and 6 wait to send, 7 waits for a notification, 8 for its next refill, 9 receives. */
static void everything(void)
{
    world();
    for (uint32_t i = 1; i <= 2; i++) {
        world_resume(i);
        world_syscall(SYS_RECEIVE, W_ENDPOINT(i - 1), W_REPLY(i), 0, 0, NULL);
        world_passive(i);
    }
    world_resume(5);
    world_syscall(SYS_SEND, W_ENDPOINT(2), 0, 0, 0, NULL);
    world_resume(6);
    world_syscall(SYS_SEND, W_ENDPOINT(2), 0, 0, 0, NULL);
    world_resume(7);
    world_syscall(SYS_RECEIVE, W_NOTIFICATION(0), 0, 0, 0, NULL);
    world_resume(9);
    world_syscall(SYS_RECEIVE, W_ENDPOINT(3), W_REPLY(9), 0, 0, NULL);
    (void)KIT_CALL(W_CONTEXT(8), INV_CONTEXT_CONFIGURE, 100000, W_BUDGET);
    (void)KIT_CALL(W_CONTEXT(9), INV_CONTEXT_CONFIGURE, 100000, W_BUDGET);
    (void)KIT_CALL(W_THREAD(2), INV_THREAD_BIND, ROLE_NOTIFICATION, W_NOTIFICATION(1));
    world_resume(8);
    world_time(150000);
    world_resume(0);
    world_resume(3);
    world_resume(4);
    world_syscall(SYS_CALL, W_ENDPOINT(0), 0, 0, 0, NULL);
    world_syscall(SYS_CALL, W_ENDPOINT(1), 0, 0, 0, NULL);
}

static void break_queue(uint32_t clause)
{
    switch (clause) {
    case CLAUSE_queue_refs:
        t_next[T(3)] = T_MAX;
        break;
    case CLAUSE_queue_ends:
        q_head[3] = T_MAX;
        break;
    case CLAUSE_queue_out:
        t_next[T(2)] = T(3);
        break;
    case CLAUSE_queue_next:
        t_prev[T(6)] = T(3);
        break;
    case CLAUSE_queue_prev:
        t_prev[T(3)] = T(6);
        break;
    case CLAUSE_queue_first:
        q_head[Q_SEND(T(2))] = T(6);
        break;
    case CLAUSE_queue_last:
        q_tail[Q_SEND(T(2))] = T(5);
        break;
    case CLAUSE_queue_headed:
        q_head[Q_READY(10)] = NIL;
        break;
    case CLAUSE_queue_tailed:
        q_tail[Q_READY(10)] = T(5);
        break;
    case CLAUSE_queue_both:
        q_tail[Q_WAIT(9)] = T(7);
        break;
    default: /* queue_reached: two that are only each other's neighbours */
        t_queue[T(0)] = t_queue[T(1)] = Q_SEND(9);
        t_next[T(0)] = t_prev[T(0)] = T(1);
        t_next[T(1)] = t_prev[T(1)] = T(0);
        break;
    }
}

static void break_ready(uint32_t clause)
{
    switch (clause) {
    case CLAUSE_ready_priority:
        t_priority[T(2)] = PRIORITIES;
        break;
    case CLAUSE_ready_map:
        ready_map |= 1;
        break;
    case CLAUSE_ready_top:
        ready_top = 11;
        break;
    case CLAUSE_ready_own:
        t_priority[T(3)] = 9;
        break;
    case CLAUSE_due_place:
        c_place[T(3)] = c_place[T(4)];
        break;
    case CLAUSE_due_order:
        due_count = C_MAX - 1;
        c_due[due_heap[1]] = ARCH_NEVER;
        break;
    default: /* due_time */
        c_due[T(8)]++;
        break;
    }
}

static void break_context(uint32_t clause)
{
    switch (clause) {
    case CLAUSE_context_thread:
        c_thread[T(3)] = T(4);
        break;
    case CLAUSE_context_context:
        t_context[T(3)] = T(4);
        break;
    case CLAUSE_context_period:
        c_period[T(3)] = c_budget[T(3)] - 1;
        break;
    case CLAUSE_context_count:
        c_count[T(3)] = 0;
        break;
    case CLAUSE_context_sum:
        c_amount0[T(3)]--;
        break;
    case CLAUSE_context_none:
        c_amount0[T(3)]--;
        c_amount2[T(3)]++;
        break;
    default: /* context_turn */
        c_turn[T(3)] = c_budget[T(3)];
        break;
    }
}

static void break_reply(uint32_t clause)
{
    switch (clause) {
    case CLAUSE_reply_refs:
        r_below[T(1)] = R_MAX;
        break;
    case CLAUSE_reply_thread:
        r_thread[T(3)] = T(3);
        break;
    case CLAUSE_reply_reply:
        t_reply[T(3)] = T(3);
        break;
    case CLAUSE_reply_lent:
        t_context[T(0)] = T(0);
        break;
    case CLAUSE_reply_tops:
        c_top[T(0)] = T(1);
        break;
    case CLAUSE_reply_topped:
        c_top[T(0)] = NIL;
        break;
    case CLAUSE_reply_out:
        r_below[T(3)] = T(1);
        break;
    case CLAUSE_reply_down:
        r_above[T(1)] = T(9);
        break;
    default: /* reply_up */
        r_below[T(2)] = NIL;
        break;
    }
}

static void break_state(uint32_t clause)
{
    switch (clause) {
    case CLAUSE_thread_state:
        t_state[T(3)] = THREAD_HANDLED + 1;
        break;
    case CLAUSE_thread_current:
        t_state[current] = THREAD_STOPPED;
        break;
    case CLAUSE_thread_ready:
        t_state[T(3)] = THREAD_STOPPED;
        break;
    case CLAUSE_thread_queued:
        t_state[T(9)] = THREAD_READY;
        break;
    case CLAUSE_thread_send:
        t_state[T(5)] = THREAD_STOPPED;
        break;
    case CLAUSE_thread_receive:
        t_state[T(9)] = THREAD_STOPPED;
        break;
    case CLAUSE_thread_wait:
        t_state[T(7)] = THREAD_STOPPED;
        break;
    case CLAUSE_thread_answer:
        t_state[T(3)] = THREAD_ANSWER;
        break;
    case CLAUSE_thread_linked:
        t_reply[T(3)] = T(3);
        r_thread[T(3)] = T(3);
        break;
    case CLAUSE_thread_fault:
        t_fault[T(3)] = FAULT_PAGE;
        break;
    case CLAUSE_endpoint_one:
        e_cursor[T(2)] = T(3);
        break;
    case CLAUSE_notification_thread:
        n_thread[T(0)] = T(3);
        break;
    case CLAUSE_notification_bound:
        t_notification[T(3)] = T(0);
        break;
    default: /* bound_fields */
        t_buffer[T(3)] = 20;
        break;
    }
}

void break_threads(uint32_t clause)
{
    everything();
    kit_check("everything");
    if (clause <= CLAUSE_queue_reached) {
        break_queue(clause);
    } else if (clause <= CLAUSE_due_time) {
        break_ready(clause);
    } else if (clause <= CLAUSE_context_turn) {
        break_context(clause);
    } else if (clause <= CLAUSE_reply_up) {
        break_reply(clause);
    } else {
        break_state(clause);
    }
}
