/* Open files: errors that come late, sessions that are lost, deadlines, cancelling, and what the
 * kernel side may keep. Reading is in bulk_test.c. */
#include "nstest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { RTT_NS = 50000000 };
static const uint64_t second_ns = 1000000000;

static struct t_world world;
static struct t_user user, other;
static struct t_server *server;

static int setup(void **state)
{
    (void)state;
    t_world_init(&world, 1, RTT_NS);
    server = t_serve(&world, "alpha!hostfs");
    assert_int_equal(t_user_mount(&user, &world), CG_OK);
    assert_int_equal(t_user_mount(&other, &world), CG_OK);
    assert_int_equal(t_mkdir(&user, "/d"), CG_OK);
    assert_int_equal(t_put(&user, "/d/a", "hello"), CG_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    t_world_fini(&world);
    return 0;
}

static void read_is(struct ns_file *f, uint64_t at, const char *text)
{
    char got[64];
    size_t n;
    assert_int_equal(t_pread(&user, f, at, sizeof got - 1, got, &n), CG_OK);
    got[n] = '\0';
    assert_string_equal(got, text);
}

/* ---- errors that come late */

static uint8_t fail_type;

static bool fail_some(void *ctx, struct ninep_req *r)
{
    (void)ctx;
    if (r->type == fail_type) {
        ninep_respond(r, CG_ENOSPC);
        return true;
    }
    return false;
}

static void write_error_at_flush(void **state)
{
    (void)state;
    struct ns_file *f;
    memfs_defer(server->fs, fail_some, NULL);
    assert_int_equal(t_open(&user, "/d/a", NINEP_OPEN_RDWR, &f, NULL), CG_OK);
    fail_type = NINEP_TWRITE;
    assert_int_equal(t_pwrite(&user, f, 0, "12345", 5), CG_OK);
    assert_int_equal(t_pwrite(&user, f, 5, "67890", 5), CG_OK);
    assert_int_equal(t_flush(&user, f), CG_ENOSPC);
    assert_int_equal(t_flush(&user, f), CG_OK); /* it was told */
    fail_type = 0;
    assert_int_equal(t_pwrite(&user, f, 0, "HE", 2), CG_OK); /* in a new chain */
    assert_int_equal(t_flush(&user, f), CG_OK);
    read_is(f, 0, "HEllo");
    ns_close(user.ns, f);
}

static void create_error_at_flush(void **state)
{
    (void)state;
    struct ns_file *f;
    struct ns_stat st;
    char names[64];
    memfs_defer(server->fs, fail_some, NULL);
    assert_int_equal(t_stat(&user, "/d/new", &st), CG_ENOENT); /* the listing is known now */
    uint64_t before = sim_now(world.sim);
    fail_type = NINEP_TCREATE;
    assert_int_equal(t_create(&user, "/d/new", NINEP_OPEN_WRITE, &f), CG_OK);
    assert_int_equal(t_pwrite(&user, f, 0, "x", 1), CG_OK);
    assert_true(sim_now(world.sim) == before); /* nothing was waited for */
    assert_int_equal(t_flush(&user, f), CG_ENOSPC);
    fail_type = 0;
    assert_int_equal(t_stat(&user, "/d/new", &st), CG_ENOENT);
    assert_int_equal(t_ls(&user, "/d", false, names, sizeof names), CG_OK);
    assert_string_equal(names, "a ");
    assert_int_equal(t_pwrite(&user, f, 0, "x", 1), CG_ENOSPC);
    ns_close(user.ns, f);
    assert_int_equal(t_put(&user, "/d/new", "now"), CG_OK);
    assert_int_equal(t_stat(&user, "/d/new", &st), CG_OK);
    assert_int_equal(st.attr.size, 3);
}

static void on_attr(void *aux, cg_err e, const struct ns_stat *st, const char *detail)
{
    (void)detail;
    assert_int_equal(e, CG_OK);
    *(struct ns_stat *)aux = *st;
}

/* What was made early tells its attributes at once while it is empty; then it waits for the true
 * ones. The kernel side needs not be told of these: it believed the others for a moment only. */
static void attributes_of_the_unborn(void **state)
{
    (void)state;
    struct ns_file *f;
    struct ns_stat st = {0};
    assert_int_equal(t_stat(&user, "/d/new", &st), CG_ENOENT); /* the listing is known now */
    uint32_t told = user.invalidated;
    assert_int_equal(t_create(&user, "/d/new", NINEP_OPEN_WRITE, &f), CG_OK);
    assert_true(ns_file_unborn(f));
    ns_getattr(user.ns, ns_file_node(f), on_attr, &st);
    assert_int_not_equal(st.attr.mode, 0);
    assert_int_equal(st.attr.size, 0);
    assert_true(st.until_ns == 0);
    assert_true(ns_file_unborn(f));
    assert_int_equal(t_pwrite(&user, f, 0, "12", 2), CG_OK);
    st = (struct ns_stat){0};
    ns_getattr(user.ns, ns_file_node(f), on_attr, &st);
    assert_int_equal(st.attr.mode, 0); /* it waits */
    assert_int_equal(t_flush(&user, f), CG_OK);
    t_run(&world, 2 * (uint64_t)RTT_NS);
    assert_int_equal(st.attr.size, 2);
    assert_int_equal(user.invalidated, told);
    ns_close(user.ns, f);
}

/* ---- lost sessions */

static void reopened(void **state)
{
    (void)state;
    struct ns_file *f, *gone;
    struct ns_stat st;
    char got[64];
    assert_int_equal(t_put(&user, "/d/b", "bye"), CG_OK);
    assert_int_equal(t_open(&user, "/d/a", NINEP_OPEN_RDWR, &f, NULL), CG_OK);
    assert_int_equal(t_open(&user, "/d/b", NINEP_OPEN_RDWR, &gone, NULL), CG_OK);
    read_is(f, 0, "hello");
    t_server_restart(server);
    read_is(f, 1, "ello");
    t_server_restart(server);
    assert_int_equal(t_remove(&other, "/d/b", false), CG_OK);
    assert_int_equal(t_put(&other, "/d/b", "another file"), CG_OK);
    size_t n;
    assert_int_equal(t_pread(&user, gone, 0, 10, got, &n), CG_ESTALE);
    assert_int_equal(t_pwrite(&user, f, 0, "J", 1), CG_OK);
    assert_int_equal(t_flush(&user, f), CG_OK);
    assert_int_equal(t_cat(&other, "/d/a", got, sizeof got), CG_OK);
    assert_string_equal(got, "Jello");
    assert_int_equal(t_cat(&user, "/d/b", got, sizeof got), CG_OK);
    assert_string_equal(got, "another file");
    assert_int_equal(t_stat(&user, "/d/a", &st), CG_OK);
    ns_close(user.ns, f);
    ns_close(user.ns, gone);
}

/* A server whose root is made anew at each start: what is below it is found all the same. */
static void reopened_below_another_root(void **state)
{
    (void)state;
    struct ns_file *f;
    assert_int_equal(t_open(&user, "/d/a", NINEP_OPEN_RDWR, &f, NULL), CG_OK);
    read_is(f, 0, "hello");
    memfs_other_root(server->fs);
    t_server_restart(server);
    read_is(f, 1, "ello");
    assert_int_equal(t_put(&user, "/d/new", "x"), CG_OK);
    ns_close(user.ns, f);
}

struct outcome {
    bool done;
    cg_err e;
};

static void outcome(void *aux, cg_err e, const char *detail)
{
    struct outcome *o = aux;
    (void)detail;
    assert_false(o->done);
    o->done = true;
    o->e = e;
}

static void unknown_outcome(void **state)
{
    (void)state;
    cg_err e;
    struct outcome o = {0};
    struct ns_node *d = t_walk(&user, "/d", &e);
    ns_remove(user.ns, d, "a", false, outcome, &o);
    t_run(&world, RTT_NS / 4); /* it is under way */
    t_server_restart(server);
    while (!o.done) {
        assert_true(t_step(&world));
    }
    assert_int_equal(o.e, CG_EUNKNOWN);
    ns_node_forget(d, 1);
}

static void deadline_and_cancel(void **state)
{
    (void)state;
    cg_err e;
    struct outcome o = {0}, c = {0};
    struct ns_node *d = t_walk(&user, "/d", &e);
    struct sim_client *link = t_client(&user, 0);
    link->server = NULL; /* nobody answers any more */
    sim_link_cut(link->link);
    t_run(&world, second_ns);
    uint64_t before = sim_now(world.sim);
    ns_remove(user.ns, d, "a", false, outcome, &o);
    struct ns_op *op = ns_remove(user.ns, d, "none", false, outcome, &c);
    assert_non_null(op);
    t_run(&world, second_ns);
    assert_false(c.done);
    ns_cancel(user.ns, op);
    t_run(&world, second_ns);
    assert_true(c.done);
    assert_int_equal(c.e, CG_ECANCELED);
    while (!o.done) {
        assert_true(t_step(&world));
    }
    assert_true(o.e == CG_ELINKDOWN || o.e == CG_ETIME);
    uint64_t took = sim_now(world.sim) - before;
    assert_true(took > 28 * second_ns && took < 31 * second_ns);
    o.done = false; /* the link has been down for long: nobody waits for it any more */
    before = sim_now(world.sim);
    ns_remove(user.ns, d, "a", false, outcome, &o);
    while (!o.done) {
        assert_true(t_step(&world));
    }
    assert_int_equal(o.e, CG_ELINKDOWN);
    assert_true(sim_now(world.sim) - before < 2 * second_ns);
    link->server = t_sim(server);
    t_run(&world, 6 * second_ns);
    assert_int_equal(t_remove(&user, "/d/a", false), CG_OK);
    ns_node_forget(d, 1);
}

/* ---- the kernel's pages */

static void keeps(void **state)
{
    (void)state;
    struct ns_file *f;
    bool keep;
    assert_int_equal(t_open(&user, "/d/a", NINEP_OPEN_READ, &f, &keep), CG_OK);
    read_is(f, 0, "hello");
    struct ns_node *n = ns_file_node(f);
    ns_node_ref(n); /* as a kernel does while it has an inode */
    ns_close(user.ns, f);
    assert_int_equal(t_open(&user, "/d/a", NINEP_OPEN_READ, &f, &keep), CG_OK);
    assert_true(keep);
    ns_close(user.ns, f);
    uint32_t told = user.invalidated;
    assert_int_equal(t_put(&other, "/d/a", "HELLO"), CG_OK);
    assert_true(user.invalidated > told);
    assert_int_equal(t_open(&user, "/d/a", NINEP_OPEN_READ, &f, &keep), CG_OK);
    assert_false(keep);
    read_is(f, 0, "HELLO");
    ns_close(user.ns, f);
    assert_int_equal(t_open(&user, "/d/a", NINEP_OPEN_READ, &f, &keep), CG_OK);
    assert_true(keep);
    ns_close(user.ns, f);
    ns_node_forget(n, 1);
}

static bool has_contents(const struct ns_file *f, const char *want)
{
    uint32_t len = 0;
    const char *data = ns_file_contents(f, &len);
    assert_true(!data || (len == strlen(want) && memcmp(data, want, len) == 0));
    return data != NULL;
}

/* The kernel side may take what is cached with an open: under a lease, and while nobody else holds
 * the file open. */
static void contents_with_an_open(void **state)
{
    (void)state;
    struct ns_file *f, *g;
    char got[64];
    assert_int_equal(t_cat(&user, "/d/a", got, sizeof got), CG_OK);
    assert_int_equal(t_open(&user, "/d/a", NINEP_OPEN_READ, &f, NULL), CG_OK);
    assert_true(has_contents(f, "hello"));
    assert_int_equal(t_open(&user, "/d/a", NINEP_OPEN_READ, &g, NULL), CG_OK);
    assert_false(has_contents(f, "hello"));
    assert_false(has_contents(g, "hello"));
    ns_close(user.ns, f);
    assert_true(has_contents(g, "hello"));
    assert_int_equal(t_put(&other, "/d/a", "HELLO!"), CG_OK);
    assert_false(has_contents(g, "HELLO!"));
    ns_close(user.ns, g);
    assert_int_equal(t_open(&user, "/d/a", NINEP_OPEN_RDWR, &f, NULL), CG_OK);
    read_is(f, 0, "HELLO!");
    assert_false(has_contents(f, "HELLO!"));
    ns_close(user.ns, f);
}

/* A lease is not given back before the kernel side has forgotten; without an answer it ends. */
static void waits_for_kernel(void **state)
{
    (void)state;
    struct ns_file *f;
    char got[64];
    user.slow_kernel = true;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(t_cat(&user, "/d/a", got, sizeof got), CG_OK);
        user.token = NULL;
        assert_int_equal(t_open(&other, "/d/a", NINEP_OPEN_WRITE, &f, NULL), CG_OK);
        uint64_t before = sim_now(world.sim);
        struct outcome o = {0};
        assert_int_equal(t_pwrite(&other, f, 0, "J", 1), CG_OK);
        ns_flush(other.ns, f, outcome, &o);
        t_run(&world, second_ns);
        assert_false(o.done);
        assert_non_null(user.token);
        if (i == 0) {
            ns_invalidated(user.ns, user.token);
        }
        while (!o.done) {
            assert_true(t_step(&world));
        }
        assert_int_equal(o.e, CG_OK);
        uint64_t took = sim_now(world.sim) - before;
        assert_true(i == 0 ? took < 2 * second_ns : took > 5 * second_ns);
        ns_close(other.ns, f);
    }
}

