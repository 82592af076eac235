/* Simulation: many clients on one server, over links that are cut at random moments; everything
 * follows from one seed.
 *
 * Each client has a directory of its own, in which it makes, writes, renames and removes files in
 * chains; a shadow says what every request must answer and what must be there in the end, so that a
 * mutation that were lost or done twice would be seen. All share a few files that they cache under
 * leases; whenever a write takes effect, nobody else may still believe the old contents. And all
 * want the same locks.
 */
#include <cognu/sim.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define MS UINT64_C(1000000)

enum {
    CLIENTS = 6,
    ACTIONS = 120, /* of each client */
    NAMES = 4,     /* in a client's directory */
    SHARED = 3,
    LOCKS = 2,
    TEXT_MAX = 8192,
    DIR_FID = 100,
    SHARED_FID = 200,
    VALUE_BYTES = 8,
};

struct actor;

/* A request and the answer that the shadow expects. */
struct ask {
    struct actor *a;
    cg_err expected;
    uint32_t shared; /* index, for reads and writes of shared files */
    bool lock, last;
    uint64_t cached_at; /* serial of invalidations when a read was sent */
    char value[VALUE_BYTES + 1];
};

struct actor {
    struct sim_client c;
    uint32_t number, actions, open_calls;
    bool ready, setting_up;
    char dir[8];
    char file[NAMES][TEXT_MAX]; /* the shadow: contents */
    bool exists[NAMES];
    struct {
        bool data, attr;      /* what is known */
        uint64_t invalidated; /* counts */
        uint64_t change;
        char value[VALUE_BYTES + 1];
    } cache[SHARED];
    struct ninep_xqid shared_id[SHARED];
};

static struct sim *sim;
static struct memfs *fs;
static struct sim_server server;
static struct actor actor[CLIENTS];
static struct actor *lock_holder[LOCKS];
static uint64_t value_last, mutations_expected, cuts, cache_hits, breaks, waits;
static bool calm; /* no more cuts */
static char shared_value[SHARED][VALUE_BYTES + 1];
static uint64_t shared_change[SHARED];

static void act(void *aux);

static void act_soon(struct actor *a)
{
    sim_after(sim, sim_random(sim, 20 * MS), act, a);
}

/* ---- the invariant of leases ---- */

static bool trusts(const struct actor *a)
{
    return sim_now(sim) < ninep_client_lease_until_ns(a->c.client);
}

static void forget(struct actor *a, uint32_t i)
{
    a->cache[i].data = a->cache[i].attr = false;
    a->cache[i].invalidated++;
}

/* What is known of shared file i under a lease is true. */
static void check_belief(const struct actor *a, uint32_t i)
{
    if (trusts(a) && a->cache[i].data &&
        memcmp(a->cache[i].value, shared_value[i], VALUE_BYTES) != 0) {
        fail_msg("client %u believes %s of file %u, the server has %s, at %llu ms", a->number,
                 a->cache[i].value, i, shared_value[i], (unsigned long long)(sim_now(sim) / MS));
    }
    if (trusts(a) && a->cache[i].attr && a->cache[i].change != shared_change[i]) {
        fail_msg("client %u believes change %llu of file %u, the server has %llu", a->number,
                 (unsigned long long)a->cache[i].change, i, (unsigned long long)shared_change[i]);
    }
}

/* ---- the server's side: everything is done a little later ---- */

static void run_later(void *aux)
{
    struct ninep_req *r = aux;
    int shared = -1;
    char value[VALUE_BYTES + 1] = {0};
    if (r->type == NINEP_TWRITE && r->fid->num >= SHARED_FID) {
        shared = (int)(r->fid->num - SHARED_FID);
        cg_assert(cg_span_str(r->t.write.data, value, sizeof value));
    }
    memfs_run(r);
    if (shared >= 0) {
        memcpy(shared_value[shared], value, sizeof value);
        shared_change[shared]++;
        for (uint32_t n = 0; n < CLIENTS; n++) {
            check_belief(&actor[n], (uint32_t)shared);
        }
    }
}

