/* Everything that can fail, fails: each call of the disk once, each allocation once, the disk's
 * space; and two that want one tree. A failure is an error, never a crash; the tree is then as it
 * was or as it was to be, and what was acknowledged is there. */
#include "../store/tree_testkit.h"
#include "work_testkit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CALL_STEP_QUICK = 37, ALLOC_STEP_QUICK = 1999, ALLOC_STEP_FULL = 29, MANY = UINT16_MAX };

static struct disk *fresh;
static uint64_t seed;

static int set_up(void **state)
{
    struct work r;
    (void)state;
    seed = kit_seed("active_fault", 99);
    shadow_write_max = ACTIVE_WRITE_BYTES - 1;
    fresh = disk_new();
    world_init(fresh);
    struct disk *dry = disk_copy(fresh);
    work_run(dry, &r, seed, true, NULL);
    disk_free(dry);
    return r.done == WORK_STEPS ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    work_text_fini();
    disk_free(fresh);
    return 0;
}

static struct disk *at_work; /* NULL: it is not the disk that fails */

/* A tree that was not lost is what its changes have made, and can be committed. */
static void still_good(struct world *w, struct work *r)
{
    struct cg_str got = {0};
    cg_alloc_fail_at(0);
    if ((at_work && !disk_failed(at_work)) || active_renew(w->t, NULL) != CG_OK) {
        return;
    }
    active_text(w->t, &got);
    assert_true(work_equal(&got, &work_text[r->done]));
    cg_err e = active_commit(w->t, NULL, NULL);
    if (!e) {
        active_text(w->t, &got);
        assert_true(work_equal(&got, &work_text[r->done]));
    }
    cg_str_fini(&got);
}

static void each_call_of_the_disk(void **state)
{
    (void)state;
    uint64_t failed = 0;
    for (uint64_t at = 1;; at += kit_full() ? 1 : CALL_STEP_QUICK) {
        struct work r;
        struct disk *d = disk_copy(fresh);
        disk_fail_at(d, at);
        at_work = d;
        work_run(d, &r, seed, false, still_good);
        bool came = disk_failed(d);
        at_work = NULL;
        disk_fail_at(d, 0);
        if (!work_verify(d, &r, r.done)) {
            fprintf(stderr, "after call %llu had failed\n", (unsigned long long)at);
            fail();
        }
        disk_free(d);
        if (!came) {
            break;
        }
        failed++;
    }
    assert_true(failed > 10);
    printf("active_fault: %llu calls of the disk failed\n", (unsigned long long)failed);
}

static void each_allocation(void **state)
{
    (void)state;
    uint64_t failed = 0;
    for (uint64_t at = 1;; at += kit_full() ? ALLOC_STEP_FULL : ALLOC_STEP_QUICK) {
        struct work r;
        struct disk *d = disk_copy(fresh);
        cg_alloc_fail_at(at);
        work_run(d, &r, seed, false, still_good);
        cg_alloc_fail_at(0);
        bool all = r.e == CG_OK && r.done == WORK_STEPS;
        if (!work_verify(d, &r, r.done)) {
            fprintf(stderr, "after allocation %llu had failed\n", (unsigned long long)at);
            fail();
        }
        disk_free(d);
        failed += !all;
        if (all && at > MANY) {
            break;
        }
    }
    printf("active_fault: %llu runs ended by an allocation\n", (unsigned long long)failed);
}

/* ---- a write of many frames ---- */

enum { LONG_FRAMES = STORE_JOURNAL_GROUP_MAX + 1, LONG_BYTES = LONG_FRAMES * ACTIVE_WRITE_BYTES };

static uint8_t long_bytes[LONG_BYTES], long_got[LONG_BYTES + 1];

static void make_long(struct world *w, struct active_node **n)
{
    struct active_make m = {.kind = STORE_FILE, .mode = 0644};
    uint64_t random = seed;
    for (size_t i = 0; i < sizeof long_bytes; i += sizeof random) {
        uint64_t r = disk_random(&random);
        memcpy(long_bytes + i, &r, sizeof r);
    }
    assert_int_equal(active_create(w->t, active_root(w->t), cg_span_of("f"), &m, false, n, NULL),
                     CG_OK);
}

/* The file holds the first of these bytes: as many as it has. */
static size_t long_of(struct world *w, struct active_node *n)
{
    size_t len;
    assert_int_equal(active_read(w->t, n, 0, long_got, sizeof long_got, &len, NULL), CG_OK);
    assert_true(len <= LONG_BYTES && len % ACTIVE_WRITE_BYTES == 0);
    assert_memory_equal(long_got, long_bytes, len);
    return len;
}

