/* Everything that can fail, fails: each allocation, each call of the disk, the disk's space; and
 * every byte of a small store is flipped in turn. A failure is an error, never a crash, never a
 * wrong byte; afterwards the store is whole. */
#include "tree_testkit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct disk *fresh;
static struct shadow tree_a, tree_b;

static int set_up(void **state)
{
    (void)state;
    uint64_t seed = kit_seed("store_fault", 77);
    shadow_random(&tree_a, &seed);
    tree_b = tree_a;
    shadow_change(&tree_b, &seed);
    fresh = disk_new();
    struct store_io io = disk_io(fresh);
    return kit_init(&io) == CG_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    disk_free(fresh);
    return 0;
}

static cg_err put(const struct store_io *io, const struct shadow *t, const char *name)
{
    struct store_writer *w;
    struct cg_errbuf eb = {0};
    cg_err e;
    struct store *s = kit_open(io, &e);
    if (e) {
        return e;
    }
    e = store_writer_open(s, "fault", STORE_FAST, &w, &eb);
    if (!e) {
        e = kit_put(w, t, name, STORE_FINAL);
        store_writer_close(w);
    }
    store_close(s);
    return e;
}

static cg_err drop_and_collect(const struct store_io *io, const char *name)
{
    struct store_refinfo ref;
    struct store_writer *w;
    struct store_collected c;
    struct cg_errbuf eb = {0};
    cg_err e;
    struct store *s = kit_open(io, &e);
    if (e) {
        return e;
    }
    e = store_ref_get(s, name, &ref);
    struct store_ref_change change = {.name = name, .epoch = ref.epoch};
    e = e ? e : store_writer_open(s, "fault", STORE_FAST, &w, &eb);
    if (!e) {
        e = store_commit(w, &change, 1, STORE_FINAL, &eb);
        store_writer_close(w);
    }
    e = e ? e : store_collect(s, false, NULL, &c, &eb);
    store_close(s);
    return e;
}

static cg_err check_quietly(struct store *s)
{
    struct store_checked c;
    struct cg_errbuf eb = {0};
    return store_check(s, true, NULL, NULL, NULL, &c, &eb);
}

static void assert_whole(const struct store_io *io, bool b_may_be_there)
{
    struct store_refinfo ref;
    cg_err e;
    struct store *s = kit_open(io, &e);
    assert_int_equal(e, CG_OK);
    assert_int_equal(kit_compare(s, "a", &tree_a), CG_OK);
    if (store_ref_get(s, "b", &ref) == CG_OK) {
        assert_true(b_may_be_there);
        assert_int_equal(kit_compare(s, "b", &tree_b), CG_OK);
    }
    assert_int_equal(check_quietly(s), CG_OK);
    store_close(s);
}

/* work(io) with the n-th something failing, for n = 1, 2, ... until it is no longer reached. */
static void fail_each(bool memory, uint64_t step, cg_err (*work)(const struct store_io *io))
{
    uint64_t n = 1, count = 0;
    /* A failure that does no harm (a file that could not be removed) is no error, so for memory
     * several in a row without one are the end. */
    for (int quiet = 0; quiet < 5; n += step) {
        struct disk *d = disk_copy(fresh);
        struct store_io io = disk_io(d);
        assert_int_equal(put(&io, &tree_a, "a"), CG_OK);
        if (memory) {
            cg_alloc_fail_at(n);
        } else {
            disk_fail_at(d, n);
        }
        cg_err e = work(&io);
        quiet = e || (!memory && disk_failed(d)) ? 0 : quiet + 1;
        cg_alloc_fail_at(0);
        disk_fail_at(d, 0);
        count += quiet == 0;
        if (e) {
            assert_true(e == CG_ENOMEM || e == CG_EIO || e == CG_EEXPIRED);
        }
        assert_whole(&io, true);
        disk_free(d);
        assert_true(n < 100000);
    }
    printf("store_fault: %llu failing %s\n", (unsigned long long)count,
           memory ? "allocations" : "calls of the disk");
}

static cg_err put_b(const struct store_io *io)
{
    return put(io, &tree_b, "b");
}

static cg_err put_and_drop_b(const struct store_io *io)
{
    cg_err e = put(io, &tree_b, "b");
    return e ? e : drop_and_collect(io, "b");
}

static void each_allocation(void **state)
{
    (void)state;
    fail_each(true, kit_full() ? 1 : 7, put_and_drop_b);
}

