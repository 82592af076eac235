/* cognu-fuse: the FUSE adapter.
 *
 *   cognu-fuse [--control PATH] [--dial PATH] [--srv DIR] [--self NAME] [--user NAME]
 *              [--owner UID:GID] [--principal HEX] [--ns FILE --mount DIR]
 *
 * With --ns and --mount it serves one namespace in the foreground, mounted by itself, and ends when
 * that is unmounted. Otherwise it waits on its control socket. SIGTERM ends it; its mounts then
 * answer "not connected" until they are unmounted.
 */
#include "kept.h"
#include "mount.h"
#include <cognu/stats.h>

#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    READAHEAD_KIB = 1024,
    KEEP_BYTES =
        128 << 20, /* of freed memory stay ours: frames of 1 MiB come and go all the time */
};

struct program {
    struct adapter adapter;
    struct control *control;
    uv_signal_t term, interrupt;
    struct space *only; /* of --mount */
    bool stopped;
    int status;
};

/* ---- the loop's turns: what is due in the namespaces, and those that have ended ---- */

/* What is due is done here and not before the next wait: what it sends goes out first. */
static void on_timer(uv_timer_t *t)
{
    struct adapter *a = t->data;
    CG_LIST_EACH (l, &a->spaces) {
        ns_tick(CG_CONTAINER(l, struct space, link)->ns);
    }
}

static void on_prepare(uv_prepare_t *p)
{
    struct adapter *a = p->data;
    uint64_t due = UINT64_MAX, now = cg_env_real.now_ns(cg_env_real.ctx);
    CG_LIST_EACH (l, &a->spaces) {
        struct space *s = CG_CONTAINER(l, struct space, link);
        if (s->ending) {
            space_free(s);
            continue;
        }
        uint64_t next[] = {face_tick(s, now), ns_tick(s->ns), kept_tick(s, now)};
        for (size_t i = 0; i < CG_COUNT(next); i++) {
            due = next[i] && next[i] < due ? next[i] : due;
        }
    }
    if (due == UINT64_MAX) {
        uv_timer_stop(&a->timer);
    } else {
        uv_timer_start(&a->timer, on_timer, due > now ? (due - now) / 1000000 + 1 : 0, 0);
    }
}

static void on_signal(uv_signal_t *sig, int signum)
{
    struct program *p = sig->data;
    (void)signum;
    p->stopped = true;
    uv_stop(sig->loop);
}

/* ---- options ---- */

static bool parse_owner(const char *text, struct adapter_options *o)
{
    unsigned uid, gid;
    char rest;
    if (sscanf(text, "%u:%u%c", &uid, &gid, &rest) != 2) {
        return false;
    }
    o->uid = uid;
    o->gid = gid;
    return true;
}

static bool set_option(struct adapter_options *o, int c, char *arg)
{
    char *end;
    switch (c) {
    case 'c':
        o->control = arg;
        return true;
    case 'd':
        o->dial = arg;
        return true;
    case 's':
        o->srv = arg;
        return true;
    case 'S':
        o->self = arg;
        return true;
    case 'u':
        o->user = arg;
        return true;
    case 'k':
        o->key = arg;
        return true;
    case 'n':
        o->ns_file = arg;
        return true;
    case 'm':
        o->mount = arg;
        return true;
    case 'o':
        return parse_owner(arg, o);
    case 'p':
        o->principal = strtoull(arg, &end, 16);
        return *arg && !*end;
    default:
        return false;
    }
}

static bool parse(int argc, char **argv, struct adapter_options *o)
{
    static const struct option options[] = {
        {"control", 1, 0, 'c'},
        {"dial", 1, 0, 'd'},
        {"srv", 1, 0, 's'},
        {"self", 1, 0, 'S'},
        {"user", 1, 0, 'u'},
        {"ns", 1, 0, 'n'},
        {"key", 1, 0, 'k'},
        {"mount", 1, 0, 'm'},
        {"owner", 1, 0, 'o'},
        {"principal", 1, 0, 'p'},
        {0},
    };
    int c;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (!set_option(o, c, optarg)) {
            return false;
        }
    }
    return optind == argc && !o->ns_file == !o->mount;
}

/* ---- one namespace in the foreground ---- */

static char *read_file(const char *path, struct cg_errbuf *eb)
{
    FILE *f = fopen(path, "re");
    char *text = f ? cg_zalloc(NS_TEXT_BYTES_MAX + 1) : NULL;
    size_t n = text ? fread(text, 1, NS_TEXT_BYTES_MAX + 1, f) : 0;
    if (f) {
        fclose(f);
    }
    if (!text || n > NS_TEXT_BYTES_MAX) {
        cg_fail(eb, CG_EINVAL, "%s: cannot be read, or is longer than 64 KiB", path);
        cg_free(text);
        return NULL;
    }
    return text;
}

static void on_only_ready(void *aux, cg_err first, const char *report)
{
    struct program *p = aux;
    if (first != CG_OK) {
        fprintf(stderr, "cognu-fuse: %s", report);
        p->status = 1;
    }
    fprintf(stderr, "cognu-fuse: serving %s\n", p->adapter.opt.mount);
}

