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

/* One slice each; true when nothing is left to do. */
bool delete_slice(uint32_t s);
bool revoke_slice(uint32_t s);

/* Moves the capability of from to to: to is empty, or the move has begun (move_begun). */
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
