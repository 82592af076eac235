/* What all objects have in common: who owns each, and what a noun does for the capabilities.
 *
 * An object lives by one capability, the one that retype made: its owner. All others to it are
 * derived from that one, so deleting the owner first revokes, then ends the object, then frees its
 * entry. Nothing is counted and nothing dangles: what the kernel itself keeps about a thread's
 * cnode, space, context ... stands in hidden slots that hold derived capabilities like any other.
 *
 * Ending is done in slices. After each slice the object is a whole one with less in it (a shorter
 * queue, fewer mapped entries), so nobody needs to know that it is being ended.
 */
#ifndef KERNEL_OBJECT_H
#define KERNEL_OBJECT_H

#include "abi/abi.h"
#include "config.h"
#include "object/notification.h"
#include "object/slot.h"
#include "object/thread.h"

#include <stdbool.h>
#include <stdint.h>

/* The slot of the capability that each object lives by; NIL: the entry is free. Index: OWN_... +
 * the object's number. */
extern uint32_t owner[OBJECTS];

extern uint8_t i_pending[I_MAX]; /* line i came, and is not yet acknowledged */

/* Where a type's objects stand in owner[], and one more than the last number that they have. */
/*@ logic integer base_of(integer type) =
        type == OBJ_CNODE ? OWN_CNODE : type == OBJ_THREAD ? OWN_THREAD :
        type == OBJ_ENDPOINT ? OWN_ENDPOINT : type == OBJ_NOTIFICATION ? OWN_NOTIFICATION :
        type == OBJ_REPLY ? OWN_REPLY : type == OBJ_CONTEXT ? OWN_CONTEXT :
        type == OBJ_SPACE || type == OBJ_TABLE || type == OBJ_FRAME ? OWN_FRAME :
        type == OBJ_IRQ ? OWN_IRQ : OBJECTS;

    logic integer length_of(integer type) =
        type == OBJ_CNODE ? HOME_SLOTS : type == OBJ_THREAD ? T_MAX :
        type == OBJ_ENDPOINT ? E_MAX : type == OBJ_NOTIFICATION ? N_MAX :
        type == OBJ_REPLY ? R_MAX : type == OBJ_CONTEXT ? C_MAX :
        type == OBJ_SPACE || type == OBJ_TABLE || type == OBJ_FRAME ? PHYS_FRAMES :
        type == OBJ_IRQ ? I_MAX : 0; */

/* First index in owner[] for objects of a type: OWN_...; OBJECTS for types without one. */
/*@ assigns \nothing;
    ensures \result == base_of(type); */
uint32_t own_base(uint8_t type);

/*@ predicate going{L} =
        q_refs && q_ends && q_out && q_next && q_prev && q_first && q_last && q_headed &&
        q_tailed && q_both && to_range && to_one && to_next && to_between && to_first && to_last &&
        y_priority && y_map && y_top && y_own && d_count && d_heap && d_place && d_order &&
        x_period && x_count && x_sum && x_none && x_turn && x_links && s_state && s_current &&
        s_idle && s_ready && s_send && s_receive && s_wait && s_answer && r_refs && r_agree &&
        r_lent && r_tops && r_topped && r_out && r_down && r_up && n_links; */

/* clang-format off */
/* Everything that holds between threads, their queues and their time, and what changes in it when
 * an object ends: nothing of capabilities. In one, it is going. */
#define RUNNING(clause) THREADS(clause) REPLIES(clause) clause n_links;
#define RUNNING_FIELDS(clause)                                                                     \
    clause current, running, ready_map, ready_top, due_count;                                      \
    clause t_state[0 .. T_MAX-1], t_next[0 .. T_MAX-1], t_prev[0 .. T_MAX-1];                      \
    clause t_queue[0 .. T_MAX-1], t_order[0 .. T_MAX-1], t_priority[0 .. T_MAX-1];                 \
    clause t_context[0 .. T_MAX-1], t_reply[0 .. T_MAX-1], t_fault[0 .. T_MAX-1];                  \
    clause t_badge[0 .. T_MAX-1], t_rights[0 .. T_MAX-1], t_reg[0 .. T_MAX * T_REGS - 1];          \
    clause q_head[0 .. Q_MAX-1], q_tail[0 .. Q_MAX-1], e_cursor[0 .. E_MAX-1];                     \
    clause due_heap[0 .. C_MAX-1], c_place[0 .. C_MAX-1], c_due[0 .. C_MAX-1];                     \
    clause c_budget[0 .. C_MAX-1], c_period[0 .. C_MAX-1], c_count[0 .. C_MAX-1];                  \
    clause c_time0[0 .. C_MAX-1], c_time1[0 .. C_MAX-1], c_time2[0 .. C_MAX-1];                    \
    clause c_time3[0 .. C_MAX-1], c_amount0[0 .. C_MAX-1], c_amount1[0 .. C_MAX-1];                \
    clause c_amount2[0 .. C_MAX-1], c_amount3[0 .. C_MAX-1], c_turn[0 .. C_MAX-1];                 \
    clause c_used[0 .. C_MAX-1], c_thread[0 .. C_MAX-1], c_top[0 .. C_MAX-1];                      \
    clause r_thread[0 .. R_MAX-1], r_context[0 .. R_MAX-1], r_below[0 .. R_MAX-1];                 \
    clause r_above[0 .. R_MAX-1], n_word[0 .. N_MAX-1];
