/* Deleting, revoking and moving: see delete.h. */
#include "object/delete.h"

#include "object/irq.h"
#include "object/space.h"

#define COST_END   11 /* ending an object: so a call ends three; one that is not done, one */
#define COST_SCAN  4  /* passing CNODE_SCAN empty slots */
#define CNODE_SCAN 64

/* One slice of ending the thread: what it is bound to, then itself. */
static bool end_thread(uint32_t t)
{
    for (uint32_t role = 0; role < ROLES; role++) {
        if (s_type[THREAD_SLOT(t, role)] != 0) {
            cap_remove(THREAD_SLOT(t, role));
        }
    }
    return thread_end(t);
}

/* One slice of ending the object that s owns; a cnode is empty already. True when it has ended. */
static bool object_end(uint32_t s)
{
    uint32_t object = s_object[s];
    switch (s_type[s]) {
    case OBJ_CNODE:
        cnode_free(object);
        return true;
    case OBJ_THREAD:
        return end_thread(object);
    case OBJ_ENDPOINT:
        return endpoint_end(object);
    case OBJ_NOTIFICATION:
        return notification_end(object);
    case OBJ_REPLY:
        return reply_end(object);
    case OBJ_CONTEXT:
        return context_end(object);
    case OBJ_SPACE:
    case OBJ_TABLE:
        return table_end(object);
    case OBJ_FRAME:
        frame_end(object, s_kind[s]);
        return true;
    default:
        return irq_end(object);
    }
}

/* One step of emptying s, which does not own a cnode with slots in reach. What is derived from an
 * object's owner goes with it; what is derived from a copy goes to the copy's parent. */
static uint32_t cap_step(uint32_t s)
{
    bool owns = cap_is_owner(s);
    if (s_first[s] != NIL && !owns) {
        derivation_raise(s);
        return 1;
    }
    if (s_first[s] != NIL) {
        uint32_t c = derivation_step(s);
        if (c != NIL) {
            cap_remove(c);
        }
        return 1;
    }
    if (owns) {
        if (!object_end(s)) {
            return REVOKE_SLICE;
        }
        owner[cap_own(s)] = NIL;
    }
    cap_remove(s);
    return owns ? COST_END : 1;
}

/* s has no children and owns a cnode that handles reach into. */
/*@ CAPS(requires)
    requires is_slot(s);
    assigns \nothing;
    ensures \result == true <==> s_type[s] == OBJ_CNODE && s_first[s] == NIL &&
        owner[own_of(s)] == s && k_count[s_object[s]] != 0; */
static bool owns_filled_cnode(uint32_t s)
{
    return s_type[s] == OBJ_CNODE && s_first[s] == NIL && cap_is_owner(s) &&
           k_count[s_object[s]] != 0;
}

/* The owner s of a cnode, without children, goes to the cnode's own slot 0. */
static void detach(uint32_t s)
{
    cap_hand_over(s, s_object[s]);
    cap_remove(s);
}

/* One step of emptying the cnode that d owns: its last slot. d itself may lie in it and stays. */
static uint32_t cnode_step(uint32_t d)
{
    uint32_t k = s_object[d];
    for (uint32_t n = 0; n < CNODE_SCAN && k_count[k] != 0; n++) {
        uint32_t last = k + k_count[k] - 1;
        if (last != d && s_type[last] != 0) {
            if (!owns_filled_cnode(last)) {
                return cap_step(last);
            }
            detach(last);
            return 1;
        }
        k_count[k]--;
    }
    return COST_SCAN;
}

static uint32_t empty_step(uint32_t s)
{
    return owns_filled_cnode(s) ? cnode_step(s) : cap_step(s);
}

bool delete_slice(uint32_t s)
{
    uint32_t cost = 0;
    while (cost < REVOKE_SLICE && s_type[s] != 0) {
        cost += empty_step(s);
    }
    return s_type[s] == 0;
}

bool revoke_slice(uint32_t s)
{
    uint32_t cost = 0;
    while (cost < REVOKE_SLICE && s_first[s] != NIL) {
        cost += empty_step(s_first[s]);
    }
    return s_first[s] == NIL;
}

bool move_begun(uint32_t from, uint32_t to)
{
    return s_parent[from] == to && s_type[from] == s_type[to] && s_object[from] == s_object[to] &&
           s_rights[from] == s_rights[to] && s_badge[from] == s_badge[to] &&
           s_kind[from] == s_kind[to] && s_count[from] == s_count[to];
}

bool move_slice(uint32_t from, uint32_t to)
{
    uint32_t cost = 0;
    if (s_type[to] == 0) {
        cap_hand_over(from, to);
    }
    while (cost < REVOKE_SLICE && s_first[from] != NIL) {
        derivation_raise(from);
        cost++;
    }
    if (s_first[from] != NIL) {
        return false;
    }
    cap_remove(from);
    return true;
}
