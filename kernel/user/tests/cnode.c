/* Capabilities in cnodes: copy, badge, move, delete, revoke, extend. */
#include "objects.h"

TEST(cnode_copy_carries_the_rights_that_were_named)
{
    uint64_t e = object_new(&kit, OBJ_ENDPOINT);
    uint64_t c = copy_new(&kit, e, RIGHT_READ | RIGHT_GRANT);
    CHECK_EQUAL(look(c, LOOK_TYPE), OBJ_ENDPOINT);
    CHECK_EQUAL(look(c, LOOK_OBJECT), look(e, LOOK_OBJECT));
    CHECK_EQUAL(look(c, LOOK_RIGHTS), RIGHT_READ | RIGHT_GRANT);
}

TEST(cnode_copy_never_gains_a_right)
{
    uint64_t c = copy_new(&kit, object_new(&kit, OBJ_ENDPOINT), RIGHT_READ);
    uint64_t d = copy_new(&kit, c, RIGHTS_ALL);
    CHECK_EQUAL(look(d, LOOK_RIGHTS), RIGHT_READ);
}

TEST(cnode_copy_into_a_full_slot_changes_nothing)
{
    uint64_t e = object_new(&kit, OBJ_ENDPOINT), c = copy_new(&kit, e, RIGHTS_ALL);
    uint64_t sum = kit_sum();
    CHECK_EQUAL(copy_to(c, e, RIGHTS_ALL), ERR_SLOT);
    CHECK_EQUAL(kit_sum(), sum);
}

TEST(cnode_handle_zero_is_no_capability)
{
    uint64_t e = object_new(&kit, OBJ_ENDPOINT);
    CHECK_EQUAL(copy_to(0, e, RIGHTS_ALL), ERR_SLOT);
    CHECK_EQUAL(cnode_delete(kit.cnode, 0), ERR_SLOT);
    CHECK_EQUAL(cnode_delete(0, e), ERR_HANDLE);
}

TEST(cnode_handle_beyond_the_end_is_refused)
{
    uint64_t answer[MSG_WORDS_REGS];
    CHECK_EQUAL(cnode_look(kit.cnode, kit.slots, answer), ERR_SLOT);
    CHECK_EQUAL(answer[0], 1);
    CHECK_EQUAL(answer[1], kit.slots);
    CHECK_EQUAL(cnode_look(kit.slots, 1, answer), ERR_HANDLE);
    CHECK_EQUAL(cnode_look(kit.cnode, UINT64_MAX, answer), ERR_SLOT);
}

TEST(cnode_without_the_write_right_is_not_changed)
{
    uint64_t e = object_new(&kit, OBJ_ENDPOINT), to = slot_new(&kit);
    uint64_t c = copy_new(&kit, kit.cnode, RIGHT_READ);
    uint64_t sum = kit_sum();
    CHECK_EQUAL(cnode_copy(c, to, kit.cnode, e, RIGHTS_ALL), ERR_RIGHT);
    CHECK_EQUAL(cnode_delete(c, e), ERR_RIGHT);
    CHECK_EQUAL(cnode_revoke(c, e), ERR_RIGHT);
    CHECK_EQUAL(cnode_move(c, to, kit.cnode, e), ERR_RIGHT);
    CHECK_EQUAL(kit_sum(), sum);
}

TEST(cnode_is_moved_from_only_with_the_write_right)
{
    uint64_t e = object_new(&kit, OBJ_ENDPOINT), to = slot_new(&kit);
    uint64_t c = copy_new(&kit, kit.cnode, RIGHT_READ);
    CHECK_EQUAL(cnode_move(kit.cnode, to, c, e), ERR_RIGHT);
    CHECK_EQUAL(cnode_copy(kit.cnode, to, c, e, RIGHTS_ALL), 0); /* reading is enough to copy */
}

static uint64_t send_word(uint64_t word)
{
    struct message m = {.word = {word}};
    return message_pass(&m, SYS_SEND, CHILD_FREE, 0, 1, 0);
}

TEST(cnode_badge_reaches_the_receiver)
{
    static struct child c;
    struct message m = {.extra = 0};
    uint64_t e = object_new(&kit, OBJ_ENDPOINT);
    child_new(&c, send_word, 5, CHILD_SPACE);
    child_give(&c, CHILD_FREE, badged_new(&kit, e, RIGHTS_ALL, 0x1234567890), RIGHTS_ALL);
    child_run(&c);
    CHECK_EQUAL(message_pass(&m, SYS_RECEIVE, receive_handle(e, 0), 0, 0, 0), 0);
    CHECK_EQUAL(m.handle, 0x1234567890);
    CHECK_EQUAL(m.word[0], 5);
}

