/* Tests of the server framework: sessions, slots, chains, fids, rights, hostile frames. */
#include "server_hand.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static struct world w;
static struct hand a, b;

static int setup(void **state)
{
    (void)state;
    world_init(&w);
    world_start(&w);
    hand_init(&a, &w);
    hand_init(&b, &w);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    hand_fini(&a);
    hand_fini(&b);
    world_fini(&w);
    return 0;
}

static void code_is(struct hand *h, uint16_t tag, cg_err e)
{
    struct reply *rep = hand_take(h, tag);
    assert_non_null(rep);
    assert_int_equal(rep->h.type == NINEP_RERROR ? rep->r.error.code : 0, e);
}

static struct reply *reply_is(struct hand *h, uint16_t tag, uint8_t type)
{
    struct reply *rep = hand_take(h, tag);
    assert_non_null(rep);
    assert_int_equal(rep->h.type, type);
    return rep;
}

static void text_is(const char *expected)
{
    struct cg_str s = {0};
    assert_int_equal(memfs_text(w.fs, &s), CG_OK);
    assert_string_equal(s.data ? s.data : "", expected);
    cg_str_fini(&s);
}

/* ---- the plain way ---- */

static void files_are_made_read_and_removed(void **state)
{
    (void)state;
    char text[64];
    union ninep_rmsg r;
    assert_true(hand_start(&a));
    assert_int_equal(hand_create(&a, 0, NINEP_NOFID, "d", S_IFDIR | 0755, 0), CG_OK);
    assert_int_equal(hand_walk(&a, 0, 1, "d", &r), CG_OK);
    assert_int_equal(r.walk.attrs.count, 1);
    assert_int_equal(hand_create(&a, 1, 2, "f", 0644, NINEP_OPEN_RDWR), CG_OK);
    assert_int_equal(hand_write(&a, 2, 0, "hello"), CG_OK);
    assert_int_equal(hand_read(&a, 2, text, sizeof text), CG_OK);
    assert_string_equal(text, "hello");
    text_is("/d 40755 2 0 \n/d/f 100644 1 5 hello\n");
    assert_int_equal(hand_clunk(&a, 2), CG_OK);
    assert_int_equal(hand_read(&a, 2, text, sizeof text), CG_EBADF);
    assert_int_equal(hand_remove(&a, 1, "f"), CG_OK);
    assert_int_equal(hand_remove(&a, 1, "f"), CG_ENOENT);
    text_is("/d 40755 2 0 \n");
}

static void walk_opens_and_inlines(void **state)
{
    (void)state;
    union ninep_rmsg r;
    assert_true(hand_start(&a));
    hand_create(&a, 0, 1, "f", 0644, NINEP_OPEN_RDWR);
    hand_write(&a, 1, 0, "small");
    union ninep_tmsg t = hand_walk_msg(0, NINEP_NOFID, "f");
    t.walk.want = NINEP_WANT_INLINE;
    t.walk.inline_max = 100;
    assert_int_equal(hand_call(&a, NINEP_TWALK, &t, &r), CG_OK);
    assert_int_equal(r.walk.whole, 1);
    assert_true(cg_span_is(r.walk.inline_, "small"));
    t.walk.inline_max = 4;
    assert_int_equal(hand_call(&a, NINEP_TWALK, &t, &r), CG_OK);
    assert_int_equal(r.walk.whole, 0);
    assert_int_equal(hand_walk(&a, 0, 2, "f", NULL), CG_OK);
    union ninep_tmsg o = {.open = {.fid = 2, .want = NINEP_WANT_INLINE, .inline_max = 100}};
    assert_int_equal(hand_call(&a, NINEP_TOPEN, &o, &r), CG_OK);
    assert_true(cg_span_is(r.open.inline_, "small"));
    assert_int_equal(hand_open(&a, 2, 0), CG_EBUSY);
    assert_int_equal(hand_walk(&a, 2, 3, "", &r), CG_OK); /* another fid of the same file */
    assert_int_equal(r.walk.attrs.count, 1);
    assert_int_equal(hand_open(&a, 3, 0), CG_OK);
}

static void a_failed_walk_has_no_effect(void **state)
{
    (void)state;
    union ninep_rmsg r;
    assert_true(hand_start(&a));
    hand_create(&a, 0, NINEP_NOFID, "d", S_IFDIR | 0755, 0);
    assert_int_equal(hand_walk(&a, 0, 1, "d/x/y", &r), CG_ENOENT);
    assert_int_equal(r.error.index, 1);
    assert_int_equal(hand_walk(&a, 0, 1, "d", NULL), CG_OK); /* 1 is free */
    assert_int_equal(hand_walk(&a, 0, 1, "d", NULL), CG_EFIDINUSE);
    assert_int_equal(hand_walk(&a, 1, 1, "", NULL), CG_OK); /* in place */
    assert_int_equal(memfs_fids(w.fs), 2);
}

