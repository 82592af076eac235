/* Repair: bytes of a store are destroyed one place after another; with a copy everything comes
 * back, without one what is whole stays, the store is consistent again, and what is missing is
 * counted. */
#include "tree_testkit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct store_secret secret = {.kind = STORE_PASSPHRASE, .text = "test"};
static struct disk *good, *twin;
static struct store_io twin_io;
static struct store *copy;
static struct shadow first, second;

static void put(struct store *s, const struct shadow *t, const char *name)
{
    struct store_writer *w;
    struct cg_errbuf eb = {0};
    assert_int_equal(store_writer_open(s, "repair", STORE_FAST, &w, &eb), CG_OK);
    assert_int_equal(kit_put(w, t, name, STORE_FINAL), CG_OK);
    store_writer_close(w);
}

static int set_up(void **state)
{
    (void)state;
    uint64_t seed = kit_seed("store_repair", 99);
    char recovery[STORE_RECOVERY_CHARS];
    struct store_options o = kit_options();
    struct cg_errbuf eb = {0};
    cg_err e;
    good = disk_new();
    twin = disk_new();
    struct store_io io = disk_io(good);
    twin_io = disk_io(twin);
    assert_int_equal(kit_init(&io), CG_OK);
    struct store *s = kit_open(&io, &e);
    assert_int_equal(e, CG_OK);
    shadow_random(&first, &seed);
    second = first;
    shadow_change(&second, &seed);
    put(s, &first, "first");
    put(s, &second, "second");
    assert_int_equal(store_init(&twin_io, &o, &secret, s, recovery, &eb), CG_OK);
    copy = kit_open(&twin_io, &e);
    assert_int_equal(e, CG_OK);
    struct store_writer *w;
    assert_int_equal(store_writer_open(copy, "copy", STORE_FAST, &w, &eb), CG_OK);
    for (uint32_t i = 0; i < store_ref_count(s); i++) {
        struct store_refinfo ref;
        struct store_copied c;
        store_ref_at(s, i, &ref);
        assert_int_equal(store_copy(s, w, &ref, NULL, &c, &eb), CG_OK);
    }
    store_writer_close(w);
    store_close(s);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_close(copy);
    disk_free(good);
    disk_free(twin);
    return 0;
}

static struct store *open_for_repair(const struct store_io *io)
{
    struct store_options o = kit_options();
    struct cg_errbuf eb = {0};
    struct store *s = NULL;
    o.repair = true;
    o.list_entries = 1; /* each entry spills, and the runs become one */
    assert_int_equal(store_open(io, &o, &secret, &s, &eb), CG_OK);
    return s;
}

static void show(void *aux, const char *line)
{
    (void)aux;
    fprintf(stderr, "check: %s\n", line);
}

static void assert_whole(struct store *s)
{
    struct store_checked c;
    struct cg_errbuf eb = {0};
    assert_int_equal(kit_compare(s, "first", &first), CG_OK);
    assert_int_equal(kit_compare(s, "second", &second), CG_OK);
    assert_int_equal(store_check(s, true, NULL, show, NULL, &c, &eb), CG_OK);
}

/* One damage, mended with the copy; then the store is used on. */
static void mend(struct disk *d)
{
    struct store_io io = disk_io(d);
    struct store_repaired r;
    struct store_collected c;
    struct cg_errbuf eb = {0};
    cg_err e;
    struct store *s = open_for_repair(&io);
    assert_int_equal(store_repair(s, copy, NULL, NULL, NULL, &r, &eb), CG_OK);
    assert_int_equal(r.objects_missing, 0);
    assert_int_equal(r.refs_lost, 0);
    assert_whole(s);
    put(s, &first, "third");
    assert_int_equal(store_collect(s, false, NULL, &c, &eb), CG_OK);
    store_close(s);
    s = kit_open(&io, &e);
    assert_int_equal(e, CG_OK);
    assert_whole(s);
    assert_int_equal(kit_compare(s, "third", &first), CG_OK);
    store_close(s);
}