/* ---- a listing of many pages */

static void many_names(void **state)
{
    (void)state;
    enum { MANY = 3000, NAME_BYTES = 6 };
    struct ns_stat st;
    char path[32], *names = cg_alloc(MANY * (NAME_BYTES + 1) + 1);
    assert_int_equal(t_ls(&user, "/d", false, names, MANY), CG_OK);
    for (int i = 0; i < MANY; i++) {
        struct ns_file *f;
        snprintf(path, sizeof path, "/d/n%05d", i);
        assert_int_equal(t_create(&user, path, NINEP_OPEN_WRITE, &f), CG_OK);
        ns_close(user.ns, f);
    }
    assert_int_equal(t_remove(&user, "/d/a", false), CG_OK);
    uint64_t before = sim_now(world.sim);
    assert_int_equal(t_ls(&other, "/d", true, names, MANY * (NAME_BYTES + 1) + 1), CG_OK);
    assert_int_equal(strlen(names), MANY * (NAME_BYTES + 1));
    for (int i = 0; i < MANY; i++) {
        snprintf(path, sizeof path, "n%05d ", i);
        assert_memory_equal(names + i * (NAME_BYTES + 1), path, NAME_BYTES + 1);
    }
    printf("listing %d files: the time of %llu round trips\n", MANY,
           (unsigned long long)((sim_now(world.sim) - before) / RTT_NS));
    before = sim_now(world.sim);
    for (int i = 0; i < MANY; i += 100) {
        snprintf(path, sizeof path, "/d/n%05d", i);
        assert_int_equal(t_stat(&other, path, &st), CG_OK);
        snprintf(path, sizeof path, "/d/x%05d", i);
        assert_int_equal(t_stat(&other, path, &st), CG_ENOENT);
    }
    assert_true(sim_now(world.sim) == before);
    cg_free(names);
}

