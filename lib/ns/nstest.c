#include "nstest.h"
#include <cognu/book.h>

#include <stdio.h>
#include <string.h>

/* ---- worlds */

void t_world_init(struct t_world *w, uint64_t seed, uint64_t rtt_ns)
{
    memset(w, 0, sizeof *w);
    w->sim = sim_new(seed);
    w->delay_ns = rtt_ns / 2;
}

void t_world_fini(struct t_world *w)
{
    while (w->user_count > 0) {
        t_user_fini(w->users[0]);
    }
    for (uint32_t i = 0; i < w->server_count; i++) {
        t_server_end(&w->servers[i]);
    }
    sim_free(w->sim);
}

static void listen_on(struct t_world *w, struct t_server *s)
{
    struct ninep_server_config config = {.name = "memfs",
                                         .ops = s->ops,
                                         .aux = s->fs,
                                         .env = sim_env(w->sim),
                                         .auth = &ninep_auth_local,
                                         .lease_ms = w->lease_ms,
                                         .holders = s->holders};
    cg_err e = ninep_server_new(&config, &s->server);
    cg_assert(e == CG_OK);
    sim_server_init(t_sim(s), w->sim, s->server);
}

struct t_server *t_serve_ops(struct t_world *w, const char *name, const struct ninep_ops *ops)
{
    cg_assert(w->server_count < T_SERVERS_MAX);
    struct t_server *s = &w->servers[w->server_count++];
    snprintf(s->name, sizeof s->name, "%s", name);
    s->world = w;
    s->ops = ops;
    struct book_config holders = NINEP_HOLDERS_BOOK;
    struct cg_errbuf eb;
    cg_err e = book_new(&holders, &s->holders, &eb);
    cg_assert(e == CG_OK);
    s->fs = ops == &memfs_ops ? memfs_new(sim_env(w->sim)) : NULL;
    listen_on(w, s);
    return s;
}

struct t_server *t_serve(struct t_world *w, const char *name)
{
    return t_serve_ops(w, name, &memfs_ops);
}

struct sim_server *t_sim(struct t_server *s)
{
    return &s->sims[s->life];
}

/* Points every client of one life of the server to another; NULL: nothing answers. */
static void lead(struct t_world *w, struct sim_server *from, struct sim_server *to)
{
    for (uint32_t u = 0; u < w->user_count; u++) {
        for (int i = 0; i < T_CONNS_MAX; i++) {
            struct t_conn *c = &w->users[u]->conns[i];
            if (c->used && c->at == from) {
                c->sim.server = to;
                c->at = to ? to : from;
                if (!to && c->sim.link) {
                    sim_link_cut(c->sim.link);
                }
            }
        }
    }
}

void t_server_restart(struct t_server *s)
{
    struct sim_server *old = t_sim(s);
    cg_assert(s->life < T_RESTARTS_MAX);
    lead(s->world, old, NULL);
    t_run(s->world, 6 * s->world->delay_ns);
    old->stopped = true;
    ninep_server_free(s->server);
    s->life++;
    listen_on(s->world, s);
    lead(s->world, old, t_sim(s));
}

void t_server_end(struct t_server *s)
{
    if (s->server) {
        sim_server_fini(t_sim(s));
        ninep_server_free(s->server);
        if (s->fs) {
            memfs_free(s->fs);
        }
        book_free(s->holders);
        s->server = NULL;
        for (uint32_t i = 0; i < s->life; i++) {
            while (s->sims[i].ticks > 0 && sim_step(s->world->sim)) {
            }
        }
    }
}

/* ---- users */

static void on_state(void *ctx, enum ninep_client_state st, bool resumed, cg_err why,
                     const char *detail)
{
    struct t_conn *c = CG_CONTAINER(ctx, struct t_conn, sim);
    c->config.state(c->config.ctx, st, resumed, why, detail);
}

static void on_event(void *ctx, const struct ninep_event *event)
{
    struct t_conn *c = CG_CONTAINER(ctx, struct t_conn, sim);
    c->config.event(c->config.ctx, event);
}

