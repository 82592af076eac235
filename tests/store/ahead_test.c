/* Frames that are loaded before they are asked for: whatever way a reader goes, he gets what was
 * put; what is damaged is an error there and nowhere else; packs may go and the store be closed
 * while the thread loads. */
#include "../../lib/store/ahead.h"
#include "tree_testkit.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { FILE_BYTES = 12 << 20, PART = 128 << 10, FRAMES = FILE_BYTES / FRAME_RAW_BYTES };

static char top[64];
static struct store_io io;
static uint8_t *contents[2]; /* of the files a and b */
static uint8_t got[PART];

static struct store *open_ahead(void)
{
    const struct store_secret secret = {.kind = STORE_PASSPHRASE, .text = "test"};
    struct store_options o = kit_options();
    struct cg_errbuf eb = {0};
    struct store *s;
    o.ahead = true;
    assert_int_equal(store_open(&io, &o, &secret, &s, &eb), CG_OK);
    return s;
}

/* A file of its own in a snapshot of its own; not compressed, so a pack's bytes can be found. */
static void put(const char *name, const uint8_t *data)
{
    struct store_writer *w;
    struct store_stream *stream;
    struct store_builder *b;
    struct store_entry e = {.name = cg_span_of("f"), .kind = STORE_FILE, .mode = 0644, .nlink = 1};
    struct store_snapshot snap = {.mode = 0755};
    struct store_score top_score;
    struct store_ref_change change = {.name = name, .score = &top_score};
    struct cg_errbuf eb = {0};
    cg_err err;
    struct store *s = kit_open(&io, &err);
    assert_int_equal(err, CG_OK);
    assert_int_equal(store_writer_open(s, "test", STORE_PLAIN, &w, &eb), CG_OK);
    assert_int_equal(store_stream_new(w, &stream), CG_OK);
    assert_int_equal(store_stream_write(stream, data, FILE_BYTES, &eb), CG_OK);
    assert_int_equal(store_stream_end(stream, &e, &eb), CG_OK);
    assert_int_equal(store_builder_new(w, &b), CG_OK);
    assert_int_equal(store_builder_add(b, &e, &eb), CG_OK);
    assert_int_equal(store_builder_end(b, &snap.root, &eb), CG_OK);
    assert_int_equal(store_snapshot_put(w, &snap, &top_score, &eb), CG_OK);
    assert_int_equal(store_commit(w, &change, 1, STORE_FINAL, &eb), CG_OK);
    store_builder_free(b);
    store_stream_free(stream);
    store_writer_close(w);
    store_close(s);
}

