/* Frames, page tables and address spaces. */
#include "arch/arch.h"
#include "objects.h"

#define FAR        0x700000000000ULL /* an address that nothing else of a child uses */
#define PAGE_WRITE 2u
#define RW         (RIGHT_READ | RIGHT_WRITE)

static uint64_t load(uint64_t address)
{
    return *(volatile uint64_t *)address;
}

static uint64_t store(uint64_t address)
{
    *(volatile uint64_t *)address = 0x77;
    return 1;
}

static uint64_t jump(uint64_t address)
{
    return ((uint64_t(*)(void))address)();
}

/* Adds one to a word for ever, until it cannot. */
static uint64_t count(uint64_t address)
{
    volatile uint64_t *word = (volatile uint64_t *)address;
    while (*word != UINT64_MAX) {
        ++*word;
    }
    return 0;
}

/* A child in a space of its own that has the frame at FAR, and has begun. */
static void child_with(struct child *c, uint64_t (*body)(uint64_t), uint64_t frame, uint64_t rights)
{
    child_new(c, body, FAR, CHILD_SPACE);
    unsigned error = space_map(&kit, &c->space, FAR, frame, rights);
    if (error != 0) {
        give_up("map a child's frame", error);
    }
    child_run(c);
}

static bool faulted(struct child *c, uint64_t address, uint64_t write)
{
    struct message m = {.extra = 0};
    child_fault(c, &m);
    return TAG_LABEL(m.tag) == LABEL_FAULT + FAULT_PAGE && m.word[1] == address &&
           (m.word[2] & PAGE_WRITE) == write;
}

TEST(frame_is_shared_between_spaces)
{
    static struct child c;
    uint64_t f = frame_new(&kit);
    volatile uint64_t *page = kit_page(copy_new(&kit, f, RIGHTS_ALL), RW);
    child_with(&c, store, f, RW);
    CHECK_EQUAL(child_result(&c), 1);
    CHECK_EQUAL(page[0], 0x77);
}

TEST(frame_mapped_for_reading_is_not_written)
{
    static struct child c;
    uint64_t f = frame_new(&kit);
    volatile uint64_t *page = kit_page(copy_new(&kit, f, RIGHTS_ALL), RW);
    child_with(&c, store, f, RIGHT_READ);
    CHECK(faulted(&c, FAR, PAGE_WRITE));
    CHECK_EQUAL(page[0], 0);
}

TEST(frame_capability_limits_its_mapping)
{
    uint64_t f = copy_new(&kit, frame_new(&kit), RIGHT_READ), t = table_new(&kit, 1);
    uint64_t sum = kit_sum();
    CHECK_EQUAL(frame_map(f, t, 1, RW), ERR_RIGHT);
    CHECK_EQUAL(frame_map(f, t, 1, RIGHT_READ | RIGHT_EXECUTE), ERR_RIGHT);
    CHECK_EQUAL(kit_sum(), sum);
    CHECK_EQUAL(frame_map(f, t, 1, RIGHT_READ), 0);
}

TEST(frame_is_never_written_and_executed_by_one_mapping)
{
    uint64_t f = frame_new(&kit), t = table_new(&kit, 1);
    CHECK_EQUAL(frame_map(f, t, 1, RIGHT_READ | RIGHT_WRITE | RIGHT_EXECUTE), ERR_EXCLUSIVE);
    CHECK_EQUAL(frame_map(f, t, 1, RIGHT_READ | RIGHT_EXECUTE), 0);
}

TEST(frame_mapped_for_executing_runs)
{
    static struct child c;
    uint64_t f = frame_new(&kit);
    uint8_t *page = kit_page(copy_new(&kit, f, RIGHTS_ALL), RW);
    static const uint8_t code[] = {0xb8, 0x2a, 0, 0, 0, 0xc3}; /* returns 42 */
    memcpy(page, code, sizeof(code));
    child_with(&c, jump, f, RIGHT_READ | RIGHT_EXECUTE);
    CHECK_EQUAL(child_result(&c), 42);
}

TEST(frame_mapped_for_reading_is_not_executed)
{
    static struct child c;
    child_with(&c, jump, frame_new(&kit), RIGHT_READ);
    CHECK(faulted(&c, FAR, 0));
}

TEST(frame_capability_is_mapped_once)
{
    uint64_t f = frame_new(&kit), t = table_new(&kit, 1), sum;
    CHECK_EQUAL(frame_map(f, t, 1, RW), 0);
    sum = kit_sum();
    CHECK_EQUAL(frame_map(f, t, 2, RW), ERR_BUSY);
    CHECK_EQUAL(kit_sum(), sum);
    CHECK_EQUAL(frame_map(copy_new(&kit, f, RIGHTS_ALL), t, 2, RW), 0); /* a copy, once more */
}

