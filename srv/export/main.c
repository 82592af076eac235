/* export: offers parts of namespaces to other nodes. Its own files, for local processes:
 *
 *   clone     opening it makes a place for an export; write `serve NAME ro|rw PATH [USER...]` and,
 *             on the lines below it, the text of a namespace: PATH of that is then the tree NAME of
 *             this service, for the user of this node, his tickets, and each USER of the roster
 *             (`*`: all of them). NAME `-` makes one up. Reading gives the name. The export ends
 *             when the file is closed.
 *   exports   one line an export: NAME ro|rw PATH fids N
 *
 * The trees themselves are in tree.c. One server holds both: what a fid is shows in its identity,
 * for files of exports are never SYNTHETIC.
 */
#include "export.h"

#include <cognu/ninep_uv.h>
#include <cognu/synth.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { KIND_ROOT, KIND_CLONE, KIND_EXPORTS, KINDS };
enum { WORDS_MAX = EXPORT_USERS_MAX + 4, TEXT_BYTES_MAX = 1 << 18 };

/* ---- files of our own ---- */

/* An open clone. */
struct place {
    struct export *x;        /* NULL: nothing is served yet */
    struct ninep_req *waits; /* the write that is answered when it is */
};

static cg_err open_clone(struct synth_handle *h, uint32_t flags, struct cg_errbuf *eb)
{
    (void)flags;
    if (!synth_is_host(h->fid)) {
        return cg_fail(eb, CG_EPERM, "only the user of this node, and root, exports from it");
    }
    h->aux = cg_zalloc(sizeof(struct place));
    return h->aux ? CG_OK : CG_ENOMEM;
}

static void close_clone(struct synth_handle *h)
{
    struct place *p = h->aux;
    if (p && p->x) {
        export_end(p->x);
    }
    if (p && p->waits) {
        ninep_respond(p->waits, CG_ECANCELED);
    }
    cg_free(p);
    h->aux = NULL;
}

static void served(void *aux, cg_err e, const char *detail)
{
    struct place *p = aux;
    struct ninep_req *r = p->waits;
    p->waits = NULL;
    if (e) {
        cg_fail(&r->eb, e, "%s", detail ? detail : "");
        if (p->x) {
            export_end(p->x);
            p->x = NULL;
        }
        ninep_respond(r, e);
    } else {
        synth_wrote(r);
    }
}

static cg_err serve(struct place *p, char *text, struct cg_errbuf *eb)
{
    char *word[WORDS_MAX], *lines = strchr(text, '\n');
    if (lines) {
        *lines++ = '\0';
    }
    int n = cg_tokenize(text, word, WORDS_MAX);
    bool ro = n > 2 && strcmp(word[2], "ro") == 0, rw = n > 2 && strcmp(word[2], "rw") == 0;
    if (n < 4 || strcmp(word[0], "serve") != 0 || !(ro || rw) || word[3][0] != '/') {
        return cg_fail(
            eb, CG_EBADFORMAT,
            "write: serve NAME ro|rw PATH [USER...], and the namespace below it; or end");
    }
    if (p->x) {
        return cg_fail(eb, CG_EBUSY, "this file serves '%s' already; open another", p->x->name);
    }
    return export_new(strcmp(word[1], "-") == 0 ? "" : word[1], ro, word[3], word + 4, n - 4,
                      lines ? lines : "", served, p, &p->x, eb);
}

static cg_err end(struct place *p, struct cg_errbuf *eb)
{
    if (!p->x) {
        return cg_fail(eb, CG_EINVAL, "end: this file serves nothing");
    }
    export_end(p->x);
    p->x = NULL;
    return CG_OK;
}

static void write_clone(struct synth_handle *h, struct ninep_req *r)
{
    struct place *p = h->aux;
    const struct cg_span data = r->t.write.data;
    char *text = data.len <= TEXT_BYTES_MAX ? cg_strndup((const char *)data.data, data.len) : NULL;
    cg_err e =
        text && strlen(text) == data.len
            ? CG_OK
            : cg_fail(&r->eb, CG_EINVAL, "this takes text of at most %d bytes", TEXT_BYTES_MAX);
    if (!e && p->waits) {
        e = cg_fail(&r->eb, CG_EBUSY, "it is being made");
    }
    const bool ends = !e && (strcmp(text, "end") == 0 || strcmp(text, "end\n") == 0);
    if (ends) {
        e = end(p, &r->eb);
    } else if (!e) {
        p->waits = r;
        e = serve(p, text, &r->eb);
        if (e) {
            p->waits = NULL;
        }
    }
    cg_free(text);
    if (e) {
        ninep_respond(r, e);
    } else if (ends) {
        synth_wrote(r);
    }
}

static cg_err text_of_clone(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    const struct place *p = h->aux;
    return p->x ? cg_str_addf(out, "%s\n", p->x->name)
                : cg_fail(eb, CG_EINVAL, "write what is to be served first");
}

