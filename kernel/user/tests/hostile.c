/* Programs that do their worst: they flood, fault, use up what they hold, or make system calls of
 * noise. Each runs in a space of its own; the others do not notice, neither in what they can make
 * nor in the time that they get.
 */
#include "config.h"
#include "kit.h"

#define PART 16u /* objects that a hostile program is given of each kind */

static uint64_t ticks(uint64_t us)
{
    return us * boot_info()->ticks_per_us;
}

/* Counts for the time given and stops: the work that a peaceful program gets done. */
static uint64_t count_for(uint64_t us)
{
    uint64_t end = kit_now() + ticks(us), done = 0;
    while (kit_now() < end) {
        done++;
    }
    return done;
}

/* A peaceful program beside the hostile one, both of the same priority with half of the time.
 * Returns what the peaceful one gets done, in per cent of what it gets done beside one that only
 * spins. */
static uint64_t peace_beside(struct child *hostile)
{
    static struct child peace, spinner;
    uint64_t done[2];
    struct child *beside[2] = {&spinner, hostile};
    child_new(&spinner, count_for, 1000000, CHILD_SPACE);
    for (unsigned i = 0; i < 2; i++) {
        child_new(&peace, count_for, 20000, CHILD_SPACE);
        context_configure(peace.context, ticks(500), ticks(1000));
        context_configure(beside[i]->context, ticks(500), ticks(1000));
        child_run(beside[i]);
        child_run(&peace);
        done[i] = child_result(&peace);
        thread_suspend(beside[i]->thread);
    }
    return done[1] * 100 / done[0];
}

static uint64_t spin(uint64_t rounds)
{
    do {
        __asm__ volatile("pause");
    } while (--rounds);
    return 0;
}

static uint64_t flood(uint64_t rounds)
{
    struct message m = {.extra = 0};
    do {
        message_pass(&m, SYS_SEND_TRY, CHILD_FREE, 0, MSG_WORDS_REGS, 0);
    } while (--rounds);
    return 0;
}

TEST(hostile_flood_of_sends_takes_no_time_of_others)
{
    static struct child c;
    child_new(&c, flood, 0, CHILD_SPACE);
    child_give(&c, CHILD_FREE, object_new(&kit, OBJ_ENDPOINT), RIGHT_WRITE);
    uint64_t share = peace_beside(&c);
    CHECK(share >= 95 && share <= 105);
}

static uint64_t signal_often(uint64_t rounds)
{
    struct message m = {.extra = 0};
    do {
        message_pass(&m, SYS_SEND, CHILD_FREE, 0, 0, 0);
    } while (--rounds);
    return 0;
}

TEST(hostile_flood_of_signals_takes_no_time_of_others)
{
    static struct child c;
    child_new(&c, signal_often, 0, CHILD_SPACE);
    child_give(&c, CHILD_FREE, object_new(&kit, OBJ_NOTIFICATION), RIGHT_WRITE);
    uint64_t share = peace_beside(&c);
    CHECK(share >= 95 && share <= 105);
}

static uint64_t yield_often(uint64_t rounds)
{
    struct message m = {.extra = 0};
    do {
        message_pass(&m, SYS_YIELD, 0, 0, 0, 0);
    } while (--rounds);
    return 0;
}

TEST(hostile_flood_of_yields_takes_no_time_of_others)
{
    static struct child c;
    child_new(&c, yield_often, 0, CHILD_SPACE);
    uint64_t share = peace_beside(&c);
    CHECK(share >= 95);
}

/* A server of faults that gives each faulting instruction back unchanged, so that it faults again.
 */
static uint64_t give_back(uint64_t rounds)
{
    struct message m = {.extra = 0};
    message_pass(&m, SYS_RECEIVE, receive_handle(CHILD_FREE, CHILD_FREE + 1), 0, 0, 0);
    while (--rounds) {
        message_pass(&m, SYS_REPLY_RECEIVE, receive_handle(CHILD_FREE, CHILD_FREE + 1), 0, 0, 0);
    }
    return 0;
}

static uint64_t touch(uint64_t address)
{
    return *(volatile uint64_t *)address;
}

TEST(hostile_flood_of_faults_takes_no_time_of_others)
{
    static struct child c, handler;
    child_new(&c, touch, 8, CHILD_SPACE);
    child_new(&handler, give_back, 0, CHILD_SPACE);
    child_give(&handler, CHILD_FREE, c.fault, RIGHTS_ALL);
    child_give(&handler, CHILD_FREE + 1, c.reply, RIGHTS_ALL);
    CHECK(thread_bind(handler.thread, ROLE_CONTEXT, 0) ==
          0); /* it runs on the faulting program's time */
    child_run(&handler);
    uint64_t share = peace_beside(&c);
    CHECK(share >= 90 && share <= 110);
}

