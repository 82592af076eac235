/* The dialects 9P2000.L and 9P2000 of the server framework: what the Plan 9 manual and the kernel's
 * client expect of flush, clunk, remove, rename, attributes and listings, and what a rude or
 * unlucky client can do. */
#include "foreign_hand.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOFID ((uint64_t)NINEP_NOFID)
#define U(n)  UINT64_C(n)

static struct world w;
static struct abroad a, b;

static int begin(void **state)
{
    (void)state;
    world_init(&w);
    abroad_world(&w);
    world_start(&w);
    abroad_init(&a, &w);
    abroad_init(&b, &w);
    return 0;
}

static int end(void **state)
{
    (void)state;
    abroad_fini(&a);
    abroad_fini(&b);
    for (uint32_t i = 0; i < w.waitings; i++) {
        if (w.waiting[i]) {
            world_run(&w, i);
        }
    }
    assert_int_equal(memfs_fids(w.fs), 0);
    abroad_world_fini(&w);
    return 0;
}

/* A connection whose fid 0 is the root. */
static void begin_l(struct abroad *x)
{
    assert_true(abroad_start(x, "9P2000.L"));
    assert_int_equal(abroad_call(x, NINEP_L_TATTACH, "ddssd", U(0), NOFID, "glenda", "/", U(1000)),
                     NINEP_P_RATTACH);
}

static void begin_p(struct abroad *x)
{
    assert_true(abroad_start(x, "9P2000"));
    assert_int_equal(abroad_call(x, NINEP_P_TATTACH, "ddss", U(0), NOFID, "glenda", ""),
                     NINEP_P_RATTACH);
}

/* newfid becomes a new file of that name in the root, open for both. */
static void make_l(struct abroad *x, uint64_t newfid, const char *name)
{
    assert_int_equal(abroad_call(x, NINEP_P_TWALK, "ddw", U(0), newfid, U(0)), NINEP_P_RWALK);
    assert_int_equal(abroad_call(x, NINEP_L_TLCREATE, "dsddd", newfid, name, U(2), U(0644), U(0)),
                     NINEP_L_RLCREATE);
}

static uint8_t walk(struct abroad *x, uint64_t fid, uint64_t newfid, const char *name)
{
    return abroad_call(x, NINEP_P_TWALK, "ddws", fid, newfid, U(1), name);
}

static uint32_t errno_of(struct abroad *x)
{
    return cg_get_u32(&x->r);
}

static void assert_ename(struct abroad *x, const char *text)
{
    struct cg_span s = cg_get_span(&x->r, cg_get_u16(&x->r));
    assert_true(s.len >= strlen(text) && memcmp(s.data, text, strlen(text)) == 0);
}

static void assert_answer(struct abroad *x, uint8_t type, uint16_t tag)
{
    struct answer *got = abroad_take(x);
    assert_non_null(got);
    assert_int_equal(got->type, type);
    assert_int_equal(got->tag, tag);
    x->r = got->body;
}

/* ---- flush ---- */

static void lock(struct abroad *x, uint16_t tag, uint64_t type, uint64_t flags, uint64_t process)
{
    abroad_send(x, tag, NINEP_L_TLOCK, "dbdqqds", U(1), type, flags, U(0), U(0), process, "node");
}

