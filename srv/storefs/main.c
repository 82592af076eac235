/* storefs: the program. Options of its own are taken here, the common ones by ninep_serve_main. */
#include "worker.h"
#include <cognu/ninep_uv.h>

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* With this bit a principal is a user number of this host. */
#define HOST_USER (UINT64_C(1) << 63)

enum {
    SECRET_BYTES_MAX = 1024,
    ARENAS = 2, /* what commits free is the next one's, whichever thread of the pool runs it */
    READ_FRAMES = 32, /* 16 MiB: what is read at random, and by several readers at a time */
};

static const char synopsis[] =
    "usage: storefs --store DIR --passphrase-file FILE | --passphrase-fd N  [--active yes]\n"
    "               SERVER-OPTIONS\n";

static int refuse(const char *why)
{
    fprintf(stderr, "storefs: %s\n%s", why, synopsis);
    return 2;
}

struct own_options {
    const char *store, *file;
    const char *fd;     /* its number */
    const char *active; /* "yes": the active tree is served */
};

struct served {
    struct store_io io;
    struct store *reads, *writes; /* writes: for the active tree alone */
    struct storefs *fs;
    struct active *active;
    struct worker *worker;
};

/* The first line of the file or descriptor, which is closed. */
static bool read_secret(const struct own_options *o, char out[SECRET_BYTES_MAX])
{
    int fd = o->file ? open(o->file, O_RDONLY | O_CLOEXEC) : (int)strtol(o->fd, NULL, 10);
    size_t len = 0;
    ssize_t n = -1;
    while (fd >= 0 && len < SECRET_BYTES_MAX - 1 &&
           (n = read(fd, out + len, SECRET_BYTES_MAX - 1 - len)) > 0) {
        len += (size_t)n;
    }
    if (n < 0 || fd < 0) {
        cg_log(CG_ERROR_LEVEL, "cannot read the passphrase: %s", strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
    out[len] = '\0';
    out[strcspn(out, "\r\n")] = '\0';
    return n >= 0 && fd >= 0;
}

static cg_err open_store(const struct own_options *o, struct served *v, struct cg_errbuf *eb)
{
    char text[SECRET_BYTES_MAX];
    struct store_secret secret = {.kind = STORE_PASSPHRASE, .text = text};
    struct store_options so = {
        .read_only = !o->active, .ahead = true, .seals = o->active, .cache_frames = READ_FRAMES};
    cg_err e = store_io_folder(o->store, false, &v->io, eb);
    if (e) {
        return e;
    }
    e = read_secret(o, text) ? store_open(&v->io, &so, &secret, &v->reads, eb)
                             : cg_fail(eb, CG_EAUTH, "no passphrase");
    so.threads = 1;
    so.ahead = so.seals = false;
    so.cache_frames = 0;
    if (!e && o->active) {
        e = store_open(&v->io, &so, &secret, &v->writes, eb);
    }
    cg_wipe(text, sizeof text);
    return e;
}

static cg_err open_active(struct served *v, struct cg_errbuf *eb)
{
    char who[WHO_BYTES];
    struct storefs_live live;
    who_am_i(who);
    struct active_config c = {.reads = v->reads,
                              .writes = v->writes,
                              .who = who,
                              .gone = who_is_gone,
                              .uid = geteuid(),
                              .gid = getegid()};
    cg_err e = active_open(&c, &v->active, eb);
    e = e ? e : worker_new(uv_default_loop(), &v->worker, &live);
    if (!e) {
        storefs_serve_active(v->fs, v->active, &live);
        worker_start(v->worker, v->fs);
    }
    return e;
}

/* What was changed goes into packs; when that fails it is in the journal still. */
static void close_active(struct served *v)
{
    struct active_stats st;
    struct cg_errbuf eb = {0};
    worker_free(v->worker);
    active_stats(v->active, &st);
    if ((st.records || st.segments > 1) && active_commit(v->active, NULL, &eb)) {
        cg_log(CG_WARN, "what was changed last stays in the journal: %s", eb.text);
    }
    storefs_free(v->fs);
    active_close(v->active);
}

int main(int argc, char **argv)
{
    struct own_options o = {0};
    const struct cg_option own[] = {{"--store", &o.store},
                                    {"--passphrase-file", &o.file},
                                    {"--passphrase-fd", &o.fd},
                                    {"--active", &o.active}};
    struct served v = {0};
    struct cg_errbuf eb = {0};
    if (!cg_options_take(&argc, argv, own, CG_COUNT(own))) {
        return refuse("an option has no value");
    }
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        fputs(synopsis, stdout); /* ninep_serve_main tells the rest */
        return ninep_serve_main(argc, argv, &(struct ninep_server_config){.name = "storefs"});
    }
    if (!o.store || (!o.file && !o.fd)) {
        return refuse("a store and its passphrase are needed");
    }
    if (o.fd && (!*o.fd || strspn(o.fd, "0123456789") != strlen(o.fd) || strlen(o.fd) > 5)) {
        return refuse("--passphrase-fd wants the number of a descriptor");
    }
    if (o.active && strcmp(o.active, "yes") != 0) {
        return refuse("--active wants yes");
    }
    cg_log_init("storefs");
    mallopt(M_ARENA_MAX, ARENAS);
    cg_err e = open_store(&o, &v, &eb);
    e = e ? e : storefs_new(v.reads, HOST_USER | geteuid(), &v.fs, &eb);
    e = e || !o.active ? e : open_active(&v, &eb);
    if (e) {
        cg_log(CG_ERROR_LEVEL, "%s: %s", o.store, eb.text[0] ? eb.text : cg_err_meaning(e));
        return 1;
    }
    struct ninep_server_config config = {.name = "storefs",
                                         .ops = &storefs_ops,
                                         .aux = v.fs,
                                         .env = &cg_env_real,
                                         .auth = &ninep_auth_local};
    int status = ninep_serve_main(argc, argv, &config);
    if (v.active) {
        close_active(&v);
    } else {
        storefs_free(v.fs);
    }
    store_close(v.writes);
    store_close(v.reads);
    v.io.fini(v.io.ctx);
    return status;
}
