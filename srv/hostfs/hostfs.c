/* The file server as a whole: its life, users, attach and walks, and the table of callbacks.
 *
 * Users. Files of the user whom a fid acts for report the attached principal; others report their
 * number with the top bit set. An attach by user key acts as the server's own user. A local user
 * other than that is acted for by the file system user of the thread (setfsuid), which also drops
 * the capabilities that override permissions; a server that cannot do this refuses such attaches.
 */
#include "host.h"
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/resource.h>
#include <unistd.h>

enum { NOBODY = 65534 }; /* the group of users whom /etc/passwd does not list */

cg_err host_fail(struct cg_errbuf *eb, int err, const char *what, struct cg_span name)
{
    const char *cause = strerror(err);
    char limit[96];
    if (err == EMFILE) {
        struct rlimit l = {0};
        getrlimit(RLIMIT_NOFILE, &l);
        snprintf(limit, sizeof limit,
                 "all %llu descriptors are in use; raise the hard limit of open files",
                 (unsigned long long)l.rlim_cur);
        cause = limit;
    }
    int shown = name.len < 100 ? (int)name.len : 100;
    const char *quote = shown > 0 ? "'" : "";
    return cg_fail(eb, cg_err_from_errno(err), "%s %s%.*s%s: %s", what, quote, shown,
                   (const char *)name.data, quote, cause);
}

bool host_name(struct cg_span name, char out[HOST_NAME_BYTES])
{
    return cg_name_ok(name) && cg_span_str(name, out, HOST_NAME_BYTES);
}

struct host_fid *host_fid(const struct ninep_fid *fid)
{
    cg_assert(fid->aux != NULL);
    return fid->aux;
}

/* ---- users ------------------------------------------------------------------------------------
 */

static void act_as(struct hostfs *fs, uid_t uid, gid_t gid)
{
    if (fs->acting_uid != uid) {
        setfsgid(gid);
        setfsuid(uid);
        cg_assert((uid_t)setfsuid((uid_t)-1) == uid);
        fs->acting_uid = uid;
    }
}

struct hostfs *host_enter(const struct ninep_fid *fid)
{
    const struct host_fid *hf = host_fid(fid);
    act_as(hf->node->fs, hf->user.uid, hf->user.gid);
    return hf->node->fs;
}

void host_enter_self(struct hostfs *fs)
{
    act_as(fs, fs->self.uid, fs->self.gid);
}

cg_err host_enter_to_change(const struct ninep_fid *fid, struct cg_errbuf *eb)
{
    const struct host_fid *hf = host_fid(fid);
    struct hostfs *fs = host_enter(fid);
    if (hf->tree->read_only) {
        return cg_fail(eb, CG_EROFS, "tree '%s' is exported read-only", hf->tree->name);
    }
    struct statx sx;
    if (cg_map_count(&fs->leases) > 0 && host_statx(hf->node->fd, "", &sx) == 0) {
        struct ninep_xqid id;
        host_id(hf->node->volume, &sx, &id);
        host_watch_before(fs, &id);
    }
    return CG_OK;
}

static gid_t group_of(uid_t uid)
{
    FILE *f = fopen("/etc/passwd", "re");
    struct passwd *p = NULL;
    gid_t gid = NOBODY;
    while (f != NULL && (p = fgetpwent(f)) != NULL && p->pw_uid != uid) {
    }
    if (p != NULL) {
        gid = p->pw_gid;
    }
    if (f != NULL) {
        fclose(f);
    }
    return gid;
}

static cg_err user_of(const struct hostfs *fs, uint64_t principal, struct host_user *out,
                      struct cg_errbuf *eb)
{
    uid_t uid = (uid_t)principal;
    *out = fs->self;
    out->principal = principal;
    if ((principal & HOST_USER) == 0 || uid == fs->self.uid) {
        return CG_OK;
    }
    if (!fs->impersonates) {
        return cg_fail(eb, CG_EPERM,
                       "hostfs runs as user %u and cannot act for user %u; run it as root, or one "
                       "for each user",
                       fs->self.uid, uid);
    }
    out->uid = uid;
    out->gid = group_of(uid);
    return CG_OK;
}

/* ---- life -------------------------------------------------------------------------------------
 */

