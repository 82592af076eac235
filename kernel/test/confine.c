/* Confinement and integrity as a relation of two states (docs/kernel.md): the tables before an
 * entry and behind it, and the thread that ran.
 *
 * Slots. The thread *holds* the slots of its cnode. It *commands* the slots of the cnodes that it
 * holds with the right to write, what threads and lines that it holds so are bound to, and whatever
 * is derived from a commanded slot, or lies in a cnode, thread or line whose owner is commanded. A
 * slot may only lose its capability when it was commanded. It may only get one when it was
 * commanded, and then
 * - a copy of a capability that was held, or readable: in a cnode that was held with the right to
 *   read; with at most its rights;
 * - what a held untyped range covers, unless it existed;
 * - or the capability of another commanded slot, moved;
 * or when a message brought it: then it lies in the cnode of a thread that received, and is a copy,
 * with at most its rights, from the cnode of a thread that sent with the right to grant; and one of
 * the two ran, the other waited.
 *
 * Threads. Another thread's registers change only when the thread is commanded, or it waited on an
 * endpoint, a notification or in a reply object that is held, commanded, or that the kernel names
 * to the running thread for faults; or when an interrupt signalled it. Priorities, budgets and
 * periods change only by capabilities with the right to write.
 *
 * Memory. What a frame holds changes only when it is free and becomes an object, or is the buffer
 * of a thread whose registers may change too.
 */
#include "test/confine.h"

#include "object/capability.h"
#include "object/cnode.h"
#include "object/context.h"
#include "object/notification.h"
#include "object/queue.h"
#include "object/reply.h"
#include "object/schedule.h"
#include "object/space.h"
#include "object/thread.h"
#include "object/untyped.h"
#include "test/testkit.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MEMORY_EVERY 64u /* one entry in so many is looked at word by word */

/* The tables that are kept: TABLE(name). */
#define TABLES                                                                                     \
    TABLE(s_type)                                                                                  \
    TABLE(s_rights)                                                                                \
    TABLE(s_object)                                                                                \
    TABLE(s_badge)                                                                                 \
    TABLE(s_kind)                                                                                  \
    TABLE(s_count)                                                                                 \
    TABLE(s_parent)                                                                                \
    TABLE(s_table)                                                                                 \
    TABLE(s_entry)                                                                                 \
    TABLE(s_home)                                                                                  \
    TABLE(k_count)                                                                                 \
    TABLE(k_size)                                                                                  \
    TABLE(owner)                                                                                   \
    TABLE(t_state)                                                                                 \
    TABLE(t_queue)                                                                                 \
    TABLE(t_reply)                                                                                 \
    TABLE(t_cnode)                                                                                 \
    TABLE(t_buffer)                                                                                \
    TABLE(t_priority)                                                                              \
    TABLE(t_reg)                                                                                   \
    TABLE(c_budget)                                                                                \
    TABLE(c_period)                                                                                \
    TABLE(f_state)                                                                                 \
    TABLE(n_thread)

#define TABLE(name) static __typeof__(name) old_##name;
TABLES
#undef TABLE
static uint64_t old_phys[sizeof(phys) / sizeof(phys[0])];

enum { LOST, COPIED, MADE, MOVED, SENT, MAPPED, WOKEN, REASONS };
static const char *const reason_name[REASONS] = {"emptied",     "copied", "made", "moved",
                                                 "handed over", "mapped", "told"};
static uint64_t seen[REASONS];

static uint32_t runner;       /* the thread that enters */
static uint32_t signalled;    /* notification of the interrupt that enters, or NIL */
static bool held[SLOTS];      /* in the runner's cnode */
static bool readable[SLOTS];  /* in a cnode that it holds with the right to read */
static bool commanded[SLOTS]; /* see above */
static bool touched[T_MAX];   /* threads whose registers may change */
static bool memory;           /* this entry is looked at word by word */
static uint64_t entries;

static void fail(const char *entry, const char *what, uint32_t which)
{
    fprintf(stderr, "%s of thread %u: %s %u changed without authority\n", entry, runner, what,
            which);
    abort();
}