/* The same after the process was killed. */
static size_t long_after(struct disk *d)
{
    struct world w;
    struct active_node *n;
    struct disk *after = disk_copy(d);
    assert_int_equal(world_open(&w, after), CG_OK);
    assert_int_equal(active_lookup(w.t, active_root(w.t), cg_span_of("f"), &n, NULL), CG_OK);
    size_t len = long_of(&w, n);
    active_put(w.t, n);
    world_close(&w);
    disk_free(after);
    return len;
}

/* stop: the disk does nothing more from the call that fails on. False: it did not come. */
static bool long_write(uint64_t at, bool stop)
{
    const struct cg_span all = {.data = long_bytes, .len = LONG_BYTES};
    struct world w;
    struct active_node *n;
    uint32_t done, more;
    struct disk *d = disk_copy(fresh);
    assert_int_equal(world_open(&w, d), CG_OK);
    make_long(&w, &n);
    (stop ? disk_stop_at : disk_fail_at)(d, at);
    cg_err e = active_write(w.t, n, 0, all, UINT32_MAX, &done, NULL);
    disk_fail_at(d, 0);
    bool came = e != CG_OK;
    assert_int_equal(done % ACTIVE_WRITE_BYTES, 0);
    assert_true(came ? done < LONG_BYTES : done == LONG_BYTES);
    if (!stop) { /* a disk that stands still is not read either */
        assert_int_equal(long_of(&w, n), done);
    }
    /* What failed is nowhere, or whole where the disk stood still, and nothing follows it. */
    size_t left = long_after(d);
    assert_true(left == done || (stop && left == done + ACTIVE_WRITE_BYTES));
    if (came && !stop) { /* and the next stands in its place */
        struct cg_span rest = {.data = long_bytes + done, .len = LONG_BYTES - done};
        assert_int_equal(active_write(w.t, n, done, rest, UINT32_MAX, &more, NULL), CG_OK);
        assert_int_equal(long_after(d), LONG_BYTES);
    }
    active_put(w.t, n);
    world_close(&w);
    disk_free(d);
    return came;
}

static void a_long_write(void **state)
{
    (void)state;
    uint64_t failed = 0;
    for (int stop = 0; stop < 2; stop++) {
        for (uint64_t at = 1; long_write(at, stop); at++) {
            failed++;
        }
    }
    assert_true(failed >= 2 * (uint64_t)LONG_FRAMES);
}

/* ---- the disk's space ---- */

static void a_full_disk(void **state)
{
    (void)state;
    static uint8_t block[50000];
    struct world w;
    struct active_node *n;
    struct active_make m = {.kind = STORE_FILE, .mode = 0644};
    struct cg_str before = {0}, after = {0};
    uint32_t done;
    uint64_t at = 0, random = seed;
    cg_err e = CG_OK;
    struct disk *d = disk_copy(fresh);
    assert_int_equal(world_open(&w, d), CG_OK);
    assert_int_equal(active_create(w.t, active_root(w.t), cg_span_of("f"), &m, false, &n, NULL),
                     CG_OK);
    disk_limit(d, disk_bytes(d) + ACTIVE_SPACE_MARGIN + (4 << 20));
    while (e == CG_OK && at < 100 << 20) {
        for (size_t i = 0; i < sizeof block; i += sizeof random) {
            uint64_t r = disk_random(&random);
            memcpy(block + i, &r, sizeof r);
        }
        struct cg_span data = {.data = block, .len = sizeof block};
        at = at % 200000; /* contents are few, the journal is long */
        e = active_write(w.t, n, at, data, UINT32_MAX, &done, NULL);
        at += done;
    }
    assert_int_equal(e, CG_ENOSPC);
    active_text(w.t, &before);
    assert_int_equal(active_sync(w.t, NULL), CG_OK);
    /* There is room for the commit, which makes room for more. */
    assert_int_equal(active_commit(w.t, "full@1", NULL), CG_OK);
    active_text(w.t, &after);
    assert_true(work_equal(&before, &after));
    snapshot_text(w.writes, "full@1", &after);
    assert_true(work_equal(&before, &after));
    struct cg_span data = {.data = block, .len = sizeof block};
    assert_int_equal(active_write(w.t, n, 0, data, UINT32_MAX, &done, NULL), CG_OK);
    assert_int_equal(active_remove(w.t, active_root(w.t), cg_span_of("f"), false, NULL), CG_OK);
    active_put(w.t, n);
    world_close(&w);
    assert_int_equal(world_open(&w, d), CG_OK);
    active_text(w.t, &after);
    assert_true(work_equal(&after, &work_text[0]));
    world_close(&w);
    cg_str_fini(&before);
    cg_str_fini(&after);
    disk_free(d);
}

