/* Threads, priorities and time. Children write what they see into a page that all share, so their
 * order shows. The tests run at a higher priority than their children.
 */
#include "objects.h"

#define PAGE 0x1d000000ULL
#define A    CHILD_FREE
#define B    (CHILD_FREE + 1)
#define REP  (CHILD_FREE + 2)

struct page {
    volatile uint64_t written; /* entries of order */
    volatile uint64_t order[64];
    volatile uint64_t count[8];
    volatile uint64_t stop;
};
#define SHARED ((struct page *)PAGE)

static struct page *page;

/* A child in a space of its own, with the page. */
static void sharer(struct child *c, uint64_t (*body)(uint64_t), uint64_t argument, uint64_t frame)
{
    child_new(c, body, argument, CHILD_SPACE);
    space_map(&kit, &c->space, PAGE, copy_new(&kit, frame, RIGHTS_ALL), RIGHT_READ | RIGHT_WRITE);
}

static uint64_t new_page(void)
{
    uint64_t frame = frame_new(&kit);
    page = kit_page(copy_new(&kit, frame, RIGHTS_ALL), RIGHT_READ | RIGHT_WRITE);
    memset(page, 0, sizeof(*page));
    return frame;
}

static uint64_t ticks(uint64_t us)
{
    return us * boot_info()->ticks_per_us;
}

/* The tests wait while others run: they go below them, until a time. */
static void let_run_for(uint64_t us)
{
    uint64_t end = kit_now() + ticks(us);
    thread_priority(BOOT_THREAD, KIT_PRIORITY - 2);
    while (kit_now() < end) {
        struct message m = {.extra = 0};
        message_pass(&m, SYS_YIELD, 0, 0, 0, 0);
    }
    thread_priority(BOOT_THREAD, TEST_PRIORITY);
}

static uint64_t note(uint64_t number)
{
    SHARED->order[SHARED->written] = number;
    SHARED->written = SHARED->written + 1;
    return number;
}

/* Waits for its signal at A, notes its number, signals B. */
static uint64_t relay(uint64_t number)
{
    struct message m = {.extra = 0};
    message_pass(&m, SYS_RECEIVE, receive_handle(A, 0), 0, 0, 0);
    note(number);
    message_pass(&m, SYS_SEND, B, 0, 0, 0);
    return note(number + 10);
}

TEST(thread_of_a_higher_priority_runs_at_once)
{
    static struct child c[3];
    uint64_t frame = new_page(), n[4];
    for (uint64_t i = 0; i < 4; i++) {
        n[i] = badged_new(&kit, object_new(&kit, OBJ_NOTIFICATION), RIGHTS_ALL, 1);
    }
    for (uint64_t i = 0; i < 3; i++) {
        sharer(&c[i], relay, i, frame);
        child_give(&c[i], A, n[i], RIGHT_READ);
        child_give(&c[i], B, n[i + 1], RIGHT_WRITE);
        CHECK_EQUAL(thread_priority(c[i].thread, KIT_PRIORITY + i), 0);
        child_run(&c[i]);
    }
    let_run_for(200);
    struct message m = {.extra = 0};
    CHECK_EQUAL(message_pass(&m, SYS_SEND, n[0], 0, 0, 0), 0);
    let_run_for(500);
    /* 0 signals 1, which runs at once and signals 2; each goes on when those above it are done. */
    static const uint64_t wanted[] = {0, 1, 2, 12, 11, 10};
    CHECK_EQUAL(page->written, 6);
    for (unsigned k = 0; k < 6; k++) {
        CHECK_EQUAL(page->order[k], wanted[k]);
    }
}

static uint64_t count_up(uint64_t which)
{
    while (SHARED->stop == 0) {
        SHARED->count[which] = SHARED->count[which] + 1;
    }
    return 0;
}

TEST(thread_of_a_lower_priority_waits)
{
    static struct child high, low;
    uint64_t frame = new_page();
    sharer(&high, count_up, 0, frame);
    sharer(&low, count_up, 1, frame);
    CHECK_EQUAL(thread_priority(low.thread, KIT_PRIORITY - 1), 0);
    child_run(&low);
    child_run(&high);
    CHECK_EQUAL(context_configure(BOOT_CONTEXT, ticks(500), ticks(5000)), 0);
    uint64_t end = kit_now() + ticks(20000);
    while (kit_now() < end) {
    }
    uint64_t lower = page->count[1], higher = page->count[0];
    CHECK_EQUAL(context_configure(BOOT_CONTEXT, ticks(10000), ticks(10000)), 0);
    CHECK(higher > 1000);
    CHECK_EQUAL(lower, 0);
}

