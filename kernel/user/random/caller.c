/* One caller: chooses a call and its arguments, makes it, and remembers what came of it. See
 * random.h. */
#include "random.h"

#include "abi/abi_table.h"
#include "arch/regs.h"

#define NOISE 6u

struct tally tally;

static uint64_t draw(struct caller *c, uint64_t below)
{
    c->random ^= c->random << 13;
    c->random ^= c->random >> 7;
    c->random ^= c->random << 17;
    return below ? (c->random >> 20) % below : 0;
}

/* A slot that is believed to hold the type (0: any) and, where it matters, the kind or level. */
static uint64_t find(struct caller *c, unsigned type, unsigned like)
{
    uint64_t at = draw(c, CALLER_SLOTS);
    for (unsigned n = 0; n < CALLER_SLOTS; n++) {
        uint64_t slot = (at + n) % CALLER_SLOTS;
        if (c->type[slot] && (type == 0 || c->type[slot] == type) &&
            (like == 0 || c->like[slot] == like)) {
            return slot;
        }
    }
    return draw(c, CALLER_SLOTS);
}

static uint64_t find_empty(struct caller *c)
{
    uint64_t at = draw(c, CALLER_SLOTS);
    for (unsigned n = 0; n < CALLER_SLOTS; n++) {
        uint64_t slot = (at + n) % CALLER_SLOTS;
        if (slot >= CALLER_FREE && c->type[slot] == 0) {
            return slot;
        }
    }
    return CALLER_FREE + draw(c, CALLER_SLOTS - CALLER_FREE);
}

/* A slot that may be emptied without the root task having to fill it again. */
static uint64_t find_spare(struct caller *c)
{
    uint64_t at = draw(c, CALLER_SLOTS);
    for (unsigned n = 0; n < CALLER_SLOTS; n++) {
        uint64_t slot = (at + n) % CALLER_SLOTS;
        if (slot >= CALLER_FREE && c->type[slot] != 0) {
            return slot;
        }
    }
    return CALLER_FREE;
}

static const uint8_t made_of[KINDS][3] = {
    [KIND_SLOT] = {OBJ_CNODE, OBJ_CNODE, OBJ_UNTYPED},
    [KIND_THREAD] = {OBJ_THREAD, OBJ_THREAD, OBJ_UNTYPED},
    [KIND_ENDPOINT] = {OBJ_ENDPOINT, OBJ_ENDPOINT, OBJ_UNTYPED},
    [KIND_NOTIFICATION] = {OBJ_NOTIFICATION, OBJ_NOTIFICATION, OBJ_UNTYPED},
    [KIND_REPLY] = {OBJ_REPLY, OBJ_REPLY, OBJ_UNTYPED},
    [KIND_CONTEXT] = {OBJ_CONTEXT, OBJ_CONTEXT, OBJ_UNTYPED},
    [KIND_FRAME] = {OBJ_FRAME, OBJ_TABLE, OBJ_SPACE},
    [KIND_DEVICE] = {OBJ_DEVICE, OBJ_DEVICE, OBJ_UNTYPED},
    [KIND_IRQ] = {OBJ_IRQ, OBJ_IRQ, OBJ_UNTYPED},
    [KIND_PORT] = {OBJ_PORT, OBJ_PORT, OBJ_UNTYPED},
};

static void choose_retype(struct caller *c, uint64_t *word, uint64_t self)
{
    unsigned kind = c->like[self] % KINDS;
    word[0] = made_of[kind][draw(c, 3)];
    word[1] = word[0] == OBJ_TABLE ? 1 + draw(c, 3) : 0;
    word[2] = draw(c, c->count[kind]);
    word[3] = word[0] == OBJ_CNODE || word[0] == OBJ_UNTYPED ? 1 + draw(c, 4) : 1;
    word[4] = HAS_CNODE;
    word[5] = find_empty(c);
}

