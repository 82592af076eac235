/* The kit of the tests that run on the kernel. One program, the root task, runs them one after
 * another; each is a function in a file of its noun, named for the property that it shows:
 *
 *   TEST(endpoint_passes_ten_words)
 *   {
 *       struct child c;
 *       child_new(&c, echo, 7, CHILD_SPACE);   another thread, in an address space of its own
 *       child_give(&c, 8, endpoint, RIGHT_READ);
 *       child_run(&c);
 *       CHECK(child_result(&c) == 7);
 *   }
 *
 * A test observes from another address space, or in the kernel's tables (kit_sum, kit_entry). What
 * it made with `kit` is deleted when it returns. A test that does not come back ends the run:
 * tools/native has a deadline.
 */
#ifndef USER_KIT_H
#define USER_KIT_H

#include "arch/regs.h"
#include "boot.h"

extern struct holdings kit; /* what the tests make objects from */
extern struct space kit_space;

struct test {
    const char *name;
    void (*run)(void);
};

#define TEST(property)                                                                             \
    static void property(void);                                                                    \
    __attribute__((used, section("tests"))) static const struct test property##_entry = {          \
        #property, property};                                                                      \
    static void property(void)

/* Ends the test as failed when the condition is false. Only in the test's own function. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            kit_failed(__FILE__, __LINE__, #condition);                                            \
            return;                                                                                \
        }                                                                                          \
    } while (0)
/* The same for two numbers, which are shown. */
#define CHECK_EQUAL(a, b)                                                                          \
    do {                                                                                           \
        uint64_t kit_a = (uint64_t)(a), kit_b = (uint64_t)(b);                                     \
        if (kit_a != kit_b) {                                                                      \
            kit_failed_numbers(__FILE__, __LINE__, #a " == " #b, kit_a, kit_b);                    \
            return;                                                                                \
        }                                                                                          \
    } while (0)

void kit_failed(const char *file, int line, const char *what);
void kit_failed_numbers(const char *file, int line, const char *what, uint64_t a, uint64_t b);

/* Children. In its cnode a child has these handles; tests give it others from CHILD_FREE on. */
#define CHILD_CNODE 1 /* its own cnode */
#define CHILD_DONE  2 /* endpoint that takes its result */
#define CHILD_PARK  3 /* where it waits when its body has returned */
#define CHILD_MONITOR                                                                              \
    BOOT_MONITOR /* for print; where the tests have it, so that threads in their space agree */
#define CHILD_FREE  8
#define CHILD_SLOTS 64

#define CHILD_SPACE                                                                                \
    1u                  /* in an address space of its own, with copies of the data as they are now \
                         */
#define CHILD_THREAD 0u /* in the tests' own */

struct child {
    uint64_t cnode, thread, context, done, fault, reply;
    struct space space; /* of CHILD_SPACE */
    bool foreign;
};

/* Makes it, with all time, priority KIT_PRIORITY and a fault endpoint of its own (c->fault). It
 * does not run yet. */
#define KIT_PRIORITY  20u              /* of children; the tests run at a higher one */
#define TEST_PRIORITY (PRIORITIES / 2) /* that of the tests, as the root task is started */
void child_new(struct child *c, uint64_t (*body)(uint64_t), uint64_t argument, unsigned flags);
void child_give(struct child *c, uint64_t slot, uint64_t handle, uint64_t rights);
void child_run(struct child *c);
/* Waits until the body has returned; its result. */
uint64_t child_result(struct child *c);
/* Waits for a fault of the child; the message. It waits for an answer through c->reply. */
void child_fault(struct child *c, struct message *m);
/* Answers the last fault so that the child goes on, with the words as the kernel wants them. */
void child_answer(struct child *c, struct message *m, unsigned words);

/* A page of the tests' own space, mapped at an address of its own. */
void *kit_page(uint64_t frame, uint64_t rights);

/* Before the first test; before and after each: what was made in between is deleted. */
struct kit_state {
    struct mark mark;
    struct space space;
};
void kit_prepare(void);
void kit_begin(struct kit_state *s);
void kit_end(const struct kit_state *s);

/* The kernel's tables: one entry, and a sum over the first entries of all tables that differs when
 * one of them does. */
uint64_t kit_entry(uint64_t field, uint64_t index);
uint64_t kit_sum(void);

static inline uint64_t kit_now(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

#endif