static void listings_are_cut_and_continued(void **state)
{
    (void)state;
    char name[32];
    union ninep_rmsg r;
    assert_true(hand_start(&a));
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof name, "file%02d", i);
        hand_create(&a, 0, NINEP_NOFID, name, 0644, 0);
    }
    uint64_t cookie = 0;
    uint32_t seen = 0;
    do {
        union ninep_tmsg t = {.readdir = {.fid = 0, .cookie = cookie, .count = 1000}};
        assert_int_equal(hand_call(&a, NINEP_TREADDIR, &t, &r), CG_OK);
        struct cg_buf it = ninep_list_iter(&r.readdir.entries);
        for (uint32_t i = 0; i < r.readdir.entries.count; i++) {
            struct ninep_entry en;
            ninep_get_entry(&it, &en);
            snprintf(name, sizeof name, "file%02u", seen++);
            assert_true(cg_span_is(en.name, name));
            cookie = en.cookie;
        }
    } while (!r.readdir.eof);
    assert_int_equal(seen, 20);
    union ninep_tmsg t = {.readdir = {.fid = 0, .count = 10}};
    assert_int_equal(hand_call(&a, NINEP_TREADDIR, &t, &r), CG_EMSGSIZE);
}

/* ---- chains ---- */

static void a_chain_runs_in_order_and_stops_at_an_error(void **state)
{
    (void)state;
    assert_true(hand_start(&a));
    union ninep_tmsg t = {
        .create = {.fid = 0, .newfid = 5, .flags = 2, .mode = 0644, .name = cg_span_of("f")}};
    w.defer = true;
    hand_send(&a, 1, 7, false, NINEP_TCREATE, &t);
    union ninep_tmsg wr = {.write = {.fid = 5, .data = cg_span_of("x")}};
    hand_send(&a, 2, 7, false, NINEP_TWRITE, &wr);
    assert_int_equal(w.waitings, 1); /* the write waits for its turn */
    world_run(&w, 0);
    assert_int_equal(w.waitings, 2);
    union ninep_tmsg bad = {.remove = {.fid = 0, .name = cg_span_of("none")}};
    hand_send(&a, 3, 7, false, NINEP_TREMOVE, &bad);
    union ninep_tmsg good = {.remove = {.fid = 0, .name = cg_span_of("f")}};
    hand_send(&a, 4, 7, false, NINEP_TREMOVE, &good);
    world_run(&w, 1);
    world_run(&w, 2);
    code_is(&a, 1, CG_OK);
    code_is(&a, 2, CG_OK);
    code_is(&a, 3, CG_ENOENT);
    code_is(&a, 4, CG_ESKIPPED);
    hand_send(&a, 4, 7, true, NINEP_TREMOVE, &good); /* still the failed chain, its last */
    code_is(&a, 4, CG_ESKIPPED);
    hand_send(&a, 4, 7, true, NINEP_TREMOVE, &good); /* a new one of that number */
    world_run(&w, 3);
    code_is(&a, 4, CG_OK);
    w.defer = false;
    text_is("");
}

static void without_a_chain_there_is_no_order(void **state)
{
    (void)state;
    assert_true(hand_start(&a));
    w.defer = true;
    union ninep_tmsg t = {.getattr = {.fid = 0}};
    hand_send(&a, 1, 0, false, NINEP_TGETATTR, &t);
    hand_send(&a, 2, 0, false, NINEP_TGETATTR, &t);
    assert_int_equal(w.waitings, 2);
    world_run(&w, 1);
    assert_null(hand_take(&a, 1));
    reply_is(&a, 2, NINEP_RGETATTR);
    world_run(&w, 0);
    reply_is(&a, 1, NINEP_RGETATTR);
}

/* ---- the ledger ---- */

static void a_replay_is_answered_from_the_ledger(void **state)
{
    (void)state;
    assert_true(hand_start(&a));
    assert_int_equal(hand_create(&a, 0, 1, "f", 0644, NINEP_OPEN_RDWR | NINEP_OPEN_APPEND), CG_OK);
    union ninep_tmsg t = {.write = {.fid = 1, .data = cg_span_of("once")}};
    hand_send(&a, 3, 0, false, NINEP_TWRITE, &t);
    reply_is(&a, 3, NINEP_RWRITE);
    hand_cut(&a);
    assert_true(hand_resume(&a));
    hand_replay(&a, 3);
    struct reply *rep = reply_is(&a, 3, NINEP_RWRITE);
    assert_int_equal(rep->h.flags, NINEP_REPLY_REPLAYED);
    assert_int_equal(rep->r.write.count, 4);
    text_is("/f 100644 1 4 once\n");
}

