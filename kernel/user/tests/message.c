/* Messages: what arrives, in which order, and what is refused. The tests run at a higher priority
 * than their children, so a child that is let run comes to its system call when the test waits.
 */
#include "objects.h"

#define EP   CHILD_FREE
#define REP  (CHILD_FREE + 1)
#define GIFT (CHILD_FREE + 2)

/* A child with an endpoint at EP and a reply object at REP. */
static uint64_t with_endpoint(struct child *c, uint64_t (*body)(uint64_t), uint64_t argument,
                              uint64_t endpoint)
{
    uint64_t reply = object_new(&kit, OBJ_REPLY);
    child_new(c, body, argument, CHILD_SPACE);
    child_give(c, EP, endpoint, RIGHTS_ALL);
    child_give(c, REP, reply, RIGHTS_ALL);
    return reply;
}

/* The tests let the children run until all of them wait. */
static void let_run(void)
{
    struct message m = {.extra = 0};
    thread_priority(BOOT_THREAD, KIT_PRIORITY - 1);
    message_pass(&m, SYS_YIELD, 0, 0, 0, 0);
    thread_priority(BOOT_THREAD, TEST_PRIORITY);
}

/* Answers each call with its words turned around and one more than its label, for ever. */
static uint64_t mirror(uint64_t end)
{
    struct message m = {.extra = 0};
    message_pass(&m, SYS_RECEIVE, receive_handle(EP, REP), 0, 0, 0);
    while (end == 0) {
        unsigned words = TAG_WORDS(m.tag);
        struct message answer = {.extra = 0};
        for (unsigned k = 0; k < words && k < MSG_WORDS_REGS; k++) {
            answer.word[k] = ~m.word[k];
        }
        message_pass(&answer, SYS_REPLY_RECEIVE, receive_handle(EP, REP), TAG_LABEL(m.tag) + 1,
                     words, 0);
        m = answer;
    }
    return 0;
}

TEST(message_of_every_length_is_answered)
{
    static struct child c;
    uint64_t e = object_new(&kit, OBJ_ENDPOINT);
    with_endpoint(&c, mirror, 0, e);
    child_run(&c);
    for (unsigned words = 0; words <= MSG_WORDS_REGS; words++) {
        struct message m = {.extra = 0};
        for (unsigned k = 0; k < MSG_WORDS_REGS; k++) {
            m.word[k] = words * 1000 + k;
        }
        CHECK_EQUAL(message_pass(&m, SYS_CALL, e, 70 + words, words, 0), 0);
        CHECK_EQUAL(m.tag, TAG(0, 71 + words, words, 0));
        for (unsigned k = 0; k < MSG_WORDS_REGS; k++) {
            uint64_t sent = words * 1000 + k;
            CHECK_EQUAL(m.word[k], k < words ? ~sent : sent);
        }
    }
}

TEST(message_to_a_server_without_time_is_answered)
{
    static struct child c;
    uint64_t e = object_new(&kit, OBJ_ENDPOINT);
    with_endpoint(&c, mirror, 0, e);
    child_run(&c);
    let_run();
    CHECK_EQUAL(thread_bind(c.thread, ROLE_CONTEXT, 0), 0);
    for (uint64_t round = 0; round < 5; round++) {
        struct message m = {.word = {round, 2, 3}};
        CHECK_EQUAL(message_pass(&m, SYS_CALL, e, 1, 3, 0), 0);
        CHECK_EQUAL(m.word[0], ~round);
        CHECK_EQUAL(m.tag, TAG(0, 2, 3, 0));
    }
}

static uint64_t send_number(uint64_t number)
{
    struct message m = {.word = {number, number + 1, number + 2}};
    unsigned error = message_pass(&m, SYS_SEND, EP, 5, 3, 0);
    return error == 0 ? 100 + number : error;
}

TEST(message_leaves_registers_beyond_its_length_alone)
{
    static struct child c;
    uint64_t e = object_new(&kit, OBJ_ENDPOINT);
    with_endpoint(&c, send_number, 40, e);
    child_run(&c);
    struct message m = {.word = {9, 9, 9, 77, 78}, .extra = 0};
    CHECK_EQUAL(message_pass(&m, SYS_RECEIVE, receive_handle(e, 0), 0, 0, 0), 0);
    CHECK_EQUAL(m.tag, TAG(0, 5, 3, 0));
    CHECK(m.word[0] == 40 && m.word[1] == 41 && m.word[2] == 42);
    CHECK(m.word[3] == 77 && m.word[4] == 78);
    CHECK_EQUAL(child_result(&c), 140);
}

