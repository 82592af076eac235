/* Confinement (theorem 4 of docs/kernel.md), for the operations on capabilities whose contracts are
 * proved: what a slot may get, and from whom. No part of the kernel: each function here is one
 * operation with what its decoding has checked, and the prover follows it by the contract alone.
 *
 * A thread *holds* the slots that its handles reach. What it may *fill* are the slots of cnodes
 * that it holds with the right to write; what it may *use* is what it holds, and the slots of
 * cnodes that it holds with the right to read. An operation is confined when each slot says what it
 * said, or is empty, or could be filled and is now a copy, with at most its rights, of what could
 * be used.
 */
#include "object/delete.h"
#include "object/thread.h"

/*@ predicate in_cnode{L}(integer k, integer s) = k < s < k + k_count[k];

    predicate holds{L}(integer t, integer s) = in_cnode(t_cnode[t], s);

    predicate holds_cnode{L}(integer t, integer h, integer right) =
        holds(t, h) && is_home(h) && s_type[h] == OBJ_CNODE && (s_rights[h] & right) == right;

    predicate fills{L}(integer t, integer s) =
        \exists integer h; holds_cnode(t, h, RIGHT_WRITE) && in_cnode(s_object[h], s);

    predicate uses{L}(integer t, integer s) = holds(t, s) ||
        \exists integer h; holds_cnode(t, h, RIGHT_READ) && in_cnode(s_object[h], s);

    // what s says in L2 is at most what p said in L1
    predicate narrows{L1, L2}(integer p, integer s) =
        \at(s_type[s],L2) == \at(s_type[p],L1) && \at(s_object[s],L2) == \at(s_object[p],L1) &&
        \at(s_kind[s],L2) == \at(s_kind[p],L1) && \at(s_count[s],L2) == \at(s_count[p],L1) &&
        \exists integer r; \at(s_rights[s],L2) == (\at(s_rights[p],L1) & r) % (RIGHTS_ALL + 1); */

/* clang-format off */
#define STAYS_OR(s, ...)                                                                           \
    \forall integer s; is_slot(s) ==> slot_stays(s) || s_type[s] == 0 || (__VA_ARGS__)
#define COPIED(t, s)                                                                               \
    (\at(fills(t, s),Pre) && \exists integer p; \at(uses(t, p),Pre) && narrows{Pre, Here}(p, s))
/* clang-format on */

/* Copy and mint: h is the cnode that was invoked, g the one that the argument names. */
/*@ FOREST(requires) CAPS(requires) CNODES(requires)
    requires 1 <= t < T_MAX && holds_cnode(t, h, RIGHT_WRITE) && holds_cnode(t, g, RIGHT_READ);
    requires in_cnode(s_object[h], to) && in_cnode(s_object[g], from);
    requires is_slot(to) && is_slot(from) && s_type[from] != 0 && s_type[to] == 0;
    assigns s_type[to], s_rights[to], s_object[to], s_badge[to], s_kind[to], s_count[to];
    assigns s_parent[to], s_next[to], s_prev[s_first[from]], s_first[from];
    assigns s_order[0 .. SLOTS-1];
    ensures STAYS_OR(s, COPIED(t, s)); */
static void confined_copy(uint32_t t, uint32_t h, uint32_t g, uint32_t from, uint32_t to,
                          uint8_t rights, uint64_t badge)
{
    (void)t;
    (void)h;
    (void)g;
    cap_copy(from, to, rights, badge);
    /*@ assert narrows{Pre, Here}(from, to); */
    /*@ assert \at(uses(t, from),Pre); */
    /*@ assert \at(fills(t, to),Pre); */
}

/* A message: from and to are threads, of which one waited; the sender's capability to the endpoint
 * or reply object had the right to grant. What comes is what the sender could use, in a slot that
 * the receiver holds and named. */
