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

/* Makes the entry behind a new owner an object of its noun. */
static void object_init(uint32_t type, uint32_t size, uint32_t first)
{
    switch (type) {
    case OBJ_THREAD:
        thread_init(first);
        break;
    case OBJ_ENDPOINT:
        endpoint_init(first);
        break;
    case OBJ_NOTIFICATION:
        notification_init(first);
        break;
    case OBJ_REPLY:
        reply_init(first);
        break;
    case OBJ_CONTEXT:
        context_init(first);
        break;
    case OBJ_SPACE:
        table_init(first, 4);
        break;
    case OBJ_TABLE:
        table_init(first, size);
        break;
    case OBJ_FRAME:
        frame_init(first, size);
        break;
    default: /* a line is as its last owner left it: masked */
        break;
    }
}

void object_make(uint32_t u, uint32_t type, uint32_t size, uint32_t first, uint32_t to)
{
    if (type == OBJ_DEVICE) {
        cap_range(to, u, OBJ_DEVICE, (uint8_t)size, first, 0);
        return;
    }
    object_init(type, size, first);
    cap_create(to, u, (uint8_t)type, type == OBJ_FRAME ? (uint8_t)size : 0, first);
}

void range_make(uint32_t u, uint32_t type, uint8_t kind, uint32_t first, uint32_t count,
                uint32_t to)
{
    if (type == OBJ_CNODE) {
        cnode_extend(first, first, count);
        cap_create(to, u, OBJ_CNODE, 0, first);
    } else {
        cap_range(to, u, (uint8_t)type, kind, first, count);
    }
}