TEST(message_senders_are_served_in_the_order_in_which_they_came)
{
    static struct child c[4];
    uint64_t e = object_new(&kit, OBJ_ENDPOINT);
    for (uint64_t i = 0; i < 4; i++) {
        with_endpoint(&c[i], send_number, i, badged_new(&kit, e, RIGHTS_ALL, i + 1));
        child_run(&c[i]);
        let_run();
    }
    for (uint64_t i = 0; i < 4; i++) {
        struct message m = {.extra = 0};
        CHECK_EQUAL(message_pass(&m, SYS_RECEIVE, receive_handle(e, 0), 0, 0, 0), 0);
        CHECK_EQUAL(m.handle, i + 1);
        CHECK_EQUAL(m.word[0], i);
    }
}

static uint64_t receive_number(uint64_t unused)
{
    struct message m = {.extra = 0};
    (void)unused;
    unsigned error = message_pass(&m, SYS_RECEIVE, receive_handle(EP, 0), 0, 0, 0);
    return error == 0 ? m.word[0] : 1000 + error;
}

TEST(message_receivers_are_served_in_the_order_in_which_they_came)
{
    static struct child c[3];
    uint64_t e = object_new(&kit, OBJ_ENDPOINT);
    for (uint64_t i = 0; i < 3; i++) {
        with_endpoint(&c[i], receive_number, 0, e);
        child_run(&c[i]);
        let_run();
    }
    for (uint64_t i = 0; i < 3; i++) {
        struct message m = {.word = {50 + i}};
        CHECK_EQUAL(message_pass(&m, SYS_SEND_TRY, e, 0, 1, 0), 0);
    }
    for (uint64_t i = 0; i < 3; i++) {
        CHECK_EQUAL(child_result(&c[i]), 50 + i);
    }
}

TEST(message_is_not_sent_when_nobody_waits_and_the_sender_does_not)
{
    uint64_t e = object_new(&kit, OBJ_ENDPOINT);
    uint64_t sum = kit_sum();
    struct message m = {.word = {1}};
    CHECK_EQUAL(message_pass(&m, SYS_SEND_TRY, e, 0, 1, 0), ERR_WAIT);
    CHECK_EQUAL(message_pass(&m, SYS_RECEIVE_TRY, receive_handle(e, 0), 0, 0, 0), ERR_WAIT);
    CHECK_EQUAL(kit_sum(), sum);
}

TEST(message_needs_the_right_to_send_or_to_receive)
{
    uint64_t e = object_new(&kit, OBJ_ENDPOINT);
    uint64_t reads = copy_new(&kit, e, RIGHT_READ);
    uint64_t writes = copy_new(&kit, e, RIGHT_WRITE);
    struct message m = {.extra = 0};
    CHECK_EQUAL(message_pass(&m, SYS_SEND_TRY, reads, 0, 0, 0), ERR_RIGHT);
    CHECK_EQUAL(m.word[1], RIGHT_WRITE);
    CHECK_EQUAL(message_pass(&m, SYS_CALL, reads, 0, 0, 0), ERR_RIGHT);
    CHECK_EQUAL(message_pass(&m, SYS_RECEIVE_TRY, receive_handle(writes, 0), 0, 0, 0), ERR_RIGHT);
    CHECK_EQUAL(m.word[1], RIGHT_READ);
    CHECK_EQUAL(message_pass(&m, SYS_RECEIVE_TRY, receive_handle(reads, 0), 0, 0, 0), ERR_WAIT);
    CHECK_EQUAL(message_pass(&m, SYS_SEND_TRY, writes, 0, 0, 0), ERR_WAIT);
}

TEST(message_cannot_look_like_the_kernels)
{
    static struct child c;
    uint64_t e = object_new(&kit, OBJ_ENDPOINT);
    with_endpoint(&c, mirror, 0, e);
    child_run(&c);
    struct message m = {.extra = 0};
    CHECK_EQUAL(message_pass(&m, SYS_CALL, e, LABEL_FAULT + 20, 0, 0), 0);
    CHECK_EQUAL(TAG_LABEL(m.tag), 21);
}

