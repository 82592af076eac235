/* Tests of leases, watch and locks. */
#include "server_hand.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

enum { WATCH = 60, WRITE = 50, OTHER = 51 }; /* slots */

static struct world w;
static struct hand a, b;

/* Both have the file f open as fid 1; a watches. */
static int setup(void **state)
{
    (void)state;
    world_init(&w);
    world_start(&w);
    hand_init(&a, &w);
    hand_init(&b, &w);
    assert_true(hand_start(&a) && hand_start(&b));
    assert_int_equal(hand_create(&a, 0, 1, "f", 0644, NINEP_OPEN_RDWR), CG_OK);
    assert_int_equal(hand_write(&a, 1, 0, "old"), CG_OK);
    assert_int_equal(hand_walk(&b, 0, 1, "f", NULL), CG_OK);
    assert_int_equal(hand_open(&b, 1, NINEP_OPEN_RDWR), CG_OK);
    union ninep_tmsg t = {0};
    hand_send(&a, WATCH, 0, false, NINEP_TWATCH, &t);
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

static uint8_t lease(struct hand *h, uint32_t fid, struct ninep_xqid *id)
{
    union ninep_tmsg t = {.getattr = {.fid = fid, .want = NINEP_WANT_LEASE}};
    union ninep_rmsg r;
    assert_int_equal(hand_call(h, NINEP_TGETATTR, &t, &r), CG_OK);
    if (id) {
        *id = r.getattr.attr.id;
    }
    return r.getattr.lease;
}

static void send_write(struct hand *h, const char *text)
{
    union ninep_tmsg t = {.write = {.fid = 1, .data = cg_span_of(text)}};
    hand_send(h, WRITE, 0, false, NINEP_TWRITE, &t);
}

/* The events of the standing watch; then watches again. */
static uint16_t events(struct hand *h, struct ninep_event *first)
{
    struct reply *rep = hand_take(h, WATCH);
    if (!rep) {
        return 0;
    }
    assert_int_equal(rep->h.type, NINEP_RWATCH);
    struct cg_buf it = ninep_list_iter(&rep->r.watch.events);
    union ninep_tmsg t = {0};
    for (uint16_t i = 0; i < rep->r.watch.events.count; i++) {
        struct ninep_event ev;
        ninep_get_event(&it, &ev);
        if (i == 0) {
            *first = ev;
        }
        t.watch.seen = ev.number;
    }
    hand_send(h, WATCH, 0, false, NINEP_TWATCH, &t);
    return rep->r.watch.events.count;
}

static void release(struct hand *h, uint64_t number, const struct ninep_xqid *id)
{
    uint8_t body[NINEP_RELEASE_BYTES];
    struct cg_buf buf = cg_buf_writer(body, sizeof body);
    struct ninep_release rel = {.number = number, .id = *id};
    ninep_put_release(&buf, &rel);
    union ninep_tmsg t = {
        .release = {.leases = {.count = 1, .body = {.data = body, .len = sizeof body}}}};
    hand_send(h, OTHER, 0, false, NINEP_TRELEASE, &t);
    code_is(h, OTHER, CG_OK);
}

static void a_mutation_waits_for_the_release(void **state)
{
    (void)state;
    struct ninep_event ev;
    struct ninep_xqid id;
    assert_int_equal(lease(&a, 1, &id), NINEP_LEASE_READ);
    send_write(&b, "new");
    assert_int_equal(hand_pending(&b), 0);
    assert_int_equal(events(&a, &ev), 1);
    assert_int_equal(ev.kind, NINEP_EVENT_BREAK);
    assert_int_equal(ev.id.file, id.file);
    assert_int_equal(lease(&a, 1, NULL), NINEP_LEASE_NONE); /* not while one is being broken */
    assert_int_equal(lease(&b, 1, NULL), NINEP_LEASE_NONE);
    release(&a, ev.number + 1, &id); /* another event's */
    assert_int_equal(hand_pending(&b), 0);
    release(&a, ev.number, &id);
    code_is(&b, WRITE, CG_OK);
    assert_int_equal(lease(&a, 1, NULL), NINEP_LEASE_READ);
}

static void ones_own_leases_stay(void **state)
{
    (void)state;
    assert_int_equal(lease(&a, 1, NULL), NINEP_LEASE_READ);
    send_write(&a, "new");
    code_is(&a, WRITE, CG_OK);
    assert_int_equal(hand_pending(&a), 0);
}

static void a_silent_holder_is_waited_for_no_longer_than_its_term(void **state)
{
    (void)state;
    struct ninep_xqid id;
    struct ninep_event ev;
    assert_int_equal(lease(&a, 1, &id), NINEP_LEASE_READ);
    hand_cut(&a);
    send_write(&b, "new");
    world_pass(&w, 900);
    assert_int_equal(hand_pending(&b), 0);
    world_pass(&w, 200);
    code_is(&b, WRITE, CG_OK);
    assert_true(hand_resume(&a));
    hand_replay(&a, WATCH); /* it hears of it now, before anything else */
    assert_int_equal(events(&a, &ev), 1);
    assert_int_equal(ev.id.file, id.file);
}

static void a_holder_that_goes_away_is_not_waited_for(void **state)
{
    (void)state;
    assert_int_equal(lease(&a, 1, NULL), NINEP_LEASE_READ);
    send_write(&b, "new");
    assert_null(hand_take(&b, WRITE));
    assert_int_equal(hand_clunk(&a, 1), CG_OK); /* another fid: nothing */
    assert_null(hand_take(&b, WRITE));
    assert_int_equal(hand_clunk(&a, 0), CG_OK);
    code_is(&b, WRITE, CG_OK);
}

static void a_talking_holder_that_was_told_is_waited_for_one_term(void **state)
{
    (void)state;
    struct ninep_event ev;
    assert_int_equal(lease(&a, 1, NULL), NINEP_LEASE_READ);
    send_write(&b, "new");
    assert_int_equal(events(&a, &ev), 1);
    for (int i = 0; i < 9; i++) {
        world_pass(&w, 100);
        lease(&a, 0, NULL); /* renews the term */
    }
    assert_int_equal(hand_pending(&b), 0);
    world_pass(&w, 200);
    code_is(&b, WRITE, CG_OK);
}

static void a_session_that_does_not_listen_is_cut_off(void **state)
{
    (void)state;
    struct ninep_xqid id;
    assert_int_equal(lease(&a, 1, &id), NINEP_LEASE_READ);
    ninep_server_changed(w.server, &id);
    hand_take(&a, WATCH); /* and watches no more */
    release(&a, 0, &id);
    assert_int_equal(lease(&a, 1, NULL), NINEP_LEASE_READ);
    send_write(&b, "new");
    for (int i = 0; i < 30 && a.conn; i++) {
        world_pass(&w, 100);
        if (a.conn) {
            lease(&a, 0, NULL);
        }
    }
    assert_true(a.closed);
    assert_int_equal(hand_pending(&b), 0); /* its client may trust the lease for a term yet */
    assert_false(hand_resume(&a));
    world_pass(&w, 1100);
    code_is(&b, WRITE, CG_OK);
}

/* The event was sent, but lost with its connection: the count begins anew when it is sent again. */
static void an_event_that_was_lost_does_not_count(void **state)
{
    (void)state;
    struct ninep_event ev;
    struct ninep_xqid id;
    assert_int_equal(lease(&a, 1, &id), NINEP_LEASE_READ);
    a.mute_after = a.sent;
    send_write(&b, "new");
    hand_cut(&a);
    a.mute_after = UINT32_MAX;
    world_pass(&w, 800);
    assert_true(hand_resume(&a));
    world_pass(&w, 400); /* now a term since it was sent first */
    assert_int_equal(hand_pending(&b), 0);
    hand_replay(&a, WATCH);
    assert_int_equal(events(&a, &ev), 1);
    release(&a, ev.number, &id);
    code_is(&b, WRITE, CG_OK);
}

static void the_host_changes_and_nobody_waits(void **state)
{
    (void)state;
    struct ninep_event ev;
    struct ninep_xqid id;
    assert_int_equal(lease(&a, 1, &id), NINEP_LEASE_READ);
    ninep_server_changed(w.server, &id);
    assert_int_equal(events(&a, &ev), 1);
    release(&a, ev.number, &id);
    assert_int_equal(lease(&a, 1, NULL), NINEP_LEASE_READ);
}

static void names_are_covered_by_the_directory(void **state)
{
    (void)state;
    struct ninep_event ev;
    struct ninep_xqid id;
    assert_int_equal(lease(&a, 0, &id), NINEP_LEASE_READ);
    union ninep_tmsg t = {
        .create = {.fid = 0, .newfid = NINEP_NOFID, .mode = 0644, .name = cg_span_of("g")}};
    hand_send(&b, WRITE, 0, false, NINEP_TCREATE, &t);
    assert_int_equal(events(&a, &ev), 1);
    release(&a, ev.number, &id);
    code_is(&b, WRITE, CG_OK);
    assert_int_equal(lease(&a, 0, NULL), NINEP_LEASE_READ);
    t.create.name = cg_span_of("f"); /* exists: the directory does not change */
    hand_send(&b, WRITE, 0, false, NINEP_TCREATE, &t);
    code_is(&b, WRITE, CG_OK);
    assert_int_equal(events(&a, &ev), 0);
}

static void the_victim_of_a_rename_is_covered(void **state)
{
    (void)state;
    struct ninep_event ev;
    struct ninep_xqid id;
    hand_create(&a, 0, NINEP_NOFID, "g", 0644, 0);
    assert_int_equal(lease(&a, 1, &id), NINEP_LEASE_READ);
    union ninep_tmsg t = {
        .rename = {.fid = 0, .newfid = 0, .name = cg_span_of("g"), .newname = cg_span_of("f")}};
    hand_send(&b, WRITE, 0, false, NINEP_TRENAME, &t);
    assert_int_equal(events(&a, &ev), 1);
    assert_int_equal(ev.id.file, id.file);
    release(&a, ev.number, &id);
    code_is(&b, WRITE, CG_OK);
}

static void a_truncating_open_is_a_mutation(void **state)
{
    (void)state;
    struct ninep_event ev;
    struct ninep_xqid id;
    hand_walk(&b, 0, 2, "f", NULL);
    assert_int_equal(lease(&a, 1, &id), NINEP_LEASE_READ);
    union ninep_tmsg t = {.open = {.fid = 2, .flags = NINEP_OPEN_WRITE | NINEP_OPEN_TRUNC}};
    hand_send(&b, WRITE, 0, false, NINEP_TOPEN, &t);
    assert_int_equal(hand_pending(&b), 0);
    assert_int_equal(events(&a, &ev), 1);
    release(&a, ev.number, &id);
    code_is(&b, WRITE, CG_OK);
}

/* The attributes were asked for before a mutation that is done before they arrive. */
static void no_lease_on_what_may_be_stale(void **state)
{
    (void)state;
    w.defer = true;
    union ninep_tmsg g = {.getattr = {.fid = 1, .want = NINEP_WANT_LEASE}};
    hand_send(&a, OTHER, 0, false, NINEP_TGETATTR, &g);
    send_write(&b, "new");
    assert_int_equal(w.waitings, 2);
    world_run(&w, 1);
    world_run(&w, 0);
    struct reply *rep = hand_take(&a, OTHER);
    assert_int_equal(rep->r.getattr.lease, NINEP_LEASE_NONE);
    send_write(&b, "newer"); /* and not while one is under way */
    hand_send(&a, OTHER, 0, false, NINEP_TGETATTR, &g);
    world_run(&w, 3);
    assert_int_equal(hand_take(&a, OTHER)->r.getattr.lease, NINEP_LEASE_NONE);
    world_run(&w, 2);
}

static void a_parked_mutation_can_be_cancelled(void **state)
{
    (void)state;
    assert_int_equal(lease(&a, 1, NULL), NINEP_LEASE_READ);
    send_write(&b, "new");
    struct ninep_thead head = {.type = NINEP_TCANCEL, .tag = NINEP_VERSION_TAG};
    union ninep_tmsg t = {.cancel = {.oldtag = WRITE, .oldseq = b.seq[WRITE]}};
    hand_send_with(&b, &head, &t);
    code_is(&b, WRITE, CG_ECANCELED);
    assert_int_equal(hand_take(&b, NINEP_VERSION_TAG)->r.cancel.outcome, NINEP_OUTCOME_NOT_STARTED);
    struct ninep_thead wr = {
        .type = NINEP_TWRITE, .tag = WRITE, .seq = ++b.seq[WRITE], .deadline_ms = 300};
    union ninep_tmsg tw = {.write = {.fid = 1, .data = cg_span_of("x")}};
    hand_send_with(&b, &wr, &tw);
    world_pass(&w, 400);
    code_is(&b, WRITE, CG_ETIME);
    char text[8];
    assert_int_equal(hand_read(&b, 1, text, sizeof text), CG_OK);
    assert_string_equal(text, "old");
}

static void too_many_events_become_lost(void **state)
{
    (void)state;
    enum { FILES = 1100 };
    struct ninep_event ev;
    char name[16];
    hand_take(&a, WATCH);
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof name, "x%d", i);
        assert_int_equal(hand_create(&b, 0, NINEP_NOFID, name, 0644, 0), CG_OK);
        union ninep_tmsg t = hand_walk_msg(0, NINEP_NOFID, name);
        t.walk.want = NINEP_WANT_LEASE;
        union ninep_rmsg r;
        assert_int_equal(hand_call(&a, NINEP_TWALK, &t, &r), CG_OK);
        assert_int_equal(r.walk.lease, NINEP_LEASE_READ);
        struct cg_buf it = ninep_list_iter(&r.walk.attrs);
        struct ninep_attr at;
        ninep_get_attr(&it, &at);
        if (i == 0) { /* takes the standing watch away */
            ninep_server_changed(w.server, &at.id);
            assert_non_null(hand_take(&a, WATCH));
        } else {
            ninep_server_changed(w.server, &at.id);
        }
        for (uint32_t j = 0; j < a.replies; j++) {
            ninep_frame_free(a.reply[j].frame);
        }
        for (uint32_t j = 0; j < b.replies; j++) {
            ninep_frame_free(b.reply[j].frame);
        }
        a.replies = b.replies = 0;
    }
    union ninep_tmsg t = {.watch = {.seen = 1}};
    hand_send(&a, WATCH, 0, false, NINEP_TWATCH, &t);
    assert_true(events(&a, &ev) >= 1);
    assert_int_equal(ev.kind, NINEP_EVENT_LOST);
}

