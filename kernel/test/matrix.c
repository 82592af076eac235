/* Every invocation with everything wrong: see matrix.h. */
#include "test/matrix.h"

#include "abi/abi_table.h"

#define TRIES 64u

static const struct matrix *m;
static uint32_t at_label;
static uint32_t count_cases;
static uint32_t count_failed;
static uint64_t good[MSG_WORDS_REGS]; /* a call of the label that would be done */
static uint64_t self;

static uint64_t has(uint32_t what)
{
    return m->first + what;
}

static uint32_t call(uint64_t handle, uint32_t label, uint32_t words, const uint64_t *from,
                     uint64_t *answer)
{
    for (uint32_t n = 0; n < MSG_WORDS_REGS; n++) {
        answer[n] = n < words ? from[n] : 0;
    }
    return matrix_invoke(handle, label, words, answer);
}

static uint32_t call5(uint64_t handle, uint32_t label, uint64_t a, uint64_t b, uint64_t c,
                      uint64_t d, uint64_t e)
{
    uint64_t word[MSG_WORDS_REGS] = {a, b, c, d, e};
    uint32_t error = ERR_AGAIN;
    while (error == ERR_AGAIN) {
        uint64_t answer[MSG_WORDS_REGS];
        error = call(handle, label, inv_words[label], word, answer);
    }
    return error != 0;
}

/* Makes count objects, or a range of that length, wherever in the kind's range they find place from
 * first on. */
static uint32_t make(uint32_t kind, uint32_t type, uint32_t size, uint64_t first, uint64_t count,
                     uint32_t what)
{
    for (uint32_t n = 0; n < TRIES; n++) {
        uint64_t word[MSG_WORDS_REGS] = {type, size, first, count, m->cnode, has(what)};
        uint64_t answer[MSG_WORDS_REGS];
        uint32_t error = call(m->untyped[kind], INV_UNTYPED_RETYPE, 6, word, answer);
        if (error == 0) {
            return 0;
        }
        if (error != ERR_AGAIN && error != ERR_BUSY) {
            return 1;
        }
        if (error == ERR_BUSY) {
            first = size != 0 && type == OBJ_FRAME ? first + LARGE_FRAMES : answer[1] + 1;
        } else {
            n = 0;
        }
    }
    return 1;
}

/* Where in the range of frames the first large one may lie. */
static uint64_t large_offset(void)
{
    uint64_t word[MSG_WORDS_REGS] = {m->untyped[KIND_FRAME]};
    uint64_t answer[MSG_WORDS_REGS];
    (void)call(m->cnode, INV_CNODE_LOOK, 1, word, answer);
    return (LARGE_FRAMES - answer[4] % LARGE_FRAMES) % LARGE_FRAMES;
}

static uint32_t copy(uint32_t from, uint32_t to)
{
    return call5(m->cnode, INV_CNODE_COPY, has(to), m->cnode, has(from), RIGHTS_ALL, 0);
}

static uint32_t furnish_objects(void)
{
    uint32_t bad = make(KIND_SLOT, OBJ_UNTYPED, 0, 0, 64, HAS_SLOTS);
    bad += make(KIND_THREAD, OBJ_THREAD, 0, 0, 1, HAS_THREAD);
    bad += make(KIND_ENDPOINT, OBJ_ENDPOINT, 0, 0, 1, HAS_ENDPOINT);
    bad += make(KIND_NOTIFICATION, OBJ_NOTIFICATION, 0, 0, 1, HAS_NOTIFICATION);
    bad += make(KIND_FRAME, OBJ_FRAME, 1, large_offset(), 1, HAS_LARGE);
    bad += make(KIND_FRAME, OBJ_FRAME, 0, 0, 1, HAS_FRAME);
    bad += make(KIND_FRAME, OBJ_FRAME, 0, 0, 1, HAS_LOOSE);
    bad += make(KIND_FRAME, OBJ_TABLE, 1, 0, 1, HAS_TABLE1);
    bad += make(KIND_FRAME, OBJ_TABLE, 2, 0, 1, HAS_TABLE2);
    bad += make(KIND_FRAME, OBJ_TABLE, 3, 0, 1, HAS_TABLE3);
    bad += make(KIND_FRAME, OBJ_TABLE, 1, 0, 1, HAS_LOOSE_TABLE);
    bad += make(KIND_FRAME, OBJ_SPACE, 0, 0, 1, HAS_SPACE);
    bad += make(KIND_IRQ, OBJ_IRQ, 0, 8, 1, HAS_IRQ);
    bad += make(KIND_IRQ, OBJ_IRQ, 0, 8, 1, HAS_LOOSE_IRQ);
    bad += make(KIND_PORT, OBJ_PORT, 0, 0x3f8, 100, HAS_PORT);
    bad += make(KIND_DEVICE, OBJ_DEVICE, 0, 0, 1, HAS_DEVICE);
    bad += make(KIND_ENDPOINT, OBJ_UNTYPED, 0, 0, 4, HAS_PART);
    bad += make(KIND_REPLY, OBJ_REPLY, 0, 0, 1, HAS_REPLY);
    return bad + make(KIND_CONTEXT, OBJ_CONTEXT, 0, 0, 1, HAS_CONTEXT);
}