/* ---- one who never stops writing */

struct pump {
    struct ns_file *f;
    bool stop, idle;
    uint64_t writes;
};

static void pumped(void *aux, cg_err e, uint64_t n, const char *detail);

static void pump_on(void *aux)
{
    static const char bytes[1000];
    struct pump *p = aux;
    p->idle = p->stop;
    if (!p->stop) {
        ns_write(user.ns, p->f, p->writes++ % 100 * sizeof bytes, bytes, sizeof bytes, pumped, p);
    }
}

static void pumped(void *aux, cg_err e, uint64_t n, const char *detail)
{
    (void)n;
    (void)detail;
    assert_int_equal(e, CG_OK);
    sim_after(world.sim, 2000000, pump_on, aux);
}

static void nobody_starves(void **state)
{
    (void)state;
    struct pump p = {0};
    struct ns_stat st;
    char got[64];
    assert_int_equal(t_open(&user, "/d/a", NINEP_OPEN_WRITE, &p.f, NULL), CG_OK);
    pump_on(&p);
    t_run(&world, second_ns);
    uint64_t before = sim_now(world.sim);
    assert_int_equal(t_stat(&user, "/d/a", &st), CG_OK);
    assert_true(st.attr.size >= 1000);
    assert_int_equal(t_cat(&user, "/d/a", got, sizeof got), CG_OK);
    assert_int_equal(t_chmod(&user, "/d/a", 0600), CG_OK);
    assert_int_equal(t_rename(&user, "/d/a", "/d/b"), CG_OK);
    assert_int_equal(t_remove(&user, "/d/b", false), CG_OK);
    assert_true(sim_now(world.sim) - before < 3 * second_ns);
    uint64_t writes = p.writes;
    t_run(&world, second_ns);
    assert_true(p.writes > writes + 100);
    p.stop = true;
    while (!p.idle) {
        assert_true(t_step(&world));
    }
    assert_int_equal(t_flush(&user, p.f), CG_OK);
    ns_close(user.ns, p.f);
}