/* The tests use a tenth of the time, the children share the rest. */
static void run_beside(uint64_t us)
{
    context_configure(BOOT_CONTEXT, ticks(100), ticks(1000));
    uint64_t end = kit_now() + ticks(us);
    while (kit_now() < end) {
    }
    context_configure(BOOT_CONTEXT, ticks(10000), ticks(10000));
}

TEST(threads_of_one_priority_take_turns)
{
    static struct child c[3];
    uint64_t frame = new_page();
    for (uint64_t i = 0; i < 3; i++) {
        sharer(&c[i], count_up, i, frame);
        CHECK_EQUAL(context_configure(c[i].context, ticks(200), ticks(200)), 0);
        child_run(&c[i]);
    }
    run_beside(30000);
    for (unsigned i = 0; i < 3; i++) {
        uint64_t others = page->count[(i + 1) % 3];
        CHECK(page->count[i] > others / 10 * 9 && page->count[i] < others / 10 * 11 + 10);
    }
}

static uint64_t yield_turns(uint64_t which)
{
    for (unsigned k = 0; k < 5; k++) {
        struct message m = {.extra = 0};
        note(which);
        message_pass(&m, SYS_YIELD, 0, 0, 0, 0);
    }
    return 0;
}

TEST(thread_that_yields_comes_behind_its_equals)
{
    static struct child c[2];
    uint64_t frame = new_page();
    for (uint64_t i = 0; i < 2; i++) {
        sharer(&c[i], yield_turns, i, frame);
        child_run(&c[i]);
    }
    let_run_for(500);
    CHECK_EQUAL(page->written, 10);
    for (unsigned k = 0; k < 10; k++) {
        CHECK_EQUAL(page->order[k], k % 2);
    }
}

TEST(thread_suspended_stands_still_and_goes_on)
{
    static struct child c;
    uint64_t frame = new_page();
    sharer(&c, count_up, 0, frame);
    child_run(&c);
    run_beside(3000);
    CHECK_EQUAL(thread_suspend(c.thread), 0);
    uint64_t stood = page->count[0];
    CHECK(stood > 0);
    run_beside(3000);
    CHECK_EQUAL(page->count[0], stood);
    CHECK_EQUAL(thread_resume(c.thread), 0);
    CHECK_EQUAL(thread_resume(c.thread), ERR_STATE);
    run_beside(3000);
    CHECK(page->count[0] > stood);
}

TEST(thread_changes_its_place_with_its_priority)
{
    static struct child c[2];
    uint64_t frame = new_page();
    for (uint64_t i = 0; i < 2; i++) {
        sharer(&c[i], count_up, i, frame);
        child_run(&c[i]);
    }
    CHECK_EQUAL(thread_priority(c[1].thread, KIT_PRIORITY + 1), 0);
    run_beside(3000);
    CHECK(page->count[1] > 0);
    CHECK_EQUAL(page->count[0], 0);
    uint64_t before = page->count[1];
    CHECK_EQUAL(thread_priority(c[0].thread, KIT_PRIORITY + 2), 0);
    run_beside(3000);
    CHECK(page->count[0] > 0);
    CHECK_EQUAL(page->count[1], before);
}

TEST(thread_registers_are_read_and_written)
{
    static struct child c;
    uint64_t frame = new_page(), seen[MSG_WORDS_REGS] = {0};
    uint64_t more[2] = {0x1111, 0x2222};
    sharer(&c, count_up, 0, frame);
    CHECK_EQUAL(thread_write(c.thread, R_W6, 0x666, 2, more), 0);
    CHECK_EQUAL(thread_read(c.thread, R_W6, 3, seen), 0);
    CHECK(seen[0] == 0x666 && seen[1] == 0x1111 && seen[2] == 0x2222);
    child_run(&c);
    CHECK_EQUAL(thread_write(c.thread, R_W6, 0, 0, more), ERR_STATE);
    run_beside(1000);
    CHECK_EQUAL(thread_suspend(c.thread), 0);
    CHECK_EQUAL(thread_read(c.thread, R_RIP, 2, seen), 0);
    CHECK(seen[0] >= BOOT_TEXT && seen[0] < BOOT_STACK);
    CHECK(seen[1] >= BOOT_STACK && seen[1] < BOOT_INFO);
}

TEST(thread_without_time_does_not_run)
{
    static struct child c;
    uint64_t frame = new_page();
    sharer(&c, count_up, 0, frame);
    CHECK_EQUAL(thread_bind(c.thread, ROLE_CONTEXT, 0), 0);
    child_run(&c);
    run_beside(2000);
    CHECK_EQUAL(page->count[0], 0);
    CHECK_EQUAL(thread_bind(c.thread, ROLE_CONTEXT, c.context), 0);
    run_beside(2000);
    CHECK(page->count[0] > 0);
}

