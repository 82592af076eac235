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

#include "abi/abi_table.h"
#include "object/derivation.h"
#include "object/object.h"
#include "object/slot.h"
#include "object/space.h"

/*@ logic integer own_of{L}(integer s) =
        base_of(s_type[s]) == OBJECTS ? 0 : base_of(s_type[s]) + s_object[s];

    logic integer kind_length(integer kind) =
        kind == KIND_SLOT ? HOME_SLOTS : kind == KIND_THREAD ? T_MAX :
        kind == KIND_ENDPOINT ? E_MAX : kind == KIND_NOTIFICATION ? N_MAX :
        kind == KIND_REPLY ? R_MAX : kind == KIND_CONTEXT ? C_MAX :
        kind == KIND_FRAME ? PHYS_FRAMES : kind == KIND_IRQ ? I_MAX :
        kind == KIND_PORT ? ARCH_PORTS : 4294967296;

    predicate range_fits(integer type, integer kind, integer first, integer count) =
        (type == OBJ_PORT ==> first + count <= ARCH_PORTS) &&
        (type == OBJ_UNTYPED ==> 1 <= kind < KINDS && first + count <= kind_length(kind) &&
            (first == 0 ==> kind == KIND_PORT));

    predicate cap_type{L} = \forall integer s; is_slot(s) ==> s_type[s] < TYPES;

    predicate cap_object{L} = \forall integer s; is_slot(s) ==>
        base_of(s_type[s]) != OBJECTS ==> 1 <= s_object[s] < length_of(s_type[s]);

    predicate cap_range{L} = \forall integer s; is_slot(s) ==>
        range_fits(s_type[s], s_kind[s], s_object[s], s_count[s]);

    predicate cap_mapped{L} = \forall integer s; is_slot(s) ==> s_table[s] != NIL ==>
        s_type[s] == OBJ_TABLE || s_type[s] == OBJ_FRAME || s_type[s] == OBJ_DEVICE;

    predicate memory_fits{L}(integer type, integer frame) =
        (type == OBJ_FRAME ==> f_state[frame] == F_FRAME) &&
        (type == OBJ_TABLE ==> F_TABLE1 <= f_state[frame] <= F_TABLE3) &&
        (type == OBJ_SPACE ==> f_state[frame] == F_SPACE);

    predicate cap_memory{L} = \forall integer s; is_slot(s) ==>
        memory_fits(s_type[s], s_object[s]);

    predicate owner_slot{L} = \forall integer o; 0 <= o < OBJECTS ==>
        owner[o] < HOME_SLOTS &&
        (owner[o] != NIL ==> s_type[owner[o]] != 0 && own_of(owner[o]) == o && o != 0); */

/* clang-format off */
#define CAPS(clause)                                                                               \
    clause cap_type; clause cap_object; clause cap_range; clause cap_mapped; clause cap_memory; \
    clause owner_slot;
/* clang-format on */

/* Entry of owner[] for the object of slot s; 0, which is nobody's, for types without owner. */
/*@ requires cap_object && is_slot(s);
    assigns \nothing;
    ensures \result == own_of(s) && \result < OBJECTS; */
uint32_t cap_own(uint32_t s);

/* s is the owner of its object. */
/*@ requires cap_object && owner_slot && is_slot(s);
    assigns \nothing;
    ensures \result == true <==> owner[own_of(s)] == s; */
bool cap_is_owner(uint32_t s);

/* Fills the empty slot s with the owner of a new object of slot p's range; p NIL: of none. */
/*@ FOREST(requires) CAPS(requires)
    requires 1 <= s < HOME_SLOTS && s_type[s] == 0 && 1 <= type < TYPES;
    requires p == NIL || (is_slot(p) && s_type[p] != 0);
    requires base_of(type) != OBJECTS && 1 <= object < length_of(type);
    requires owner[base_of(type) + object] == NIL && memory_fits(type, object);
    assigns s_type[s], s_rights[s], s_object[s], s_badge[s], s_kind[s], s_count[s];
    assigns s_parent[s], s_next[s], s_prev[s_first[p]], s_first[p], s_order[0 .. SLOTS-1];
    assigns owner[base_of(type) + object];
    FOREST(ensures) CAPS(ensures)
    ensures s_type[s] == type && s_object[s] == object && s_badge[s] == 0;
    ensures s_kind[s] == kind && s_count[s] == 0 && s_rights[s] == type_rights[type];
    ensures s_first[s] == NIL && s_parent[s] == p && (p != NIL ==> s_first[p] == s);
    ensures owner[base_of(type) + object] == s; */