static void choose_cnode(struct caller *c, unsigned label, uint64_t *word)
{
    switch (label) {
    case INV_CNODE_COPY:
    case INV_CNODE_MINT:
    case INV_CNODE_MOVE:
        word[0] = find_empty(c);
        word[1] = HAS_CNODE;
        word[2] = label == INV_CNODE_MOVE   ? find_spare(c)
                  : label == INV_CNODE_MINT ? find(c, OBJ_ENDPOINT + (unsigned)draw(c, 2), 0)
                                            : find(c, 0, 0);
        word[3] = label == INV_CNODE_COPY && draw(c, 4) == 0 ? draw(c, 16) : RIGHTS_ALL;
        word[4] = 1 + draw(c, 1000);
        break;
    case INV_CNODE_DELETE:
        word[0] = find_spare(c);
        break;
    case INV_CNODE_REVOKE:
        word[0] = draw(c, 40) ? find_spare(c) : find(c, 0, 0);
        break;
    case INV_CNODE_EXTEND:
        word[0] = find(c, OBJ_UNTYPED, KIND_SLOT);
        word[1] = 1 + draw(c, 3);
        break;
    case INV_CNODE_CANCEL:
        word[0] = find(c, OBJ_ENDPOINT, 0);
        break;
    default:
        word[0] = draw(c, CALLER_SLOTS);
    }
}

static void choose_thread(struct caller *c, unsigned label, uint64_t *word)
{
    switch (label) {
    case INV_THREAD_BIND:
        word[0] = draw(c, ROLES);
        word[1] = draw(c, 4) ? find(c, role_type[word[0]], 0) : 0;
        break;
    case INV_THREAD_WRITE:
    case INV_THREAD_READ:
        word[0] = draw(c, R_FULL);
        word[1] = label == INV_THREAD_READ ? draw(c, 4) : draw(c, UINT64_MAX);
        break;
    case INV_THREAD_PRIORITY:
        word[0] = draw(c, PRIORITIES / 2); /* below the callers */
        break;
    default: /* the context's */
        word[1] = 50000 + draw(c, 1000000);
        word[0] = draw(c, 3) ? word[1] : 45000 + draw(c, word[1]);
    }
}

static void choose_memory(struct caller *c, uint64_t *word, uint64_t self, bool table)
{
    unsigned level = table ? c->like[self] + 1u : 1u;
    word[0] = find(c, level == 4 ? OBJ_SPACE : OBJ_TABLE, level);
    word[1] = draw(c, draw(c, 4) ? 16 : TABLE_ENTRIES);
    word[2] = (const uint64_t[]){1, 3, 9, 11}[draw(c, 4)];
}

static void choose_other(struct caller *c, unsigned label, uint64_t *word)
{
    switch (label) {
    case INV_IRQ_BIND:
        word[0] = find(c, OBJ_NOTIFICATION, 0);
        break;
    case INV_PORT_IN:
    case INV_PORT_OUT:
        word[0] = draw(c, 8);
        word[1] = 1;
        break;
    case INV_MONITOR_READ:
    case INV_MONITOR_SUM:
        word[0] = draw(c, FIELDS);
        word[1] = draw(c, 40);
        word[2] = 1 + draw(c, 4);
        break;
    case INV_MONITOR_STOP:
        word[0] = 0;
        break;
    default:
        word[0] = draw(c, 8);
    }
}

static void choose(struct caller *c, unsigned label, uint64_t self, uint64_t *word)
{
    for (unsigned k = 0; k < MSG_WORDS_REGS; k++) {
        word[k] = draw(c, 8);
    }
    switch (inv_type[label]) {
    case OBJ_UNTYPED:
        choose_retype(c, word, self);
        break;
    case OBJ_CNODE:
        choose_cnode(c, label, word);
        break;
    case OBJ_THREAD:
    case OBJ_CONTEXT:
        choose_thread(c, label, word);
        break;
    case OBJ_TABLE:
    case OBJ_FRAME:
    case OBJ_DEVICE:
        choose_memory(c, word, self, inv_type[label] == OBJ_TABLE);
        break;
    default:
        choose_other(c, label, word);
    }
    if (draw(c, NOISE) == 0) {
        unsigned k = (unsigned)draw(c, 6);
        word[k] = draw(c, 2) ? 1ULL << draw(c, 64) : draw(c, UINT64_MAX);
    }
}