/*@ FOREST(requires) CAPS(requires) CNODES(requires)
    requires 1 <= from < T_MAX && 1 <= to < T_MAX && (t_rights[from] & RIGHT_GRANT) != 0;
    requires holds(from, s) && holds(to, place);
    requires is_slot(s) && is_slot(place) && s_type[s] != 0 && s_type[place] == 0;
    assigns s_type[place], s_rights[place], s_object[place], s_badge[place], s_kind[place];
    assigns s_count[place], s_parent[place], s_next[place], s_prev[s_first[s]], s_first[s];
    assigns s_order[0 .. SLOTS-1];
    ensures STAYS_OR(x, \at(holds(to, x),Pre) &&
        \exists integer p; \at(holds(from, p),Pre) && narrows{Pre, Here}(p, x)); */
static void confined_message(uint32_t from, uint32_t to, uint32_t s, uint32_t place)
{
    (void)from;
    (void)to;
    cap_copy(s, place, RIGHTS_ALL, s_badge[s]);
    /*@ assert narrows{Pre, Here}(s, place); */
}

/* Binding: a hidden slot of a thread or line that is held gets a copy of what the binder holds. */
/*@ FOREST(requires) CAPS(requires) CNODES(requires)
    requires 1 <= t < T_MAX && holds(t, s);
    requires is_slot(s) && s_type[s] != 0 && HOME_SLOTS <= hidden && hidden < SLOTS;
    requires s_type[hidden] == 0;
    assigns s_type[hidden], s_rights[hidden], s_object[hidden], s_badge[hidden], s_kind[hidden];
    assigns s_count[hidden], s_parent[hidden], s_next[hidden], s_prev[s_first[s]], s_first[s];
    assigns s_order[0 .. SLOTS-1];
    ensures STAYS_OR(x, x == hidden &&
        \exists integer p; \at(uses(t, p),Pre) && narrows{Pre, Here}(p, x)); */
static void confined_bind(uint32_t t, uint32_t s, uint32_t hidden)
{
    (void)t;
    cap_copy(s, hidden, RIGHTS_ALL, s_badge[s]);
    /*@ assert narrows{Pre, Here}(s, hidden); */
    /*@ assert \at(uses(t, s),Pre); */
}

/* Retype: what is made is an object that did not exist, of a range that is held. */
/*@ FOREST(requires) CAPS(requires) CNODES(requires)
    requires 1 <= t < T_MAX && holds_cnode(t, h, RIGHT_WRITE) && in_cnode(s_object[h], to);
    requires holds(t, u) && is_slot(u) && s_type[u] == OBJ_UNTYPED;
    requires s_object[u] <= object && object < s_object[u] + s_count[u];
    requires 1 <= to < HOME_SLOTS && s_type[to] == 0 && 1 <= type && type < TYPES;
    requires base_of(type) != OBJECTS && 1 <= object < length_of(type);
    requires owner[base_of(type) + object] == NIL && memory_fits(type, object);
    requires large_fits(type, kind, object);
    assigns s_type[to], s_rights[to], s_object[to], s_badge[to], s_kind[to], s_count[to];
    assigns s_parent[to], s_next[to], s_prev[s_first[u]], s_first[u], s_order[0 .. SLOTS-1];
    assigns owner[base_of(type) + object];
    ensures STAYS_OR(s, \at(fills(t, s),Pre) &&
        \at(owner[base_of(type) + object],Pre) == NIL && s_object[s] == object &&
        \at(s_object[u],Pre) <= s_object[s] < \at(s_object[u] + s_count[u],Pre)); */
static void confined_make(uint32_t t, uint32_t h, uint32_t u, uint32_t to, uint8_t type,
                          uint8_t kind, uint32_t object)
{
    (void)t;
    (void)h;
    cap_create(to, u, type, kind, object);
    /*@ assert \at(fills(t, to),Pre); */
}

