/* storefs in one process: a small store behind it, clients of three users before it. */
#include "../../srv/storefs/storefs.h"
#include "../fs/rig.h"
#include "tree_testkit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MANY = 3000, OWNER_UID = 1000, FILE_UID = 1001, OTHER_UID = 1002 };
#define HOST_USER (UINT64_C(1) << 63)

const struct rig_kind rig_kind = {.name = "storefs"}; /* for rig_new, which is not called */

struct world {
    struct disk *disk;
    struct store_io io;
    struct store *writer_side, *server_side; /* two openings of one store, as two processes have */
    struct storefs *fs;
    struct rig *rig;
    struct rig_client *owner, *user, *other;
};

static void put_file(struct store_writer *w, struct store_stream *f, struct store_builder *b,
                     struct store_entry e, const char *name, const char *text)
{
    e.name = cg_span_of(name);
    e.kind = STORE_FILE;
    store_stream_begin(f);
    assert_int_equal(store_stream_write(f, text, strlen(text), NULL), CG_OK);
    assert_int_equal(store_stream_end(f, &e, NULL), CG_OK);
    assert_int_equal(store_builder_add(b, &e, NULL), CG_OK);
    (void)w;
}

/* Many names: more than one node, and more than one reply. */
static struct store_score put_many(struct store_writer *w)
{
    struct store_builder *b = NULL;
    struct store_stream *f;
    struct store_score score;
    assert_int_equal(store_builder_new(w, &b), CG_OK);
    assert_int_equal(store_stream_new(w, &f), CG_OK);
    for (int i = 0; i < MANY; i++) {
        char name[32];
        snprintf(name, sizeof name, "file-%05d", i);
        put_file(w, f, b, (struct store_entry){.mode = 0644, .nlink = 1}, name, name);
    }
    assert_int_equal(store_builder_end(b, &score, NULL), CG_OK);
    store_stream_free(f);
    store_builder_free(b);
    return score;
}

static void put_link(struct store_builder *b)
{
    struct store_entry e = {.name = cg_span_of("link"),
                            .kind = STORE_SYMLINK,
                            .mode = 0777,
                            .nlink = 1,
                            .data = cg_span_of("plain")};
    assert_int_equal(store_builder_add(b, &e, NULL), CG_OK);
}

/* A root directory: hard and linked are one file; secret is FILE_UID's alone. */
static void put_snapshot(struct world *w, const char *name, const char *text, uint64_t time_s)
{
    struct store_writer *wr;
    struct store_builder *b = NULL;
    struct store_stream *f;
    struct cg_str xattrs = {0};
    struct store_snapshot snap = {.mode = 0755, .time_ns = time_s * 1000000000u};
    struct store_score score;
    assert_int_equal(store_writer_open(w->writer_side, "test", STORE_FAST, &wr, NULL), CG_OK);
    struct store_score many = put_many(wr);
    assert_int_equal(store_builder_new(wr, &b), CG_OK);
    assert_int_equal(store_stream_new(wr, &f), CG_OK);
    assert_int_equal(store_xattr_add(&xattrs, cg_span_of("user.colour"), cg_span_of("blue")),
                     CG_OK);
    put_file(wr, f, b, (struct store_entry){.mode = 0644, .nlink = 2, .ino = 77}, "hard", "one");
    put_link(b);
    put_file(wr, f, b, (struct store_entry){.mode = 0644, .nlink = 2, .ino = 77}, "linked", "one");
    struct store_entry dir = {
        .name = cg_span_of("many"), .kind = STORE_DIR, .mode = 0755, .nlink = 2, .score = many};
    assert_int_equal(store_builder_add(b, &dir, NULL), CG_OK);
    struct store_entry plain = {
        .mode = 0644,
        .nlink = 1,
        .xattrs = {.data = (const uint8_t *)xattrs.data, .len = (uint32_t)xattrs.len}};
    put_file(wr, f, b, plain, "plain", text);
    put_file(wr, f, b, (struct store_entry){.mode = 0600, .nlink = 1, .uid = FILE_UID}, "secret",
             "s3cret");
    assert_int_equal(store_builder_end(b, &snap.root, NULL), CG_OK);
    assert_int_equal(store_snapshot_put(wr, &snap, &score, NULL), CG_OK);
    struct store_ref_change c = {.name = name, .score = &score, .time_ns = snap.time_ns};
    assert_int_equal(store_commit(wr, &c, 1, STORE_FINAL, NULL), CG_OK);
    store_stream_free(f);
    store_builder_free(b);
    store_writer_close(wr);
    cg_str_fini(&xattrs);
}

