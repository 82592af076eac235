/* Slots: see slot.h. */
#include "slot.h"

uint8_t s_type[SLOTS];
uint8_t s_rights[SLOTS];
uint32_t s_object[SLOTS];
uint64_t s_badge[SLOTS];
uint32_t s_parent[SLOTS];
uint32_t s_first[SLOTS];
uint32_t s_next[SLOTS];
uint32_t s_prev[SLOTS];
uint32_t s_count[SLOTS];
uint8_t s_kind[SLOTS];
uint32_t s_table[SLOTS];
uint32_t s_entry[SLOTS];
/*@ ghost uint32_t s_order[SLOTS]; */

void slots_init(void)
{
    /*@ loop invariant 0 <= s <= SLOTS;
        loop invariant \forall integer k; 0 <= k < s ==> s_type[k] == 0 && slot_cut_off(k);
        loop invariant \forall integer k; 0 <= k < s ==> s_order[k] == k;
        loop invariant \forall integer k; 0 <= k < s ==>
            s_rights[k] == 0 && s_object[k] == 0 && s_badge[k] == 0;
        loop assigns s, s_type[0 .. SLOTS-1], s_rights[0 .. SLOTS-1], s_object[0 .. SLOTS-1],
            s_badge[0 .. SLOTS-1], s_parent[0 .. SLOTS-1], s_first[0 .. SLOTS-1],
            s_next[0 .. SLOTS-1], s_prev[0 .. SLOTS-1], s_order[0 .. SLOTS-1];
        loop variant SLOTS - s; */
    for (uint32_t s = 0; s < SLOTS; s++) {
        s_type[s] = 0;
        s_rights[s] = 0;
        s_object[s] = 0;
        s_badge[s] = 0;
        s_parent[s] = NIL;
        s_first[s] = NIL;
        s_next[s] = NIL;
        s_prev[s] = NIL;
        /*@ ghost s_order[s] = s; */
    }
}

void slot_fill(uint32_t s, uint8_t type, uint8_t rights, uint32_t object, uint64_t badge)
{
    s_type[s] = type;
    s_rights[s] = rights;
    s_object[s] = object;
    s_badge[s] = badge;
}

void slot_clear(uint32_t s)
{
    s_type[s] = 0;
    s_rights[s] = 0;
    s_object[s] = 0;
    s_badge[s] = 0;
}
