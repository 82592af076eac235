/* Open files: errors that come late, sessions that are lost, deadlines, cancelling, reading ahead,
 * and what the kernel side may keep. */
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
    t_user_init(&user, &world);
    t_user_init(&other, &world);
    assert_int_equal(t_ctl(&user, "mount -c .!hostfs!root /"), CG_OK);
    assert_int_equal(t_ctl(&other, "mount -c .!hostfs!root /"), CG_OK);
    assert_int_equal(t_mkdir(&user, "/d"), CG_OK);
    assert_int_equal(t_put(&user, "/d/a", "hello"), CG_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    t_user_fini(&user);
    t_user_fini(&other);
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

/* ---- bulk: a server of one large file, whose bytes say where they are and when */

enum { BIG_BYTES = 16 << 20, PIECE = 128 << 10, PIECES = BIG_BYTES / PIECE };

static uint8_t big_age;                /* added to every byte */
static uint32_t big_type;              /* qtype of the file */
static uint8_t big_flags;              /* attrflags of the file */
static uint32_t big_block;             /* its blksize */
static uint32_t big_asked;             /* bytes of the last read */
static uint32_t big_most = UINT32_MAX; /* that a read gives */

static void big_attr(bool file, struct ninep_attr *a)
{
    *a = (struct ninep_attr){.id = {.volume = 1,
                                    .file = 1 + (uint64_t)file,
                                    .type = file ? big_type : 0,
                                    .change = big_age},
                             .mode = file ? 0100644 : 0040755,
                             .nlink = 1,
                             .size = file ? BIG_BYTES : 0,
                             .blksize = big_block,
                             .flags = big_flags,
                             .rights = 7};
}

static void big_set(struct ninep_fid *f, bool file)
{
    struct ninep_attr a;
    big_attr(file, &a);
    f->id = a.id;
    f->aux = file ? &big_age : NULL;
}

static void big_attach(struct ninep_req *r)
{
    big_set(r->fid, false);
    big_attr(false, &r->r.attach.attr);
    ninep_respond(r, CG_OK);
}

static cg_err big_clone(struct ninep_fid *from, struct ninep_fid *to, struct cg_errbuf *eb)
{
    (void)eb;
    big_set(to, from->aux);
    return CG_OK;
}

static cg_err big_walk1(struct ninep_fid *f, struct cg_span name, struct ninep_attr *a,
                        struct cg_errbuf *eb)
{
    (void)eb;
    if (f->aux || !cg_span_is(name, "big")) {
        return CG_ENOENT;
    }
    big_set(f, true);
    big_attr(true, a);
    return CG_OK;
}

static cg_err big_ident(struct ninep_fid *dir, struct cg_span name, struct ninep_xqid *id)
{
    (void)dir;
    (void)name;
    *id = (struct ninep_xqid){.volume = 1, .file = 2};
    return CG_OK;
}

static void big_request(struct ninep_req *r)
{
    switch (r->type) {
    case NINEP_TOPEN:
        big_attr(r->fid->aux, &r->r.open.attr);
        break;
    case NINEP_TGETATTR:
        big_attr(r->fid->aux, &r->r.getattr.attr);
        break;
    case NINEP_TWRITE:
        big_age++;
        r->r.write.count = r->t.write.data.len;
        big_attr(true, &r->r.write.attr);
        break;
    case NINEP_TREADDIR:
        big_attr(false, &r->r.readdir.dir);
        r->r.readdir.eof = 1;
        break;
    default:
        big_asked = r->t.read.count;
        r->r.read.data.len = r->t.read.count < r->data_cap ? r->t.read.count : r->data_cap;
        r->r.read.data.len = r->r.read.data.len < big_most ? r->r.read.data.len : big_most;
        if (r->t.read.offset + r->r.read.data.len >= BIG_BYTES) {
            r->r.read.data.len = (uint32_t)(BIG_BYTES - r->t.read.offset);
            r->r.read.eof = 1;
        }
        for (uint32_t i = 0; i < r->r.read.data.len; i++) {
            r->data[i] = (uint8_t)((r->t.read.offset + i) / PIECE + big_age);
        }
        break;
    }
    ninep_respond(r, CG_OK);
}

static void big_clunk(struct ninep_fid *f)
{
    (void)f;
}

static const struct ninep_ops big_ops = {
    .attach = big_attach,
    .clone = big_clone,
    .walk1 = big_walk1,
    .ident = big_ident,
    .clunk = big_clunk,
    .open = big_request,
    .read = big_request,
    .write = big_request,
    .readdir = big_request,
    .getattr = big_request,
};

/* A file that must not be cached: each read asks the server, each write is answered by it. */
static void not_cached(void **state)
{
    (void)state;
    struct ns_file *f;
    struct ns_stat st;
    t_serve_ops(&world, "alpha!big", &big_ops);
    assert_int_equal(t_ctl(&user, "mount .!big /big"), CG_OK);
    big_type = NINEP_QTYPE_STREAM;
    assert_int_equal(t_open(&user, "/big/big", NINEP_OPEN_RDWR, &f, NULL), CG_OK);
    uint64_t trips = t_round_trips(&user);
    for (int i = 0; i < 3; i++) {
        uint8_t age = big_age, got[4];
        size_t n;
        assert_int_equal(t_pwrite(&user, f, 0, "x", 1), CG_OK);
        assert_int_equal(big_age, (uint8_t)(age + 1)); /* the server has it */
        assert_int_equal(t_pread(&user, f, 0, 4, got, &n), CG_OK);
        assert_int_equal(got[0], big_age);
        assert_int_equal(t_stat(&user, "/big/big", &st), CG_OK);
        assert_int_equal(st.until_ns, 0);
    }
    assert_true(t_round_trips(&user) - trips >= 9);
    big_type = 0;
    ns_close(user.ns, f);
}

static struct ninep_req *held_read;

static void hold_read(struct ninep_req *r)
{
    if (r->type == NINEP_TREAD) {
        held_read = r;
    } else {
        big_request(r);
    }
}

static void ended(void *aux, cg_err e, const void *data, size_t len, const char *detail)
{
    (void)data;
    (void)len;
    outcome(aux, e, detail);
}

/* Who reads what somebody will say one day waits for it; for a link that is down not that long. */
static void streams_have_no_deadline(void **state)
{
    (void)state;
    struct ns_file *f;
    static struct ninep_ops ops; /* the server outlives this */
    ops = big_ops;
    ops.read = hold_read;
    t_serve_ops(&world, "alpha!stream", &ops);
    assert_int_equal(t_ctl(&user, "mount .!stream /stream"), CG_OK);
    big_type = NINEP_QTYPE_STREAM;
    assert_int_equal(t_open(&user, "/stream/big", NINEP_OPEN_READ, &f, NULL), CG_OK);
    struct outcome o = {0};
    ns_read(user.ns, f, 0, 4, ended, &o);
    t_run(&world, 100 * second_ns);
    assert_false(o.done);
    big_request(held_read);
    t_run(&world, second_ns);
    assert_true(o.done);
    assert_int_equal(o.e, CG_OK);

    o.done = false;
    ns_read(user.ns, f, 0, 4, ended, &o);
    t_run(&world, second_ns);
    struct sim_client *link = t_client(&user, 1);
    link->server = NULL;
    sim_link_cut(link->link);
    t_run(&world, 25 * second_ns);
    assert_false(o.done);
    t_run(&world, 10 * second_ns);
    assert_true(o.done);
    assert_int_equal(o.e, CG_ELINKDOWN);
    big_request(held_read);
    big_type = 0;
    ns_close(user.ns, f);
}

static void piece_is(struct ns_file *f, uint32_t i, uint8_t *piece)
{
    size_t n;
    assert_int_equal(t_pread(&user, f, (uint64_t)i * PIECE, PIECE, piece, &n), CG_OK);
    assert_int_equal(n, PIECE);
    assert_int_equal(piece[0], (uint8_t)(i + big_age));
    assert_int_equal(piece[PIECE - 1], (uint8_t)(i + big_age));
}

static void reads_ahead(void **state)
{
    (void)state;
    struct ns_file *f, *w;
    uint8_t *piece = cg_alloc(PIECE);
    big_age = 0;
    t_serve_ops(&world, "alpha!big", &big_ops);
    assert_int_equal(t_ctl(&user, "mount .!big /big"), CG_OK);
    assert_int_equal(t_ctl(&other, "mount .!big /big"), CG_OK);
    assert_int_equal(t_open(&user, "/big/big", NINEP_OPEN_READ, &f, NULL), CG_OK);
    uint64_t before = sim_now(world.sim);
    for (uint32_t i = 0; i < PIECES / 2; i++) {
        piece_is(f, i, piece);
    }
    uint64_t trips = (sim_now(world.sim) - before) / RTT_NS;
    printf("8 MiB in pieces of 128 KiB: the time of %llu round trips\n", (unsigned long long)trips);
    assert_true(trips <= 12); /* without reading ahead: 64 */
    /* what was read ahead is not believed after a change */
    assert_int_equal(t_open(&other, "/big/big", NINEP_OPEN_WRITE, &w, NULL), CG_OK);
    assert_int_equal(t_pwrite(&other, w, 0, "new", 3), CG_OK);
    assert_int_equal(t_flush(&other, w), CG_OK);
    ns_close(other.ns, w);
    for (uint32_t i = PIECES / 2; i < PIECES; i++) {
        piece_is(f, i, piece);
    }
    ns_close(user.ns, f);
    cg_free(piece);
}

static void larger_than_a_frame(void **state)
{
    (void)state;
    struct ns_file *f;
    enum { MOST = 5 << 20 };
    uint8_t *bytes = cg_alloc(MOST);
    size_t n;
    t_serve_ops(&world, "alpha!big", &big_ops);
    assert_int_equal(t_ctl(&user, "mount .!big /big"), CG_OK);
    assert_int_equal(t_open(&user, "/big/big", NINEP_OPEN_READ, &f, NULL), CG_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(t_pread(&user, f, PIECE - 1, MOST, bytes, &n), CG_OK);
        assert_int_equal(n, MOST);
        assert_int_equal(bytes[0], big_age);
        assert_int_equal(bytes[1], (uint8_t)(big_age + 1));
        assert_int_equal(bytes[MOST - 1], (uint8_t)(big_age + (PIECE - 2 + MOST) / PIECE));
    }
    assert_int_equal(t_pread(&user, f, BIG_BYTES - 2, 100, bytes, &n), CG_OK);
    assert_int_equal(n, 2);
    ns_close(user.ns, f);
    cg_free(bytes);
}

static uint64_t around_at;
static size_t around_len;

static void told_around(struct t_user *u, uint64_t offset, const uint8_t *data, size_t len)
{
    (void)u;
    around_at = offset;
    around_len = len;
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(data[i], (uint8_t)((offset + i) / PIECE + big_age));
    }
}