static void a_replay_attaches_to_what_is_under_way(void **state)
{
    (void)state;
    assert_true(hand_start(&a));
    hand_create(&a, 0, 1, "f", 0644, NINEP_OPEN_RDWR | NINEP_OPEN_APPEND);
    w.defer = true;
    union ninep_tmsg t = {.write = {.fid = 1, .data = cg_span_of("once")}};
    hand_send(&a, 3, 0, false, NINEP_TWRITE, &t);
    hand_cut(&a);
    assert_true(hand_resume(&a));
    hand_replay(&a, 3);
    assert_int_equal(w.waitings, 1);
    assert_int_equal(hand_pending(&a), 0);
    world_run(&w, 0);
    struct reply *rep = reply_is(&a, 3, NINEP_RWRITE);
    assert_int_equal(rep->h.flags, 0);
    text_is("/f 100644 1 4 once\n");
}

/* One that is done between the resume and the replay is answered once: a second answer would pass
 * for that to the next request of the slot. */
static void what_is_done_before_its_replay_is_answered_once(void **state)
{
    (void)state;
    assert_true(hand_start(&a));
    hand_create(&a, 0, 1, "f", 0644, NINEP_OPEN_RDWR | NINEP_OPEN_APPEND);
    w.defer = true;
    union ninep_tmsg t = {.write = {.fid = 1, .data = cg_span_of("once")}};
    hand_send(&a, 3, 0, false, NINEP_TWRITE, &t);
    hand_cut(&a);
    assert_true(hand_resume(&a));
    world_run(&w, 0);
    assert_int_equal(hand_pending(&a), 0);
    hand_replay(&a, 3);
    struct reply *rep = reply_is(&a, 3, NINEP_RWRITE);
    assert_int_equal(rep->h.flags, NINEP_REPLY_REPLAYED);
    assert_int_equal(hand_pending(&a), 0);
    text_is("/f 100644 1 4 once\n");
}

static void work_goes_on_while_the_session_lingers(void **state)
{
    (void)state;
    assert_true(hand_start(&a));
    w.defer = true;
    union ninep_tmsg t = {
        .create = {.fid = 0, .newfid = 5, .flags = 2, .mode = 0644, .name = cg_span_of("f")}};
    hand_send(&a, 1, 9, false, NINEP_TCREATE, &t);
    union ninep_tmsg wr = {.write = {.fid = 5, .data = cg_span_of("x")}};
    hand_send(&a, 2, 9, true, NINEP_TWRITE, &wr);
    hand_cut(&a);
    world_run(&w, 0);
    world_run(&w, 1);
    text_is("/f 100644 1 1 x\n");
    assert_true(hand_resume(&a));
    hand_replay(&a, 1);
    hand_replay(&a, 2);
    reply_is(&a, 1, NINEP_RCREATE);
    reply_is(&a, 2, NINEP_RWRITE);
    assert_int_equal(w.waitings, 2);
}

/* Its fids are let go, for an open file may hold more than memory; but what was asked for is done.
 */
static void a_session_that_said_goodbye_ends_when_its_work_is_done(void **state)
{
    (void)state;
    uint32_t root = 0;
    union ninep_tmsg clunk = hand_clunk_msg(&root),
                     wr = {.write = {.fid = 1, .data = cg_span_of("x")}};
    assert_true(hand_start(&a) && hand_start(&b));
    hand_create(&a, 0, 1, "f", 0644, NINEP_OPEN_RDWR);
    hand_create(&b, 0, 1, "g", 0644, NINEP_OPEN_RDWR);
    hand_send(&b, 3, 0, false, NINEP_TCLUNK, &clunk);
    hand_cut(&b);
    w.defer = true;
    hand_send(&a, 2, 0, false, NINEP_TWRITE, &wr);
    hand_send(&a, 3, 0, false, NINEP_TCLUNK, &clunk);
    hand_cut(&a);
    world_pass(&w, 1000);
    assert_int_equal(memfs_fids(w.fs), 1); /* what the write still needs */
    world_run(&w, 0);
    text_is("/f 100644 1 1 x\n/g 100644 1 0 \n");
}

