/* Deleting, revoking and moving in slices.
 *
 * A step is O(1) but for the noun's own slice of ending an object; a slice is steps until their
 * costs reach REVOKE_SLICE. What is left is found in the tables themselves, so a slice may be the
 * last one for ever, or the next may be somebody else's.
 *
 * A cnode is emptied slot by slot from its end. When one of its slots owns a cnode that is not
 * empty, that cnode is not emptied in turn (no stack could hold how deep this goes): its owner goes
 * to its own slot 0, where no handle reaches it. It is still derived from its untyped, and ends
 * when that is revoked.
 */
#ifndef KERNEL_DELETE_H
#define KERNEL_DELETE_H

#include "object/cnode.h"

/* clang-format off */
/* What deleting may do to slots: empty them, but for the first of a cnode, which no handle reaches
 * and to which the cnode's owner may have moved. */
#define EMPTIED(clause)                                                                            \
    clause \forall integer x; is_slot(x) ==>                                                       \
        slot_stays(x) || s_type[x] == 0 || (x < HOME_SLOTS && s_home[x] == x);
#define TABLES(clause)                                                                             \
    SLOT_FIELDS(clause) BOUND_FIELDS(clause)                                                       \
    clause owner[0 .. OBJECTS-1], f_state[0 .. PHYS_FRAMES-1];                                     \
    clause k_count[0 .. HOME_SLOTS-1], k_size[0 .. HOME_SLOTS-1];
/* clang-format on */

/* One slice each; true when nothing is left to do. */
/*@ WHOLE(requires, NIL)
    requires is_slot(s);
    TABLES(assigns)
    WHOLE(ensures, NIL)
    EMPTIED(ensures)
    ensures \result == true <==> s_type[s] == 0; */
bool delete_slice(uint32_t s);
/*@ WHOLE(requires, NIL)
    requires is_slot(s);
    TABLES(assigns)
    WHOLE(ensures, NIL)
    EMPTIED(ensures)
    ensures \result == true <==> s_first[s] == NIL; */
bool revoke_slice(uint32_t s);

/* Moves the capability of from to to: to is empty, or the move has begun (move_begun). */
/*@ WHOLE(requires, NIL)
    requires in_reach(from) && in_reach(to) && s_type[from] != 0;
    requires s_type[to] == 0 || (s_parent[from] == to && s_type[from] == s_type[to]);
    TABLES(assigns)
    WHOLE(ensures, NIL)
    ensures s_type[to] == \old(s_type[from]);
    ensures \old(s_type[to]) == 0 ==> s_object[to] == \old(s_object[from]);
    ensures \old(s_type[to]) != 0 ==> slot_stays(to);
    ensures \result ==> s_type[from] == 0;
    ensures !\result ==> slot_stays(from);
    ensures \forall integer x; is_slot(x) && x != from && x != to ==> slot_stays(x); */
bool move_slice(uint32_t from, uint32_t to);

/* from is what an earlier slice of moving it to to left there. */
/*@ requires is_slot(from) && is_slot(to);
    assigns \nothing;
    ensures \result == true <==> s_parent[from] == to && s_type[from] == s_type[to] &&
        s_object[from] == s_object[to] && s_rights[from] == s_rights[to] &&
        s_badge[from] == s_badge[to] && s_kind[from] == s_kind[to] &&
        s_count[from] == s_count[to]; */
bool move_begun(uint32_t from, uint32_t to);

#endif