static int set_up(void **state)
{
    struct world *w = cg_zalloc(sizeof *w);
    cg_err e;
    w->disk = disk_new();
    w->io = disk_io(w->disk);
    assert_int_equal(kit_init(&w->io), CG_OK);
    w->writer_side = kit_open(&w->io, &e);
    assert_int_equal(e, CG_OK);
    w->server_side = kit_open(&w->io, &e);
    assert_int_equal(e, CG_OK);
    put_snapshot(w, "home@2026-03-01T00:00:00Z", "march", 100);
    put_snapshot(w, "home@2026-04-01T00:00:00Z", "april", 200);
    assert_int_equal(storefs_new(w->server_side, HOST_USER | OWNER_UID, &w->fs, NULL), CG_OK);
    w->rig = rig_around(&storefs_ops, w->fs, rig_bare());
    w->owner = rig_attach(w->rig, OWNER_UID, "");
    w->user = rig_attach(w->rig, FILE_UID, "");
    w->other = rig_attach(w->rig, OTHER_UID, "");
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    rig_free_bare(w->rig);
    storefs_free(w->fs);
    rig_close_loop(w->rig);
    store_close(w->server_side);
    store_close(w->writer_side);
    disk_free(w->disk);
    cg_free(w);
    return 0;
}

static void assert_text(struct rig_client *c, const char *path, const char *text)
{
    uint32_t fid, got;
    char data[256];
    assert_int_equal(rig_open(c, path, NINEP_OPEN_READ, &fid), CG_OK);
    assert_int_equal(rig_read(c, fid, 0, data, sizeof data, &got), CG_OK);
    rig_clunk(c, fid);
    assert_int_equal(got, strlen(text));
    assert_memory_equal(data, text, got);
}

static void assert_names(struct rig_client *c, const char *path, const char *names)
{
    struct cg_str out = {0};
    assert_int_equal(rig_names(c, path, &out), CG_OK);
    assert_string_equal(out.data, names);
    cg_str_fini(&out);
}

static void snapshots_are_found_by_name_line_and_date(void **state)
{
    struct world *w = *state;
    struct ninep_attr a;
    assert_names(w->other, "", "score snap stats");
    assert_names(w->other, "snap", "home@2026-03-01T00:00:00Z home@2026-04-01T00:00:00Z");
    assert_text(w->other, "snap/home/plain", "april");
    assert_text(w->other, "snap/home@2026-03-01T00:00:00Z/plain", "march");
    assert_text(w->other, "snap/home@2026-03/plain", "march");
    assert_text(w->other, "snap/2026-03-15/plain", "march");
    assert_text(w->other, "snap/2026/plain", "april");
    assert_int_equal(rig_stat(w->other, "snap/home@2025", &a), CG_ENOENT);
    assert_int_equal(rig_stat(w->other, "snap/away", &a), CG_ENOENT);
    put_snapshot(w, "home@2026-05-01T00:00:00Z", "may", 300);
    assert_text(w->other, "snap/home/plain", "may");
}

static void a_tree_is_what_was_put(void **state)
{
    struct world *w = *state;
    struct ninep_attr a, b;
    char target[4096], value[16];
    uint32_t len;
    assert_names(w->other, "snap/home", "hard link linked many plain secret");
    assert_int_equal(rig_readlink(w->other, "snap/home/link", target), CG_OK);
    assert_string_equal(target, "plain");
    assert_int_equal(
        rig_getxattr(w->other, "snap/home/plain", "user.colour", value, sizeof value, &len), CG_OK);
    assert_int_equal(len, 4);
    assert_memory_equal(value, "blue", 4);
    assert_int_equal(rig_stat(w->other, "snap/home/hard", &a), CG_OK);
    assert_int_equal(rig_stat(w->other, "snap/home/linked", &b), CG_OK);
    assert_int_equal(a.id.file, b.id.file);
    assert_int_equal(rig_stat(w->other, "snap/home@2026-03/hard", &b), CG_OK);
    assert_int_not_equal(a.id.file, b.id.file);
    assert_int_equal(rig_stat(w->other, "snap/home/secret", &a), CG_OK);
    assert_int_equal(a.owner, HOST_USER | FILE_UID);
}

/* In pages that are as small as can be, so that a listing goes on often, with the contents inline.
 */
static void a_long_listing_gives_each_name_once(void **state)
{
    struct world *w = *state;
    uint32_t fid, seen = 0;
    uint64_t cookie = 0;
    static struct rig_names page;
    assert_int_equal(rig_walk(w->other, "snap/home/many", &fid), CG_OK);
    do {
        assert_int_equal(rig_readdir(w->other, fid, cookie, 8192, NINEP_WANT_INLINE, 64, &page),
                         CG_OK);
        for (uint32_t i = 0; i < page.count; i++) {
            char name[32];
            snprintf(name, sizeof name, "file-%05u", seen++);
            assert_true(cg_span_is(page.entry[i].name, name));
            assert_true(page.entry[i].whole == 1 && cg_span_is(page.entry[i].inline_, name));
            cookie = page.entry[i].cookie;
        }
    } while (!page.eof);
    assert_int_equal(seen, MANY);
    /* from the middle, as one who comes back late does */
    assert_int_equal(rig_readdir(w->other, fid, 1500, 8192, 0, 0, &page), CG_OK);
    assert_true(cg_span_is(page.entry[0].name, "file-01500"));
    rig_clunk(w->other, fid);
}