static void a_chained_read_is_replayed_after_its_clunk(void **state)
{
    (void)state;
    assert_true(hand_start(&a));
    hand_create(&a, 0, 1, "f", 0644, NINEP_OPEN_RDWR);
    hand_write(&a, 1, 0, "contents");
    union ninep_tmsg walk = hand_walk_msg(0, 9, "f");
    union ninep_tmsg open = {.open = {.fid = 9}};
    union ninep_tmsg rd = {.read = {.fid = 9, .count = 100}};
    uint32_t nine = 9;
    union ninep_tmsg clunk = hand_clunk_msg(&nine);
    hand_send(&a, 1, 4, false, NINEP_TWALK, &walk);
    hand_send(&a, 2, 4, false, NINEP_TOPEN, &open);
    hand_send(&a, 3, 4, false, NINEP_TREAD, &rd);
    hand_send(&a, 4, 4, true, NINEP_TCLUNK, &clunk);
    for (uint16_t tag = 1; tag <= 4; tag++) {
        code_is(&a, tag, CG_OK);
    }
    assert_int_equal(memfs_fids(w.fs), 3); /* the clunked one is kept for the replay */
    hand_cut(&a);
    world_pass(&w, 45000);
    assert_true(hand_resume(&a));
    world_pass(&w, 1000);
    for (uint16_t tag = 1; tag <= 4; tag++) {
        hand_replay(&a, tag);
    }
    code_is(&a, 1, CG_OK);
    code_is(&a, 2, CG_OK);
    assert_true(cg_span_is(reply_is(&a, 3, NINEP_RREAD)->r.read.data, "contents"));
    code_is(&a, 4, CG_OK);
    union ninep_tmsg get = {.getattr = {.fid = 0}};
    hand_send(&a, 4, 0, false, NINEP_TGETATTR, &get); /* acknowledges */
    assert_int_equal(memfs_fids(w.fs), 2);
}

static void kept_fids_go_in_time(void **state)
{
    (void)state;
    assert_true(hand_start(&a));
    union ninep_tmsg walk = hand_walk_msg(0, 9, "");
    union ninep_tmsg get = {.getattr = {.fid = 9}};
    uint32_t nine = 9;
    union ninep_tmsg clunk = hand_clunk_msg(&nine);
    hand_send(&a, 1, 4, false, NINEP_TWALK, &walk);
    hand_send(&a, 2, 4, false, NINEP_TGETATTR, &get);
    hand_send(&a, 3, 4, true, NINEP_TCLUNK, &clunk);
    assert_int_equal(memfs_fids(w.fs), 2);
    world_pass(&w, 31000);
    assert_int_equal(memfs_fids(w.fs), 1);
}

static void sequence_numbers_wrap_and_are_checked(void **state)
{
    (void)state;
    assert_true(hand_start(&a));
    union ninep_tmsg t = {.getattr = {.fid = 0}};
    struct ninep_thead h = {.type = NINEP_TGETATTR, .tag = 5, .seq = 2};
    hand_send_with(&a, &h, &t);
    code_is(&a, 5, CG_ESEQUENCE);
    h.seq = 0;
    hand_send_with(&a, &h, &t);
    code_is(&a, 5, CG_ESEQUENCE);
    h.seq = 1;
    hand_send_with(&a, &h, &t);
    code_is(&a, 5, CG_OK);
    h.tag = HAND_SLOTS;
    hand_send_with(&a, &h, &t);
    code_is(&a, HAND_SLOTS, CG_EPROTO);
}

/* ---- sessions ---- */

static void a_session_is_lost_after_its_time(void **state)
{
    (void)state;
    assert_true(hand_start(&a));
    hand_create(&a, 0, 1, "f", 0644, NINEP_OPEN_RDWR);
    hand_cut(&a);
    world_pass(&w, 59000);
    assert_int_equal(memfs_fids(w.fs), 2);
    world_pass(&w, 2000);
    assert_int_equal(memfs_fids(w.fs), 0);
    assert_false(hand_resume(&a));
    assert_int_equal(a.session.resumed, 0);
}

/* The file server answers when the session, and even the server, is gone. */
static void a_session_ends_while_it_is_served(void **state)
{
    (void)state;
    w.ops.cancel = NULL;
    assert_true(hand_start(&a));
    w.defer = true;
    union ninep_tmsg t = {.create = {.fid = 0, .newfid = 5, .mode = 0644, .name = cg_span_of("f")}};
    hand_send(&a, 1, 0, false, NINEP_TCREATE, &t);
    union ninep_tmsg walk = hand_walk_msg(0, 6, "");
    hand_send(&a, 2, 0, false, NINEP_TWALK, &walk);
    hand_send(&a, 3, 7, false, NINEP_TWALK, &walk);
    hand_send(&a, 4, 7, true, NINEP_TCREATE, &t); /* never has its turn */
    assert_int_equal(w.waitings, 3);
    hand_cut(&a);
    world_pass(&w, 61000);
    world_run(&w, 0);
    ninep_server_free(w.server);
    world_run(&w, 1);
    world_run(&w, 2);
    assert_int_equal(memfs_fids(w.fs), 0);
    text_is("/f 100644 1 0 \n");
    w.defer = false;
    world_start(&w);
}

/* Found by the fuzzer: the file server answers from within cancel, and the chain behind goes too.
 */
