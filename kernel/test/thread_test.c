/* Threads, messages and time, one property a test. Each test runs in a process of its own. */
#include "test/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#define T(i) W_OBJECT(i)

/* Thread 1 is a server without time of its own that waits on endpoint 0; thread 0 runs. */
static void server_waits(void)
{
    world();
    world_resume(1);
    CHECK(current == T(1));
    world_syscall(SYS_RECEIVE, W_ENDPOINT(0), W_REPLY(1), 0, 0, NULL);
    CHECK(current == NIL && t_state[T(1)] == THREAD_RECEIVING);
    world_passive(1);
    world_resume(0);
    CHECK(current == T(0));
    kit_check("server_waits");
}

static void bits(void)
{
    for (uint32_t p = 0; p < 64; p++) {
        CHECK(bit_single(p) >> p == 1 && bit_highest(bit_single(p)) == p);
        for (uint32_t q = 0; q <= p; q++) {
            CHECK(bit_highest(bit_single(p) | bit_single(q)) == p);
        }
    }
    CHECK(bit_highest(0) == 0);
}

static void call_lends_and_answer_returns(void)
{
    server_waits();
    world_syscall(SYS_CALL, W_BADGED(0), 0, 7, WORDS(11, 12, 13));
    CHECK(current == T(1) && t_context[T(1)] == T(0) && t_context[T(0)] == NIL);
    CHECK(t_state[T(0)] == THREAD_ANSWER && r_thread[W_OBJECT(1)] == T(0));
    CHECK(world_reg(1, R_TAG) == TAG(0, 7, 3, 0) && world_reg(1, R_HANDLE) == 1);
    CHECK(world_reg(1, R_W0) == 11 && world_reg(1, R_W2) == 13 && world_reg(1, R_W3) == 0);
    kit_check("call");
    world_syscall(SYS_REPLY_RECEIVE, W_ENDPOINT(0), W_REPLY(1), 9, WORDS(21));
    CHECK(current == T(0) && t_context[T(0)] == T(0) && t_context[T(1)] == NIL);
    CHECK(t_state[T(1)] == THREAD_RECEIVING && t_reply[T(1)] == W_OBJECT(1));
    CHECK(world_reg(0, R_TAG) == TAG(0, 9, 1, 0) && world_reg(0, R_W0) == 21);
    CHECK(world_reg(0, R_W1) == 12);
    kit_check("answer");
}

static void long_message_through_buffers(void)
{
    server_waits();
    world_syscall(SYS_CALL, W_BADGED(0), 0, 7, 64, (uint64_t[10]){1});
    CHECK(current == T(0) && TAG_CODE(world_reg(0, R_TAG)) == ERR_FIT);
    CHECK(t_state[T(1)] == THREAD_RECEIVING);
    t_buffer[T(0)] = 20;
    t_buffer[T(1)] = 21;
    for (uint32_t k = 0; k < 512; k++) {
        phys[20 * 512 + k] = 1000 + k;
        phys[21 * 512 + k] = 0;
    }
    world_syscall(SYS_CALL, W_BADGED(0), 0, 7, 64, (uint64_t[10]){1});
    CHECK(current == T(1) && TAG_WORDS(world_reg(1, R_TAG)) == 64);
    CHECK(phys[21 * 512 + 9] == 0 && phys[21 * 512 + 10] == 1010);
    CHECK(phys[21 * 512 + 63] == 1063 && phys[21 * 512 + 64] == 0);
}