/* A cnode at the first of the 64 slots that are free with 31 behind them, as part of HAS_SLOTS. */
static uint32_t furnish_cnode(void)
{
    uint64_t word[MSG_WORDS_REGS] = {OBJ_CNODE, 0, 0, 32, m->cnode, has(HAS_CNODE)};
    uint64_t answer[MSG_WORDS_REGS];
    return call(has(HAS_SLOTS), INV_UNTYPED_RETYPE, 6, word, answer) != 0;
}

uint32_t matrix_furnish(const struct matrix *with)
{
    m = with;
    uint32_t bad = furnish_objects() + furnish_cnode();
    bad += call5(m->cnode, INV_CNODE_MINT, has(HAS_BADGED), m->cnode, has(HAS_ENDPOINT), RIGHTS_ALL,
                 77);
    bad += call5(has(HAS_CNODE), INV_CNODE_COPY, 1, m->cnode, has(HAS_ENDPOINT), RIGHTS_ALL, 0);
    bad += call5(has(HAS_CNODE), INV_CNODE_COPY, 3, m->cnode, has(HAS_BADGED), RIGHTS_ALL, 0);
    bad += copy(HAS_FRAME, HAS_COPY);
    bad += call5(has(HAS_TABLE3), INV_TABLE_MAP, has(HAS_SPACE), 1, 0, 0, 0);
    bad += call5(has(HAS_TABLE2), INV_TABLE_MAP, has(HAS_TABLE3), 2, 0, 0, 0);
    bad += call5(has(HAS_TABLE1), INV_TABLE_MAP, has(HAS_TABLE2), 4, 0, 0, 0);
    bad += call5(has(HAS_FRAME), INV_FRAME_MAP, has(HAS_TABLE1), 5, RIGHT_READ + RIGHT_WRITE, 0, 0);
    bad +=
        call5(has(HAS_COPY), INV_FRAME_MAP, has(HAS_TABLE1), 7, RIGHT_READ + RIGHT_EXECUTE, 0, 0);
    bad += call5(has(HAS_LARGE), INV_FRAME_MAP, has(HAS_TABLE2), 3, RIGHT_READ, 0, 0);
    bad +=
        call5(has(HAS_DEVICE), INV_DEVICE_MAP, has(HAS_TABLE1), 6, RIGHT_READ + RIGHT_WRITE, 0, 0);
    return bad + call5(has(HAS_IRQ), INV_IRQ_BIND, has(HAS_NOTIFICATION), 0, 0, 0, 0);
}

/* A handle for an object of each type. */
static uint64_t of_type(uint32_t type)
{
    static const uint8_t what[TYPES] = {
        [OBJ_UNTYPED] = HAS_PART,    [OBJ_CNODE] = HAS_CNODE,
        [OBJ_THREAD] = HAS_THREAD,   [OBJ_ENDPOINT] = HAS_ENDPOINT,
        [OBJ_REPLY] = HAS_REPLY,     [OBJ_NOTIFICATION] = HAS_NOTIFICATION,
        [OBJ_CONTEXT] = HAS_CONTEXT, [OBJ_SPACE] = HAS_SPACE,
        [OBJ_TABLE] = HAS_TABLE1,    [OBJ_FRAME] = HAS_FRAME,
        [OBJ_DEVICE] = HAS_DEVICE,   [OBJ_IRQ] = HAS_IRQ,
        [OBJ_PORT] = HAS_PORT,
    };
    return type == OBJ_MONITOR ? m->monitor : has(what[type]);
}

