/* Faults and foreign system calls as messages to a handler, and what its answers do. machine.c
 * shows which faults the processor makes; here is what becomes of them.
 */
#include "objects.h"

static uint64_t touch(uint64_t address)
{
    *(volatile uint64_t *)address = 1;
    return 7;
}

TEST(fault_tells_address_code_ip_and_sp)
{
    static struct child c;
    struct message m = {.extra = 0};
    uint64_t at[MSG_WORDS_REGS];
    child_new(&c, touch, 0x123450008ULL, CHILD_SPACE);
    child_run(&c);
    child_fault(&c, &m);
    CHECK_EQUAL(m.tag, TAG(0, LABEL_FAULT + FAULT_PAGE, 10, 0));
    CHECK_EQUAL(m.word[0], 14);
    CHECK_EQUAL(m.word[1], 0x123450008ULL);
    CHECK_EQUAL(m.word[2], 6); /* user, writing, not present */
    CHECK_EQUAL(thread_read(c.thread, R_RIP, 3, at), 0);
    CHECK(m.word[7] == at[0] && m.word[8] == at[1] && m.word[9] == at[2]);
}

TEST(fault_that_was_handled_is_not_seen_by_the_thread)
{
    static struct child c;
    struct message m = {.extra = 0};
    child_new(&c, touch, 0x123450008ULL, CHILD_SPACE);
    child_run(&c);
    child_fault(&c, &m);
    uint64_t frame = frame_new(&kit);
    volatile uint64_t *page = kit_page(copy_new(&kit, frame, RIGHTS_ALL), RIGHT_READ);
    CHECK_EQUAL(space_map(&kit, &c.space, 0x123450000ULL, frame, RIGHT_READ | RIGHT_WRITE), 0);
    child_answer(&c, &m, 0);
    CHECK_EQUAL(child_result(&c), 7);
    CHECK_EQUAL(page[1], 1);
}

TEST(fault_comes_again_when_nothing_was_done)
{
    static struct child c;
    child_new(&c, touch, 0x123450008ULL, CHILD_SPACE);
    child_run(&c);
    for (unsigned k = 0; k < 3; k++) {
        struct message m = {.extra = 0};
        child_fault(&c, &m);
        CHECK_EQUAL(m.word[1], 0x123450008ULL);
        child_answer(&c, &m, 0);
    }
}

static uint64_t invalid(uint64_t argument)
{
    uint64_t result = argument;
    __asm__ volatile("ud2" : "+a"(result) : : "memory");
    return result;
}

TEST(fault_answer_sets_the_instruction_pointer)
{
    static struct child c;
    struct message m = {.extra = 0};
    child_new(&c, invalid, 55, CHILD_SPACE);
    child_run(&c);
    child_fault(&c, &m);
    CHECK_EQUAL(m.tag, TAG(0, LABEL_FAULT + FAULT_EXCEPTION, 10, 0));
    CHECK_EQUAL(m.word[0], 6);
    m.word[0] = 66; /* is no register of an exception */
    m.word[7] += 2;
    child_answer(&c, &m, 8);
    CHECK_EQUAL(child_result(&c), 55);
}

TEST(fault_answer_with_a_label_leaves_the_thread_stopped)
{
    static struct child c;
    struct message m = {.extra = 0};
    uint64_t seen[MSG_WORDS_REGS], after[MSG_WORDS_REGS];
    child_new(&c, invalid, 55, CHILD_SPACE);
    child_run(&c);
    child_fault(&c, &m);
    CHECK_EQUAL(message_pass(&m, SYS_SEND, c.reply, 1, 0, 0), 0);
    CHECK_EQUAL(thread_read(c.thread, R_RIP, 1, seen), 0);
    seen[0] += 2;
    CHECK_EQUAL(thread_write(c.thread, R_RIP, seen[0], 0, after), 0);
    CHECK_EQUAL(thread_resume(c.thread), 0);
    CHECK_EQUAL(child_result(&c), 55);
}

TEST(fault_of_a_thread_lets_its_registers_be_written)
{
    static struct child c;
    struct message m = {.extra = 0};
    uint64_t none[MSG_WORDS_REGS];
    child_new(&c, invalid, 55, CHILD_SPACE);
    child_run(&c);
    child_fault(&c, &m);
    CHECK_EQUAL(thread_write(c.thread, R_TAG, 99, 0, none), 0);
    m.word[7] += 2;
    child_answer(&c, &m, 8);
    CHECK_EQUAL(child_result(&c), 99);
}