static void a_waiting_lock_is_flushed(void **state)
{
    (void)state;
    begin_l(&a);
    begin_l(&b);
    make_l(&a, 1, "f");
    assert_int_equal(walk(&b, 0, 1, "f"), NINEP_P_RWALK);
    lock(&a, 1, NINEP_LOCKTYPE_EXCLUSIVE, 0, 7);
    assert_answer(&a, NINEP_L_RLOCK, 1);
    assert_int_equal(cg_get_u8(&a.r), 0);
    lock(&b, 2, NINEP_LOCKTYPE_SHARED, 0, 8);
    assert_answer(&b, NINEP_L_RLOCK, 2);
    assert_int_equal(cg_get_u8(&b.r), 1); /* blocked */
    lock(&b, 3, NINEP_LOCKTYPE_SHARED, 1, 8);
    assert_null(abroad_take(&b));
    abroad_send(&b, 4, NINEP_P_TFLUSH, "w", U(3));
    assert_answer(&b, NINEP_P_RFLUSH, 4);
    assert_null(abroad_take(&b));
    lock(&a, 1, NINEP_LOCKTYPE_UNLOCK, 0, 7);
    assert_answer(&a, NINEP_L_RLOCK, 1);
    assert_null(abroad_take(&b)); /* it does not get what it no longer wants */
    lock(&a, 1, NINEP_LOCKTYPE_EXCLUSIVE, 0, 7);
    assert_answer(&a, NINEP_L_RLOCK, 1);
    assert_int_equal(cg_get_u8(&a.r), 0);
}

static void a_waiting_lock_is_granted(void **state)
{
    (void)state;
    begin_l(&a);
    begin_l(&b);
    make_l(&a, 1, "f");
    assert_int_equal(walk(&b, 0, 1, "f"), NINEP_P_RWALK);
    lock(&a, 1, NINEP_LOCKTYPE_EXCLUSIVE, 0, 7);
    assert_answer(&a, NINEP_L_RLOCK, 1);
    lock(&b, 3, NINEP_LOCKTYPE_SHARED, 1, 8);
    assert_null(abroad_take(&b));
    abroad_cut(&a); /* its locks go with it */
    assert_answer(&b, NINEP_L_RLOCK, 3);
    assert_int_equal(cg_get_u8(&b.r), 0);
}

static void a_lock_in_the_way_is_told(void **state)
{
    (void)state;
    begin_l(&a);
    make_l(&a, 1, "f");
    lock(&a, 1, NINEP_LOCKTYPE_EXCLUSIVE, 0, 7);
    assert_answer(&a, NINEP_L_RLOCK, 1);
    const struct {
        uint64_t process;
        uint8_t type;
        uint64_t start, length;
        uint32_t holder;
    } asks[] = {{8, NINEP_LOCKTYPE_EXCLUSIVE, 0, 0, 7}, {7, NINEP_LOCKTYPE_UNLOCK, 5, 10, 7}};
    for (size_t i = 0; i < CG_COUNT(asks); i++) {
        assert_int_equal(abroad_call(&a, NINEP_L_TGETLOCK, "dbqqds", U(1), U(1), U(5), U(10),
                                     asks[i].process, "node"),
                         NINEP_L_RGETLOCK);
        assert_int_equal(cg_get_u8(&a.r), asks[i].type);
        assert_int_equal(cg_get_u64(&a.r), asks[i].start);
        assert_int_equal(cg_get_u64(&a.r), asks[i].length);
        assert_int_equal(cg_get_u32(&a.r), asks[i].holder);
        assert_true(cg_span_is(cg_get_span(&a.r, cg_get_u16(&a.r)), "node"));
    }
}

/* What was done is told before Rflush: the client's fid would else be used twice. */
static void what_was_done_is_answered_before_its_flush(void **state)
{
    (void)state;
    w.ops.cancel = NULL;
    begin_l(&a);
    make_l(&a, 1, "f");
    w.defer = true;
    abroad_send(&a, 2, NINEP_L_TMKDIR, "dsdd", U(0), "d", U(0755), U(0));
    w.defer = false;
    abroad_send(&a, 3, NINEP_P_TFLUSH, "w", U(2));
    abroad_send(&a, 4, NINEP_P_TFLUSH, "w", U(2));
    abroad_send(&a, 5, NINEP_P_TFLUSH, "w", U(4)); /* a flush of a flush */
    abroad_send(&a, 6, NINEP_P_TFLUSH, "w", U(99));
    assert_answer(&a, NINEP_P_RFLUSH, 6);
    assert_null(abroad_take(&a));
    world_run(&w, 0);
    assert_answer(&a, NINEP_L_RMKDIR, 2);
    for (uint16_t tag = 3; tag <= 5; tag++) {
        assert_answer(&a, NINEP_P_RFLUSH, tag);
    }
    assert_null(abroad_take(&a));
    assert_int_equal(walk(&a, 0, 2, "d"), NINEP_P_RWALK);
}