TEST(cnode_badge_is_never_changed)
{
    uint64_t b = badged_new(&kit, object_new(&kit, OBJ_ENDPOINT), RIGHTS_ALL, 7);
    uint64_t to = slot_new(&kit), sum = kit_sum();
    CHECK_EQUAL(cnode_mint(kit.cnode, to, kit.cnode, b, RIGHTS_ALL, 8), ERR_BUSY);
    CHECK_EQUAL(kit_sum(), sum);
    CHECK_EQUAL(copy_to(to, b, RIGHTS_ALL), 0);
    CHECK_EQUAL(look(to, LOOK_BADGE), 7);
}

TEST(cnode_only_endpoints_and_notifications_have_badges)
{
    uint64_t to = slot_new(&kit), f = frame_new(&kit);
    CHECK_EQUAL(cnode_mint(kit.cnode, to, kit.cnode, f, RIGHTS_ALL, 8), ERR_TYPE);
    CHECK_EQUAL(
        cnode_mint(kit.cnode, to, kit.cnode, object_new(&kit, OBJ_NOTIFICATION), RIGHTS_ALL, 8), 0);
}

TEST(cnode_move_leaves_the_old_slot_empty)
{
    uint64_t e = object_new(&kit, OBJ_ENDPOINT), to = slot_new(&kit), object = look(e, LOOK_OBJECT);
    CHECK_EQUAL(move_to(to, e), 0);
    CHECK_EQUAL(look(e, LOOK_TYPE), 0);
    CHECK_EQUAL(look(to, LOOK_OBJECT), object);
    CHECK_EQUAL(look(to, LOOK_RIGHTS), RIGHT_READ | RIGHT_WRITE | RIGHT_GRANT);
}

TEST(cnode_move_takes_what_was_derived_along)
{
    uint64_t e = object_new(&kit, OBJ_ENDPOINT), to = slot_new(&kit), c[5];
    for (unsigned i = 0; i < 5; i++) {
        c[i] = copy_new(&kit, e, RIGHTS_ALL);
    }
    CHECK_EQUAL(move_to(to, e), 0);
    for (unsigned i = 0; i < 5; i++) {
        CHECK_EQUAL(look(c[i], LOOK_TYPE), OBJ_ENDPOINT);
        CHECK_EQUAL(kit_entry(FIELD_S_PARENT, slot_of(c[i])), slot_of(to));
    }
    CHECK_EQUAL(revoke(to), 0);
    for (unsigned i = 0; i < 5; i++) {
        CHECK_EQUAL(look(c[i], LOOK_TYPE), 0);
    }
}

TEST(cnode_move_of_much_that_was_derived_takes_several_calls)
{
    uint64_t e = object_new(&kit, OBJ_ENDPOINT), to = slot_new(&kit);
    uint64_t first = slots_new(&kit, 200);
    for (uint64_t i = 0; i < 200; i++) {
        CHECK_EQUAL(copy_to(first + i, e, RIGHTS_ALL), 0);
    }
    CHECK_EQUAL(cnode_move(kit.cnode, to, kit.cnode, e), ERR_AGAIN);
    CHECK_EQUAL(look(to, LOOK_TYPE), OBJ_ENDPOINT); /* each state in between is a whole one */
    CHECK_EQUAL(move_to(to, e), 0);
    CHECK_EQUAL(look(e, LOOK_TYPE), 0);
    CHECK_EQUAL(kit_entry(FIELD_S_PARENT, slot_of(first)), slot_of(to));
    CHECK_EQUAL(kit_entry(FIELD_S_PARENT, slot_of(first + 199)), slot_of(to));
}

TEST(cnode_delete_of_a_copy_leaves_the_object)
{
    uint64_t e = object_new(&kit, OBJ_ENDPOINT), c = copy_new(&kit, e, RIGHTS_ALL);
    CHECK_EQUAL(delete (c), 0);
    CHECK_EQUAL(look(c, LOOK_TYPE), 0);
    CHECK_EQUAL(look(e, LOOK_TYPE), OBJ_ENDPOINT);
}

TEST(cnode_delete_of_a_middle_copy_leaves_those_made_from_it)
{
    uint64_t e = object_new(&kit, OBJ_ENDPOINT), c = copy_new(&kit, e, RIGHTS_ALL);
    uint64_t d = copy_new(&kit, c, RIGHTS_ALL);
    CHECK_EQUAL(delete (c), 0);
    CHECK_EQUAL(look(d, LOOK_TYPE), OBJ_ENDPOINT);
    CHECK_EQUAL(kit_entry(FIELD_S_PARENT, slot_of(d)), slot_of(e));
    CHECK_EQUAL(revoke(e), 0);
    CHECK_EQUAL(look(d, LOOK_TYPE), 0);
}