static void a_replayed_reply_grants_nothing(void **state)
{
    (void)state;
    union ninep_tmsg t = hand_walk_msg(0, 7, "f");
    t.walk.want = NINEP_WANT_LEASE | NINEP_WANT_INLINE;
    t.walk.inline_max = 100;
    hand_send(&a, OTHER, 0, false, NINEP_TWALK, &t);
    struct reply *rep = hand_take(&a, OTHER);
    assert_int_equal(rep->r.walk.lease, NINEP_LEASE_READ);
    assert_int_equal(rep->r.walk.whole, 1);
    hand_cut(&a);
    assert_true(hand_resume(&a));
    hand_replay(&a, OTHER);
    rep = hand_take(&a, OTHER);
    assert_int_equal(rep->h.flags, NINEP_REPLY_REPLAYED);
    assert_int_equal(rep->r.walk.attrs.count, 1);
    assert_int_equal(rep->r.walk.lease, NINEP_LEASE_NONE);
    assert_int_equal(rep->r.walk.whole, 0);
    assert_int_equal(rep->r.walk.inline_.len, 0);
}

static void entries_and_creations_are_leased(void **state)
{
    (void)state;
    union ninep_rmsg r;
    union ninep_tmsg t = {.readdir = {.fid = 0,
                                      .count = 4000,
                                      .want = NINEP_WANT_LEASE | NINEP_WANT_INLINE,
                                      .inline_max = 100}};
    assert_int_equal(hand_call(&a, NINEP_TREADDIR, &t, &r), CG_OK);
    assert_int_equal(r.readdir.lease, NINEP_LEASE_READ);
    struct cg_buf it = ninep_list_iter(&r.readdir.entries);
    struct ninep_entry en;
    ninep_get_entry(&it, &en);
    assert_int_equal(en.lease, NINEP_LEASE_READ);
    assert_int_equal(en.whole, 1);
    assert_true(cg_span_is(en.inline_, "old"));
    union ninep_tmsg c = {.create = {.fid = 0,
                                     .newfid = 9,
                                     .mode = 0644,
                                     .want = NINEP_WANT_LEASE,
                                     .name = cg_span_of("n")}};
    assert_int_equal(hand_call(&a, NINEP_TCREATE, &c, &r), CG_OK);
    assert_int_equal(r.create.lease, NINEP_LEASE_READ);
    assert_int_equal(lease(&b, 0, NULL), NINEP_LEASE_NONE); /* b never watched */
}