static void a_session_ends_with_a_chain_that_is_cancelled(void **state)
{
    (void)state;
    assert_true(hand_start(&a));
    w.defer = true;
    union ninep_tmsg t = {.getattr = {.fid = 0}};
    for (uint16_t tag = 1; tag < 5; tag++) {
        hand_send(&a, tag, 7, false, NINEP_TGETATTR, &t);
    }
    hand_send(&a, 5, 0, false, NINEP_TGETATTR, &t);
    hand_cut(&a);
    world_pass(&w, 61000);
    assert_int_equal(w.cancels, 2);
    assert_int_equal(memfs_fids(w.fs), 0);
}

static void a_wrong_proof_is_refused(void **state)
{
    (void)state;
    assert_true(hand_start(&a));
    hand_cut(&a);
    b.session = a.session;
    b.peer.uid = 1001; /* another user */
    assert_false(hand_resume(&b));
    assert_int_equal(b.reply[0].h.type, NINEP_RERROR);
    assert_int_equal(b.reply[0].r.error.code, CG_ESESSION);
    assert_true(hand_resume(&a));
}

static void a_resumed_session_leaves_its_old_link(void **state)
{
    (void)state;
    assert_true(hand_start(&a));
    b.session = a.session;
    assert_true(hand_resume(&b));
    assert_true(a.closed);
    assert_int_equal(b.session.slots, a.session.slots);
}

static void too_many_sessions_end_a_lingering_one(void **state)
{
    (void)state;
    static struct hand many[5];
    w.config.sessions_max = 4;
    ninep_server_free(w.server);
    world_start(&w);
    for (int i = 0; i < 5; i++) {
        hand_init(&many[i], &w);
        assert_int_equal(hand_start(&many[i]), i < 4);
    }
    hand_cut(&many[1]);
    hand_cut(&many[4]);
    assert_true(hand_start(&many[4]));
    assert_false(hand_resume(&many[1]));
    for (int i = 0; i < 5; i++) {
        hand_fini(&many[i]);
    }
}

/* ---- rights ---- */

static void rights_are_enforced(void **state)
{
    (void)state;
    char text[8];
    union ninep_rmsg r;
    assert_true(hand_start(&a));
    hand_create(&a, 0, NINEP_NOFID, "d", S_IFDIR | 0755, 0);
    hand_walk(&a, 0, 1, "d", NULL);
    hand_create(&a, 1, NINEP_NOFID, "f", 0644, 0);
    w.grant.rights = NINEP_RIGHTS_READ | NINEP_RIGHTS_EXEC;
    assert_true(hand_start(&b));
    assert_int_equal(hand_walk(&b, 0, 1, "d/f", &r), CG_OK);
    struct cg_buf it = ninep_list_iter(&r.walk.attrs);
    struct ninep_attr at;
    ninep_get_attr(&it, &at);
    assert_int_equal(at.rights, NINEP_RIGHTS_READ | NINEP_RIGHTS_EXEC);
    assert_int_equal(hand_open(&b, 1, NINEP_OPEN_RDWR), CG_EPERM);
    assert_int_equal(hand_open(&b, 1, NINEP_OPEN_READ | NINEP_OPEN_TRUNC), CG_EPERM);
    assert_int_equal(hand_open(&b, 1, NINEP_OPEN_READ), CG_OK);
    assert_int_equal(hand_write(&b, 1, 0, "x"), CG_EBADF);
    assert_int_equal(hand_create(&b, 0, 2, "x", 0644, 0), CG_EPERM);
    assert_int_equal(hand_remove(&b, 0, "d"), CG_EPERM);
    union ninep_tmsg t = {.setattr = {.fid = 1}};
    assert_int_equal(hand_call(&b, NINEP_TSETATTR, &t, NULL), CG_EPERM);
    hand_fini(&b);
    w.grant.rights = NINEP_RIGHTS_WRITE;
    hand_init(&b, &w);
    assert_true(hand_start(&b));
    assert_int_equal(hand_walk(&b, 0, 1, "d", NULL), CG_EPERM);
    assert_int_equal(hand_create(&b, 0, 1, "in", 0644, NINEP_OPEN_WRITE), CG_OK);
    assert_int_equal(hand_read(&b, 1, text, sizeof text), CG_EBADF);
    union ninep_tmsg l = {.readdir = {.fid = 0, .count = 1000}};
    assert_int_equal(hand_call(&b, NINEP_TREADDIR, &l, NULL), CG_EPERM);
}