/* The slots of cnode k that handles reach. */
static void mark(bool *set, uint32_t k)
{
    for (uint32_t n = 1; n < old_k_count[k]; n++) {
        set[k + n] = true;
    }
}

static void mark_hidden(bool *set, uint32_t first, uint32_t count)
{
    for (uint32_t n = 0; n < count; n++) {
        set[first + n] = true;
    }
}

/* The owner's entry for what slot s belongs to: its cnode, its thread, its line. */
static uint32_t place_of(uint32_t s)
{
    if (s >= IRQ_SLOT(0)) {
        return OWN_IRQ + s - IRQ_SLOT(0);
    }
    if (s >= HOME_SLOTS) {
        return OWN_THREAD + (s - HOME_SLOTS) / THREAD_SLOTS;
    }
    uint32_t k = old_s_home[s];
    return k != NIL && s - k < old_k_size[k] ? OWN_CNODE + k : 0;
}

static bool commands(uint32_t own)
{
    return own != 0 && old_owner[own] != NIL && commanded[old_owner[own]];
}

/* What the runner may do, from the tables before the entry. */
static void find_authority(void)
{
    memset(held, 0, sizeof(held));
    memset(readable, 0, sizeof(readable));
    memset(commanded, 0, sizeof(commanded));
    if (runner == NIL || old_t_cnode[runner] == NIL) {
        return;
    }
    mark(held, old_t_cnode[runner]);
    for (uint32_t s = 1; s < HOME_SLOTS; s++) {
        bool writes = held[s] && (old_s_rights[s] & RIGHT_WRITE) != 0;
        if (held[s] && old_s_type[s] == OBJ_CNODE && (old_s_rights[s] & RIGHT_READ) != 0) {
            mark(readable, old_s_object[s]);
        }
        if (writes && old_s_type[s] == OBJ_CNODE) {
            mark(commanded, old_s_object[s]);
        } else if (writes && old_s_type[s] == OBJ_THREAD) {
            mark_hidden(commanded, THREAD_SLOT(old_s_object[s], 0), ROLES);
        } else if (writes && old_s_type[s] == OBJ_IRQ) {
            mark_hidden(commanded, IRQ_SLOT(old_s_object[s]), 1);
        }
    }
    bool more = true;
    while (more) {
        more = false;
        for (uint32_t s = 1; s < SLOTS; s++) {
            if (!commanded[s] &&
                ((old_s_parent[s] != NIL && commanded[old_s_parent[s]]) || commands(place_of(s)))) {
                commanded[s] = true;
                more = true;
            }
        }
    }
}

/* The runner holds a capability of the type for the object, or commands the object's owner. */
static bool reaches(uint32_t type, uint32_t object, uint32_t rights)
{
    for (uint32_t s = 1; s < HOME_SLOTS; s++) {
        if (held[s] && old_s_type[s] == type && old_s_object[s] == object &&
            (old_s_rights[s] & rights) == rights) {
            return true;
        }
    }
    return commands(own_base((uint8_t)type) + object);
}

/* The endpoint is the one to which the faults of a thread are told whose registers may change. */
static bool told_of_faults(uint32_t e)
{
    for (uint32_t t = 1; t < T_MAX; t++) {
        for (uint32_t role = ROLE_FAULT; role <= ROLE_TIMEOUT && touched[t]; role++) {
            uint32_t s = THREAD_SLOT(t, role);
            if (old_s_type[s] == OBJ_ENDPOINT && old_s_object[s] == e) {
                return true;
            }
        }
    }
    return false;
}

static bool may_signal(uint32_t n)
{
    return n != NIL && (n == signalled || reaches(OBJ_NOTIFICATION, n, 0));
}

static bool waited(uint32_t t)
{
    return old_t_state[t] != THREAD_STOPPED && old_t_state[t] != THREAD_READY;
}