TEST(frame_entry_is_used_once)
{
    uint64_t t = table_new(&kit, 1);
    CHECK_EQUAL(frame_map(frame_new(&kit), t, 1, RW), 0);
    CHECK_EQUAL(frame_map(frame_new(&kit), t, 1, RW), ERR_BUSY);
    CHECK_EQUAL(frame_map(frame_new(&kit), t, TABLE_ENTRIES, RW), ERR_RANGE);
}

TEST(frame_rights_of_a_mapping_are_changed_in_place)
{
    static struct child c;
    struct message m = {.extra = 0};
    uint64_t f = frame_new(&kit);
    child_with(&c, store, f, RIGHT_READ);
    child_fault(&c, &m);
    CHECK_EQUAL(frame_map(f, space_table(&kit, &c.space, 1, FAR), 0, RW), 0);
    child_answer(&c, &m, 0);
    CHECK_EQUAL(child_result(&c), 1);
}

TEST(frame_unmapped_is_gone_at_once)
{
    static struct child c;
    uint64_t f = frame_new(&kit);
    volatile uint64_t *page = kit_page(copy_new(&kit, f, RIGHTS_ALL), RW);
    child_with(&c, count, f, RW);
    child_races(&c);
    while (page[0] < 1000) {
    }
    CHECK_EQUAL(frame_unmap(f), 0);
    uint64_t seen = page[0];
    CHECK(faulted(&c, FAR, 0) || page[0] == seen); /* its next access, a load or the store */
    CHECK_EQUAL(page[0], seen);
    CHECK_EQUAL(frame_unmap(f), ERR_ABSENT);
}

TEST(frame_deleted_is_gone_from_every_space)
{
    static struct child c[2];
    uint64_t f = frame_new(&kit);
    for (unsigned i = 0; i < 2; i++) {
        child_new(&c[i], load, FAR, CHILD_SPACE);
        CHECK_EQUAL(space_map(&kit, &c[i].space, FAR, copy_new(&kit, f, RIGHTS_ALL), RIGHT_READ),
                    0);
    }
    CHECK_EQUAL(delete (f), 0);
    for (unsigned i = 0; i < 2; i++) {
        child_run(&c[i]);
        CHECK(faulted(&c[i], FAR, 0));
    }
}

TEST(frame_moved_stays_mapped)
{
    static struct child c;
    uint64_t f = frame_new(&kit), to = slot_new(&kit);
    child_new(&c, load, FAR, CHILD_SPACE);
    CHECK_EQUAL(space_map(&kit, &c.space, FAR, f, RIGHT_READ), 0);
    CHECK_EQUAL(move_to(to, f), 0);
    CHECK(look(to, LOOK_TABLE) != 0);
    child_run(&c);
    CHECK_EQUAL(child_result(&c), 0);
    CHECK_EQUAL(frame_unmap(to), 0);
}

TEST(frame_copy_is_not_mapped)
{
    uint64_t f = frame_new(&kit), t = table_new(&kit, 1);
    CHECK_EQUAL(frame_map(f, t, 1, RW), 0);
    uint64_t c = copy_new(&kit, f, RIGHTS_ALL);
    CHECK_EQUAL(look(c, LOOK_TABLE), 0);
    CHECK_EQUAL(frame_unmap(c), ERR_ABSENT);
    CHECK_EQUAL(look(f, LOOK_ENTRY), 1);
}

TEST(frame_large_maps_two_megabytes)
{
    static struct child c;
    uint64_t f = large_frame_new(&kit);
    child_new(&c, store, FAR + 0x1ff000, CHILD_SPACE);
    CHECK_EQUAL(space_map_large(&kit, &c.space, FAR, f, RW), 0);
    child_run(&c);
    CHECK_EQUAL(child_result(&c), 1);
    uint64_t last = (look(f, LOOK_OBJECT) + 511) * 512;
    CHECK_EQUAL(kit_entry(FIELD_MEMORY, last), 0x77);
}

TEST(frame_large_fits_a_table_of_level_2_only)
{
    uint64_t f = large_frame_new(&kit), small = frame_new(&kit), t1 = table_new(&kit, 1),
             t2 = table_new(&kit, 2);
    CHECK_EQUAL(frame_map(f, t1, 0, RW), ERR_TYPE);
    CHECK_EQUAL(frame_map(small, t2, 0, RW), ERR_TYPE);
    CHECK_EQUAL(frame_map(f, t2, 0, RW), 0);
    CHECK_EQUAL(frame_map(small, t1, 0, RW), 0);
}