/* The same for a range: a part of one that is held. */
/*@ FOREST(requires) CAPS(requires) CNODES(requires)
    requires 1 <= t < T_MAX && holds_cnode(t, h, RIGHT_WRITE) && in_cnode(s_object[h], to);
    requires holds(t, u) && is_slot(u) && s_type[u] == OBJ_UNTYPED;
    requires s_object[u] <= first && first + count <= s_object[u] + s_count[u];
    requires is_slot(to) && s_type[to] == 0 && 1 <= type && type < TYPES;
    requires base_of(type) == OBJECTS && range_fits(type, kind, first, count);
    assigns s_type[to], s_rights[to], s_object[to], s_badge[to], s_kind[to], s_count[to];
    assigns s_parent[to], s_next[to], s_prev[s_first[u]], s_first[u], s_order[0 .. SLOTS-1];
    ensures STAYS_OR(s, \at(fills(t, s),Pre) &&
        \at(s_object[u],Pre) <= s_object[s] &&
        s_object[s] + s_count[s] <= \at(s_object[u] + s_count[u],Pre)); */
static void confined_range(uint32_t t, uint32_t h, uint32_t u, uint32_t to, uint8_t type,
                           uint8_t kind, uint32_t first, uint32_t count)
{
    (void)t;
    (void)h;
    cap_range(to, u, type, kind, first, count);
    /*@ assert \at(fills(t, to),Pre); */
}

/* Deleting and revoking: nobody gets anything; but for the first slot of a cnode, which no handle
 * reaches and to which the cnode's own capability may go. */
/*@ WHOLE(requires, NIL)
    requires is_slot(s);
    TABLES(assigns)
    ensures STAYS_OR(x, x < HOME_SLOTS && s_home[x] == x); */
static void confined_delete(uint32_t s)
{
    (void)delete_slice(s);
}

/*@ WHOLE(requires, NIL)
    requires is_slot(s);
    TABLES(assigns)
    ensures STAYS_OR(x, x < HOME_SLOTS && s_home[x] == x); */
static void confined_revoke(uint32_t s)
{
    (void)revoke_slice(s);
}

/* Moving: the other slot gets what the one had. */
/*@ WHOLE(requires, NIL)
    requires 1 <= t < T_MAX && holds_cnode(t, h, RIGHT_WRITE) && in_cnode(s_object[h], to);
    requires holds_cnode(t, g, RIGHT_WRITE) && in_cnode(s_object[g], from);
    requires in_reach(from) && in_reach(to) && s_type[from] != 0 && s_type[to] == 0;
    TABLES(assigns)
    ensures STAYS_OR(s, s == to && \at(fills(t, to),Pre) && \at(fills(t, from),Pre) &&
        s_type[s] == \at(s_type[from],Pre) && s_object[s] == \at(s_object[from],Pre)); */
static void confined_move(uint32_t t, uint32_t h, uint32_t g, uint32_t from, uint32_t to)
{
    (void)t;
    (void)h;
    (void)g;
    (void)move_slice(from, to);
    /*@ assert \at(fills(t, to),Pre) && \at(fills(t, from),Pre); */
}

/* Extending a cnode and mapping: no slot says anything else. */
/*@ CNODES(requires)
    requires is_home(k) && 1 <= count && k + k_size[k] + count <= HOME_SLOTS;
    requires \forall integer s; k + k_size[k] <= s < k + k_size[k] + count ==> slot_is_free(s);
    assigns s_home[1 .. HOME_SLOTS-1], k_size[k], k_count[k];
    ensures \forall integer s; is_slot(s) ==> slot_stays(s); */
static void confined_extend(uint32_t k, uint32_t count)
{
    cnode_extend(k, k + k_size[k], count);
}

/*@ MAPS(requires)
    requires is_slot(s) && is_table(table) && entry < entries_of(table);
    requires REVERSE_OF(table, entry) == s || REVERSE_OF(table, entry) == NIL;
    requires REVERSE_OF(table, entry) == NIL ==> s_table[s] == NIL;
    requires s_type[s] == OBJ_TABLE || (rights & RIGHT_WRITE) == 0 || (rights & RIGHT_EXECUTE) == 0;
    assigns phys[table * 512 + entry], phys[(table + 1) * 512 + entry], s_table[s], s_entry[s];
    ensures \forall integer x; is_slot(x) ==> slot_stays(x);
    ensures ENTRY_OF(table, entry) == pte_of(s, rights); */
static void confined_map(uint32_t s, uint32_t table, uint32_t entry, uint8_t rights)
{
    space_map(s, table, entry, rights);
}