static void unlinked(void **state)
{
    (void)state;
    struct ns_file *f;
    assert_int_equal(t_open(&user, "/d/a", NINEP_OPEN_RDWR, &f, NULL), CG_OK);
    assert_int_equal(t_remove(&user, "/d/a", false), CG_OK);
    assert_int_equal(t_pwrite(&user, f, 5, " there", 6), CG_OK);
    assert_int_equal(t_flush(&user, f), CG_OK);
    read_is(f, 0, "hello there");
    ns_close(user.ns, f);
}

/* A handle for reading that the server has not heard of keeps its file, whoever takes the name. */
static void unlinked_before_opened_there(void **state)
{
    (void)state;
    struct t_user *const who[] = {&user, &other};
    char names[64];
    for (int i = 0; i < 4; i++) {
        struct ns_file *f;
        bool renames = i >= 2;
        assert_int_equal(t_put(&other, "/d/b", "before"), CG_OK);
        assert_int_equal(t_put(&other, "/d/c", "after"), CG_OK);
        t_run(&world, second_ns);
        assert_int_equal(t_ls(&user, "/d", true, names, sizeof names), CG_OK);
        uint64_t trips = t_round_trips(&user);
        assert_int_equal(t_open(&user, "/d/b", NINEP_OPEN_READ, &f, NULL), CG_OK);
        assert_int_equal(t_round_trips(&user), trips);
        assert_int_equal(renames ? t_rename(who[i % 2], "/d/c", "/d/b")
                                 : t_remove(who[i % 2], "/d/b", false),
                         CG_OK);
        read_is(f, 0, "before");
        ns_close(user.ns, f);
        assert_int_equal(t_remove(&other, renames ? "/d/b" : "/d/c", false), CG_OK);
    }
}