#define BOUND_FIELDS(clause)                                                                       \
    RUNNING_FIELDS(clause)                                                                         \
    clause t_cnode[0 .. T_MAX-1], t_space[0 .. T_MAX-1], t_buffer[0 .. T_MAX-1];                   \
    clause t_notification[0 .. T_MAX-1], n_thread[0 .. N_MAX-1];
/* clang-format on */

/* What each noun offers. X_init makes a free entry, which is as X_end or the boot left it, a new
 * object. X_end does one slice of ending it; true when nothing is left to do, and the entry is free
 * to be made anew. Threads that wait on the object are answered with ERR_CANCELLED. */
/*@ RUNNING(requires)
    requires 1 <= t < T_MAX;
    RUNNING_FIELDS(assigns)
    RUNNING(ensures) */
void thread_init(uint32_t t);
/*@ RUNNING(requires)
    requires 1 <= t < T_MAX;
    RUNNING_FIELDS(assigns)
    RUNNING(ensures) */
bool thread_end(uint32_t t);
/*@ RUNNING(requires)
    requires 1 <= e < E_MAX;
    RUNNING_FIELDS(assigns)
    RUNNING(ensures) */
void endpoint_init(uint32_t e);
/*@ RUNNING(requires)
    requires 1 <= e < E_MAX;
    RUNNING_FIELDS(assigns)
    RUNNING(ensures) */
bool endpoint_end(uint32_t e);
/*@ RUNNING(requires)
    requires 1 <= n < N_MAX;
    RUNNING_FIELDS(assigns)
    RUNNING(ensures) */
void notification_init(uint32_t n);
/*@ RUNNING(requires)
    requires 1 <= n < N_MAX;
    RUNNING_FIELDS(assigns)
    RUNNING(ensures) */
bool notification_end(uint32_t n);
/*@ RUNNING(requires)
    requires 1 <= r < R_MAX;
    RUNNING_FIELDS(assigns)
    RUNNING(ensures) */
void reply_init(uint32_t r);
/*@ RUNNING(requires)
    requires 1 <= r < R_MAX;
    RUNNING_FIELDS(assigns)
    RUNNING(ensures) */
bool reply_end(uint32_t r);
/*@ RUNNING(requires)
    requires 1 <= c < C_MAX;
    RUNNING_FIELDS(assigns)
    RUNNING(ensures) */
void context_init(uint32_t c);
/*@ RUNNING(requires)
    requires 1 <= c < C_MAX;
    RUNNING_FIELDS(assigns)
    RUNNING(ensures) */
bool context_end(uint32_t c);

/* A capability was put into the hidden slot THREAD_SLOT(t, role), or is about to be taken out of
 * it. Without cnode a thread's handles are all refused; without space or context it does not run.
 */
void thread_bound(uint32_t t, uint32_t role);
/*@ RUNNING(requires)
    requires 1 <= t < T_MAX && role < ROLES;
    requires role == ROLE_NOTIFICATION ==> is_notification(s_object[THREAD_SLOT(t, role)]) &&
        n_thread[s_object[THREAD_SLOT(t, role)]] == t;
    requires role == ROLE_CONTEXT ==> is_context(s_object[THREAD_SLOT(t, role)]);
    RUNNING_FIELDS(assigns)
    assigns t_cnode[t], t_space[t], t_buffer[t], t_notification[t], n_thread[0 .. N_MAX-1];
    RUNNING(ensures)
    ensures \forall integer n; is_notification(n) ==> n_thread[n] ==
        (role == ROLE_NOTIFICATION && n == s_object[THREAD_SLOT(t, role)]
             ? NIL : \at(n_thread[n],Pre)); */
void thread_unbound(uint32_t t, uint32_t role);

/* The notification of line i is about to leave its hidden slot. */
/*@ requires 1 <= i < I_MAX;
    assigns i_pending[i];
    ensures i_pending[i] == 0; */
void irq_unbound(uint32_t i);

#endif