static void each_call(void **state)
{
    (void)state;
    fail_each(false, kit_full() ? 1 : 3, put_b);
    fail_each(false, kit_full() ? 1 : 5, put_and_drop_b);
}

/* With the disk full in the middle the put is an error; after space was made the store takes it. */
static void disk_full(void **state)
{
    (void)state;
    for (uint64_t room = 1000; room < 400000; room += kit_full() ? 3001 : 20011) {
        struct disk *d = disk_copy(fresh);
        struct store_io io = disk_io(d);
        assert_int_equal(put(&io, &tree_a, "a"), CG_OK);
        struct shadow other;
        uint64_t seed = room;
        shadow_random(&other, &seed);
        disk_limit(d, disk_bytes(d) + room);
        cg_err e = put(&io, &other, "x");
        assert_true(e == CG_OK || e == CG_ENOSPC);
        assert_whole(&io, false);
        disk_limit(d, disk_bytes(d) + 20000); /* a little: to let something go must be possible */
        if (e == CG_OK) {
            assert_int_equal(drop_and_collect(&io, "x"), CG_OK);
        }
        disk_limit(d, 0);
        assert_int_equal(put(&io, &tree_b, "b"), CG_OK);
        assert_whole(&io, true);
        disk_free(d);
    }
}

/* ---- flipped bytes ---- */

/* What each way of looking says of a damaged store: an error, or exactly what was put. */
static bool noticed(const struct store_io *io)
{
    struct store_refinfo ref;
    cg_err e;
    struct store *s = kit_open(io, &e);
    if (e) {
        return true;
    }
    bool seen = false;
    cg_err ea = store_ref_get(s, "a", &ref) ? CG_ENOENT : kit_compare(s, "a", &tree_a);
    seen |= ea != CG_OK; /* kit_compare fails the test on any other byte */
    seen |= check_quietly(s) != CG_OK;
    store_close(s);
    struct store_checked c;
    struct cg_errbuf eb = {0};
    uint64_t cursor = 0;
    seen |= store_scrub(io, &cursor, UINT64_MAX, NULL, NULL, NULL, &c, &eb) != CG_OK;
    return seen;
}

static void each_byte(void **state)
{
    (void)state;
    struct shadow small = {.files = 3};
    uint64_t flips = 0, inert = 0, step = kit_full() ? 1 : 23;
    small.file[0] = (struct shadow_file){.dir = 1, .name = 1, .size = 3000, .seed = 3};
    small.file[1] = (struct shadow_file){.dir = 0, .name = 2, .size = 20, .seed = 4};
    small.file[2] = (struct shadow_file){.dir = 2, .name = 3, .size = 20000, .seed = 5};
    tree_a = small;
    struct disk *good = disk_copy(fresh);
    struct store_io io = disk_io(good);
    assert_int_equal(put(&io, &tree_a, "a"), CG_OK);
    for (uint32_t f = 0; f < disk_files(good); f++) {
        size_t len;
        disk_data(good, f, &len);
        for (size_t at = f % step; at < len; at += step) {
            struct disk *d = disk_copy(good);
            struct store_io dio = disk_io(d);
            disk_data(d, f, &len)[at] ^= (uint8_t)(1u << at % 8);
            flips++;
            if (!noticed(&dio)) {
                /* Nobody reads these: a copy of the config, states that are not the newest, and the
                 * unused slots of the config are covered by its hash, which its copy replaces. */
                const char *name = disk_name(d, f);
                assert_true(strncmp(name, "config", 6) == 0 || strncmp(name, "state/", 6) == 0);
                inert++;
            }
            disk_free(d);
        }
        /* Cut short anywhere. */
        for (size_t cut = 0; cut < len; cut += 1 + len / 16) {
            struct disk *d = disk_copy(good);
            struct store_io dio = disk_io(d);
            disk_truncate(d, f, cut);
            const char *name = disk_name(d, f);
            assert_true(noticed(&dio) || strncmp(name, "config", 6) == 0 ||
                        strncmp(name, "state/", 6) == 0);
            disk_free(d);
        }
    }
    printf("store_fault: %llu bytes flipped, %llu inert (config beside its copy, old states)\n",
           (unsigned long long)flips, (unsigned long long)inert);
    disk_free(good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_call),
        cmocka_unit_test(each_allocation),
        cmocka_unit_test(disk_full),
        cmocka_unit_test(each_byte),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
