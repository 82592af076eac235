/* What a client holds, against a scripted server: leases and fids. */
#include "client_testkit.h"

/* ---- leases ---- */

static void answer_watch(struct peer *p, const struct sent *w, uint64_t first, uint32_t count,
                         uint8_t kind)
{
    uint8_t body[1024];
    struct cg_buf b = cg_buf_writer(body, sizeof body);
    for (uint32_t i = 0; i < count; i++) {
        struct ninep_event e = {.number = first + i, .kind = kind, .id.file = 100 + first + i};
        ninep_put_event(&b, &e);
    }
    union ninep_rmsg r = {.watch = {.events = {(uint16_t)count, {body, (uint32_t)b.pos}}}};
    peer_answer(p, w, NINEP_RWATCH, &r);
}

static void watch_stands_and_leases_are_given_back(void **state)
{
    struct peer *p = *state;
    p->release_events = true;
    begin(p);
    struct sent w = peer_take(p, NINEP_TWATCH);
    assert_int_equal(w.t.watch.seen, 0);
    assert_int_equal(w.h.deadline_ms, 0);
    answer_watch(p, &w, 1, 3, NINEP_EVENT_BREAK);
    assert_int_equal(p->events, 3);
    assert_int_equal(p->event[2].id.file, 103);
    w = peer_take(p, NINEP_TWATCH);
    assert_int_equal(w.t.watch.seen, 3);
    struct sent r = peer_take(p, NINEP_TRELEASE);
    assert_int_equal(r.t.release.leases.count, 3); /* gathered */
    struct cg_buf it = ninep_list_iter(&r.t.release.leases);
    struct ninep_release rel;
    ninep_get_release(&it, &rel);
    assert_int_equal(rel.number, 1);
    assert_int_equal(rel.id.file, 101);
    peer_ok(p, &r);
    answer_watch(p, &w, 3, 2, NINEP_EVENT_BREAK); /* 3 is known already */
    assert_int_equal(p->events, 4);
    assert_int_equal(p->event[3].number, 4);
    assert_int_equal(peer_take(p, NINEP_TWATCH).t.watch.seen, 4);
    end(p);
}

static void releases_pass_when_all_slots_are_taken(void **state)
{
    struct peer *p = *state;
    p->slots = 4;
    begin(p);
    peer_take(p, NINEP_TWATCH);
    for (uint32_t i = 0; i < 5; i++) {
        peer_getattr(p, i, i);
    }
    peer_take(p, NINEP_TGETATTR);
    peer_take(p, NINEP_TGETATTR);
    assert_int_equal(peer_pending(p), 0);
    ninep_client_release(p->client, &(struct ninep_event){.number = 1});
    peer_take(p, NINEP_TRELEASE);
    end(p);
}

static void unasked_releases_go_before_later_calls(void **state)
{
    struct peer *p = *state;
    begin(p);
    peer_take(p, NINEP_TWATCH);
    struct ninep_event unasked = {.kind = NINEP_EVENT_BREAK};
    ninep_client_release(p->client, &unasked);
    ninep_client_release(p->client, &unasked);
    assert_int_equal(peer_pending(p), 0);
    peer_pass(p, 1);
    assert_int_equal(peer_take(p, NINEP_TRELEASE).t.release.leases.count, 2);
    ninep_client_release(p->client, &unasked);
    peer_getattr(p, 0, 1); /* may bring that lease anew */
    peer_take(p, NINEP_TRELEASE);
    peer_take(p, NINEP_TGETATTR);
    peer_lose(p);
    peer_getattr(p, 0, 2);
    for (int i = 0; i < 40; i++) {
        ninep_client_release(p->client, &unasked);
    }
    peer_getattr(p, 0, 3);
    peer_pass(p, 50);
    peer_connect(p);
    peer_take(p, NINEP_TVERSION);
    struct sent s = peer_take(p, NINEP_TSESSION);
    peer_version(p, "9P-NG");
    peer_session(p, &s, true);
    peer_take(p, NINEP_TWATCH);
    peer_take(p, NINEP_TRELEASE); /* what was unanswered */
    peer_take(p, NINEP_TRELEASE);
    peer_take(p, NINEP_TGETATTR);
    uint32_t a = peer_take(p, NINEP_TRELEASE).t.release.leases.count;
    uint32_t b = peer_take(p, NINEP_TRELEASE).t.release.leases.count;
    assert_int_equal(a + b, 40);
    peer_take(p, NINEP_TGETATTR);
    peer_take(p, NINEP_TGETATTR);
    end(p);
}

