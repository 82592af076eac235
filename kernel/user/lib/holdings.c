/* Holdings: see holdings.h. */
#include "holdings.h"

static const uint8_t kind_of[TYPES] = {
    [OBJ_CNODE] = KIND_SLOT,        [OBJ_THREAD] = KIND_THREAD,
    [OBJ_ENDPOINT] = KIND_ENDPOINT, [OBJ_NOTIFICATION] = KIND_NOTIFICATION,
    [OBJ_REPLY] = KIND_REPLY,       [OBJ_CONTEXT] = KIND_CONTEXT,
    [OBJ_SPACE] = KIND_FRAME,       [OBJ_TABLE] = KIND_FRAME,
    [OBJ_FRAME] = KIND_FRAME,
};

uint64_t slots_new(struct holdings *h, uint64_t count)
{
    if (h->slots - h->free_slot < count) {
        give_up("get an empty slot", h->slots);
    }
    h->free_slot += count;
    return h->free_slot - count;
}

uint64_t slot_new(struct holdings *h)
{
    return slots_new(h, 1);
}

static void exhausted(unsigned kind, uint64_t wanted)
{
    print("kind ");
    print_number(kind);
    print(": ");
    give_up("make an object, the range is used up", wanted);
}

static void made(unsigned error, uint64_t type, uint64_t at)
{
    if (error) {
        print("type ");
        print_number(type);
        print(" at ");
        print_number(at);
        print(": ");
        give_up("make an object", error);
    }
}

/* Makes count objects that take `each` units of the range, aligned; consecutive slots, the first is
 * returned. */
static uint64_t make(struct holdings *h, uint64_t type, uint64_t size, uint64_t count,
                     uint64_t each, uint64_t align)
{
    struct range *r = &h->range[kind_of[type]];
    uint64_t at = r->used;
    if (align > 1) {
        at += (align - (r->first + at) % align) % align;
    }
    if (r->untyped == 0 || r->count < at || (r->count - at) / each < count) {
        exhausted(kind_of[type], count);
    }
    uint64_t slot = slots_new(h, count);
    for (uint64_t done = 0, part; done < count; done += part) {
        part = count - done < RETYPE_OBJECTS ? count - done : RETYPE_OBJECTS;
        made(retype_whole(r->untyped, type, size, at + done * each, part, h->cnode, slot + done),
             type, at);
    }
    r->used = at + count * each;
    return slot;
}

uint64_t object_new(struct holdings *h, uint64_t type)
{
    return make(h, type, 0, 1, type == OBJ_SPACE ? TABLE_FRAMES : 1, 1);
}

uint64_t table_new(struct holdings *h, unsigned level)
{
    return make(h, OBJ_TABLE, level, 1, TABLE_FRAMES, 1);
}

uint64_t frame_new(struct holdings *h)
{
    return make(h, OBJ_FRAME, 0, 1, 1, 1);
}

uint64_t frames_new(struct holdings *h, uint64_t count)
{
    return make(h, OBJ_FRAME, 0, count, 1, 1);
}

uint64_t large_frame_new(struct holdings *h)
{
    return make(h, OBJ_FRAME, 1, 1, LARGE_FRAMES, LARGE_FRAMES);
}

uint64_t cnode_new(struct holdings *h, uint64_t slots)
{
    struct range *r = &h->range[KIND_SLOT];
    uint64_t slot = slot_new(h), done = slots < CNODE_SLICE ? slots : CNODE_SLICE;
    if (r->untyped == 0 || r->count - r->used < slots) {
        exhausted(KIND_SLOT, slots);
    }
    made(retype_whole(r->untyped, OBJ_CNODE, 0, r->used, done, h->cnode, slot), OBJ_CNODE, r->used);
    while (done < slots) {
        uint64_t part = slots - done < CNODE_SLICE ? slots - done : CNODE_SLICE;
        made(cnode_extend(slot, r->untyped, part), OBJ_CNODE, r->used + done);
        done += part;
    }
    r->used += slots;
    return slot;
}

uint64_t untyped_new(struct holdings *h, unsigned kind, uint64_t count)
{
    struct range *r = &h->range[kind];
    uint64_t slot = slot_new(h);
    if (r->count - r->used < count) {
        give_up("divide an untyped: the range is used up", kind);
    }
    unsigned error = retype_whole(r->untyped, OBJ_UNTYPED, 0, r->used, count, h->cnode, slot);
    if (error) {
        give_up("divide an untyped", error);
    }
    r->used += count;
    return slot;
}

uint64_t copy_new(struct holdings *h, uint64_t from, uint64_t rights)
{
    uint64_t slot = slot_new(h);
    unsigned error = cnode_copy(h->cnode, slot, h->cnode, from, rights);
    if (error) {
        give_up("copy a capability", error);
    }
    return slot;
}

uint64_t badged_new(struct holdings *h, uint64_t from, uint64_t rights, uint64_t badge)
{
    uint64_t slot = slot_new(h);
    unsigned error = cnode_mint(h->cnode, slot, h->cnode, from, rights, badge);
    if (error) {
        give_up("badge a capability", error);
    }
    return slot;
}

struct mark holdings_mark(const struct holdings *h)
{
    struct mark m = {.free_slot = h->free_slot};
    for (unsigned k = 0; k < KINDS; k++) {
        m.used[k] = h->range[k].used;
    }
    return m;
}

void holdings_reset(struct holdings *h, const struct mark *m)
{
    for (uint64_t slot = h->free_slot; slot > m->free_slot; slot--) {
        unsigned error = delete_whole(h->cnode, slot - 1);
        if (error) {
            print("slot ");
            print_number(slot - 1);
            print(": ");
            give_up("delete a capability", error);
        }
    }
    h->free_slot = m->free_slot;
    for (unsigned k = 0; k < KINDS; k++) {
        h->range[k].used = m->used[k];
    }
}
