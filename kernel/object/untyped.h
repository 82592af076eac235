/* Untyped ranges: who may make objects of which entries.
 *
 * An untyped is a range of one noun's entries, {kind, first, count}: a right, not a container. It
 * can be copied and narrowed at any time; what says whether an entry is free is the entry itself.
 * Retype names the part to use, and everything made is derived from the untyped that was invoked,
 * so revoking that one takes it all back.
 *
 * kind        entries                          made of them
 * slot        slots                            cnode: a range
 * thread ...  that noun's table                one object each
 * frame       frames of memory                 frame (1 or 512, aligned), table and space (2)
 * device      frames outside of memory         device frames; nothing is kept about them
 * irq         lines, 1 .. I_MAX - 1            irq
 * port        I/O ports                        port: a range; nothing is kept about them
 */
#ifndef KERNEL_UNTYPED_H
#define KERNEL_UNTYPED_H

#include "object/cnode.h"

/*@ logic integer kind_of(integer type) =
        type == OBJ_CNODE ? KIND_SLOT : type == OBJ_THREAD ? KIND_THREAD :
        type == OBJ_ENDPOINT ? KIND_ENDPOINT : type == OBJ_NOTIFICATION ? KIND_NOTIFICATION :
        type == OBJ_REPLY ? KIND_REPLY : type == OBJ_CONTEXT ? KIND_CONTEXT :
        type == OBJ_SPACE || type == OBJ_TABLE || type == OBJ_FRAME ? KIND_FRAME :
        type == OBJ_DEVICE ? KIND_DEVICE : type == OBJ_IRQ ? KIND_IRQ :
        type == OBJ_PORT ? KIND_PORT : 0;

    logic integer unit_of(integer type, integer size) =
        type == OBJ_SPACE || type == OBJ_TABLE ? TABLE_FRAMES :
        (type == OBJ_FRAME || type == OBJ_DEVICE) && size != 0 ? LARGE_FRAMES : 1;

    // by cases, since a product of two unknowns is hard to prove anything of
    logic integer span_of(integer type, integer size, integer count) =
        type == OBJ_SPACE || type == OBJ_TABLE ? TABLE_FRAMES * count :
        (type == OBJ_FRAME || type == OBJ_DEVICE) && size != 0 ? LARGE_FRAMES * count : count; */

/* The kind of range that objects of a type are made from; 0: of none (monitor). Untyped: 0. */
/*@ assigns \nothing;
    ensures \result == kind_of(type) && \result < KINDS; */
uint8_t type_kind(uint32_t type);

/* The type is made as one range: a cnode, an untyped, ports. */
/*@ assigns \nothing;
    ensures \result == true <==> type == OBJ_CNODE || type == OBJ_UNTYPED || type == OBJ_PORT; */
bool type_is_range(uint32_t type);

/* Entries that one object of the type and size takes. */
/*@ assigns \nothing;
    ensures \result == unit_of(type, size); */
uint32_t type_unit(uint32_t type, uint32_t size);

/* Entries that count objects of the type and size take. */
/*@ requires count <= 4294967295;
    assigns \nothing;
    ensures \result == span_of(type, size, count); */
uint64_t type_span(uint32_t type, uint32_t size, uint64_t count);

/* For the contracts: an entry of the kind of range that objects of the type are made of is free. */
#define entry_is_free(type, e)                                                                     \
    (kind_of(type) == KIND_SLOT    ? slot_is_free(e)                                               \
     : kind_of(type) == KIND_FRAME ? f_state[e] <= F_ZERO                                          \
                                   : owner[base_of(type) + (e)] == NIL)

/* The same; and it is zeroed where it is memory. */
#define entry_is_ready(type, e)                                                                    \
    (kind_of(type) == KIND_FRAME ? f_state[e] == F_ZERO : owner[base_of(type) + (e)] == NIL)

/*@ // one object of a type and size that begins at entry first: it lies in the table, aligned
    predicate unit_fits(integer type, integer size, integer first) =
        (base_of(type) != OBJECTS ==>
            1 <= first && first + unit_of(type, size) <= length_of(type)) &&
        (type == OBJ_TABLE ==> 1 <= size < ARCH_LEVELS) &&
        (type == OBJ_FRAME || type == OBJ_DEVICE ==> size <= 1) &&
        (type == OBJ_FRAME && size != 0 ==> first % LARGE_FRAMES == 0);

    // count of them, one behind the other
    predicate units_fit(integer type, integer size, integer first, integer count) =
        unit_fits(type, size, first) && first + span_of(type, size, count) <= 4294967296 &&
        (base_of(type) != OBJECTS ==> first + span_of(type, size, count) <= length_of(type)) &&
        (unit_of(type, size) == LARGE_FRAMES ==> count == 1); */