static void what_was_not_done_is_not_answered(void **state)
{
    (void)state;
    begin_p(&a);
    w.defer = true;
    abroad_send(&a, 2, NINEP_P_TSTAT, "d", U(0));
    w.defer = false;
    abroad_send(&a, 3, NINEP_P_TFLUSH, "w", U(2));
    assert_int_equal(w.cancels, 1);
    assert_answer(&a, NINEP_P_RFLUSH, 3);
    assert_null(abroad_take(&a));
    assert_int_equal(abroad_call(&a, NINEP_P_TSTAT, "d", U(0)), NINEP_P_RSTAT);
}

/* ---- fids ---- */

static void a_fid_may_be_clunked_while_it_is_used(void **state)
{
    (void)state;
    begin_l(&a);
    make_l(&a, 1, "f");
    w.defer = true;
    abroad_send(&a, 2, NINEP_L_TGETATTR, "dq", U(1), U(0x7ff));
    w.defer = false;
    abroad_send(&a, 3, NINEP_P_TCLUNK, "d", U(1));
    abroad_send(&a, 4, NINEP_P_TCLUNK, "d", U(1));
    assert_answer(&a, NINEP_P_RCLUNK, 3);
    assert_answer(&a, NINEP_L_RLERROR, 4);
    assert_int_equal(walk(&a, 0, 1, "f"), NINEP_P_RWALK);
    world_run(&w, 0);
    assert_answer(&a, NINEP_L_RGETATTR, 2);
    assert_int_equal(abroad_call(&a, NINEP_L_TGETATTR, "dq", U(1), U(0x7ff)), NINEP_L_RGETATTR);
}

static void remove_clunks_even_when_it_fails(void **state)
{
    (void)state;
    begin_p(&a);
    assert_int_equal(walk(&a, 0, 1, ".."), NINEP_P_RWALK);
    assert_int_equal(abroad_call(&a, NINEP_P_TREMOVE, "d", U(1)), NINEP_P_RERROR);
    assert_ename(&a, "permission denied");
    assert_int_equal(abroad_call(&a, NINEP_P_TSTAT, "d", U(1)), NINEP_P_RERROR);
    assert_ename(&a, "fid unknown or out of range");
}

static void a_name_that_stands_for_another_file_is_stale(void **state)
{
    (void)state;
    begin_l(&a);
    begin_l(&b);
    make_l(&a, 1, "f");
    assert_int_equal(abroad_call(&b, NINEP_L_TUNLINKAT, "dsd", U(0), "f", U(0)), NINEP_L_RUNLINKAT);
    make_l(&b, 1, "f");
    assert_int_equal(abroad_call(&a, NINEP_L_TRENAME, "dds", U(1), U(0), "g"), NINEP_L_RLERROR);
    assert_int_equal(errno_of(&a), 116);
    assert_int_equal(abroad_call(&a, NINEP_P_TREMOVE, "d", U(1)), NINEP_L_RLERROR);
    assert_int_equal(errno_of(&a), 116);
    assert_int_equal(walk(&a, 0, 1, "f"), NINEP_P_RWALK);
    assert_int_equal(abroad_call(&a, NINEP_L_TRENAME, "dds", U(1), U(0), "g"), NINEP_L_RRENAME);
    assert_int_equal(abroad_call(&a, NINEP_P_TREMOVE, "d", U(1)), NINEP_P_RREMOVE);
}

