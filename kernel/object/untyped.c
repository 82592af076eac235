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

static uint32_t frames_free(uint32_t first, uint32_t count)
{
    uint32_t n = 0;
    while (n < count && f_state[first + n] <= F_ZERO) {
        n++;
    }
    return n;
}

static uint32_t owners_free(uint32_t own, uint32_t count)
{
    uint32_t n = 0;
    while (n < count && owner[own + n] == NIL) {
        n++;
    }
    return n;
}

uint32_t entries_free(uint32_t type, uint32_t first, uint32_t count)
{
    switch (type_kind(type)) {
    case 0:
    case KIND_DEVICE:
    case KIND_PORT:
        return count;
    case KIND_SLOT:
        return slots_free(first, count);
    case KIND_FRAME:
        return frames_free(first, count);
    default:
        return owners_free(own_base((uint8_t)type) + first, count);
    }
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