static cg_err text_of_exports(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    (void)h;
    (void)eb;
    return exports_text(out);
}

static const struct synth_kind kinds[KINDS] = {
    [KIND_ROOT] = {.mode = S_IFDIR | 0555},
    [KIND_CLONE] = {.name = "clone",
                    .mode = S_IFREG | 0600,
                    .open = open_clone,
                    .close = close_clone,
                    .write = write_clone,
                    .text = text_of_clone},
    [KIND_EXPORTS] = {.name = "exports", .mode = S_IFREG | 0444, .text = text_of_exports},
};

/* ---- both ---- */

static bool is_tree(const struct ninep_fid *fid)
{
    return !(fid->id.type & NINEP_QTYPE_SYNTHETIC);
}

static void pass(struct ninep_req *r, void (*of_tree)(struct ninep_req *),
                 void (*own)(struct ninep_req *))
{
    void (*handler)(struct ninep_req *) = is_tree(r->fid) ? of_tree : own;
    if (handler) {
        handler(r);
    } else {
        ninep_respond(r, CG_ENOSYS);
    }
}

static void both_attach(struct ninep_req *r)
{
    (r->t.attach.tree.len == 0 ? synth_ops.attach : tree_ops.attach)(r);
}

static cg_err both_clone(struct ninep_fid *from, struct ninep_fid *to, struct cg_errbuf *eb)
{
    return (is_tree(from) ? tree_ops.clone : synth_ops.clone)(from, to, eb);
}

static void both_walk(struct ninep_req *r)
{
    if (is_tree(r->newfid)) {
        tree_ops.walk(r);
    } else {
        ninep_respond(r, synth_ops.walk1(r->newfid, r->name, &r->r.getattr.attr, &r->eb));
    }
}

static void both_clunk(struct ninep_fid *fid)
{
    (is_tree(fid) ? tree_ops.clunk : synth_ops.clunk)(fid);
}

static void both_cancel(struct ninep_req *r)
{
    if (r->fid && !is_tree(r->fid)) {
        synth_ops.cancel(r);
    } else {
        tree_ops.cancel(r);
    }
}

#define BOTH(name)                                                                                 \
    static void both_##name(struct ninep_req *r)                                                   \
    {                                                                                              \
        pass(r, tree_ops.name, synth_ops.name);                                                    \
    }
BOTH(open)
BOTH(create)
BOTH(read)
BOTH(write)
BOTH(readdir)
BOTH(remove)
BOTH(rename)
BOTH(link)
BOTH(getattr)
BOTH(setattr)
BOTH(readlink)
BOTH(fsync)
BOTH(statfs)
BOTH(xattrget)
BOTH(xattrset)
BOTH(allocate)
BOTH(seek)

static const struct ninep_ops both_ops = {
    .attach = both_attach,
    .clone = both_clone,
    .walk = both_walk,
    .clunk = both_clunk,
    .open = both_open,
    .create = both_create,
    .read = both_read,
    .write = both_write,
    .readdir = both_readdir,
    .remove = both_remove,
    .rename = both_rename,
    .link = both_link,
    .getattr = both_getattr,
    .setattr = both_setattr,
    .readlink = both_readlink,
    .fsync = both_fsync,
    .statfs = both_statfs,
    .xattrget = both_xattrget,
    .xattrset = both_xattrset,
    .allocate = both_allocate,
    .seek = both_seek,
    .cancel = both_cancel,
};

/* Takes our options out of argv; the rest is for secure_serve_main. */
static bool take_options(int *argc, char **argv, struct exports_config *c)
{
    const struct cg_option options[] = {{"--srv", &c->srv},   {"--dial", &c->dial},
                                        {"--self", &c->self}, {"--user", &c->user},
                                        {"--key", &c->key},   {"--roster", &c->roster}};
    return cg_options_take(argc, argv, options, CG_COUNT(options));
}

int main(int argc, char **argv)
{
    struct exports_config c = {.loop = uv_default_loop(),
                               .srv = "/run/cognu/srv",
                               .self = "local",
                               .user = "none",
                               .roster = "/var/lib/cognu/roster"};
    struct ninep_server_config config = {.name = "export", .ops = &both_ops, .env = &cg_env_real};
    struct synth *s = NULL;
    cg_log_init("export");
    if (!take_options(&argc, argv, &c)) {
        fprintf(stderr, "usage: cognu-export [--srv DIR] [--dial PATH] [--self NAME] [--user NAME] "
                        "[--key NAME] [--roster FILE] --socket PATH ...\n");
        return 2;
    }
    if (synth_new(kinds, KINDS, &cg_env_real, NULL, &s) || exports_start(&c)) {
        cg_log(CG_ERROR_LEVEL, "no memory to start");
        return 1;
    }
    config.aux = s;
    int status = secure_serve_main(argc, argv, &config);
    exports_stop();
    synth_free(s);
    return status;
}
