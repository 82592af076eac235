/* Untyped ranges: see untyped.h. */
#include "object/untyped.h"

#include "object/space.h"

uint8_t type_kind(uint32_t type)
{
    switch (type) {
    case OBJ_CNODE:
        return KIND_SLOT;
    case OBJ_THREAD:
        return KIND_THREAD;
    case OBJ_ENDPOINT:
        return KIND_ENDPOINT;
    case OBJ_NOTIFICATION:
        return KIND_NOTIFICATION;
    case OBJ_REPLY:
        return KIND_REPLY;
    case OBJ_CONTEXT:
        return KIND_CONTEXT;
    case OBJ_SPACE:
    case OBJ_TABLE:
    case OBJ_FRAME:
        return KIND_FRAME;
    case OBJ_DEVICE:
        return KIND_DEVICE;
    case OBJ_IRQ:
        return KIND_IRQ;
    case OBJ_PORT:
        return KIND_PORT;
    default:
        return 0;
    }
}

bool type_is_range(uint32_t type)
{
    return type == OBJ_CNODE || type == OBJ_UNTYPED || type == OBJ_PORT;
}

uint32_t type_unit(uint32_t type, uint32_t size)
{
    if (type == OBJ_SPACE || type == OBJ_TABLE) {
        return TABLE_FRAMES;
    }
    return (type == OBJ_FRAME || type == OBJ_DEVICE) && size != 0 ? LARGE_FRAMES : 1;
}

uint64_t type_span(uint32_t type, uint32_t size, uint64_t count)
{
    uint32_t unit = type_unit(type, size);
    /*@ assert cases: unit == 1 || unit == TABLE_FRAMES || unit == LARGE_FRAMES; */
    return count * unit;
}

/*@ requires first + count <= PHYS_FRAMES;
    assigns \nothing;
    ensures \result <= count;
    ensures \forall integer f; first <= f < first + \result ==> f_state[f] <= F_ZERO;
    ensures \result < count ==> f_state[first + \result] > F_ZERO; */
static uint32_t frames_free(uint32_t first, uint32_t count)
{
    uint32_t n = 0;
    /*@ loop invariant n <= count;
        loop invariant \forall integer f; first <= f < first + n ==> f_state[f] <= F_ZERO;
        loop assigns n;
        loop variant count - n; */
    while (n < count && f_state[first + n] <= F_ZERO) {
        n++;
    }
    return n;
}

/*@ requires base_of(type) != OBJECTS && first + count <= length_of(type);
    assigns \nothing;
    ensures \result <= count;
    ensures \forall integer e; first <= e < first + \result ==> owner[base_of(type) + e] == NIL;
    ensures \result < count ==> owner[base_of(type) + first + \result] != NIL; */
static uint32_t owners_free(uint8_t type, uint32_t first, uint32_t count)
{
    uint32_t own = own_base(type) + first;
    uint32_t n = 0;
    /*@ loop invariant n <= count;
        loop invariant \forall integer o; own <= o < own + n ==> owner[o] == NIL;
        loop assigns n;
        loop variant count - n; */
    while (n < count && owner[own + n] == NIL) {
        n++;
    }
    return n;
}

uint32_t entries_free(uint32_t type, uint32_t first, uint32_t count)
{
    uint8_t kind = type_kind(type);
    if (kind == 0 || kind == KIND_DEVICE || kind == KIND_PORT) {
        return count;
    }
    if (kind == KIND_SLOT) {
        return slots_free(first, count);
    }
    if (kind == KIND_FRAME) {
        return frames_free(first, count);
    }
    return owners_free((uint8_t)type, first, count);
}

/* clang-format off */
/* Memory that is made of free frames first .. was no capability's yet. */
#define MADE(frames)                                                                               \
    requires maps && cap_object && cap_memory(NIL) && cap_large(NIL);                              \
    requires \forall integer f; first <= f < first + (frames) ==> f_state[f] == F_ZERO;            \
    assigns f_state[first .. first + (frames) - 1], phys[0 .. PHYS_FRAMES * 512 - 1];              \
    ensures maps;                                                                                  \
    ensures cap_memory(NIL);                                                                       \
    ensures cap_large(NIL);
/* clang-format on */

/*@ requires 1 <= first < PHYS_FRAMES - 1 && 1 <= level <= ARCH_LEVELS;
    MADE(2)
    ensures f_state[first] == F_TABLE1 - 1 + level; */
static void make_table(uint32_t first, uint32_t level)
{
    table_init(first, level);
}

/*@ requires 1 <= first < PHYS_FRAMES;
    MADE(1)
    ensures f_state[first] == F_FRAME; */
static void make_frame(uint32_t first)
{
    frame_init(first, 0);
}

/*@ requires 1 <= first && first + LARGE_FRAMES <= PHYS_FRAMES && first % LARGE_FRAMES == 0;
    MADE(LARGE_FRAMES)
    ensures f_state[first] == F_FRAME && large_fits(OBJ_FRAME, 1, first); */
static void make_large(uint32_t first)
{
    frame_init(first, 1);
}