static void fids_follow_a_renamed_folder(void **state)
{
    (void)state;
    begin_l(&a);
    assert_int_equal(abroad_call(&a, NINEP_L_TMKDIR, "dsdd", U(0), "d", U(0755), U(0)),
                     NINEP_L_RMKDIR);
    assert_int_equal(walk(&a, 0, 1, "d"), NINEP_P_RWALK);
    assert_int_equal(abroad_call(&a, NINEP_L_TMKDIR, "dsdd", U(1), "e", U(0755), U(0)),
                     NINEP_L_RMKDIR);
    assert_int_equal(walk(&a, 1, 2, "e"), NINEP_P_RWALK);
    assert_int_equal(abroad_call(&a, NINEP_L_TRENAMEAT, "dsds", U(0), "d", U(0), "moved"),
                     NINEP_L_RRENAMEAT);
    assert_int_equal(abroad_call(&a, NINEP_P_TREMOVE, "d", U(2)), NINEP_P_RREMOVE);
    assert_int_equal(walk(&a, 1, 2, "e"), NINEP_L_RLERROR);
    assert_int_equal(errno_of(&a), 2);
    assert_int_equal(walk(&a, 1, 2, ".."), NINEP_P_RWALK);
}

/* ---- extended attributes ---- */

static uint8_t xattr_write(uint64_t size, uint64_t flags, const char *value)
{
    assert_int_equal(abroad_call(&a, NINEP_P_TWALK, "ddw", U(0), U(9), U(0)), NINEP_P_RWALK);
    assert_int_equal(abroad_call(&a, NINEP_L_TXATTRCREATE, "dsqd", U(9), "user.a", size, flags),
                     NINEP_L_RXATTRCREATE);
    uint8_t bytes[64];
    struct cg_buf out = cg_buf_writer(bytes, sizeof bytes);
    struct ninep_phead h = {
        .size = (uint32_t)(23 + strlen(value)), .type = NINEP_P_TWRITE, .tag = 1};
    ninep_put_phead(&out, &h);
    cg_put_u32(&out, 9);
    cg_put_u64(&out, 0);
    cg_put_u32(&out, (uint32_t)strlen(value));
    cg_put_bytes(&out, value, strlen(value));
    if (value[0]) {
        abroad_bytes(&a, bytes, h.size);
        assert_answer(&a, NINEP_P_RWRITE, 1);
    }
    return abroad_call(&a, NINEP_P_TCLUNK, "d", U(9));
}

static void attributes_are_written_and_read(void **state)
{
    (void)state;
    begin_l(&a);
    assert_int_equal(xattr_write(5, 0, "green"), NINEP_P_RCLUNK);
    assert_string_equal(abroad_attr()->data, "user.a=green");
    assert_int_equal(xattr_write(5, NINEP_XATTRFLAG_CREATE, "white"), NINEP_L_RLERROR);
    assert_int_equal(errno_of(&a), 17);
    assert_int_equal(xattr_write(6, 0, "green"), NINEP_L_RLERROR); /* not whole */
    assert_int_equal(errno_of(&a), 22);
    assert_int_equal(abroad_call(&a, NINEP_L_TXATTRWALK, "dds", U(0), U(2), "user.a"),
                     NINEP_L_RXATTRWALK);
    assert_int_equal(cg_get_u64(&a.r), 5);
    assert_int_equal(abroad_call(&a, NINEP_P_TREAD, "dqd", U(2), U(3), U(100)), NINEP_P_RREAD);
    assert_int_equal(cg_get_u32(&a.r), 2);
    assert_memory_equal(cg_get_span(&a.r, 2).data, "en", 2);
    assert_int_equal(abroad_call(&a, NINEP_L_TXATTRWALK, "dds", U(0), U(3), ""),
                     NINEP_L_RXATTRWALK);
    assert_int_equal(cg_get_u64(&a.r), 7);
    assert_int_equal(xattr_write(0, 0, ""), NINEP_P_RCLUNK); /* set to nothing */
    assert_string_equal(abroad_attr()->data, "user.a=");
    assert_int_equal(xattr_write(0, NINEP_XATTRFLAG_REPLACE, ""), NINEP_P_RCLUNK); /* removed */
    assert_int_equal(abroad_attr()->len, 0);
    assert_int_equal(abroad_call(&a, NINEP_L_TXATTRWALK, "dds", U(0), U(4), "user.a"),
                     NINEP_L_RLERROR);
    assert_int_equal(errno_of(&a), 61);
    assert_int_equal(abroad_call(&a, NINEP_L_TXATTRCREATE, "dsqd", U(0), "user.a", U(65537), U(0)),
                     NINEP_L_RLERROR);
    assert_int_equal(errno_of(&a), 34);
}