/* Long messages: page is mapped in the child's space and bound to it. */
#define LONG_PAGE 0x1c000000ULL

static uint64_t long_sum(uint64_t unused)
{
    volatile uint64_t *page = (volatile uint64_t *)LONG_PAGE;
    struct message m = {.extra = 0};
    uint64_t sum = 0;
    (void)unused;
    message_pass(&m, SYS_RECEIVE, receive_handle(EP, REP), 0, 0, 0);
    for (unsigned k = 0; k < TAG_WORDS(m.tag); k++) {
        sum = sum * 3 + (k < MSG_WORDS_REGS ? m.word[k] : page[k]);
    }
    m.word[0] = sum;
    m.word[1] = TAG_WORDS(m.tag) < 512 ? page[TAG_WORDS(m.tag)] : 0;
    message_pass(&m, SYS_SEND, REP, 0, 2, 0);
    return 0;
}

static void long_call(unsigned words, unsigned *error, uint64_t *sum, uint64_t *beyond)
{
    static struct child c;
    uint64_t e = object_new(&kit, OBJ_ENDPOINT);
    uint64_t theirs = frame_new(&kit), mine = frame_new(&kit);
    with_endpoint(&c, long_sum, 0, e);
    thread_bind(c.thread, ROLE_BUFFER, theirs);
    thread_bind(BOOT_THREAD, ROLE_BUFFER, mine);
    space_map(&kit, &c.space, LONG_PAGE, theirs, RIGHT_READ | RIGHT_WRITE);
    volatile uint64_t *page = kit_page(mine, RIGHT_READ | RIGHT_WRITE);
    struct message m = {.extra = 0};
    for (unsigned k = 0; k < 512; k++) {
        page[k] = 7 * k + 1;
        if (k < MSG_WORDS_REGS) {
            m.word[k] = 7 * k + 1;
        }
    }
    child_run(&c);
    *error = message_pass(&m, SYS_CALL, e, 0, words, 0);
    *sum = m.word[0];
    *beyond = m.word[1];
}

TEST(message_of_512_words_arrives_whole)
{
    static const unsigned lengths[] = {11, 64, 512};
    for (unsigned i = 0; i < 3; i++) {
        unsigned error;
        uint64_t sum, beyond, wanted = 0;
        long_call(lengths[i], &error, &sum, &beyond);
        for (unsigned k = 0; k < lengths[i]; k++) {
            wanted = wanted * 3 + 7 * k + 1;
        }
        CHECK_EQUAL(error, 0);
        CHECK_EQUAL(sum, wanted);
        CHECK_EQUAL(beyond, 0);
    }
}

TEST(message_longer_than_a_buffer_is_refused)
{
    unsigned error;
    uint64_t a, b;
    long_call(513, &error, &a, &b);
    CHECK_EQUAL(error, ERR_LENGTH);
}

TEST(message_that_needs_a_buffer_is_refused_without)
{
    static struct child c;
    uint64_t e = object_new(&kit, OBJ_ENDPOINT);
    with_endpoint(&c, receive_number, 0, e);
    child_run(&c);
    let_run();
    thread_bind(BOOT_THREAD, ROLE_BUFFER, frame_new(&kit));
    struct message m = {.word = {6}};
    CHECK_EQUAL(message_pass(&m, SYS_SEND_TRY, e, 0, 11, 0), ERR_FIT);
    m.word[0] = 6;
    CHECK_EQUAL(message_pass(&m, SYS_SEND_TRY, e, 0, 1, 0), 0);
    CHECK_EQUAL(child_result(&c), 6);
}

/* Sends its notification at GIFT along; with which rights the endpoint comes is the test's. */
static uint64_t send_gift(uint64_t count)
{
    struct message m = {.extra = GIFT | (uint64_t)GIFT << HANDLE_BITS};
    return message_pass(&m, SYS_SEND, EP, 1, 0, (unsigned)count);
}

