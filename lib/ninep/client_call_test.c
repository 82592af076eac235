/* The calls of a client, against a scripted server: slots, chains, cancelling, deadlines; memory
 * that runs out, noise. */
#include "client_testkit.h"

/* ---- calls and slots ---- */

static void slots_are_numbered_and_calls_wait_in_order(void **state)
{
    struct peer *p = *state;
    p->slots = 5; /* one for the watch, one reserved: three for calls */
    begin(p);
    peer_take(p, NINEP_TWATCH);
    for (uint32_t i = 1; i <= 6; i++) {
        peer_getattr(p, i, i);
    }
    assert_int_equal(peer_pending(p), 3);
    struct sent s[6];
    for (int i = 0; i < 3; i++) {
        s[i] = peer_take(p, NINEP_TGETATTR);
        assert_int_equal(s[i].t.getattr.fid, i + 1);
        assert_in_range(s[i].h.deadline_ms, 29000, 30000);
    }
    peer_ok(p, &s[1]);
    s[3] = peer_take(p, NINEP_TGETATTR);
    assert_int_equal(s[3].t.getattr.fid, 4);
    assert_int_equal(s[3].h.tag, s[1].h.tag);
    assert_int_equal(s[3].h.seq, s[1].h.seq + 1);
    peer_refuse(p, &s[0], CG_ENOENT);
    assert_int_equal(peer_told(p, 1)->e, CG_ENOENT);
    assert_string_equal(peer_told(p, 1)->detail, "because");
    assert_int_equal(peer_take(p, NINEP_TGETATTR).t.getattr.fid, 5);
    assert_int_equal(peer_pending(p), 0);
    assert_int_equal(ninep_client_round_trips(p->client), 2);
    end(p);
    assert_int_equal(peer_told(p, 6)->e, CG_ECANCELED);
    assert_int_equal(p->tolds, 6);
}

static uint64_t chain_call(struct peer *p, uint32_t chain, bool last, const char *name,
                           uint64_t aux)
{
    struct ninep_call k = {
        .type = NINEP_TREMOVE, .chain = chain, .last = last, .t.remove.name = cg_span_of(name)};
    return peer_call(p, &k, aux);
}

static void chains_keep_their_order(void **state)
{
    struct peer *p = *state;
    p->slots = 4; /* two for calls */
    begin(p);
    peer_take(p, NINEP_TWATCH);
    uint32_t chain = ninep_client_chain(p->client);
    assert_int_not_equal(chain, ninep_client_chain(p->client));
    chain_call(p, chain, false, "a", 1);
    chain_call(p, chain, false, "b", 2);
    chain_call(p, chain, false, "c", 3);
    peer_getattr(p, 9, 4);
    chain_call(p, chain, true, "d", 5);
    struct sent a = peer_take(p, NINEP_TREMOVE), b = peer_take(p, NINEP_TREMOVE);
    assert_int_equal(peer_pending(p), 0);
    assert_int_equal(a.h.chain, chain);
    peer_ok(p, &b); /* answers may come in any order, the sending order stands */
    struct sent c = peer_take(p, NINEP_TREMOVE);
    assert_true(cg_span_is(c.t.remove.name, "c"));
    peer_ok(p, &a);
    peer_take(p, NINEP_TGETATTR);
    peer_refuse(p, &c, CG_ENOENT);
    struct sent d = peer_take(p, NINEP_TREMOVE);
    assert_true(cg_span_is(d.t.remove.name, "d"));
    assert_int_equal(d.h.flags, NINEP_REQUEST_LAST);
    peer_refuse(p, &d, CG_ESKIPPED);
    assert_int_equal(peer_told(p, 5)->e, CG_ESKIPPED);
    end(p);
}