/* ---- listings ---- */

struct listed {
    uint64_t path, offset;
    char name[256];
};

static bool take_entry(struct listed *out)
{
    if (cg_buf_left(&a.r) == 0) {
        return false;
    }
    struct ninep_dirent d;
    ninep_get_dirent(&a.r, &d);
    assert_false(a.r.bad);
    assert_true(cg_span_str(d.name, out->name, sizeof out->name));
    out->path = d.qid.path;
    out->offset = d.offset;
    return true;
}

static void linux_lists_dot_and_dotdot(void **state)
{
    (void)state;
    static const char *const expected[] = {".", "..", "f", "g", "h"};
    struct listed e = {0};
    uint64_t self = 0;
    begin_l(&a);
    assert_int_equal(abroad_call(&a, NINEP_L_TMKDIR, "dsdd", U(0), "d", U(0755), U(0)),
                     NINEP_L_RMKDIR);
    assert_int_equal(walk(&a, 0, 1, "d"), NINEP_P_RWALK);
    for (size_t i = 2; i < CG_COUNT(expected); i++) {
        assert_int_equal(abroad_call(&a, NINEP_L_TMKDIR, "dsdd", U(1), expected[i], U(0755), U(0)),
                         NINEP_L_RMKDIR);
    }
    for (size_t i = 0; i < CG_COUNT(expected); i++) { /* one entry at a time, by its offset */
        assert_int_equal(abroad_call(&a, NINEP_L_TREADDIR, "dqd", U(1), e.offset, U(27)),
                         NINEP_L_RREADDIR);
        cg_get_u32(&a.r);
        assert_true(take_entry(&e));
        assert_string_equal(e.name, expected[i]);
        self = i == 0 ? e.path : self;
        assert_true(i == 0 || e.path != self);
    }
    assert_int_equal(abroad_call(&a, NINEP_L_TREADDIR, "dqd", U(1), e.offset, U(1000)),
                     NINEP_L_RREADDIR);
    assert_int_equal(cg_get_u32(&a.r), 0);
    assert_int_equal(abroad_call(&a, NINEP_L_TREADDIR, "dqd", U(1), U(0), U(20)), NINEP_L_RLERROR);
    assert_int_equal(errno_of(&a), 22);
}

/* ---- limits ---- */

static void there_are_only_so_many_fids(void **state)
{
    (void)state;
    begin_p(&a);
    uint64_t n = 1;
    while (abroad_call(&a, NINEP_P_TWALK, "ddw", U(0), n, U(0)) == NINEP_P_RWALK) {
        abroad_forget(&a);
        n++;
    }
    assert_ename(&a, "limit reached");
    assert_int_equal(n, 16384);
    assert_int_equal(abroad_call(&a, NINEP_P_TCLUNK, "d", U(1)), NINEP_P_RCLUNK);
    assert_int_equal(abroad_call(&a, NINEP_P_TWALK, "ddw", U(0), U(1), U(0)), NINEP_P_RWALK);
}

