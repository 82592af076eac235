/* Random calls from several threads on small tables; the whole invariant after each.
 *
 *     random_test [CALLS]      default 100,000
 *
 * Four threads run as the scheduler says, each with its own cnode and context. Most of what they do
 * is invocations; the rest are messages, signals, faults, foreign system calls, interrupts, and
 * time that passes. Most of their calls make sense: the arguments are chosen by looking into the
 * tables; one in six arguments is noise; and an invocation that was done less often than others
 * comes more often. The root thread, by calls like any other's, hands out capabilities and rebuilds
 * what was lost; its own cnode is out of the others' reach. A refused call must leave every table
 * as it was. Prints calls, successes and refusals by invocation; fails when an invocation did not
 * come, or did not succeed, often enough.
 */
#include "abi/abi_names.h"
#include "abi/abi_table.h"
#include "abi/message.h"
#include "arch/host/host.h"
#include "object/check.h"
#include "object/cnode.h"
#include "object/space.h"
#include "object/thread.h"
#include "object/untyped.h"
#include "test/testkit.h"

#include <stdio.h>
#include <stdlib.h>

#define FIRST_LABEL 1000u /* of an invocation, to tell it from a message's label */
#define CALLERS     4u
#define SLOTS_EACH  40u
#define NOISE       6u    /* one argument in so many */
#define SUM_EVERY   16u   /* one refusal in so many is compared table by table */
#define GARDEN      12u   /* the root acts once in so many calls */
#define FALLOW      400u  /* once in so many times it takes all slots back */
#define SHARE       1000u /* of a million calls each kind is done at least so often */
#define RIVALS      2u    /* invocations of which the one that was done least is made */
#define GOOD_SHARE  30u   /* per cent that succeed */

static uint32_t caller;
#define KINDS_OF_CALLS (LABELS + CALLS) /* invocations by label, then system calls by number */
static uint32_t tries[KINDS_OF_CALLS];
static uint32_t results[KINDS_OF_CALLS][ERRORS];
static uint32_t faults;
static uint32_t interrupts;
static uint32_t timers;
static uint64_t word[MSG_WORDS_REGS];

/* Root handles of the callers' parts. */
static uint32_t cnode_handle(uint32_t t)
{
    return 40 + 3 * t;
}

static uint32_t thread_handle(uint32_t t)
{
    return 41 + 3 * t;
}

static uint32_t context_handle(uint32_t t)
{
    return 42 + 3 * t;
}

static uint32_t done(uint32_t kind)
{
    return results[kind][0] + results[kind][ERR_AGAIN];
}

static const char *kind_name(uint32_t kind)
{
    return kind < LABELS ? inv_name[kind] : call_name[kind - LABELS];
}

static bool noise(void)
{
    return kit_random(NOISE) == 0;
}

/* A random index of cnode k whose slot is filled with the type (0: any), or empty; 0 when none was
 * met. */
static uint32_t find(uint32_t k, uint32_t type, bool filled)
{
    uint32_t count = k_count[k];
    uint32_t at = count > 1 ? kit_random(count) : 0;
    for (uint32_t n = 0; n < count; n++) {
        uint32_t index = (at + n) % count;
        uint8_t there = s_type[k + index];
        if (index != 0 && (filled ? there != 0 && (type == 0 || there == type) : there == 0)) {
            return index;
        }
    }
    return 0;
}

/* A random index of the caller's cnode whose slot holds an untyped of the kind, or a table (space)
 * of the level. */
static uint32_t find_like(uint32_t type, uint32_t like)
{
    uint32_t k = t_cnode[caller];
    uint32_t at = kit_random(k_count[k]);
    for (uint32_t n = 0; n < k_count[k]; n++) {
        uint32_t index = (at + n) % k_count[k];
        uint32_t s = k + index;
        bool table = s_type[s] == OBJ_TABLE || (s_type[s] == OBJ_SPACE && type == OBJ_SPACE);
        if (index != 0 && (type == OBJ_UNTYPED ? s_type[s] == OBJ_UNTYPED && s_kind[s] == like
                                               : table && space_level(s_object[s]) == like)) {
            return index;
        }
    }
    return 0;
}