static bool later(void *ctx, struct ninep_req *r)
{
    (void)ctx;
    sim_after(sim, sim_random(sim, 15 * MS), run_later, r);
    return true;
}

/* ---- links ---- */

static void cut_in_time(void *aux)
{
    struct actor *a = aux;
    if (!calm && a->c.link) {
        cuts++;
        sim_link_cut(a->c.link);
    }
}

static void linked(struct sim_client *c)
{
    struct actor *a = c->aux;
    if (calm || sim_chance(sim, 5)) {
        return;
    }
    cuts++;
    if (sim_chance(sim, 40)) {
        cuts--;
        sim_after(sim, sim_random(sim, 500 * MS), cut_in_time, a);
    } else {
        sim_link_cut_after(c->link, (int)sim_random(sim, 2), 50 + sim_random(sim, 2000));
    }
}

/* ---- calls ---- */

static void call(struct actor *a, uint8_t type, const union ninep_tmsg *t, uint32_t chain,
                 bool last, ninep_done *done, const struct ask *ask)
{
    struct ask *kept = cg_alloc(sizeof *kept);
    assert_non_null(kept);
    *kept = *ask;
    kept->a = a;
    kept->last = last;
    struct ninep_call c = {.type = type,
                           .t = *t,
                           .chain = chain,
                           .last = last,
                           .deadline_ms = UINT32_MAX,
                           .done = done,
                           .aux = kept};
    a->open_calls++;
    assert_int_not_equal(ninep_client_call(a->c.client, &c), 0);
}

static void check(const struct ask *ask, cg_err e, const char *detail)
{
    if (e != ask->expected) {
        fail_msg("client %u: got %s (%s), expected %s", ask->a->number, cg_err_name(e), detail,
                 ask->expected ? cg_err_name(ask->expected) : "success");
    }
}

static void answered(struct ask *ask)
{
    struct actor *a = ask->a;
    cg_free(ask);
    if (--a->open_calls == 0) {
        act_soon(a);
    }
}

static void plain_done(void *aux, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    struct ask *ask = aux;
    (void)r;
    check(ask, e, detail);
    answered(ask);
}

/* ---- a directory of one's own ---- */

static cg_err expect(bool ok, cg_err otherwise, cg_err *chain_error)
{
    cg_err e = *chain_error ? CG_ESKIPPED : ok ? CG_OK : otherwise;
    if (!*chain_error && e) {
        *chain_error = e;
    }
    mutations_expected += e == CG_OK;
    return e;
}

static void ask_plain(struct actor *a, uint8_t type, const union ninep_tmsg *t, uint32_t chain,
                      bool last, cg_err expected)
{
    struct ask ask = {.expected = expected};
    call(a, type, t, chain, last, plain_done, &ask);
}

