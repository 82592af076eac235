/* The client against a scripted server: every rule of client.h, without sockets. */
#include "client_peer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct peer peer; /* large: not on the stack */

static int setup(void **state)
{
    peer_init(&peer);
    *state = &peer;
    return 0;
}

static void begin(struct peer *p)
{
    assert_int_equal(peer_new(p), CG_OK);
    peer_up(p);
}

static void end(struct peer *p)
{
    peer_fini(p);
}

static enum ninep_client_state last_state(const struct peer *p)
{
    return p->state[p->states - 1].st;
}

/* ---- the start flight ---- */

static void start_takes_one_flight(void **state)
{
    struct peer *p = *state;
    assert_int_equal(peer_new(p), CG_OK);
    ninep_client_start(p->client);
    assert_int_equal(p->connects, 1);
    peer_connect(p);
    assert_int_equal(peer_pending(p), 3);
    peer_take(p, NINEP_TVERSION);
    struct sent s = peer_take(p, NINEP_TSESSION), a = peer_take(p, NINEP_TATTACH);
    assert_int_equal(s.h.tag, NINEP_VERSION_TAG);
    assert_int_equal(s.h.seq, 0);
    assert_int_equal(a.h.seq, 1);
    assert_true(cg_span_is(a.t.attach.user, "glenda"));
    assert_true(cg_span_is(a.t.attach.tree, "main"));
    peer_version(p, "9P-NG");
    peer_session(p, &s, false);
    union ninep_rmsg r = {.attach = {.attr = {.mode = 040755}}};
    peer_answer(p, &a, NINEP_RATTACH, &r);
    assert_int_equal(last_state(p), NINEP_UP);
    assert_int_equal(ninep_client_root_attr(p->client)->mode, 040755);
    assert_int_equal(ninep_client_round_trips(p->client), 1);
    peer_take(p, NINEP_TWATCH);
    assert_int_equal(peer_pending(p), 0);
    end(p);
}

static void wrong_dialect_is_told_clearly(void **state)
{
    struct peer *p = *state;
    assert_int_equal(peer_new(p), CG_OK);
    ninep_client_start(p->client);
    peer_getattr(p, 0, 1);
    peer_connect(p);
    peer_version(p, "9P2000.L");
    assert_int_equal(last_state(p), NINEP_DEAD);
    assert_int_equal(p->state[p->states - 1].why, CG_EPROTO);
    assert_non_null(strstr(p->state[p->states - 1].detail, "castor!fs speaks '9P2000.L'"));
    assert_int_equal(peer_told(p, 1)->e, CG_EPROTO);
    peer_getattr(p, 0, 2); /* a dead client answers too, and not from within */
    peer_pass(p, 1);
    assert_int_equal(peer_told(p, 2)->e, CG_EPROTO);
    assert_non_null(strstr(peer_told(p, 2)->detail, "9P2000.L"));
    end(p);
}

static void silence_at_the_start_is_a_lost_link(void **state)
{
    struct peer *p = *state;
    assert_int_equal(peer_new(p), CG_OK);
    ninep_client_start(p->client);
    peer_connect(p);
    peer_pass(p, 9999);
    assert_int_equal(p->disconnects, 0);
    peer_pass(p, 1);
    assert_int_equal(p->disconnects, 1);
    peer_pass(p, 100);
    assert_int_equal(p->connects, 2);
    end(p);
}

static void refused_attach_is_final_or_not(void **state)
{
    struct peer *p = *state;
    assert_int_equal(peer_new(p), CG_OK);
    ninep_client_start(p->client);
    peer_connect(p);
    peer_take(p, NINEP_TVERSION);
    struct sent s = peer_take(p, NINEP_TSESSION), a = peer_take(p, NINEP_TATTACH);
    peer_version(p, "9P-NG");
    peer_session(p, &s, false);
    peer_refuse(p, &a, CG_ELIMIT);
    assert_int_equal(last_state(p), NINEP_DOWN);
    peer_pass(p, 100);
    peer_connect(p);
    peer_take(p, NINEP_TVERSION);
    s = peer_take(p, NINEP_TSESSION), a = peer_take(p, NINEP_TATTACH);
    peer_version(p, "9P-NG");
    peer_session(p, &s, false);
    peer_refuse(p, &a, CG_EAUTH);
    assert_int_equal(last_state(p), NINEP_DEAD);
    assert_int_equal(p->state[p->states - 1].why, CG_EAUTH);
    end(p);
}