void cap_create(uint32_t s, uint32_t p, uint8_t type, uint8_t kind, uint32_t object);

/* Fills the empty slot s with a range derived from p's; p NIL: from none. */
/*@ FOREST(requires) CAPS(requires)
    requires is_slot(s) && s_type[s] == 0 && 1 <= type < TYPES && base_of(type) == OBJECTS;
    requires p == NIL || (is_slot(p) && s_type[p] != 0);
    requires range_fits(type, kind, first, count);
    assigns s_type[s], s_rights[s], s_object[s], s_badge[s], s_kind[s], s_count[s];
    assigns s_parent[s], s_next[s], s_prev[s_first[p]], s_first[p], s_order[0 .. SLOTS-1];
    FOREST(ensures) CAPS(ensures)
    ensures s_type[s] == type && s_object[s] == first && s_badge[s] == 0;
    ensures s_kind[s] == kind && s_count[s] == count && s_rights[s] == type_rights[type];
    ensures s_first[s] == NIL && s_parent[s] == p && (p != NIL ==> s_first[p] == s); */
void cap_range(uint32_t s, uint32_t p, uint8_t type, uint8_t kind, uint32_t first, uint32_t count);

/* Fills the empty slot to with a capability derived from from, with at most its rights. */
/*@ FOREST(requires) CAPS(requires)
    requires is_slot(from) && is_slot(to) && s_type[from] != 0 && s_type[to] == 0;
    assigns s_type[to], s_rights[to], s_object[to], s_badge[to], s_kind[to], s_count[to];
    assigns s_parent[to], s_next[to], s_prev[s_first[from]], s_first[from];
    assigns s_order[0 .. SLOTS-1];
    FOREST(ensures) CAPS(ensures)
    ensures s_type[to] == s_type[from] && s_object[to] == s_object[from];
    ensures s_kind[to] == s_kind[from] && s_count[to] == s_count[from] && s_badge[to] == badge;
    ensures s_rights[to] == (s_rights[from] & rights) % (RIGHTS_ALL + 1);
    ensures s_first[to] == NIL && s_parent[to] == from && s_first[from] == to; */
void cap_copy(uint32_t from, uint32_t to, uint8_t rights, uint64_t badge);

/* Puts the capability of from into the empty slot to, which takes its place in everything: owner,
 * mapping, parent. from stays as a copy below to, with the children still below from. */
/*@ FOREST(requires) CAPS(requires) MAPS(requires)
    requires is_slot(from) && 1 <= to < HOME_SLOTS && s_type[from] != 0 && s_type[to] == 0;
    assigns s_type[to], s_rights[to], s_object[to], s_badge[to], s_kind[to], s_count[to];
    assigns s_parent[from], s_next[from], s_prev[from];
    assigns s_parent[to], s_first[to], s_next[to], s_prev[to];
    assigns s_next[s_prev[from]], s_first[s_parent[from]], s_prev[s_next[from]];
    assigns s_order[0 .. SLOTS-1], owner[own_of(from)];
    assigns phys[(s_table[from] + 1) * 512 + s_entry[from]];
    assigns s_table[from], s_entry[from], s_table[to], s_entry[to];
    FOREST(ensures) CAPS(ensures) MAPS(ensures)
    ensures s_type[to] == s_type[from] && s_object[to] == s_object[from];
    ensures s_kind[to] == s_kind[from] && s_count[to] == s_count[from];
    ensures s_badge[to] == s_badge[from] && s_rights[to] == s_rights[from];
    ensures s_parent[to] == \old(s_parent[from]) && s_first[to] == from && s_parent[from] == to;
    ensures s_first[from] == \old(s_first[from]);
    ensures s_table[to] == \old(s_table[from]) && s_table[from] == NIL;
    ensures owner[own_of(to)] ==
        (\old(owner[own_of(from)]) == from ? to : \old(owner[own_of(from)])); */
void cap_hand_over(uint32_t from, uint32_t to);

/* Empties a slot that has no children and owns nothing; ends its mapping or binding. */
void cap_remove(uint32_t s);

#endif