/* Create (or fail), append twice, clunk. */
static void make_file(struct actor *a)
{
    uint32_t i = (uint32_t)sim_random(sim, NAMES), fid = ninep_client_fid(a->c.client);
    uint32_t chain = ninep_client_chain(a->c.client);
    char name[2] = {(char)('a' + i), 0}, text[2][32];
    bool excl = sim_chance(sim, 40);
    cg_err failed = CG_OK;
    cg_err e = expect(!excl || !a->exists[i], CG_EEXIST, &failed);
    mutations_expected -= e == CG_OK && a->exists[i]; /* opening changes nothing */
    union ninep_tmsg t = {
        .create = {.fid = DIR_FID,
                   .newfid = fid,
                   .flags = NINEP_OPEN_WRITE | NINEP_OPEN_APPEND | (excl ? NINEP_OPEN_EXCL : 0),
                   .mode = 0644,
                   .name = cg_span_of(name)}};
    ask_plain(a, NINEP_TCREATE, &t, chain, false, e);
    if (!failed && !a->exists[i]) {
        a->exists[i] = true;
        a->file[i][0] = 0;
    }
    for (int n = 0; n < 2; n++) {
        snprintf(text[n], sizeof text[n], "%u.%u.%d,", a->number, a->actions, n);
        t = (union ninep_tmsg){.write = {.fid = fid, .data = cg_span_of(text[n])}};
        ask_plain(a, NINEP_TWRITE, &t, chain, false, expect(true, 0, &failed));
        if (!failed) {
            size_t len = strlen(a->file[i]);
            snprintf(a->file[i] + len, TEXT_MAX - len, "%s", text[n]);
        }
    }
    uint8_t body[4];
    struct cg_buf b = cg_buf_writer(body, sizeof body);
    cg_put_u32(&b, fid);
    t = (union ninep_tmsg){.clunk = {.fids = {.count = 1, .body = {.data = body, .len = 4}}}};
    ask_plain(a, NINEP_TCLUNK, &t, chain, true, failed ? CG_ESKIPPED : CG_OK);
}

/* Remove and rename in one chain. */
static void shuffle(struct actor *a)
{
    uint32_t i = (uint32_t)sim_random(sim, NAMES), j = (uint32_t)sim_random(sim, NAMES);
    uint32_t k = (uint32_t)sim_random(sim, NAMES), chain = ninep_client_chain(a->c.client);
    char from[2] = {(char)('a' + i), 0}, to[2] = {(char)('a' + j), 0},
         gone[2] = {(char)('a' + k), 0};
    cg_err failed = CG_OK;
    union ninep_tmsg t = {.rename = {.fid = DIR_FID,
                                     .newfid = DIR_FID,
                                     .name = cg_span_of(from),
                                     .newname = cg_span_of(to)}};
    ask_plain(a, NINEP_TRENAME, &t, chain, false, expect(a->exists[i], CG_ENOENT, &failed));
    if (!failed && i != j) {
        memcpy(a->file[j], a->file[i], TEXT_MAX);
        a->exists[j] = true;
        a->exists[i] = false;
    }
    t = (union ninep_tmsg){.remove = {.fid = DIR_FID, .name = cg_span_of(gone)}};
    ask_plain(a, NINEP_TREMOVE, &t, chain, true, expect(a->exists[k], CG_ENOENT, &failed));
    if (!failed) {
        a->exists[k] = false;
    }
}

/* ---- shared files ---- */

static void walk_done(void *aux, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    struct ask *ask = aux;
    struct actor *a = ask->a;
    uint32_t i = ask->shared;
    check(ask, e, detail);
    if (r->walk.lease == NINEP_LEASE_READ && r->walk.whole &&
        a->cache[i].invalidated == ask->cached_at) {
        a->cache[i].data = true;
        assert_true(cg_span_str(r->walk.inline_, a->cache[i].value, sizeof a->cache[i].value));
    }
    answered(ask);
}

static void getattr_done(void *aux, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    struct ask *ask = aux;
    struct actor *a = ask->a;
    uint32_t i = ask->shared;
    check(ask, e, detail);
    if (r->getattr.lease == NINEP_LEASE_READ && a->cache[i].invalidated == ask->cached_at) {
        a->cache[i].attr = true;
        a->cache[i].change = r->getattr.attr.id.change;
    }
    answered(ask);
}

static void shared_name(uint32_t i, char out[8])
{
    snprintf(out, 8, "s%u", i);
}