static void lease_clock_runs_from_the_sending(void **state)
{
    struct peer *p = *state;
    p->lease_ms = 12800; /* 100 of them are the margin */
    begin(p);
    peer_take(p, NINEP_TWATCH);
    uint64_t start = p->now_ns;
    assert_int_equal(ninep_client_lease_until_ns(p->client), start + 12700 * UINT64_C(1000000));
    peer_pass(p, 100);
    peer_getattr(p, 1, 1);
    uint64_t sent = p->now_ns;
    struct sent s = peer_take(p, NINEP_TGETATTR);
    peer_pass(p, 700);
    assert_int_equal(ninep_client_lease_until_ns(p->client), start + 12700 * UINT64_C(1000000));
    peer_ok(p, &s);
    assert_int_equal(ninep_client_lease_until_ns(p->client), sent + 12700 * UINT64_C(1000000));
    end(p);
}

static void a_lapse_loses_all_leases(void **state)
{
    struct peer *p = *state;
    begin(p);
    peer_lose(p);
    peer_pass(p, 20000);
    peer_connect(p);
    struct sent s;
    peer_take(p, NINEP_TVERSION);
    s = peer_take(p, NINEP_TSESSION);
    peer_version(p, "9P-NG");
    peer_session(p, &s, true);
    assert_true(ninep_client_lease_until_ns(p->client) < p->now_ns); /* not renewed by that */
    assert_int_equal(p->events, 0);
    struct sent w = peer_take(p, NINEP_TWATCH);
    answer_watch(p, &w, 1, 1, NINEP_EVENT_BREAK);
    assert_int_equal(p->events, 2);
    assert_int_equal(p->event[0].kind, NINEP_EVENT_LOST); /* first of all */
    assert_int_equal(p->event[1].kind, NINEP_EVENT_BREAK);
    assert_true(ninep_client_lease_until_ns(p->client) > p->now_ns);
    end(p);
}

static void idle_clients_ping(void **state)
{
    struct peer *p = *state;
    begin(p);
    peer_take(p, NINEP_TWATCH);
    peer_pass(p, 4999);
    assert_int_equal(peer_pending(p), 0);
    peer_pass(p, 1);
    uint64_t at = p->now_ns;
    struct sent s = peer_take(p, NINEP_TPING);
    assert_int_equal(s.h.tag, NINEP_VERSION_TAG);
    peer_pass(p, 30);
    peer_ok(p, &s);
    assert_true(ninep_client_lease_until_ns(p->client) > at + UINT64_C(14000000000));
    assert_in_range(ninep_client_rtt_us(p->client), 1000, 30000);
    peer_pass(p, 4969);
    assert_int_equal(peer_pending(p), 0);
    peer_pass(p, 1);
    peer_take(p, NINEP_TPING);
    peer_pass(p, 7499);
    assert_int_equal(p->disconnects, 0);
    peer_pass(p, 1); /* a dead link is found, and made anew */
    assert_int_equal(p->disconnects, 1);
    assert_int_equal(last_state(p), NINEP_DOWN);
    peer_pass(p, 50);
    assert_int_equal(p->connects, 2);
    end(p);
}

static void bulk_under_way_is_life(void **state)
{
    struct peer *p = *state;
    begin(p);
    peer_take(p, NINEP_TWATCH);
    peer_pass(p, 5000);
    peer_take(p, NINEP_TPING);
    uint8_t head[8] = {0, 0x80, 0, 0, NINEP_RREAD};
    size_t used;
    struct ninep_frame *f;
    for (int i = 0; i < 4; i++) {
        peer_pass(p, 7000);
        ninep_framer_feed(ninep_client_framer(p->client), head, sizeof head, &used, &f);
    }
    assert_int_equal(p->disconnects, 0);
    peer_pass(p, 15000);
    assert_int_equal(p->disconnects, 1);
    end(p);
}

/* ---- fids ---- */

static uint32_t clunk_fid(const struct ninep_tclunk *t, uint32_t n)
{
    struct cg_buf it = ninep_list_iter(&t->fids);
    struct ninep_fidref ref = {0};
    for (uint32_t i = 0; i <= n; i++) {
        ninep_get_fidref(&it, &ref);
    }
    return ref.fid;
}