static void on_credential(void *ctx, const struct ninep_peer *end_)
{
    struct peer *p = ctx;
    assert_true(end_->local);
    p->credentials++;
}

static void credential_is_awaited(void **state)
{
    struct peer *p = *state;
    p->config.credential = on_credential;
    assert_int_equal(peer_new(p), CG_OK);
    ninep_client_start(p->client);
    peer_connect(p);
    assert_int_equal(p->credentials, 1);
    assert_int_equal(peer_pending(p), 2);
    peer_lose(p);
    peer_pass(p, 50);
    peer_connect(p);
    assert_int_equal(p->credentials, 2);
    ninep_client_credential(p->client, CG_OK, "old", 3); /* of the connection that is gone */
    assert_int_equal(peer_pending(p), 2);
    ninep_client_credential(p->client, CG_OK, "new", 3);
    peer_take(p, NINEP_TVERSION);
    struct sent s = peer_take(p, NINEP_TSESSION), a = peer_take(p, NINEP_TATTACH);
    assert_true(cg_span_is(a.t.attach.credential, "new"));
    peer_version(p, "9P-NG");
    peer_session(p, &s, false);
    peer_ok(p, &a);
    assert_int_equal(last_state(p), NINEP_UP);
    end(p);
}

static void pauses_grow_and_are_bounded(void **state)
{
    struct peer *p = *state;
    assert_int_equal(peer_new(p), CG_OK);
    ninep_client_start(p->client);
    uint64_t base = 50, before = 0;
    for (int i = 0; i < 10; i++) {
        uint64_t start = p->now_ns;
        uint32_t connects = p->connects;
        ninep_client_unconnected(p->client, CG_ECONNREFUSED, "nobody");
        for (int ms = 0; p->connects == connects && ms < 6000; ms++) {
            peer_pass(p, 1);
        }
        uint64_t pause = (p->now_ns - start) / 1000000;
        assert_in_range(pause, base / 2, base + 1);
        assert_true(pause > before / 3);
        before = pause;
        base = base * 2 > 5000 ? 5000 : base * 2;
    }
    end(p);
}

static void refusal_before_the_first_up_is_told_at_once(void **state)
{
    struct peer *p = *state;
    assert_int_equal(peer_new(p), CG_OK);
    ninep_client_start(p->client);
    peer_getattr(p, 0, 1);
    ninep_client_unconnected(p->client, CG_ECONNREFUSED, "nobody");
    assert_null(peer_told(p, 1));
    peer_pass(p, 60);
    ninep_client_unconnected(p->client, CG_EUNPAIRED, "pair it first");
    assert_int_equal(peer_told(p, 1)->e, CG_EUNPAIRED);
    assert_string_equal(peer_told(p, 1)->detail, "pair it first");
    end(p);
}

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

/* ---- losing and resuming ---- */

static void resume_sends_the_unanswered_again(void **state)
{
    struct peer *p = *state;
    begin(p);
    struct sent w = peer_take(p, NINEP_TWATCH), s[4];
    for (uint32_t i = 0; i < 4; i++) {
        char name[2] = {(char)('a' + i), 0};
        peer_remove(p, name, i);
        s[i] = peer_take(p, NINEP_TREMOVE);
    }
    peer_ok(p, &s[1]);
    /* The transport still holds the frames when they are sent again. */
    ninep_client_lost(p->client, CG_ECONNRESET, "cable cut");
    assert_int_equal(last_state(p), NINEP_DOWN);
    peer_remove(p, "e", 4);
    peer_pass(p, 24);
    assert_int_equal(p->connects, 1);
    peer_pass(p, 26);
    assert_int_equal(p->connects, 2);
    peer_connect(p);
    peer_take(p, NINEP_TVERSION);
    struct sent session = peer_take(p, NINEP_TSESSION);
    assert_int_equal(session.t.session.epoch, 7);
    assert_int_equal(session.t.session.proof.len, 32);
    assert_memory_equal(session.t.session.proof.data, session.t.session.id, 16);
    assert_int_equal(peer_pending(p), 0); /* nothing before the server knows the session */
    peer_version(p, "9P-NG");
    peer_session(p, &session, true);
    assert_int_equal(last_state(p), NINEP_UP);
    assert_true(p->state[p->states - 1].resumed);
    assert_int_equal(peer_take(p, NINEP_TWATCH).h.seq, w.h.seq);
    const uint32_t order[] = {0, 2, 3};
    for (uint32_t i = 0; i < 3; i++) {
        struct sent again = peer_take(p, NINEP_TREMOVE);
        assert_int_equal(again.h.tag, s[order[i]].h.tag);
        assert_int_equal(again.h.seq, s[order[i]].h.seq);
        assert_memory_equal(again.t.remove.name.data, s[order[i]].t.remove.name.data, 1);
        assert_ptr_not_equal(again.frame, s[order[i]].frame); /* that one is the transport's */
        peer_ok(p, &again);
    }
    struct sent e = peer_take(p, NINEP_TREMOVE);
    assert_true(cg_span_is(e.t.remove.name, "e"));
    assert_int_equal(p->tolds, 4);
    end(p);
}

