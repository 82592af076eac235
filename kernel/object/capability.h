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

    // but one that is about to go: its object has ended already
    predicate cap_memory{L}(integer but) = \forall integer s; is_slot(s) && s != but ==>
        memory_fits(s_type[s], s_object[s]);

    // the parts of a large frame are its own
    predicate large_fits{L}(integer type, integer kind, integer frame) =
        type == OBJ_FRAME && kind != 0 ==> frame % LARGE_FRAMES == 0 &&
            frame + LARGE_FRAMES <= PHYS_FRAMES &&
            \forall integer f; frame < f < frame + LARGE_FRAMES ==> f_state[f] == F_PART;

    predicate cap_large{L}(integer but) = \forall integer s; is_slot(s) && s != but ==>
        large_fits(s_type[s], s_kind[s], s_object[s]);

    // the object of every capability has an owner
    predicate cap_live{L}(integer but) = \forall integer s; is_slot(s) && s != but ==>
        own_of(s) != 0 ==> owner[own_of(s)] != NIL;

    // a copy is derived from a capability for the same object; so copies lead to the owner
    predicate cap_copy{L}(integer but) = \forall integer s; is_slot(s) && s != but ==>
        own_of(s) != 0 && owner[own_of(s)] != s ==> s_parent[s] != NIL &&
            s_type[s_parent[s]] == s_type[s] && s_object[s_parent[s]] == s_object[s] &&
            s_kind[s_parent[s]] == s_kind[s];

    // what is derived from an object's owner are copies, since owners come from ranges
    predicate cap_owner{L}(integer but) = \forall integer s; is_slot(s) && s != but ==>
        own_of(s) != 0 && owner[own_of(s)] == s ==>
            s_parent[s] == NIL || s_type[s_parent[s]] == OBJ_UNTYPED;

    // and so do ranges themselves
    predicate cap_part{L}(integer but) = \forall integer s; is_slot(s) && s != but ==>
        s_type[s] == OBJ_UNTYPED ==> s_parent[s] == NIL || s_type[s_parent[s]] == OBJ_UNTYPED;

    predicate owner_slot{L} = \forall integer o; 0 <= o < OBJECTS ==>
        owner[o] < HOME_SLOTS &&
        (owner[o] != NIL ==> s_type[owner[o]] != 0 && own_of(owner[o]) == o && o != 0);

    predicate caps{L}(integer but) = cap_type && cap_object && cap_range && cap_mapped &&
        cap_memory(but) && cap_large(but) && owner_slot && map_reverse && map_entry && cap_live(but)
   && cap_copy(but) && cap_owner(but) && cap_part(but); */

/* clang-format off */
#define CAPS(clause) CAPS_BUT(clause, NIL)
#define CAPS_BUT(clause, s)                                                                        \
    CAPS_ALONE(clause, s)                                                                          \
    clause cap_live(s); clause cap_copy(s); clause cap_owner(s); clause cap_part(s);
#define CAPS_ALONE(clause, s)                                                                      \
    clause cap_type; clause cap_object; clause cap_range; clause cap_mapped;                       \
    clause cap_memory(s); clause cap_large(s); clause owner_slot;                               \
    clause map_reverse; clause map_entry;
/* clang-format on */

/* For the predicates: the capability in a role's hidden slot is to what the field says. */
/* clang-format off */
#define FIELD_BOUND(field, role, type)                                                             \
    (\forall integer t; is_thread(t) ==> (field)[t] != NIL ==>                                     \
        s_type[THREAD_SLOT(t, role)] == (type) && s_object[THREAD_SLOT(t, role)] == (field)[t])
/* clang-format on */

/* What is hidden: nothing is derived from it, and what a thread or line is bound to agrees. */
/*@ predicate hidden_leaf{L} = \forall integer s; HOME_SLOTS <= s < SLOTS ==> s_first[s] == NIL;

    predicate hidden_thread{L} = \forall integer s; HOME_SLOTS <= s < IRQ_SLOT(0) ==>
        s_type[s] != 0 ==> s >= THREAD_SLOT(1, 0) &&
            (s - HOME_SLOTS) % THREAD_SLOTS < ROLES &&
            ((s - HOME_SLOTS) % THREAD_SLOTS == ROLE_NOTIFICATION ==>
                s_type[s] == OBJ_NOTIFICATION &&
                n_thread[s_object[s]] == (s - HOME_SLOTS) / THREAD_SLOTS) &&
            ((s - HOME_SLOTS) % THREAD_SLOTS == ROLE_CONTEXT ==> s_type[s] == OBJ_CONTEXT);

    predicate hidden_irq{L} = s_type[IRQ_SLOT(0)] == 0;

    // what a thread is bound to by field it is bound to by capability
    predicate field_cnode{L} = FIELD_BOUND(t_cnode, ROLE_CNODE, OBJ_CNODE);

    predicate field_space{L} = FIELD_BOUND(t_space, ROLE_SPACE, OBJ_SPACE);

    predicate field_buffer{L} = FIELD_BOUND(t_buffer, ROLE_BUFFER, OBJ_FRAME);

    predicate field_notification{L} =
        FIELD_BOUND(t_notification, ROLE_NOTIFICATION, OBJ_NOTIFICATION);

    predicate bound_fields{L} = field_cnode && field_space && field_buffer && field_notification;

    predicate hidden{L} = hidden_leaf && hidden_thread && hidden_irq && bound_fields; */

/* For the contracts: a notification in s is one that a thread is bound to. */
#define hides_notification(s)                                                                      \
    (HOME_SLOTS <= s < IRQ_SLOT(0) && (s - HOME_SLOTS) % THREAD_SLOTS == ROLE_NOTIFICATION)

