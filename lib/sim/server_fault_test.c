/* Tests of the server under faults: the connection is cut at every place of a script of chains, and
 * every allocation of a scripted session fails once. */
#include "server_hand.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static struct world w;
static struct hand h;

/* ---- the script: three chains, one of which fails half way, and requests without a chain ---- */

enum { STEPS_MAX = 32 };

struct step {
    uint8_t type;
    uint32_t chain;
    bool last;
    union ninep_tmsg t;
};

static struct step script[STEPS_MAX];
static uint32_t steps;
static uint32_t fid_list[8];

static void add(uint8_t type, uint32_t chain, bool last, union ninep_tmsg t)
{
    assert_true(steps < STEPS_MAX);
    script[steps++] = (struct step){.type = type, .chain = chain, .last = last, .t = t};
}

#define SPAN(s)  cg_span_of(s)
#define MSG(...) ((union ninep_tmsg){__VA_ARGS__})

static void write_script(void)
{
    steps = 0;
    fid_list[0] = 2, fid_list[1] = 3, fid_list[2] = 5, fid_list[3] = 6;
    add(NINEP_TCREATE, 1, false,
        MSG(.create = {.fid = 0, .newfid = 1, .mode = S_IFDIR | 0755, .name = SPAN("d")}));
    add(NINEP_TCREATE, 1, false,
        MSG(.create = {.fid = 1,
                       .newfid = 2,
                       .flags = NINEP_OPEN_RDWR | NINEP_OPEN_APPEND,
                       .mode = 0644,
                       .name = SPAN("f")}));
    add(NINEP_TWRITE, 1, false, MSG(.write = {.fid = 2, .data = SPAN("one,")}));
    add(NINEP_TWRITE, 1, false, MSG(.write = {.fid = 2, .data = SPAN("two,")}));
    add(NINEP_TREAD, 1, false, MSG(.read = {.fid = 2, .count = 100}));
    add(NINEP_TCLUNK, 1, true, hand_clunk_msg(&fid_list[0]));
    add(NINEP_TWALK, 2, false, hand_walk_msg(0, 3, ""));
    add(NINEP_TCREATE, 2, false,
        MSG(.create = {.fid = 0, .newfid = NINEP_NOFID, .mode = 0600, .name = SPAN("g")}));
    add(NINEP_TREMOVE, 2, false, MSG(.remove = {.fid = 3, .name = SPAN("absent")}));
    add(NINEP_TREMOVE, 2, false, MSG(.remove = {.fid = 3, .name = SPAN("g")})); /* skipped */
    add(NINEP_TGETATTR, 2, false, MSG(.getattr = {.fid = 0}));                  /* skipped */
    add(NINEP_TCLUNK, 2, true, hand_clunk_msg(&fid_list[1]));                   /* skipped */
    add(NINEP_TPUT, 3, false,
        MSG(.put = {.fid = 0, .mode = 0644, .name = SPAN("p"), .data = SPAN("put")}));
    add(NINEP_TRENAME, 3, false,
        MSG(.rename = {.fid = 0, .newfid = 0, .name = SPAN("p"), .newname = SPAN("q")}));
    add(NINEP_TWALK, 3, false, hand_walk_msg(0, 5, "q"));
    add(NINEP_TOPEN, 3, false, MSG(.open = {.fid = 5, .flags = NINEP_OPEN_RDWR}));
    add(NINEP_TREAD, 3, false, MSG(.read = {.fid = 5, .count = 100}));
    add(NINEP_TLINK, 3, false, MSG(.link = {.fid = 5, .dirfid = 0, .name = SPAN("r")}));
    add(NINEP_TCLUNK, 3, false, hand_clunk_msg(&fid_list[2]));
    add(NINEP_TREMOVE, 3, true, MSG(.remove = {.fid = 0, .name = SPAN("q")}));
    add(NINEP_TCREATE, 0, false,
        MSG(.create = {.fid = 0, .newfid = 6, .flags = 1, .mode = 0644, .name = SPAN("z")}));
}

/* What the client knows in the end, of each step. */
struct result {
    bool known;
    cg_err e;
    char text[64];
};

