/* fsync of the active tree, as its server does it on a thread: here the test is the thread. What is
 * acknowledged is durable, what comes meanwhile goes on, and who asked may go. */
#include "../../srv/storefs/storefs.h"
#include "../fs/rig.h"
#include "shadow_testkit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { OWNER_UID = 1000, CRASHES = 20 };
#define HOST_USER (UINT64_C(1) << 63)

const struct rig_kind rig_kind = {.name = "storefs"}; /* for rig_new, which is not called */

struct server {
    struct disk *disk;
    struct world w;
    struct storefs *fs;
    struct rig *rig;
    struct rig_client *client;
    struct active_flush *flush; /* begun, not run */
    int begun;
};

static void keep_flush(void *aux, struct active_flush *f)
{
    struct server *s = aux;
    assert_null(s->flush);
    s->flush = f;
    s->begun++;
}

static void run_flush(struct server *s)
{
    struct active_flush *f = s->flush;
    s->flush = NULL;
    assert_non_null(f);
    active_flush_run(f);
    storefs_flush_done(s->fs, f);
}

static void end_flush(struct server *s)
{
    run_flush(s);
    rig_settle(s->rig, 1);
}

static int set_up(void **state)
{
    struct server *s = cg_zalloc(sizeof *s);
    const struct storefs_live live = {.flush = keep_flush, .aux = s};
    s->disk = disk_new();
    world_init(s->disk);
    assert_int_equal(world_open(&s->w, s->disk), CG_OK);
    assert_int_equal(storefs_new(s->w.reads, HOST_USER | OWNER_UID, &s->fs, NULL), CG_OK);
    storefs_serve_active(s->fs, s->w.t, &live);
    s->rig = rig_around(&storefs_ops, s->fs, rig_bare());
    s->client = rig_attach(s->rig, OWNER_UID, "active");
    *state = s;
    return 0;
}

static int tear_down(void **state)
{
    struct server *s = *state;
    rig_free_bare(s->rig);
    if (s->flush) {
        run_flush(s);
    }
    storefs_free(s->fs);
    rig_close_loop(s->rig);
    world_close(&s->w);
    disk_free(s->disk);
    cg_free(s);
    return 0;
}

struct asked {
    bool done;
    cg_err e;
    uint64_t call;
};

static void on_done(void *aux, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    struct asked *a = aux;
    (void)r;
    (void)detail;
    assert_false(a->done);
    a->done = true;
    a->e = e;
}

/* Asks for a sync, and does not wait. */
static void ask(struct server *s, uint32_t fid, struct asked *a)
{
    const struct ninep_call call = {
        .type = NINEP_TFSYNC, .t.fsync.fid = fid, .done = on_done, .aux = a};
    *a = (struct asked){0};
    a->call = ninep_client_call(s->client->client, &call);
    rig_settle(s->rig, 1);
}

static uint32_t file(struct server *s, const char *name)
{
    uint32_t fid;
    assert_int_equal(rig_create(s->client, name, NINEP_OPEN_RDWR, 0644, &fid), CG_OK);
    return fid;
}

static void put(struct server *s, uint32_t fid, const char *text)
{
    uint32_t n;
    assert_int_equal(rig_write(s->client, fid, 0, text, (uint32_t)strlen(text), &n), CG_OK);
}

/* After any crash the file holds this text. */
static void is_durable(struct server *s, const char *name, const char *text)
{
    for (uint64_t seed = 1; seed <= CRASHES; seed++) {
        struct disk *after = disk_crash(s->disk, seed);
        struct world w;
        struct active_node *n;
        uint8_t got[64];
        size_t len;
        assert_int_equal(world_open(&w, after), CG_OK);
        assert_int_equal(active_lookup(w.t, active_root(w.t), cg_span_of(name), &n, NULL), CG_OK);
        assert_int_equal(active_read(w.t, n, 0, got, sizeof got, &len, NULL), CG_OK);
        assert_int_equal(len, strlen(text));
        assert_memory_equal(got, text, len);
        active_put(w.t, n);
        world_close(&w);
        disk_free(after);
    }
}

static void what_is_acknowledged_is_durable(void **state)
{
    struct server *s = *state;
    struct asked a;
    uint32_t f = file(s, "f");
    put(s, f, "one");
    ask(s, f, &a);
    assert_false(a.done);
    end_flush(s);
    assert_true(a.done);
    assert_int_equal(a.e, CG_OK);
    is_durable(s, "f", "one");
    rig_clunk(s->client, f);
}