static void capabilities_travel_with_grant(void)
{
    server_waits();
    uint32_t place = W_FREE + 1;
    t_reg[T(0) * T_REGS + R_EXTRA] = W_NOTIFICATION(2);
    t_reg[T(1) * T_REGS + R_EXTRA] = 0;
    t_reg[T(0) * T_REGS + R_TAG] = TAG_NATIVE | TAG(SYS_CALL, 1, 0, 1);
    t_reg[T(0) * T_REGS + R_HANDLE] = W_BADGED(0);
    entry_syscall();
    CHECK(current == T(0) && TAG_CODE(world_reg(0, R_TAG)) == ERR_FIT);
    t_reg[T(1) * T_REGS + R_EXTRA] = place;
    t_reg[T(0) * T_REGS + R_TAG] = TAG_NATIVE | TAG(SYS_CALL, 1, 0, 1);
    entry_syscall();
    CHECK(current == T(1) && TAG_HANDLES(world_reg(1, R_TAG)) == 1);
    CHECK(world_reg(1, R_EXTRA) == place && s_type[kit_slot(place)] == OBJ_NOTIFICATION);
    CHECK(s_parent[kit_slot(place)] == kit_slot(W_NOTIFICATION(2)));
    kit_check("granted");
}

static void senders_are_served_in_order(void)
{
    world();
    for (uint32_t i = 0; i < 4; i++) {
        world_resume(i);
        CHECK(current == T(i));
        world_syscall(SYS_SEND, W_BADGED(i), 0, 0, WORDS(100 + i));
        CHECK(current == NIL);
    }
    world_resume(7);
    for (uint32_t i = 0; i < 4; i++) {
        world_syscall(SYS_RECEIVE, W_ENDPOINT(0), 0, 0, 0, NULL);
        CHECK(current == T(7) && world_reg(7, R_HANDLE) == i + 1);
        CHECK(world_reg(7, R_W0) == 100 + i && t_state[T(i)] == THREAD_READY);
        CHECK(world_reg(i, R_TAG) == 0);
    }
    world_syscall(SYS_RECEIVE_TRY, W_ENDPOINT(0), 0, 0, 0, NULL);
    CHECK(TAG_CODE(world_reg(7, R_TAG)) == ERR_WAIT);
    world_syscall(SYS_SEND_TRY, W_BADGED(5), 0, 0, 0, NULL);
    CHECK(TAG_CODE(world_reg(7, R_TAG)) == ERR_WAIT);
    kit_check("served");
}

static void cancel_takes_only_its_badge(void)
{
    world();
    for (uint32_t i = 0; i < 6; i++) {
        world_resume(i);
        world_syscall(SYS_SEND, W_BADGED(i % 2), 0, 0, 0, NULL);
    }
    while (!endpoint_cancel(W_OBJECT(0), 1)) {
    }
    for (uint32_t i = 0; i < 6; i++) {
        CHECK((t_state[T(i)] == THREAD_SENDING) == (i % 2 == 1));
        CHECK(i % 2 == 1 || TAG_CODE(world_reg(i, R_TAG)) == ERR_CANCELLED);
    }
    CHECK(q_head[Q_SEND(W_OBJECT(0))] == T(1) && q_tail[Q_SEND(W_OBJECT(0))] == T(5));
    kit_check("cancelled");
}

static void signal_wakes_waiter_and_bound_receiver(void)
{
    world();
    CHECK(KIT_CALL(W_THREAD(1), INV_THREAD_BIND, ROLE_NOTIFICATION, W_NOTIFICATION(0)) == 0);
    world_resume(1);
    world_syscall(SYS_RECEIVE, W_ENDPOINT(0), W_REPLY(1), 0, 0, NULL);
    world_resume(2);
    world_syscall(SYS_RECEIVE, W_NOTIFICATION(1), 0, 0, 0, NULL);
    CHECK(current == NIL);
    world_resume(0);
    world_syscall(SYS_SEND, W_SIGNAL(0), 0, 0, 0, NULL);
    CHECK(t_state[T(1)] == THREAD_READY && world_reg(1, R_HANDLE) == 1);
    CHECK(TAG_LABEL(world_reg(1, R_TAG)) == LABEL_SIGNAL && r_thread[W_OBJECT(1)] == NIL);
    world_syscall(SYS_SEND, W_SIGNAL(1), 0, 0, 0, NULL);
    CHECK(t_state[T(2)] == THREAD_READY && world_reg(2, R_HANDLE) == 2);
    world_syscall(SYS_SEND, W_SIGNAL(1), 0, 0, 0, NULL);
    world_syscall(SYS_SEND, W_SIGNAL(1), 0, 0, 0, NULL);
    CHECK(n_word[W_OBJECT(1)] == 2);
    world_syscall(SYS_RECEIVE_TRY, W_NOTIFICATION(1), 0, 0, 0, NULL);
    CHECK(world_reg(0, R_HANDLE) == 2 && n_word[W_OBJECT(1)] == 0);
    kit_check("signalled");
}

