/* Deleting, revoking and moving: see delete.h. */
#include "object/delete.h"

#include "object/irq.h"
#include "object/space.h"

#define COST_END   11 /* ending an object: so a call ends three; one that is not done, one */
#define COST_SCAN  4  /* passing CNODE_SCAN empty slots */
#define CNODE_SCAN 64

/* Every other capability for the object that s owns was derived from s: when s has no children,
 * there is none. The parents lead to it, and each stands behind its children in the order. */
/*@ ghost
    /@ requires forest && caps(NIL);
       requires is_slot(s) && s_first[s] == NIL && own_of(s) != 0 && owner[own_of(s)] == s;
       assigns \nothing;
       ensures \forall integer x; is_slot(x) && x != s ==> own_of(x) != own_of(s);
    @/
    static void owner_alone(uint32_t s)
    {
        /@ loop invariant 1 <= r <= SLOTS;
           loop invariant \forall integer x; is_slot(x) && x != s && s_order[x] >= r ==>
               own_of(x) != own_of(s);
           loop assigns r;
           loop variant r;
        @/
        for (uint32_t r = SLOTS; r > 1; r--) {
        }
    }
*/

/* Ends what thread t is bound to. */
/*@ ALL(requires, NIL)
    requires 1 <= t < T_MAX;
    SLOT_FIELDS(assigns)
    BOUND_FIELDS(assigns)
    ALL(ensures, NIL)
    ensures \forall integer x; THREAD_SLOT(t, 0) <= x < THREAD_SLOT(t, ROLES) ==> s_type[x] == 0;
    ensures \forall integer x; is_slot(x) && x < HOME_SLOTS ==> slot_stays(x);
    ensures \forall integer x; is_slot(x) ==> slot_stays(x) || s_type[x] == 0;
    ensures \forall integer x; is_slot(x) && \at(s_first[x],Pre) == NIL ==> s_first[x] == NIL; */
static void unbind(uint32_t t)
{
    /*@ loop invariant 0 <= role <= ROLES;
        ALL(loop invariant, NIL)
        loop invariant \forall integer x; THREAD_SLOT(t, 0) <= x < THREAD_SLOT(t, role) ==>
            s_type[x] == 0;
        loop invariant \forall integer x; is_slot(x) && x < HOME_SLOTS ==> slot_stays(x);
        loop invariant \forall integer x; is_slot(x) ==> slot_stays(x) || s_type[x] == 0;
        loop invariant \forall integer x; is_slot(x) && \at(s_first[x],Pre) == NIL ==>
            s_first[x] == NIL;
        loop assigns role;
        SLOT_FIELDS(loop assigns)
        BOUND_FIELDS(loop assigns)
        loop variant ROLES - role; */
    for (uint32_t role = 0; role < ROLES; role++) {
        if (s_type[THREAD_SLOT(t, role)] != 0) {
            cap_remove(THREAD_SLOT(t, role));
        }
    }
}

/* One slice of ending the thread: what it is bound to, then itself. */
/*@ ALL(requires, NIL)
    requires 1 <= t < T_MAX;
    SLOT_FIELDS(assigns)
    BOUND_FIELDS(assigns)
    ALL(ensures, NIL)
    ensures \forall integer x; is_slot(x) && x < HOME_SLOTS ==> slot_stays(x);
    ensures \forall integer x; is_slot(x) ==> slot_stays(x) || s_type[x] == 0;
    ensures \forall integer x; is_slot(x) && \at(s_first[x],Pre) == NIL ==> s_first[x] == NIL; */
static bool end_thread(uint32_t t)
{
    unbind(t);
    /*@ assert unbound: \forall integer x; THREAD_SLOT(t, 0) <= x < THREAD_SLOT(t, ROLES) ==>
            s_type[x] == 0; */
    return thread_end(t);
}

/* One slice of ending what threads wait on; true when nobody does. */
/*@ requires going;
    requires type == OBJ_ENDPOINT || type == OBJ_NOTIFICATION || type == OBJ_REPLY ||
        type == OBJ_CONTEXT;
    requires 1 <= object < length_of(type);
    RUNNING_FIELDS(assigns)
    assigns n_word[0 .. N_MAX-1];
    ensures going;
    ensures \result && type == OBJ_ENDPOINT ==>
        q_head[Q_SEND(object)] == NIL && q_head[Q_RECEIVE(object)] == NIL;
    ensures \result && type == OBJ_NOTIFICATION ==>
        q_head[Q_WAIT(object)] == NIL && n_word[object] == 0;
    ensures \result && type == OBJ_REPLY ==> r_thread[object] == NIL;
    ensures \result && type == OBJ_CONTEXT ==> c_thread[object] == NIL && running != object; */