/* The words of a call that would be done. */
static void choose_good(void)
{
    uint64_t words[LABELS][ABI_ARGS] = {
        [INV_UNTYPED_RETYPE] = {OBJ_ENDPOINT, 0, 1, 1, m->cnode, has(HAS_EMPTY)},
        [INV_CNODE_COPY] = {2, m->cnode, has(HAS_FRAME), RIGHT_READ},
        [INV_CNODE_MINT] = {2, m->cnode, has(HAS_ENDPOINT), RIGHT_READ, 5},
        [INV_CNODE_MOVE] = {2, m->cnode, has(HAS_REPLY)},
        [INV_CNODE_DELETE] = {1},
        [INV_CNODE_REVOKE] = {1},
        [INV_CNODE_EXTEND] = {has(HAS_SLOTS), 4},
        [INV_CNODE_LOOK] = {1},
        [INV_CNODE_CANCEL] = {1, 77},
        [INV_THREAD_BIND] = {ROLE_CNODE, m->cnode},
        [INV_THREAD_WRITE] = {1, 2},
        [INV_THREAD_READ] = {1, 2},
        [INV_CONTEXT_CONFIGURE] = {10000000, 20000000},
        [INV_TABLE_MAP] = {has(HAS_TABLE2), 9},
        [INV_FRAME_MAP] = {has(HAS_TABLE1), 9, RIGHT_READ},
        [INV_DEVICE_MAP] = {has(HAS_TABLE1), 6, RIGHT_READ},
        [INV_IRQ_BIND] = {has(HAS_NOTIFICATION)},
        [INV_PORT_IN] = {5, 1},
        [INV_PORT_OUT] = {7, 1, 3},
        [INV_MONITOR_READ] = {FIELD_S_TYPE, 0, 8},
        [INV_MONITOR_SUM] = {FIELD_S_TYPE, 0, 8},
        [INV_MONITOR_PUT] = {0, 0},
    };
    for (uint32_t n = 0; n < MSG_WORDS_REGS; n++) {
        good[n] = n < ABI_ARGS ? words[at_label][n] : 0;
    }
    self = of_type(inv_type[at_label]);
    self = at_label == INV_TABLE_MAP ? has(HAS_LOOSE_TABLE) : self;
    self = at_label == INV_FRAME_MAP ? has(HAS_LOOSE) : self;
    self = at_label == INV_IRQ_BIND ? has(HAS_LOOSE_IRQ) : self;
}

/* One case: the call must be refused just so. */
static void expect(const char *what, uint64_t value, uint64_t handle, uint32_t words,
                   uint32_t error, uint64_t argument)
{
    uint64_t answer[MSG_WORDS_REGS];
    uint64_t before = matrix_sum();
    uint32_t got = call(handle, at_label, words, good, answer);
    count_cases++;
    if (got != error || answer[0] != argument || matrix_sum() != before) {
        count_failed++;
        matrix_failed(at_label, what, value, got, answer[0]);
    }
}

/* The same with word n (from 0) replaced. */
static void expect_word(const char *what, uint32_t n, uint64_t value, uint32_t error)
{
    uint64_t kept = good[n];
    good[n] = value;
    expect(what, value, self, inv_words[at_label], error, n + 1);
    good[n] = kept;
}

/* A copy of a capability without one right, for the time of one case. */
static uint64_t without(uint64_t handle, uint32_t right)
{
    (void)call5(m->cnode, INV_CNODE_COPY, has(HAS_SCRATCH), m->cnode, handle, RIGHTS_ALL & ~right,
                0);
    return has(HAS_SCRATCH);
}

static void forget(void)
{
    (void)call5(m->cnode, INV_CNODE_DELETE, has(HAS_SCRATCH), 0, 0, 0, 0);
}

/* Calls to these are messages, not invocations. */
static bool is_messenger(uint32_t type)
{
    return type == OBJ_ENDPOINT || type == OBJ_NOTIFICATION || type == OBJ_REPLY;
}

static void wrong_self(void)
{
    uint32_t words = inv_words[at_label];
    for (uint32_t type = 1; type < TYPES; type++) {
        if (type != inv_type[at_label] && !is_messenger(type)) {
            expect("type", type, of_type(type), words, ERR_TYPE, 0);
        }
    }
    for (uint32_t right = 1; right <= RIGHTS_ALL; right *= 2) {
        if ((inv_rights[at_label] & right) != 0) {
            expect("right", right, without(self, right), words, ERR_RIGHT, 0);
            forget();
        }
    }
    expect("handle", 0, has(HAS_EMPTY), words, ERR_HANDLE, 0);
    expect("handle", 0, 0, words, ERR_HANDLE, 0);
    expect("handle", m->slots, m->slots, words, ERR_HANDLE, 0);
    expect("handle", UINT32_MAX, UINT32_MAX, words, ERR_HANDLE, 0);
    if (words > 0) {
        expect("length", words - 1, self, words - 1, ERR_LENGTH, 0);
    }
    if (words + inv_more[at_label] < MSG_WORDS_REGS) {
        expect("length", words + 1, self, words + inv_more[at_label] + 1u, ERR_LENGTH, 0);
    }
}