static void higher_priority_runs_first(void)
{
    server_waits();
    CHECK(KIT_CALL(W_THREAD(2), INV_THREAD_PRIORITY, 30) == 0);
    world_resume(2);
    CHECK(current == T(2));
    world_syscall(SYS_RECEIVE, W_NOTIFICATION(0), 0, 0, 0, NULL);
    CHECK(current == T(0));
    world_syscall(SYS_SEND, W_SIGNAL(0), 0, 0, 0, NULL);
    CHECK(current == T(2) && q_head[Q_READY(10)] == T(0));
    world_syscall(SYS_YIELD, 0, 0, 0, 0, NULL);
    CHECK(current == T(2));
    CHECK(KIT_CALL(W_THREAD(2), INV_THREAD_PRIORITY, 10) == 0);
    world_syscall(SYS_YIELD, 0, 0, 0, 0, NULL);
    CHECK(current == T(0) && q_tail[Q_READY(10)] == T(2));
    kit_check("priorities");
}

static void foreign_call_is_a_message(void)
{
    server_waits();
    CHECK(KIT_CALL(W_THREAD(0), INV_THREAD_BIND, ROLE_FAULT, W_BADGED(3)) == 0);
    uint64_t *reg = t_reg + T(0) * T_REGS;
    for (uint32_t r = R_W0; r <= R_RFLAGS; r++) {
        reg[r] = 100 + r;
    }
    reg[R_TAG] = 39;
    reg[R_FULL] = 0;
    entry_syscall();
    CHECK(current == T(1) && t_context[T(1)] == T(0));
    CHECK(world_reg(1, R_TAG) == TAG(0, LABEL_FAULT + FAULT_SYSCALL, 10, 0));
    CHECK(world_reg(1, R_HANDLE) == 4 && world_reg(1, R_W0) == 39);
    CHECK(world_reg(1, R_W1) == 100 + R_W0 && world_reg(1, R_W6) == 100 + R_W5);
    CHECK(world_reg(1, R_W7) == 100 + R_RIP && world_reg(1, R_W8) == 100 + R_RSP);
    world_syscall(SYS_REPLY_RECEIVE, W_ENDPOINT(0), W_REPLY(1), 0, WORDS(4711));
    CHECK(current == T(0) && world_reg(0, R_TAG) == 4711 && reg[R_FULL] == 0);
    CHECK(reg[R_W0] == 100 + R_W0 && reg[R_RIP] == 100 + R_RIP && t_fault[T(0)] == 0);
    entry_fault(14, 6, 0xdead000);
    CHECK(current == T(1) && world_reg(1, R_W0) == 14 && world_reg(1, R_W1) == 0xdead000);
    CHECK(world_reg(1, R_TAG) == TAG(0, LABEL_FAULT + FAULT_PAGE, 10, 0));
    world_syscall(SYS_REPLY_RECEIVE, W_ENDPOINT(0), W_REPLY(1), 0,
                  WORDS(0, 0, 0, 0, 0, 0, 0, 0x1234, 0x5678));
    CHECK(current == T(0) && reg[R_RIP] == 0x1234 && reg[R_RSP] == 0x5678 && reg[R_FULL] == 1);
    CHECK(reg[R_RFLAGS] == 100 + R_RFLAGS && reg[R_TAG] == 4711);
    entry_fault(14, 6, 0xdead000);
    world_syscall(SYS_REPLY_RECEIVE, W_ENDPOINT(0), W_REPLY(1), 1, 0, NULL);
    CHECK(current == NIL && t_state[T(0)] == THREAD_STOPPED && t_context[T(0)] == T(0));
    kit_check("faults");
}