static bool awaited_end(uint32_t type, uint32_t object)
{
    bool ended;
    if (type == OBJ_ENDPOINT) {
        ended = endpoint_end(object);
    } else if (type == OBJ_NOTIFICATION) {
        ended = notification_end(object);
    } else if (type == OBJ_REPLY) {
        ended = reply_end(object);
    } else {
        ended = context_end(object);
    }
    return ended;
}

/* clang-format off */
/* s owns an object for which there is no other capability; a cnode is empty already. */
#define LAST(clause)                                                                               \
    clause is_slot(s) && s_type[s] != 0 && s_first[s] == NIL;                                      \
    clause own_of(s) != 0 && owner[own_of(s)] == s;                                                \
    clause \forall integer x; is_slot(x) && x != s ==> own_of(x) != own_of(s);
/* clang-format on */

/* One slice of ending the memory that s owns: a frame, a table or a space. */
/*@ requires maps && cap_object && cap_mapped && cap_memory(NIL) && cap_large(NIL);
    LAST(requires)
    requires s_type[s] == OBJ_FRAME || s_type[s] == OBJ_TABLE || s_type[s] == OBJ_SPACE;
    assigns phys[0 .. PHYS_FRAMES * 512 - 1], f_state[0 .. PHYS_FRAMES-1];
    assigns s_table[0 .. SLOTS-1], s_entry[0 .. SLOTS-1];
    ensures maps && cap_mapped;
    ensures cap_memory(s);
    ensures cap_large(s);
    ensures !\result ==> cap_memory(NIL) && cap_large(NIL); */
static bool memory_end(uint32_t s)
{
    if (s_type[s] == OBJ_FRAME) {
        frame_end(s_object[s], s_kind[s]);
        return true;
    }
    return table_end(s_object[s]);
}

/* clang-format off */
/* One slice of ending the object that s owns, a step for each kind of noun. */
#define ENDING                                                                                     \
    WHOLE(requires, NIL)                                                                           \
    LAST(requires)                                                                                 \
    SLOT_FIELDS(assigns)                                                                           \
    BOUND_FIELDS(assigns)                                                                          \
    assigns f_state[0 .. PHYS_FRAMES-1], k_size[0 .. HOME_SLOTS-1];                                \
    WHOLE(ensures, s)                                                                              \
    LAST(ensures)                                                                                  \
    ensures \result && s_type[s] == OBJ_CNODE ==> k_size[s_object[s]] == 0;                        \
    ensures !\result ==> caps(NIL) && cnodes(NIL);                                                 \
    ensures slot_stays(s);                                                                         \
    ensures \forall integer x; is_slot(x) ==> slot_stays(x) || s_type[x] == 0;
/* And what a step changes that empties no cnode. */
#define STEP_FIELDS(clause)                                                                        \
    SLOT_FIELDS(clause) BOUND_FIELDS(clause)                                                       \
    clause owner[0 .. OBJECTS-1], f_state[0 .. PHYS_FRAMES-1], k_size[0 .. HOME_SLOTS-1];
/* clang-format on */

/*@ requires s_type[s] == OBJ_CNODE && k_count[s_object[s]] == 0;
    ENDING */
static bool noun_end_cnode(uint32_t s)
{
    cnode_free(s_object[s]);
    /*@ assert filled: home_filled(s); */
    /*@ assert owners: cnode_owner(s); */
    return true;
}

/*@ requires s_type[s] == OBJ_IRQ || s_type[s] == OBJ_THREAD;
    ENDING */
static bool noun_end_bound(uint32_t s)
{
    /*@ assert home: s < HOME_SLOTS; */
    if (s_type[s] == OBJ_IRQ) {
        return irq_end(s_object[s]);
    }
    return end_thread(s_object[s]);
}

/*@ requires s_type[s] == OBJ_FRAME || s_type[s] == OBJ_TABLE || s_type[s] == OBJ_SPACE;
    ENDING */
static bool noun_end_memory(uint32_t s)
{
    return memory_end(s);
}

