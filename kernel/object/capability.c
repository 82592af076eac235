/* Capabilities: see capability.h. */
#include "object/capability.h"

#include "abi/abi_table.h"
#include "object/irq.h"
#include "object/space.h"

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
    slot_fill(to, s_type[from], s_rights[from] & rights, s_object[from], badge);
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
