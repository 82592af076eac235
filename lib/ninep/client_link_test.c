/* The link of a client, against a scripted server: the start flight, losing it, resuming. */
#include "client_testkit.h"

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
        cmocka_unit_test_setup(resume_sends_the_unanswered_again, setup),
        cmocka_unit_test_setup(lost_session_tells_what_is_known, setup),
        cmocka_unit_test_setup(unknown_session_is_begun_anew_on_the_same_link, setup),
        cmocka_unit_test_setup(unanswered_attach_begins_a_new_session, setup),
        cmocka_unit_test_setup(botched_frames_cost_the_link_only, setup),
        cmocka_unit_test_setup(tails_are_skipped_unless_they_must_be_understood, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