static uint64_t some_word(void)
{
    switch (kit_random(4)) {
    case 0:
        return kit_random(8);
    case 1:
        return kit_random(HOME_SLOTS);
    case 2:
        return 1ULL << kit_random(64);
    default:
        return ((uint64_t)kit_random(UINT32_MAX) << 32) + kit_random(UINT32_MAX);
    }
}

/* All, any, or those to send and receive without handing anything over. */
static uint32_t some_rights(void)
{
    uint32_t any = kit_random(RIGHTS_ALL + 1);
    return kit_random(2) == 0 ? RIGHTS_ALL : kit_random(2) == 0 ? any : RIGHT_READ | RIGHT_WRITE;
}

static uint32_t cnode_of(uint32_t n)
{
    uint32_t s = cnode_slot(t_cnode[caller], word[n]);
    return s != NIL && s_type[s] == OBJ_CNODE ? s_object[s] : t_cnode[caller];
}

static const uint8_t kind_types[KINDS][4] = {
    [KIND_SLOT] = {OBJ_CNODE, OBJ_UNTYPED, OBJ_CNODE, OBJ_CNODE},
    [KIND_THREAD] = {OBJ_THREAD, OBJ_UNTYPED, OBJ_THREAD, OBJ_THREAD},
    [KIND_ENDPOINT] = {OBJ_ENDPOINT, OBJ_UNTYPED, OBJ_ENDPOINT, OBJ_ENDPOINT},
    [KIND_NOTIFICATION] = {OBJ_NOTIFICATION, OBJ_UNTYPED, OBJ_NOTIFICATION, OBJ_NOTIFICATION},
    [KIND_REPLY] = {OBJ_REPLY, OBJ_UNTYPED, OBJ_REPLY, OBJ_REPLY},
    [KIND_CONTEXT] = {OBJ_CONTEXT, OBJ_UNTYPED, OBJ_CONTEXT, OBJ_CONTEXT},
    [KIND_FRAME] = {OBJ_FRAME, OBJ_TABLE, OBJ_SPACE, OBJ_TABLE},
    [KIND_DEVICE] = {OBJ_DEVICE, OBJ_UNTYPED, OBJ_DEVICE, OBJ_DEVICE},
    [KIND_IRQ] = {OBJ_IRQ, OBJ_UNTYPED, OBJ_IRQ, OBJ_IRQ},
    [KIND_PORT] = {OBJ_PORT, OBJ_UNTYPED, OBJ_PORT, OBJ_PORT},
};

static void choose_retype(uint32_t self)
{
    uint32_t type = kind_types[s_kind[self] % KINDS][kit_random(4)];
    uint32_t size = type == OBJ_TABLE   ? 1 + kit_random(3)
                    : type == OBJ_FRAME ? kit_random(8) == 0
                                        : 0;
    uint32_t unit = type_unit(type, size);
    uint32_t count = type == OBJ_CNODE ? 2 + kit_random(4) : 1 + kit_random(2);
    uint32_t range = s_count[self];
    word[0] = type;
    word[1] = size;
    word[3] = count < range / unit ? count : 1;
    word[2] = range > word[3] * unit ? kit_random(range - (uint32_t)word[3] * unit + 1) : 0;
    for (uint32_t n = 0; n < 4; n++) { /* a place that is free, if there is one near */
        uint32_t entries = (uint32_t)word[3] * unit;
        uint32_t first = s_object[self] + (uint32_t)word[2];
        if (unit == LARGE_FRAMES) {
            word[2] = (LARGE_FRAMES - s_object[self] % LARGE_FRAMES) % LARGE_FRAMES +
                      LARGE_FRAMES * kit_random(4);
            word[3] = 1;
        } else if (word[2] + entries <= range && entries_free(type, first, entries) < entries) {
            word[2] = range > entries ? kit_random(range - entries + 1) : 0;
        }
    }
    word[5] = find(cnode_of(4), 0, false);
}

