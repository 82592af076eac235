/* The invariant of capabilities, owners, cnodes and hidden slots. */
#include "abi/abi_table.h"
#include "object/check.h"
#include "object/cnode.h"
#include "object/irq.h"
#include "object/space.h"
#include "object/untyped.h"

/* Types are those of the table. */
bool inv_cap_type(void)
{
    for (uint32_t s = 1; s < SLOTS; s++) {
        if (s_type[s] >= TYPES) {
            return false;
        }
    }
    return true;
}

/* No capability has a right that its type does not know, nor one that its source lacks. */
bool inv_cap_rights(void)
{
    for (uint32_t s = 1; s < SLOTS; s++) {
        uint32_t p = s_parent[s];
        if ((s_rights[s] & ~type_rights[s_type[s]]) != 0) {
            return false;
        }
        if (p != NIL && s_type[p] == s_type[s] && s_type[s] != OBJ_UNTYPED &&
            s_type[s] != OBJ_PORT && (s_rights[s] & ~s_rights[p]) != 0) {
            return false;
        }
    }
    return true;
}

/* Endpoints and notifications alone have badges, and a copy of a badged one has the same. */
bool inv_cap_badge(void)
{
    for (uint32_t s = 1; s < SLOTS; s++) {
        uint32_t p = s_parent[s];
        if (s_badge[s] != 0 && s_type[s] != OBJ_ENDPOINT && s_type[s] != OBJ_NOTIFICATION) {
            return false;
        }
        if (p != NIL && s_badge[p] != 0 && s_badge[s] != s_badge[p]) {
            return false;
        }
    }
    return true;
}

/* Kinds: of untyped ranges the table's, of frames the size. Only ranges have a length. */
bool inv_cap_kind(void)
{
    for (uint32_t s = 0; s < SLOTS; s++) {
        uint8_t type = s_type[s];
        bool sized = type == OBJ_FRAME || type == OBJ_DEVICE;
        bool range = type == OBJ_UNTYPED || type == OBJ_PORT;
        if (type == OBJ_UNTYPED ? s_kind[s] == 0 || s_kind[s] >= KINDS
                                : s_kind[s] > (sized ? 1 : 0)) {
            return false;
        }
        if (range != (s_count[s] != 0)) {
            return false;
        }
    }
    return true;
}

/* Entries of each kind of range. */
static uint64_t kind_length(uint8_t kind)
{
    switch (kind) {
    case KIND_SLOT:
        return HOME_SLOTS;
    case KIND_THREAD:
        return T_MAX;
    case KIND_ENDPOINT:
        return E_MAX;
    case KIND_NOTIFICATION:
        return N_MAX;
    case KIND_REPLY:
        return R_MAX;
    case KIND_CONTEXT:
        return C_MAX;
    case KIND_FRAME:
        return PHYS_FRAMES;
    case KIND_IRQ:
        return I_MAX;
    case KIND_PORT:
        return ARCH_PORTS;
    default:
        return 1ULL << 32;
    }
}

/* The object lies in its noun's table. */
bool inv_cap_object(void)
{
    for (uint32_t s = 1; s < SLOTS; s++) {
        uint8_t type = s_type[s];
        if (cap_own(s) != 0 && (s_object[s] == 0 || s_object[s] >= kind_length(type_kind(type)))) {
            return false;
        }
        if (type == OBJ_DEVICE && s_object[s] < PHYS_FRAMES) {
            return false;
        }
        if (type == OBJ_MONITOR && s_object[s] != 0) {
            return false;
        }
    }
    return true;
}

/* A range lies in the table of its kind, without entry 0. */
bool inv_cap_range(void)
{
    for (uint32_t s = 1; s < SLOTS; s++) {
        uint8_t kind = s_type[s] == OBJ_PORT ? KIND_PORT : s_kind[s];
        if (s_type[s] != OBJ_UNTYPED && s_type[s] != OBJ_PORT) {
            continue;
        }
        if ((uint64_t)s_object[s] + s_count[s] > kind_length(kind) ||
            (s_object[s] == 0 && kind != KIND_PORT) ||
            (kind == KIND_DEVICE && s_object[s] < PHYS_FRAMES)) {
            return false;
        }
    }
    return true;
}

/* The object of every capability has an owner. */
bool inv_cap_live(void)
{
    for (uint32_t s = 1; s < SLOTS; s++) {
        if (cap_own(s) != 0 && owner[cap_own(s)] == NIL) {
            return false;
        }
    }
    return true;
}

/* A copy is derived from a capability for the same object; so copies lead to the owner. */
bool inv_cap_copy(void)
{
    for (uint32_t s = 1; s < SLOTS; s++) {
        uint32_t p = s_parent[s];
        if (cap_own(s) != 0 && !cap_is_owner(s) &&
            (p == NIL || s_type[p] != s_type[s] || s_object[p] != s_object[s] ||
             s_kind[p] != s_kind[s])) {
            return false;
        }
    }
    return true;
}