static void without_handler_a_fault_stops(void)
{
    world();
    world_resume(0);
    entry_fault(6, 0, 0);
    CHECK(current == NIL && t_state[T(0)] == THREAD_STOPPED);
    world_resume(0);
    CHECK(current == T(0));
}

static void budget_is_enforced(void)
{
    world();
    CHECK(KIT_CALL(W_CONTEXT(0), INV_CONTEXT_CONFIGURE, 100000, 400000) == 0);
    CHECK(KIT_CALL(W_THREAD(0), INV_THREAD_PRIORITY, 20) == 0);
    world_resume(0);
    world_resume(1);
    uint64_t mine = 0;
    for (uint32_t k = 0; k < 4000; k++) {
        mine += current == T(0) ? 1000 : 0;
        world_time(1000);
    }
    CHECK(mine >= 990000 && mine <= 1010000);
    CHECK(KIT_CALL(W_CONTEXT(0), INV_CONTEXT_CONSUMED) == 0 && kit_word[0] >= 990000);
    kit_check("budget");
}

static void equal_threads_take_turns(void)
{
    world();
    world_resume(0);
    world_resume(1);
    world_resume(2);
    uint64_t had[W_OBJECT(W_THREADS)] = {0};
    for (uint32_t k = 0; k < 9000; k++) {
        had[current]++;
        world_time(1000);
    }
    CHECK(had[T(0)] == 3000 && had[T(1)] == 3000 && had[T(2)] == 3000);
}

static void end_of_lent_time_is_told(void)
{
    server_waits();
    CHECK(KIT_CALL(W_CONTEXT(0), INV_CONTEXT_CONFIGURE, 100000, 400000) == 0);
    CHECK(KIT_CALL(W_THREAD(1), INV_THREAD_BIND, ROLE_TIMEOUT, W_ENDPOINT(1)) == 0);
    world_resume(2);
    world_syscall(SYS_YIELD, 0, 0, 0, 0, NULL);
    CHECK(current == T(2));
    world_syscall(SYS_RECEIVE, W_ENDPOINT(1), W_REPLY(2), 0, 0, NULL);
    CHECK(current == T(0));
    world_syscall(SYS_CALL, W_BADGED(0), 0, 7, 0, NULL);
    CHECK(current == T(1));
    t_reg[T(1) * T_REGS + 23] = 9; /* the code of an earlier fault */
    world_time(200000);
    CHECK(current == T(2) && TAG_LABEL(world_reg(2, R_TAG)) == LABEL_FAULT + FAULT_TIME);
    CHECK(world_reg(2, R_W0) == c_used[T(0)] && world_reg(2, R_W1) == c_time0[T(0)]);
    CHECK(world_reg(2, R_W0) >= 100000 && world_reg(2, R_W1) > 200000 && world_reg(2, R_W2) == 0);
    CHECK(t_state[T(1)] == THREAD_HANDLED && t_context[T(1)] == T(0));
    /* The handler answers the client in the server's place: the time returns. */
    world_syscall(SYS_SEND, W_REPLY(1), 0, 5, 0, NULL);
    CHECK(t_state[T(0)] == THREAD_READY && t_context[T(0)] == T(0));
    CHECK(world_reg(0, R_TAG) == TAG(0, 5, 0, 0) && t_queue[T(0)] == NIL);
    world_syscall(SYS_RECEIVE, W_NOTIFICATION(3), 0, 0, 0, NULL);
    CHECK(current == NIL);
    world_time(250000);
    CHECK(current == T(0));
    kit_check("time-out");
}