static void gift(struct child *c, uint64_t count, uint64_t e, uint64_t rights)
{
    child_new(c, send_gift, count, CHILD_SPACE);
    child_give(c, EP, e, rights);
    child_give(c, GIFT, object_new(&kit, OBJ_NOTIFICATION), RIGHT_WRITE);
    child_run(c);
    let_run();
}

TEST(message_hands_a_capability_over_with_grant)
{
    static struct child c;
    uint64_t e = object_new(&kit, OBJ_ENDPOINT), place = slot_new(&kit);
    gift(&c, 1, e, RIGHT_WRITE | RIGHT_GRANT);
    struct message m = {.extra = place};
    CHECK_EQUAL(message_pass(&m, SYS_RECEIVE, receive_handle(e, 0), 0, 0, 0), 0);
    CHECK_EQUAL(TAG_HANDLES(m.tag), 1);
    CHECK_EQUAL(m.extra, place);
    CHECK_EQUAL(look(place, LOOK_TYPE), OBJ_NOTIFICATION);
    CHECK_EQUAL(look(place, LOOK_RIGHTS), RIGHT_WRITE);
    CHECK_EQUAL(child_result(&c), 0);
}

TEST(message_hands_nothing_over_without_grant)
{
    static struct child c;
    uint64_t e = object_new(&kit, OBJ_ENDPOINT), place = slot_new(&kit);
    gift(&c, 1, e, RIGHT_WRITE);
    struct message m = {.extra = place};
    CHECK_EQUAL(message_pass(&m, SYS_RECEIVE_TRY, receive_handle(e, 0), 0, 0, 0), ERR_WAIT);
    CHECK_EQUAL(look(place, LOOK_TYPE), 0);
    CHECK_EQUAL(child_result(&c), ERR_RIGHT);
}

TEST(message_hands_nothing_over_into_a_full_slot)
{
    static struct child c;
    uint64_t e = object_new(&kit, OBJ_ENDPOINT);
    gift(&c, 1, e, RIGHT_WRITE | RIGHT_GRANT);
    struct message m = {.extra = e};
    CHECK_EQUAL(message_pass(&m, SYS_RECEIVE_TRY, receive_handle(e, 0), 0, 0, 0), ERR_WAIT);
    CHECK_EQUAL(look(e, LOOK_TYPE), OBJ_ENDPOINT);
    CHECK_EQUAL(child_result(&c), ERR_FIT);
}

TEST(message_wants_a_slot_of_its_own_for_each_capability)
{
    static struct child c, d;
    uint64_t e = object_new(&kit, OBJ_ENDPOINT), place = slots_new(&kit, 2);
    gift(&c, 2, e, RIGHT_WRITE | RIGHT_GRANT);
    struct message m = {.extra = place | place << HANDLE_BITS};
    CHECK_EQUAL(message_pass(&m, SYS_RECEIVE_TRY, receive_handle(e, 0), 0, 0, 0), ERR_WAIT);
    CHECK_EQUAL(look(place, LOOK_TYPE), 0);
    CHECK_EQUAL(child_result(&c), ERR_FIT);
    gift(&d, 2, e, RIGHT_WRITE | RIGHT_GRANT);
    m.extra = place | (place + 1) << HANDLE_BITS;
    CHECK_EQUAL(message_pass(&m, SYS_RECEIVE, receive_handle(e, 0), 0, 0, 0), 0);
    CHECK_EQUAL(look(place + 1, LOOK_TYPE), OBJ_NOTIFICATION);
}

TEST(message_cancel_ends_the_waiting_of_one_badge_only)
{
    static struct child c[4];
    uint64_t e = object_new(&kit, OBJ_ENDPOINT);
    for (uint64_t i = 0; i < 4; i++) {
        with_endpoint(&c[i], send_number, i, badged_new(&kit, e, RIGHTS_ALL, 1 + i % 2));
        child_run(&c[i]);
        let_run();
    }
    CHECK_EQUAL(cnode_cancel(kit.cnode, e, 1), 0);
    CHECK_EQUAL(child_result(&c[0]), ERR_CANCELLED);
    CHECK_EQUAL(child_result(&c[2]), ERR_CANCELLED);
    for (uint64_t i = 1; i < 4; i += 2) {
        struct message m = {.extra = 0};
        CHECK_EQUAL(message_pass(&m, SYS_RECEIVE, receive_handle(e, 0), 0, 0, 0), 0);
        CHECK_EQUAL(m.word[0], i);
    }
}

