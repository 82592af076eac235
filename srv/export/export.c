/* The lives of exports: see export.h. */
#include "export.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static struct exports_config config;
static struct secure_dialer *dialer;
static uint64_t owner; /* the principal of the user's key, 0: not known yet */
static struct cg_list all;
static uint32_t count;
static uv_prepare_t prepare;
static uv_timer_t timer;

/* ---- the loop's turns ---- */

static void on_timer(uv_timer_t *t)
{
    (void)t; /* it has woken the loop: on_prepare does the rest */
}

static void end_if_done(struct export *x)
{
    if (x->dead && x->ns && !x->script && !x->op && cg_list_empty(&x->jobs)) {
        ns_free(x->ns);
        x->ns = NULL;
        export_put(x); /* the namespace's */
    }
}

static void on_prepare(uv_prepare_t *p)
{
    uint64_t due = UINT64_MAX, now = cg_env_real.now_ns(cg_env_real.ctx);
    (void)p;
    CG_LIST_EACH (it, &all) {
        struct export *x = CG_CONTAINER(it, struct export, link);
        uint64_t next = x->ns ? ns_tick(x->ns) : 0;
        due = next && next < due ? next : due;
        end_if_done(x);
    }
    if (due == UINT64_MAX) {
        uv_timer_stop(&timer);
    } else {
        uv_timer_start(&timer, on_timer, due > now ? (due - now) / 1000000 + 1 : 0, 0);
    }
}

static cg_err dial(void *ctx, const char *node, const char *service, const char *ticket,
                   const struct ninep_client_config *c, struct ninep_client **out,
                   struct cg_errbuf *eb)
{
    (void)ctx;
    return secure_dial(dialer, node, service, ticket, c, out, eb);
}

static void undial(void *ctx, struct ninep_client *c)
{
    (void)ctx;
    secure_undial(dialer, c);
}

cg_err exports_start(const struct exports_config *c)
{
    const struct secure_dialer_config d = {.loop = c->loop,
                                           .srv = c->srv,
                                           .dial = c->dial,
                                           .self = c->self,
                                           .user = c->user,
                                           .key = c->key,
                                           .principal = &owner};
    config = *c;
    cg_list_init(&all);
    uv_prepare_init(c->loop, &prepare);
    uv_prepare_start(&prepare, on_prepare);
    uv_unref((uv_handle_t *)&prepare);
    uv_timer_init(c->loop, &timer);
    return secure_dialer_new(&d, &dialer);
}

/* ---- who may ---- */

static cg_err load_roster(struct secure_roster *out, struct cg_errbuf *eb)
{
    char *text = NULL;
    size_t len = 0;
    cg_err e = secure_file_read(config.roster, SECURE_ROSTER_BYTES_MAX + 256, &text, &len, eb);
    e = e ? e : secure_roster_parse(text, len, out, eb);
    cg_free(text);
    return e;
}

static cg_err add_user(struct export *x, const struct secure_roster *r, const char *name,
                       struct cg_errbuf *eb)
{
    if (strcmp(name, "*") == 0) {
        x->anyone = true;
        return CG_OK;
    }
    for (uint32_t i = 0; i < r->users; i++) {
        if (strcmp(r->user[i].name, name) == 0) {
            x->user[x->users++] = r->user[i].principal;
            return CG_OK;
        }
    }
    return cg_fail(eb, CG_ENOENT, "no user '%.64s' in the roster; they are in /mnt/gate/roster",
                   name);
}

static cg_err add_users(struct export *x, char *const *users, int n, struct cg_errbuf *eb)
{
    struct secure_roster r = {0};
    if (n == 0) {
        return CG_OK;
    }
    if (n > EXPORT_USERS_MAX) {
        return cg_fail(eb, CG_ELIMIT, "an export names at most %d users", EXPORT_USERS_MAX);
    }
    cg_err e = load_roster(&r, eb);
    for (int i = 0; !e && i < n; i++) {
        e = add_user(x, &r, users[i], eb);
    }
    secure_roster_fini(&r);
    return e;
}