static void cancelled_member_of_a_chain_fails_the_rest(void **state)
{
    struct peer *p = *state;
    p->slots = 4;
    begin(p);
    peer_take(p, NINEP_TWATCH);
    uint32_t chain = ninep_client_chain(p->client);
    chain_call(p, chain, false, "a", 1);
    chain_call(p, chain, false, "b", 2);
    uint64_t id = chain_call(p, chain, false, "c", 3);
    chain_call(p, chain, true, "d", 4);
    ninep_client_cancel(p->client, id);
    assert_null(peer_told(p, 3));
    peer_pass(p, 0);
    assert_int_equal(peer_told(p, 3)->e, CG_ECANCELED);
    struct sent a = peer_take(p, NINEP_TREMOVE), b = peer_take(p, NINEP_TREMOVE);
    peer_ok(p, &a);
    /* In its place goes a request that has no effect and fails, so that the server skips d. */
    struct sent ghost = peer_take(p, NINEP_TGETATTR);
    assert_int_equal(ghost.t.getattr.fid, NINEP_NOFID);
    assert_int_equal(ghost.h.chain, chain);
    peer_refuse(p, &ghost, CG_EBADF);
    peer_ok(p, &b);
    struct sent d = peer_take(p, NINEP_TREMOVE);
    assert_int_equal(d.h.flags, NINEP_REQUEST_LAST);
    peer_refuse(p, &d, CG_ESKIPPED);
    assert_int_equal(p->tolds, 4);
    end(p);
}

static void cancel_before_sending_just_removes(void **state)
{
    struct peer *p = *state;
    assert_int_equal(peer_new(p), CG_OK);
    uint64_t id = peer_getattr(p, 1, 1);
    ninep_client_cancel(p->client, id);
    ninep_client_cancel(p->client, id);
    assert_int_equal(p->tolds, 0);
    peer_up(p);
    assert_int_equal(peer_told(p, 1)->e, CG_ECANCELED);
    peer_take(p, NINEP_TWATCH);
    assert_int_equal(peer_pending(p), 0);
    end(p);
    assert_int_equal(p->tolds, 1);
}

static void cancel_asks_the_server(void **state)
{
    struct peer *p = *state;
    begin(p);
    peer_take(p, NINEP_TWATCH);
    uint64_t id = peer_remove(p, "x", 1);
    struct sent s = peer_take(p, NINEP_TREMOVE);
    ninep_client_cancel(p->client, id);
    ninep_client_cancel(p->client, id);
    struct sent k = peer_take(p, NINEP_TCANCEL);
    assert_int_equal(k.t.cancel.oldtag, s.h.tag);
    assert_int_equal(k.t.cancel.oldseq, s.h.seq);
    assert_int_equal(k.h.tag, NINEP_VERSION_TAG);
    assert_int_equal(peer_pending(p), 0);
    union ninep_rmsg r = {.cancel = {.outcome = NINEP_OUTCOME_DONE}};
    peer_answer(p, &k, NINEP_RCANCEL, &r);
    assert_int_equal(p->tolds, 0);
    peer_ok(p, &s); /* it was done before the cancel came: that is what the caller hears */
    assert_int_equal(peer_told(p, 1)->e, CG_OK);
    end(p);
}

static void cancel_does_not_wait_for_a_lost_link(void **state)
{
    struct peer *p = *state;
    begin(p);
    uint64_t a = peer_remove(p, "x", 1), b = peer_getattr(p, 1, 2), d = peer_remove(p, "y", 3);
    ninep_client_cancel(p->client, d); /* asked, but the answer will not come */
    peer_lose(p);
    assert_int_equal(peer_told(p, 3)->e, CG_EUNKNOWN);
    ninep_client_cancel(p->client, a);
    ninep_client_cancel(p->client, b);
    peer_pass(p, 0);
    assert_int_equal(peer_told(p, 1)->e, CG_EUNKNOWN); /* it may have been done */
    assert_int_equal(peer_told(p, 2)->e, CG_ECANCELED);
    peer_pass(p, 100);
    peer_connect(p);
    peer_take(p, NINEP_TVERSION);
    struct sent s = peer_take(p, NINEP_TSESSION);
    peer_version(p, "9P-NG");
    peer_session(p, &s, true);
    peer_take(p, NINEP_TWATCH);
    for (int i = 0; i < 3; i++) { /* the slots must be answered for, the requests not repeated */
        struct sent ghost = peer_take(p, NINEP_TGETATTR);
        assert_int_equal(ghost.t.getattr.fid, NINEP_NOFID);
        peer_refuse(p, &ghost, CG_EBADF);
    }
    assert_int_equal(p->tolds, 3);
    end(p);
}