static bool on_forgotten(void *ctx)
{
    struct t_conn *c = CG_CONTAINER(ctx, struct t_conn, sim);
    return c->config.forgotten(c->config.ctx);
}

static cg_err dial(void *ctx, const char *node, const char *service, const char *ticket,
                   const struct ninep_client_config *config, struct ninep_client **out,
                   struct cg_errbuf *eb)
{
    (void)ticket;
    struct t_user *u = ctx;
    char name[64];
    snprintf(name, sizeof name, "%s!%s", node, service);
    struct t_server *s = NULL;
    for (uint32_t i = 0; i < u->world->server_count; i++) {
        s = strcmp(u->world->servers[i].name, name) == 0 ? &u->world->servers[i] : s;
    }
    u->dials++;
    if (!s) {
        return cg_fail(eb, CG_ENOSERVICE, "no service %s", name);
    }
    struct t_conn *c = NULL;
    for (int i = 0; i < T_CONNS_MAX && !c; i++) {
        c = u->conns[i].used ? NULL : &u->conns[i];
    }
    cg_assert(c);
    memset(c, 0, sizeof *c);
    c->used = true;
    c->user = u;
    c->config = *config;
    c->at = t_sim(s);
    struct ninep_client_config mine = *config;
    mine.state = on_state;
    mine.event = on_event;
    mine.forgotten = on_forgotten;
    mine.ctx = &c->sim;
    cg_err e = sim_client_init(&c->sim, u->world->sim, t_sim(s), u->world->delay_ns, &mine);
    *out = c->sim.client;
    return e;
}

static void undial(void *ctx, struct ninep_client *client)
{
    struct t_user *u = ctx;
    for (int i = 0; i < T_CONNS_MAX; i++) {
        struct t_conn *c = &u->conns[i];
        if (c->used && c->sim.client == client) {
            sim_client_fini(&c->sim);
            c->used = false;
            return;
        }
    }
    cg_assert(false);
}

static void on_invalidate(void *ctx, struct ns_node *n, enum ns_inval what)
{
    struct t_user *u = ctx;
    u->invalidated++;
    if (u->invalidate) {
        u->invalidate(u, n, what);
    }
}

static void on_around(void *ctx, struct ns_node *n, uint64_t offset, const void *data, size_t len,
                      struct ninep_frame *frame)
{
    struct t_user *u = ctx;
    const uint8_t *bytes = data;
    (void)n;
    cg_assert(bytes >= frame->data && bytes + len <= frame->data + frame->len);
    if (u->around) {
        u->around(u, offset, data, len);
    }
}

static bool settled(void *ctx, void *token)
{
    struct t_user *u = ctx;
    u->token = token;
    return !u->slow_kernel;
}

void t_user_init(struct t_user *u, struct t_world *w)
{
    memset(u, 0, sizeof *u);
    u->world = w;
    struct ns_config config = {.env = sim_env(w->sim),
                               .dial = dial,
                               .undial = undial,
                               .invalidate = on_invalidate,
                               .settled = settled,
                               .around = on_around,
                               .ctx = u,
                               .self = "alpha",
                               .user = "glenda"};
    cg_err e = ns_new(&config, &u->ns);
    cg_assert(e == CG_OK && w->user_count < T_USERS_MAX);
    w->users[w->user_count++] = u;
}

cg_err t_user_mount(struct t_user *u, struct t_world *w)
{
    t_user_init(u, w);
    return t_ctl(u, "mount -c .!hostfs!root /");
}

void t_user_fini(struct t_user *u)
{
    struct t_world *w = u->world;
    for (uint32_t i = 0; i < w->user_count; i++) {
        if (w->users[i] == u) {
            w->users[i] = w->users[--w->user_count];
        }
    }
    ns_free(u->ns);
}

static void nothing(void *aux)
{
    *(bool *)aux = true;
}

static void ticked(void *aux)
{
    struct t_world *w = aux;
    w->tick_ns = 0;
}