TEST(frame_entry_says_what_the_capability_does)
{
    uint64_t f = frame_new(&kit), t = table_new(&kit, 1), number[MSG_WORDS_REGS];
    CHECK_EQUAL(frame_map(f, t, 9, RIGHT_READ), 0);
    CHECK_EQUAL(frame_address(f, number), 0);
    uint64_t entry = kit_entry(FIELD_MEMORY, look(t, LOOK_OBJECT) * 512 + 9);
    CHECK_EQUAL(entry, number[0] * 4096 + ARCH_PTE_PRESENT + ARCH_PTE_USER + ARCH_PTE_NX);
    CHECK_EQUAL(frame_unmap(f), 0);
    CHECK_EQUAL(kit_entry(FIELD_MEMORY, look(t, LOOK_OBJECT) * 512 + 9), 0);
}

TEST(table_goes_into_the_level_above_only)
{
    uint64_t s = object_new(&kit, OBJ_SPACE),
             t[4] = {0, table_new(&kit, 1), table_new(&kit, 2), table_new(&kit, 3)};
    uint64_t sum = kit_sum();
    CHECK_EQUAL(table_map(t[1], s, 0), ERR_TYPE);
    CHECK_EQUAL(table_map(t[2], s, 0), ERR_TYPE);
    CHECK_EQUAL(table_map(t[3], t[2], 0), ERR_TYPE);
    CHECK_EQUAL(table_map(t[2], t[2], 0), ERR_TYPE); /* no table leads to itself */
    CHECK_EQUAL(table_map(t[1], t[3], 0), ERR_TYPE);
    CHECK_EQUAL(table_map(t[1], frame_new(&kit), 0), ERR_TYPE);
    CHECK_EQUAL(delete (kit.free_slot - 1), 0);
    (void)sum;
    CHECK_EQUAL(table_map(t[3], s, 255), 0);
    CHECK_EQUAL(table_map(t[2], t[3], 511), 0);
    CHECK_EQUAL(table_map(t[1], t[2], 511), 0);
}

TEST(table_never_reaches_the_kernel_half)
{
    uint64_t s = object_new(&kit, OBJ_SPACE), t = table_new(&kit, 3), sum = kit_sum();
    CHECK_EQUAL(table_map(t, s, 256), ERR_RANGE);
    CHECK_EQUAL(table_map(t, s, 511), ERR_RANGE);
    CHECK_EQUAL(kit_sum(), sum);
}

TEST(table_unmapped_takes_its_pages)
{
    static struct child c;
    child_new(&c, load, FAR, CHILD_SPACE);
    CHECK_EQUAL(space_map(&kit, &c.space, FAR, frame_new(&kit), RIGHT_READ), 0);
    CHECK_EQUAL(table_unmap(space_table(&kit, &c.space, 1, FAR)), 0);
    child_run(&c);
    CHECK(faulted(&c, FAR, 0));
}

TEST(table_deleted_unmaps_what_it_held)
{
    uint64_t t = table_new(&kit, 1), f = frames_new(&kit, 100);
    for (uint64_t i = 0; i < 100; i++) {
        CHECK_EQUAL(frame_map(f + i, t, i * 5, RW), 0);
    }
    CHECK_EQUAL(cnode_delete(kit.cnode, t), ERR_AGAIN); /* in slices */
    CHECK_EQUAL(delete (t), 0);
    for (uint64_t i = 0; i < 100; i++) {
        CHECK_EQUAL(look(f + i, LOOK_TABLE), 0);
        CHECK_EQUAL(look(f + i, LOOK_TYPE), OBJ_FRAME);
    }
}

TEST(space_deleted_stops_its_threads)
{
    static struct child c;
    uint64_t f = frame_new(&kit);
    volatile uint64_t *page = kit_page(copy_new(&kit, f, RIGHTS_ALL), RW);
    child_with(&c, count, f, RW);
    struct message m = {.extra = 0};
    CHECK_EQUAL(delete (c.space.handle), 0);
    uint64_t seen = page[0];
    for (unsigned i = 0; i < 20; i++) {
        message_pass(&m, SYS_RECEIVE_TRY, receive_handle(c.done, 0), 0, 0, 0);
        message_pass(&m, SYS_YIELD, 0, 0, 0, 0);
    }
    CHECK_EQUAL(page[0], seen);
    CHECK_EQUAL(look(c.thread, LOOK_TYPE), OBJ_THREAD);
}

TEST(space_sees_nothing_of_another)
{
    static struct child c;
    static volatile uint64_t mine = 1; /* copied into the child's space when it is made */
    child_new(&c, load, (uint64_t)&mine, CHILD_SPACE);
    mine = 2;
    child_run(&c);
    CHECK_EQUAL(child_result(&c), 1);
}

TEST(device_address_and_frame_address_want_the_grant_right)
{
    uint64_t f = copy_new(&kit, frame_new(&kit), RW), answer[MSG_WORDS_REGS];
    CHECK_EQUAL(frame_address(f, answer), ERR_RIGHT);
}