/* ---- locks ---- */

static cg_err lock(struct hand *h, uint8_t kind, uint8_t type, uint64_t owner, uint64_t start,
                   uint64_t length)
{
    union ninep_tmsg t = {.lock = {.fid = 1,
                                   .kind = kind,
                                   .type = type,
                                   .owner = owner,
                                   .start = start,
                                   .length = length}};
    union ninep_rmsg r;
    cg_err e = hand_call(h, NINEP_TLOCK, &t, &r);
    return e ? e : r.lock.granted ? CG_OK : CG_EAGAIN;
}

static void wait_lock(struct hand *h, uint16_t tag, uint32_t fid, uint8_t type, uint64_t owner,
                      uint64_t start, uint64_t length)
{
    union ninep_tmsg t = {.lock = {.fid = fid,
                                   .type = type,
                                   .flags = NINEP_LOCKFLAG_WAIT,
                                   .owner = owner,
                                   .start = start,
                                   .length = length}};
    hand_send(h, tag, 0, false, NINEP_TLOCK, &t);
}

#define P  NINEP_LOCKKIND_POSIX
#define F  NINEP_LOCKKIND_FLOCK
#define SH NINEP_LOCKTYPE_SHARED
#define EX NINEP_LOCKTYPE_EXCLUSIVE
#define UN NINEP_LOCKTYPE_UNLOCK