/*@ requires s_type[s] == OBJ_ENDPOINT || s_type[s] == OBJ_NOTIFICATION ||
        s_type[s] == OBJ_REPLY || s_type[s] == OBJ_CONTEXT;
    ENDING */
static bool noun_end_awaited(uint32_t s)
{
    return awaited_end(s_type[s], s_object[s]);
}

/*@ requires s_type[s] == OBJ_CNODE ==> k_count[s_object[s]] == 0;
    ENDING */
static bool noun_end(uint32_t s)
{
    uint32_t type = s_type[s];
    if (type == OBJ_CNODE) {
        return noun_end_cnode(s);
    }
    if (type == OBJ_IRQ || type == OBJ_THREAD) {
        return noun_end_bound(s);
    }
    if (type == OBJ_FRAME || type == OBJ_TABLE || type == OBJ_SPACE) {
        return noun_end_memory(s);
    }
    return noun_end_awaited(s);
}

/* The object that s owned has ended: its entry is free. */
/*@ requires owner_slot && cap_object && cap_live(s) && cap_copy(s) && cap_owner(s);
    requires home_filled(s) && cnode_owner(s);
    LAST(requires)
    requires s_type[s] == OBJ_CNODE ==> k_size[s_object[s]] == 0;
    assigns owner[own_of(s)];
    ensures owner[own_of(s)] == NIL;
    ensures owner_slot;
    ensures cap_live(s);
    ensures cap_copy(s);
    ensures cap_owner(s);
    ensures home_filled(s);
    ensures cnode_owner(NIL); */
static void entry_free(uint32_t s)
{
    owner[cap_own(s)] = NIL;
}

/* For contracts: what a step did to c, which had a parent and perhaps a first child. */
#define STEPPED(c, first, parent) ((first) == NIL ? s_type[c] == 0 : s_parent[first] == (parent))

/* One step of emptying c, which owns nothing: what was derived from it goes to what it was derived
 * from itself, and once there is no more of that it goes. */
/*@ WHOLE(requires, NIL)
    requires is_slot(c) && s_type[c] != 0 && owner[own_of(c)] != c;
    SLOT_FIELDS(assigns)
    BOUND_FIELDS(assigns)
    WHOLE(ensures, NIL)
    ensures STEPPED(c, \old(s_first[c]), \old(s_parent[c]));
    ensures \forall integer x; is_slot(x) ==> slot_stays(x) || s_type[x] == 0; */
static void copy_step(uint32_t c)
{
    if (s_first[c] != NIL) {
        cap_raise(c);
    } else {
        cap_remove(c);
    }
}

/* One step of emptying s, which owns an object and has no children. */
/*@ WHOLE(requires, NIL)
    requires is_slot(s) && s_type[s] != 0 && s_first[s] == NIL;
    requires own_of(s) != 0 && owner[own_of(s)] == s;
    requires s_type[s] == OBJ_CNODE ==> k_count[s_object[s]] == 0;
    STEP_FIELDS(assigns)
    WHOLE(ensures, NIL)
    ensures 1 <= \result <= REVOKE_SLICE;
    ensures \forall integer x; is_slot(x) ==> slot_stays(x) || s_type[x] == 0; */
static uint32_t owner_step(uint32_t s)
{
    /*@ ghost owner_alone(s); */
    if (!noun_end(s)) {
        return REVOKE_SLICE;
    }
    entry_free(s);
    cap_remove(s);
    return COST_END;
}

/* One step of emptying s, which does not own a cnode with slots in reach. What is derived from an
 * object's owner goes with it; what is derived from a copy goes to the copy's parent. */
/*@ WHOLE(requires, NIL)
    requires is_slot(s) && s_type[s] != 0;
    requires s_type[s] == OBJ_CNODE && s_first[s] == NIL && owner[own_of(s)] == s ==>
        k_count[s_object[s]] == 0;
    STEP_FIELDS(assigns)
    WHOLE(ensures, NIL)
    ensures 1 <= \result <= REVOKE_SLICE;
    ensures \old(owner[own_of(s)]) != s ==>
        STEPPED(s, \old(s_first[s]), \old(s_parent[s]));
    ensures \old(owner[own_of(s)]) == s && \old(s_first[s]) != NIL ==>
        STEPPED(\old(s_first[s]), \old(s_first[s_first[s]]), s);
    ensures \forall integer x; is_slot(x) ==> slot_stays(x) || s_type[x] == 0; */