static void take(struct result *res)
{
    for (uint16_t i = 0; i < steps; i++) {
        struct reply *rep = hand_take(&h, i + 1);
        if (!rep) {
            continue;
        }
        assert_false(res[i].known);
        assert_null(hand_take(&h, i + 1)); /* one reply for each time that it is asked */
        res[i].known = true;
        res[i].e = rep->h.type == NINEP_RERROR ? rep->r.error.code : CG_OK;
        if (rep->h.type == NINEP_RREAD) {
            assert_true(cg_span_str(rep->r.read.data, res[i].text, sizeof res[i].text));
        }
    }
}

static void run_waiting(void)
{
    for (uint32_t i = 0; i < w.waitings; i++) {
        if (w.waiting[i]) {
            world_run(&w, i);
        }
    }
}

/* Sends steps [from, to). */
static void send_steps(uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        hand_send(&h, (uint16_t)(i + 1), script[i].chain, script[i].last, script[i].type,
                  &script[i].t);
    }
}

static void begin_world(bool defer)
{
    world_init(&w);
    world_start(&w);
    hand_init(&h, &w);
    assert_true(hand_start(&h));
    w.defer = defer;
}

static void end_world(struct cg_str *text)
{
    assert_int_equal(memfs_text(w.fs, text), CG_OK);
    hand_fini(&h);
    world_fini(&w);
}

static void replay_unknown(const struct result *res, uint32_t sent)
{
    for (uint32_t i = 0; i < sent; i++) {
        if (!res[i].known) {
            hand_replay(&h, (uint16_t)(i + 1));
        }
    }
}

/* sent: frames of the client before the cut; heard: frames of the server that still arrived; busy:
 * the file server works only after the cut, or even only after the client is back. */
enum busy { AT_ONCE, WHILE_CUT, AFTER, BUSY_KINDS };

static uint64_t run_cut(uint32_t sent, uint32_t heard, enum busy busy, struct result *res,
                        struct cg_str *text)
{
    begin_world(busy != AT_ONCE);
    memset(res, 0, STEPS_MAX * sizeof *res);
    h.mute_after = h.sent + heard;
    send_steps(0, sent);
    take(res);
    hand_cut(&h);
    if (busy == WHILE_CUT) {
        run_waiting();
    }
    h.mute_after = UINT32_MAX;
    assert_true(hand_resume(&h));
    replay_unknown(res, sent);
    send_steps(sent, steps);
    run_waiting();
    w.defer = false;
    take(res);
    uint64_t mutations = memfs_mutations(w.fs);
    end_world(text);
    return mutations;
}

static void a_cut_anywhere_changes_nothing(void **state)
{
    (void)state;
    static struct result plain[STEPS_MAX], cut[STEPS_MAX];
    struct cg_str expected = {0};
    write_script();
    uint64_t mutations = run_cut(steps, UINT32_MAX / 2, AT_ONCE, plain, &expected);
    assert_int_equal(mutations, 10);
    assert_string_equal(plain[4].text, "one,two,");
    assert_int_equal(plain[8].e, CG_ENOENT);
    assert_int_equal(plain[10].e, CG_ESKIPPED);
    for (enum busy busy = AT_ONCE; busy < BUSY_KINDS; busy++) {
        for (uint32_t sent = 0; sent <= steps; sent++) {
            for (uint32_t heard = 0; heard <= sent; heard++) {
                struct cg_str text = {0};
                assert_int_equal(run_cut(sent, heard, busy, cut, &text), mutations);
                assert_string_equal(text.data, expected.data);
                assert_memory_equal(cut, plain, sizeof cut);
                cg_str_fini(&text);
            }
        }
    }
    cg_str_fini(&expected);
}

/* Cut after every frame: one goes through at a time. */
static void a_cut_after_every_frame_changes_nothing(void **state)
{
    (void)state;
    static struct result plain[STEPS_MAX], cut[STEPS_MAX];
    struct cg_str expected = {0}, text = {0};
    write_script();
    run_cut(steps, UINT32_MAX / 2, AT_ONCE, plain, &expected);
    begin_world(false);
    memset(cut, 0, sizeof cut);
    for (uint32_t sent = 0; sent < steps; sent++) {
        h.mute_after = h.sent;
        send_steps(sent, sent + 1);
        hand_cut(&h);
        h.mute_after = UINT32_MAX;
        assert_true(hand_resume(&h));
        h.mute_after = h.sent + 1; /* one reply arrives, the rest is lost */
        replay_unknown(cut, sent + 1);
        take(cut);
        hand_cut(&h);
        h.mute_after = UINT32_MAX;
        assert_true(hand_resume(&h));
    }
    replay_unknown(cut, steps);
    take(cut);
    end_world(&text);
    assert_string_equal(text.data, expected.data);
    assert_memory_equal(cut, plain, sizeof cut);
    cg_str_fini(&expected);
    cg_str_fini(&text);
}