static void a_granted_path_is_the_root(void **state)
{
    (void)state;
    assert_true(hand_start(&a));
    hand_create(&a, 0, NINEP_NOFID, "d", S_IFDIR | 0755, 0);
    hand_walk(&a, 0, 1, "d", NULL);
    hand_create(&a, 1, NINEP_NOFID, "e", S_IFDIR | 0755, 0);
    hand_walk(&a, 1, 2, "e", NULL);
    hand_create(&a, 2, NINEP_NOFID, "f", 0644, 0);
    memcpy(w.grant.path, "d/e", 4);
    assert_true(hand_start(&b));
    assert_int_equal(hand_walk(&b, 0, 1, "f", NULL), CG_OK);
    assert_int_equal(hand_walk(&b, 0, 2, "..", NULL), CG_EINVAL);
    assert_int_equal(hand_walk(&b, 0, 2, "d", NULL), CG_ENOENT);
    memcpy(w.grant.path, "no", 3);
    union ninep_tmsg t = {.attach = {.fid = 7}};
    assert_int_equal(hand_call(&b, NINEP_TATTACH, &t, NULL), CG_ENOENT);
    w.grant.path[0] = '\0';
    w.refuse = CG_EAUTH;
    assert_int_equal(hand_call(&b, NINEP_TATTACH, &t, NULL), CG_EAUTH);
}

static void an_attach_expires(void **state)
{
    (void)state;
    const struct cg_env *env = sim_env(w.sim);
    w.grant.expires_ns = env->wall_ns(env->ctx) + UINT64_C(5000000000);
    assert_true(hand_start(&a));
    assert_int_equal(hand_walk(&a, 0, 1, "", NULL), CG_OK);
    world_pass(&w, 6000);
    assert_int_equal(hand_walk(&a, 1, 2, "", NULL), CG_EEXPIRED);
    assert_int_equal(hand_clunk(&a, 1), CG_OK);
}

static void links_and_renames_do_not_widen(void **state)
{
    (void)state;
    assert_true(hand_start(&a));
    hand_create(&a, 0, NINEP_NOFID, "f", 0644, 0);
    w.grant.rights = NINEP_RIGHTS_WRITE | NINEP_RIGHTS_EXEC; /* a second attach of the session */
    union ninep_tmsg t = {.attach = {.fid = 7}};
    assert_int_equal(hand_call(&a, NINEP_TATTACH, &t, NULL), CG_OK);
    hand_walk(&a, 7, 8, "f", NULL);
    union ninep_tmsg l = {.link = {.fid = 8, .dirfid = 0, .name = cg_span_of("g")}};
    assert_int_equal(hand_call(&a, NINEP_TLINK, &l, NULL), CG_EPERM);
    union ninep_tmsg m = {.rename = {
                              .fid = 7,
                              .newfid = 0,
                              .name = cg_span_of("f"),
                              .newname = cg_span_of("g"),
                          }};
    assert_int_equal(hand_call(&a, NINEP_TRENAME, &m, NULL), CG_EPERM);
    m.rename.fid = 0;
    m.rename.newfid = 7;
    assert_int_equal(hand_call(&a, NINEP_TRENAME, &m, NULL), CG_OK);
}

/* ---- cancel and deadlines ---- */

static uint8_t cancel(struct hand *h, uint16_t tag, uint32_t seq)
{
    struct ninep_thead head = {.type = NINEP_TCANCEL, .tag = NINEP_VERSION_TAG};
    union ninep_tmsg t = {.cancel = {.oldtag = tag, .oldseq = seq}};
    hand_send_with(h, &head, &t);
    struct reply *rep = hand_take(h, NINEP_VERSION_TAG);
    return rep ? rep->r.cancel.outcome : 99;
}

static void cancel_tells_the_outcome(void **state)
{
    (void)state;
    assert_true(hand_start(&a));
    w.defer = true;
    union ninep_tmsg t = {.create = {.fid = 0, .newfid = 5, .mode = 0644, .name = cg_span_of("f")}};
    hand_send(&a, 1, 3, false, NINEP_TCREATE, &t);
    union ninep_tmsg rm = {.remove = {.fid = 0, .name = cg_span_of("f")}};
    hand_send(&a, 2, 3, false, NINEP_TREMOVE, &rm);
    hand_send(&a, 3, 3, true, NINEP_TREMOVE, &rm);
    assert_int_equal(cancel(&a, 2, 1), NINEP_OUTCOME_NOT_STARTED); /* it waited its turn */
    code_is(&a, 2, CG_ECANCELED);
    code_is(&a, 3, CG_ESKIPPED);
    world_run(&w, 0); /* the one before is not touched */
    code_is(&a, 1, CG_OK);
    assert_int_equal(cancel(&a, 1, 1), NINEP_OUTCOME_DONE);
    assert_int_equal(cancel(&a, 9, 1), NINEP_OUTCOME_NOT_STARTED);
    union ninep_tmsg g = {.getattr = {.fid = 0}};
    hand_send(&a, 4, 0, false, NINEP_TGETATTR, &g);
    assert_int_equal(cancel(&a, 4, 1), NINEP_OUTCOME_NOT_STARTED); /* the file server ended it */
    assert_int_equal(w.cancels, 1);
    code_is(&a, 4, CG_ECANCELED);
}