TEST(context_serves_one_thread)
{
    static struct child c[2];
    uint64_t frame = new_page();
    sharer(&c[0], count_up, 0, frame);
    sharer(&c[1], count_up, 1, frame);
    CHECK_EQUAL(thread_bind(c[1].thread, ROLE_CONTEXT, c[0].context), ERR_BUSY);
    CHECK_EQUAL(thread_bind(c[0].thread, ROLE_CONTEXT, 0), 0);
    CHECK_EQUAL(thread_bind(c[1].thread, ROLE_CONTEXT, c[0].context), 0);
    CHECK_EQUAL(thread_bind(c[0].thread, ROLE_CONTEXT, 0), ERR_ABSENT);
}

TEST(context_wants_a_budget_that_it_can_have)
{
    uint64_t c = object_new(&kit, OBJ_CONTEXT);
    CHECK_EQUAL(context_configure(c, ticks(200), ticks(100)), ERR_RANGE);
    CHECK_EQUAL(context_configure(c, 1, ticks(100)), ERR_RANGE);
    CHECK_EQUAL(context_configure(c, ticks(100), ~0ULL), ERR_RANGE);
    CHECK_EQUAL(context_configure(c, ticks(100), ticks(1000)), 0);
}

TEST(context_tells_what_was_used_of_it)
{
    static struct child c;
    uint64_t frame = new_page(), used[MSG_WORDS_REGS] = {0};
    sharer(&c, count_up, 0, frame);
    CHECK_EQUAL(context_configure(c.context, ticks(500), ticks(1000)), 0);
    CHECK_EQUAL(context_consumed(c.context, used), 0);
    CHECK_EQUAL(used[0], 0);
    child_run(&c);
    run_beside(20000);
    CHECK_EQUAL(context_consumed(c.context, used), 0);
    CHECK(used[0] >= ticks(9000) && used[0] <= ticks(10600));
    CHECK_EQUAL(thread_suspend(c.thread), 0);
    CHECK_EQUAL(context_consumed(c.context, used), 0);
    run_beside(2000);
    CHECK_EQUAL(context_consumed(c.context, used), 0);
    CHECK_EQUAL(used[0], 0);
}

/* Serves at A: counts for as many microseconds as it is asked to. */
static uint64_t serve_work(uint64_t end)
{
    struct message m = {.extra = 0};
    message_pass(&m, SYS_RECEIVE, receive_handle(A, REP), 0, 0, 0);
    while (end == 0) {
        uint64_t until = kit_now() + m.word[0];
        while (kit_now() < until) {
            SHARED->count[7] = SHARED->count[7] + 1;
        }
        message_pass(&m, SYS_REPLY_RECEIVE, receive_handle(A, REP), 0, 1, 0);
    }
    return 0;
}

static uint64_t ask_for_work(uint64_t time)
{
    struct message m = {.extra = 0};
    while (SHARED->stop == 0) {
        m.word[0] = time;
        if (message_pass(&m, SYS_CALL, A, 0, 1, 0) != 0) {
            return message_error(&m);
        }
        SHARED->count[0] = SHARED->count[0] + 1;
    }
    return 0;
}

/* A server without time of its own, waiting, and a client of it. */
static void server_and_client(struct child *server, struct child *client, uint64_t us,
                              uint64_t frame)
{
    uint64_t e = object_new(&kit, OBJ_ENDPOINT);
    sharer(server, serve_work, 0, frame);
    child_give(server, A, e, RIGHTS_ALL);
    child_give(server, REP, server->reply, RIGHTS_ALL);
    child_run(server);
    let_run_for(100);
    thread_bind(server->thread, ROLE_CONTEXT, 0);
    sharer(client, ask_for_work, ticks(us), frame);
    child_give(client, A, e, RIGHTS_ALL);
}

TEST(context_that_was_lent_is_charged_for_the_server)
{
    static struct child server, client;
    uint64_t frame = new_page(), used[MSG_WORDS_REGS] = {0};
    server_and_client(&server, &client, 100, frame);
    CHECK_EQUAL(context_configure(client.context, ticks(300), ticks(1000)), 0);
    CHECK_EQUAL(context_consumed(client.context, used), 0);
    child_run(&client);
    run_beside(20000);
    CHECK_EQUAL(context_consumed(client.context, used), 0);
    CHECK(page->count[0] > 10);
    CHECK(used[0] >= ticks(5000) && used[0] <= ticks(6400));
}