static void ranges_conflict_split_and_join(void **state)
{
    (void)state;
    assert_int_equal(lock(&a, P, EX, 1, 0, 100), CG_OK);
    assert_int_equal(lock(&b, P, SH, 1, 50, 10), CG_EAGAIN);
    assert_int_equal(lock(&b, P, SH, 1, 100, 10), CG_OK);
    assert_int_equal(lock(&a, P, EX, 2, 0, 10), CG_EAGAIN); /* another owner in the session */
    assert_int_equal(lock(&a, P, UN, 1, 40, 20), CG_OK);    /* a hole */
    assert_int_equal(lock(&b, P, EX, 1, 40, 20), CG_OK);
    assert_int_equal(lock(&b, P, EX, 1, 39, 1), CG_EAGAIN);
    assert_int_equal(lock(&b, P, EX, 1, 60, 1), CG_EAGAIN);
    union ninep_tmsg t = {.getlock = {.fid = 1, .type = EX, .owner = 3, .start = 70}};
    union ninep_rmsg r;
    assert_int_equal(hand_call(&a, NINEP_TGETLOCK, &t, &r), CG_OK);
    assert_int_equal(r.getlock.type == EX || r.getlock.type == SH, 1);
    assert_int_equal(lock(&b, P, UN, 1, 0, 0), CG_OK);
    assert_int_equal(lock(&a, P, EX, 1, 40, 20), CG_OK); /* joins to 0..99 */
    assert_int_equal(hand_call(&b, NINEP_TGETLOCK, &t, &r), CG_OK);
    assert_int_equal(r.getlock.start, 0);
    assert_int_equal(r.getlock.length, 100);
    assert_int_equal(lock(&a, P, SH, 1, 0, 100), CG_OK);
    assert_int_equal(lock(&b, P, SH, 1, 0, 100), CG_OK);
    assert_int_equal(lock(&a, P, EX, 1, UINT64_MAX, 0), CG_OK);
    assert_int_equal(lock(&a, P, EX, 1, UINT64_MAX, 2), CG_EINVAL);
    assert_int_equal(lock(&a, 7, EX, 1, 0, 0), CG_EINVAL);
    assert_int_equal(lock(&a, F, EX, 1, 0, 0), CG_OK); /* the kinds do not see each other */
    assert_int_equal(lock(&b, F, SH, 1, 0, 0), CG_EAGAIN);
}