/* How many of count entries from first are free before the first one that is not. */
/*@ CNODES(requires)
    requires type < TYPES;
    requires kind_of(type) == KIND_SLOT ==> 1 <= first && first < HOME_SLOTS;
    requires base_of(type) != OBJECTS ==> first + count <= length_of(type);
    assigns \nothing;
    ensures \result <= count;
    ensures base_of(type) == OBJECTS ==> \result == count;
    ensures base_of(type) != OBJECTS ==>
        \forall integer e; first <= e < first + \result ==> entry_is_free(type, e);
    ensures base_of(type) != OBJECTS && \result < count ==>
        !entry_is_free(type, first + \result); */
uint32_t entries_free(uint32_t type, uint32_t first, uint32_t count);

/* clang-format off */
/* The new capability: empty slot to for it, below untyped u or nothing. */
#define NEW(clause)                                                                                \
    clause in_reach(to) && s_type[to] == 0;                                                        \
    clause u == NIL || (is_home(u) && s_type[u] == OBJ_UNTYPED);
/* clang-format on */

/* Makes one object of entries that are free (frames: and zeroed), and its owner in the empty slot
 * to, derived from untyped u; u NIL: at boot. size as in retype. */
/*@ WHOLE(requires, NIL)
    NEW(requires)
    requires 1 <= type < TYPES && (type == OBJ_DEVICE || base_of(type) != OBJECTS);
    requires type != OBJ_CNODE && unit_fits(type, size, first);
    requires base_of(type) != OBJECTS ==> \forall integer e;
        first <= e < first + unit_of(type, size) ==> entry_is_ready(type, e);
    SLOT_FIELDS(assigns)
    RUNNING_FIELDS(assigns)
    assigns owner[0 .. OBJECTS-1], f_state[0 .. PHYS_FRAMES-1];
    WHOLE(ensures, NIL)
    ensures s_type[to] == type && s_object[to] == first && s_badge[to] == 0;
    ensures s_rights[to] == type_rights[type] && s_parent[to] == u;
    ensures base_of(type) != OBJECTS ==> owner[base_of(type) + first] == to;
    ensures \forall integer o; 0 <= o < OBJECTS && o != base_of(type) + first ==>
        owner[o] == \at(owner[o],Pre);
    ensures \forall integer f; 0 <= f < PHYS_FRAMES &&
        !(first <= f < first + unit_of(type, size)) ==> f_state[f] == \at(f_state[f],Pre);
    ensures \forall integer x; is_slot(x) && x != to ==> slot_stays(x); */
void object_make(uint32_t u, uint32_t type, uint32_t size, uint32_t first, uint32_t to);

/* Makes one range: cnode, untyped of a kind, ports. */
/*@ WHOLE(requires, NIL)
    NEW(requires)
    requires type == OBJ_CNODE || type == OBJ_UNTYPED || type == OBJ_PORT;
    requires type == OBJ_CNODE ==> is_home(first) && 1 <= count && first + count <= HOME_SLOTS &&
        \forall integer s; first <= s < first + count ==> slot_is_free(s);
    requires type != OBJ_CNODE ==> range_fits(type, kind, first, count);
    SLOT_FIELDS(assigns)
    assigns owner[0 .. OBJECTS-1], s_home[0 .. HOME_SLOTS-1];
    assigns k_count[type == OBJ_CNODE ? first : NIL], k_size[type == OBJ_CNODE ? first : NIL];
    WHOLE(ensures, NIL)
    ensures s_type[to] == type && s_object[to] == first && s_badge[to] == 0;
    ensures s_rights[to] == type_rights[type] && s_parent[to] == u;
    ensures type == OBJ_CNODE ==> owner[first] == to && k_count[first] == k_size[first] == count;
    ensures type != OBJ_CNODE ==> s_kind[to] == kind && s_count[to] == count;
    ensures \forall integer x; is_slot(x) && x != to ==> slot_stays(x); */
void range_make(uint32_t u, uint32_t type, uint8_t kind, uint32_t first, uint32_t count,
                uint32_t to);

#endif
