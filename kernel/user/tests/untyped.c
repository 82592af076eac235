/* Untyped ranges: what is made of them, and that they come back. */
#include "objects.h"

#define PATTERN 0x5a5a5a5a5a5a5a5aULL

static const struct {
    uint8_t kind, type;
} made_of[] = {
    {KIND_SLOT, OBJ_CNODE},        {KIND_THREAD, OBJ_THREAD},
    {KIND_ENDPOINT, OBJ_ENDPOINT}, {KIND_NOTIFICATION, OBJ_NOTIFICATION},
    {KIND_REPLY, OBJ_REPLY},       {KIND_CONTEXT, OBJ_CONTEXT},
    {KIND_FRAME, OBJ_FRAME},
};
#define MADE (sizeof(made_of) / sizeof(made_of[0]))

/* One object, a cnode of 4 slots, at an offset of the range. */
static unsigned make_one(uint64_t u, uint8_t type, uint64_t at, uint64_t handle)
{
    bool range = type == OBJ_CNODE;
    return retype_whole(u, type, 0, range ? at * 4 : at, range ? 4 : 1, kit.cnode, handle);
}

TEST(untyped_makes_objects_where_it_is_told)
{
    uint64_t u = untyped_new(&kit, KIND_ENDPOINT, 8), e = slots_new(&kit, 3);
    CHECK_EQUAL(untyped_retype(u, OBJ_ENDPOINT, 0, 5, 3, kit.cnode, e), 0);
    for (uint64_t i = 0; i < 3; i++) {
        CHECK_EQUAL(look(e + i, LOOK_OBJECT), look(u, LOOK_OBJECT) + 5 + i);
    }
}

TEST(untyped_entry_in_use_is_refused_and_named)
{
    uint64_t u = untyped_new(&kit, KIND_ENDPOINT, 8), e = slots_new(&kit, 9);
    CHECK_EQUAL(untyped_retype(u, OBJ_ENDPOINT, 0, 5, 1, kit.cnode, e), 0);
    uint64_t sum = kit_sum(), word[MSG_WORDS_REGS] = {OBJ_ENDPOINT, 0, 2, 6, kit.cnode, e + 1};
    CHECK_EQUAL(kernel_invoke(u, INV_UNTYPED_RETYPE, 6, word), ERR_BUSY);
    CHECK_EQUAL(word[0], 3);
    CHECK_EQUAL(word[1], 5);
    CHECK_EQUAL(kit_sum(), sum);
}

TEST(untyped_full_slot_in_the_middle_makes_nothing)
{
    uint64_t u = untyped_new(&kit, KIND_ENDPOINT, 8), e = slots_new(&kit, 4);
    CHECK_EQUAL(copy_to(e + 2, u, RIGHTS_ALL), 0);
    uint64_t sum = kit_sum();
    CHECK_EQUAL(untyped_retype(u, OBJ_ENDPOINT, 0, 0, 4, kit.cnode, e), ERR_SLOT);
    CHECK_EQUAL(kit_sum(), sum);
}

TEST(untyped_with_children_is_copied_and_used)
{
    uint64_t u = untyped_new(&kit, KIND_ENDPOINT, 4), e = slots_new(&kit, 2);
    CHECK_EQUAL(untyped_retype(u, OBJ_ENDPOINT, 0, 0, 1, kit.cnode, e), 0);
    uint64_t c = copy_new(&kit, u, RIGHTS_ALL);
    CHECK_EQUAL(untyped_retype(c, OBJ_ENDPOINT, 0, 0, 1, kit.cnode, e + 1), ERR_BUSY);
    CHECK_EQUAL(untyped_retype(c, OBJ_ENDPOINT, 0, 1, 1, kit.cnode, e + 1), 0);
    CHECK_EQUAL(revoke(c), 0); /* takes what was made through the copy, and that only */
    CHECK_EQUAL(look(e, LOOK_TYPE), OBJ_ENDPOINT);
    CHECK_EQUAL(look(e + 1, LOOK_TYPE), 0);
}