static void read_shared(struct actor *a)
{
    uint32_t i = (uint32_t)sim_random(sim, SHARED);
    bool attr = sim_chance(sim, 50);
    char name[8];
    if (!trusts(a)) {
        forget(a, i);
    }
    if (attr ? a->cache[i].attr : a->cache[i].data) {
        cache_hits++;
        check_belief(a, i);
        act_soon(a);
        return;
    }
    shared_name(i, name);
    union ninep_tmsg t = {.walk = {.fid = ninep_client_root(a->c.client),
                                   .newfid = NINEP_NOFID,
                                   .want = NINEP_WANT_LEASE | NINEP_WANT_INLINE,
                                   .inline_max = 100,
                                   .names = {.count = 1, .name = {cg_span_of(name)}}}};
    if (attr) {
        t = (union ninep_tmsg){.getattr = {.fid = SHARED_FID + i, .want = NINEP_WANT_LEASE}};
    }
    struct ask ask = {.shared = i, .cached_at = a->cache[i].invalidated};
    call(a, attr ? NINEP_TGETATTR : NINEP_TWALK, &t, 0, false, attr ? getattr_done : walk_done,
         &ask);
}

static void write_done(void *aux, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    struct ask *ask = aux;
    (void)r;
    check(ask, e, detail);
    forget(ask->a, ask->shared); /* reads that crossed the write count for nothing */
    answered(ask);
}

static void write_shared(struct actor *a)
{
    uint32_t i = (uint32_t)sim_random(sim, SHARED);
    struct ask ask = {.shared = i};
    snprintf(ask.value, sizeof ask.value, "v%07u", (unsigned)++value_last);
    forget(a, i);
    mutations_expected++;
    union ninep_tmsg t = {.write = {.fid = SHARED_FID + i, .data = cg_span_of(ask.value)}};
    call(a, NINEP_TWRITE, &t, 0, false, write_done, &ask);
}

struct given {
    struct actor *a;
    struct ninep_event ev;
};

static void give_back(void *aux)
{
    struct given *g = aux;
    if (g->a->c.client) {
        ninep_client_release(g->a->c.client, &g->ev);
    }
    cg_free(g);
}

static void on_event(void *ctx, const struct ninep_event *ev)
{
    struct actor *a = ((struct sim_client *)ctx)->aux;
    breaks++;
    for (uint32_t i = 0; i < SHARED; i++) {
        if (ev->kind == NINEP_EVENT_LOST || ev->id.file == a->shared_id[i].file) {
            forget(a, i);
        }
    }
    struct given *g = cg_alloc(sizeof *g);
    assert_non_null(g);
    *g = (struct given){.a = a, .ev = *ev};
    sim_after(sim, sim_random(sim, 20 * MS), give_back, g);
}

/* ---- locks ---- */

static void unlock(void *aux)
{
    struct ask *ask = aux;
    struct actor *a = ask->a;
    uint32_t i = ask->shared;
    cg_free(ask);
    assert_ptr_equal(lock_holder[i], a);
    lock_holder[i] = NULL;
    union ninep_tmsg t = {.lock = {.fid = SHARED_FID,
                                   .type = NINEP_LOCKTYPE_UNLOCK,
                                   .owner = 1,
                                   .start = i * 10,
                                   .length = 10}};
    a->open_calls--;
    ask_plain(a, NINEP_TLOCK, &t, 0, false, CG_OK);
}

static void locked(void *aux, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    struct ask *ask = aux;
    check(ask, e, detail);
    assert_int_equal(r->lock.granted, 1);
    if (lock_holder[ask->shared]) {
        fail_msg("clients %u and %u hold one lock", ask->a->number,
                 lock_holder[ask->shared]->number);
    }
    lock_holder[ask->shared] = ask->a;
    sim_after(sim, sim_random(sim, 30 * MS), unlock, ask);
}

static void lock_shared(struct actor *a)
{
    uint32_t i = (uint32_t)sim_random(sim, LOCKS);
    struct ask ask = {.shared = i};
    union ninep_tmsg t = {.lock = {.fid = SHARED_FID,
                                   .type = NINEP_LOCKTYPE_EXCLUSIVE,
                                   .flags = NINEP_LOCKFLAG_WAIT,
                                   .owner = 1,
                                   .start = i * 10,
                                   .length = 10}};
    waits += lock_holder[i] != NULL;
    call(a, NINEP_TLOCK, &t, 0, false, locked, &ask);
}