bool t_step(struct t_world *w)
{
    bool more = sim_step(w->sim);
    uint64_t now = sim_now(w->sim);
    for (uint32_t i = 0; i < w->user_count; i++) {
        uint64_t next = ns_tick(w->users[i]->ns);
        bool soon = next && next < now + 1000000000; /* later ones are met by what else happens */
        if (soon && (w->tick_ns == 0 || next < w->tick_ns)) {
            w->tick_ns = next;
            sim_after(w->sim, next > now ? next - now : 0, ticked, w);
        }
    }
    return more;
}

void t_run(struct t_world *w, uint64_t ns)
{
    bool there = false;
    sim_after(w->sim, ns, nothing, &there);
    while (!there) {
        t_step(w);
    }
}

uint64_t t_round_trips(const struct t_user *u)
{
    uint64_t n = 0;
    for (int i = 0; i < T_CONNS_MAX; i++) {
        n += u->conns[i].used ? ninep_client_round_trips(u->conns[i].sim.client) : 0;
    }
    return n;
}

struct sim_client *t_client(struct t_user *u, uint32_t i)
{
    return &u->conns[i].sim;
}

/* ---- calls that wait */

struct wait {
    bool done;
    cg_err e;
    struct ns_stat st;
    struct ns_file *file;
    bool keep;
    void *out;
    size_t cap, len;
    uint64_t count;
    uint64_t cookie;
    bool plus;
    struct t_user *user;
};

static cg_err finish(struct t_user *u, struct wait *w)
{
    while (!w->done) {
        cg_assert(t_step(u->world));
    }
    return w->e;
}

static void done(void *aux, cg_err e, const char *detail)
{
    struct wait *w = aux;
    (void)detail;
    w->done = true;
    w->e = e;
}

static void stat_done(void *aux, cg_err e, const struct ns_stat *st, const char *detail)
{
    struct wait *w = aux;
    (void)detail;
    w->done = true;
    w->e = e;
    if (st) {
        w->st = *st;
    }
}

static void open_done(void *aux, cg_err e, struct ns_file *f, const struct ns_stat *st, bool keep,
                      bool direct, const char *detail)
{
    struct wait *w = aux;
    (void)detail;
    (void)direct;
    w->done = true;
    w->e = e;
    w->file = f;
    w->keep = keep;
    if (st) {
        w->st = *st;
    }
}

static void data_done(void *aux, cg_err e, const void *data, size_t len, const char *detail)
{
    struct wait *w = aux;
    (void)detail;
    w->done = true;
    w->e = e;
    w->len = len < w->cap ? len : w->cap;
    if (e == CG_OK && w->len) {
        memcpy(w->out, data, w->len);
    }
}

static void count_done(void *aux, cg_err e, uint64_t count, const char *detail)
{
    struct wait *w = aux;
    (void)detail;
    w->done = true;
    w->e = e;
    w->count = count;
}

cg_err t_ctl(struct t_user *u, const char *line)
{
    struct wait w = {0};
    ns_ctl(u->ns, line, done, &w);
    return finish(u, &w);
}

char *t_text(struct t_user *u)
{
    struct cg_str s = {0};
    cg_err e = cg_str_add(&s, "", 0);
    e = e ? e : ns_text(u->ns, &s);
    cg_assert(e == CG_OK);
    return s.data;
}

/* Splits path into its directory's node and its last name. */
static struct ns_node *parent_of(struct t_user *u, const char *path, const char **name, cg_err *e)
{
    char dir[1024];
    const char *slash = strrchr(path, '/');
    cg_assert(slash && (size_t)(slash - path) < sizeof dir);
    memcpy(dir, path, (size_t)(slash - path));
    dir[slash - path] = '\0';
    *name = slash + 1;
    return t_walk(u, dir, e);
}