/* Makes objects of a kind until its part is used up; how many. */
static uint64_t use_up(uint64_t type)
{
    uint64_t made = 0;
    for (uint64_t i = 0; i < 2ULL * PART; i++) {
        made += retype_whole(CHILD_FREE, type, 0, i, 1, CHILD_CNODE, CHILD_FREE + 1 + i) == 0;
    }
    return made;
}

TEST(hostile_use_of_all_that_one_holds_leaves_the_others_theirs)
{
    static const struct {
        unsigned kind, type;
    } noun[] = {{KIND_THREAD, OBJ_THREAD},
                {KIND_ENDPOINT, OBJ_ENDPOINT},
                {KIND_NOTIFICATION, OBJ_NOTIFICATION},
                {KIND_REPLY, OBJ_REPLY},
                {KIND_CONTEXT, OBJ_CONTEXT},
                {KIND_FRAME, OBJ_FRAME}};
    for (unsigned i = 0; i < sizeof(noun) / sizeof(noun[0]); i++) {
        static struct child c;
        static struct kit_state state;
        kit_begin(&state);
        child_new(&c, use_up, noun[i].type, CHILD_SPACE);
        child_give(&c, CHILD_FREE, untyped_new(&kit, noun[i].kind, PART), RIGHTS_ALL);
        child_run(&c);
        CHECK_EQUAL(child_result(&c), PART);
        for (unsigned k = 0; k < PART; k++) { /* the tests still make as many of their own */
            if (noun[i].type == OBJ_FRAME) {
                frame_new(&kit);
            } else {
                object_new(&kit, noun[i].type);
            }
        }
        kit_end(&state);
    }
}

/* System calls of noise: all registers at random. */
static uint64_t noise(uint64_t rounds)
{
    struct message m = {.extra = 0};
    uint64_t x = rounds * 2 + 1;
    while (--rounds) {
        uint64_t *word = (uint64_t *)&m;
        for (unsigned k = 0; k < sizeof(m) / 8; k++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            word[k] = x & 1 ? x : x >> (x & 63);
        }
        unsigned call = (unsigned)(m.word[0] % 128);
        bool waits = call == SYS_CALL || call == SYS_SEND || call == SYS_RECEIVE ||
                     call == SYS_REPLY_RECEIVE;
        m.tag = TAG_NATIVE | (m.tag & 0x00ffffffffffffffULL) |
                (uint64_t)(waits ? SYS_SEND_TRY : call) << 56;
        m.handle = m.handle % 3 == 0 ? m.handle : m.handle % (2ULL * CHILD_SLOTS);
        uint64_t low = m.handle & 0xffffffff; /* what it may do with these is not noise */
        m.handle = low == CHILD_MONITOR || low == CHILD_DONE ? 0 : m.handle;
        kernel_syscall(&m);
    }
    return 77;
}

TEST(hostile_noise_of_system_calls_changes_nothing)
{
    static struct child c;
    child_new(&c, noise, 30000, CHILD_SPACE);
    CHECK(delete_whole(c.cnode, CHILD_CNODE) == 0);
    uint64_t sum = kit_sum();
    child_run(&c);
    CHECK_EQUAL(child_result(&c), 77);
    CHECK_EQUAL(kit_sum(), sum);
}

/* Invocations of noise on its own cnode; the monitor is not in it. */
static uint64_t noise_of_invocations(uint64_t rounds)
{
    uint64_t x = rounds * 2 + 1;
    while (--rounds) {
        uint64_t word[MSG_WORDS_REGS];
        for (unsigned k = 0; k < MSG_WORDS_REGS; k++) {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            word[k] = x & 3 ? x % (2ULL * CHILD_SLOTS) : x;
        }
        uint64_t handle = CHILD_FREE + x % 24;
        kernel_invoke(handle, (unsigned)(x >> 8) % (LABELS + 1), (unsigned)(x >> 20) % 11, word);
    }
    return 78;
}