static void cancel_waits_for_a_server_that_goes_on(void **state)
{
    (void)state;
    w.ops.cancel = NULL;
    assert_true(hand_start(&a));
    w.defer = true;
    union ninep_tmsg t = {.getattr = {.fid = 0}};
    hand_send(&a, 4, 0, false, NINEP_TGETATTR, &t);
    assert_int_equal(cancel(&a, 4, 1), 99);
    world_run(&w, 0);
    uint32_t last = a.replies;
    assert_int_equal(a.reply[last - 2].h.type, NINEP_RGETATTR); /* the original first */
    assert_int_equal(a.reply[last - 1].h.type, NINEP_RCANCEL);
    assert_int_equal(a.reply[last - 1].r.cancel.outcome, NINEP_OUTCOME_DONE);
}

static void deadlines_are_kept(void **state)
{
    (void)state;
    assert_true(hand_start(&a));
    w.defer = true;
    union ninep_tmsg t = {.getattr = {.fid = 0}};
    struct ninep_thead h = {.type = NINEP_TGETATTR, .tag = 5, .seq = 1, .deadline_ms = 500};
    hand_send_with(&a, &h, &t);
    world_pass(&w, 400);
    assert_int_equal(hand_pending(&a), 0);
    world_pass(&w, 200);
    code_is(&a, 5, CG_ETIME);
    assert_int_equal(w.cancels, 1);
}

static void timing_is_told_when_asked(void **state)
{
    (void)state;
    assert_true(hand_start(&a));
    w.defer = true;
    union ninep_tmsg t = {.getattr = {.fid = 0}};
    struct ninep_thead h = {
        .type = NINEP_TGETATTR, .tag = 5, .seq = 1, .flags = NINEP_REQUEST_TIMING};
    hand_send_with(&a, &h, &t);
    world_pass(&w, 7);
    world_run(&w, 0);
    assert_int_equal(reply_is(&a, 5, NINEP_RGETATTR)->h.server_us, 7000);
}

/* ---- hostile frames ---- */

static void bad_arguments_are_refused(void **state)
{
    (void)state;
    assert_true(hand_start(&a));
    hand_create(&a, 0, 1, "f", 0644, NINEP_OPEN_RDWR);
    const char *bad[] = {"..", ".", "a\0b", ""};
    for (size_t i = 0; i < CG_COUNT(bad); i++) {
        union ninep_tmsg t = {.walk = {.fid = 0, .newfid = 9}};
        t.walk.names.count = 1;
        t.walk.names.name[0] = (struct cg_span){.data = (const uint8_t *)bad[i],
                                                .len = i == 2 ? 3 : (uint32_t)strlen(bad[i])};
        assert_int_equal(hand_call(&a, NINEP_TWALK, &t, NULL), CG_EINVAL);
    }
    union ninep_tmsg t = {.read = {.fid = 1, .count = HAND_MSIZE}};
    assert_int_equal(hand_call(&a, NINEP_TREAD, &t, NULL), CG_EMSGSIZE);
    t.read.fid = 0;
    t.read.count = 1;
    assert_int_equal(hand_call(&a, NINEP_TREAD, &t, NULL), CG_EISDIR);
    t.read.fid = 77;
    assert_int_equal(hand_call(&a, NINEP_TREAD, &t, NULL), CG_EBADF);
    assert_int_equal(hand_create(&a, 1, 9, "x", 0644, 0), CG_ENOTDIR);
    assert_int_equal(hand_create(&a, 0, 1, "x", 0644, 0), CG_EFIDINUSE);
    assert_int_equal(hand_create(&a, 0, 9, "a/b", 0644, 0), CG_EINVAL);
    assert_int_equal(hand_clunk(&a, 12345), CG_EBADF);
    union ninep_tmsg s = {.statfs = {.fid = 0}};
    assert_int_equal(hand_call(&a, NINEP_TSTATFS, &s, NULL), CG_ENOSYS);
    union ninep_tmsg x = {.xattrget = {.fid = 1, .max = 10}};
    assert_int_equal(hand_call(&a, NINEP_TXATTRGET, &x, NULL), CG_EOPNOTSUPP);
}

static void malformed_bodies_are_told(void **state)
{
    (void)state;
    assert_true(hand_start(&a));
    uint8_t bytes[NINEP_T_HEADER_BYTES + 3] = {0};
    struct cg_buf buf = cg_buf_writer(bytes, sizeof bytes);
    struct ninep_thead h = {.size = sizeof bytes, .type = NINEP_TGETATTR, .tag = 3, .seq = 1};
    ninep_put_thead(&buf, &h);
    hand_bytes(&a, bytes, sizeof bytes);
    code_is(&a, 3, CG_EPROTO);
    h.seq = 2;
    h.type = 251;
    buf = cg_buf_writer(bytes, sizeof bytes);
    ninep_put_thead(&buf, &h);
    hand_bytes(&a, bytes, sizeof bytes);
    code_is(&a, 3, CG_EUNKNOWNMSG);
    h.seq = 3; /* the slot goes on */
    h.type = NINEP_TGETATTR;
    union ninep_tmsg t = {.getattr = {.fid = 0}};
    hand_send_with(&a, &h, &t);
    code_is(&a, 3, CG_OK);
    hand_bytes(&a, bytes, 10);
    assert_true(a.closed);
}