TEST(cnode_delete_of_the_owner_takes_copies_and_object)
{
    uint64_t e = object_new(&kit, OBJ_ENDPOINT), c = copy_new(&kit, e, RIGHTS_ALL);
    uint64_t d = copy_new(&kit, c, RIGHTS_ALL), object = look(e, LOOK_OBJECT);
    uint64_t in_table = HOME_SLOTS + T_MAX + object; /* owner[]: slots, threads, endpoints */
    CHECK_EQUAL(kit_entry(FIELD_OWNER, in_table), slot_of(e));
    CHECK_EQUAL(delete (e), 0);
    CHECK_EQUAL(look(c, LOOK_TYPE) + look(d, LOOK_TYPE), 0);
    CHECK_EQUAL(kit_entry(FIELD_OWNER, in_table), 0);
}

TEST(cnode_delete_of_an_empty_slot_is_no_error)
{
    uint64_t sum = kit_sum();
    CHECK_EQUAL(cnode_delete(kit.cnode, slot_new(&kit)), 0);
    CHECK_EQUAL(kit_sum(), sum);
}

TEST(cnode_revoke_leaves_the_capability_itself)
{
    uint64_t e = object_new(&kit, OBJ_ENDPOINT), c = copy_new(&kit, e, RIGHTS_ALL);
    uint64_t d = copy_new(&kit, c, RIGHTS_ALL);
    CHECK_EQUAL(revoke(c), 0);
    CHECK_EQUAL(look(d, LOOK_TYPE), 0);
    CHECK_EQUAL(look(c, LOOK_TYPE), OBJ_ENDPOINT);
    CHECK_EQUAL(look(e, LOOK_TYPE), OBJ_ENDPOINT);
}

TEST(cnode_revoke_reaches_other_address_spaces)
{
    static struct child c;
    struct message m = {.extra = 0};
    uint64_t e = object_new(&kit, OBJ_ENDPOINT);
    child_new(&c, send_word, 5, CHILD_SPACE);
    child_give(&c, CHILD_FREE, e, RIGHTS_ALL);
    CHECK_EQUAL(revoke(e), 0);
    child_run(&c);
    CHECK_EQUAL(child_result(&c), ERR_HANDLE);
    CHECK_EQUAL(message_pass(&m, SYS_RECEIVE_TRY, receive_handle(e, 0), 0, 0, 0), ERR_WAIT);
}

TEST(cnode_extend_reaches_the_slots_behind)
{
    uint64_t u = untyped_new(&kit, KIND_SLOT, 64), k = slot_new(&kit),
             e = object_new(&kit, OBJ_ENDPOINT);
    CHECK_EQUAL(untyped_retype(u, OBJ_CNODE, 0, 0, 8, kit.cnode, k), 0);
    CHECK_EQUAL(cnode_copy(k, 8, kit.cnode, e, RIGHTS_ALL), ERR_SLOT);
    CHECK_EQUAL(cnode_extend(k, u, 4), 0);
    CHECK_EQUAL(cnode_copy(k, 8, kit.cnode, e, RIGHTS_ALL), 0);
    CHECK_EQUAL(cnode_copy(k, 12, kit.cnode, e, RIGHTS_ALL), ERR_SLOT);
    CHECK_EQUAL(look(k, LOOK_COUNT), 12);
}

TEST(cnode_extend_wants_free_slots_of_the_range)
{
    uint64_t u = untyped_new(&kit, KIND_SLOT, 64), k = slots_new(&kit, 2);
    CHECK_EQUAL(untyped_retype(u, OBJ_CNODE, 0, 0, 8, kit.cnode, k), 0);
    CHECK_EQUAL(untyped_retype(u, OBJ_CNODE, 0, 10, 8, kit.cnode, k + 1), 0);
    uint64_t sum = kit_sum();
    CHECK_EQUAL(cnode_extend(k, u, 3), ERR_BUSY);       /* runs into the other */
    CHECK_EQUAL(cnode_extend(k + 1, u, 47), ERR_RANGE); /* leaves the range */
    CHECK_EQUAL(cnode_extend(k, kit.range[KIND_THREAD].untyped, 1), ERR_TYPE);
    CHECK_EQUAL(kit_sum(), sum);
    CHECK_EQUAL(cnode_extend(k, u, 2), 0);
}

TEST(cnode_takes_what_it_owns_along)
{
    uint64_t u = untyped_new(&kit, KIND_ENDPOINT, 1), k = cnode_new(&kit, 8),
             again = slot_new(&kit);
    CHECK_EQUAL(untyped_retype(u, OBJ_ENDPOINT, 0, 0, 1, k, 5), 0);
    uint64_t c = slot_new(&kit);
    CHECK_EQUAL(cnode_copy(kit.cnode, c, k, 5, RIGHTS_ALL), 0);
    CHECK_EQUAL(untyped_retype(u, OBJ_ENDPOINT, 0, 0, 1, kit.cnode, again), ERR_BUSY);
    CHECK_EQUAL(delete (k), 0);
    CHECK_EQUAL(look(c, LOOK_TYPE), 0);
    CHECK_EQUAL(untyped_retype(u, OBJ_ENDPOINT, 0, 0, 1, kit.cnode, again), 0);
}