TEST(message_endpoint_that_ends_tells_those_who_wait)
{
    static struct child c[2];
    uint64_t e = object_new(&kit, OBJ_ENDPOINT), f = object_new(&kit, OBJ_ENDPOINT);
    with_endpoint(&c[0], send_number, 1, e);
    with_endpoint(&c[1], receive_number, 0, f);
    child_run(&c[0]);
    child_run(&c[1]);
    let_run();
    CHECK_EQUAL(delete (e), 0);
    CHECK_EQUAL(delete (f), 0);
    CHECK_EQUAL(child_result(&c[0]), ERR_CANCELLED);
    CHECK_EQUAL(child_result(&c[1]), 1000 + ERR_CANCELLED);
}

static uint64_t call_number(uint64_t number)
{
    struct message m = {.word = {number}};
    unsigned error = message_pass(&m, SYS_CALL, EP, 1, 1, 0);
    return error == 0 ? m.word[0] : 1000 + error;
}

TEST(message_reply_object_answers_once)
{
    static struct child c;
    uint64_t e = object_new(&kit, OBJ_ENDPOINT), r = object_new(&kit, OBJ_REPLY);
    with_endpoint(&c, call_number, 3, e);
    child_run(&c);
    struct message m = {.extra = 0};
    CHECK_EQUAL(message_pass(&m, SYS_SEND, r, 0, 0, 0), ERR_ABSENT);
    CHECK_EQUAL(message_pass(&m, SYS_RECEIVE, receive_handle(e, r), 0, 0, 0), 0);
    m.word[0] += 1;
    CHECK_EQUAL(message_pass(&m, SYS_SEND, r, 0, 1, 0), 0);
    CHECK_EQUAL(message_pass(&m, SYS_SEND, r, 0, 1, 0), ERR_ABSENT);
    CHECK_EQUAL(child_result(&c), 4);
}

TEST(message_reply_object_holds_one_caller)
{
    static struct child c[2];
    uint64_t e = object_new(&kit, OBJ_ENDPOINT), r = object_new(&kit, OBJ_REPLY);
    for (uint64_t i = 0; i < 2; i++) {
        with_endpoint(&c[i], call_number, i, e);
        child_run(&c[i]);
    }
    let_run();
    struct message m = {.extra = 0};
    CHECK_EQUAL(message_pass(&m, SYS_RECEIVE, receive_handle(e, r), 0, 0, 0), 0);
    CHECK_EQUAL(message_pass(&m, SYS_RECEIVE, receive_handle(e, r), 0, 0, 0), ERR_BUSY);
    m.word[0] = 8;
    CHECK_EQUAL(message_pass(&m, SYS_REPLY_RECEIVE, receive_handle(e, r), 0, 1, 0), 0);
    CHECK_EQUAL(child_result(&c[0]), 8);
    CHECK_EQUAL(m.word[0], 1);
}

TEST(message_reply_object_that_ends_tells_its_caller)
{
    static struct child c;
    uint64_t e = object_new(&kit, OBJ_ENDPOINT), r = object_new(&kit, OBJ_REPLY);
    with_endpoint(&c, call_number, 3, e);
    child_run(&c);
    struct message m = {.extra = 0};
    CHECK_EQUAL(message_pass(&m, SYS_RECEIVE, receive_handle(e, r), 0, 0, 0), 0);
    CHECK_EQUAL(delete (r), 0);
    CHECK_EQUAL(child_result(&c), 1000 + ERR_CANCELLED);
}

TEST(message_call_to_a_receiver_without_reply_object_is_refused)
{
    static struct child c;
    uint64_t e = object_new(&kit, OBJ_ENDPOINT);
    with_endpoint(&c, call_number, 3, e);
    child_run(&c);
    let_run();
    struct message m = {.extra = 0};
    CHECK_EQUAL(message_pass(&m, SYS_RECEIVE_TRY, receive_handle(e, 0), 0, 0, 0), ERR_WAIT);
    CHECK_EQUAL(child_result(&c), 1000 + ERR_FIT);
}