/* clang-format off */
#define BOUND(clause)                                                                              \
    clause field_cnode; clause field_space; clause field_buffer; clause field_notification;
#define HIDDEN(clause)                                                                             \
    clause hidden_leaf; clause hidden_thread; clause hidden_irq; BOUND(clause)
/* Everything but cnodes; but: a slot that is about to be emptied. */
#define ALL(clause, but)                                                                           \
    clause forest; clause caps(but); clause maps; clause hidden; clause going;
#define SLOT_FIELDS(clause)                                                                        \
    clause s_type[0 .. SLOTS-1], s_rights[0 .. SLOTS-1], s_object[0 .. SLOTS-1];                   \
    clause s_badge[0 .. SLOTS-1], s_kind[0 .. SLOTS-1], s_count[0 .. SLOTS-1];                     \
    clause s_parent[0 .. SLOTS-1], s_first[0 .. SLOTS-1], s_next[0 .. SLOTS-1];                    \
    clause s_prev[0 .. SLOTS-1], s_table[0 .. SLOTS-1], s_entry[0 .. SLOTS-1];                     \
    clause s_order[0 .. SLOTS-1], phys[0 .. PHYS_FRAMES * 512 - 1], i_pending[0 .. I_MAX-1];
#define slot_stays(s)                                                                              \
    (s_type[s] == \at(s_type[s],Pre) && s_rights[s] == \at(s_rights[s],Pre) &&                     \
     s_object[s] == \at(s_object[s],Pre) && s_badge[s] == \at(s_badge[s],Pre) &&                   \
     s_kind[s] == \at(s_kind[s],Pre) && s_count[s] == \at(s_count[s],Pre))
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
    requires p == NIL || (is_slot(p) && s_type[p] == OBJ_UNTYPED);
    requires base_of(type) != OBJECTS && 1 <= object < length_of(type);
    requires owner[base_of(type) + object] == NIL && memory_fits(type, object);
    requires large_fits(type, kind, object);
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
    requires p == NIL || (is_slot(p) && s_type[p] == OBJ_UNTYPED);
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
    requires 1 <= from < HOME_SLOTS && 1 <= to < HOME_SLOTS;
    requires s_type[from] != 0 && s_type[to] == 0 && hidden_leaf;
    assigns s_type[to], s_rights[to], s_object[to], s_badge[to], s_kind[to], s_count[to];
    assigns s_parent[from], s_next[from], s_prev[from];
    assigns s_parent[to], s_first[to], s_next[to], s_prev[to];
    assigns s_next[s_prev[from]], s_first[s_parent[from]], s_prev[s_next[from]];
    assigns s_order[0 .. SLOTS-1], owner[own_of(from)];
    assigns phys[(s_table[from] + 1) * 512 + s_entry[from]];
    assigns s_table[from], s_entry[from], s_table[to], s_entry[to];
    FOREST(ensures) CAPS(ensures) MAPS(ensures)
    ensures hidden_leaf;
    ensures s_type[to] == s_type[from] && s_object[to] == s_object[from];
    ensures s_kind[to] == s_kind[from] && s_count[to] == s_count[from];
    ensures s_badge[to] == s_badge[from] && s_rights[to] == s_rights[from];
    ensures s_parent[to] == \old(s_parent[from]) && s_first[to] == from && s_parent[from] == to;
    ensures s_first[from] == \old(s_first[from]);
    ensures s_table[to] == \old(s_table[from]) && s_table[from] == NIL;
    ensures owner[own_of(to)] ==
        (\old(owner[own_of(from)]) == from ? to : \old(owner[own_of(from)])); */
void cap_hand_over(uint32_t from, uint32_t to);

/* Raises the first child of c, which owns nothing, one level: what was made from c is now made from
 * what c was made from. */
/*@ FOREST(requires) CAPS(requires)
    requires is_slot(c) && s_first[c] != NIL && owner[own_of(c)] != c;
    assigns s_first[c], s_first[s_parent[c]], s_parent[s_first[c]], s_next[s_first[c]];
    assigns s_prev[s_first[c]], s_prev[s_next[s_first[c]]], s_prev[c], s_next[s_prev[c]];
    assigns s_order[0 .. SLOTS-1];
    FOREST(ensures) CAPS(ensures)
    ensures s_parent[\old(s_first[c])] == s_parent[c] == \old(s_parent[c]);
    ensures s_first[c] == \old(s_next[s_first[c]]); */
void cap_raise(uint32_t c);

/* Empties a slot that has no children and owns nothing; ends its mapping or binding. */
/*@ ALL(requires, s)
    requires is_slot(s) && s_type[s] != 0 && s_first[s] == NIL && owner[own_of(s)] != s;
    assigns s_type[s], s_rights[s], s_object[s], s_badge[s], s_kind[s], s_count[s];
    assigns s_parent[s], s_next[s], s_prev[s];
    assigns s_next[s_prev[s]], s_first[s_parent[s]], s_prev[s_next[s]];
    assigns phys[s_table[s] * 512 + s_entry[s]], phys[(s_table[s] + 1) * 512 + s_entry[s]];
    assigns s_table[s], s_entry[s], i_pending[0 .. I_MAX-1];
    BOUND_FIELDS(assigns)
    ALL(ensures, NIL)
    ensures s_type[s] == 0 && s_parent[s] == NIL && s_first[s] == NIL;
    ensures \forall integer n; is_notification(n) ==> n_thread[n] ==
        (hides_notification(s) && n == \old(s_object[s]) ? NIL : \at(n_thread[n],Pre));
    ensures \forall integer x; is_slot(x) && \at(s_first[x],Pre) == NIL ==> s_first[x] == NIL; */
void cap_remove(uint32_t s);

#endif