static void deadline_passes_while_up(void **state)
{
    struct peer *p = *state;
    begin(p);
    peer_take(p, NINEP_TWATCH);
    struct ninep_call k = {.type = NINEP_TREMOVE, .deadline_ms = 500};
    k.t.remove.name = cg_span_of("x");
    peer_call(p, &k, 1);
    struct sent s = peer_take(p, NINEP_TREMOVE);
    peer_pass(p, 499);
    assert_null(peer_told(p, 1));
    peer_pass(p, 1);
    assert_int_equal(peer_told(p, 1)->e, CG_ETIME);
    assert_string_equal(peer_told(p, 1)->detail,
                        "castor!fs did not answer Tremove within 500 ms; the change may or may "
                        "not have happened");
    struct sent c = peer_take(p, NINEP_TCANCEL);
    assert_int_equal(c.t.cancel.oldseq, s.h.seq);
    /* The slot is not used again before it was answered. */
    peer_getattr(p, 1, 2);
    assert_int_not_equal(peer_take(p, NINEP_TGETATTR).h.tag, s.h.tag);
    peer_refuse(p, &s, CG_ECANCELED);
    assert_int_equal(p->tolds, 1);
    peer_getattr(p, 1, 3);
    struct sent again = peer_take(p, NINEP_TGETATTR);
    assert_int_equal(again.h.tag, s.h.tag);
    assert_int_equal(again.h.seq, s.h.seq + 1);
    end(p);
}

static void deadlines_run_while_the_link_is_down(void **state)
{
    struct peer *p = *state;
    p->config.deadline_ms = 2000;
    begin(p);
    peer_getattr(p, 1, 1);
    peer_lose(p);
    peer_getattr(p, 2, 2);
    struct ninep_call k = {.type = NINEP_TGETATTR, .deadline_ms = UINT32_MAX};
    peer_call(p, &k, 3);
    peer_pass(p, 1999);
    assert_int_equal(p->tolds, 0);
    peer_pass(p, 1);
    assert_int_equal(peer_told(p, 1)->e, CG_ELINKDOWN);
    assert_string_equal(peer_told(p, 1)->detail, "the link to castor!fs is down (cable cut)");
    assert_int_equal(peer_told(p, 2)->e, CG_ELINKDOWN);
    peer_pass(p, 200000);
    assert_null(peer_told(p, 3)); /* it has no deadline */
    end(p);
}

static void too_large_calls_are_told(void **state)
{
    struct peer *p = *state;
    p->msize = 8192; /* the server takes less than the client offered */
    assert_int_equal(peer_new(p), CG_OK);
    static uint8_t data[70000];
    struct ninep_call k = {.type = NINEP_TWRITE};
    k.t.write.data = (struct cg_span){data, sizeof data};
    peer_call(p, &k, 1);
    k.t.write.data.len = 9000; /* too large only after the session began */
    peer_call(p, &k, 2);
    k.t.write.data.len = 8000;
    peer_call(p, &k, 3);
    peer_up(p);
    peer_take(p, NINEP_TWATCH);
    peer_take(p, NINEP_TWRITE);
    assert_int_equal(peer_pending(p), 0);
    assert_int_equal(peer_told(p, 1)->e, CG_EMSGSIZE);
    assert_int_equal(peer_told(p, 2)->e, CG_EMSGSIZE);
    assert_null(peer_told(p, 3));
    assert_int_equal(ninep_client_msize(p->client), 8192);
    end(p);
}