static void lost_session_tells_what_is_known(void **state)
{
    struct peer *p = *state;
    begin(p);
    uint32_t fid = ninep_client_fid(p->client);
    peer_remove(p, "x", 1);
    peer_getattr(p, 1, 2);
    peer_lose(p);
    peer_remove(p, "y", 3); /* not sent */
    peer_pass(p, 50);
    peer_connect(p);
    peer_take(p, NINEP_TVERSION);
    struct sent session = peer_take(p, NINEP_TSESSION);
    p->epoch = 8;
    peer_version(p, "9P-NG");
    peer_session(p, &session, false);
    assert_int_equal(p->tolds, 0); /* first the state, then the calls */
    struct sent attach = peer_take(p, NINEP_TATTACH);
    assert_int_equal(attach.h.seq, 1);
    peer_remove(p, "z", 4); /* its caller does not know yet */
    peer_ok(p, &attach);
    assert_int_equal(last_state(p), NINEP_UP);
    assert_false(p->state[p->states - 1].resumed);
    assert_int_equal(peer_told(p, 1)->e, CG_EUNKNOWN);
    assert_int_equal(peer_told(p, 2)->e, CG_ESESSION);
    assert_int_equal(peer_told(p, 3)->e, CG_ESESSION);
    assert_int_equal(peer_told(p, 4)->e, CG_ESESSION);
    assert_int_equal(peer_told(p, 1)->states, p->states);
    peer_take(p, NINEP_TWATCH);
    /* Numbers of the lost session are not used again, and their late clunks mean nothing. */
    uint32_t next = ninep_client_fid(p->client);
    assert_true(next > fid);
    ninep_client_clunk(p->client, fid);
    peer_pass(p, 2);
    assert_int_equal(peer_pending(p), 0);
    end(p);
}

static void unknown_session_is_begun_anew_on_the_same_link(void **state)
{
    struct peer *p = *state;
    begin(p);
    peer_remove(p, "x", 1);
    peer_lose(p);
    peer_pass(p, 50);
    peer_connect(p);
    peer_take(p, NINEP_TVERSION);
    struct sent s = peer_take(p, NINEP_TSESSION);
    peer_version(p, "9P-NG");
    peer_refuse(p, &s, CG_ESESSION);
    s = peer_take(p, NINEP_TSESSION);
    static const uint8_t zero[16];
    assert_memory_equal(s.t.session.id, zero, 16);
    struct sent a = peer_take(p, NINEP_TATTACH);
    peer_session(p, &s, false);
    peer_ok(p, &a);
    assert_int_equal(last_state(p), NINEP_UP);
    assert_int_equal(peer_told(p, 1)->e, CG_EUNKNOWN);
    assert_int_equal(p->connects, 2);
    end(p);
}

static void unanswered_attach_begins_a_new_session(void **state)
{
    struct peer *p = *state;
    assert_int_equal(peer_new(p), CG_OK);
    ninep_client_start(p->client);
    peer_connect(p);
    peer_take(p, NINEP_TVERSION);
    struct sent s = peer_take(p, NINEP_TSESSION);
    peer_version(p, "9P-NG");
    peer_session(p, &s, false);
    peer_getattr(p, 0, 1);
    peer_lose(p); /* the session stands, but a credential is good for one connection */
    peer_pass(p, 60);
    peer_connect(p);
    peer_take(p, NINEP_TVERSION);
    s = peer_take(p, NINEP_TSESSION);
    static const uint8_t zero[16];
    assert_memory_equal(s.t.session.id, zero, 16);
    struct sent a = peer_take(p, NINEP_TATTACH);
    peer_version(p, "9P-NG");
    peer_session(p, &s, false);
    peer_ok(p, &a);
    assert_int_equal(last_state(p), NINEP_UP);
    peer_take(p, NINEP_TWATCH);
    peer_take(p, NINEP_TGETATTR); /* it never waited for that session in particular */
    end(p);
}

