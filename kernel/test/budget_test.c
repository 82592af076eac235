/* No context gets more than its budget in any stretch of one period, whatever its threads do:
 * random budgets, priorities and system calls, in simulated time, against a log of who ran when.
 */
#include "test/world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define STEPS 40000u
#define LOG   200000u

struct stretch {
    uint32_t context;
    uint64_t begin;
    uint64_t end;
};

static struct stretch ran[LOG];
static uint32_t stretches;

/* Time passes in the running context until end, timers included. */
static void run_until(uint64_t end)
{
    while (host_clock < end) {
        uint64_t until = host_due > host_clock && host_due < end ? host_due : end;
        if (host_due <= host_clock) {
            entry_timer();
            continue;
        }
        if (running != NIL && stretches < LOG) {
            ran[stretches++] = (struct stretch){running, host_clock, until};
        }
        host_clock = until;
        if (host_due <= host_clock) {
            entry_timer();
        }
    }
}

/* What c used of the period before stretch n ended. */
static uint64_t used_before(uint32_t c, uint32_t n)
{
    uint64_t sum = 0;
    uint64_t end = ran[n].end;
    uint64_t begin = end > c_period[c] ? end - c_period[c] : 0;
    for (uint32_t k = n + 1; k > 0 && ran[k - 1].end > begin; k--) {
        if (ran[k - 1].context == c) {
            sum += ran[k - 1].end - (ran[k - 1].begin > begin ? ran[k - 1].begin : begin);
        }
    }
    return sum;
}

static void check_windows(void)
{
    uint32_t worst = 0;
    for (uint32_t n = 0; n < stretches; n++) {
        uint32_t c = ran[n].context;
        uint64_t used = used_before(c, n);
        uint32_t share = (uint32_t)(used * 1000 / c_budget[c]);
        worst = share > worst ? share : worst;
        if (used > c_budget[c]) {
            fprintf(stderr, "context %u used %llu of %llu at %llu\n", c, (unsigned long long)used,
                    (unsigned long long)c_budget[c], (unsigned long long)ran[n].end);
            abort();
        }
    }
    printf("%u stretches, at most %u.%u per cent of a budget in one period\n", stretches,
           worst / 10, worst % 10);
}

static void random_budgets(void)
{
    for (uint32_t i = 0; i < W_THREADS; i++) {
        uint64_t period = 200000 + kit_random(1000000);
        uint64_t budget = CONTEXT_BUDGET_MIN + kit_random((uint32_t)(period / 2));
        if (KIT_CALL(W_CONTEXT(i), INV_CONTEXT_CONFIGURE, budget, period) != 0 ||
            KIT_CALL(W_THREAD(i), INV_THREAD_PRIORITY, 1 + kit_random(5)) != 0) {
            abort();
        }
    }
}

/* Servers 8 and 9 wait without time of their own; the others call, signal, wait and yield. */
static void any_window(void)
{
    (void)kit_seed();
    world();
    for (uint32_t i = 8; i < W_THREADS; i++) {
        world_resume(i);
        world_syscall(SYS_RECEIVE, W_ENDPOINT(i - 8), W_REPLY(i), 0, 0, NULL);
        world_passive(i);
    }
    random_budgets();
    for (uint32_t i = 0; i < 8; i++) {
        world_resume(i);
    }
    for (uint32_t k = 0; k < STEPS; k++) {
        run_until(host_clock + kit_random(kit_random(4) == 0 ? 400000 : 5000));
        if (current == NIL) {
            continue;
        }
        uint32_t i = current - W_OBJECT(0);
        uint32_t choice = kit_random(10);
        if (i >= 8) {
            world_syscall(SYS_REPLY_RECEIVE, W_ENDPOINT(i - 8), W_REPLY(i), 0, 0, NULL);
        } else if (choice < 4) {
            world_syscall(SYS_CALL, W_ENDPOINT(choice % 2), 0, 0, 0, NULL);
        } else if (choice < 6) {
            world_syscall(SYS_YIELD, 0, 0, 0, 0, NULL);
        } else if (choice < 9) {
            world_syscall(SYS_SEND, W_SIGNAL(kit_random(4)), 0, 0, 0, NULL);
        } else {
            world_syscall(SYS_RECEIVE, W_NOTIFICATION(i % 4), 0, 0, 0, NULL);
        }
        if (k % 64 == 0) {
            kit_check("budget");
        }
    }
    check_windows();
}

/* Alone, and always wanting to run, a context gets its whole share. */
static void whole_share(void)
{
    (void)kit_seed();
    world();
    random_budgets();
    world_resume(0);
    uint32_t c = W_OBJECT(0);
    for (uint32_t k = 0; k < STEPS; k++) {
        run_until(host_clock + 1 + kit_random(20000));
        if (current != NIL) {
            world_syscall(SYS_YIELD, 0, 0, 0, 0, NULL);
        }
    }
    uint64_t used = 0;
    for (uint32_t n = 0; n < stretches; n++) {
        used += ran[n].end - ran[n].begin;
    }
    uint64_t share = host_clock / c_period[c] * c_budget[c];
    fprintf(stderr, "used %llu of %llu\n", (unsigned long long)used, (unsigned long long)share);
    if (used < share / 100 * 99) {
        abort();
    }
    check_windows();
}

static void run(void **state)
{
    assert_true(kit_fork((void (*)(void))(uintptr_t)*state));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        {"any_window", run, NULL, NULL, (void *)(uintptr_t)any_window},
        {"whole_share", run, NULL, NULL, (void *)(uintptr_t)whole_share},
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