static void chains_need_a_server_that_has_them(void **state)
{
    struct peer *p = *state;
    p->features = NINEP_FEATURE_LEASE;
    assert_int_equal(peer_new(p), CG_OK);
    uint32_t chain = ninep_client_chain(p->client);
    ninep_client_cancel(p->client, chain_call(p, chain, false, "ghost", 3));
    chain_call(p, chain, false, "a", 1);
    peer_up(p);
    peer_take(p, NINEP_TWATCH);
    uint64_t id = peer_remove(p, "alone", 2);
    peer_pass(p, 0);
    assert_int_equal(peer_told(p, 1)->e, CG_ENOSYS);
    peer_take(p, NINEP_TREMOVE);
    /* Nor can it cancel: the caller is told at once, and truly. */
    ninep_client_cancel(p->client, id);
    peer_pass(p, 0);
    assert_int_equal(peer_told(p, 2)->e, CG_EUNKNOWN);
    assert_int_equal(peer_pending(p), 0);
    end(p);
}

static void queues_are_bounded(void **state)
{
    struct peer *p = *state;
    assert_int_equal(peer_new(p), CG_OK);
    struct ninep_call k = {.type = NINEP_TGETATTR};
    for (int i = 0; i < 65536; i++) {
        assert_int_not_equal(ninep_client_call(p->client, &k), 0);
    }
    assert_int_equal(ninep_client_call(p->client, &k), 0);
    end(p);
}

static struct ninep_frame *kept;
static struct peer *kept_of;
static void on_kept(void *aux, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    (void)detail;
    assert_int_equal(e, CG_OK);
    *(struct cg_span *)aux = r->read.data;
    kept = ninep_client_keep_frame(kept_of->client);
}

static void reply_bytes_can_be_kept(void **state)
{
    struct peer *p = *state;
    begin(p);
    peer_take(p, NINEP_TWATCH);
    struct cg_span data;
    struct ninep_call k = {.type = NINEP_TREAD, .done = on_kept, .aux = &data};
    kept_of = p;
    ninep_client_call(p->client, &k);
    struct sent s = peer_take(p, NINEP_TREAD);
    union ninep_rmsg r = {.read = {.data = cg_span_of("plan 9")}};
    peer_answer(p, &s, NINEP_RREAD, &r);
    end(p);
    assert_true(cg_span_is(data, "plan 9"));
    assert_true(data.data > kept->data && data.data < kept->data + kept->len);
    ninep_frame_free(kept);
}

/* ---- endings, memory, noise ---- */

static void free_in_done(void *aux, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    struct peer *p = aux;
    (void)e;
    (void)r;
    (void)detail;
    ninep_client_free(p->client);
    p->client = NULL;
}

static void a_client_may_be_freed_by_its_callback(void **state)
{
    struct peer *p = *state;
    begin(p);
    peer_take(p, NINEP_TWATCH);
    struct ninep_call k = {.type = NINEP_TGETATTR, .done = free_in_done, .aux = p};
    ninep_client_call(p->client, &k);
    peer_remove(p, "x", 1);
    struct sent s = peer_take(p, NINEP_TGETATTR);
    peer_ok(p, &s);
    assert_null(p->client);
    assert_int_equal(peer_told(p, 1)->e, CG_ECANCELED);
    assert_int_equal(p->disconnects, 1);
    end(p);
}

static void status_is_one_line(void **state)
{
    struct peer *p = *state;
    begin(p);
    struct cg_str s = {0};
    assert_int_equal(ninep_client_status(p->client, &s), CG_OK);
    assert_non_null(strstr(s.data, "castor!fs up session "));
    assert_non_null(strstr(s.data, " slots 1/16 "));
    assert_ptr_equal(strchr(s.data, '\n'), s.data + s.len - 1);
    cg_str_fini(&s);
    end(p);
}

