/* Revoking much, while others run and resist. */
#include "objects.h"

#define MANY 1000u

/* Counts in a shared word for ever. */
static uint64_t count(uint64_t address)
{
    volatile uint64_t *word = (volatile uint64_t *)address;
    while (*word != UINT64_MAX) {
        ++*word;
    }
    return 0;
}

TEST(revoke_of_a_thousand_takes_slices)
{
    uint64_t e = object_new(&kit, OBJ_ENDPOINT), first = slots_new(&kit, MANY);
    for (uint64_t i = 0; i < MANY; i++) {
        CHECK_EQUAL(copy_to(first + i, e, RIGHTS_ALL), 0);
    }
    unsigned calls = 1;
    while (cnode_revoke(kit.cnode, e) == ERR_AGAIN) {
        calls++;
    }
    CHECK(calls >= MANY / REVOKE_SLICE);
    CHECK_EQUAL(kit_entry(FIELD_S_FIRST, slot_of(e)), 0);
    for (uint64_t i = 0; i < MANY; i++) {
        CHECK_EQUAL(look(first + i, LOOK_TYPE), 0);
    }
}

TEST(revoke_of_a_long_chain_takes_two_steps_each)
{
    uint64_t e = object_new(&kit, OBJ_ENDPOINT), first = slots_new(&kit, MANY);
    for (uint64_t i = 0; i < MANY; i++) { /* each from the one before */
        CHECK_EQUAL(copy_to(first + i, i == 0 ? e : first + i - 1, RIGHTS_ALL), 0);
    }
    unsigned calls = 1;
    while (cnode_revoke(kit.cnode, e) == ERR_AGAIN) {
        calls++;
    }
    CHECK(calls <= 2 * MANY / REVOKE_SLICE + 1);
    CHECK_EQUAL(look(first + MANY - 1, LOOK_TYPE), 0);
}

TEST(revoke_lets_others_run_between_its_slices)
{
    static struct child c;
    uint64_t e = object_new(&kit, OBJ_ENDPOINT), first = slots_new(&kit, MANY);
    volatile uint64_t *page = kit_page(frame_new(&kit), RIGHT_READ | RIGHT_WRITE);
    child_new(&c, count, (uint64_t)page, CHILD_THREAD);
    for (uint64_t i = 0; i < MANY; i++) {
        CHECK_EQUAL(copy_to(first + i, e, RIGHTS_ALL), 0);
    }
    CHECK_EQUAL(thread_priority(c.thread, 63),
                0); /* it would have all the time, but for its budget */
    uint64_t tick = boot_info()->ticks_per_us;
    CHECK_EQUAL(context_configure(c.context, 50 * tick, 100 * tick), 0);
    child_run(&c);
    uint64_t seen = page[0];
    unsigned moved = 0;
    while (cnode_revoke(kit.cnode, e) == ERR_AGAIN) {
        moved += page[0] != seen;
        seen = page[0];
    }
    CHECK(moved > 0);
    CHECK_EQUAL(kit_entry(FIELD_S_FIRST, slot_of(e)), 0);
}

/* Makes copies from the capability at CHILD_FREE, and of these, as fast as it can. */
static uint64_t keep_minting(uint64_t address)
{
    uint64_t slot = CHILD_FREE + 1;
    while (slot != 0) {
        unsigned error = cnode_copy(CHILD_CNODE, slot, CHILD_CNODE, CHILD_FREE, RIGHTS_ALL);
        *(volatile uint64_t *)address += error == 0;
        if (error == ERR_SLOT &&
            cnode_copy(CHILD_CNODE, CHILD_FREE + 1, CHILD_CNODE, CHILD_FREE, RIGHTS_ALL) != 0) {
            (void)cnode_delete(CHILD_CNODE, slot);
        }
        slot = slot + 1 < CHILD_SLOTS ? slot + 1 : CHILD_FREE + 1;
    }
    return 0;
}

