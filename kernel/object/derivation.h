/* Derivation: the forest of which capability was made from which.
 *
 * Copying, minting and retyping put a slot under the one it was made from; revoking a slot deletes
 * all below it. Every operation here is O(1). The whole subtree of a slot goes in steps: while the
 * first child has children, its own first child is raised beside it; once it has none it is cut off
 * and deleted. A slot is raised at most once and deleted once, so n descendants take at most 2n
 * steps, whatever their shape, and the forest itself is the record of how far the work has come.
 *
 * A capability with children moves the same way: the new slot takes the place of the old one, which
 * becomes its only child (derivation_replace); the children are raised step by step until the old
 * one has none and is cut off.
 */
#ifndef KERNEL_DERIVATION_H
#define KERNEL_DERIVATION_H

#include "slot.h"

/* Puts c, which is cut off, under p as its first child. */
/*@ FOREST(requires)
    requires is_slot(p) && is_slot(c) && p != c;
    requires s_type[p] != 0 && s_type[c] != 0 && slot_cut_off(c);
    assigns s_parent[c], s_next[c], s_prev[s_first[p]], s_first[p], s_order[0 .. SLOTS-1];
    FOREST(ensures)
    ensures s_parent[c] == p && s_first[p] == c && s_first[c] == NIL && s_prev[c] == NIL;
    ensures s_next[c] == \old(s_first[p]); */
void derivation_insert(uint32_t p, uint32_t c);

/* Cuts off c, which has no children. */
/*@ FOREST(requires)
    requires is_slot(c) && s_type[c] != 0 && s_first[c] == NIL;
    assigns s_parent[c], s_next[c], s_prev[c];
    assigns s_next[s_prev[c]], s_first[s_parent[c]], s_prev[s_next[c]];
    FOREST(ensures)
    ensures slot_cut_off(c);
    ensures \forall integer s; is_slot(s) && s != c ==> s_parent[s] == \at(s_parent[s],Pre); */
void derivation_remove(uint32_t c);

/* Raises the first child of c one level: it becomes the sibling before c, or a root if c is one. */
/*@ FOREST(requires)
    requires is_slot(c) && s_first[c] != NIL;
    assigns s_first[c], s_first[s_parent[c]], s_parent[s_first[c]], s_next[s_first[c]];
    assigns s_prev[s_first[c]], s_prev[s_next[s_first[c]]], s_prev[c], s_next[s_prev[c]];
    assigns s_order[0 .. SLOTS-1];
    FOREST(ensures)
    ensures s_parent[\old(s_first[c])] == s_parent[c] == \old(s_parent[c]);
    ensures s_first[c] == \old(s_next[s_first[c]]);
    ensures \old(s_parent[c]) != NIL ==> s_next[\old(s_first[c])] == c;
    ensures \old(s_parent[c]) != NIL && \old(s_prev[c]) == NIL ==>
        s_first[\old(s_parent[c])] == \old(s_first[c]); */
void derivation_raise(uint32_t c);

/* Puts b, which is cut off, in the place of a; a becomes the only child of b. */
/*@ FOREST(requires)
    requires is_slot(a) && is_slot(b) && a != b;
    requires s_type[a] != 0 && s_type[b] != 0 && slot_cut_off(b);
    assigns s_parent[a], s_next[a], s_prev[a], s_parent[b], s_first[b], s_next[b], s_prev[b];
    assigns s_next[s_prev[a]], s_first[s_parent[a]], s_prev[s_next[a]], s_order[0 .. SLOTS-1];
    FOREST(ensures)
    ensures s_parent[b] == \old(s_parent[a]) && s_first[b] == a && s_parent[a] == b;
    ensures s_first[a] == \old(s_first[a]); */
void derivation_replace(uint32_t a, uint32_t b);

#endif
