/* Cnodes: see cnode.h. */
#include "object/cnode.h"

uint32_t s_home[HOME_SLOTS];
uint32_t k_count[HOME_SLOTS];
uint32_t k_size[HOME_SLOTS];

bool slot_free(uint32_t s)
{
    uint32_t k = s_home[s];
    return k == NIL || s - k >= k_size[k];
}

uint32_t slots_free(uint32_t first, uint32_t count)
{
    uint32_t n = 0;
    /*@ loop invariant 0 <= n <= count;
        loop invariant \forall integer s; first <= s < first + n ==> slot_is_free(s);
        loop assigns n;
        loop variant count - n; */
    while (n < count && slot_free(first + n)) {
        n++;
    }
    return n;
}

void cnode_extend(uint32_t k, uint32_t from, uint32_t count)
{
    /*@ loop invariant 0 <= n <= count;
        loop invariant \forall integer s; from <= s < from + n ==> s_home[s] == k;
        loop invariant \forall integer s; 0 <= s < HOME_SLOTS && !(from <= s < from + n) ==>
            s_home[s] == \at(s_home[s],Pre);
        loop assigns n, s_home[from .. from + count - 1];
        loop variant count - n; */
    for (uint32_t n = 0; n < count; n++) {
        s_home[from + n] = k;
    }
    k_size[k] = from + count - k;
    k_count[k] = from + count - k;
}

void cnode_free(uint32_t k)
{
    k_size[k] = 0;
}