TEST(hostile_noise_of_invocations_stays_in_its_own_holdings)
{
    static struct child c, victim;
    static const unsigned kind[] = {KIND_THREAD, KIND_ENDPOINT, KIND_NOTIFICATION,
                                    KIND_REPLY,  KIND_CONTEXT,  KIND_FRAME};
    volatile uint64_t *page = kit_page(frame_new(&kit), RIGHT_READ | RIGHT_WRITE);
    page[0] = 0x1234;
    child_new(&victim, count_for, 1000, CHILD_SPACE);
    child_new(&c, noise_of_invocations, 30000, CHILD_SPACE);
    for (unsigned i = 0; i < sizeof(kind) / sizeof(kind[0]); i++) {
        child_give(&c, CHILD_FREE + i, untyped_new(&kit, kind[i], PART), RIGHTS_ALL);
    }
    child_give(&c, CHILD_FREE + 6, cnode_new(&kit, 40), RIGHTS_ALL);
    child_run(&c);
    CHECK_EQUAL(child_result(&c), 78);
    CHECK_EQUAL(page[0], 0x1234);
    child_run(&victim);
    CHECK(child_result(&victim) > 0);
}

/* A thread of the highest priority that never gives up its time. */
TEST(hostile_thread_gets_no_more_than_its_budget)
{
    static struct child c;
    uint64_t answer[MSG_WORDS_REGS];
    child_new(&c, spin, 0, CHILD_SPACE);
    CHECK(thread_priority(c.thread, PRIORITIES - 1) == 0);
    CHECK(context_configure(c.context, ticks(100), ticks(1000)) == 0);
    child_run(&c);
    uint64_t start = kit_now();
    CHECK(context_consumed(c.context, answer) == 0);
    while (kit_now() - start < ticks(50000)) {
    }
    uint64_t passed = kit_now() - start;
    CHECK(context_consumed(c.context, answer) == 0);
    CHECK(answer[0] * 100 <= passed * 11); /* a tenth, and the switches */
    CHECK(answer[0] * 100 >= passed * 9);
    CHECK(thread_suspend(c.thread) == 0);
}

/* A caller's budget is used up while the server works for it: the server gets no more time than
 * that. */
TEST(hostile_caller_does_not_lend_more_than_it_has)
{
    static struct child server, client;
    uint64_t endpoint = object_new(&kit, OBJ_ENDPOINT), answer[MSG_WORDS_REGS];
    child_new(&server, give_back, 0, CHILD_SPACE);
    child_give(&server, CHILD_FREE, endpoint, RIGHTS_ALL);
    child_give(&server, CHILD_FREE + 1, server.reply, RIGHTS_ALL);
    CHECK(thread_bind(server.thread, ROLE_CONTEXT, 0) == 0);
    child_run(&server);
    child_new(&client, flood, 0, CHILD_SPACE);
    child_give(&client, CHILD_FREE, endpoint, RIGHT_WRITE);
    CHECK(thread_priority(client.thread, PRIORITIES - 1) == 0);
    CHECK(context_configure(client.context, ticks(100), ticks(1000)) == 0);
    child_run(&client);
    uint64_t start = kit_now();
    CHECK(context_consumed(client.context, answer) == 0);
    while (kit_now() - start < ticks(20000)) {
    }
    uint64_t passed = kit_now() - start;
    CHECK(context_consumed(client.context, answer) == 0);
    CHECK(answer[0] * 100 <= passed * 11);
    CHECK(thread_suspend(client.thread) == 0);
}

/* A program whose fault endpoint nobody serves stands still, and nothing else does. */
TEST(hostile_fault_without_a_handler_stops_only_its_thread)
{
    static struct child c, other;
    child_new(&c, touch, 16, CHILD_SPACE);
    CHECK(thread_bind(c.thread, ROLE_FAULT, 0) == 0);
    child_new(&other, count_for, 2000, CHILD_SPACE);
    child_run(&c);
    child_run(&other);
    CHECK(child_result(&other) > 0);
}

/* Ends while others wait for it: they are told. */
static uint64_t call_once(uint64_t x)
{
    struct message m = {.word = {x}};
    return message_pass(&m, SYS_CALL, CHILD_FREE, 0, 1, 0);
}

TEST(hostile_end_of_a_server_is_told_to_its_callers)
{
    static struct child client;
    uint64_t endpoint = object_new(&kit, OBJ_ENDPOINT), reply = object_new(&kit, OBJ_REPLY);
    struct message m = {.extra = 0};
    child_new(&client, call_once, 5, CHILD_SPACE);
    child_give(&client, CHILD_FREE, endpoint, RIGHT_WRITE);
    child_run(&client);
    CHECK(message_pass(&m, SYS_RECEIVE, receive_handle(endpoint, reply), 0, 0, 0) == 0);
    CHECK_EQUAL(m.word[0], 5);
    CHECK(delete_whole(kit.cnode, reply) == 0);
    CHECK_EQUAL(child_result(&client), ERR_CANCELLED);
}