static void waiters_get_their_turn(void **state)
{
    (void)state;
    assert_int_equal(lock(&a, P, EX, 1, 0, 0), CG_OK);
    wait_lock(&b, 1, 1, SH, 1, 0, 10);
    wait_lock(&b, 2, 1, SH, 2, 0, 10);
    wait_lock(&b, 3, 1, EX, 3, 0, 10);
    assert_int_equal(hand_pending(&b), 0);
    assert_int_equal(lock(&a, P, UN, 1, 0, 0), CG_OK);
    code_is(&b, 1, CG_OK);
    code_is(&b, 2, CG_OK);
    assert_int_equal(hand_pending(&b), 0);
    assert_int_equal(lock(&b, P, UN, 1, 0, 0), CG_OK);
    assert_int_equal(lock(&b, P, UN, 2, 0, 0), CG_OK);
    code_is(&b, 3, CG_OK);
}

static void a_circle_is_refused(void **state)
{
    (void)state;
    assert_int_equal(lock(&a, P, EX, 1, 0, 1), CG_OK);
    assert_int_equal(lock(&b, P, EX, 1, 1, 1), CG_OK);
    assert_int_equal(lock(&b, P, EX, 2, 2, 1), CG_OK);
    wait_lock(&b, 1, 1, EX, 1, 2, 1); /* b1 waits for b2 */
    wait_lock(&b, 2, 1, EX, 2, 0, 1); /* b2 waits for a1 */
    wait_lock(&a, 3, 1, EX, 1, 1, 1); /* a1 would wait for b1 */
    code_is(&a, 3, CG_EDEADLK);
    wait_lock(&a, 3, 1, EX, 5, 1, 1); /* somebody else may wait */
    assert_null(hand_take(&a, 3));
}