static void wrong_handle(uint32_t n)
{
    uint32_t at = at_label * ABI_ARGS + n;
    expect_word("handle argument", n, has(HAS_EMPTY), ERR_HANDLE);
    expect_word("handle argument", n, m->slots, ERR_HANDLE);
    expect_word("handle argument", n, (1ULL << 32) + good[n], ERR_HANDLE);
    if (arg_kind[at] == ARG_CAP) {
        expect_word("handle argument", n, 0, ERR_HANDLE);
    }
    for (uint32_t type = 1; arg_type[at] != 0 && type < TYPES; type++) {
        if (type != arg_type[at]) {
            expect_word("type argument", n, of_type(type), ERR_TYPE);
        }
    }
    for (uint32_t right = 1; right <= RIGHTS_ALL; right *= 2) {
        if ((arg_rights[at] & right) != 0) {
            expect_word("right argument", n, without(good[n], right), ERR_RIGHT);
            forget();
        }
    }
}

static void wrong_arguments(void)
{
    for (uint32_t n = 0; n < inv_words[at_label]; n++) {
        uint32_t at = at_label * ABI_ARGS + n;
        if (arg_kind[at] == ARG_BELOW) {
            expect_word("limit", n, arg_below[at], ERR_RANGE);
            expect_word("limit", n, (1ULL << 32) + good[n], ERR_RANGE);
            expect_word("limit", n, UINT64_MAX, ERR_RANGE);
        } else if (arg_kind[at] != ARG_WORD) {
            wrong_handle(n);
        }
    }
}

/* Slots and indices that do not fit, for word n that names a slot in the cnode handle of another
 * word or the invoked one. */
static void wrong_slot(uint32_t n, bool to_fill, uint64_t slots)
{
    expect_word("slot", n, 0, ERR_SLOT);
    expect_word("slot", n, slots, ERR_SLOT);
    expect_word("slot", n, (1ULL << 32) + good[n], ERR_SLOT);
    expect_word("slot", n, UINT64_MAX, ERR_SLOT);
    if (to_fill) {
        expect_word("full slot", n, 1, ERR_SLOT);
    }
}

static void wrong_retype(void)
{
    expect_word("new type", 0, 0, ERR_RANGE);
    expect_word("new type", 0, TYPES, ERR_RANGE);
    expect_word("new type", 0, OBJ_MONITOR, ERR_RANGE);
    for (uint32_t type = OBJ_CNODE; type < OBJ_MONITOR; type++) {
        if (type != OBJ_ENDPOINT) {
            expect_word("new type", 0, type, ERR_TYPE);
        }
    }
    expect_word("size", 1, 1, ERR_RANGE);
    expect_word("first", 2, 4, ERR_RANGE);
    expect_word("first", 2, UINT64_MAX, ERR_RANGE);
    expect_word("first", 2, 1ULL << 32, ERR_RANGE);
    expect_word("count", 3, 0, ERR_RANGE);
    expect_word("count", 3, 5, ERR_RANGE);
    expect_word("count", 3, RETYPE_OBJECTS + 1, ERR_RANGE);
    expect_word("count", 3, UINT64_MAX, ERR_RANGE);
    wrong_slot(5, true, m->slots);
    self = has(HAS_SLOTS);
    good[0] = OBJ_CNODE;
    good[3] = 32;
    expect_word("slots in use", 2, 0, ERR_BUSY);
    expect_word("cnode too long", 3, CNODE_SLICE + 1, ERR_RANGE);
}

static void wrong_cnode(void)
{
    switch (at_label) {
    case INV_CNODE_COPY:
    case INV_CNODE_MINT:
    case INV_CNODE_MOVE:
        wrong_slot(0, true, 32);
        wrong_slot(2, false, m->slots);
        expect_word("nothing to copy", 2, has(HAS_EMPTY), ERR_SLOT);
        break;
    case INV_CNODE_EXTEND:
        expect_word("not slots", 0, has(HAS_PART), ERR_TYPE);
        expect_word("count", 1, 0, ERR_RANGE);
        expect_word("count", 1, CNODE_SLICE + 1, ERR_RANGE);
        expect_word("count", 1, UINT64_MAX, ERR_RANGE);
        expect_word("behind the range", 1, 33, ERR_RANGE);
        break;
    default:
        wrong_slot(0, false, 32);
        break;
    }
    if (at_label == INV_CNODE_MINT) {
        expect_word("badge", 4, 0, ERR_RANGE);
        expect_word("badged already", 2, has(HAS_BADGED), ERR_BUSY);
        expect_word("no badges", 2, has(HAS_FRAME), ERR_TYPE);
    }
    if (at_label == INV_CNODE_CANCEL) {
        expect_word("badged", 0, 3, ERR_BUSY);
        expect_word("empty", 0, 2, ERR_TYPE);
    }
}