/* Thread t waits, and for something that the runner can end. */
static bool waits_for_runner(uint32_t t)
{
    uint32_t q = old_t_queue[t];
    uint32_t r = old_t_reply[t];
    if (!waited(t)) {
        return false;
    }
    for (uint32_t n = 1; n < N_MAX; n++) {
        if (old_n_thread[n] == t && may_signal(n)) {
            return true;
        }
    }
    if (r != NIL && reaches(OBJ_REPLY, r, 0)) {
        return true;
    }
    if (q >= Q_WAIT(0)) {
        return may_signal(q - Q_WAIT(0));
    }
    if (q >= Q_SEND(0)) {
        uint32_t e = q >= Q_RECEIVE(0) ? q - Q_RECEIVE(0) : q - Q_SEND(0);
        return reaches(OBJ_ENDPOINT, e, 0) || told_of_faults(e);
    }
    return false;
}

/* Threads whose registers may change. Twice: what the first one's faults are told to. */
static void find_touched(void)
{
    memset(touched, 0, sizeof(touched));
    touched[runner] = true;
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t t = 1; t < T_MAX; t++) {
            touched[t] = touched[t] || reaches(OBJ_THREAD, t, RIGHT_WRITE) ||
                         old_owner[OWN_THREAD + t] == NIL || waits_for_runner(t);
        }
    }
}

void confine_before(uint32_t irq)
{
#define TABLE(name) memcpy(old_##name, name, sizeof(name));
    TABLES
#undef TABLE
    runner = irq == CONFINE_NO_IRQ ? current : NIL;
    signalled = irq == CONFINE_NO_IRQ ? NIL : s_object[IRQ_SLOT(irq + 1)];
    memory = entries++ % MEMORY_EVERY == 0;
    if (memory) {
        memcpy(old_phys, phys, sizeof(phys));
    }
    find_authority();
}

/* What slot s says now is what slot p said before, with at most its rights. */
static bool is_copy(uint32_t s, uint32_t p)
{
    return old_s_type[p] == s_type[s] && old_s_object[p] == s_object[s] &&
           old_s_kind[p] == s_kind[s] && old_s_count[p] == s_count[s] &&
           (s_rights[s] & ~old_s_rights[p]) == 0 &&
           (old_s_badge[p] == 0 || old_s_badge[p] == s_badge[s]);
}

/* The capability in s was made of the untyped range in p, and did not exist. */
static bool is_made(uint32_t s, uint32_t p)
{
    uint32_t type = s_type[s];
    uint64_t length = type == OBJ_CNODE     ? k_size[s_object[s]]
                      : type_is_range(type) ? s_count[s]
                                            : type_unit(type, s_kind[s]);
    return old_s_type[p] == OBJ_UNTYPED && (old_s_rights[p] & RIGHT_WRITE) != 0 &&
           s_object[s] >= old_s_object[p] &&
           s_object[s] + length <= (uint64_t)old_s_object[p] + old_s_count[p] &&
           (cap_own(s) == 0 || old_owner[cap_own(s)] == NIL) &&
           old_s_kind[p] == (type == OBJ_UNTYPED ? s_kind[s] : type_kind(type));
}

static bool is_moved(uint32_t s)
{
    for (uint32_t q = 1; q < SLOTS; q++) {
        if (q != s && commanded[q] && is_copy(s, q) && (s_type[q] == 0 || s_parent[q] == s)) {
            return true;
        }
    }
    return false;
}

/* Slot s lay in the cnode of thread t. */
static bool in_cnode(uint32_t s, uint32_t t)
{
    uint32_t k = old_t_cnode[t];
    return k != NIL && s > k && s < k + old_k_count[k];
}

/* A message brought the capability: from the runner to one who waited, or the other way round. */
static bool is_sent(uint32_t s, uint32_t p)
{
    for (uint32_t from = 1; from < T_MAX; from++) {
        if (!touched[from] || !in_cnode(p, from) || (t_rights[from] & RIGHT_GRANT) == 0) {
            continue;
        }
        for (uint32_t to = 1; to < T_MAX; to++) {
            bool met = from == runner ? waited(to) : to == runner && waited(from);
            if (met && touched[to] && in_cnode(s, to)) {
                return true;
            }
        }
    }
    return false;
}