static void raise_limit(void)
{
    struct rlimit l;
    if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
        l.rlim_cur = l.rlim_max;
        setrlimit(RLIMIT_NOFILE, &l);
    }
}

static cg_err open_tree(struct hostfs *fs, const struct hostfs_tree *from, struct cg_errbuf *eb)
{
    struct host_tree *t = &fs->tree[fs->trees];
    t->read_only = from->read_only;
    t->one_device = from->one_device;
    t->name = cg_strdup(from->name);
    t->path = cg_strdup(from->path);
    fs->trees++;
    if (t->name == NULL || t->path == NULL) {
        return CG_ENOMEM;
    }
    struct statx sx;
    int fd = open(from->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return host_fail(eb, errno, "open tree", cg_span_of(from->path));
    }
    cg_err e = host_node_take(fs, fd, &t->root, &sx);
    return e == CG_OK ? e : cg_context(eb, e, "tree '%s'", from->name);
}

static cg_err start(struct hostfs *fs, const struct hostfs_config *config, struct cg_errbuf *eb)
{
    if (config->trees == 0 || config->trees > HOSTFS_TREES_MAX) {
        return cg_fail(eb, CG_EINVAL, "name between 1 and %d trees", HOSTFS_TREES_MAX);
    }
    if (access("/proc/self/fd", X_OK) != 0) {
        return cg_fail(eb, CG_ENOENT, "hostfs needs /proc/self/fd: mount procfs on /proc");
    }
    fs->home = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fs->home < 0) {
        return host_fail(eb, errno, "open the working directory", (struct cg_span){0});
    }
    fs->scratch = cg_alloc(NINEP_INLINE_BYTES_MAX + 1);
    fs->listing = cg_alloc(HOST_LISTING_BYTES);
    if (fs->scratch == NULL || fs->listing == NULL) {
        return CG_ENOMEM;
    }
    for (uint32_t i = 0; i < config->trees; i++) {
        cg_err e = open_tree(fs, &config->tree[i], eb);
        if (e != CG_OK) {
            return e;
        }
    }
    return CG_OK;
}

cg_err hostfs_new(const struct hostfs_config *config, struct hostfs **out, struct cg_errbuf *eb)
{
    struct hostfs *fs = cg_zalloc(sizeof *fs);
    if (fs == NULL) {
        return CG_ENOMEM;
    }
    umask(0);
    raise_limit();
    fs->loop = config->loop;
    fs->home = -1;
    fs->self = (struct host_user){.uid = geteuid(), .gid = getegid()};
    fs->acting_uid = fs->self.uid;
    fs->groups = getgroups(HOST_GROUPS_MAX, fs->group);
    fs->groups = fs->groups > 0 ? fs->groups : 0;
    fs->impersonates = fs->self.uid == 0 && getgroups(0, NULL) == 0;
    cg_map_init(&fs->nodes, sizeof(struct host_key));
    cg_map_init(&fs->volumes, sizeof(uint64_t));
    cg_err e = host_watch_start(fs);
    if (e == CG_OK) {
        e = start(fs, config, eb);
    }
    if (e != CG_OK) {
        hostfs_free(fs);
        return e;
    }
    *out = fs;
    return CG_OK;
}

void hostfs_free(struct hostfs *fs)
{
    while (fs->syncs > 0) {
        uv_run(fs->loop, UV_RUN_ONCE);
    }
    for (uint32_t i = 0; i < fs->trees; i++) {
        if (fs->tree[i].root != NULL) {
            host_node_put(fs->tree[i].root);
        }
        cg_free(fs->tree[i].name);
        cg_free(fs->tree[i].path);
    }
    cg_assert(cg_map_count(&fs->nodes) == 0);
    cg_map_fini(&fs->nodes);
    uint32_t cursor = 0;
    for (struct host_volume *v; (v = cg_map_next(&fs->volumes, &cursor)) != NULL;) {
        cg_free(v);
    }
    cg_map_fini(&fs->volumes);
    cg_free(fs->scratch);
    cg_free(fs->listing);
    if (fs->home >= 0) {
        close(fs->home);
    }
    host_watch_stop(fs); /* frees fs when the loop has let go of it */
}

/* ---- attach, walk, clunk ----------------------------------------------------------------------
 */