static void there_are_only_so_many_attaches(void **state)
{
    (void)state;
    begin_p(&a);
    for (uint64_t i = 0; i < 1000; i++) { /* those that are clunked do not count */
        assert_int_equal(abroad_call(&a, NINEP_P_TATTACH, "ddss", U(7), NOFID, "u", ""),
                         NINEP_P_RATTACH);
        assert_int_equal(abroad_call(&a, NINEP_P_TCLUNK, "d", U(7)), NINEP_P_RCLUNK);
        abroad_forget(&a);
    }
    uint64_t n = 1;
    while (abroad_call(&a, NINEP_P_TATTACH, "ddss", n, NOFID, "u", "") == NINEP_P_RATTACH) {
        n++;
    }
    assert_ename(&a, "limit reached");
    assert_int_equal(n, 256);
}

static void there_are_only_so_many_requests(void **state)
{
    (void)state;
    begin_p(&a);
    w.defer = true;
    for (uint16_t tag = 0; tag < 1024; tag++) {
        abroad_send(&a, tag, NINEP_P_TSTAT, "d", U(0));
    }
    assert_false(a.closed);
    abroad_send(&a, 5000, NINEP_P_TSTAT, "d", U(0));
    assert_true(a.closed);
}

static void a_tag_is_not_used_twice(void **state)
{
    (void)state;
    begin_p(&a);
    w.defer = true;
    abroad_send(&a, 5, NINEP_P_TSTAT, "d", U(0));
    abroad_send(&a, 5, NINEP_P_TSTAT, "d", U(0));
    assert_true(a.closed);
}

static void attributes_take_only_so_much_memory(void **state)
{
    (void)state;
    begin_l(&a);
    static uint8_t bytes[4096 + 23];
    uint8_t got = NINEP_P_RWRITE;
    uint64_t writes = 0;
    for (uint64_t fid = 1; got == NINEP_P_RWRITE; fid++) {
        assert_int_equal(abroad_call(&a, NINEP_P_TWALK, "ddw", U(0), fid, U(0)), NINEP_P_RWALK);
        assert_int_equal(
            abroad_call(&a, NINEP_L_TXATTRCREATE, "dsqd", fid, "user.a", U(65536), U(0)),
            NINEP_L_RXATTRCREATE);
        for (uint64_t at = 0; at < 65536 && got == NINEP_P_RWRITE; at += 4096) {
            struct cg_buf out = cg_buf_writer(bytes, sizeof bytes);
            struct ninep_phead h = {.size = sizeof bytes, .type = NINEP_P_TWRITE, .tag = 1};
            ninep_put_phead(&out, &h);
            cg_put_u32(&out, (uint32_t)fid);
            cg_put_u64(&out, at);
            cg_put_u32(&out, 4096);
            abroad_bytes(&a, bytes, sizeof bytes);
            struct answer *rep = abroad_take(&a);
            assert_non_null(rep);
            got = rep->type;
            writes += got == NINEP_P_RWRITE;
            abroad_forget(&a);
        }
    }
    assert_int_equal(writes, 1024); /* 4 MiB */
}

/* ---- ends ---- */

static void a_client_disappears_while_it_is_served(void **state)
{
    (void)state;
    w.ops.cancel = NULL;
    begin_l(&a);
    make_l(&a, 1, "f");
    w.defer = true;
    abroad_send(&a, 2, NINEP_L_TGETATTR, "dq", U(1), U(0x7ff));
    abroad_send(&a, 3, NINEP_P_TREMOVE, "d", U(1));
    abroad_send(&a, 4, NINEP_P_TFLUSH, "w", U(2));
    abroad_send(&a, 5, NINEP_L_TXATTRWALK, "dds", U(0), U(2), "");
    w.defer = false;
    assert_true(w.waitings >= 2);
    abroad_cut(&a);
    assert_true(memfs_fids(w.fs) > 0);
}