/* Fills what the table does not say about the arguments with values that make sense. */
static void choose_cnode(uint32_t label, uint32_t self)
{
    uint32_t k = s_object[self];
    uint32_t from_type = label == INV_CNODE_MINT ? OBJ_ENDPOINT + kit_random(2) : 0;
    switch (label) {
    case INV_CNODE_COPY:
    case INV_CNODE_MINT:
    case INV_CNODE_MOVE:
        word[0] = find(k, 0, false);
        word[2] = find(cnode_of(1), from_type, true);
        word[3] = some_rights();
        word[4] = label == INV_CNODE_MINT ? 1 + kit_random(4) : 0;
        break;
    case INV_CNODE_EXTEND:
        word[0] = find_like(OBJ_UNTYPED, KIND_SLOT);
        word[1] = 1 + kit_random(2);
        break;
    case INV_CNODE_CANCEL:
        word[0] = find(k, OBJ_ENDPOINT, true);
        word[1] = kit_random(4);
        break;
    default:
        word[0] = find(k, 0, kit_random(8) != 0);
        break;
    }
}

static void choose_other(uint32_t label, uint32_t self)
{
    switch (label) {
    case INV_THREAD_BIND:
        word[0] = kit_random(ROLES);
        word[1] = kit_random(3) == 0 ? 0 : find(t_cnode[caller], role_type[word[0]], true);
        break;
    case INV_THREAD_WRITE:
        word[0] = kit_random(10);
        break;
    case INV_THREAD_READ:
        word[0] = kit_random(10);
        word[1] = kit_random(8);
        break;
    case INV_CONTEXT_CONFIGURE:
        word[1] = 100000 + kit_random(1000000);
        word[0] = word[1] / (1 + kit_random(20));
        break;
    case INV_TABLE_MAP:
        word[0] = find_like(OBJ_SPACE, space_level(s_object[self]) + 1);
        break;
    case INV_FRAME_MAP:
    case INV_DEVICE_MAP:
        word[0] = find_like(OBJ_TABLE, s_kind[self] + 1u);
        word[2] = RIGHT_READ +
                  (kit_random(2) ? kit_random(2) * RIGHT_WRITE : RIGHT_EXECUTE * kit_random(2));
        break;
    case INV_PORT_IN:
    case INV_PORT_OUT:
        word[1] = kit_random(3) == 0 ? 1ULL << kit_random(3) : 1;
        word[0] = kit_random(s_count[self]);
        word[2] = kit_random(256);
        break;
    case INV_MONITOR_READ:
    case INV_MONITOR_SUM:
        word[1] = kit_random(I_MAX);
        word[2] = kit_random(9);
        break;
    case INV_MONITOR_PUT:
        word[0] = kit_random(9);
        break;
    default:
        break;
    }
}

/* Packed handles of the caller: one to hand over where it sends, behind it an empty slot for one.
 */
static uint64_t some_handles(uint32_t number)
{
    uint32_t k = t_cnode[caller];
    if (k == NIL || noise()) {
        return kit_random(SLOTS_EACH);
    }
    uint64_t empty = find(k, 0, false);
    bool receives = number == SYS_RECEIVE || number == SYS_RECEIVE_TRY;
    return receives ? empty : empty << HANDLE_BITS | find(k, 0, true);
}

/* The caller makes a system call; its error, 0 where it waits now. */
static uint32_t system_call(uint32_t number, uint32_t label, uint32_t handle, uint32_t reply,
                            uint32_t words)
{
    uint32_t kind =
        number == SYS_CALL && label >= FIRST_LABEL ? label - FIRST_LABEL : LABELS + number;
    uint64_t *reg = t_reg + caller * T_REGS;
    bool compare = kit_random(SUM_EVERY) == 0;
    uint64_t before = compare ? kit_sum() : 0;
    reg[R_TAG] = TAG_NATIVE | TAG(number, label % FIRST_LABEL, words, kit_random(4) == 0);
    reg[R_HANDLE] = (uint64_t)reply << 32 | handle;
    reg[R_EXTRA] = some_handles(number);
    for (uint32_t n = 0; n < MSG_WORDS_REGS; n++) {
        reg[R_W0 + n] = n < words ? word[n] : 0;
    }
    host_clock += 100 + kit_random(1000);
    entry_syscall();
    uint32_t error = t_state[caller] == THREAD_READY ? TAG_CODE(reg[R_TAG]) : 0;
    error = error < ERRORS ? error : 0; /* the tag of a message that came */
    if (compare && error > ERR_AGAIN && error != ERR_CANCELLED && before != kit_sum()) {
        fprintf(stderr, "%s was refused with %s, and changed a table\n", kind_name(kind),
                error_name[error]);
        abort();
    }
    tries[kind]++;
    results[kind][error]++;
    return error;
}