/* Why slot s has what it has now; REASONS: for no reason. */
static uint32_t reason_of(uint32_t s)
{
    uint32_t p = s_parent[s];
    if (p != NIL && old_s_type[s] == 0 && is_copy(s, p) && is_sent(s, p)) {
        return SENT;
    }
    if (commanded[s] && p != NIL && (held[p] || readable[p] || commanded[p]) && is_copy(s, p)) {
        return COPIED;
    }
    if (commanded[s] && p != NIL && held[p] && is_made(s, p)) {
        return MADE;
    }
    if (commanded[s] && is_moved(s)) {
        return MOVED;
    }
    return REASONS;
}

static bool same_capability(uint32_t s)
{
    return s_type[s] == old_s_type[s] && s_rights[s] == old_s_rights[s] &&
           s_object[s] == old_s_object[s] && s_badge[s] == old_s_badge[s] &&
           s_kind[s] == old_s_kind[s] && s_count[s] == old_s_count[s];
}

/* The mapping of slot s may change: it is held or commanded, or the table is. */
static bool may_map(uint32_t s)
{
    uint32_t table = old_s_table[s];
    return held[s] || commanded[s] || (table != NIL && commands(OWN_FRAME + table));
}

static void check_slots(const char *entry)
{
    for (uint32_t s = 1; s < SLOTS; s++) {
        uint32_t reason = MAPPED;
        if (!same_capability(s)) {
            reason = s_type[s] != 0 ? reason_of(s) : commanded[s] ? LOST : REASONS;
        } else if (s_table[s] == old_s_table[s] && s_entry[s] == old_s_entry[s]) {
            continue;
        } else if (!may_map(s)) {
            reason = REASONS;
        }
        if (reason == REASONS) {
            fail(entry, "slot", s);
        }
        seen[reason]++;
    }
}

static void check_objects(const char *entry)
{
    for (uint32_t t = 1; t < T_MAX; t++) {
        if (memcmp(t_reg + t * T_REGS, old_t_reg + t * T_REGS, T_REGS * sizeof(t_reg[0])) != 0) {
            if (!touched[t]) {
                fail(entry, "registers of thread", t);
            }
            seen[WOKEN] += t != runner;
        }
        if (t_priority[t] != old_t_priority[t] && !reaches(OBJ_THREAD, t, RIGHT_WRITE) &&
            old_owner[OWN_THREAD + t] != NIL) {
            fail(entry, "priority of thread", t);
        }
    }
    for (uint32_t c = 1; c < C_MAX; c++) {
        if ((c_budget[c] != old_c_budget[c] || c_period[c] != old_c_period[c]) &&
            !reaches(OBJ_CONTEXT, c, RIGHT_WRITE) && old_owner[OWN_CONTEXT + c] != NIL) {
            fail(entry, "time of context", c);
        }
    }
    for (uint32_t k = 1; k < HOME_SLOTS; k++) {
        if ((k_size[k] != old_k_size[k] || k_count[k] != old_k_count[k]) &&
            !reaches(OBJ_CNODE, k, RIGHT_WRITE) && old_owner[OWN_CNODE + k] != NIL) {
            fail(entry, "size of cnode", k);
        }
    }
}

/* Frames that are a frame's before and behind the entry. */
static void check_memory(const char *entry)
{
    for (uint32_t f = 0; f < PHYS_FRAMES; f++) {
        bool kept = (f_state[f] == F_FRAME || f_state[f] == F_PART) && old_f_state[f] == f_state[f];
        if (!kept || memcmp(phys + f * 512ULL, old_phys + f * 512ULL, 4096) == 0) {
            continue;
        }
        bool buffer = false;
        for (uint32_t t = 1; t < T_MAX; t++) {
            buffer = buffer || (touched[t] && old_t_buffer[t] == f);
        }
        if (!buffer) {
            fail(entry, "memory of frame", f);
        }
    }
}

void confine_after(const char *entry)
{
    find_touched();
    check_slots(entry);
    check_objects(entry);
    if (memory) {
        check_memory(entry);
    }
}

int confine_report(void)
{
    bool all = true;
    for (uint32_t reason = 0; reason < REASONS; reason++) {
        printf("%-12s %8llu\n", reason_name[reason], (unsigned long long)seen[reason]);
        all = all && seen[reason] != 0;
    }
    return all;
}