static void wrong_map(void)
{
    if (at_label == INV_TABLE_MAP) {
        expect_word("level", 0, has(HAS_TABLE3), ERR_TYPE);
        expect_word("level", 0, has(HAS_SPACE), ERR_TYPE);
        expect_word("no table", 0, has(HAS_FRAME), ERR_TYPE);
        expect_word("entry in use", 1, 4, ERR_BUSY);
        self = has(HAS_TABLE3);
        good[0] = has(HAS_SPACE);
        expect_word("kernel's entry", 1, TABLE_ENTRIES / 2, ERR_RANGE);
        return;
    }
    expect_word("level", 0, has(HAS_TABLE2), ERR_TYPE);
    expect_word("entry in use", 1, 7, ERR_BUSY);
    expect_word("no reading", 2, 0, ERR_RANGE);
    expect_word("no reading", 2, RIGHT_WRITE, ERR_RANGE);
    if (at_label == INV_FRAME_MAP) {
        expect_word("writing and executing", 2, RIGHT_READ + RIGHT_WRITE + RIGHT_EXECUTE,
                    ERR_EXCLUSIVE);
        self = without(self, RIGHT_WRITE);
        expect_word("right", 2, RIGHT_READ + RIGHT_WRITE, ERR_RIGHT);
        forget();
        self = has(HAS_FRAME);
        expect("mapped already", 9, self, 3, ERR_BUSY, 0);
    } else {
        expect_word("executing", 2, RIGHT_READ + RIGHT_EXECUTE, ERR_RIGHT);
    }
}

static void wrong_rest(void)
{
    switch (at_label) {
    case INV_TABLE_UNMAP:
        expect("not mapped", 0, has(HAS_LOOSE_TABLE), 0, ERR_ABSENT, 0);
        break;
    case INV_FRAME_UNMAP:
        expect("not mapped", 0, has(HAS_LOOSE), 0, ERR_ABSENT, 0);
        break;
    case INV_IRQ_BIND:
        expect("bound already", 0, has(HAS_IRQ), 1, ERR_BUSY, 0);
        break;
    case INV_IRQ_UNBIND:
    case INV_IRQ_ACK:
        expect("not bound", 0, has(HAS_LOOSE_IRQ), 0, ERR_ABSENT, 0);
        break;
    case INV_PORT_IN:
    case INV_PORT_OUT:
        expect_word("port", 0, 100, ERR_RANGE);
        expect_word("port", 0, UINT64_MAX, ERR_RANGE);
        expect_word("width", 1, 0, ERR_RANGE);
        expect_word("width", 1, 3, ERR_RANGE);
        expect_word("width", 1, 8, ERR_RANGE);
        break;
    case INV_MONITOR_READ:
    case INV_MONITOR_SUM:
        expect_word("first", 1, UINT64_MAX, ERR_RANGE);
        expect_word("count", 2, at_label == INV_MONITOR_READ ? DUMP_WORDS + 1 : DUMP_SLICE + 1,
                    ERR_RANGE);
        expect_word("count", 2, UINT64_MAX, ERR_RANGE);
        break;
    case INV_MONITOR_PUT:
        expect_word("count", 0, 9, ERR_RANGE);
        break;
    default:
        break;
    }
}

uint32_t matrix_run(const struct matrix *with, uint32_t label, uint32_t *cases)
{
    m = with;
    at_label = label;
    count_cases = 0;
    count_failed = 0;
    choose_good();
    wrong_self();
    wrong_arguments();
    if (label == INV_UNTYPED_RETYPE) {
        wrong_retype();
    } else if (inv_type[label] == OBJ_CNODE) {
        wrong_cnode();
    } else if (label == INV_TABLE_MAP || label == INV_FRAME_MAP || label == INV_DEVICE_MAP) {
        wrong_map();
    } else {
        wrong_rest();
    }
    *cases = count_cases;
    return count_failed;
}