/* Of some random labels the one that was done least; one in so many is any. */
static uint32_t some_label(void)
{
    uint32_t label = 1 + kit_random(LABELS - 1);
    for (uint32_t n = 1; n < RIVALS && !noise(); n++) {
        uint32_t rival = 1 + kit_random(LABELS - 1);
        label = done(rival) < done(label) ? rival : label;
    }
    return label;
}

/* The slot holds a cnode behind which a slot is free. */
static bool extensible(uint32_t s)
{
    uint32_t end = s_type[s] == OBJ_CNODE ? s_object[s] + k_size[s_object[s]] : HOME_SLOTS;
    return end < HOME_SLOTS && slot_free(end);
}

/* One random call of the caller; its error, or ERRORS when it had no handle for it. */
static uint32_t random_call(void)
{
    uint32_t label = some_label();
    uint32_t k = t_cnode[caller];
    uint32_t handle = find(k, noise() ? 0 : inv_type[label], true);
    for (uint32_t n = 0; label == INV_CNODE_EXTEND && n < 8 && !extensible(k + handle); n++) {
        handle = find(k, OBJ_CNODE, true);
    }
    if (k == NIL || handle == 0) {
        entry_timer();
        return ERRORS;
    }
    uint32_t self = cnode_slot(k, handle);
    for (uint32_t n = 0; n < MSG_WORDS_REGS; n++) {
        uint32_t at = label * ABI_ARGS + n;
        word[n] = some_word();
        if (n < ABI_ARGS && arg_kind[at] >= ARG_CAP && !noise()) {
            word[n] = find(k, arg_type[at], true);
        } else if (n < ABI_ARGS && arg_kind[at] == ARG_BELOW && !noise()) {
            word[n] = kit_random(arg_below[at]);
        }
    }
    if (s_type[self] == inv_type[label] && !noise()) {
        if (label == INV_UNTYPED_RETYPE) {
            choose_retype(self);
        } else if (inv_type[label] == OBJ_CNODE) {
            choose_cnode(label, self);
        } else {
            choose_other(label, self);
        }
    }
    uint32_t words = kit_random(40) == 0 ? kit_random(MSG_WORDS_REGS) : inv_words[label];
    return system_call(SYS_CALL, FIRST_LABEL + label, handle, 0, words);
}

/* A message, a signal, an answer or a receive. */
static uint32_t random_message(void)
{
    static const uint8_t to[] = {OBJ_ENDPOINT, OBJ_ENDPOINT, OBJ_NOTIFICATION, OBJ_NOTIFICATION,
                                 OBJ_REPLY};
    uint32_t number = 1 + kit_random(CALLS - 1);
    bool sends = number == SYS_SEND || number == SYS_SEND_TRY;
    bool waits = number == SYS_RECEIVE || number == SYS_RECEIVE_TRY;
    uint32_t type = to[sends                       ? kit_random(5)
                       : number == SYS_RECEIVE_TRY ? 1 + kit_random(3)
                       : waits                     ? kit_random(3)
                                                   : 0];
    uint32_t k = t_cnode[caller];
    uint32_t handle = find(k, noise() ? 0 : type, true);
    uint32_t reply =
        number == SYS_REPLY_RECEIVE || (waits && kit_random(4) != 0) ? find(k, OBJ_REPLY, true) : 0;
    for (uint32_t n = 0; n < MSG_WORDS_REGS; n++) {
        word[n] = some_word();
    }
    uint32_t s = cnode_slot(k, handle);
    if (number == SYS_CALL && s != NIL && s_type[s] != OBJ_ENDPOINT) {
        return ERRORS; /* an invocation */
    }
    if (number == SYS_RECEIVE_TRY && s != NIL && s_type[s] == OBJ_NOTIFICATION &&
        kit_random(4) == 0) {
        (void)system_call(SYS_SEND_TRY, 0, handle, 0, 0); /* so that there is something */
        if (current != caller) {
            return 0;
        }
    }
    return system_call(number, kit_random(100), handle, reply, kit_random(MSG_WORDS_REGS + 1));
}