/* What the call has changed in the caller's cnode, as far as it can tell. */
static void remember(struct caller *c, unsigned label, uint64_t self, const uint64_t *word)
{
    uint64_t to = label == INV_UNTYPED_RETYPE ? word[5] : word[0];
    if (to >= CALLER_SLOTS) {
        return;
    }
    switch (label) {
    case INV_UNTYPED_RETYPE:
        c->type[to] = (uint8_t)word[0];
        c->like[to] = (uint8_t)(word[0] == OBJ_UNTYPED ? c->like[self]
                                : word[0] == OBJ_SPACE ? 4
                                                       : word[1]);
        break;
    case INV_CNODE_COPY:
    case INV_CNODE_MINT:
    case INV_CNODE_MOVE:
        c->type[to] = c->type[word[2] % CALLER_SLOTS];
        c->like[to] = c->like[word[2] % CALLER_SLOTS];
        if (label == INV_CNODE_MOVE) {
            c->type[word[2] % CALLER_SLOTS] = 0;
        }
        break;
    case INV_CNODE_DELETE:
        c->type[to] = 0;
        break;
    default:
        break;
    }
}

/* Any invocation; more often retype, or delete when the cnode is nearly full. */
static unsigned choose_label(struct caller *c)
{
    unsigned empty = 0;
    for (unsigned slot = CALLER_FREE; slot < CALLER_SLOTS; slot++) {
        empty += c->type[slot] == 0;
    }
    unsigned label = 1 + (unsigned)draw(c, LABELS - 1);
    if (empty < 6 && draw(c, 3) == 0) {
        return INV_CNODE_DELETE;
    }
    bool copies = label == INV_CNODE_COPY || label == INV_CNODE_MINT || label == INV_CNODE_MOVE;
    return (copies && draw(c, 2)) || (empty >= 6 && draw(c, 5) == 0) ? INV_UNTYPED_RETYPE : label;
}

static void invoke_once(struct caller *c)
{
    uint64_t word[MSG_WORDS_REGS], asked[MSG_WORDS_REGS];
    unsigned label = choose_label(c);
    uint64_t self = find(c, inv_type[label], 0);
    if (inv_type[label] == OBJ_CNODE && draw(c, 4)) {
        self = HAS_CNODE;
    }
    choose(c, label, self, word);
    memcpy(asked, word, sizeof(word));
    unsigned error = kernel_invoke(self, label, inv_words[label], word);
    tally.tried[label]++;
    if (error == 0) {
        tally.done[label]++;
        remember(c, label, self, asked);
    } else if (error == ERR_HANDLE && self < CALLER_SLOTS && word[0] == 0) {
        c->type[self] = 0;
    }
    if (label == INV_CNODE_LOOK && error == 0 && asked[0] < CALLER_SLOTS) {
        c->type[asked[0]] = (uint8_t)word[0];
    }
}

/* Messages and signals; some of them wait, and the root task ends the waiting. */
static void message_once(struct caller *c)
{
    struct message m = {.extra = draw(c, 3) ? 0 : find(c, 0, 0)};
    unsigned call = 1 + (unsigned)draw(c, CALLS - 1);
    if ((call == SYS_CALL || call == SYS_SEND || call == SYS_RECEIVE ||
         call == SYS_REPLY_RECEIVE) &&
        draw(c, 4)) {
        call = draw(c, 2) ? SYS_SEND_TRY : SYS_RECEIVE_TRY;
    }
    uint64_t handle = find(c, OBJ_ENDPOINT + (unsigned)draw(c, 3), 0);
    tally.passed[call]++;
    message_pass(&m, call, receive_handle(handle, draw(c, 2) ? find(c, OBJ_REPLY, 0) : 0),
                 (unsigned)draw(c, 9), (unsigned)draw(c, 11), m.extra != 0);
}

void caller_run(struct caller *c)
{
    for (;;) {
        if (draw(c, 10) == 0) {
            message_once(c);
        } else {
            invoke_once(c);
        }
        c->calls++;
    }
}