TEST(fault_ends_with_its_reply_object)
{
    static struct child c;
    struct message m = {.extra = 0};
    child_new(&c, invalid, 55, CHILD_SPACE);
    child_run(&c);
    child_fault(&c, &m);
    CHECK_EQUAL(thread_resume(c.thread), ERR_STATE);
    CHECK_EQUAL(delete (c.reply), 0);
    CHECK_EQUAL(thread_resume(c.thread), 0); /* it was stopped, and faults again */
}

static uint64_t foreign_call(uint64_t number)
{
    uint64_t result = number;
    register uint64_t r10 __asm__("r10") = 14, r8 __asm__("r8") = 15, r9 __asm__("r9") = 16;
    __asm__ volatile("syscall"
                     : "+a"(result), "+r"(r10), "+r"(r8), "+r"(r9)
                     : "D"(11), "S"(12), "d"(13)
                     : "rcx", "r11", "memory");
    return result + r10 * 1000 + r8 * 100000;
}

TEST(foreign_call_tells_number_and_six_arguments)
{
    static struct child c;
    struct message m = {.extra = 0};
    child_new(&c, foreign_call, 39, CHILD_SPACE);
    child_run(&c);
    child_fault(&c, &m);
    CHECK_EQUAL(m.tag, TAG(0, LABEL_FAULT + FAULT_SYSCALL, 10, 0));
    CHECK_EQUAL(m.word[0], 39);
    for (uint64_t k = 1; k <= 6; k++) {
        CHECK_EQUAL(m.word[k], 10 + k);
    }
    CHECK(m.word[7] >= BOOT_TEXT && m.word[7] < BOOT_STACK);
    CHECK(m.word[8] >= BOOT_STACK && m.word[8] < BOOT_INFO);
}

TEST(foreign_call_gets_its_result_and_keeps_its_registers)
{
    static struct child c;
    struct message m = {.extra = 0};
    child_new(&c, foreign_call, 39, CHILD_SPACE);
    child_run(&c);
    child_fault(&c, &m);
    m.word[0] = 4;
    child_answer(&c, &m, 1);
    CHECK_EQUAL(child_result(&c), 4 + 14 * 1000 + 15 * 100000);
}

TEST(foreign_call_answer_sets_argument_registers)
{
    static struct child c;
    struct message m = {.extra = 0};
    child_new(&c, foreign_call, 39, CHILD_SPACE);
    child_run(&c);
    child_fault(&c, &m);
    m = (struct message){.word = {1, 0, 0, 0, 24, 25, 26}};
    child_answer(&c, &m, 7);
    CHECK_EQUAL(child_result(&c), 1 + 24 * 1000 + 25 * 100000);
}

/* Answers every foreign call with the sum of number and first argument, for ever. */
static uint64_t personality(uint64_t end)
{
    struct message m = {.extra = 0};
    uint64_t handles = receive_handle(CHILD_FREE, CHILD_FREE + 1);
    message_pass(&m, SYS_RECEIVE, handles, 0, 0, 0);
    while (end == 0) {
        m.word[0] += m.word[1];
        message_pass(&m, SYS_REPLY_RECEIVE, handles, 0, 1, 0);
    }
    return 0;
}

static uint64_t many_calls(uint64_t count)
{
    uint64_t sum = 0;
    for (uint64_t k = 0; k < count; k++) {
        uint64_t result = k;
        __asm__ volatile("syscall" : "+a"(result) : "D"(1000) : "rcx", "r11", "memory");
        sum += result == k + 1000;
    }
    return sum;
}

TEST(foreign_calls_are_answered_by_a_personality_without_time)
{
    static struct child server, client;
    child_new(&server, personality, 0, CHILD_SPACE);
    child_give(&server, CHILD_FREE, server.fault, RIGHTS_ALL);
    child_give(&server, CHILD_FREE + 1, server.reply, RIGHTS_ALL);
    child_run(&server);
    child_new(&client, many_calls, 500, CHILD_SPACE);
    CHECK_EQUAL(thread_bind(client.thread, ROLE_FAULT, server.fault), 0);
    struct message m = {.extra = 0};
    thread_priority(BOOT_THREAD, KIT_PRIORITY - 1);
    message_pass(&m, SYS_YIELD, 0, 0, 0, 0);
    thread_priority(BOOT_THREAD, TEST_PRIORITY);
    CHECK_EQUAL(thread_bind(server.thread, ROLE_CONTEXT, 0), 0);
    child_run(&client);
    CHECK_EQUAL(child_result(&client), 500);
}
