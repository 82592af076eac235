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
/*@ FOREST(requires) CAPS(requires)
    requires is_slot(s) && s_type[s] == 0 && 1 <= type < TYPES;
    requires p == NIL || (is_slot(p) && s_type[p] != 0);
    requires base_of(type) != OBJECTS ==> 1 <= object < length_of(type);
    requires range_fits(type, kind, object, count) && memory_fits(type, object);
    assigns s_type[s], s_rights[s], s_object[s], s_badge[s], s_kind[s], s_count[s];
    assigns s_parent[s], s_next[s], s_prev[s_first[p]], s_first[p], s_order[0 .. SLOTS-1];
    FOREST(ensures) CAPS(ensures)
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
    if (owns) {
        owner[cap_own(from)] = to;
    }
    if (s_table[from] != NIL) {
        space_hand_over(from, to);
    }
}

/* Tells the noun behind a hidden slot that its capability goes. */
static void leave_hidden(uint32_t s)
{
    if (s < IRQ_SLOT(0)) {
        thread_unbound((s - HOME_SLOTS) / THREAD_SLOTS, (s - HOME_SLOTS) % THREAD_SLOTS);
    } else {
        irq_unbound(s - IRQ_SLOT(0));
    }
}

void cap_remove(uint32_t s)
{
    if (s_table[s] != NIL) {
        space_unmap(s);
    }
    if (s >= HOME_SLOTS) {
        leave_hidden(s);
    }
    derivation_remove(s);
    slot_clear(s);
    s_kind[s] = 0;
    s_count[s] = 0;
}