/* A file that was shown before the server knew it keeps its inode number: SQLite believes that a
 * database whose number changes was replaced. */
static void keeps_its_number(void **state)
{
    (void)state;
    struct ns_file *f;
    struct ns_stat st;
    char names[64];
    assert_int_equal(t_ls(&user, "/d", true, names, sizeof names), CG_OK);
    assert_int_equal(t_stat(&user, "/d/a", &st), CG_OK);
    uint64_t trips = t_round_trips(&user);
    assert_int_equal(t_create(&user, "/d/early", NINEP_OPEN_RDWR, &f), CG_OK);
    assert_int_equal(t_round_trips(&user), trips); /* answered early */
    uint64_t ino = ns_node_ino(ns_file_node(f));
    assert_int_equal(t_flush(&user, f), CG_OK);
    assert_int_equal(t_stat(&user, "/d/early", &st), CG_OK);
    assert_true(st.ino == ino);
    ns_close(user.ns, f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(write_error_at_flush, setup, teardown),
        cmocka_unit_test_setup_teardown(create_error_at_flush, setup, teardown),
        cmocka_unit_test_setup_teardown(attributes_of_the_unborn, setup, teardown),
        cmocka_unit_test_setup_teardown(reopened, setup, teardown),
        cmocka_unit_test_setup_teardown(reopened_below_another_root, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_outcome, setup, teardown),
        cmocka_unit_test_setup_teardown(deadline_and_cancel, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps, setup, teardown),
        cmocka_unit_test_setup_teardown(contents_with_an_open, setup, teardown),
        cmocka_unit_test_setup_teardown(waits_for_kernel, setup, teardown),
        cmocka_unit_test_setup_teardown(many_names, setup, teardown),
        cmocka_unit_test_setup_teardown(nobody_starves, setup, teardown),
        cmocka_unit_test_setup_teardown(unlinked, setup, teardown),
        cmocka_unit_test_setup_teardown(unlinked_before_opened_there, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_its_number, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