static uint32_t cap_step(uint32_t s)
{
    bool owns = cap_is_owner(s);
    if (owns && s_first[s] == NIL) {
        return owner_step(s);
    }
    copy_step(owns ? s_first[s] : s);
    return 1;
}

/* s has no children and owns a cnode that handles reach into. */
/*@ requires caps(NIL);
    requires is_slot(s);
    assigns \nothing;
    ensures \result == true <==> s_type[s] == OBJ_CNODE && s_first[s] == NIL &&
        owner[own_of(s)] == s && k_count[s_object[s]] != 0; */
static bool owns_filled_cnode(uint32_t s)
{
    return s_type[s] == OBJ_CNODE && s_first[s] == NIL && cap_is_owner(s) &&
           k_count[s_object[s]] != 0;
}

/* The owner s of a cnode, without children, goes to the cnode's own slot 0: one step. */
/*@ WHOLE(requires, NIL)
    requires is_home(s) && s_type[s] == OBJ_CNODE && s_first[s] == NIL;
    requires owner[s_object[s]] == s && s_type[s_object[s]] == 0;
    SLOT_FIELDS(assigns)
    BOUND_FIELDS(assigns)
    assigns owner[0 .. OBJECTS-1];
    WHOLE(ensures, NIL)
    ensures s_type[s] == 0 && \result == 1;
    ensures \forall integer x; is_slot(x) ==>
        slot_stays(x) || s_type[x] == 0 || (x < HOME_SLOTS && s_home[x] == x); */
static uint32_t detach(uint32_t s)
{
    uint32_t k = s_object[s];
    /*@ assert first: k_size[k] != 0 && s_home[k] == k; */
    cap_hand_over(s, k);
    /*@ assert own: owner[k] == k; */
    cap_remove(s);
    /*@ assert filled: home_filled(NIL); */
    /*@ assert owners: cnode_owner(NIL); */
    return 1;
}

/* Takes the empty slots at the end of cnode k out of reach, and the one of its owner d if it lies
 * there, which stays. */
/*@ requires cnodes(NIL) && is_home(k) && owner[k] == d;
    assigns k_count[k];
    ensures cnodes(NIL);
    ensures k_count[k] <= \old(k_count[k]);
    ensures k_count[k] == \old(k_count[k]) && k_count[k] != 0 ==>
        k + k_count[k] - 1 != d && s_type[k + k_count[k] - 1] != 0; */
static void cnode_trim(uint32_t k, uint32_t d)
{
    /*@ loop invariant 0 <= n <= CNODE_SCAN && k_count[k] == \at(k_count[k],Pre) - n;
        loop invariant k_sizes;
        loop invariant home_filled(NIL);
        loop assigns n, k_count[k];
        loop variant CNODE_SCAN - n; */
    for (uint32_t n = 0; n < CNODE_SCAN && k_count[k] != 0; n++) {
        uint32_t last = k + k_count[k] - 1;
        if (last != d && s_type[last] != 0) {
            return;
        }
        /*@ assert gone: s_type[last] != 0 ==> owner[k] == last; */
        /*@ assert left: \forall integer x; is_home(x) && s_type[x] != 0 && s_home[x] == k ==>
                (x != k && x - k < k_count[k] - 1) || owner[k] == x; */
        k_count[k]--;
    }
}

/* One step of emptying s, which lies in a cnode that is being emptied itself. */
/*@ WHOLE(requires, NIL)
    requires is_home(s) && s_type[s] != 0 && s != s_home[s];
    STEP_FIELDS(assigns)
    WHOLE(ensures, NIL)
    ensures 1 <= \result <= REVOKE_SLICE;
    EMPTIED(ensures) */
static uint32_t last_step(uint32_t s)
{
    if (owns_filled_cnode(s)) {
        return detach(s);
    }
    return cap_step(s);
}

/* One step of emptying the cnode that d owns: its last slot. d itself may lie in it and stays.
 * Empty slots at the end are passed, or the last one was not empty. */
/*@ WHOLE(requires, NIL)
    requires is_slot(d) && s_type[d] == OBJ_CNODE && owner[own_of(d)] == d;
    requires k_count[s_object[d]] != 0;
    TABLES(assigns)
    WHOLE(ensures, NIL)
    ensures 1 <= \result <= REVOKE_SLICE;
    ensures k_count[\old(s_object[d])] < \old(k_count[s_object[d]]) ||
        (k_count[\old(s_object[d])] == \old(k_count[s_object[d]]) &&
            \old(s_object[d] + k_count[s_object[d]] - 1) != d &&
            \old(s_type[s_object[d] + k_count[s_object[d]] - 1]) != 0);
    EMPTIED(ensures) */
