/* Coherence: namespaces on one server read what others acknowledged, never anything older.
 *
 * Every thing that changes has one writer, whose changes are numbered: an observation made between
 * two moments must fit a number not below the last one that was acknowledged before it began, and
 * not above the last one that was begun before it ended. Things are the value in a file, a name
 * that comes and goes, a file that is renamed to and fro, and the length of a file. Observers ask
 * through the namespace, and now and then a model of the kernel's cache, which believes attributes
 * until they run out or are invalidated, and names until they run out. Links are cut, some so long
 * that leases run out.
 */
#include "internal.h"
#include "nstest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    USERS = 3,
    ACTORS = 4, /* of a user, at once */
    THINGS = 6,
    STEPS = 5000,
    VALUE_BYTES = 8,
    LEASE_MS = 2000,
    NAMES_NS = 200000000,
};

enum kind { VALUE, NAME, MOVE, LENGTH, KINDS };

struct thing {
    uint64_t begun, acked; /* numbers of changes */
    bool busy;             /* its writer is at it */
    bool unsure;           /* a change had an unknown outcome: not looked at any more */
};

struct known { /* what the kernel believes of a name in /d */
    bool set, exists;
    uint64_t until, held_until; /* attributes; the name itself */
    struct ns_node *node;       /* counted */
    uint64_t size;
};

struct person;
struct actor {
    struct person *p;
    enum kind kind;
    uint32_t i;
    bool writes, second, busy;
    uint64_t floor; /* acknowledged when it began */
    char name[16], other[16];
    struct ns_node *node;
    struct ns_file *file;
    char seen[64];
};

struct person {
    struct t_user user;
    struct ns_node *dir;
    struct actor actors[ACTORS];
    struct known known[KINDS][THINGS][2];
};

static struct t_world world;
static struct person people[USERS];
static struct thing things[KINDS][THINGS];
static uint64_t seed, observations, from_kernel, names_held, errors;
static char first_error[300];

static void refused(cg_err e, const char *detail)
{
    if (e && errors++ == 0) {
        snprintf(first_error, sizeof first_error, ": %s: %s", cg_err_name(e), detail);
    }
}

static void name_of(enum kind k, uint32_t i, bool second, char out[16])
{
    static const char letters[] = "vnml";
    snprintf(out, 16, "%c%u%s", letters[k], i, k == MOVE ? (second ? "b" : "a") : "");
}

static struct thing *thing(const struct actor *a)
{
    return &things[a->kind][a->i];
}

static void end(struct actor *a)
{
    if (a->file) {
        ns_close(a->p->user.ns, a->file);
    }
    if (a->node) {
        ns_node_forget(a->node, 1);
    }
    a->file = NULL;
    a->node = NULL;
    a->busy = false;
}

/* ---- checks */

static void wrong(const struct actor *a, const char *what, uint64_t saw)
{
    fail_msg("COGNU_SEED=%llu: %s %s: saw %llu, acknowledged %llu, begun %llu, at %llu ms",
             (unsigned long long)seed, what, a->name, (unsigned long long)saw,
             (unsigned long long)a->floor, (unsigned long long)thing(a)->begun,
             (unsigned long long)(sim_now(world.sim) / 1000000));
}

static void saw_number(struct actor *a, uint64_t n, const char *how)
{
    observations++;
    if (!thing(a)->unsure && (n < a->floor || n > thing(a)->begun)) {
        wrong(a, how, n);
    }
}

/* Names are there at every other number: those of NAME and the second of MOVE at odd ones. */
static void saw_name(struct actor *a, bool exists, const char *how)
{
    bool odd = a->kind == NAME || a->second;
    observations++;
    for (uint64_t n = a->floor; n <= thing(a)->begun; n++) {
        if (((n % 2 == 1) == odd) == exists) {
            return;
        }
    }
    if (!thing(a)->unsure) {
        wrong(a, how, exists);
    }
}

/* ---- the kernel's side */

static void forget(struct t_user *u, struct ns_node *n, enum ns_inval what)
{
    struct person *p = u->aux;
    (void)what;
    for (int k = 0; k < KINDS; k++) {
        for (uint32_t i = 0; i < THINGS; i++) {
            for (int s = 0; s < 2; s++) {
                struct known *known = &p->known[k][i][s];
                known->set = known->set && known->node != n;
            }
        }
    }
}