static void tails_are_understood_or_refused(void **state)
{
    (void)state;
    assert_true(hand_start(&a));
    for (uint16_t type = 0; type < 2; type++) {
        uint8_t bytes[NINEP_T_HEADER_BYTES + 6 + 8];
        struct cg_buf buf = cg_buf_writer(bytes, sizeof bytes);
        struct ninep_thead h = {
            .size = sizeof bytes, .type = NINEP_TGETATTR, .tag = 3, .seq = type + 1U, .tail = 6};
        ninep_put_thead(&buf, &h);
        struct ninep_tailitem item = {.type = type ? 0x8001 : 0x0001, .value = cg_span_of("xy")};
        ninep_put_tailitem(&buf, &item);
        struct ninep_tgetattr t = {.fid = 0};
        ninep_put_tgetattr(&buf, &t);
        assert_int_equal(buf.pos, sizeof bytes);
        hand_bytes(&a, bytes, sizeof bytes);
        code_is(&a, 3, type ? CG_EUNKNOWNMSG : CG_OK);
    }
}

static void a_silent_connection_is_closed(void **state)
{
    (void)state;
    assert_true(hand_link(&a));
    world_pass(&w, 11000);
    assert_true(a.closed);
    assert_true(hand_link(&a));
    uint8_t bytes[NINEP_T_HEADER_BYTES + 8] = {sizeof bytes, 0, 0, 0, NINEP_TGETATTR};
    hand_bytes(&a, bytes, sizeof bytes);
    assert_true(a.closed); /* a request before Tsession */
}

static void limits_are_kept(void **state)
{
    (void)state;
    w.config.fids_max = 3;
    ninep_server_free(w.server);
    world_start(&w);
    assert_true(hand_start(&a));
    assert_int_equal(hand_walk(&a, 0, 1, "", NULL), CG_OK);
    assert_int_equal(hand_walk(&a, 0, 2, "", NULL), CG_OK);
    assert_int_equal(hand_walk(&a, 0, 3, "", NULL), CG_ELIMIT);
    struct cg_str s = {0};
    assert_int_equal(ninep_server_status(w.server, &s), CG_OK);
    assert_non_null(strstr(s.data, "fids 3 leases 0 locks 0 inflight 0\n"));
    assert_non_null(strstr(s.data, "user glenda"));
    cg_str_fini(&s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(files_are_made_read_and_removed),
        TEST(walk_opens_and_inlines),
        TEST(a_failed_walk_has_no_effect),
        TEST(listings_are_cut_and_continued),
        TEST(a_chain_runs_in_order_and_stops_at_an_error),
        TEST(without_a_chain_there_is_no_order),
        TEST(a_replay_is_answered_from_the_ledger),
        TEST(a_replay_attaches_to_what_is_under_way),
        TEST(what_is_done_before_its_replay_is_answered_once),
        TEST(work_goes_on_while_the_session_lingers),
        TEST(a_session_that_said_goodbye_ends_when_its_work_is_done),
        TEST(a_chained_read_is_replayed_after_its_clunk),
        TEST(kept_fids_go_in_time),
        TEST(sequence_numbers_wrap_and_are_checked),
        TEST(a_session_is_lost_after_its_time),
        TEST(a_session_ends_while_it_is_served),
        TEST(a_session_ends_with_a_chain_that_is_cancelled),
        TEST(a_wrong_proof_is_refused),
        TEST(a_resumed_session_leaves_its_old_link),
        TEST(too_many_sessions_end_a_lingering_one),
        TEST(rights_are_enforced),
        TEST(a_granted_path_is_the_root),
        TEST(an_attach_expires),
        TEST(links_and_renames_do_not_widen),
        TEST(cancel_tells_the_outcome),
        TEST(cancel_waits_for_a_server_that_goes_on),
        TEST(deadlines_are_kept),
        TEST(timing_is_told_when_asked),
        TEST(bad_arguments_are_refused),
        TEST(malformed_bodies_are_told),
        TEST(tails_are_understood_or_refused),
        TEST(a_silent_connection_is_closed),
        TEST(limits_are_kept),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    hand_walks_wait = true;
    return cmocka_run_group_tests(tests, NULL, NULL) + failed;
}