TEST(untyped_part_reaches_its_part_only)
{
    uint64_t u = untyped_new(&kit, KIND_ENDPOINT, 8), p = slot_new(&kit), e = slots_new(&kit, 2);
    CHECK_EQUAL(untyped_retype(u, OBJ_UNTYPED, 0, 2, 3, kit.cnode, p), 0);
    CHECK_EQUAL(look(p, LOOK_OBJECT), look(u, LOOK_OBJECT) + 2);
    CHECK_EQUAL(untyped_retype(p, OBJ_ENDPOINT, 0, 3, 1, kit.cnode, e), ERR_RANGE);
    CHECK_EQUAL(untyped_retype(p, OBJ_ENDPOINT, 0, 2, 2, kit.cnode, e), ERR_RANGE);
    CHECK_EQUAL(untyped_retype(p, OBJ_ENDPOINT, 0, UINT64_MAX, 1, kit.cnode, e), ERR_RANGE);
    CHECK_EQUAL(untyped_retype(p, OBJ_ENDPOINT, 0, 2, 1, kit.cnode, e), 0);
    CHECK_EQUAL(revoke(u), 0);
    CHECK_EQUAL(look(p, LOOK_TYPE) + look(e, LOOK_TYPE), 0);
}

TEST(untyped_without_the_write_right_makes_nothing)
{
    uint64_t c = copy_new(&kit, untyped_new(&kit, KIND_ENDPOINT, 1), RIGHT_READ | RIGHT_GRANT);
    CHECK_EQUAL(untyped_retype(c, OBJ_ENDPOINT, 0, 0, 1, kit.cnode, slot_new(&kit)), ERR_RIGHT);
}

TEST(untyped_of_one_kind_makes_nothing_of_another)
{
    for (unsigned i = 0; i < MADE; i++) {
        uint64_t u = untyped_new(&kit, made_of[i].kind, 4), to = slot_new(&kit);
        for (unsigned j = 0; j < MADE; j++) {
            CHECK_EQUAL(make_one(u, made_of[j].type, 0, to), i == j ? 0 : ERR_TYPE);
        }
    }
}

TEST(untyped_is_exhausted_and_comes_back_for_every_kind)
{
    for (unsigned i = 0; i < MADE; i++) {
        uint64_t u = untyped_new(&kit, made_of[i].kind, made_of[i].kind == KIND_SLOT ? 32 : 8);
        uint64_t e = slots_new(&kit, 9);
        for (unsigned round = 0; round < 3; round++) {
            for (uint64_t n = 0; n < 8; n++) {
                CHECK_EQUAL(make_one(u, made_of[i].type, n, e + n), 0);
            }
            uint64_t sum = kit_sum();
            CHECK_EQUAL(make_one(u, made_of[i].type, 3, e + 8), ERR_BUSY);
            CHECK_EQUAL(make_one(u, made_of[i].type, 8, e + 8), ERR_RANGE);
            CHECK_EQUAL(kit_sum(), sum);
            CHECK_EQUAL(revoke(u), 0);
            for (uint64_t n = 0; n < 8; n++) {
                CHECK_EQUAL(look(e + n, LOOK_TYPE), 0);
            }
        }
    }
}

TEST(untyped_frames_come_zeroed_again)
{
    uint64_t u = untyped_new(&kit, KIND_FRAME, 1), f = slot_new(&kit);
    for (unsigned round = 0; round < 2; round++) {
        CHECK_EQUAL(retype_whole(u, OBJ_FRAME, 0, 0, 1, kit.cnode, f), 0);
        volatile uint64_t *page = kit_page(f, RIGHT_READ | RIGHT_WRITE);
        for (unsigned k = 0; k < 512; k++) {
            CHECK_EQUAL(page[k], 0);
            page[k] = PATTERN;
        }
        CHECK_EQUAL(delete (f), 0);
    }
}