/* Something that the running thread does not ask for. */
static void random_event(void)
{
    switch (kit_random(8)) {
    case 0:
        faults++;
        entry_fault(kit_random(32), kit_random(8), some_word());
        break;
    case 1:
        faults++;
        t_reg[caller * T_REGS + R_TAG] = kit_random(400);
        entry_syscall();
        break;
    case 2:
    case 3:
    case 4: {
        uint32_t irq = kit_random(I_MAX - 1);
        for (uint32_t n = 0; n < I_MAX - 1 && host_irq_open[irq] == 0; n++) {
            irq = (irq + 1) % (I_MAX - 1);
        }
        if (host_irq_open[irq] != 0) {
            interrupts++;
            arch_irq_mask(irq);
            entry_interrupt(irq);
        }
        break;
    }
    default:
        host_clock += kit_random(200000);
        if (host_due <= host_clock) {
            timers++;
            entry_timer();
        }
        break;
    }
}

/* The root makes an object of its own anew where it is lost; true when it had to. */
static bool remake(uint32_t kind, uint32_t type, uint64_t at, uint64_t count, uint32_t handle)
{
    if (s_type[kit_slot(handle)] != 0) {
        return false;
    }
    (void)KIT_FINISH(KIT_UNTYPED(kind), INV_UNTYPED_RETYPE, type, 0, at, count, KIT_CNODE, handle);
    return true;
}

/* The root gives thread t what it lost, and lets it run. */
static void rebuild(uint32_t t)
{
    (void)remake(KIND_SLOT, OBJ_CNODE, 4 + (t - 2) * (SLOTS_EACH + 4), SLOTS_EACH, cnode_handle(t));
    (void)remake(KIND_CONTEXT, OBJ_CONTEXT, t - 1, 1, context_handle(t));
    if (remake(KIND_THREAD, OBJ_THREAD, t - 1, 1, thread_handle(t))) {
        (void)KIT_CALL(thread_handle(t), INV_THREAD_PRIORITY, 10);
    }
    if (t_cnode[t] == NIL) {
        (void)KIT_CALL(thread_handle(t), INV_THREAD_BIND, ROLE_CNODE, cnode_handle(t));
    }
    if (t_context[t] == NIL) {
        (void)KIT_CALL(thread_handle(t), INV_THREAD_BIND, ROLE_CONTEXT, context_handle(t));
    }
    (void)KIT_CALL(context_handle(t), INV_CONTEXT_CONFIGURE, 1000000, 1000000);
    if (t_state[t] != THREAD_READY) {
        (void)KIT_CALL(thread_handle(t), INV_THREAD_SUSPEND);
        (void)KIT_CALL(thread_handle(t), INV_THREAD_RESUME);
    }
}

/* The root hands a capability of its own to thread t: a copy of an untyped range, of the cnode, a
 * new object. */