TEST(cnode_that_holds_its_own_owner_is_deleted)
{
    uint64_t u = untyped_new(&kit, KIND_SLOT, 16), k = slot_new(&kit), again = slot_new(&kit);
    CHECK_EQUAL(untyped_retype(u, OBJ_CNODE, 0, 0, 16, kit.cnode, k), 0);
    uint64_t c = copy_new(&kit, k, RIGHTS_ALL);
    CHECK_EQUAL(cnode_move(k, 5, kit.cnode, k), 0);
    CHECK_EQUAL(cnode_delete(c, 5), 0);
    CHECK_EQUAL(look(c, LOOK_TYPE), 0);
    CHECK_EQUAL(untyped_retype(u, OBJ_CNODE, 0, 0, 16, kit.cnode, again), 0);
}

TEST(cnode_within_a_deleted_cnode_returns_by_its_untyped)
{
    uint64_t u = untyped_new(&kit, KIND_SLOT, 16), v = untyped_new(&kit, KIND_ENDPOINT, 1);
    uint64_t k = cnode_new(&kit, 8), again = slots_new(&kit, 2), inner = slot_new(&kit);
    CHECK_EQUAL(untyped_retype(u, OBJ_CNODE, 0, 0, 16, k, 3), 0);
    CHECK_EQUAL(cnode_copy(kit.cnode, inner, k, 3, RIGHTS_ALL), 0);
    CHECK_EQUAL(untyped_retype(v, OBJ_ENDPOINT, 0, 0, 1, inner, 4), 0);
    CHECK_EQUAL(delete (k), 0); /* the inner cnode, which is not empty, is not emptied in turn */
    CHECK_EQUAL(untyped_retype(u, OBJ_CNODE, 0, 0, 16, kit.cnode, again), ERR_BUSY);
    CHECK_EQUAL(revoke(u), 0); /* but it is still derived from its untyped */
    CHECK_EQUAL(untyped_retype(u, OBJ_CNODE, 0, 0, 16, kit.cnode, again), 0);
    CHECK_EQUAL(untyped_retype(v, OBJ_ENDPOINT, 0, 0, 1, kit.cnode, again + 1), 0);
}

TEST(cnode_of_a_running_thread_can_be_deleted)
{
    static struct child c;
    child_new(&c, send_word, 5, CHILD_SPACE);
    CHECK_EQUAL(delete (c.cnode), 0);
    child_run(&c);
    struct message m = {.extra = 0};
    message_pass(&m, SYS_YIELD, 0, 0, 0, 0);
    CHECK_EQUAL(kit_entry(FIELD_S_TYPE, HOME_SLOTS + look(c.thread, LOOK_OBJECT) * THREAD_SLOTS),
                0);
    CHECK_EQUAL(message_pass(&m, SYS_RECEIVE_TRY, receive_handle(c.done, 0), 0, 0, 0), ERR_WAIT);
}

TEST(cnode_look_tells_what_a_slot_holds)
{
    uint64_t u = untyped_new(&kit, KIND_REPLY, 5);
    CHECK_EQUAL(look(u, LOOK_TYPE), OBJ_UNTYPED);
    CHECK_EQUAL(look(u, LOOK_KIND), KIND_REPLY);
    CHECK_EQUAL(look(u, LOOK_COUNT), 5);
    CHECK_EQUAL(look(slot_new(&kit), LOOK_TYPE), 0);
}

TEST(cnode_refusal_names_argument_and_limit)
{
    uint64_t word[MSG_WORDS_REGS] = {kit.slots, kit.cnode, 1, RIGHTS_ALL};
    CHECK_EQUAL(kernel_invoke(kit.cnode, INV_CNODE_COPY, 4, word), ERR_SLOT);
    CHECK_EQUAL(word[0], 1);
    CHECK_EQUAL(word[1], kit.slots);
    word[0] = slot_new(&kit);
    word[1] = kit.cnode;
    word[3] = 99;
    CHECK_EQUAL(kernel_invoke(kit.cnode, INV_CNODE_COPY, 4, word), ERR_RANGE);
    CHECK_EQUAL(word[0], 4);
    CHECK_EQUAL(word[1], RIGHTS_ALL + 1);
    CHECK_EQUAL(kernel_invoke(kit.cnode, INV_CNODE_COPY, 3, word), ERR_LENGTH);
    CHECK_EQUAL(word[1], 4);
}