static void botched_frames_cost_the_link_only(void **state)
{
    struct peer *p = *state;
    begin(p);
    peer_take(p, NINEP_TWATCH);
    peer_getattr(p, 1, 1);
    struct sent s = peer_take(p, NINEP_TGETATTR);
    union ninep_rmsg r;
    memset(&r, 0, sizeof r);
    peer_answer(p, &s, NINEP_RWRITE, &r); /* not the answer to that */
    assert_int_equal(last_state(p), NINEP_DOWN);
    assert_int_equal(p->disconnects, 1);
    assert_int_equal(p->tolds, 0);
    peer_pass(p, 50);
    peer_connect(p);
    peer_take(p, NINEP_TVERSION);
    s = peer_take(p, NINEP_TSESSION);
    peer_version(p, "9P-NG");
    peer_session(p, &s, true);
    peer_take(p, NINEP_TWATCH);
    s = peer_take(p, NINEP_TGETATTR);
    peer_ok(p, &s);
    assert_int_equal(peer_told(p, 1)->e, CG_OK);
    end(p);
}

/* A reply with one tail item of this type. */
static void answer_with_tail(struct peer *p, const struct sent *s, uint16_t type)
{
    uint8_t data[256];
    struct cg_buf b = cg_buf_writer(data, sizeof data);
    union ninep_rmsg r;
    memset(&r, 0, sizeof r);
    struct ninep_rhead h = {.type = NINEP_RSEEK, .tag = s->h.tag, .tail = 7};
    h.size = NINEP_R_HEADER_BYTES + 7 + ninep_rmsg_size(h.type, &r);
    ninep_put_rhead(&b, &h);
    ninep_put_tailitem(&b, &(struct ninep_tailitem){type, cg_span_of("abc")});
    ninep_put_rmsg(h.type, &b, &r);
    peer_bytes(p, data, b.pos);
}

static void tails_are_skipped_unless_they_must_be_understood(void **state)
{
    struct peer *p = *state;
    begin(p);
    peer_take(p, NINEP_TWATCH);
    struct ninep_call k = {.type = NINEP_TSEEK};
    peer_call(p, &k, 1);
    peer_call(p, &k, 2);
    struct sent a = peer_take(p, NINEP_TSEEK), b = peer_take(p, NINEP_TSEEK);
    answer_with_tail(p, &a, 77);
    assert_int_equal(peer_told(p, 1)->e, CG_OK);
    answer_with_tail(p, &b, 0x8000 | 77);
    assert_int_equal(last_state(p), NINEP_DOWN);
    assert_null(peer_told(p, 2));
    end(p);
}

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
        cmocka_unit_test_setup(start_takes_one_flight, setup),
        cmocka_unit_test_setup(wrong_dialect_is_told_clearly, setup),
        cmocka_unit_test_setup(silence_at_the_start_is_a_lost_link, setup),
        cmocka_unit_test_setup(refused_attach_is_final_or_not, setup),
        cmocka_unit_test_setup(credential_is_awaited, setup),
        cmocka_unit_test_setup(pauses_grow_and_are_bounded, setup),
        cmocka_unit_test_setup(refusal_before_the_first_up_is_told_at_once, setup),
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
        cmocka_unit_test_setup(resume_sends_the_unanswered_again, setup),
        cmocka_unit_test_setup(lost_session_tells_what_is_known, setup),
        cmocka_unit_test_setup(unknown_session_is_begun_anew_on_the_same_link, setup),
        cmocka_unit_test_setup(unanswered_attach_begins_a_new_session, setup),
        cmocka_unit_test_setup(botched_frames_cost_the_link_only, setup),
        cmocka_unit_test_setup(tails_are_skipped_unless_they_must_be_understood, setup),
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
        cmocka_unit_test_setup(a_client_may_be_freed_by_its_callback, setup),
        cmocka_unit_test_setup(status_is_one_line, setup),
        cmocka_unit_test_setup(no_memory_is_survived, setup),
        cmocka_unit_test_setup(noise_is_survived, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