static int set_up(void **state)
{
    uint64_t seed = kit_seed("store_ahead", 5);
    struct cg_errbuf eb = {0};
    (void)state;
    snprintf(top, sizeof top, "/tmp/store-ahead-test.XXXXXX");
    if (!mkdtemp(top) || store_io_folder(top, false, &io, &eb) != CG_OK || kit_init(&io) != CG_OK) {
        return -1;
    }
    for (int i = 0; i < 2; i++) {
        contents[i] = malloc(FILE_BYTES);
        for (size_t at = 0; contents[i] && at < FILE_BYTES; at += 8) {
            uint64_t word = disk_random(&seed);
            memcpy(contents[i] + at, &word, sizeof word);
        }
    }
    put("a", contents[0]);
    put("b", contents[1]);
    return contents[0] && contents[1] ? 0 : -1;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int tear_down(void **state)
{
    (void)state;
    free(contents[0]);
    free(contents[1]);
    io.fini(io.ctx);
    return nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* The file of a snapshot; keep owns what it borrows. */
static void find(struct store *s, const char *name, struct store_entry *out, struct cg_str *keep)
{
    struct store_refinfo ref;
    struct store_snapshot snap;
    struct cg_errbuf eb = {0};
    assert_int_equal(store_ref_get(s, name, &ref), CG_OK);
    assert_int_equal(store_snapshot_get(s, &ref.score, &snap, &eb), CG_OK);
    assert_int_equal(store_lookup(s, &snap.root, "f", out, keep, &eb), CG_OK);
}

static void part_is(struct store *s, const struct store_entry *f, const uint8_t *want, uint64_t at)
{
    size_t n;
    struct cg_errbuf eb = {0};
    assert_int_equal(store_read(s, f, at, got, PART, &n, &eb), CG_OK);
    assert_int_equal(n, at + PART < FILE_BYTES ? PART : FILE_BYTES - at);
    assert_memory_equal(got, want + at, n);
}

static void reads_in_order(void **state)
{
    (void)state;
    struct store *s = open_ahead();
    struct cg_str keep = {0};
    struct store_entry f;
    find(s, "a", &f, &keep);
    for (uint64_t at = 0; at < FILE_BYTES; at += PART) {
        part_is(s, &f, contents[0], at);
        usleep(2000); /* a busy machine lets the thread run, too */
    }
    uint64_t taken = ahead_taken(s->ahead);
    printf("%llu of %d frames were loaded ahead\n", (unsigned long long)taken, FRAMES);
    assert_true(taken > 0 && taken <= FRAMES + 1);
    cg_str_fini(&keep);
    store_close(s);
}

/* Who goes back through a file, and asks for much at a time: what is behind the frame that a part
 * of it is in comes from the thread. */
static void much_at_a_time(void **state)
{
    (void)state;
    enum { MUCH = 3 << 19, PLACES = FILE_BYTES / MUCH, TRIES = 3000 };
    struct store *s = open_ahead();
    struct cg_str keep = {0};
    struct cg_errbuf eb = {0};
    struct store_entry f;
    uint8_t *much = malloc(MUCH);
    int tries = 0;
    assert_non_null(much);
    find(s, "b", &f, &keep);
    for (; tries < TRIES && ahead_taken(s->ahead) == 0; tries++) {
        uint64_t at = (uint64_t)(PLACES - 1 - tries % PLACES) * MUCH;
        size_t n;
        assert_int_equal(store_read(s, &f, at, much, MUCH, &n, &eb), CG_OK);
        assert_int_equal(n, MUCH);
        assert_memory_equal(much, contents[1] + at, n);
    }
    printf("%llu frames in %d reads\n", (unsigned long long)ahead_taken(s->ahead), tries);
    assert_true(tries < TRIES);
    free(much);
    cg_str_fini(&keep);
    store_close(s);
}

/* Two that take turns, each in order, and each now and then somewhere else. */
static void two_readers(void **state)
{
    (void)state;
    uint64_t seed = 9, at[2] = {0};
    struct store *s = open_ahead();
    struct cg_str keep[2] = {{0}};
    struct store_entry f[2];
    find(s, "a", &f[0], &keep[0]);
    find(s, "b", &f[1], &keep[1]);
    for (int i = 0; i < 1000; i++) {
        uint64_t r = disk_random(&seed);
        int who = r & 1;
        if ((r >> 8) % 40 == 0 || at[who] >= FILE_BYTES) {
            at[who] = (r >> 16) % FILE_BYTES;
        }
        part_is(s, &f[who], contents[who], at[who]);
        at[who] += PART;
    }
    cg_str_fini(&keep[0]);
    cg_str_fini(&keep[1]);
    store_close(s);
}

static void closed_while_it_loads(void **state)
{
    (void)state;
    for (uint32_t parts = 12; parts < 32; parts++) {
        struct store *s = open_ahead();
        struct cg_str keep = {0};
        struct store_entry f;
        find(s, "b", &f, &keep);
        for (uint32_t i = 0; i < parts; i++) {
            part_is(s, &f, contents[1], (uint64_t)i * PART);
        }
        cg_str_fini(&keep);
        store_close(s);
    }
}

/* Flips one bit in the middle of a pack, or flips it back. */
static void damage(uint32_t pack)
{
    char path[128];
    uint8_t byte;
    snprintf(path, sizeof path, "%s/packs/%08x", top, pack);
    FILE *f = fopen(path, "r+b");
    assert_non_null(f);
    assert_int_equal(fseek(f, FILE_BYTES / 2, SEEK_SET), 0);
    assert_int_equal(fread(&byte, 1, 1, f), 1);
    byte ^= 4;
    assert_int_equal(fseek(f, FILE_BYTES / 2, SEEK_SET), 0);
    assert_int_equal(fwrite(&byte, 1, 1, f), 1);
    assert_int_equal(fclose(f), 0);
}

static void damage_is_told_where_it_is(void **state)
{
    (void)state;
    struct store *s = open_ahead();
    struct cg_str keep = {0};
    struct cg_errbuf eb = {0};
    struct store_entry f;
    uint32_t bad = 0;
    size_t n;
    find(s, "a", &f, &keep);
    uint32_t pack = s->last[STORE_NODE].pack;
    damage(pack);
    for (uint64_t at = 0; at < FILE_BYTES; at += PART) {
        cg_err e = store_read(s, &f, at, got, PART, &n, &eb);
        bad += e != CG_OK;
        assert_true(e == CG_OK || e == CG_EIO);
        if (e == CG_OK) {
            assert_memory_equal(got, contents[0] + at, n);
        }
    }
    assert_true(bad > 0 && bad <= FRAME_RAW_BYTES / PART + 2); /* one frame's, and where it ends */
    damage(pack);
    for (uint64_t at = 0; at < FILE_BYTES; at += PART) {
        part_is(s, &f, contents[0], at);
    }
    cg_str_fini(&keep);
    store_close(s);
}

/* The one that collects follows a pack itself, which goes. The last test: a is gone. */
static void packs_go(void **state)
{
    (void)state;
    struct store *s = open_ahead();
    struct store_writer *w;
    struct store_refinfo ref;
    struct store_collected c;
    struct cg_str keep = {0};
    struct store_entry f;
    struct cg_errbuf eb = {0};
    find(s, "a", &f, &keep);
    for (uint64_t at = 0; at < FILE_BYTES / 2; at += PART) {
        part_is(s, &f, contents[0], at);
    }
    assert_int_equal(store_ref_get(s, "a", &ref), CG_OK);
    struct store_ref_change change = {.name = "a", .epoch = ref.epoch};
    assert_int_equal(store_writer_open(s, "test", STORE_PLAIN, &w, &eb), CG_OK);
    assert_int_equal(store_commit(w, &change, 1, STORE_FINAL, &eb), CG_OK);
    store_writer_close(w);
    assert_int_equal(store_collect(s, false, NULL, &c, &eb), CG_OK);
    assert_true(c.objects > FILE_BYTES / STORE_CHUNK_BYTES_MAX);
    size_t n;
    assert_int_not_equal(store_read(s, &f, FILE_BYTES / 2, got, PART, &n, &eb), CG_OK);
    cg_str_fini(&keep);
    find(s, "b", &f, &keep);
    for (uint64_t at = 0; at < FILE_BYTES; at += PART) {
        part_is(s, &f, contents[1], at);
    }
    cg_str_fini(&keep);
    store_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_in_order),
        cmocka_unit_test(much_at_a_time),
        cmocka_unit_test(two_readers),
        cmocka_unit_test(closed_while_it_loads),
        cmocka_unit_test(damage_is_told_where_it_is),
        cmocka_unit_test(packs_go),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
