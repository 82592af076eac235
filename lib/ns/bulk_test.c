/* Reading of files that are bulk: ahead of who reads on, around who reads here and there, in pieces
 * of a frame, not from a cache where there must be none, without a deadline where a file is a
 * stream. */
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

static int setup(void **state)
{
    (void)state;
    t_world_init(&world, 1, RTT_NS);
    t_serve(&world, "alpha!hostfs");
    assert_int_equal(t_user_mount(&user, &world), CG_OK);
    assert_int_equal(t_user_mount(&other, &world), CG_OK);
    assert_int_equal(t_mkdir(&user, "/d"), CG_OK); /* so the first link is this server's */
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    t_world_fini(&world);
    return 0;
}

/* ---- bulk: a server of one large file, whose bytes say where they are and when */

enum { BIG_BYTES = 16 << 20, PIECE = 128 << 10, PIECES = BIG_BYTES / PIECE };

static uint8_t big_age;                /* added to every byte */
static uint32_t big_type;              /* qtype of the file */
static uint8_t big_flags;              /* attrflags of the file */
static uint32_t big_block;             /* its blksize */
static uint32_t big_asked;             /* bytes of the last read */
static uint32_t big_most = UINT32_MAX; /* that a read gives */
static uint32_t big_reads;             /* that came */

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
        big_reads++;
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

struct outcome {
    bool done;
    cg_err e;
};

static void ended(void *aux, cg_err e, const void *data, size_t len, const char *detail)
{
    struct outcome *o = aux;
    (void)data;
    (void)len;
    (void)detail;
    assert_false(o->done);
    o->done = true;
    o->e = e;
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
static size_t around_len, around_all;

static void told_around(struct t_user *u, uint64_t offset, const uint8_t *data, size_t len)
{
    (void)u;
    around_at = offset;
    around_len = len;
    around_all += len;
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
    enum { BLOCK = 160 << 10, LAST = BIG_BYTES / BLOCK * BLOCK };
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

/* Who has read a share of such a file so is given more at a time, and does not wait for it. */
static void reads_around_more(void **state)
{
    (void)state;
    enum { BLOCK = 256 << 10, SPAN = 4 << 20, PARTS = 1 + 1 + 3 }; /* of 1 MiB at most */
    struct outcome o[2] = {{0}};
    struct ns_file *f;
    uint8_t bytes[100];
    size_t n;
    big_flags = NINEP_ATTRFLAG_FIXED;
    big_block = BLOCK;
    user.around = told_around;
    t_serve_ops(&world, "alpha!more", &big_ops);
    assert_int_equal(t_ctl(&user, "mount .!more /more"), CG_OK);
    assert_int_equal(t_open(&user, "/more/big", NINEP_OPEN_READ, &f, NULL), CG_OK);
    little_is(f, 0, BLOCK, 0, BLOCK); /* the first of 32 parts of the file are two blocks */
    uint64_t at = SPAN + 3 * BLOCK + 5000, trips = t_round_trips(&user);
    around_all = big_reads = 0;
    assert_int_equal(t_pread(&user, f, at, sizeof bytes, bytes, &n), CG_OK);
    assert_int_equal(bytes[0], (uint8_t)(at / PIECE + big_age));
    assert_int_equal(t_round_trips(&user), trips + 1);
    t_run(&world, second_ns);
    assert_int_equal(around_all, SPAN);
    assert_int_equal(big_reads, PARTS);
    /* who wants what is under way waits for that, and nothing is asked for twice */
    around_all = big_reads = 0;
    ns_read(user.ns, f, at + SPAN, sizeof bytes, ended, &o[0]);
    ns_read(user.ns, f, at + SPAN - 2 * BLOCK, sizeof bytes, ended, &o[1]);
    t_run(&world, second_ns);
    assert_true(o[0].done && o[0].e == CG_OK && o[1].done && o[1].e == CG_OK);
    assert_int_equal(around_all, SPAN);
    assert_int_equal(big_reads, PARTS);
    /* a kernel that keeps nothing is not given the file again and again */
    for (int i = 0; i < 2 * BIG_BYTES / SPAN; i++) {
        assert_int_equal(t_pread(&user, f, at, sizeof bytes, bytes, &n), CG_OK);
        t_run(&world, second_ns);
    }
    around_all = 0;
    assert_int_equal(t_pread(&user, f, at, sizeof bytes, bytes, &n), CG_OK);
    t_run(&world, second_ns);
    assert_int_equal(around_all, BLOCK);
    ns_close(user.ns, f);
    big_flags = 0;
    big_block = 0;
}

/* What is under way around it when a file is closed hurts nobody. */
static void closed_with_more_under_way(void **state)
{
    (void)state;
    struct outcome o = {0};
    struct ns_file *f;
    big_flags = NINEP_ATTRFLAG_FIXED;
    big_block = 512 << 10; /* more than the share from the first on */
    user.around = told_around;
    t_serve_ops(&world, "alpha!more", &big_ops);
    assert_int_equal(t_ctl(&user, "mount .!more /more"), CG_OK);
    assert_int_equal(t_open(&user, "/more/big", NINEP_OPEN_READ, &f, NULL), CG_OK);
    little_is(f, 9 << 20, 512 << 10, 9 << 20, 512 << 10); /* which opens it */
    around_all = 0;
    ns_read(user.ns, f, 5000, 100, ended, &o);
    ns_close(user.ns, f);
    t_run(&world, second_ns);
    assert_true(o.done && o.e == CG_OK);
    assert_int_equal(around_all, 4 << 20);
    big_flags = 0;
    big_block = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reads_ahead, setup, teardown),
        cmocka_unit_test_setup_teardown(larger_than_a_frame, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_around, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_around_more, setup, teardown),
        cmocka_unit_test_setup_teardown(closed_with_more_under_way, setup, teardown),
        cmocka_unit_test_setup_teardown(not_cached, setup, teardown),
        cmocka_unit_test_setup_teardown(streams_have_no_deadline, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