/* ---- an actor's life ---- */

/* Its directory, and the shared files opened. */
static void set_up(struct actor *a)
{
    uint32_t root = ninep_client_root(a->c.client);
    char name[8];
    a->setting_up = true;
    mutations_expected++;
    snprintf(a->dir, sizeof a->dir, "c%u", a->number);
    union ninep_tmsg t = {
        .create = {
            .fid = root, .newfid = DIR_FID, .mode = S_IFDIR | 0755, .name = cg_span_of(a->dir)}};
    ask_plain(a, NINEP_TCREATE, &t, 0, false, CG_OK);
    for (uint32_t i = 0; i < SHARED; i++) {
        shared_name(i, name);
        t = (union ninep_tmsg){.create = {.fid = root,
                                          .newfid = SHARED_FID + i,
                                          .flags = NINEP_OPEN_RDWR,
                                          .mode = 0644,
                                          .name = cg_span_of(name)}};
        ask_plain(a, NINEP_TCREATE, &t, 0, false, CG_OK);
    }
}

static void act(void *aux)
{
    struct actor *a = aux;
    if (!a->setting_up) {
        set_up(a);
        return;
    }
    if (a->actions >= ACTIONS) {
        return;
    }
    a->actions++;
    switch (sim_random(sim, 6)) {
    case 0:
        make_file(a);
        break;
    case 1:
        shuffle(a);
        break;
    case 2:
        write_shared(a);
        break;
    case 3:
        lock_shared(a);
        break;
    default:
        read_shared(a);
    }
}

static void on_state(void *ctx, enum ninep_client_state st, bool resumed, cg_err why,
                     const char *detail)
{
    struct actor *a = ((struct sim_client *)ctx)->aux;
    (void)why, (void)resumed;
    if (st == NINEP_DEAD) {
        fail_msg("client %u died: %s", a->number, detail);
    }
    if (st == NINEP_UP && !a->ready) {
        a->ready = true;
        act_soon(a);
    }
}

static void start_actor(uint32_t n)
{
    struct actor *a = &actor[n];
    memset(a, 0, sizeof *a);
    a->number = n;
    for (uint32_t i = 0; i < SHARED; i++) {
        a->shared_id[i].file = 2 + i; /* the root is 1; made first, in this order */
    }
    a->c.aux = a;
    a->c.linked = linked;
    struct ninep_client_config config = {.auth = &ninep_auth_local,
                                         .user = "u",
                                         .tree = "",
                                         .ctx = &a->c,
                                         .state = on_state,
                                         .event = on_event};
    assert_int_equal(sim_client_init(&a->c, sim, &server, (1 + n * 3) * MS, &config), CG_OK);
    a->c.aux = a;
    a->c.linked = linked;
    ninep_client_start(a->c.client);
}

static bool finished(void)
{
    for (uint32_t n = 0; n < CLIENTS; n++) {
        if (actor[n].actions < ACTIONS || actor[n].open_calls > 0) {
            return false;
        }
    }
    return true;
}

static void compare_tree(void)
{
    struct cg_str text = {0}, shadow = {0};
    assert_int_equal(memfs_text(fs, &text), CG_OK);
    for (uint32_t n = 0; n < CLIENTS; n++) {
        const struct actor *a = &actor[n];
        assert_int_equal(cg_str_addf(&shadow, "/%s 40755 2 0 \n", a->dir), CG_OK);
        for (uint32_t i = 0; i < NAMES; i++) {
            if (a->exists[i]) {
                cg_str_addf(&shadow, "/%s/%c 100644 1 %zu %s\n", a->dir, 'a' + (int)i,
                            strlen(a->file[i]), a->file[i]);
            }
        }
    }
    for (uint32_t i = 0; i < SHARED; i++) {
        cg_str_addf(&shadow, "/s%u 100644 1 %zu %s\n", i, strlen(shared_value[i]), shared_value[i]);
    }
    assert_string_equal(text.data, shadow.data);
    assert_int_equal(memfs_mutations(fs), mutations_expected);
    cg_str_fini(&text);
    cg_str_fini(&shadow);
}