static void reply_object_ends(void)
{
    server_waits();
    world_syscall(SYS_CALL, W_BADGED(0), 0, 7, 0, NULL);
    CHECK(current == T(1));
    CHECK(KIT_FINISH(KIT_CNODE, INV_CNODE_DELETE, W_REPLY(1)) == 0);
    CHECK(t_state[T(0)] == THREAD_READY && t_context[T(0)] == T(0) && t_context[T(1)] == NIL);
    CHECK(TAG_CODE(world_reg(0, R_TAG)) == ERR_CANCELLED);
    schedule();
    CHECK(current == T(0));
    kit_check("reply ended");
}

static void server_ends(void)
{
    server_waits();
    world_syscall(SYS_CALL, W_BADGED(0), 0, 7, 0, NULL);
    CHECK(KIT_FINISH(KIT_CNODE, INV_CNODE_DELETE, W_THREAD(1)) == 0);
    schedule();
    CHECK(current == NIL && c_thread[T(0)] == NIL && t_state[T(0)] == THREAD_ANSWER);
    CHECK(KIT_FINISH(KIT_CNODE, INV_CNODE_DELETE, W_REPLY(1)) == 0);
    schedule();
    CHECK(current == T(0) && t_context[T(0)] == T(0));
    kit_check("server ended");
}

static void suspended_caller_gets_its_time_back(void)
{
    server_waits();
    world_syscall(SYS_CALL, W_BADGED(0), 0, 7, 0, NULL);
    CHECK(KIT_CALL(W_THREAD(0), INV_THREAD_SUSPEND) == 0);
    CHECK(t_state[T(0)] == THREAD_STOPPED && t_context[T(1)] == T(0));
    CHECK(KIT_CALL(W_THREAD(0), INV_THREAD_RESUME) == 0);
    schedule();
    CHECK(current == T(1) && t_queue[T(0)] == NIL);
    world_syscall(SYS_REPLY_RECEIVE, W_ENDPOINT(0), W_REPLY(1), 3, 0, NULL);
    CHECK(current == T(0) && t_context[T(0)] == T(0));
    CHECK(TAG_CODE(world_reg(0, R_TAG)) == ERR_CANCELLED);
    kit_check("suspended caller");
}

static void endpoint_ends(void)
{
    server_waits();
    CHECK(KIT_FINISH(KIT_CNODE, INV_CNODE_DELETE, W_ENDPOINT(0)) == 0);
    CHECK(t_state[T(1)] == THREAD_READY && TAG_CODE(world_reg(1, R_TAG)) == ERR_CANCELLED);
    CHECK(r_thread[W_OBJECT(1)] == NIL);
    kit_check("endpoint ended");
}

static void context_ends(void)
{
    server_waits();
    world_syscall(SYS_CALL, W_BADGED(0), 0, 7, 0, NULL);
    CHECK(KIT_FINISH(KIT_CNODE, INV_CNODE_DELETE, W_CONTEXT(0)) == 0);
    schedule();
    CHECK(current == NIL && t_context[T(1)] == NIL && c_top[T(0)] == NIL);
    kit_check("context ended");
}

static void run(void **state)
{
    assert_true(kit_fork((void (*)(void))(uintptr_t)*state));
}

#define TEST(name)                                                                                 \
    {                                                                                              \
#name, run, NULL, NULL, (void *)(uintptr_t)name                                            \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bits),
        TEST(call_lends_and_answer_returns),
        TEST(long_message_through_buffers),
        TEST(capabilities_travel_with_grant),
        TEST(senders_are_served_in_order),
        TEST(cancel_takes_only_its_badge),
        TEST(signal_wakes_waiter_and_bound_receiver),
        TEST(higher_priority_runs_first),
        TEST(foreign_call_is_a_message),
        TEST(without_handler_a_fault_stops),
        TEST(budget_is_enforced),
        TEST(equal_threads_take_turns),
        TEST(end_of_lent_time_is_told),
        TEST(reply_object_ends),
        TEST(server_ends),
        TEST(suspended_caller_gets_its_time_back),
        TEST(endpoint_ends),
        TEST(context_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