static void modes_bind_all_but_the_owner_of_the_store(void **state)
{
    struct world *w = *state;
    uint32_t fid;
    assert_text(w->user, "snap/home/secret", "s3cret");
    assert_text(w->owner, "snap/home/secret", "s3cret");
    assert_int_equal(rig_open(w->other, "snap/home/secret", NINEP_OPEN_READ, &fid), CG_EACCES);
    assert_int_equal(rig_open(w->other, "stats", NINEP_OPEN_READ, &fid), CG_EACCES);
    assert_int_equal(rig_open(w->owner, "stats", NINEP_OPEN_READ, &fid), CG_OK);
    rig_clunk(w->owner, fid);
}

static void scores_are_for_the_owner_and_must_be_right(void **state)
{
    struct world *w = *state;
    struct store_refinfo ref;
    struct ninep_attr a;
    char hex[2 * STORE_SCORE_BYTES + 1], path[128];
    assert_int_equal(store_refresh(w->server_side, NULL), CG_OK);
    assert_int_equal(store_ref_find(w->server_side, "home@2026-03", &ref), CG_OK);
    store_score_text(&ref.score, hex);
    snprintf(path, sizeof path, "score/%s/plain", hex);
    assert_text(w->owner, path, "march");
    assert_int_equal(rig_stat(w->other, path, &a), CG_EACCES);
    hex[0] = hex[0] == '0' ? '1' : '0';
    snprintf(path, sizeof path, "score/%s", hex);
    assert_int_equal(rig_stat(w->owner, path, &a), CG_ENOENT);
    assert_int_equal(rig_stat(w->owner, "score/no-score", &a), CG_ENOENT);
}

static void nothing_can_be_changed(void **state)
{
    struct world *w = *state;
    struct rig_client *c = w->owner;
    uint32_t fid;
    assert_int_equal(rig_open(c, "snap/home/plain", NINEP_OPEN_WRITE, &fid), CG_EROFS);
    assert_int_equal(rig_open(c, "snap/home/plain", NINEP_OPEN_TRUNC, &fid), CG_EROFS);
    assert_int_equal(rig_create(c, "snap/home/new", NINEP_OPEN_WRITE, 0644, NULL), CG_EROFS);
    assert_int_equal(rig_mkdir(c, "snap/new", 0755), CG_EROFS);
    assert_int_equal(rig_remove(c, "snap/home/plain", false), CG_EROFS);
    assert_int_equal(rig_rename(c, "snap/home/plain", "snap/home/x", 0), CG_EROFS);
    assert_int_equal(rig_link(c, "snap/home/plain", "snap/home/x"), CG_EROFS);
    assert_int_equal(rig_chmod(c, "snap/home/plain", 0600), CG_EROFS);
    assert_int_equal(rig_setxattr(c, "snap/home/plain", "user.x", "y", 1, 0), CG_EROFS);
    assert_text(c, "snap/home/plain", "april");
}

/* A byte of a pack is flipped: the file says so, others are served. */
static void damage_is_told_and_never_served(void **state)
{
    struct world *w = *state;
    uint32_t fid, told = 0, got;
    char data[64];
    for (uint32_t i = 0; i < disk_files(w->disk); i++) {
        size_t len;
        uint8_t *bytes = disk_data(w->disk, i, &len);
        if (strncmp(disk_name(w->disk, i), "pack", 4) == 0 && len > 200) {
            memset(bytes + len / 3, 0xff, 64);
        }
    }
    struct world fresh = {.io = disk_io(w->disk)};
    cg_err e;
    fresh.server_side = kit_open(&fresh.io, &e); /* without what the other has in its cache */
    assert_int_equal(e, CG_OK);
    assert_int_equal(storefs_new(fresh.server_side, HOST_USER | OWNER_UID, &fresh.fs, NULL), CG_OK);
    fresh.rig = rig_around(&storefs_ops, fresh.fs, rig_bare());
    fresh.owner = rig_attach(fresh.rig, OWNER_UID, "");
    static const struct {
        const char *path, *text;
    } files[] = {{"snap/home/plain", "april"},
                 {"snap/home@2026-03/plain", "march"},
                 {"snap/home/many/file-00000", "file-00000"},
                 {"snap/home/many/file-02999", "file-02999"}};
    for (size_t i = 0; i < CG_COUNT(files); i++) {
        e = rig_open(fresh.owner, files[i].path, NINEP_OPEN_READ, &fid);
        if (e == CG_OK) {
            e = rig_read(fresh.owner, fid, 0, data, sizeof data, &got);
            assert_true(e != CG_OK || memcmp(data, files[i].text, got) == 0);
            rig_clunk(fresh.owner, fid);
        }
        told += e != CG_OK;
    }
    assert_true(told > 0);
    rig_free_bare(fresh.rig);
    storefs_free(fresh.fs);
    rig_close_loop(fresh.rig);
    store_close(fresh.server_side);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(snapshots_are_found_by_name_line_and_date, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_tree_is_what_was_put, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_long_listing_gives_each_name_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(modes_bind_all_but_the_owner_of_the_store, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(scores_are_for_the_owner_and_must_be_right, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(nothing_can_be_changed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damage_is_told_and_never_served, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
