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

/* What each noun offers. X_end does one slice of ending an object; true when nothing is left to do,
 * and the entry is as the boot left it: free to be made anew. Threads that wait on the object are
 * answered with ERR_CANCELLED, in each slice at least who is first. Only threads have something
 * that a new one needs. */
/*@ requires is_thread(t);
    assigns t_reg[t * 32 .. t * 32 + 31];
    ensures \forall integer r; t * 32 <= r < t * 32 + 32 && r != t * 32 + R_FULL ==>
        t_reg[r] == 0;
    ensures t_reg[t * 32 + R_FULL] == 1; */
void thread_init(uint32_t t);
/*@ requires works;
    requires 1 <= t < T_MAX;
    RUNNING_FIELDS(assigns)
    ensures works;
    ensures \result && t_state[t] == THREAD_STOPPED && t_queue[t] == NIL && t_fault[t] == 0;
    ensures t_reply[t] == NIL && t_context[t] == NIL && current != t && t_priority[t] == 0; */
bool thread_end(uint32_t t);
/*@ requires works;
    requires 1 <= e < E_MAX;
    RUNNING_FIELDS(assigns)
    ensures works;
    ensures \result ==> q_head[PRIORITIES + e + 1] == NIL && e_cursor[e] == NIL &&
        q_head[PRIORITIES + E_MAX + e + 1] == NIL;
    ensures \let t = \old(q_head[PRIORITIES + e + 1] != NIL ? q_head[PRIORITIES + e + 1]
                                                           : q_head[PRIORITIES + E_MAX + e + 1]);
        t != NIL ==> t_state[t] <= THREAD_READY; */
bool endpoint_end(uint32_t e);
/*@ requires works;
    requires 1 <= n < N_MAX;
    requires n_links;
    RUNNING_FIELDS(assigns)
    assigns n_word[n];
    ensures works;
    ensures n_links;
    ensures \result ==> q_head[PRIORITIES + 2 * E_MAX + n + 1] == NIL && n_word[n] == 0;
    ensures \let t = \old(q_head[PRIORITIES + 2 * E_MAX + n + 1]);
        t != NIL ==> t_state[t] <= THREAD_READY; */
bool notification_end(uint32_t n);
/*@ requires works;
    requires 1 <= r < R_MAX;
    RUNNING_FIELDS(assigns)
    ensures works;
    ensures \result && r_thread[r] == NIL && r_context[r] == NIL; */
bool reply_end(uint32_t r);
/*@ requires works;
    requires 1 <= c < C_MAX;
    RUNNING_FIELDS(assigns)
    ensures works;
    ensures \result ==> c_top[c] == NIL && c_thread[c] == NIL && due_count < c_place[c];
    ensures \result ==> c_budget[c] == 0 && running != c; */
bool context_end(uint32_t c);

/* A capability was put into the hidden slot THREAD_SLOT(t, role), or is about to be taken out of
 * it. Without cnode a thread's handles are all refused; without space or context it does not run.
 */
/*@ requires works;
    requires n_links && is_thread(t) && role < ROLES;
    requires role == ROLE_NOTIFICATION ==> is_notification(s_object[THREAD_SLOT(t, role)]) &&
        n_thread[s_object[THREAD_SLOT(t, role)]] == NIL && t_notification[t] == NIL;
    requires role == ROLE_CONTEXT ==> is_context(s_object[THREAD_SLOT(t, role)]);
    RUNNING_FIELDS(assigns)
    assigns t_cnode[t], t_space[t], t_buffer[t], t_notification[t];
    assigns n_thread[0 .. N_MAX-1], n_word[0 .. N_MAX-1];
    ensures works;
    ensures n_links;
    ensures t_cnode[t] ==
        (role == ROLE_CNODE ? s_object[THREAD_SLOT(t, role)] : \old(t_cnode[t]));
    ensures t_space[t] ==
        (role == ROLE_SPACE ? s_object[THREAD_SLOT(t, role)] : \old(t_space[t]));
    ensures t_buffer[t] ==
        (role == ROLE_BUFFER ? s_object[THREAD_SLOT(t, role)] : \old(t_buffer[t]));
    ensures t_notification[t] ==
        (role == ROLE_NOTIFICATION ? s_object[THREAD_SLOT(t, role)] : \old(t_notification[t]));
    ensures \forall integer n; is_notification(n) ==> n_thread[n] ==
        (role == ROLE_NOTIFICATION && n == s_object[THREAD_SLOT(t, role)]
             ? t : \at(n_thread[n],Pre));
    ensures role == ROLE_CONTEXT ==> t_context[t] == s_object[THREAD_SLOT(t, role)]; */
void thread_bound(uint32_t t, uint32_t role);
/*@ requires works;
    requires n_links && is_thread(t) && role < ROLES;
    requires role == ROLE_NOTIFICATION ==> is_notification(s_object[THREAD_SLOT(t, role)]) &&
        n_thread[s_object[THREAD_SLOT(t, role)]] == t;
    requires role == ROLE_CONTEXT ==> is_context(s_object[THREAD_SLOT(t, role)]);
    RUNNING_FIELDS(assigns)
    assigns t_cnode[t], t_space[t], t_buffer[t], t_notification[t], n_thread[0 .. N_MAX-1];
    ensures works;
    ensures n_links;
    ensures t_cnode[t] == (role == ROLE_CNODE ? NIL : \old(t_cnode[t]));
    ensures t_space[t] == (role == ROLE_SPACE ? NIL : \old(t_space[t]));
    ensures t_buffer[t] == (role == ROLE_BUFFER ? NIL : \old(t_buffer[t]));
    ensures t_notification[t] == (role == ROLE_NOTIFICATION ? NIL : \old(t_notification[t]));
    ensures \forall integer n; is_notification(n) ==> n_thread[n] ==
        (role == ROLE_NOTIFICATION && n == s_object[THREAD_SLOT(t, role)]
             ? NIL : \at(n_thread[n],Pre));
    ensures role == ROLE_CONTEXT ==> t_context[t] != s_object[THREAD_SLOT(t, role)]; */
void thread_unbound(uint32_t t, uint32_t role);

/* The notification of line i is about to leave its hidden slot. */
/*@ requires 1 <= i < I_MAX;
    assigns i_pending[i];
    ensures i_pending[i] == 0; */
void irq_unbound(uint32_t i);

#endif