/* ---- two that want one tree ---- */

static uint64_t clock_ns;
static uint64_t now_of_clock(void *ctx)
{
    (void)ctx;
    return clock_ns;
}
static void random_of_env(void *ctx, void *out, size_t bytes)
{
    (void)ctx;
    cg_env_real.random(NULL, out, bytes);
}
static const struct cg_env env = {
    .now_ns = now_of_clock, .wall_ns = now_of_clock, .random = random_of_env};

struct side {
    struct store *reads, *writes;
    struct active *t;
};

static bool is_gone(void *aux, const char *who)
{
    return strcmp(who, aux) == 0;
}

static cg_err open_side(struct side *v, const struct store_io *io, const char *who,
                        const char *gone)
{
    static const struct store_secret secret = {.kind = STORE_PASSPHRASE, .text = "test"};
    struct store_options o = kit_options();
    o.env = &env;
    assert_int_equal(store_open(io, &o, &secret, &v->reads, NULL), CG_OK);
    assert_int_equal(store_open(io, &o, &secret, &v->writes, NULL), CG_OK);
    struct active_config c = {.reads = v->reads,
                              .writes = v->writes,
                              .who = who,
                              .gone = gone ? is_gone : NULL,
                              .aux = (void *)(uintptr_t)gone};
    cg_err e = active_open(&c, &v->t, NULL);
    if (e) {
        store_close(v->writes);
        store_close(v->reads);
    }
    return e;
}

static void close_side(struct side *v)
{
    active_close(v->t);
    store_close(v->writes);
    store_close(v->reads);
}

static cg_err make_one(struct side *v, const char *name)
{
    struct active_node *n;
    struct active_make m = {.kind = STORE_FILE, .mode = 0644, .data = cg_span_of(name)};
    cg_err e = active_create(v->t, active_root(v->t), cg_span_of(name), &m, false, &n, NULL);
    if (!e) {
        active_put(v->t, n);
    }
    return e;
}

static bool has(struct side *v, const char *name)
{
    struct active_node *n;
    cg_err e = active_lookup(v->t, active_root(v->t), cg_span_of(name), &n, NULL);
    if (!e) {
        active_put(v->t, n);
    }
    return e == CG_OK;
}

static void one_holder_at_a_time(void **state)
{
    (void)state;
    enum { MINUTE_S = 60 };
    const uint64_t minute = MINUTE_S * UINT64_C(1000000000);
    struct side a, b;
    struct active_job *j;
    struct disk *d = disk_copy(fresh);
    struct store_io io = disk_io(d);
    clock_ns = 1000 * minute;
    assert_int_equal(open_side(&a, &io, "a", NULL), CG_OK);
    assert_int_equal(open_side(&b, &io, "b", "c"), CG_EBUSY);
    assert_int_equal(make_one(&a, "one"), CG_OK);
    assert_int_equal(active_sync(a.t, NULL), CG_OK);
    clock_ns += 4 * minute;
    assert_int_equal(active_renew(a.t, NULL), CG_OK);
    clock_ns += 4 * minute;
    assert_int_equal(open_side(&b, &io, "b", "c"), CG_EBUSY);
    assert_int_equal(active_freeze(a.t, NULL, &j, NULL), CG_OK);
    /* It is away for too long. What it had acknowledged is there, what it does now is refused. */
    clock_ns += 2 * minute;
    assert_int_equal(open_side(&b, &io, "b", NULL), CG_OK);
    assert_true(has(&b, "one"));
    assert_int_equal(active_sync(a.t, NULL), CG_EEXPIRED);
    assert_int_equal(make_one(&a, "late"), CG_EEXPIRED);
    active_job_run(j);
    assert_int_not_equal(active_job_done(a.t, j, 0, NULL), CG_OK);
    assert_int_equal(make_one(&b, "two"), CG_OK);
    assert_int_equal(active_commit(b.t, NULL, NULL), CG_OK);
    close_side(&a);
    assert_int_equal(active_sync(b.t, NULL), CG_OK);
    assert_true(has(&b, "one") && has(&b, "two") && !has(&b, "late"));
    /* Who is known to be no more is not waited for. */
    struct side c;
    assert_int_equal(open_side(&c, &io, "c", "b"), CG_OK);
    assert_true(has(&c, "two"));
    close_side(&c);
    close_side(&b);
    disk_free(d);
}

/* A server that was killed while it committed: the commit's own lease, which nobody can tell to be
 * over, is in nobody's way. */