/* The owner's own right, by proof or by a ticket that he issued, makes his principal. */
cg_err export_may_attach(const struct export *x, const struct ninep_fid *fid, struct cg_errbuf *eb)
{
    const uint64_t local = UINT64_C(1) << 63, who = fid->principal;
    bool may = x->anyone || who == local || who == (local | geteuid()) || (owner && who == owner);
    for (uint32_t i = 0; i < x->users; i++) {
        may = may || who == x->user[i];
    }
    if (!may) {
        cg_log(CG_WARN, "refused: principal %016" PRIx64 " attaches export '%s'", who, x->name);
        return cg_fail(eb, CG_EPERM,
                       "export '%s' is not for this user; its owner can make a ticket, or name the "
                       "user with -u",
                       x->name);
    }
    return CG_OK;
}

/* ---- life ---- */

struct export *export_find(struct cg_span name)
{
    CG_LIST_EACH (it, &all) {
        struct export *x = CG_CONTAINER(it, struct export, link);
        if (!x->dead && cg_span_is(name, x->name)) {
            return x;
        }
    }
    return NULL;
}

void export_put(struct export *x)
{
    cg_assert(x->refs > 0);
    if (--x->refs == 0) {
        cg_assert(!x->ns && cg_list_empty(&x->fids) && cg_list_empty(&x->jobs));
        cg_list_del(&x->link);
        count--;
        cg_free(x->path);
        cg_free(x->at);
        cg_free(x);
    }
}

void export_end(struct export *x)
{
    if (!x->dead) {
        cg_log(CG_INFO, "export '%s' ends", x->name);
    }
    x->dead = true;
    x->made = NULL;
    if (x->script) {
        ns_script_cancel(x->script);
    }
    if (x->op) {
        ns_cancel(x->ns, x->op);
    }
    CG_LIST_EACH (it, &x->jobs) {
        struct job *j = CG_CONTAINER(it, struct job, link);
        if (j->op) {
            ns_cancel(x->ns, j->op);
        }
    }
    CG_LIST_EACH (it, &x->fids) {
        xfid_end(CG_CONTAINER(it, struct xfid, link));
    }
    if (x->root) {
        ns_node_forget(x->root, 1);
        x->root = NULL;
    }
    uv_timer_start(&timer, on_timer, 0, 0); /* end_if_done */
    export_put(x);
}

static void made(struct export *x, cg_err e, const char *detail)
{
    void (*done)(void *, cg_err, const char *) = x->made;
    x->made = NULL;
    if (done) {
        done(x->aux, e, detail);
    }
}

static void next_element(struct export *x);

static void on_element(void *aux, cg_err e, const struct ns_stat *st, const char *detail)
{
    struct export *x = aux;
    x->op = NULL;
    if (e || x->dead) {
        if (!e) {
            ns_node_forget(st->node, 1);
        }
        made(x, e ? e : CG_ECANCELED, detail);
        return;
    }
    ns_node_forget(x->root, 1);
    x->root = st->node;
    if (!S_ISDIR(st->attr.mode)) {
        made(x, CG_ENOTDIR, "only directories are exported");
        return;
    }
    next_element(x);
}

static void next_element(struct export *x)
{
    char name[NINEP_NAME_BYTES_MAX + 1];
    const char *rest = x->at + strspn(x->at, "/");
    size_t len = strcspn(rest, "/");
    if (len == 0) {
        cg_log(CG_INFO, "export '%s' offers %s%s", x->name, x->path,
               x->read_only ? ", read-only" : "");
        made(x, CG_OK, "");
        return;
    }
    struct cg_span span = {(const uint8_t *)rest, (uint32_t)len};
    if (!cg_name_ok(span) || !cg_span_str(span, name, sizeof name)) {
        made(x, CG_EINVAL, "the path has an element that is no name");
        return;
    }
    memmove(x->at, rest + len, strlen(rest + len) + 1);
    struct ns_op *op = ns_lookup(x->ns, x->root, name, on_element, x);
    if (op) {
        x->op = op;
    }
}