static void with_copy(void **state)
{
    (void)state;
    uint64_t damages = 0, step = kit_full() ? 701 : 20011;
    for (uint32_t f = 0; f < disk_files(good); f++) {
        const char *name = disk_name(good, f);
        size_t len;
        disk_data(good, f, &len);
        if (strncmp(name, "config", 6) == 0) {
            continue; /* its copy is beside it */
        }
        for (size_t at = 0; at < len; at += step) {
            struct disk *d = disk_copy(good);
            disk_data(d, f, &len)[at] ^= 0x10;
            mend(d);
            disk_free(d);
            damages++;
        }
        struct disk *d = disk_copy(good);
        disk_truncate(d, f, len / 2);
        mend(d);
        disk_free(d);
        damages++;
    }
    printf("store_repair: %llu damages mended from a copy\n", (unsigned long long)damages);
}

static void without_copy(void **state)
{
    (void)state;
    uint64_t damages = 0, missing = 0;
    for (uint32_t f = 0; f < disk_files(good); f++) {
        size_t len;
        disk_data(good, f, &len);
        if (strncmp(disk_name(good, f), "packs/", 6) != 0) {
            continue;
        }
        for (size_t at = 0; at < len; at += kit_full() ? 1009 : 30011) {
            struct disk *d = disk_copy(good);
            struct store_io io = disk_io(d);
            struct store_repaired r;
            struct store_checked c;
            struct cg_errbuf eb = {0};
            disk_data(d, f, &len)[at] ^= 0x10;
            struct store *s = open_for_repair(&io);
            assert_int_equal(store_repair(s, NULL, NULL, NULL, NULL, &r, &eb), CG_OK);
            cg_err e = store_check(s, true, NULL, NULL, NULL, &c, &eb);
            assert_int_equal(c.damaged, 0); /* what is left is whole and counted right */
            assert_int_equal(c.miscounted, 0);
            assert_int_equal(e == CG_OK, r.objects_missing == 0);
            missing += r.objects_missing;
            damages++;
            store_close(s);
            disk_free(d);
        }
    }
    printf("store_repair: %llu damages without a copy, %llu objects missing in all\n",
           (unsigned long long)damages, (unsigned long long)missing);
    assert_true(missing > 0);
}

/* With parity a pack is what it was, byte for byte, after each damage that leaves enough blocks,
 * and nothing else is needed. */
static void with_parity(void **state)
{
    (void)state;
    uint64_t damages = 0, packs = 0;
    struct cg_errbuf eb = {0};
    cg_err e;
    struct disk *guarded = disk_copy(good);
    struct store_io gio = disk_io(guarded);
    struct store *s = kit_open(&gio, &e);
    assert_int_equal(e, CG_OK);
    assert_int_equal(store_parity(s, 3, NULL, &packs, &eb), CG_OK);
    assert_true(packs > 0);
    assert_int_equal(store_parity(s, 3, NULL, &packs, &eb), CG_OK);
    assert_int_equal(packs, 0);
    store_close(s);
    for (uint32_t f = 0; f < disk_files(guarded); f++) {
        size_t len, again;
        const uint8_t *was = disk_data(guarded, f, &len);
        if (strncmp(disk_name(guarded, f), "packs/", 6) != 0) {
            continue;
        }
        for (size_t at = 0; at < len; at += 1 + len / (kit_full() ? 40 : 6)) {
            struct disk *d = disk_copy(guarded);
            struct store_io io = disk_io(d);
            struct store_repaired r;
            uint8_t *data = disk_data(d, f, &again);
            for (size_t i = at; i < len && i < at + 100000; i++) { /* two or three blocks */
                data[i] ^= (uint8_t)(i | 1);
            }
            s = open_for_repair(&io);
            assert_int_equal(store_repair(s, NULL, NULL, NULL, NULL, &r, &eb), CG_OK);
            assert_int_equal(r.packs_mended, 1);
            assert_int_equal(r.packs_lost + r.packs_rewritten + r.objects_missing, 0);
            assert_whole(s);
            store_close(s);
            for (uint32_t k = 0; k < disk_files(d); k++) {
                if (strcmp(disk_name(d, k), disk_name(guarded, f)) == 0) {
                    data = disk_data(d, k, &again);
                    assert_true(again == len && memcmp(data, was, len) == 0);
                }
            }
            damages++;
            disk_free(d);
        }
    }
    printf("store_repair: %llu damages mended by parity\n", (unsigned long long)damages);
    disk_free(guarded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(with_copy), cmocka_unit_test(without_copy),
                                       cmocka_unit_test(with_parity)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