static void learn(struct actor *a, const struct ns_stat *st, bool exists)
{
    struct known *known = &a->p->known[a->kind][a->i][a->second];
    struct ns_node *old = known->node;
    if (exists) {
        ns_node_ref(st->node);
    }
    *known = (struct known){.set = st && st->until_ns > sim_now(world.sim),
                            .exists = exists,
                            .until = st ? st->until_ns : 0,
                            .held_until = st && st->hold ? sim_now(world.sim) + NAMES_NS : 0,
                            .node = exists ? st->node : NULL,
                            .size = exists ? st->attr.size : 0};
    if (old) {
        ns_node_forget(old, 1);
    }
}

static bool ask_kernel(struct actor *a)
{
    struct known *known = &a->p->known[a->kind][a->i][a->second];
    uint64_t now = sim_now(world.sim);
    if (a->kind == LENGTH && known->set && known->exists && now < known->until) {
        saw_number(a, known->size, "the kernel's cache has the length of");
        from_kernel++;
        return true;
    }
    if ((a->kind == NAME || a->kind == MOVE) && now < known->held_until) {
        saw_name(a, known->exists, "the kernel's cache has the name");
        names_held++;
        return true;
    }
    return false;
}

/* ---- writers */

static void acknowledged(struct actor *a, cg_err e, uint64_t number, const char *detail)
{
    refused(e, detail);
    struct thing *t = thing(a);
    t->busy = false;
    for (int i = 0; i < 2; i++) { /* a kernel knows what it has changed itself */
        a->p->known[a->kind][a->i][i].set = false;
        a->p->known[a->kind][a->i][i].held_until = 0;
    }
    if (e == CG_OK) {
        t->acked = number;
    } else {
        t->unsure = true;
    }
    end(a);
}

static void write_flushed(void *aux, cg_err e, const char *detail)
{
    struct actor *a = aux;
    acknowledged(a, e, thing(a)->begun, detail);
}

static void written(void *aux, cg_err e, uint64_t n, const char *detail)
{
    struct actor *a = aux;
    if (e) {
        acknowledged(a, e, 0, detail);
        return;
    }
    assert_true(n > 0);
    ns_flush(a->p->user.ns, a->file, write_flushed, a);
}

static void write_opened(void *aux, cg_err e, struct ns_file *f, const struct ns_stat *st,
                         bool keep, bool direct, const char *detail)
{
    struct actor *a = aux;
    (void)keep;
    (void)direct;
    if (e) {
        acknowledged(a, e, 0, detail);
        return;
    }
    a->file = f;
    if (!a->node) { /* a create gives a reference */
        a->node = st->node;
    }
    char text[VALUE_BYTES + 1];
    snprintf(text, sizeof text, "%08llu", (unsigned long long)thing(a)->begun);
    ns_write(a->p->user.ns, f, 0, text, VALUE_BYTES, written, a);
}

static void write_found(void *aux, cg_err e, const struct ns_stat *st, const char *detail)
{
    struct actor *a = aux;
    if (e) {
        acknowledged(a, e, 0, detail);
        return;
    }
    a->node = st->node;
    if (a->kind == VALUE) {
        ns_open(a->p->user.ns, a->node, NINEP_OPEN_WRITE, write_opened, a);
    }
}

static void length_set(void *aux, cg_err e, const struct ns_stat *st, const char *detail)
{
    struct actor *a = aux;
    (void)st;
    acknowledged(a, e, thing(a)->begun, detail);
}

static void length_found(void *aux, cg_err e, const struct ns_stat *st, const char *detail)
{
    struct actor *a = aux;
    if (e) {
        acknowledged(a, e, 0, detail);
        return;
    }
    a->node = st->node;
    struct ninep_tsetattr t = {.valid = NINEP_SETATTR_SIZE, .size = thing(a)->begun};
    ns_setattr(a->p->user.ns, a->node, NULL, &t, length_set, a);
}

static void start_writer(struct actor *a)
{
    struct thing *t = thing(a);
    struct ns *ns = a->p->user.ns;
    t->busy = true;
    t->begun++;
    name_of(a->kind, a->i, false, a->name);
    bool odd = t->begun % 2;
    switch (a->kind) {
    case VALUE:
        ns_lookup(ns, a->p->dir, a->name, write_found, a);
        break;
    case NAME:
        if (odd) {
            ns_create(ns, a->p->dir, a->name, 0644, NINEP_OPEN_WRITE, write_opened, a);
        } else {
            ns_remove(ns, a->p->dir, a->name, false, write_flushed, a);
        }
        break;
    case MOVE:
        name_of(a->kind, a->i, true, a->other);
        ns_rename(ns, a->p->dir, odd ? a->name : a->other, a->p->dir, odd ? a->other : a->name, 0,
                  write_flushed, a);
        break;
    default:
        ns_lookup(ns, a->p->dir, a->name, length_found, a);
        break;
    }
}