static void on_script(void *aux, cg_err first, const char *report)
{
    struct export *x = aux;
    x->script = NULL;
    if (first != CG_OK) { /* as for a shell: what has gone meanwhile is left out */
        cg_log(CG_WARN, "export '%s': %.*s", x->name, (int)strcspn(report, "\n"), report);
    }
    if (x->dead) {
        return;
    }
    x->root = ns_root(x->ns);
    ns_node_ref(x->root);
    next_element(x);
}

static cg_err make_ns(struct export *x)
{
    const struct ns_config c = {.env = &cg_env_real,
                                .dial = dial,
                                .undial = undial,
                                .ctx = x,
                                .self = config.self,
                                .user = config.user,
                                .cache_bytes_max = EXPORT_CACHE_BYTES};
    return ns_new(&c, &x->ns);
}

static cg_err set_name(struct export *x, const char *name, struct cg_errbuf *eb)
{
    uint64_t number;
    if (name[0] == '\0') { /* that nobody can guess, and that never comes again */
        cg_env_real.random(cg_env_real.ctx, &number, sizeof number);
        snprintf(x->name, sizeof x->name, "x%016" PRIx64, number);
        return CG_OK;
    }
    if (!secure_name_ok(name)) {
        return cg_fail(eb, CG_EINVAL,
                       "'%.64s' is no name: letters, digits, . _ - and @, at most 63", name);
    }
    if (export_find(cg_span_of(name))) {
        return cg_fail(eb, CG_EEXIST, "export '%s' is there already", name);
    }
    snprintf(x->name, sizeof x->name, "%s", name);
    return CG_OK;
}

cg_err export_new(const char *name, bool read_only, const char *path, char *const *users, int n,
                  const char *text, void (*done)(void *aux, cg_err e, const char *detail),
                  void *aux, struct export **out, struct cg_errbuf *eb)
{
    struct export *x = count < EXPORTS_MAX ? cg_zalloc(sizeof *x) : NULL;
    if (!x) {
        return cg_fail(eb, CG_ELIMIT, "this node has at most %d exports at once", EXPORTS_MAX);
    }
    secure_dialer_identify(dialer);
    x->refs = 2; /* the owner's, the namespace's */
    x->read_only = read_only;
    x->path = cg_strdup(path);
    x->at = cg_strdup(path);
    cg_list_init(&x->fids);
    cg_list_init(&x->jobs);
    cg_env_real.random(cg_env_real.ctx, &x->volume, sizeof x->volume);
    cg_err e = x->path && x->at ? set_name(x, name, eb) : CG_ENOMEM;
    e = e ? e : add_users(x, users, n, eb);
    e = e ? e : make_ns(x);
    if (e) {
        cg_free(x->path);
        cg_free(x->at);
        cg_free(x);
        return e;
    }
    cg_list_push(&all, &x->link);
    count++;
    x->made = done;
    x->aux = aux;
    *out = x;
    struct ns_script *s = ns_script_run(x->ns, text, true, on_script, x);
    if (s) {
        x->script = s;
    }
    return CG_OK;
}

/* The server is gone, and with it all fids: what is left are namespaces whose ends were not seen.
 */
void exports_stop(void)
{
    while (!cg_list_empty(&all)) {
        struct export *x = CG_CONTAINER(all.next, struct export, link);
        cg_assert(x->dead && x->ns);
        ns_free(x->ns); /* its operations end first, and with them the last requests */
        x->ns = NULL;
        export_put(x);
    }
    uv_close((uv_handle_t *)&prepare, NULL);
    uv_close((uv_handle_t *)&timer, NULL);
    secure_dialer_free(dialer);
    uv_run(config.loop, UV_RUN_DEFAULT);
}

cg_err exports_text(struct cg_str *out)
{
    cg_err e = CG_OK;
    CG_LIST_EACH (it, &all) {
        const struct export *x = CG_CONTAINER(it, struct export, link);
        uint32_t fids = 0;
        for (const struct cg_list *f = x->fids.next; f != &x->fids; f = f->next) {
            fids++;
        }
        if (!x->dead && !e) {
            e = cg_str_addf(out, "%s %s %s fids %u\n", x->name, x->read_only ? "ro" : "rw", x->path,
                            fids);
        }
    }
    return e;
}
