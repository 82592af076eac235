/* Slots: the places that hold capabilities. One table serves all cnodes, one array a field.
 *
 * A slot is an index 1 .. SLOTS-1. It is empty when its type is 0; then it has no links. The links
 * are those of the derivation forest (derivation.h); they stand here because an empty slot must
 * have none. A filled slot without parent is a root; a cut-off slot is a root without children.
 *
 * What the prover knows beside the fields is s_order, a permutation of the slots' indices: each
 * slot is ordered before its parent and before its next sibling. So there is no cycle of parents
 * or siblings, and because it is a permutation, the ranks stay bounded whatever is done.
 */
#ifndef KERNEL_SLOT_H
#define KERNEL_SLOT_H

#include "../config.h"

#include <stdbool.h>
#include <stdint.h>

extern uint8_t s_type[SLOTS];    /* type of the object, 0 when empty */
extern uint8_t s_rights[SLOTS];  /* what may be done by it */
extern uint32_t s_object[SLOTS]; /* index of the object in its noun's table */
extern uint64_t s_badge[SLOTS];  /* what the object's holder tells senders apart by */
extern uint32_t s_parent[SLOTS]; /* derived from */
extern uint32_t s_first[SLOTS];  /* first child */
extern uint32_t s_next[SLOTS];   /* siblings */
extern uint32_t s_prev[SLOTS];
extern uint32_t s_count[SLOTS]; /* untyped, port: length of the range that starts at s_object */
extern uint8_t s_kind[SLOTS];   /* untyped: its kind; frame, device: 1 when large */
extern uint32_t s_table[SLOTS]; /* frame, device, table: page table where it is mapped, or NIL */
extern uint32_t s_entry[SLOTS]; /* entry there */
/*@ ghost extern uint32_t s_order[SLOTS]; */

/* The invariant of the forest, clause by clause. */
/*@ predicate is_slot(integer s) = 1 <= s < SLOTS;

    predicate slot_refs{L} = \forall integer s; is_slot(s) ==>
        0 <= s_parent[s] < SLOTS && 0 <= s_first[s] < SLOTS &&
        0 <= s_next[s] < SLOTS && 0 <= s_prev[s] < SLOTS;

    predicate slot_empty{L} = \forall integer s; is_slot(s) ==> s_type[s] == 0 ==>
        s_parent[s] == NIL && s_first[s] == NIL && s_next[s] == NIL && s_prev[s] == NIL;

    predicate slot_parent{L} = \forall integer s; is_slot(s) ==> s_parent[s] != NIL ==>
        s_type[s_parent[s]] != 0 && s_first[s_parent[s]] != NIL;

    predicate slot_root{L} = \forall integer s; is_slot(s) ==> s_parent[s] == NIL ==>
        s_next[s] == NIL && s_prev[s] == NIL;

    predicate slot_first{L} = \forall integer s; is_slot(s) ==> s_first[s] != NIL ==>
        s_parent[s_first[s]] == s && s_prev[s_first[s]] == NIL;

    predicate slot_head{L} = \forall integer s; is_slot(s) ==>
        s_parent[s] != NIL && s_prev[s] == NIL ==> s_first[s_parent[s]] == s;

    predicate slot_next{L} = \forall integer s; is_slot(s) ==> s_next[s] != NIL ==>
        s_prev[s_next[s]] == s && s_parent[s_next[s]] == s_parent[s];

    predicate slot_prev{L} = \forall integer s; is_slot(s) ==> s_prev[s] != NIL ==>
        s_next[s_prev[s]] == s && s_parent[s_prev[s]] == s_parent[s];

    predicate o_range{L} = \forall integer s; is_slot(s) ==> 1 <= s_order[s] < SLOTS;

    predicate o_one{L} = \forall integer s, t; is_slot(s) && is_slot(t) ==>
        s_order[s] == s_order[t] ==> s == t;

    predicate o_parent{L} = \forall integer s; is_slot(s) ==> s_parent[s] != NIL ==>
        s_order[s] < s_order[s_parent[s]];

    predicate o_next{L} = \forall integer s; is_slot(s) ==> s_next[s] != NIL ==>
        s_order[s] < s_order[s_next[s]];

    predicate o_between{L} = \forall integer s, t; is_slot(s) && is_slot(t) ==>
        s_next[s] != NIL && s_parent[t] == s_parent[s] ==>
        s_order[t] <= s_order[s] || s_order[s_next[s]] <= s_order[t];

    predicate o_first{L} = \forall integer s, t; is_slot(s) && is_slot(t) ==>
        s_first[s] != NIL && s_parent[t] == s ==> s_order[s_first[s]] <= s_order[t];

    predicate o_last{L} = \forall integer s, t; is_slot(s) && is_slot(t) ==>
        s_parent[s] != NIL && s_next[s] == NIL && s_parent[t] == s_parent[s] ==>
        s_order[t] <= s_order[s];

    predicate slot_cut_off{L}(integer s) =
        s_parent[s] == NIL && s_first[s] == NIL && s_next[s] == NIL && s_prev[s] == NIL; */

/* The whole invariant: in one for those who hand it on, and each clause a goal of its own for those
 * who change it, as FOREST(requires), FOREST(loop invariant) ... */
/*@ predicate forest{L} = slot_refs && slot_empty && slot_parent && slot_root && slot_first &&
        slot_head && slot_next && slot_prev && o_range && o_one && o_parent && o_next &&
        o_between && o_first && o_last; */

/* clang-format off */
#define FOREST(clause)                                                                            \
    clause slot_refs; clause slot_empty; clause slot_parent; clause slot_root; clause slot_first;  \
    clause slot_head; clause slot_next; clause slot_prev; clause o_range; clause o_one;            \
    clause o_parent; clause o_next; clause o_between; clause o_first; clause o_last;
/* clang-format on */

/* Makes every slot empty; at boot. */
/*@ assigns s_type[0 .. SLOTS-1], s_rights[0 .. SLOTS-1], s_object[0 .. SLOTS-1],
        s_badge[0 .. SLOTS-1], s_parent[0 .. SLOTS-1], s_first[0 .. SLOTS-1],
        s_next[0 .. SLOTS-1], s_prev[0 .. SLOTS-1], s_order[0 .. SLOTS-1];
    FOREST(ensures)
    ensures \forall integer s; is_slot(s) ==> s_type[s] == 0 && s_rights[s] == 0;
    ensures \forall integer s; is_slot(s) ==> s_object[s] == 0 && s_badge[s] == 0; */
void slots_init(void);

/* Fills an empty slot, which becomes a root. */
/*@ FOREST(requires)
    requires is_slot(s) && s_type[s] == 0 && type != 0;
    assigns s_type[s], s_rights[s], s_object[s], s_badge[s];
    FOREST(ensures)
    ensures slot_cut_off(s);
    ensures s_type[s] == type && s_rights[s] == rights;
    ensures s_object[s] == object && s_badge[s] == badge; */
void slot_fill(uint32_t s, uint8_t type, uint8_t rights, uint32_t object, uint64_t badge);

/* Empties a slot that is cut off. */
/*@ FOREST(requires)
    requires is_slot(s) && slot_cut_off(s);
    assigns s_type[s], s_rights[s], s_object[s], s_badge[s];
    FOREST(ensures)
    ensures s_type[s] == 0 && s_rights[s] == 0 && s_object[s] == 0 && s_badge[s] == 0; */
void slot_clear(uint32_t s);

#endif