/* ---- observers */

static void value_read(void *aux, cg_err e, const void *data, size_t len, const char *detail)
{
    struct actor *a = aux;
    if (e == CG_OK && len == VALUE_BYTES) {
        char text[VALUE_BYTES + 1] = {0};
        memcpy(text, data, len);
        saw_number(a, strtoull(text, NULL, 10), "reading");
    }
    refused(e, detail);
    end(a);
}

static void read_opened(void *aux, cg_err e, struct ns_file *f, const struct ns_stat *st, bool keep,
                        bool direct, const char *detail)
{
    struct actor *a = aux;
    (void)st;
    (void)keep;
    (void)direct;
    if (e) {
        refused(e, detail);
        end(a);
        return;
    }
    a->file = f;
    ns_read(a->p->user.ns, f, 0, 64, value_read, a);
}

static void looked(void *aux, cg_err e, const struct ns_stat *st, const char *detail)
{
    struct actor *a = aux;
    if (e && e != CG_ENOENT) {
        refused(e, detail);
        end(a);
        return;
    }
    learn(a, st, e == CG_OK);
    if (a->kind == NAME || a->kind == MOVE) {
        saw_name(a, e == CG_OK, "looking up");
    }
    if (e == CG_OK) {
        a->node = st->node;
        if (a->kind == LENGTH) {
            saw_number(a, st->attr.size, "the length of");
        }
        if (a->kind == VALUE) {
            ns_open(a->p->user.ns, a->node, NINEP_OPEN_READ, read_opened, a);
            return;
        }
    }
    end(a);
}

static bool listed(void *aux, uint64_t next, const char *name, const struct ns_stat *st)
{
    struct actor *a = aux;
    (void)next;
    (void)st;
    a->seen[0] = a->seen[0] || strcmp(name, a->name) == 0;
    return true;
}

static void list_done(void *aux, cg_err e, const char *detail)
{
    struct actor *a = aux;
    if (e == CG_OK) {
        saw_name(a, a->seen[0], "listing");
    }
    refused(e, detail);
    end(a);
}

static void list_opened(void *aux, cg_err e, struct ns_file *f, const struct ns_stat *st, bool keep,
                        bool direct, const char *detail)
{
    struct actor *a = aux;
    (void)st;
    (void)keep;
    (void)direct;
    if (e) {
        refused(e, detail);
        end(a);
        return;
    }
    a->file = f;
    a->seen[0] = 0;
    ns_readdir(a->p->user.ns, f, 0, false, listed, list_done, a);
}

static void start_observer(struct actor *a)
{
    name_of(a->kind, a->i, a->second, a->name);
    a->floor = thing(a)->acked;
    if (sim_chance(world.sim, 60) && ask_kernel(a)) {
        a->busy = false;
    } else if ((a->kind == NAME || a->kind == MOVE) && sim_chance(world.sim, 10)) {
        ns_open(a->p->user.ns, a->p->dir, NINEP_OPEN_READ, list_opened, a);
    } else {
        ns_lookup(a->p->user.ns, a->p->dir, a->name, looked, a);
    }
}

/* ---- the run */

static void start(struct actor *a)
{
    uint32_t person = (uint32_t)(a->p - people);
    memset(a->seen, 0, sizeof a->seen);
    a->busy = true;
    a->kind = (enum kind)sim_random(world.sim, KINDS);
    a->i = (uint32_t)sim_random(world.sim, THINGS);
    a->second = a->kind == MOVE && sim_chance(world.sim, 50);
    struct thing *t = thing(a);
    a->writes = a->i % USERS == person && !t->busy && !t->unsure && sim_chance(world.sim, 40);
    if (a->writes) {
        start_writer(a);
    } else {
        start_observer(a);
    }
}

static void answer_again(void *aux)
{
    struct sim_client *c = aux;
    if (!c->stopped) {
        c->server = t_sim(&world.servers[0]);
    }
}

/* A cut; sometimes nothing answers for longer than a lease lasts. */
static void trouble(struct person *p)
{
    struct sim_client *c = t_client(&p->user, 0);
    if (c->link) {
        sim_link_cut(c->link);
    }
    if (sim_chance(world.sim, 30) && c->server) {
        c->server = NULL;
        sim_after(world.sim, (LEASE_MS + sim_random(world.sim, 2000)) * UINT64_C(1000000),
                  answer_again, c);
    }
}