static uint32_t cnode_step(uint32_t d)
{
    uint32_t k = s_object[d];
    cnode_trim(k, d);
    /*@ assert ahead: k_count[k] < \at(k_count[s_object[d]],Pre) ||
            (k_count[k] == \at(k_count[s_object[d]],Pre) && k + k_count[k] - 1 != d &&
                s_type[k + k_count[k] - 1] != 0); */
    if (k_count[k] == 0) {
        return COST_SCAN;
    }
    uint32_t last = k + k_count[k] - 1;
    if (last == d || s_type[last] == 0) {
        return COST_SCAN;
    }
    return last_step(last);
}

/*@ WHOLE(requires, NIL)
    requires is_slot(s) && s_type[s] != 0;
    TABLES(assigns)
    WHOLE(ensures, NIL)
    ensures 1 <= \result <= REVOKE_SLICE;
    EMPTIED(ensures) */
static uint32_t empty_step(uint32_t s)
{
    return owns_filled_cnode(s) ? cnode_step(s) : cap_step(s);
}

bool delete_slice(uint32_t s)
{
    uint32_t cost = 0;
    /*@ loop invariant 0 <= cost < 2 * REVOKE_SLICE;
        WHOLE(loop invariant, NIL)
        EMPTIED(loop invariant)
        loop assigns cost;
        TABLES(loop assigns)
        loop variant 2 * REVOKE_SLICE - cost; */
    while (cost < REVOKE_SLICE && s_type[s] != 0) {
        cost += empty_step(s);
    }
    return s_type[s] == 0;
}

bool revoke_slice(uint32_t s)
{
    uint32_t cost = 0;
    /*@ loop invariant 0 <= cost < 2 * REVOKE_SLICE;
        WHOLE(loop invariant, NIL)
        EMPTIED(loop invariant)
        loop assigns cost;
        TABLES(loop assigns)
        loop variant 2 * REVOKE_SLICE - cost; */
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

/* The first part of moving: to takes the place of from in everything but its children. */
/*@ WHOLE(requires, NIL)
    requires in_reach(from) && in_reach(to) && s_type[from] != 0;
    requires s_type[to] == 0 || (s_parent[from] == to && s_type[from] == s_type[to]);
    SLOT_FIELDS(assigns)
    assigns owner[own_of(from)];
    WHOLE(ensures, NIL)
    ensures owner[own_of(from)] != from && s_type[to] == s_type[from];
    ensures \old(s_type[to]) == 0 ==> s_object[to] == s_object[from];
    ensures \forall integer x; is_slot(x) && x != to ==> slot_stays(x);
    ensures \old(s_type[to]) != 0 ==> slot_stays(to); */
static void move_begin(uint32_t from, uint32_t to)
{
    /*@ assert begun: s_type[to] != 0 ==> owner[own_of(from)] != from; */
    if (s_type[to] == 0) {
        cap_hand_over(from, to);
        /*@ assert moved: own_of(from) == own_of(to) && owner[own_of(from)] != from; */
        /*@ assert thread: hidden_thread; */
        /*@ assert fields: bound_fields; */
        /*@ assert filled: home_filled(NIL); */
        /*@ assert owners: cnode_owner(NIL); */
    }
}

bool move_slice(uint32_t from, uint32_t to)
{
    uint32_t cost = 0;
    move_begin(from, to);
    /*@ loop invariant 0 <= cost <= REVOKE_SLICE;
        loop invariant forest;
        loop invariant caps(NIL);
        loop invariant hidden;
        loop assigns cost, s_first[0 .. SLOTS-1], s_parent[0 .. SLOTS-1], s_next[0 .. SLOTS-1];
        loop assigns s_prev[0 .. SLOTS-1], s_order[0 .. SLOTS-1];
        loop variant REVOKE_SLICE - cost; */
    while (cost < REVOKE_SLICE && s_first[from] != NIL) {
        cap_raise(from);
        /*@ assert raised: s_first[from] == \at(s_next[s_first[from]],LoopCurrent); */
        cost++;
    }
    if (s_first[from] != NIL) {
        return false;
    }
    cap_remove(from);
    return true;
}