static void the_server_ends_while_clients_are_served(void **state)
{
    (void)state;
    w.ops.cancel = NULL;
    begin_l(&a);
    begin_p(&b);
    make_l(&a, 1, "f");
    w.defer = true;
    abroad_send(&a, 3, NINEP_P_TREMOVE, "d", U(1));
    abroad_send(&a, 4, NINEP_P_TFLUSH, "w", U(3));
    abroad_send(&b, 2, NINEP_P_TCREATE, "dsdb", U(0), "g", U(0644), U(1));
    w.defer = false;
    ninep_server_free(w.server);
    w.server = NULL;
    assert_true(a.closed && b.closed);
}

static void versions_are_agreed(void **state)
{
    (void)state;
    static const struct {
        const char *asked, *got;
    } cases[] = {{"9P2000", "9P2000"},   {"9P2000.L", "9P2000.L"}, {"9P2000.u", "9P2000"},
                 {"9P20001", "unknown"}, {"9P", "unknown"},        {"", "unknown"}};
    for (size_t i = 0; i < CG_COUNT(cases); i++) {
        (void)abroad_start(&a, cases[i].asked);
        assert_int_equal(a.answer[a.answers - 1].type, NINEP_RVERSION);
        struct cg_buf r = cg_buf_reader(a.answer[a.answers - 1].frame->data + 11, 100);
        assert_true(cg_span_is(cg_get_span(&r, cg_get_u16(&r)), cases[i].got));
        abroad_cut(&a);
    }
}

/* ---- memory: a session of each dialect, in which every allocation fails once ---- */

static bool script_l(void)
{
    if (!abroad_start(&a, "9P2000.L")) {
        return false;
    }
    abroad_call(&a, NINEP_L_TATTACH, "ddssd", U(0), NOFID, "glenda", "", U(0));
    abroad_call(&a, NINEP_L_TMKDIR, "dsdd", U(0), "d", U(0755), U(0));
    abroad_call(&a, NINEP_P_TWALK, "ddws", U(0), U(1), U(1), "d");
    abroad_call(&a, NINEP_P_TWALK, "ddw", U(1), U(2), U(0));
    abroad_call(&a, NINEP_L_TLCREATE, "dsddd", U(2), "f", U(0x100002), U(0644), U(0));
    abroad_call(&a, NINEP_P_TWRITE, "dqdb", U(2), U(0), U(1), (uint64_t)'x');
    abroad_call(&a, NINEP_P_TREAD, "dqd", U(2), U(0), U(10));
    abroad_call(&a, NINEP_L_TREADDIR, "dqd", U(1), U(0), U(4000));
    abroad_call(&a, NINEP_P_TWALK, "ddwsss", U(2), U(3), U(3), "..", "..", "d");
    abroad_call(&a, NINEP_L_TXATTRCREATE, "dsqd", U(3), "user.a", U(1), U(0));
    abroad_call(&a, NINEP_P_TWRITE, "dqdb", U(3), U(0), U(1), (uint64_t)'y');
    abroad_call(&a, NINEP_P_TCLUNK, "d", U(3));
    abroad_call(&a, NINEP_L_TXATTRWALK, "dds", U(0), U(3), "user.a");
    lock(&a, 1, NINEP_LOCKTYPE_EXCLUSIVE, 1, 7);
    abroad_call(&a, NINEP_L_TRENAMEAT, "dsds", U(0), "d", U(0), "e");
    abroad_call(&a, NINEP_L_TRENAME, "dds", U(2), U(0), "g");
    abroad_call(&a, NINEP_P_TREMOVE, "d", U(2));
    abroad_call(&a, NINEP_L_TUNLINKAT, "dsd", U(0), "e", U(0x200));
    w.defer = true;
    abroad_send(&a, 2, NINEP_L_TGETATTR, "dq", U(0), U(0x7ff));
    w.defer = false;
    abroad_send(&a, 3, NINEP_P_TFLUSH, "w", U(2));
    return !a.closed;
}