/* The shared files, in order, so that their numbers are known. */
static void make_shared(struct ninep_server *s)
{
    static struct sim_client c;
    memset(&c, 0, sizeof c);
    struct ninep_client_config config = {
        .auth = &ninep_auth_local, .user = "u", .tree = "", .ctx = &c};
    (void)s;
    assert_int_equal(sim_client_init(&c, sim, &server, MS, &config), CG_OK);
    ninep_client_start(c.client);
    while (ninep_client_state(c.client) != NINEP_UP) {
        assert_true(sim_step(sim));
    }
    for (uint32_t i = 0; i < SHARED; i++) {
        char name[8];
        shared_name(i, name);
        struct ninep_call call_ = {.type = NINEP_TPUT,
                                   .t = {.put = {.fid = ninep_client_root(c.client),
                                                 .mode = 0644,
                                                 .name = cg_span_of(name)}}};
        uint64_t before = memfs_mutations(fs);
        assert_int_not_equal(ninep_client_call(c.client, &call_), 0);
        while (memfs_mutations(fs) == before) {
            assert_true(sim_step(sim));
        }
    }
    sim_client_fini(&c);
}

static void run(uint64_t seed)
{
    struct ninep_server *s;
    struct ninep_ops ops = memfs_ops;
    struct ninep_server_config config = {.name = "sim", .ops = &ops, .lease_ms = 2000};
    ops.walk = seed % 2 ? memfs_walk : NULL;
    sim = sim_new(seed);
    fs = memfs_new(sim_env(sim));
    config.aux = fs;
    config.env = sim_env(sim);
    value_last = cuts = cache_hits = breaks = waits = 0;
    mutations_expected = SHARED;
    calm = true;
    memset(shared_value, 0, sizeof shared_value);
    memset(lock_holder, 0, sizeof lock_holder);
    for (uint32_t i = 0; i < SHARED; i++) {
        shared_change[i] = 2; /* memfs counts what Tput did as two */
    }
    assert_int_equal(ninep_server_new(&config, &s), CG_OK);
    sim_server_init(&server, sim, s);
    make_shared(s);
    memfs_defer(fs, later, NULL);
    calm = false;
    for (uint32_t n = 0; n < CLIENTS; n++) {
        start_actor(n);
    }
    uint64_t end = sim_now(sim) + 3600 * 1000 * MS;
    while (!finished()) {
        assert_true(sim_step(sim));
        if (sim_now(sim) > end) {
            fail_msg("not done after an hour of simulated time");
        }
    }
    calm = true;
    printf("%.1f s simulated, %llu cuts, %llu cache hits, %llu events, %llu waits for locks\n",
           (double)sim_now(sim) / 1e9, (unsigned long long)cuts, (unsigned long long)cache_hits,
           (unsigned long long)breaks, (unsigned long long)waits);
    compare_tree();
    sim_run_until(sim, sim_now(sim) + 100 * MS);
    for (uint32_t n = 0; n < CLIENTS; n++) {
        sim_client_fini(&actor[n].c);
    }
    sim_run_until(sim, sim_now(sim) + 1000 * MS);
    memfs_defer(fs, NULL, NULL);
    sim_server_fini(&server);
    ninep_server_free(s);
    memfs_free(fs);
    sim_free(sim);
}

static void exactly_once_coherent_exclusive(void **state)
{
    (void)state;
    uint64_t seed = sim_seed("sim_test", 20261122);
    for (uint64_t i = 0; i < 5; i++) {
        run(seed + i);
        assert_true(cuts > 10 && cache_hits > 0 && breaks > 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(exactly_once_coherent_exclusive)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
