/* The root task of the random calls: sets the callers up, mends what they break, tells what they
 * did. See random.h. */
#include "random.h"

#include "abi/abi_names.h"
#include "arch/regs.h"

#define STACK_BYTES  2048u
#define TURN         60000u /* ticks; shorter than one checked entry, so turns change at nearly each */
#define PRIORITY     (PRIORITIES / 2)
#define CALLS_EACH   1000u /* of a million calls, each invocation comes at least so often */
#define GOOD_PERCENT 30u

static struct holdings holdings;
static struct caller caller[CALLERS];
static uint8_t stack[CALLERS][STACK_BYTES] __attribute__((aligned(16)));
static uint64_t cnode[CALLERS], thread[CALLERS], context[CALLERS];
static uint64_t untyped[CALLERS][KINDS];
static uint64_t endpoint, notification;

static const uint64_t ports_first = 0x200; /* nothing listens there */
static const uint64_t share[KINDS] = {
    [KIND_SLOT] = 24, [KIND_THREAD] = 3,  [KIND_ENDPOINT] = 6, [KIND_NOTIFICATION] = 6,
    [KIND_REPLY] = 6, [KIND_CONTEXT] = 3, [KIND_FRAME] = 40,   [KIND_DEVICE] = 8,
    [KIND_IRQ] = 2,   [KIND_PORT] = 8,
};

_Noreturn void program_end(int status)
{
    for (;;) {
        monitor_stop(BOOT_MONITOR, (uint64_t)status & 127);
    }
}

static uint64_t number(const char *name, uint64_t otherwise)
{
    char text[24];
    uint64_t value = 0;
    if (!boot_option(name, text, sizeof(text))) {
        return otherwise;
    }
    for (const char *p = text; *p >= '0' && *p <= '9'; p++) {
        value = value * 10 + (uint64_t)(*p - '0');
    }
    return value;
}

/* Puts a capability where the caller has lost it. */
static void give(unsigned i, unsigned slot, uint64_t handle, uint64_t rights, unsigned type,
                 unsigned like)
{
    uint64_t answer[MSG_WORDS_REGS];
    if (cnode_look(cnode[i], slot, answer) == 0 && answer[0] == 0) {
        cnode_copy(cnode[i], slot, holdings.cnode, handle, rights);
    }
    caller[i].type[slot] = (uint8_t)type;
    caller[i].like[slot] = (uint8_t)like;
}

static void furnish(unsigned i)
{
    for (unsigned kind = 1; kind < KINDS; kind++) {
        give(i, kind, untyped[i][kind], RIGHTS_ALL, OBJ_UNTYPED, kind);
    }
    give(i, HAS_CNODE, cnode[i], RIGHTS_ALL, OBJ_CNODE, 0);
    give(i, HAS_THREAD, thread[i], RIGHT_READ, OBJ_THREAD, 0);
    give(i, HAS_MONITOR, BOOT_MONITOR, RIGHT_READ, OBJ_MONITOR, 0);
    give(i, HAS_ENDPOINT, endpoint, RIGHTS_ALL, OBJ_ENDPOINT, 0);
    give(i, HAS_SIGNAL, notification, RIGHTS_ALL, OBJ_NOTIFICATION, 0);
}

/* From the beginning, with all that a thread needs. */
static void restart(unsigned i)
{
    uint64_t rsp = (uint64_t)stack[i] + STACK_BYTES - 8, self = (uint64_t)&caller[i];
    uint64_t rip[2] = {(uint64_t)caller_run, rsp};
    thread_suspend(thread[i]);
    context_configure(context[i], TURN, TURN);
    thread_bind(thread[i], ROLE_CNODE, cnode[i]);
    thread_bind(thread[i], ROLE_SPACE, BOOT_SPACE);
    thread_bind(thread[i], ROLE_CONTEXT, context[i]);
    thread_priority(thread[i], PRIORITY);
    thread_write(thread[i], R_W0, self, 0, NULL);
    thread_write(thread[i], R_RIP, rip[0], 1, &rip[1]);
    unsigned error = thread_resume(thread[i]);
    if (error) {
        give_up("set a caller going", error);
    }
}

static void prepare(uint64_t seed)
{
    boot_holdings(&holdings);
    endpoint = object_new(&holdings, OBJ_ENDPOINT);
    notification = object_new(&holdings, OBJ_NOTIFICATION);
    holdings.range[KIND_PORT].used = ports_first;
    holdings.range[KIND_IRQ].used = 16;
    for (unsigned i = 0; i < CALLERS; i++) {
        cnode[i] = cnode_new(&holdings, CALLER_SLOTS);
        thread[i] = object_new(&holdings, OBJ_THREAD);
        context[i] = object_new(&holdings, OBJ_CONTEXT);
        caller[i].random = seed * 2 + 1 + i * 0x9e3779b97f4a7c15ULL;
        for (unsigned kind = 1; kind < KINDS; kind++) {
            untyped[i][kind] = untyped_new(&holdings, kind, share[kind]);
            caller[i].count[kind] = share[kind];
        }
        furnish(i);
        restart(i);
    }
}

/* Revokes now and then what a caller has made, so that there is always something to be made. */
static void mend(unsigned i, unsigned round, uint64_t *before)
{
    if (caller[i].calls == *before) {
        restart(i);
    }
    *before = caller[i].calls;
    if (round % 32 == i) {
        unsigned kind = 1 + round / 32 % (KINDS - 1);
        revoke_whole(holdings.cnode, untyped[i][kind]);
        for (unsigned slot = CALLER_FREE; slot < CALLER_SLOTS; slot++) {
            uint64_t answer[MSG_WORDS_REGS];
            if (cnode_look(cnode[i], slot, answer) == 0) {
                caller[i].type[slot] = (uint8_t)answer[0];
            }
        }
    }
    if (round % 4 == i) {
        furnish(i);
    }
}

/* The coverage; false when it does not suffice. */
static bool report(uint64_t calls)
{
    uint64_t tried = 0, done = 0;
    bool good = true;
    for (unsigned label = 1; label < LABELS; label++) {
        print(inv_name[label]);
        print(" ");
        print_number(tally.tried[label]);
        print(", done ");
        print_number(tally.done[label]);
        print("\n");
        tried += tally.tried[label];
        done += tally.done[label];
        good = good && tally.tried[label] >= calls / 1000 * CALLS_EACH / 1000;
    }
    print_number(tried);
    print(" invocations, ");
    print_number(done * 100 / (tried ? tried : 1));
    print(" % done; messages:");
    for (unsigned call = 1; call < CALLS; call++) {
        print(" ");
        print_number(tally.passed[call]);
    }
    print("\n");
    return good && done * 100 >= tried * GOOD_PERCENT;
}

int main(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    uint64_t seed = number("seed", low ^ high), calls = number("calls", 20000), sum = 0;
    static uint64_t before[CALLERS];
    print("seed=");
    print_number(seed);
    print("\n");
    prepare(seed);
    for (unsigned round = 0; sum < calls; round++) {
        sum = 0;
        for (unsigned turn = 0; turn < 8; turn++) {
            struct message m = {.extra = 0};
            message_pass(&m, SYS_YIELD, 0, 0, 0, 0);
        }
        for (unsigned i = 0; i < CALLERS; i++) {
            mend(i, round, &before[i]);
            sum += caller[i].calls;
        }
    }
    bool good = report(calls);
    print(good ? "ok random_calls_keep_the_invariant\n" : "FAIL random_calls_keep_the_invariant\n");
    print("end 1\n");
    return !good;
}