static void hand_out(uint32_t t)
{
    uint32_t h = cnode_handle(t);
    uint32_t k = s_object[kit_slot(h)];
    uint32_t empty = s_type[kit_slot(h)] == OBJ_CNODE ? find(k, 0, false) : 0;
    if (empty == 0) {
        for (uint32_t n = 0; n < SLOTS_EACH / 3; n++) {
            (void)KIT_FINISH(h, INV_CNODE_DELETE, 1 + kit_random(SLOTS_EACH - 1));
        }
        return;
    }
    static const uint8_t often[] = {KIND_FRAME, KIND_FRAME, KIND_SLOT, KIND_NOTIFICATION};
    uint32_t kind = kit_random(2) ? often[kit_random(4)] : 1 + kit_random(KINDS - 1);
    switch (kit_random(6)) {
    case 0:
        (void)KIT_CALL(h, INV_CNODE_COPY, empty, KIT_CNODE, h, some_rights());
        break;
    case 1:
        (void)KIT_CALL(h, INV_CNODE_COPY, empty, KIT_CNODE, KIT_MONITOR, RIGHTS_ALL);
        break;
    case 2:
        (void)KIT_CALL(h, INV_CNODE_COPY, empty, KIT_CNODE, thread_handle(2 + kit_random(CALLERS)),
                       RIGHTS_ALL);
        break;
    case 3:
        (void)KIT_CALL(h, INV_CNODE_COPY, empty, KIT_CNODE, KIT_UNTYPED(kind), RIGHTS_ALL);
        break;
    default: {
        uint32_t count = s_count[kit_slot(KIT_UNTYPED(kind))];
        uint32_t type = kind_types[kind][kind == KIND_FRAME ? kit_random(4) : 0];
        uint32_t size = type == OBJ_TABLE ? 1 + kit_random(3) : 0;
        uint32_t at = kind == KIND_THREAD ? 4 + kit_random(count - 4)
                                          : kit_random(count < 4096 ? count : 4096);
        (void)KIT_FINISH(KIT_UNTYPED(kind), INV_UNTYPED_RETYPE, type, size, at,
                         type == OBJ_CNODE ? 4 : 1, h, empty);
        break;
    }
    }
}

/* The root acts: for the thread that runs, or where none does, for all. What a deleted cnode owned
 * stays out of reach until its untyped is revoked: in the end no slot would be free. */
static void garden(void)
{
    uint32_t only = current;
    if (kit_random(FALLOW) == 0) {
        (void)KIT_FINISH(KIT_CNODE, INV_CNODE_REVOKE, KIT_UNTYPED(KIND_SLOT));
    }
    for (uint32_t t = 2; t < 2 + CALLERS; t++) {
        if (only == NIL || only == KIT_ROOT || t == only) {
            rebuild(t);
            hand_out(t);
        }
    }
    host_clock += 1000000;
    entry_timer();
    kit_check("root");
}

static bool report(uint64_t calls)
{
    uint64_t good = 0;
    bool enough = true;
    printf("%-20s %8s %8s  refusals by error\n", "invocation", "calls", "done");
    for (uint32_t label = 1; label < KINDS_OF_CALLS; label++) {
        if (label == LABELS) {
            continue;
        }
        good += done(label);
        printf("%-20s %8u %8u ", kind_name(label), tries[label], done(label));
        for (uint32_t e = ERR_AGAIN + 1; e < ERRORS; e++) {
            if (results[label][e] != 0) {
                printf(" %s %u", error_name[e], results[label][e]);
            }
        }
        printf("\n");
        bool few = done(label) * 1000000ULL < SHARE * calls;
        if (few) {
            printf("%s succeeded too seldom\n", kind_name(label));
        }
        enough = enough && !few;
    }
    printf("%u faults and foreign calls, %u interrupts, %u timers\n", faults, interrupts, timers);
    printf("%llu calls, %llu done (%llu per cent)\n", (unsigned long long)calls,
           (unsigned long long)good, (unsigned long long)(good * 100 / calls));
    return enough && good * 100 >= GOOD_SHARE * calls;
}

int main(int argc, char **argv)
{
    uint64_t calls = argc > 1 ? strtoull(argv[1], NULL, 0) : 100000;
    kit_seed();
    kit_boot();
    uint64_t made = 0;
    while (made < calls) {
        if (current == NIL || current == KIT_ROOT || kit_random(GARDEN) == 0) {
            garden();
            continue;
        }
        caller = current;
        if (kit_random(10) == 0) {
            random_event();
        } else if ((t_cnode[caller] != NIL && kit_random(4) == 0 ? random_message()
                                                                 : random_call()) != ERRORS) {
            made++;
        }
        kit_check("call");
    }
    bool enough = report(calls);
    printf("%d passed, %d failed\n", enough, !enough);
    return enough ? 0 : 1;
}