static cg_err start_only(struct program *p, struct cg_errbuf *eb)
{
    const struct adapter_options *o = &p->adapter.opt;
    struct owner owner = {o->uid, o->gid, -1};
    int fd;
    char *text = read_file(o->ns_file, eb);
    cg_err e = text ? CG_OK : CG_EINVAL;
    e = e ? e : fmount(o->mount, "cognu", o->uid, o->gid, &fd, eb);
    e = e ? e : space_new(&p->adapter, "main", fd, owner, &p->only, eb);
    if (e == CG_OK) {
        fmount_readahead(o->mount, READAHEAD_KIB);
        ns_script_run(p->only->ns, text, true, on_only_ready, p);
    }
    cg_free(text);
    return e;
}

/* A successor has its only namespace already. */
static cg_err go_on_or_start(struct program *p, struct cg_errbuf *eb)
{
    if (cg_list_empty(&p->adapter.spaces)) {
        return start_only(p, eb);
    }
    p->only = CG_CONTAINER(p->adapter.spaces.next, struct space, link);
    return CG_OK;
}

/* ---- life ---- */

static void start_dialer(struct adapter *a)
{
    const struct adapter_options *o = &a->opt;
    const struct secure_dialer_config config = {.loop = a->loop,
                                                .srv = o->srv,
                                                .dial = o->dial,
                                                .self = o->self,
                                                .user = o->user,
                                                .key = o->key,
                                                .principal = &a->opt.principal};
    cg_err e = secure_dialer_new(&config, &a->dialer);
    cg_assert(e == CG_OK);
}

static void start_handles(struct program *p)
{
    struct adapter *a = &p->adapter;
    uv_prepare_init(a->loop, &a->prepare);
    a->prepare.data = a;
    uv_prepare_start(&a->prepare, on_prepare);
    uv_timer_init(a->loop, &a->timer);
    a->timer.data = a;
    uv_signal_init(a->loop, &p->term);
    p->term.data = p->interrupt.data = p;
    uv_signal_start(&p->term, on_signal, SIGTERM);
    uv_signal_init(a->loop, &p->interrupt);
    uv_signal_start(&p->interrupt, on_signal, SIGINT);
}

/* What is kept is a successor's: the namespaces go on with it, as after a death. */
static void stop(struct program *p)
{
    struct adapter *a = &p->adapter;
    if (a->keep && p->stopped) {
        cg_log(CG_INFO, "ends; %u namespaces are kept", a->space_count);
        return;
    }
    if (p->only && !cg_list_empty(&a->spaces)) {
        funmount(a->opt.mount, NULL);
    }
    CG_LIST_EACH (l, &a->spaces) {
        space_free(CG_CONTAINER(l, struct space, link));
    }
    if (p->control) {
        control_close(p->control);
    }
    secure_dialer_free(a->dialer);
    uv_close((uv_handle_t *)&a->prepare, NULL);
    uv_close((uv_handle_t *)&a->timer, NULL);
    uv_close((uv_handle_t *)&p->term, NULL);
    uv_close((uv_handle_t *)&p->interrupt, NULL);
    uv_run(a->loop, UV_RUN_DEFAULT);
    if (a->book) {
        book_free(a->book);
    }
    lasterr_free(a->errors);
}

/* The end of an only namespace is ours. */
static void run(struct program *p)
{
    while (!p->stopped && (!p->only || !cg_list_empty(&p->adapter.spaces))) {
        uv_run(p->adapter.loop, UV_RUN_ONCE);
    }
}

int main(int argc, char **argv)
{
    struct program p = {.adapter = {
                            .loop = uv_default_loop(),
                            .opt = {.control = "/run/cognu/fuse",
                                    .srv = "/run/cognu/srv",
                                    .self = "local",
                                    .user = "none",
                                    .uid = getuid(),
                                    .gid = getgid()},
                        }};
    struct cg_errbuf eb = {0};
    cg_log_init("fuse");
    p.adapter.keep = keep_from_args(&argc, argv);
    cg_stats_open("fuse");
    cg_alloc_keep_freed();
    mallopt(M_MMAP_THRESHOLD, KEEP_BYTES / 4);
    mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
    mallopt(M_TOP_PAD, KEEP_BYTES / 16);
    if (!parse(argc, argv, &p.adapter.opt)) {
        fprintf(stderr, "usage: cognu-fuse [--control PATH] [--dial PATH] [--srv DIR] "
                        "[--self NAME] [--user NAME] [--key NAME]\n"
                        "                  [--owner UID:GID] [--principal HEX] "
                        "[--ns FILE --mount DIR]\n");
        return 2;
    }
    cg_list_init(&p.adapter.spaces);
    p.adapter.errors = lasterr_new();
    cg_assert(p.adapter.errors);
    start_dialer(&p.adapter);
    start_handles(&p);
    cg_err e = kept_open(&p.adapter, &eb);
    if (e == CG_OK) {
        kept_adopt(&p.adapter);
    }
    e = e                     ? e
        : p.adapter.opt.mount ? go_on_or_start(&p, &eb)
                              : control_open(&p.adapter, p.adapter.opt.control, &p.control, &eb);
    if (e == CG_OK) {
        run(&p);
    } else {
        fprintf(stderr, "cognu-fuse: %s\n", eb.text);
        p.status = 1;
    }
    stop(&p);
    return p.status;
}