/* The scenario of the next two: calls of all fates, a loss, a resume. */
static void live(struct peer *p)
{
    ninep_client_start(p->client);
    for (int round = 0; round < 4; round++) {
        peer_connect(p);
        for (uint64_t i = 0; i < 8; i++) {
            uint32_t fid = ninep_client_fid(p->client);
            uint64_t id = i % 2 ? peer_getattr(p, fid, 1) : peer_remove(p, "name", 1);
            if (fid != NINEP_NOFID && i % 3) {
                ninep_client_clunk(p->client, fid);
            }
            if (i % 4 == 3) {
                ninep_client_cancel(p->client, id);
            }
        }
        while (peer_pending(p)) {
            const struct ninep_frame *f = p->frame[p->taken];
            struct sent s = peer_take(p, f->data[4]);
            if (s.version) {
                peer_version(p, "9P-NG");
            } else if (s.h.type == NINEP_TSESSION) {
                peer_session(p, &s, round == 1);
            } else if (s.h.type != NINEP_TWATCH && s.h.seq % 3 != 2) {
                peer_ok(p, &s);
            }
        }
        peer_pass(p, 10);
        peer_lose(p);
        peer_pass(p, 5200);
    }
}

static void no_memory_is_survived(void **state)
{
    struct peer *p = *state;
    for (uint64_t n = 1; n < 400; n++) {
        setup(state);
        cg_alloc_fail_at(n);
        if (peer_new(p) == CG_OK) {
            live(p);
        }
        cg_alloc_fail_at(0);
        peer_fini(p);
        /* Notes are freed when told: the sanitizer tells of calls that were never told. */
    }
}

static void noise_is_survived(void **state)
{
    struct peer *p = *state;
    const char *given = getenv("COGNU_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : 20260101;
    print_message("COGNU_SEED=%llu\n", (unsigned long long)seed);
    for (int round = 0; round < 300; round++) {
        setup(state);
        p->random = seed + (uint64_t)round;
        begin(p);
        for (int i = 0; i < 20; i++) {
            peer_remove(p, "x", 1);
            uint8_t data[96];
            uint32_t len = 16 + (uint32_t)(p->random >> 40) % 80;
            p->env.random(p, data, sizeof data);
            memcpy(data, &len, 4);
            data[4] = (uint8_t)(129 + 2 * (data[4] % 30));
            data[5] %= 8;
            data[6] = data[6] < 200 ? 0 : 255;
            data[8] = data[9] = 0;
            peer_bytes(p, data, len);
            peer_pass(p, 1);
        }
        end(p);
        assert_int_equal(p->tolds, 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(slots_are_numbered_and_calls_wait_in_order, setup),
        cmocka_unit_test_setup(chains_keep_their_order, setup),
        cmocka_unit_test_setup(cancelled_member_of_a_chain_fails_the_rest, setup),
        cmocka_unit_test_setup(cancel_before_sending_just_removes, setup),
        cmocka_unit_test_setup(cancel_asks_the_server, setup),
        cmocka_unit_test_setup(cancel_does_not_wait_for_a_lost_link, setup),
        cmocka_unit_test_setup(deadline_passes_while_up, setup),
        cmocka_unit_test_setup(deadlines_run_while_the_link_is_down, setup),
        cmocka_unit_test_setup(too_large_calls_are_told, setup),
        cmocka_unit_test_setup(chains_need_a_server_that_has_them, setup),
        cmocka_unit_test_setup(queues_are_bounded, setup),
        cmocka_unit_test_setup(reply_bytes_can_be_kept, setup),
        cmocka_unit_test_setup(a_client_may_be_freed_by_its_callback, setup),
        cmocka_unit_test_setup(status_is_one_line, setup),
        cmocka_unit_test_setup(no_memory_is_survived, setup),
        cmocka_unit_test_setup(noise_is_survived, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