/* ---- no memory ---- */

/* A session that does a bit of everything; whatever fails, fails. */
static void a_bit_of_everything(struct hand *a, struct hand *b)
{
    union ninep_tmsg t = {0};
    if (!hand_start(a) || !hand_start(b)) {
        return;
    }
    hand_send(a, 60, 0, false, NINEP_TWATCH, &t);
    hand_create(a, 0, 1, "f", 0644, NINEP_OPEN_RDWR);
    hand_write(a, 1, 0, "text");
    t = hand_walk_msg(0, 2, "f");
    t.walk.want = NINEP_WANT_LEASE | NINEP_WANT_INLINE;
    t.walk.inline_max = 100;
    hand_call(a, NINEP_TWALK, &t, NULL);
    t = MSG(.readdir = {.fid = 0, .count = 1000, .want = NINEP_WANT_LEASE});
    hand_call(a, NINEP_TREADDIR, &t, NULL);
    hand_walk(b, 0, 1, "f", NULL);
    hand_open(b, 1, NINEP_OPEN_RDWR);
    t = MSG(.write = {.fid = 1, .data = SPAN("other")}); /* parked */
    hand_send(b, 2, 5, false, NINEP_TWRITE, &t);
    t = MSG(.read = {.fid = 1, .count = 100});
    hand_send(b, 3, 5, true, NINEP_TREAD, &t);
    t = MSG(.lock = {.fid = 1, .type = NINEP_LOCKTYPE_EXCLUSIVE, .start = 5, .length = 10});
    hand_call(a, NINEP_TLOCK, &t, NULL);
    t.lock.flags = NINEP_LOCKFLAG_WAIT;
    hand_send(b, 4, 0, false, NINEP_TLOCK, &t);
    t = MSG(.lock = {.fid = 1, .type = NINEP_LOCKTYPE_UNLOCK, .start = 7, .length = 1});
    hand_call(a, NINEP_TLOCK, &t, NULL);
    hand_cut(a);
    hand_resume(a);
    hand_replay(a, 60);
    world_pass(&w, 3000);
    hand_clunk(a, 1);
}

/* Returns how many allocations were made, up to limit. */
static uint64_t with_failure_at(uint64_t n, uint64_t limit)
{
    static struct hand a, b;
    world_init(&w);
    world_start(&w);
    hand_init(&a, &w);
    hand_init(&b, &w);
    cg_alloc_fail_at(n);
    a_bit_of_everything(&a, &b);
    uint64_t left = 0;
    for (void *p; n == limit && (p = cg_alloc(1)) != NULL; left++) {
        cg_free(p);
    }
    cg_alloc_fail_at(0);
    hand_cut(&a);
    hand_fini(&b);
    world_pass(&w, 2000); /* what a still holds is out of the way */
    hand_init(&b, &w);
    assert_true(hand_start(&b)); /* the server lives */
    assert_int_equal(hand_create(&b, 0, 1, "after", 0644, NINEP_OPEN_RDWR), CG_OK);
    hand_fini(&a);
    hand_fini(&b);
    world_fini(&w); /* asserts that no fid, session, lease or lock is left */
    return limit - left - 1;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    const uint64_t limit = 10000;
    uint64_t total = with_failure_at(limit, limit);
    assert_in_range(total, 100, limit - 2);
    for (uint64_t n = 1; n <= total; n++) {
        with_failure_at(n, 0);
    }
}

static void starting_may_fail(void **state)
{
    (void)state;
    world_init(&w);
    cg_err e = CG_ENOMEM;
    for (uint64_t n = 1; e != CG_OK; n++) {
        cg_alloc_fail_at(n);
        e = ninep_server_new(&w.config, &w.server);
        cg_alloc_fail_at(0);
        assert_true(e == CG_OK || e == CG_ENOMEM);
    }
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_anywhere_changes_nothing),
        cmocka_unit_test(a_cut_after_every_frame_changes_nothing),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(starting_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