/* Others go on meanwhile; who asks then waits for a sync of his own, which others share. */
static void one_at_a_time(void **state)
{
    struct server *s = *state;
    struct asked a, b, c;
    char text[8];
    uint32_t f = file(s, "f"), n;
    put(s, f, "one");
    ask(s, f, &a);
    put(s, f, "two");
    assert_int_equal(rig_read(s->client, f, 0, text, sizeof text, &n), CG_OK);
    assert_memory_equal(text, "two", 3);
    ask(s, f, &b);
    ask(s, f, &c);
    assert_int_equal(s->begun, 1);
    end_flush(s);
    assert_true(a.done && !b.done && !c.done);
    assert_int_equal(s->begun, 2);
    end_flush(s);
    assert_true(b.done && c.done);
    assert_int_equal(a.e, CG_OK);
    assert_int_equal(b.e, CG_OK);
    assert_int_equal(c.e, CG_OK);
    assert_int_equal(s->begun, 2);
    is_durable(s, "f", "two");
    rig_clunk(s->client, f);
}

/* A commit ends the segment that is being synced, and does with it. */
static void commit_meanwhile(void **state)
{
    struct server *s = *state;
    struct asked a;
    uint32_t f = file(s, "f");
    put(s, f, "one");
    ask(s, f, &a);
    assert_int_equal(active_commit(s->w.t, NULL, NULL), CG_OK);
    put(s, f, "two");
    assert_int_equal(active_commit(s->w.t, NULL, NULL), CG_OK);
    end_flush(s);
    assert_true(a.done);
    assert_int_equal(a.e, CG_OK);
    ask(s, f, &a);
    end_flush(s);
    assert_true(a.done);
    is_durable(s, "f", "two");
    rig_clunk(s->client, f);
}

/* And no later sync says that all is well, until a commit has what the disk forgot. */
static void failure_is_told(void **state)
{
    struct server *s = *state;
    struct asked a, b, c;
    uint32_t f = file(s, "f");
    put(s, f, "one");
    ask(s, f, &a);
    ask(s, f, &b);
    disk_fail_at(s->disk, 1);
    end_flush(s);
    assert_true(a.done && b.done);
    assert_int_equal(a.e, CG_EIO);
    assert_int_equal(b.e, CG_EIO);
    put(s, f, "two");
    ask(s, f, &c);
    assert_true(c.done);
    assert_int_equal(c.e, CG_EIO);
    assert_int_equal(active_commit(s->w.t, NULL, NULL), CG_OK);
    ask(s, f, &c);
    end_flush(s);
    assert_true(c.done);
    assert_int_equal(c.e, CG_OK);
    is_durable(s, "f", "two");
    rig_clunk(s->client, f);
}

static void cancelled(void **state)
{
    struct server *s = *state;
    struct asked a, b, c;
    uint32_t f = file(s, "f");
    put(s, f, "one");
    ask(s, f, &a);
    ask(s, f, &b);
    ask(s, f, &c);
    ninep_client_cancel(s->client->client, b.call);
    rig_settle(s->rig, 1);
    assert_true(b.done);
    assert_int_equal(b.e, CG_ECANCELED);
    ninep_client_cancel(s->client->client, a.call);
    rig_settle(s->rig, 1);
    assert_true(a.done);
    assert_int_equal(a.e, CG_ECANCELED);
    end_flush(s);
    assert_false(c.done);
    end_flush(s);
    assert_true(c.done);
    assert_int_equal(c.e, CG_OK);
    is_durable(s, "f", "one");
    rig_clunk(s->client, f);
}

/* The file is closed, and removed, while it is being synced; then the server ends. */
static void closed_meanwhile(void **state)
{
    struct server *s = *state;
    static struct asked a; /* outlives the test */
    uint32_t f = file(s, "f");
    put(s, f, "one");
    ask(s, f, &a);
    rig_clunk(s->client, f);
    assert_int_equal(rig_remove(s->client, "f", false), CG_OK);
    end_flush(s);
    assert_true(a.done);
    assert_int_equal(a.e, CG_OK);
    f = file(s, "g");
    put(s, f, "two");
    ask(s, f, &a); /* tear_down: the sessions are gone before this is done */
    assert_false(a.done);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_acknowledged_is_durable),
        TEST(one_at_a_time),
        TEST(commit_meanwhile),
        TEST(failure_is_told),
        TEST(cancelled),
        TEST(closed_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