struct host_fid *host_fid_new(struct host_node *node, const struct host_tree *tree,
                              const struct host_user *user)
{
    struct host_fid *hf = cg_zalloc(sizeof *hf);
    if (hf != NULL) {
        *hf =
            (struct host_fid){.node = host_node_share(node), .tree = tree, .user = *user, .io = -1};
    }
    return hf;
}

static void host_attach(struct ninep_req *r)
{
    struct hostfs *fs = r->server_aux;
    struct cg_span name = r->t.attach.tree;
    uint32_t i = 0;
    while (i < fs->trees && name.len > 0 && !cg_span_is(name, fs->tree[i].name)) {
        i++;
    }
    if (i == fs->trees) {
        ninep_respond(r, cg_fail(&r->eb, CG_ENOENT, "no tree '%.*s' is exported", (int)name.len,
                                 (const char *)name.data));
        return;
    }
    struct host_user user;
    cg_err e = user_of(fs, r->fid->principal, &user, &r->eb);
    if (e == CG_OK) {
        r->fid->aux = host_fid_new(fs->tree[i].root, &fs->tree[i], &user);
        e = r->fid->aux != NULL ? CG_OK : CG_ENOMEM;
    }
    if (e == CG_OK) {
        host_enter(r->fid);
        e = host_attr(r->fid, fs->tree[i].root, &r->r.attach.attr, &r->eb);
        r->fid->id = r->r.attach.attr.id;
    }
    ninep_respond(r, e);
}

static cg_err host_clone(struct ninep_fid *from, struct ninep_fid *to, struct cg_errbuf *eb)
{
    const struct host_fid *hf = host_fid(from);
    to->aux = host_fid_new(hf->node, hf->tree, &hf->user);
    to->id = from->id;
    return to->aux != NULL ? CG_OK : cg_fail(eb, CG_ENOMEM, "no memory for a fid");
}

static cg_err host_walk1(struct ninep_fid *fid, struct cg_span name, struct ninep_attr *attr,
                         struct cg_errbuf *eb)
{
    struct host_fid *hf = host_fid(fid);
    char text[HOST_NAME_BYTES];
    struct host_node *node;
    struct statx sx;
    host_enter(fid);
    if (!host_name(name, text)) {
        return cg_fail(eb, CG_ENOENT, "not a name of one element");
    }
    cg_err e = host_lookup(hf, text, &node, &sx);
    if (e != CG_OK) {
        return host_fail(eb, cg_err_errno(e), "walk to", name);
    }
    struct host_node *old = hf->node;
    hf->node = node;
    host_node_put(old);
    e = host_attr(fid, node, attr, eb);
    fid->id = attr->id;
    return e;
}

static cg_err host_ident(struct ninep_fid *dir, struct cg_span name, struct ninep_xqid *id)
{
    const struct host_fid *hf = host_fid(dir);
    struct hostfs *fs = host_enter(dir);
    char text[HOST_NAME_BYTES];
    struct statx sx;
    if (!host_name(name, text)) {
        return CG_ENOENT;
    }
    int err = host_statx(hf->node->fd, text, &sx);
    if (err != 0) {
        return cg_err_from_errno(err);
    }
    host_id(host_volume(fs, &sx, hf->node->fd, text), &sx, id);
    return CG_OK;
}

static void host_clunk(struct ninep_fid *fid)
{
    struct host_fid *hf = fid->aux;
    if (hf == NULL) {
        return;
    }
    fid->aux = NULL;
    if (hf->io >= 0) {
        close(hf->io);
    }
    host_node_put(hf->node);
    cg_free(hf);
}

const struct ninep_ops hostfs_ops = {
    .attach = host_attach,
    .clone = host_clone,
    .walk1 = host_walk1,
    .ident = host_ident,
    .clunk = host_clunk,
    .open = host_open,
    .slurp = host_slurp,
    .create = host_create,
    .read = host_read,
    .write = host_write,
    .readdir = host_readdir,
    .remove = host_remove,
    .rename = host_rename,
    .link = host_link,
    .getattr = host_getattr,
    .setattr = host_setattr,
    .readlink = host_readlink,
    .fsync = host_fsync,
    .statfs = host_statfs,
    .xattrget = host_xattrget,
    .xattrset = host_xattrset,
    .put = host_put,
    .allocate = host_allocate,
    .seek = host_seek,
    .copy = host_copy,
    .cancel = host_cancel,
    .leased = host_leased,
};