/* Reads a little, and says what was asked for and what the kernel side was told beside it. */
static void little_is(struct ns_file *f, uint64_t at, uint32_t asked, uint64_t from, size_t len)
{
    uint8_t bytes[100];
    size_t n, want = at + sizeof bytes < BIG_BYTES ? sizeof bytes : (size_t)(BIG_BYTES - at);
    around_at = around_len = big_asked = 0;
    assert_int_equal(t_pread(&user, f, at, sizeof bytes, bytes, &n), CG_OK);
    assert_int_equal(n, want);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(bytes[i], (uint8_t)((at + i) / PIECE + big_age));
    }
    assert_int_equal(big_asked, asked);
    assert_int_equal(around_at, from);
    assert_int_equal(around_len, len);
}

/* Of a file that never changes the whole block is read; of others what is asked for. */
static void reads_around(void **state)
{
    (void)state;
    enum { BLOCK = 192 << 10, LAST = BIG_BYTES / BLOCK * BLOCK };
    struct ns_file *f;
    big_block = BLOCK;
    user.around = told_around;
    t_serve_ops(&world, "alpha!big", &big_ops);
    assert_int_equal(t_ctl(&user, "mount .!big /big"), CG_OK);
    assert_int_equal(t_open(&user, "/big/big", NINEP_OPEN_READ, &f, NULL), CG_OK);
    little_is(f, 5000000, 100, 0, 0); /* it may change */
    ns_close(user.ns, f);

    big_flags = NINEP_ATTRFLAG_FIXED;
    t_serve_ops(&world, "alpha!fixed", &big_ops);
    assert_int_equal(t_ctl(&user, "mount .!fixed /fixed"), CG_OK);
    assert_int_equal(t_open(&user, "/fixed/big", NINEP_OPEN_READ, &f, NULL), CG_OK);
    little_is(f, 5000000, BLOCK, 5000000 / BLOCK * BLOCK, BLOCK);
    little_is(f, BLOCK - 50, 100, 0, 0); /* of two blocks */
    little_is(f, BIG_BYTES - 7, BLOCK, LAST, BIG_BYTES - LAST);
    big_most = 4096; /* what was asked for is not in what the server gives at a time */
    little_is(f, 5000000, 100, 0, 0);
    big_most = UINT32_MAX;
    ns_close(user.ns, f);
    assert_int_equal(t_open(&user, "/fixed/big", NINEP_OPEN_READ | NINEP_OPEN_DIRECT, &f, NULL),
                     CG_OK);
    little_is(f, 5000000, 100, 0, 0);
    ns_close(user.ns, f);
    big_flags = 0;
    big_block = 0;
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
        cmocka_unit_test_setup_teardown(reads_ahead, setup, teardown),
        cmocka_unit_test_setup_teardown(larger_than_a_frame, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_around, setup, teardown),
        cmocka_unit_test_setup_teardown(not_cached, setup, teardown),
        cmocka_unit_test_setup_teardown(streams_have_no_deadline, setup, teardown),
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
