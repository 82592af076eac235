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

#include <stdbool.h>
#include <stdint.h>

/* The slot of the capability that each object lives by; NIL: the entry is free. Index: OWN_... +
 * the object's number. */
extern uint32_t owner[OBJECTS];

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

/* What each noun offers. X_init makes a free entry a new object. X_end does one slice of ending it;
 * true when nothing is left to do, and the entry is free to be made anew. Threads that wait on the
 * object are answered with ERR_CANCELLED. */
void thread_init(uint32_t t);
bool thread_end(uint32_t t);
void endpoint_init(uint32_t e);
bool endpoint_end(uint32_t e);
bool endpoint_cancel(uint32_t e, uint64_t badge); /* one slice: senders with the badge */
void notification_init(uint32_t n);
bool notification_end(uint32_t n);
void reply_init(uint32_t r);
bool reply_end(uint32_t r);
void context_init(uint32_t c);
bool context_end(uint32_t c);

/* A capability was put into the hidden slot THREAD_SLOT(t, role), or is about to be taken out of
 * it. Without cnode a thread's handles are all refused; without space or context it does not run.
 */
void thread_bound(uint32_t t, uint32_t role);
void thread_unbound(uint32_t t, uint32_t role);

#endif
