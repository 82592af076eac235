/* Capabilities: see capability.h. */
#include "object/capability.h"

#include "object/irq.h"

uint32_t cap_own(uint32_t s)
{
    uint32_t base = own_base(s_type[s]);
    return base == OBJECTS ? 0 : base + s_object[s];
}

bool cap_is_owner(uint32_t s)
{
    uint32_t own = cap_own(s);
    return own != 0 && owner[own] == s;
}

/* The part of filling that is the same for all. */
/*@ FOREST(requires) CAPS_ALONE(requires, NIL)
    requires is_slot(s) && s_type[s] == 0 && 1 <= type < TYPES;
    requires p == NIL || (is_slot(p) && s_type[p] != 0);
    requires base_of(type) != OBJECTS ==> 1 <= object < length_of(type);
    requires range_fits(type, kind, object, count) && memory_fits(type, object);
    requires large_fits(type, kind, object);
    assigns s_type[s], s_rights[s], s_object[s], s_badge[s], s_kind[s], s_count[s];
    assigns s_parent[s], s_next[s], s_prev[s_first[p]], s_first[p], s_order[0 .. SLOTS-1];
    FOREST(ensures) CAPS_ALONE(ensures, NIL)
    ensures s_type[s] == type && s_object[s] == object && s_badge[s] == 0;
    ensures s_kind[s] == kind && s_count[s] == count && s_rights[s] == type_rights[type];
    ensures s_first[s] == NIL && s_parent[s] == p && (p != NIL ==> s_first[p] == s); */
static void fill(uint32_t s, uint32_t p, uint8_t type, uint8_t kind, uint32_t object,
                 uint32_t count)
{
    slot_fill(s, type, type_rights[type], object, 0);
    s_kind[s] = kind;
    s_count[s] = count;
    if (p != NIL) {
        derivation_insert(p, s);
    }
}

void cap_create(uint32_t s, uint32_t p, uint8_t type, uint8_t kind, uint32_t object)
{
    fill(s, p, type, kind, object, 0);
    owner[cap_own(s)] = s;
}

void cap_range(uint32_t s, uint32_t p, uint8_t type, uint8_t kind, uint32_t first, uint32_t count)
{
    fill(s, p, type, kind, first, count);
}

void cap_copy(uint32_t from, uint32_t to, uint8_t rights, uint64_t badge)
{
    slot_fill(to, s_type[from], (s_rights[from] & (uint32_t)rights) % (RIGHTS_ALL + 1u),
              s_object[from], badge);
    s_kind[to] = s_kind[from];
    s_count[to] = s_count[from];
    derivation_insert(from, to);
}

void cap_hand_over(uint32_t from, uint32_t to)
{
    bool owns = cap_is_owner(from);
    slot_fill(to, s_type[from], s_rights[from], s_object[from], s_badge[from]);
    s_kind[to] = s_kind[from];
    s_count[to] = s_count[from];
    derivation_replace(from, to);
    /*@ assert same: own_of(to) == own_of(from); */
    /*@ assert old: \forall integer o; 0 <= o < OBJECTS ==> owner[o] != to; */
    if (owns) {
        owner[cap_own(from)] = to;
    }
    if (s_table[from] != NIL) {
        space_hand_over(from, to);
    }
}

void cap_raise(uint32_t c)
{
    derivation_raise(c);
}

/* clang-format off */
/* For the contract: no field of a thread is bound by what s holds. */
#define FIELD_LEFT(field, role)                                                                    \
    (\forall integer t; is_thread(t) && s == THREAD_SLOT(t, role) ==> (field)[t] == NIL)
/* clang-format on */

/* Tells the noun behind a hidden slot that its capability goes. */
/*@ requires going;
    requires cap_object && hidden_thread && hidden_irq && bound_fields;
    requires is_slot(s) && s_type[s] != 0;
    assigns i_pending[0 .. I_MAX-1];
    BOUND_FIELDS(assigns)
    ensures going;
    BOUND(ensures)
    ensures FIELD_LEFT(t_cnode, ROLE_CNODE) && FIELD_LEFT(t_space, ROLE_SPACE);
    ensures FIELD_LEFT(t_buffer, ROLE_BUFFER) && FIELD_LEFT(t_notification, ROLE_NOTIFICATION);
    ensures \forall integer n; is_notification(n) ==> n_thread[n] ==
        (hides_notification(s) && n == s_object[s] ? NIL : \at(n_thread[n],Pre));
    ensures s >= IRQ_SLOT(0) ==> i_pending[s - IRQ_SLOT(0)] == 0; */
static void leave_hidden(uint32_t s)
{
    if (s >= IRQ_SLOT(0)) {
        irq_unbound(s - IRQ_SLOT(0));
    } else if (s >= HOME_SLOTS) {
        thread_unbound((s - HOME_SLOTS) / THREAD_SLOTS, (s - HOME_SLOTS) % THREAD_SLOTS);
    }
}

/* Ends the mapping of s, if it has one. */
/*@ MAPS(requires)
    requires is_slot(s);
    assigns phys[s_table[s] * 512 + s_entry[s]], phys[(s_table[s] + 1) * 512 + s_entry[s]];
    assigns s_table[s], s_entry[s];
    MAPS(ensures)
    ensures s_table[s] == NIL; */
static void leave_table(uint32_t s)
{
    if (s_table[s] != NIL) {
        space_unmap(s);
    }
}

/* What is left of cap_remove: nobody else knows of the capability but the forest. */
/*@ FOREST(requires) CAPS_BUT(requires, s)
    requires is_slot(s) && s_type[s] != 0 && s_first[s] == NIL && owner[own_of(s)] != s;
    requires s_table[s] == NIL && hidden_leaf && hidden_irq;
    assigns s_type[s], s_rights[s], s_object[s], s_badge[s], s_kind[s], s_count[s];
    assigns s_parent[s], s_next[s], s_prev[s];
    assigns s_next[s_prev[s]], s_first[s_parent[s]], s_prev[s_next[s]];
    FOREST(ensures) CAPS(ensures)
    ensures hidden_leaf && hidden_irq;
    ensures s_type[s] == 0 && s_parent[s] == NIL && s_first[s] == NIL;
    ensures s_kind[s] == 0 && s_count[s] == 0; */
static void empty(uint32_t s)
{
    derivation_remove(s);
    /*@ assert leaf: \forall integer x; is_slot(x) ==> s_parent[x] != s; */
    slot_clear(s);
    s_kind[s] = 0;
    s_count[s] = 0;
}

void cap_remove(uint32_t s)
{
    leave_hidden(s);
    /*@ assert others: \forall integer x; HOME_SLOTS <= x < IRQ_SLOT(0) && x != s ==>
            s_type[x] != 0 && (x - HOME_SLOTS) % THREAD_SLOTS == ROLE_NOTIFICATION ==>
            n_thread[s_object[x]] == (x - HOME_SLOTS) / THREAD_SLOTS; */
    leave_table(s);
    empty(s);
    /*@ assert cnode: field_cnode; */
    /*@ assert space: field_space; */
    /*@ assert buffer: field_buffer; */
    /*@ assert notification: field_notification; */
}