/* Range p covers what s is. */
static bool covers(uint32_t p, uint32_t s)
{
    uint64_t length = type_is_range(s_type[s]) && s_type[s] != OBJ_CNODE
                          ? s_count[s]
                          : type_unit(s_type[s], s_kind[s]);
    return s_object[p] <= s_object[s] && s_object[s] + length <= (uint64_t)s_object[p] + s_count[p];
}

/* An owner is derived from a range of its kind that covers it, or is a root. */
bool inv_cap_owner(void)
{
    for (uint32_t s = 1; s < SLOTS; s++) {
        uint32_t p = s_parent[s];
        if (p != NIL && cap_is_owner(s) &&
            (s_type[p] != OBJ_UNTYPED || s_kind[p] != type_kind(s_type[s]) || !covers(p, s))) {
            return false;
        }
    }
    return true;
}

/* Untyped ranges, ports and device frames are parts of what they are derived from. */
bool inv_cap_part(void)
{
    for (uint32_t s = 1; s < SLOTS; s++) {
        uint32_t p = s_parent[s];
        uint8_t type = s_type[s];
        if (p == NIL || type == 0 || cap_own(s) != 0) {
            continue;
        }
        uint8_t kind = type == OBJ_UNTYPED ? s_kind[s] : type_kind(type);
        bool part = s_type[p] == OBJ_UNTYPED && s_kind[p] == kind && covers(p, s);
        bool copy = s_type[p] == type && s_object[p] == s_object[s] && s_count[p] == s_count[s] &&
                    s_kind[p] == s_kind[s];
        if (!part && !copy) {
            return false;
        }
    }
    return true;
}

/* An owner is a capability for just that object. */
bool inv_owner_slot(void)
{
    for (uint32_t o = 0; o < OBJECTS; o++) {
        uint32_t s = owner[o];
        if (s != NIL && (s >= HOME_SLOTS || s_type[s] == 0 || cap_own(s) != o)) {
            return false;
        }
    }
    return owner[0] == NIL;
}

/* The slots of a cnode say so; so no slot has two cnodes. */
bool inv_home_cnode(void)
{
    for (uint32_t k = 1; k < HOME_SLOTS; k++) {
        for (uint32_t n = 0; n < k_size[k] && k + n < HOME_SLOTS; n++) {
            if (s_home[k + n] != k) {
                return false;
            }
        }
    }
    return true;
}

/* What is filled belongs to a cnode, or is hidden. */
bool inv_home_filled(void)
{
    for (uint32_t s = 1; s < HOME_SLOTS; s++) {
        if (s_home[s] > s || (s_type[s] != 0 && slot_free(s))) {
            return false;
        }
    }
    return true;
}

/* A cnode lies in the table; its reach is in it. */
bool inv_cnode_size(void)
{
    for (uint32_t k = 0; k < HOME_SLOTS; k++) {
        if (k_size[k] > HOME_SLOTS - k || k_count[k] > k_size[k]) {
            return false;
        }
    }
    return k_size[NIL] == 0;
}

/* Cnodes are what has an owner. */
bool inv_cnode_owner(void)
{
    for (uint32_t k = 1; k < HOME_SLOTS; k++) {
        if ((k_size[k] != 0) != (owner[OWN_CNODE + k] != NIL)) {
            return false;
        }
    }
    return true;
}

/* The first slot of a cnode, which no handle reaches, is empty or owns that cnode. */
bool inv_cnode_first(void)
{
    for (uint32_t k = 1; k < HOME_SLOTS; k++) {
        if (k_size[k] != 0 && s_type[k] != 0 && owner[OWN_CNODE + k] != k) {
            return false;
        }
    }
    return true;
}

/* What a thread is bound to is of its role's type, and the thread lives. */
bool inv_hidden_thread(void)
{
    for (uint32_t t = 0; t < T_MAX; t++) {
        for (uint32_t role = 0; role < THREAD_SLOTS; role++) {
            uint32_t s = THREAD_SLOT(t, role);
            if (s_type[s] == 0) {
                continue;
            }
            if (role >= ROLES || s_type[s] != role_type[role] ||
                (s_rights[s] & role_rights[role]) != role_rights[role] ||
                owner[OWN_THREAD + t] == NIL) {
                return false;
            }
        }
    }
    return true;
}

/* What a line signals is a notification, and the line has an owner. */
bool inv_hidden_irq(void)
{
    for (uint32_t i = 0; i < I_MAX; i++) {
        uint32_t s = IRQ_SLOT(i);
        if (s_type[s] != 0 && (s_type[s] != OBJ_NOTIFICATION || owner[OWN_IRQ + i] == NIL)) {
            return false;
        }
    }
    return true;
}

/* Nothing is derived from what is hidden, and it is derived from something. */
bool inv_hidden_leaf(void)
{
    for (uint32_t s = HOME_SLOTS; s < SLOTS; s++) {
        if (s_type[s] != 0 && (s_first[s] != NIL || s_parent[s] == NIL)) {
            return false;
        }
    }
    return true;
}

/* Only a bound line waits for its driver. */
bool inv_irq_pending(void)
{
    for (uint32_t i = 0; i < I_MAX; i++) {
        if (i_pending[i] > 1 || (i_pending[i] != 0 && s_type[IRQ_SLOT(i)] == 0)) {
            return false;
        }
    }
    return true;
}