static void killed_in_a_commit(void **state)
{
    (void)state;
    struct side a, b;
    struct active_job *j;
    struct store_writer *w;
    struct disk *d = disk_copy(fresh);
    struct store_io io = disk_io(d);
    assert_int_equal(open_side(&a, &io, "a", NULL), CG_OK);
    assert_int_equal(make_one(&a, "one"), CG_OK);
    assert_int_equal(active_freeze(a.t, NULL, &j, NULL), CG_OK);
    assert_int_equal(store_writer_open(a.writes, ACTIVE_REF " commit", STORE_DEFAULT, &w, NULL),
                     CG_OK);
    struct disk *left = disk_copy(d); /* what the killed one leaves */
    struct store_io left_io = disk_io(left);
    store_writer_close(w);
    active_job_run(j);
    assert_int_equal(active_job_done(a.t, j, 0, NULL), CG_OK);
    close_side(&a);
    assert_int_equal(open_side(&b, &left_io, "b", NULL), CG_EBUSY);
    assert_int_equal(open_side(&b, &left_io, "b", "a"), CG_OK);
    assert_true(has(&b, "one"));
    close_side(&b);
    disk_free(left);
    disk_free(d);
}

/* ---- deep trees ---- */

/* Held; the deepest of so many directories, one in the other. */
static struct active_node *make_chain(struct world *w, int depth, const char *name)
{
    struct active_make m = {.kind = STORE_DIR, .mode = 0755};
    struct active_node *at = active_get(active_root(w->t)), *next;
    for (int i = 0; i < depth; i++) {
        assert_int_equal(active_create(w->t, at, cg_span_of(name), &m, false, &next, NULL), CG_OK);
        active_put(w->t, at);
        at = next;
    }
    return at;
}

/* Held; so many directories down. */
static struct active_node *go_down(struct world *w, int depth, const char *name)
{
    struct active_node *at = active_get(active_root(w->t)), *next;
    for (int i = 0; i < depth; i++) {
        assert_int_equal(active_lookup(w->t, at, cg_span_of(name), &next, NULL), CG_OK);
        active_put(w->t, at);
        at = next;
    }
    return at;
}

static void deep_trees(void **state)
{
    (void)state;
    enum { DEEP = 60000, LOGGED = 10000, LONG = 1200 }; /* DEEP: more than a stack takes */
    char name[STORE_NAME_BYTES_MAX + 1];
    struct world w;
    struct active_node *at, *n;
    struct active_make m = {.kind = STORE_FILE, .mode = 0644};
    struct disk *d = disk_copy(fresh);
    assert_int_equal(world_open(&w, d), CG_OK);
    /* A file of two names below more directories than a path has. */
    at = make_chain(&w, DEEP, "d");
    assert_int_equal(active_create(w.t, at, cg_span_of("f"), &m, false, &n, NULL), CG_OK);
    assert_int_equal(active_link(w.t, n, active_root(w.t), cg_span_of("top"), NULL), CG_OK);
    active_put(w.t, n);
    assert_int_equal(active_commit(w.t, NULL, NULL), CG_OK);
    assert_int_equal(active_create(w.t, at, cg_span_of("g"), &m, false, &n, NULL),
                     CG_ENAMETOOLONG); /* as below */
    active_put(w.t, at);
    at = go_down(&w, LOGGED, "d");
    assert_int_equal(active_create(w.t, at, cg_span_of("g"), &m, false, &n, NULL), CG_OK);
    active_put(w.t, n);
    active_put(w.t, at);
    assert_int_equal(active_commit(w.t, NULL, NULL), CG_OK);
    /* A way that is too long for one frame: that change is refused, others are not. */
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    at = make_chain(&w, LONG, name);
    assert_int_equal(active_commit(w.t, NULL, NULL), CG_OK);
    assert_int_equal(active_create(w.t, at, cg_span_of("f"), &m, false, &n, NULL), CG_ENAMETOOLONG);
    active_put(w.t, at);
    assert_int_equal(active_create(w.t, active_root(w.t), cg_span_of("g"), &m, false, &n, NULL),
                     CG_OK);
    active_put(w.t, n);
    assert_int_equal(active_commit(w.t, NULL, NULL), CG_OK);
    world_close(&w);
    assert_int_equal(world_open(&w, d), CG_OK);
    struct active_attr a;
    assert_int_equal(active_lookup(w.t, active_root(w.t), cg_span_of("top"), &n, NULL), CG_OK);
    active_stat(n, &a);
    assert_int_equal(a.nlink, 2);
    active_put(w.t, n);
    world_close(&w);
    disk_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_call_of_the_disk),
        cmocka_unit_test(each_allocation),
        cmocka_unit_test(a_long_write),
        cmocka_unit_test(a_full_disk),
        cmocka_unit_test(one_holder_at_a_time),
        cmocka_unit_test(killed_in_a_commit),
        cmocka_unit_test(deep_trees),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