TEST(untyped_table_after_a_frame_is_empty)
{
    uint64_t u = untyped_new(&kit, KIND_FRAME, 2), f = slots_new(&kit, 2), x = frame_new(&kit);
    CHECK_EQUAL(retype_whole(u, OBJ_FRAME, 0, 0, 2, kit.cnode, f), 0);
    for (unsigned n = 0; n < 2; n++) {
        volatile uint64_t *page = kit_page(f + n, RIGHT_READ | RIGHT_WRITE);
        for (unsigned k = 0; k < 512; k++) {
            page[k] = PATTERN;
        }
    }
    uint64_t at = look(u, LOOK_OBJECT) * 512;
    CHECK_EQUAL(kit_entry(FIELD_MEMORY, at + 600), PATTERN);
    CHECK_EQUAL(revoke(u), 0);
    CHECK_EQUAL(retype_whole(u, OBJ_TABLE, 1, 0, 1, kit.cnode, f), 0);
    for (unsigned k = 0; k < 1024; k++) {
        CHECK_EQUAL(kit_entry(FIELD_MEMORY, at + k), 0);
    }
    CHECK_EQUAL(frame_map(x, f, 511, RIGHT_READ), 0);
}

TEST(untyped_large_frame_is_zeroed_in_slices)
{
    uint64_t all = kit.range[KIND_FRAME].used;
    uint64_t first = kit.range[KIND_FRAME].first;
    kit.range[KIND_FRAME].used = all + (LARGE_FRAMES - (first + all) % LARGE_FRAMES) % LARGE_FRAMES;
    uint64_t u = untyped_new(&kit, KIND_FRAME, LARGE_FRAMES), f = slots_new(&kit, 9);
    for (unsigned n = 0; n < 9; n++) { /* some of its frames are used, so they are to be zeroed */
        CHECK_EQUAL(retype_whole(u, OBJ_FRAME, 0, n * 50, 1, kit.cnode, f + n), 0);
    }
    CHECK_EQUAL(untyped_retype(u, OBJ_FRAME, 1, 0, 1, kit.cnode, f), ERR_SLOT);
    CHECK_EQUAL(revoke(u), 0);
    unsigned calls = 1;
    while (untyped_retype(u, OBJ_FRAME, 1, 0, 1, kit.cnode, f) == ERR_AGAIN) {
        calls++;
    }
    CHECK(calls > 1);
    CHECK_EQUAL(look(f, LOOK_TYPE), OBJ_FRAME);
    CHECK_EQUAL(look(f, LOOK_KIND), 1);
}

TEST(untyped_large_frame_must_be_aligned)
{
    uint64_t first = kit.range[KIND_FRAME].first, used = kit.range[KIND_FRAME].used;
    uint64_t at = used + (LARGE_FRAMES - (first + used) % LARGE_FRAMES) % LARGE_FRAMES;
    uint64_t to = slot_new(&kit);
    CHECK_EQUAL(
        untyped_retype(kit.range[KIND_FRAME].untyped, OBJ_FRAME, 1, at + 1, 1, kit.cnode, to),
        ERR_RANGE);
}

TEST(untyped_new_thread_has_nothing_of_the_last)
{
    uint64_t u = untyped_new(&kit, KIND_THREAD, 1), t = slot_new(&kit), answer[MSG_WORDS_REGS];
    CHECK_EQUAL(untyped_retype(u, OBJ_THREAD, 0, 0, 1, kit.cnode, t), 0);
    CHECK_EQUAL(thread_write(t, R_W0, PATTERN, 0, 0), 0);
    CHECK_EQUAL(thread_bind(t, ROLE_CNODE, kit.cnode), 0);
    CHECK_EQUAL(delete (t), 0);
    CHECK_EQUAL(untyped_retype(u, OBJ_THREAD, 0, 0, 1, kit.cnode, t), 0);
    CHECK_EQUAL(thread_read(t, R_W0, 1, answer), 0);
    CHECK_EQUAL(answer[0], 0);
    uint64_t hidden = HOME_SLOTS + look(t, LOOK_OBJECT) * THREAD_SLOTS;
    for (unsigned role = 0; role < ROLES; role++) {
        CHECK_EQUAL(kit_entry(FIELD_S_TYPE, hidden + role), 0);
    }
}

TEST(untyped_root_ranges_do_not_hold_the_kernel)
{
    uint64_t text = 0x200000 / 4096; /* where the image is loaded */
    for (uint64_t n = 0; n < boot_info()->untypeds; n++) {
        const struct boot_untyped *u = &boot_info()->untyped[n];
        if (u->kind == KIND_FRAME) {
            CHECK(u->first > text || u->first + u->count <= text);
        }
        if (u->kind == KIND_DEVICE) {
            CHECK(u->first >= PHYS_FRAMES);
        }
    }
}