static struct ns_node *walk_stat(struct t_user *u, const char *path, struct ns_stat *st, cg_err *e)
{
    struct ns_node *n = ns_root(u->ns);
    ns_node_ref(n);
    memset(st, 0, sizeof *st);
    st->node = n;
    *e = CG_OK;
    for (const char *p = path; *e == CG_OK;) {
        char name[256];
        p += strspn(p, "/");
        size_t len = strcspn(p, "/");
        if (len == 0) {
            return n;
        }
        snprintf(name, sizeof name, "%.*s", (int)len, p);
        p += len;
        struct wait w = {0};
        ns_lookup(u->ns, n, name, stat_done, &w);
        *e = finish(u, &w);
        ns_node_forget(n, 1);
        n = w.st.node;
        *st = w.st;
    }
    return NULL;
}

struct ns_node *t_walk(struct t_user *u, const char *path, cg_err *e)
{
    struct ns_stat st;
    return walk_stat(u, path, &st, e);
}

/* As stat(2): the attributes of the last lookup are used while they are valid. */
cg_err t_stat(struct t_user *u, const char *path, struct ns_stat *st)
{
    cg_err e;
    struct ns_node *n = walk_stat(u, path, st, &e);
    if (n && (st->until_ns <= sim_now(u->world->sim) || n == ns_root(u->ns))) {
        struct wait w = {0};
        ns_getattr(u->ns, n, stat_done, &w);
        e = finish(u, &w);
        *st = w.st;
    }
    if (n) {
        ns_node_forget(n, 1);
    }
    return e;
}

cg_err t_open(struct t_user *u, const char *path, uint32_t flags, struct ns_file **f, bool *keep)
{
    cg_err e;
    struct ns_node *n = t_walk(u, path, &e);
    if (!n) {
        return e;
    }
    struct wait w = {0};
    ns_open(u->ns, n, flags, open_done, &w);
    e = finish(u, &w);
    ns_node_forget(n, 1);
    *f = w.file;
    if (keep) {
        *keep = w.keep;
    }
    return e;
}

cg_err t_create(struct t_user *u, const char *path, uint32_t flags, struct ns_file **f)
{
    cg_err e;
    const char *name;
    struct ns_node *dir = parent_of(u, path, &name, &e);
    if (!dir) {
        return e;
    }
    struct wait w = {0};
    ns_create(u->ns, dir, name, 0644, flags, open_done, &w);
    e = finish(u, &w);
    ns_node_forget(dir, 1);
    *f = w.file;
    if (w.st.node && e == CG_OK) {
        ns_node_forget(w.st.node, 1); /* the handle holds it */
    }
    return e;
}

cg_err t_pread(struct t_user *u, struct ns_file *f, uint64_t at, uint32_t n, void *out, size_t *got)
{
    struct wait w = {.out = out, .cap = n};
    ns_read(u->ns, f, at, n, data_done, &w);
    cg_err e = finish(u, &w);
    *got = w.len;
    return e;
}

cg_err t_pwrite(struct t_user *u, struct ns_file *f, uint64_t at, const void *data, uint32_t n)
{
    struct wait w = {0};
    ns_write(u->ns, f, at, data, n, count_done, &w);
    cg_err e = finish(u, &w);
    cg_assert(e || w.count == n);
    return e;
}

cg_err t_flush(struct t_user *u, struct ns_file *f)
{
    struct wait w = {0};
    ns_flush(u->ns, f, done, &w);
    return finish(u, &w);
}

cg_err t_cat(struct t_user *u, const char *path, char *out, size_t cap)
{
    struct ns_file *f;
    size_t len = 0, got = 1;
    cg_err e = t_open(u, path, NINEP_OPEN_READ, &f, NULL);
    while (!e && got > 0 && len + 1 < cap) {
        e = t_pread(u, f, len, (uint32_t)(cap - 1 - len), out + len, &got);
        len += e ? 0 : got;
    }
    out[len] = '\0';
    if (f) {
        ns_close(u->ns, f);
    }
    return e;
}