TEST(message_wait_of_a_suspended_thread_is_cancelled)
{
    static struct child c;
    uint64_t e = object_new(&kit, OBJ_ENDPOINT);
    with_endpoint(&c, send_number, 3, e);
    child_run(&c);
    let_run();
    CHECK_EQUAL(thread_suspend(c.thread), 0);
    struct message m = {.extra = 0};
    CHECK_EQUAL(message_pass(&m, SYS_RECEIVE_TRY, receive_handle(e, 0), 0, 0, 0), ERR_WAIT);
    child_run(&c);
    CHECK_EQUAL(child_result(&c), ERR_CANCELLED);
}

TEST(signal_bits_add_up_until_they_are_taken)
{
    uint64_t n = object_new(&kit, OBJ_NOTIFICATION);
    uint64_t one = badged_new(&kit, n, RIGHT_WRITE, 1), four = badged_new(&kit, n, RIGHT_WRITE, 4);
    struct message m = {.extra = 0};
    CHECK_EQUAL(message_pass(&m, SYS_RECEIVE_TRY, receive_handle(n, 0), 0, 0, 0), ERR_WAIT);
    CHECK_EQUAL(message_pass(&m, SYS_SEND, one, 0, 0, 0), 0);
    CHECK_EQUAL(message_pass(&m, SYS_SEND, four, 0, 0, 0), 0);
    CHECK_EQUAL(message_pass(&m, SYS_SEND, four, 0, 0, 0), 0);
    CHECK_EQUAL(message_pass(&m, SYS_RECEIVE, receive_handle(n, 0), 0, 0, 0), 0);
    CHECK_EQUAL(m.handle, 5);
    CHECK_EQUAL(TAG_LABEL(m.tag), LABEL_SIGNAL);
    CHECK_EQUAL(message_pass(&m, SYS_RECEIVE_TRY, receive_handle(n, 0), 0, 0, 0), ERR_WAIT);
}

static uint64_t wait_signal(uint64_t unused)
{
    struct message m = {.extra = 0};
    (void)unused;
    unsigned error = message_pass(&m, SYS_RECEIVE, receive_handle(EP, 0), 0, 0, 0);
    return error == 0 ? m.handle : 1000 + error;
}

TEST(signal_wakes_one_waiter_in_the_order_in_which_they_came)
{
    static struct child c[2];
    uint64_t n = object_new(&kit, OBJ_NOTIFICATION);
    for (uint64_t i = 0; i < 2; i++) {
        with_endpoint(&c[i], wait_signal, 0, n);
        child_run(&c[i]);
        let_run();
    }
    struct message m = {.extra = 0};
    for (uint64_t i = 0; i < 2; i++) {
        uint64_t s = badged_new(&kit, n, RIGHT_WRITE, 8 + i);
        CHECK_EQUAL(message_pass(&m, SYS_SEND, s, 0, 0, 0), 0);
        CHECK_EQUAL(child_result(&c[i]), 8 + i);
    }
}

TEST(signal_ends_the_receiving_of_the_bound_thread)
{
    static struct child c, other;
    uint64_t e = object_new(&kit, OBJ_ENDPOINT), n = object_new(&kit, OBJ_NOTIFICATION);
    with_endpoint(&c, wait_signal, 0, e);
    child_new(&other, wait_signal, 0, CHILD_SPACE);
    CHECK_EQUAL(thread_bind(c.thread, ROLE_NOTIFICATION, n), 0);
    CHECK_EQUAL(thread_bind(other.thread, ROLE_NOTIFICATION, n), ERR_BUSY);
    child_run(&c);
    let_run();
    struct message m = {.extra = 0};
    CHECK_EQUAL(message_pass(&m, SYS_SEND, badged_new(&kit, n, RIGHT_WRITE, 32), 0, 0, 0), 0);
    CHECK_EQUAL(child_result(&c), 32);
    CHECK_EQUAL(message_pass(&m, SYS_SEND_TRY, e, 0, 0, 0), ERR_WAIT);
}

TEST(signal_object_that_ends_tells_its_waiters)
{
    static struct child c;
    uint64_t n = object_new(&kit, OBJ_NOTIFICATION);
    with_endpoint(&c, wait_signal, 0, n);
    child_run(&c);
    let_run();
    CHECK_EQUAL(delete (n), 0);
    CHECK_EQUAL(child_result(&c), 1000 + ERR_CANCELLED);
}