TEST(revoke_ends_against_a_thread_that_keeps_copying)
{
    static struct child c;
    struct message m = {.extra = 0};
    uint64_t e = object_new(&kit, OBJ_ENDPOINT), first = slots_new(&kit, MANY);
    volatile uint64_t *page = kit_page(frame_new(&kit), RIGHT_READ | RIGHT_WRITE);
    child_new(&c, keep_minting, (uint64_t)page, CHILD_THREAD);
    child_give(&c, CHILD_FREE, e, RIGHTS_ALL);
    for (uint64_t i = 0; i < MANY; i++) {
        CHECK_EQUAL(copy_to(first + i, e, RIGHTS_ALL), 0);
    }
    child_races(&c);
    child_run(&c);
    while (page[0] < 100) {
        message_pass(&m, SYS_YIELD, 0, 0, 0, 0);
    }
    CHECK_EQUAL(revoke(e), 0);
    CHECK_EQUAL(kit_entry(FIELD_S_FIRST, slot_of(e)), 0);
    for (unsigned i = 0; i < 1000; i++) { /* it counts what it got before */
        message_pass(&m, SYS_YIELD, 0, 0, 0, 0);
    }
    uint64_t made = page[0];
    for (unsigned i = 0; i < 1000; i++) { /* it goes on, and gets nothing */
        message_pass(&m, SYS_YIELD, 0, 0, 0, 0);
    }
    CHECK_EQUAL(page[0], made);
}

TEST(revoke_of_an_untyped_ends_all_kinds_of_objects)
{
    static struct child c;
    uint64_t answer[MSG_WORDS_REGS];
    uint64_t u = untyped_new(&kit, KIND_THREAD, 1), t = slot_new(&kit);
    volatile uint64_t *page = kit_page(frame_new(&kit), RIGHT_READ | RIGHT_WRITE);
    child_new(&c, count, (uint64_t)page, CHILD_THREAD);
    CHECK_EQUAL(untyped_retype(u, OBJ_THREAD, 0, 0, 1, kit.cnode, t), 0);
    CHECK_EQUAL(thread_bind(t, ROLE_CNODE, c.cnode), 0);
    CHECK_EQUAL(thread_bind(t, ROLE_SPACE, BOOT_SPACE), 0);
    CHECK_EQUAL(thread_bind(t, ROLE_CONTEXT, c.context), ERR_BUSY);
    CHECK_EQUAL(thread_bind(c.thread, ROLE_CONTEXT, 0), 0);
    CHECK_EQUAL(thread_bind(t, ROLE_CONTEXT, c.context), 0);
    CHECK_EQUAL(revoke(u), 0);
    CHECK_EQUAL(thread_read(t, R_W0, 1, answer), ERR_HANDLE);
    CHECK_EQUAL(thread_bind(c.thread, ROLE_CONTEXT, c.context), 0); /* free again */
}

TEST(revoke_of_a_cnode_unbinds_its_thread)
{
    static struct child c;
    child_new(&c, count, 0, CHILD_THREAD);
    uint64_t hidden = HOME_SLOTS + look(c.thread, LOOK_OBJECT) * THREAD_SLOTS + ROLE_CNODE;
    CHECK_EQUAL(kit_entry(FIELD_S_OBJECT, hidden), look(c.cnode, LOOK_OBJECT));
    CHECK_EQUAL(revoke(c.cnode), 0);
    CHECK_EQUAL(kit_entry(FIELD_S_TYPE, hidden), 0);
}

TEST(revoke_of_a_notification_unbinds_its_line)
{
    uint64_t n = object_new(&kit, OBJ_NOTIFICATION), i = slot_new(&kit);
    CHECK_EQUAL(untyped_retype(kit.range[KIND_IRQ].untyped, OBJ_IRQ, 0, 10, 1, kit.cnode, i), 0);
    CHECK_EQUAL(irq_bind(i, n), 0);
    CHECK_EQUAL(irq_bind(i, n), ERR_BUSY);
    CHECK_EQUAL(revoke(n), 0);
    CHECK_EQUAL(irq_ack(i), ERR_ABSENT);
    CHECK_EQUAL(irq_bind(i, n), 0);
}
