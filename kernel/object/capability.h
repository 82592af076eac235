/* Capabilities: what a filled slot says beyond slot.h, and the operations on whole capabilities.
 *
 * A capability is the owner of its object (object.h) or derived from another. Each operation here
 * is O(1); what takes longer is done by delete.h in slices.
 *
 * A mapping belongs to the capability that made it: s_table and s_entry say where a frame's or
 * table's capability is mapped, and the entry's reverse says by which slot (space.h).
 */
#ifndef KERNEL_CAPABILITY_H
#define KERNEL_CAPABILITY_H

#include "object/derivation.h"
#include "object/object.h"
#include "object/slot.h"

/* Entry of owner[] for the object of slot s; 0, which is nobody's, for types without owner. */
uint32_t cap_own(uint32_t s);

/* s is the owner of its object. */
bool cap_is_owner(uint32_t s);

/* Fills the empty slot s with the owner of a new object of slot p's range; p NIL: of none. */
void cap_create(uint32_t s, uint32_t p, uint8_t type, uint8_t kind, uint32_t object);

/* Fills the empty slot s with a range derived from p's; p NIL: from none. */
void cap_range(uint32_t s, uint32_t p, uint8_t type, uint8_t kind, uint32_t first, uint32_t count);

/* Fills the empty slot to with a capability derived from from, with at most its rights. */
void cap_copy(uint32_t from, uint32_t to, uint8_t rights, uint64_t badge);

/* Puts the capability of from into the empty slot to, which takes its place in everything: owner,
 * mapping, parent. from stays as a copy below to, with the children still below from. */
void cap_hand_over(uint32_t from, uint32_t to);

/* Empties a slot that has no children and owns nothing; ends its mapping or binding. */
void cap_remove(uint32_t s);

#endif