cg_err t_put(struct t_user *u, const char *path, const char *text)
{
    struct ns_file *f;
    struct ns_stat st;
    cg_err e = t_stat(u, path, &st);
    uint32_t flags = NINEP_OPEN_WRITE | NINEP_OPEN_TRUNC;
    if (e == CG_ENOENT) {
        e = t_create(u, path, flags, &f);
    } else if (e == CG_OK) {
        e = t_open(u, path, flags, &f, NULL);
    }
    if (e) {
        return e;
    }
    e = t_pwrite(u, f, 0, text, (uint32_t)strlen(text));
    cg_err fe = t_flush(u, f);
    ns_close(u->ns, f);
    return e ? e : fe;
}

cg_err t_mkdir(struct t_user *u, const char *path)
{
    cg_err e;
    const char *name;
    struct ns_node *dir = parent_of(u, path, &name, &e);
    if (!dir) {
        return e;
    }
    struct wait w = {0};
    ns_make(u->ns, dir, name, 0040755, 0, NULL, stat_done, &w);
    e = finish(u, &w);
    ns_node_forget(dir, 1);
    if (e == CG_OK) {
        ns_node_forget(w.st.node, 1);
    }
    return e;
}

cg_err t_remove(struct t_user *u, const char *path, bool dir)
{
    cg_err e;
    const char *name;
    struct ns_node *n = parent_of(u, path, &name, &e);
    if (!n) {
        return e;
    }
    struct wait w = {0};
    ns_remove(u->ns, n, name, dir, done, &w);
    e = finish(u, &w);
    ns_node_forget(n, 1);
    return e;
}

cg_err t_rename(struct t_user *u, const char *from, const char *to)
{
    cg_err e;
    const char *name, *newname;
    struct ns_node *a = parent_of(u, from, &name, &e);
    struct ns_node *b = a ? parent_of(u, to, &newname, &e) : NULL;
    if (b) {
        struct wait w = {0};
        ns_rename(u->ns, a, name, b, newname, 0, done, &w);
        e = finish(u, &w);
        ns_node_forget(b, 1);
    }
    if (a) {
        ns_node_forget(a, 1);
    }
    return e;
}

static cg_err setattr(struct t_user *u, const char *path, const struct ninep_tsetattr *t)
{
    cg_err e;
    struct ns_node *n = t_walk(u, path, &e);
    if (!n) {
        return e;
    }
    struct wait w = {0};
    ns_setattr(u->ns, n, NULL, t, stat_done, &w);
    e = finish(u, &w);
    ns_node_forget(n, 1);
    return e;
}

cg_err t_setsize(struct t_user *u, const char *path, uint64_t size)
{
    return setattr(u, path, &(struct ninep_tsetattr){.valid = NINEP_SETATTR_SIZE, .size = size});
}

cg_err t_chmod(struct t_user *u, const char *path, uint32_t mode)
{
    return setattr(u, path, &(struct ninep_tsetattr){.valid = NINEP_SETATTR_MODE, .mode = mode});
}

static bool emit(void *aux, uint64_t next, const char *name, const struct ns_stat *st)
{
    struct wait *w = aux;
    size_t len = strlen(name);
    if (w->count >= 64 || w->len + len + 2 > w->cap) {
        return false; /* a kernel's buffer is small */
    }
    memcpy((char *)w->out + w->len, name, len);
    w->len += len;
    ((char *)w->out)[w->len++] = ' ';
    ((char *)w->out)[w->len] = '\0';
    w->count++;
    w->cookie = next;
    if (w->plus && st->node) {
        ns_node_forget(st->node, 1);
    }
    return true;
}

cg_err t_ls(struct t_user *u, const char *path, bool plus, char *out, size_t cap)
{
    struct ns_file *f;
    struct wait w = {.out = out, .cap = cap, .plus = plus};
    out[0] = '\0';
    cg_err e = t_open(u, path, NINEP_OPEN_READ | NINEP_OPEN_DIRECTORY, &f, NULL);
    if (e) {
        return e;
    }
    do {
        w.count = 0;
        w.done = false;
        ns_readdir(u->ns, f, w.cookie, plus, emit, done, &w);
        e = finish(u, &w);
    } while (!e && w.count > 0);
    ns_close(u->ns, f);
    return e;
}
