/* Derivation: see derivation.h. */
#include "derivation.h"

/* Moves x to rank r in the order; those between move up or down by one. */
/*@ ghost
    /@ requires o_range && o_one;
       requires is_slot(x) && is_slot(r);
       assigns s_order[0 .. SLOTS-1];
       ensures o_range;
       ensures o_one;
       ensures s_order[x] == r;
       ensures \forall integer t; is_slot(t) && t != x ==> s_order[t] ==
           (\at(s_order[x],Pre) < \at(s_order[t],Pre) <= r ? \at(s_order[t],Pre) - 1
            : r <= \at(s_order[t],Pre) < \at(s_order[x],Pre) ? \at(s_order[t],Pre) + 1
                                                              : \at(s_order[t],Pre));
    @/
    static void order_put(uint32_t x, uint32_t r)
    {
        uint32_t was = s_order[x];
        /@ loop invariant 1 <= t <= SLOTS;
           loop invariant \forall integer k; t <= k < SLOTS ==> s_order[k] == \at(s_order[k],Pre);
           loop invariant \forall integer k; 1 <= k < t ==> s_order[k] ==
               (was < \at(s_order[k],Pre) <= r ? \at(s_order[k],Pre) - 1
                : r <= \at(s_order[k],Pre) < was ? \at(s_order[k],Pre) + 1
                                                  : \at(s_order[k],Pre));
           loop assigns t, s_order[1 .. SLOTS-1];
           loop variant SLOTS - t;
        @/
        for (uint32_t t = 1; t < SLOTS; t++) {
            if (was < s_order[t] && s_order[t] <= r) {
                s_order[t] = s_order[t] - 1;
            } else if (r <= s_order[t] && s_order[t] < was) {
                s_order[t] = s_order[t] + 1;
            }
        }
        s_order[x] = r;
    }
*/

void derivation_insert(uint32_t p, uint32_t c)
{
    uint32_t f = s_first[p];
    s_parent[c] = p;
    s_next[c] = f;
    if (f != NIL) {
        s_prev[f] = c;
    }
    s_first[p] = c;
    /*@ ghost order_put(c, 1); */
}

void derivation_remove(uint32_t c)
{
    uint32_t p = s_parent[c];
    uint32_t next = s_next[c];
    uint32_t prev = s_prev[c];
    if (prev != NIL) {
        s_next[prev] = next;
    } else if (p != NIL) {
        s_first[p] = next;
    }
    if (next != NIL) {
        s_prev[next] = prev;
    }
    s_parent[c] = NIL;
    s_next[c] = NIL;
    s_prev[c] = NIL;
}

void derivation_raise(uint32_t c)
{
    uint32_t g = s_first[c];
    uint32_t p = s_parent[c];
    uint32_t next = s_next[g];
    uint32_t prev = s_prev[c];
    s_first[c] = next;
    if (next != NIL) {
        s_prev[next] = NIL;
    }
    s_parent[g] = p;
    s_next[g] = NIL;
    if (p != NIL) {
        s_next[g] = c;
        s_prev[g] = prev;
        s_prev[c] = g;
        if (prev != NIL) {
            s_next[prev] = g;
        } else {
            s_first[p] = g;
        }
    }
    /*@ ghost order_put(g, s_order[c] - 1); */
}

void derivation_replace(uint32_t a, uint32_t b)
{
    uint32_t p = s_parent[a];
    uint32_t next = s_next[a];
    uint32_t prev = s_prev[a];
    s_parent[b] = p;
    s_next[b] = next;
    s_prev[b] = prev;
    s_first[b] = a;
    if (next != NIL) {
        s_prev[next] = b;
    }
    if (prev != NIL) {
        s_next[prev] = b;
    } else if (p != NIL) {
        s_first[p] = b;
    }
    s_parent[a] = b;
    s_next[a] = NIL;
    s_prev[a] = NIL;
    /*@ ghost order_put(b, s_order[b] < s_order[a] ? s_order[a] : s_order[a] + 1); */
}