static void begin(bool tiny)
{
    t_world_init(&world, seed, 20000000);
    world.lease_ms = LEASE_MS;
    memset(people, 0, sizeof people);
    memset(things, 0, sizeof things);
    t_serve(&world, "alpha!hostfs");
    for (int u = 0; u < USERS; u++) {
        struct person *p = &people[u];
        cg_err e;
        t_user_init(&p->user, &world);
        p->user.aux = p;
        p->user.ns->config.names_ns = NAMES_NS;
        p->user.ns->rest_ns = NAMES_NS;
        if (tiny) { /* everything is forgotten all the time */
            p->user.ns->idle_max = 3;
            p->user.ns->fids_max = 2;
            p->user.ns->config.cache_bytes_max = 64;
        }
        assert_int_equal(t_ctl(&p->user, "mount -c .!hostfs!root /"), CG_OK);
        if (u == 0) {
            assert_int_equal(t_mkdir(&p->user, "/d"), CG_OK);
            for (uint32_t i = 0; i < THINGS; i++) {
                char path[32];
                snprintf(path, sizeof path, "/d/v%u", i);
                assert_int_equal(t_put(&p->user, path, "00000000"), CG_OK);
                snprintf(path, sizeof path, "/d/m%ua", i);
                assert_int_equal(t_put(&p->user, path, ""), CG_OK);
                snprintf(path, sizeof path, "/d/l%u", i);
                assert_int_equal(t_put(&p->user, path, ""), CG_OK);
            }
        }
        p->dir = t_walk(&p->user, "/d", &e);
        assert_non_null(p->dir);
        p->user.invalidate = forget;
        for (int i = 0; i < ACTORS; i++) {
            p->actors[i].p = p;
        }
    }
}

static bool anyone_busy(void)
{
    for (int i = 0; i < USERS * ACTORS; i++) {
        if (people[i / ACTORS].actors[i % ACTORS].busy) {
            return true;
        }
    }
    return false;
}

static void finish(void)
{
    while (anyone_busy()) {
        assert_true(t_step(&world));
    }
    for (int u = 0; u < USERS; u++) {
        for (int i = 0; i < KINDS * THINGS * 2; i++) {
            struct known *known = &people[u].known[i / (THINGS * 2)][i / 2 % THINGS][i % 2];
            if (known->node) {
                ns_node_forget(known->node, 1);
            }
        }
        ns_node_forget(people[u].dir, 1);
        t_user_fini(&people[u].user);
    }
    t_world_fini(&world);
}

static void run(bool faults, bool tiny, bool restarts)
{
    observations = from_kernel = names_held = errors = 0;
    begin(tiny);
    for (int i = 0; i < STEPS; i++) {
        struct person *p = &people[sim_random(world.sim, USERS)];
        struct actor *a = &p->actors[sim_random(world.sim, ACTORS)];
        if (!a->busy) {
            start(a);
        }
        if (restarts && i % (STEPS / 4) == STEPS / 8) { /* four times */
            t_server_restart(&world.servers[0]);
        }
        if (faults && sim_chance(world.sim, 1)) {
            trouble(&people[sim_random(world.sim, USERS)]);
        }
        for (uint64_t n = sim_random(world.sim, 12); n > 0; n--) {
            t_step(&world);
        }
    }
    finish();
    printf("%llu observations, %llu attributes and %llu names from the kernel's cache, "
           "%llu errors%s\n",
           (unsigned long long)observations, (unsigned long long)from_kernel,
           (unsigned long long)names_held, (unsigned long long)errors, errors ? first_error : "");
    assert_true(observations > STEPS / 20);
    assert_true(names_held > 0);
}

static void quiet_links(void **state)
{
    (void)state;
    seed = sim_seed("ns_coherence quiet_links", 42);
    for (int i = 0; i < 6; i++, seed++) {
        run(false, false, false);
        assert_int_equal(errors, 0);
    }
}

static void bad_links(void **state)
{
    (void)state;
    seed = sim_seed("ns_coherence bad_links", 7);
    for (int i = 0; i < 6; i++, seed++) {
        run(true, false, false);
    }
}

static void small_caches(void **state)
{
    (void)state;
    seed = sim_seed("ns_coherence small_caches", 3);
    for (int i = 0; i < 6; i++, seed++) {
        run(i % 2, true, false);
    }
}

static void restarts(void **state)
{
    (void)state;
    seed = sim_seed("ns_coherence restarts", 11);
    for (int i = 0; i < 6; i++, seed++) {
        run(i % 2, i % 3 == 0, true);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quiet_links),
        cmocka_unit_test(bad_links),
        cmocka_unit_test(small_caches),
        cmocka_unit_test(restarts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