TEST(context_that_was_lent_and_used_up_is_told_to_the_handler)
{
    static struct child server, client;
    uint64_t frame = new_page(), told = object_new(&kit, OBJ_ENDPOINT);
    uint64_t reply = object_new(&kit, OBJ_REPLY);
    server_and_client(&server, &client, 5000, frame);
    CHECK_EQUAL(context_configure(client.context, ticks(200), ticks(1000)), 0);
    CHECK_EQUAL(thread_bind(server.thread, ROLE_TIMEOUT, told), 0);
    child_run(&client);
    struct message m = {.extra = 0};
    CHECK_EQUAL(message_pass(&m, SYS_RECEIVE, receive_handle(told, reply), 0, 0, 0), 0);
    CHECK_EQUAL(TAG_LABEL(m.tag), LABEL_FAULT + FAULT_TIME);
    CHECK(m.word[0] >= ticks(200));
    CHECK(m.word[7] >= BOOT_TEXT && m.word[7] < BOOT_STACK);
    /* It is answered, and goes on when there is time again: told once more. */
    CHECK_EQUAL(message_pass(&m, SYS_REPLY_RECEIVE, receive_handle(told, reply), 0, 0, 0), 0);
    CHECK_EQUAL(TAG_LABEL(m.tag), LABEL_FAULT + FAULT_TIME);
    /* Its client is answered in its place, and has its time back. */
    CHECK_EQUAL(page->count[0], 0);
    CHECK_EQUAL(message_pass(&m, SYS_SEND, server.reply, 0, 0, 0), 0);
    run_beside(2000);
    CHECK(page->count[0] > 0);
}

TEST(context_without_handler_waits_for_its_refill)
{
    static struct child server, client;
    uint64_t frame = new_page();
    server_and_client(&server, &client, 500, frame);
    CHECK_EQUAL(context_configure(client.context, ticks(200), ticks(1000)), 0);
    child_run(&client);
    run_beside(20000);
    CHECK(page->count[0] >= 5 && page->count[0] <= 21);
}

/* Calls the next in the chain and adds one to its answer. */
static uint64_t add_one(uint64_t last)
{
    struct message m = {.extra = 0};
    message_pass(&m, SYS_RECEIVE, receive_handle(A, REP), 0, 0, 0);
    while (last != 2) {
        if (last == 0) {
            message_pass(&m, SYS_CALL, B, 0, 1, 0);
        }
        m.word[0] += 1;
        message_pass(&m, SYS_REPLY_RECEIVE, receive_handle(A, REP), 0, 1, 0);
    }
    return 0;
}

TEST(context_is_lent_along_a_chain_and_comes_back)
{
    static struct child c[4];
    uint64_t frame = new_page(), e[5];
    for (uint64_t i = 0; i < 5; i++) {
        e[i] = object_new(&kit, OBJ_ENDPOINT);
    }
    for (uint64_t i = 0; i < 4; i++) {
        sharer(&c[i], add_one, i == 3, frame);
        child_give(&c[i], A, e[i], RIGHTS_ALL);
        child_give(&c[i], B, e[i + 1], RIGHTS_ALL);
        child_give(&c[i], REP, c[i].reply, RIGHTS_ALL);
        child_run(&c[i]);
        let_run_for(100);
        CHECK_EQUAL(thread_bind(c[i].thread, ROLE_CONTEXT, 0), 0);
    }
    for (uint64_t round = 0; round < 10; round++) {
        struct message m = {.word = {round}};
        CHECK_EQUAL(message_pass(&m, SYS_CALL, e[0], 0, 1, 0), 0);
        CHECK_EQUAL(m.word[0], round + 4);
    }
}

TEST(context_of_a_suspended_caller_comes_back_to_it)
{
    static struct child server, client;
    uint64_t frame = new_page();
    server_and_client(&server, &client, 3000, frame);
    child_run(&client);
    run_beside(1000);
    CHECK_EQUAL(thread_suspend(client.thread), 0);
    CHECK_EQUAL(page->count[0], 0);
    CHECK_EQUAL(thread_resume(client.thread), 0);
    /* Its call was cancelled, so it ends; it can only run when the server has given its time back.
     */
    CHECK_EQUAL(child_result(&client), ERR_CANCELLED);
    CHECK(page->count[7] > 0);
}

TEST(context_that_ends_stops_who_runs_on_it)
{
    static struct child server, client;
    uint64_t frame = new_page();
    server_and_client(&server, &client, 100000, frame);
    child_run(&client);
    run_beside(1000);
    CHECK(page->count[7] > 0);
    CHECK_EQUAL(delete (client.context), 0);
    uint64_t stood = page->count[7];
    run_beside(2000);
    CHECK_EQUAL(page->count[7], stood);
}