static void clunks_are_gathered(void **state)
{
    struct peer *p = *state;
    begin(p);
    peer_take(p, NINEP_TWATCH);
    uint32_t fid[3];
    for (int i = 0; i < 3; i++) {
        fid[i] = ninep_client_fid(p->client);
        assert_int_equal(fid[i], i + 1);
    }
    for (int i = 0; i < 3; i++) {
        ninep_client_clunk(p->client, fid[i]);
    }
    assert_int_equal(peer_pending(p), 0);
    peer_pass(p, 1);
    struct sent s = peer_take(p, NINEP_TCLUNK);
    assert_int_equal(s.t.clunk.fids.count, 3);
    assert_int_equal(clunk_fid(&s.t.clunk, 0), 1);
    assert_int_equal(clunk_fid(&s.t.clunk, 2), 3);
    assert_int_equal(ninep_client_fid(p->client), 4); /* not before Rclunk */
    peer_ok(p, &s);
    assert_in_range(ninep_client_fid(p->client), 1, 3);
    end(p);
}

static void clunks_ride_with_a_later_call(void **state)
{
    struct peer *p = *state;
    begin(p);
    peer_take(p, NINEP_TWATCH);
    uint32_t fid = ninep_client_fid(p->client);
    ninep_client_clunk(p->client, fid);
    p->now_ns += 1500000; /* the tick is late */
    peer_getattr(p, 0, 1);
    peer_take(p, NINEP_TGETATTR); /* the call first */
    peer_take(p, NINEP_TCLUNK);
    end(p);
}

static void many_clunks_take_several_requests(void **state)
{
    struct peer *p = *state;
    begin(p);
    peer_take(p, NINEP_TWATCH);
    for (uint32_t i = 0; i < 1000; i++) {
        ninep_client_fid(p->client);
    }
    for (uint32_t i = 1; i <= 1000; i++) {
        ninep_client_clunk(p->client, i);
    }
    peer_pass(p, 1);
    struct sent a = peer_take(p, NINEP_TCLUNK), b = peer_take(p, NINEP_TCLUNK);
    assert_int_equal(a.t.clunk.fids.count + b.t.clunk.fids.count, 1000);
    peer_ok(p, &a);
    peer_refuse(p, &b, CG_EBADF); /* they are free all the same */
    uint8_t seen[1001] = {0};
    for (uint32_t i = 0; i < 1000; i++) {
        uint32_t fid = ninep_client_fid(p->client);
        assert_in_range(fid, 1, 1000);
        assert_false(seen[fid]++);
    }
    end(p);
}

static void fids_run_out_politely(void **state)
{
    struct peer *p = *state;
    begin(p);
    for (uint32_t i = 0; i < 65536; i++) {
        assert_int_not_equal(ninep_client_fid(p->client), NINEP_NOFID);
    }
    assert_int_equal(ninep_client_fid(p->client), NINEP_NOFID);
    ninep_client_clunk(p->client, 77);
    end(p);
}

static void clunk_of_a_ghosts_fid_waits_for_the_ghost(void **state)
{
    struct peer *p = *state;
    begin(p);
    peer_take(p, NINEP_TWATCH);
    uint32_t fid = ninep_client_fid(p->client);
    struct ninep_call k = {.type = NINEP_TWALK, .deadline_ms = 100};
    k.t.walk.newfid = fid;
    peer_call(p, &k, 1);
    struct sent s = peer_take(p, NINEP_TWALK);
    peer_pass(p, 100);
    assert_int_equal(peer_told(p, 1)->e, CG_ETIME);
    peer_take(p, NINEP_TCANCEL);
    ninep_client_clunk(p->client, fid);
    peer_pass(p, 10);
    assert_int_equal(peer_pending(p), 0); /* the walk may still make it */
    union ninep_rmsg r;
    memset(&r, 0, sizeof r);
    peer_answer(p, &s, NINEP_RWALK, &r);
    peer_pass(p, 1);
    struct sent clunk = peer_take(p, NINEP_TCLUNK);
    assert_int_equal(clunk_fid(&clunk.t.clunk, 0), fid);
    end(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(watch_stands_and_leases_are_given_back, setup),
        cmocka_unit_test_setup(releases_pass_when_all_slots_are_taken, setup),
        cmocka_unit_test_setup(unasked_releases_go_before_later_calls, setup),
        cmocka_unit_test_setup(lease_clock_runs_from_the_sending, setup),
        cmocka_unit_test_setup(a_lapse_loses_all_leases, setup),
        cmocka_unit_test_setup(idle_clients_ping, setup),
        cmocka_unit_test_setup(bulk_under_way_is_life, setup),
        cmocka_unit_test_setup(clunks_are_gathered, setup),
        cmocka_unit_test_setup(clunks_ride_with_a_later_call, setup),
        cmocka_unit_test_setup(many_clunks_take_several_requests, setup),
        cmocka_unit_test_setup(fids_run_out_politely, setup),
        cmocka_unit_test_setup(clunk_of_a_ghosts_fid_waits_for_the_ghost, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
