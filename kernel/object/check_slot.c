/* The invariant of slots and derivation: the forest. */
#include "object/check.h"
#include "object/slot.h"

/* Every link is a slot or NIL. */
bool inv_slot_refs(void)
{
    for (uint32_t s = 0; s < SLOTS; s++) {
        if (s_parent[s] >= SLOTS || s_first[s] >= SLOTS || s_next[s] >= SLOTS ||
            s_prev[s] >= SLOTS) {
            return false;
        }
    }
    return true;
}

/* An empty slot has no links; slot NIL is empty. */
bool inv_slot_empty(void)
{
    for (uint32_t s = 0; s < SLOTS; s++) {
        if (s_type[s] == 0 &&
            (s_parent[s] != NIL || s_first[s] != NIL || s_next[s] != NIL || s_prev[s] != NIL ||
             s_rights[s] != 0 || s_object[s] != 0 || s_badge[s] != 0)) {
            return false;
        }
    }
    return s_type[NIL] == 0;
}

/* A parent is filled and has children. */
bool inv_slot_parent(void)
{
    for (uint32_t s = 1; s < SLOTS; s++) {
        uint32_t p = s_parent[s];
        if (p != NIL && (s_type[p] == 0 || s_first[p] == NIL)) {
            return false;
        }
    }
    return true;
}

/* A root has no siblings. */
bool inv_slot_root(void)
{
    for (uint32_t s = 1; s < SLOTS; s++) {
        if (s_parent[s] == NIL && (s_next[s] != NIL || s_prev[s] != NIL)) {
            return false;
        }
    }
    return true;
}

/* The first child knows its parent and that it is first. */
bool inv_slot_first(void)
{
    for (uint32_t s = 1; s < SLOTS; s++) {
        uint32_t f = s_first[s];
        if (f != NIL && (s_parent[f] != s || s_prev[f] != NIL)) {
            return false;
        }
    }
    return true;
}

/* A child without sibling before it is its parent's first. */
bool inv_slot_head(void)
{
    for (uint32_t s = 1; s < SLOTS; s++) {
        if (s_parent[s] != NIL && s_prev[s] == NIL && s_first[s_parent[s]] != s) {
            return false;
        }
    }
    return true;
}

/* Siblings agree about each other and their parent, forwards ... */
bool inv_slot_next(void)
{
    for (uint32_t s = 1; s < SLOTS; s++) {
        uint32_t n = s_next[s];
        if (n != NIL && (s_prev[n] != s || s_parent[n] != s_parent[s])) {
            return false;
        }
    }
    return true;
}

/* ... and backwards. */
bool inv_slot_prev(void)
{
    for (uint32_t s = 1; s < SLOTS; s++) {
        uint32_t p = s_prev[s];
        if (p != NIL && (s_next[p] != s || s_parent[p] != s_parent[s])) {
            return false;
        }
    }
    return true;
}

/* The slot after s in a walk over one tree; NIL at the end. left bounds the climb. */
static uint32_t walk(uint32_t s, uint32_t *left)
{
    if (s_first[s] != NIL) {
        return s_first[s];
    }
    while (s != NIL && s_next[s] == NIL && *left > 0) {
        s = s_parent[s];
        (*left)--;
    }
    return s == NIL ? NIL : s_next[s];
}

/* Every filled slot is reached from the roots, once: there is no cycle. */
bool inv_slot_reached(void)
{
    uint32_t filled = 0;
    uint32_t reached = 0;
    uint32_t left = 2 * SLOTS;
    for (uint32_t s = 1; s < SLOTS; s++) {
        filled += s_type[s] != 0;
        if (s_type[s] == 0 || s_parent[s] != NIL) {
            continue;
        }
        for (uint32_t w = s; w != NIL && left > 0; w = walk(w, &left)) {
            reached++;
            left--;
        }
    }
    return filled == reached;
}
