/* Cnodes: ranges of slots that handles index.
 *
 * A cnode is named by its first slot; of that one no handle exists (handle 0 is none). s_home says
 * which cnode a slot belongs to, but counts only while the slot lies within that cnode's size: so a
 * whole cnode is freed by one store. k_count shrinks while the cnode is being emptied, from its
 * end.
 */
#ifndef KERNEL_CNODE_H
#define KERNEL_CNODE_H

#include "object/capability.h"

extern uint32_t s_home[HOME_SLOTS];  /* first slot of the cnode */
extern uint32_t k_count[HOME_SLOTS]; /* by first slot: indices that handles reach */
extern uint32_t k_size[HOME_SLOTS];  /* by first slot: slots that are the cnode's; 0: no cnode */

/*@ predicate is_home(integer s) = 1 <= s < HOME_SLOTS;

    // a slot's cnode does not begin behind it
    predicate k_home{L} = \forall integer s; 0 <= s < HOME_SLOTS ==> 0 <= s_home[s] <= s;

    // a cnode lies in the table, and handles reach into nothing else
    predicate k_sizes{L} = k_size[NIL] == 0 && \forall integer k; 0 <= k < HOME_SLOTS ==>
        0 <= k_count[k] <= k_size[k] <= HOME_SLOTS - k;

    // the slots of a cnode say so; so no slot has two cnodes
    predicate k_owned{L} = \forall integer k, s;
        0 <= k <= s < HOME_SLOTS && s < k + k_size[k] ==> s_home[s] == k;

    // what is filled lies in a cnode and in reach of its handles, or is the cnode's own owner
    predicate home_filled{L}(integer but) = \forall integer s; is_home(s) && s != but ==>
        s_type[s] != 0 ==> s_home[s] != NIL && s - s_home[s] < k_size[s_home[s]] &&
            ((s != s_home[s] && s - s_home[s] < k_count[s_home[s]]) || owner[s_home[s]] == s);

    // cnodes are what has an owner
    predicate cnode_owner{L}(integer but) = \forall integer k; is_home(k) ==>
        (k_size[k] != 0 ==> owner[k] != NIL) &&
        (owner[k] != NIL && owner[k] != but ==> k_size[k] != 0);

    predicate cnodes{L}(integer but) = k_home && k_sizes && k_owned && home_filled(but) &&
        cnode_owner(but); */

/* For the contracts; a predicate would hide s_home[s] from the provers' triggers. */
#define slot_is_free(s) (s_home[s] == NIL || (s)-s_home[s] >= k_size[s_home[s]])

/* The same: handles reach the slot. */
#define in_reach(s) (is_home(s) && s != s_home[s] && s - s_home[s] < k_count[s_home[s]])

/* clang-format off */
#define CNODES(clause)                                                                             \
    clause k_home; clause k_sizes; clause k_owned;
#define WHOLE(clause, but) ALL(clause, but) clause cnodes(but);
/* What changes when capabilities are copied into cnodes. */
#define COPY_FIELDS(clause)                                                                        \
    clause s_type[1 .. HOME_SLOTS-1], s_rights[1 .. HOME_SLOTS-1], s_object[1 .. HOME_SLOTS-1];    \
    clause s_badge[1 .. HOME_SLOTS-1], s_kind[1 .. HOME_SLOTS-1], s_count[1 .. HOME_SLOTS-1];      \
    clause s_parent[1 .. HOME_SLOTS-1], s_next[1 .. HOME_SLOTS-1], s_first[1 .. HOME_SLOTS-1];     \
    clause s_prev[0 .. SLOTS-1], s_order[0 .. SLOTS-1];
/* clang-format on */

/* The slot belongs to no cnode. */
/*@ CNODES(requires)
    requires is_home(s);
    assigns \nothing;
    ensures \result == true <==> slot_is_free(s); */
bool slot_free(uint32_t s);

/* How many of count slots from first on are free before the first one that is not. */
/*@ CNODES(requires)
    requires is_home(first) && first + count <= HOME_SLOTS;
    assigns \nothing;
    ensures 0 <= \result <= count;
    ensures \forall integer s; first <= s < first + \result ==> slot_is_free(s);
    ensures \result < count ==> !slot_is_free(first + \result); */
uint32_t slots_free(uint32_t first, uint32_t count);

/* The slot behind an index of cnode k; NIL when there is none. */
/*@ logic integer slot_at{L}(integer k, integer index) =
        1 <= index && index < k_count[k] ? k + index : NIL; */
/*@ CNODES(requires)
    requires 0 <= k < HOME_SLOTS;
    assigns \nothing;
    ensures \result == slot_at(k, index) && \result < HOME_SLOTS;
    ensures \result != NIL ==> is_home(\result) && s_home[\result] == k &&
        !slot_is_free(\result); */
static inline uint32_t cnode_slot(uint32_t k, uint64_t index)
{
    return index == 0 || index >= k_count[k] ? NIL : k + (uint32_t)index;
}

/* Makes the free slots from .. from + count - 1 the end of cnode k, which ends at from. */
/*@ CNODES(requires)
    requires is_home(k) && 1 <= count && from + count <= HOME_SLOTS;
    requires from == k + k_size[k];
    requires \forall integer s; from <= s < from + count ==> slot_is_free(s);
    assigns s_home[from .. from + count - 1], k_size[k], k_count[k];
    CNODES(ensures)
    ensures k_size[k] == \old(k_size[k]) + count && k_count[k] == k_size[k];
    ensures \forall integer s; from <= s < from + count ==> !slot_is_free(s);
    ensures \forall integer s; is_home(s) && !(from <= s < from + count) ==>
        (slot_is_free(s) <==> \at(slot_is_free(s),Pre)); */
void cnode_extend(uint32_t k, uint32_t from, uint32_t count);

/* Makes cnode k, which handles reach into no more, free slots. */
/*@ CNODES(requires)
    requires is_home(k) && k_count[k] == 0;
    assigns k_size[k];
    CNODES(ensures)
    ensures k_size[k] == 0;
    ensures \forall integer s; is_home(s) ==>
        (slot_is_free(s) <==> \at(slot_is_free(s),Pre) || s_home[s] == k); */
void cnode_free(uint32_t k);

#endif