static bool script_p(void)
{
    if (!abroad_start(&a, "9P2000")) {
        return false;
    }
    abroad_call(&a, NINEP_P_TATTACH, "ddss", U(0), NOFID, "glenda", "");
    abroad_call(&a, NINEP_P_TWALK, "ddw", U(0), U(1), U(0));
    abroad_call(&a, NINEP_P_TCREATE, "dsdb", U(1), "d", U(0x800001ff), U(0));
    abroad_call(&a, NINEP_P_TWALK, "ddw", U(1), U(2), U(0));
    abroad_call(&a, NINEP_P_TCREATE, "dsdb", U(2), "f", U(0644), U(2));
    abroad_call(&a, NINEP_P_TWRITE, "dqdb", U(2), U(0), U(1), (uint64_t)'x');
    abroad_call(&a, NINEP_P_TREAD, "dqd", U(2), U(0), U(10));
    abroad_call(&a, NINEP_P_TREAD, "dqd", U(1), U(0), U(1000));
    abroad_call(&a, NINEP_P_TSTAT, "d", U(2));
    abroad_call(&a, NINEP_P_TWSTAT, "dwwwdbdqdddqssss", U(2), U(50), U(48), U(0xffff),
                U(0xffffffff), U(0xff), U(0xffffffff), UINT64_MAX, U(0600), U(0xffffffff),
                U(0xffffffff), U(3), "g", "", "", "");
    abroad_call(&a, NINEP_P_TWALK, "ddws", U(1), U(3), U(1), "g");
    abroad_call(&a, NINEP_P_TOPEN, "db", U(3), U(0x40));
    abroad_call(&a, NINEP_P_TCLUNK, "d", U(3));
    abroad_call(&a, NINEP_P_TREMOVE, "d", U(1));
    return !a.closed;
}

/* Did the n-th allocation not come before now? */
static bool still_to_come(uint64_t n)
{
    bool failed = false;
    for (uint64_t i = 0; i < n && !failed; i++) {
        void *p = cg_alloc(1);
        failed = !p;
        cg_free(p);
    }
    cg_alloc_fail_at(0);
    return failed;
}

static void every_allocation_may_fail(bool (*script)(void))
{
    bool through = false;
    for (uint64_t n = 1; !through; n++) {
        begin(NULL);
        cg_alloc_fail_at(n);
        bool whole = script();
        through = still_to_come(n);
        assert_true(whole || !through);
        w.defer = false;
        end(NULL);
        assert_true(n < 10000);
    }
}

static void memory_fails_in_9p2000_l(void **state)
{
    (void)state;
    every_allocation_may_fail(script_l);
}

static void memory_fails_in_9p2000(void **state)
{
    (void)state;
    every_allocation_may_fail(script_p);
}

#define T(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(versions_are_agreed),
        T(a_waiting_lock_is_flushed),
        T(a_waiting_lock_is_granted),
        T(a_lock_in_the_way_is_told),
        T(what_was_done_is_answered_before_its_flush),
        T(what_was_not_done_is_not_answered),
        T(a_fid_may_be_clunked_while_it_is_used),
        T(remove_clunks_even_when_it_fails),
        T(a_name_that_stands_for_another_file_is_stale),
        T(fids_follow_a_renamed_folder),
        T(attributes_are_written_and_read),
        T(linux_lists_dot_and_dotdot),
        T(there_are_only_so_many_fids),
        T(there_are_only_so_many_attaches),
        T(there_are_only_so_many_requests),
        T(a_tag_is_not_used_twice),
        T(attributes_take_only_so_much_memory),
        T(a_client_disappears_while_it_is_served),
        T(the_server_ends_while_clients_are_served),
        cmocka_unit_test(memory_fails_in_9p2000_l),
        cmocka_unit_test(memory_fails_in_9p2000),
    };
    setenv("COGNU_LOG", "error", 1);
    cg_log_init("test");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