/* Makes the entry behind a new owner an object of its noun. */
/*@ requires going && maps && cap_object && cap_memory(NIL) && cap_large(NIL);
    requires base_of(type) != OBJECTS && type != OBJ_CNODE && unit_fits(type, size, first);
    requires kind_of(type) == KIND_FRAME ==> \forall integer e;
        first <= e < first + unit_of(type, size) ==> f_state[e] == F_ZERO;
    RUNNING_FIELDS(assigns)
    assigns f_state[0 .. PHYS_FRAMES-1], phys[0 .. PHYS_FRAMES * 512 - 1];
    ensures going;
    ensures maps;
    ensures cap_memory(NIL);
    ensures cap_large(NIL);
    ensures memory_fits(type, first);
    ensures large_fits(type, size, first);
    ensures \forall integer f; 0 <= f < PHYS_FRAMES &&
        !(first <= f < first + unit_of(type, size)) ==> f_state[f] == \at(f_state[f],Pre); */
static void object_init(uint32_t type, uint32_t size, uint32_t first)
{
    switch (type) {
    case OBJ_THREAD:
        thread_init(first);
        break;
    case OBJ_SPACE:
        make_table(first, ARCH_LEVELS);
        break;
    case OBJ_TABLE:
        make_table(first, size);
        break;
    case OBJ_FRAME:
        if (size == 0) {
            make_frame(first);
        } else {
            make_large(first);
        }
        break;
    default: /* as its last owner left it; a line masked */
        break;
    }
}

/* clang-format off */
#define MADE_CAP(kind, count)                                                                      \
    WHOLE(ensures, NIL)                                                                            \
    ensures s_type[to] == type && s_object[to] == first && s_badge[to] == 0;                       \
    ensures s_kind[to] == (kind) && s_count[to] == (count);                                        \
    ensures s_rights[to] == type_rights[type] && s_parent[to] == u;                                \
    ensures \forall integer x; is_slot(x) && x != to ==> slot_stays(x);
/* clang-format on */

/* Makes a part of a range: untyped, ports, device frames. */
/*@ WHOLE(requires, NIL)
    NEW(requires)
    requires type == OBJ_UNTYPED || type == OBJ_PORT || type == OBJ_DEVICE;
    requires range_fits(type, kind, first, count);
    SLOT_FIELDS(assigns)
    MADE_CAP(kind, count) */
static void part_make(uint32_t u, uint32_t type, uint8_t kind, uint32_t first, uint32_t count,
                      uint32_t to)
{
    cap_range(to, u, (uint8_t)type, kind, first, count);
    /*@ assert leaf: hidden_leaf; */
    /*@ assert filled: home_filled(NIL); */
    /*@ assert owners: cnode_owner(NIL); */
}

/* Makes the owner of an object that is initialized. */
/*@ WHOLE(requires, NIL)
    NEW(requires)
    requires 1 <= type < TYPES && base_of(type) != OBJECTS && type != OBJ_CNODE;
    requires 1 <= first < length_of(type) && owner[base_of(type) + first] == NIL;
    requires memory_fits(type, first) && large_fits(type, kind, first);
    SLOT_FIELDS(assigns)
    assigns owner[base_of(type) + first];
    MADE_CAP(kind, 0)
    ensures owner[base_of(type) + first] == to; */
static void owner_make(uint32_t u, uint32_t type, uint8_t kind, uint32_t first, uint32_t to)
{
    cap_create(to, u, (uint8_t)type, kind, first);
    /*@ assert leaf: hidden_leaf; */
    /*@ assert filled: home_filled(NIL); */
    /*@ assert owners: cnode_owner(NIL); */
}

void object_make(uint32_t u, uint32_t type, uint32_t size, uint32_t first, uint32_t to)
{
    if (type == OBJ_DEVICE) {
        part_make(u, OBJ_DEVICE, (uint8_t)size, first, 0, to);
        return;
    }
    /*@ assert unowned: owner[base_of(type) + first] == NIL; */
    object_init(type, size, first);
    owner_make(u, type, type == OBJ_FRAME ? (uint8_t)size : 0, first, to);
}

/* Makes a cnode of free slots. */
/*@ WHOLE(requires, NIL)
    NEW(requires)
    requires is_home(first) && 1 <= count && first + count <= HOME_SLOTS;
    requires \forall integer s; first <= s < first + count ==> slot_is_free(s);
    SLOT_FIELDS(assigns)
    assigns owner[0 .. OBJECTS-1], k_count[first], k_size[first], s_home[0 .. HOME_SLOTS-1];
    WHOLE(ensures, NIL)
    ensures s_type[to] == OBJ_CNODE && s_object[to] == first && s_badge[to] == 0;
    ensures s_rights[to] == type_rights[OBJ_CNODE] && s_parent[to] == u;
    ensures owner[first] == to && k_count[first] == k_size[first] == count;
    ensures \forall integer x; is_slot(x) && x != to ==> slot_stays(x); */
static void cnode_make(uint32_t u, uint32_t first, uint32_t count, uint32_t to)
{
    /*@ assert new: k_size[first] == 0 && owner[first] == NIL && s_home[to] != first; */
    cnode_extend(first, first, count);
    /*@ assert reach: in_reach(to); */
    cap_create(to, u, OBJ_CNODE, 0, first);
    /*@ assert leaf: hidden_leaf; */
    /*@ assert filled: home_filled(NIL); */
    /*@ assert owners: cnode_owner(NIL); */
}

void range_make(uint32_t u, uint32_t type, uint8_t kind, uint32_t first, uint32_t count,
                uint32_t to)
{
    if (type == OBJ_CNODE) {
        cnode_make(u, first, count, to);
    } else {
        part_make(u, type, kind, first, count, to);
    }
}