static void the_end_of_a_session_unlocks(void **state)
{
    (void)state;
    assert_int_equal(lock(&a, P, EX, 1, 0, 0), CG_OK);
    wait_lock(&b, 1, 1, EX, 1, 0, 0);
    hand_cut(&a);
    world_pass(&w, 59000);
    assert_int_equal(hand_pending(&b), 0);
    world_pass(&w, 2000);
    code_is(&b, 1, CG_OK);
}

static void a_waiting_lock_survives_its_connection(void **state)
{
    (void)state;
    assert_int_equal(lock(&a, P, EX, 1, 0, 0), CG_OK);
    wait_lock(&b, 1, 1, EX, 1, 0, 0);
    hand_cut(&b);
    assert_int_equal(lock(&a, P, UN, 1, 0, 0), CG_OK);
    assert_int_equal(lock(&a, P, EX, 1, 0, 0), CG_EAGAIN);
    assert_true(hand_resume(&b));
    hand_replay(&b, 1);
    struct reply *rep = hand_take(&b, 1);
    assert_non_null(rep);
    assert_int_equal(rep->r.lock.granted, 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_mutation_waits_for_the_release),
        TEST(ones_own_leases_stay),
        TEST(a_silent_holder_is_waited_for_no_longer_than_its_term),
        TEST(a_holder_that_goes_away_is_not_waited_for),
        TEST(a_talking_holder_that_was_told_is_waited_for_one_term),
        TEST(a_session_that_does_not_listen_is_cut_off),
        TEST(an_event_that_was_lost_does_not_count),
        TEST(the_host_changes_and_nobody_waits),
        TEST(names_are_covered_by_the_directory),
        TEST(the_victim_of_a_rename_is_covered),
        TEST(a_truncating_open_is_a_mutation),
        TEST(no_lease_on_what_may_be_stale),
        TEST(a_parked_mutation_can_be_cancelled),
        TEST(too_many_events_become_lost),
        TEST(a_replayed_reply_grants_nothing),
        TEST(entries_and_creations_are_leased),
        TEST(ranges_conflict_split_and_join),
        TEST(waiters_get_their_turn),
        TEST(a_circle_is_refused),
        TEST(the_end_of_a_session_unlocks),
        TEST(a_waiting_lock_survives_its_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
