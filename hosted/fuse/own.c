/* own: the files that the adapter serves itself, in every namespace and whatever / is:
 *   /mnt/ns/ctl     lines of ns_ctl are executed; an error is the writer's, its text is in err
 *   /mnt/ns/ns      the namespace as text that replays
 *   /mnt/ns/status  trees, sessions, leases, cache
 *   /mnt/ns/err     the text of the last error of the reader, or of its parent's
 *   /mnt/ns/clone   see clone.c
 *   /mnt/ns/trace   see trace.c
 * /mnt/ns covers what the tree below may have there; /mnt, /proc and /dev appear, empty, where the
 * tree has none. Texts are taken when a file is opened. Node numbers have bit 62.
 */
#include "kept.h"

#include <string.h>
#include <sys/stat.h>

static const uint64_t OWN_BASE = 1ULL << 62;
enum { OWN_VALID_S = 1 };

static const struct {
    enum own dir; /* OWN_NONE: the root */
    const char *name;
    uint32_t mode;
    bool always;
} owns[OWN_COUNT] = {
    [OWN_PROC] = {OWN_NONE, "proc", S_IFDIR | 0555, false},
    [OWN_DEV] = {OWN_NONE, "dev", S_IFDIR | 0555, false},
    [OWN_MNT] = {OWN_NONE, "mnt", S_IFDIR | 0555, false},
    [OWN_DIR] = {OWN_MNT, "ns", S_IFDIR | 0555, true},
    [OWN_CTL] = {OWN_DIR, "ctl", S_IFREG | 0600, true},
    [OWN_NS] = {OWN_DIR, "ns", S_IFREG | 0444, true},
    [OWN_STATUS] = {OWN_DIR, "status", S_IFREG | 0444, true},
    [OWN_ERR] = {OWN_DIR, "err", S_IFREG | 0444, true},
    [OWN_CLONE] = {OWN_DIR, "clone", S_IFREG | 0666, true},
    [OWN_TRACE] = {OWN_DIR, "trace", S_IFREG | 0666, true},
};

bool own_is(uint64_t nodeid)
{
    return nodeid > OWN_BASE && nodeid < OWN_BASE + OWN_COUNT;
}

static enum own kind_of(uint64_t nodeid)
{
    return own_is(nodeid) ? (enum own)(nodeid - OWN_BASE) : OWN_NONE;
}

/* Is nodeid the directory in which kind is shown? */
static bool is_parent(const struct space *s, enum own kind, uint64_t nodeid)
{
    switch (owns[kind].dir) {
    case OWN_NONE:
        return nodeid == FUSE_ROOT_ID;
    case OWN_MNT:
        return nodeid == OWN_BASE + OWN_MNT ||
               (s->below[OWN_MNT].node && nodeid == ns_node_id(s->below[OWN_MNT].node));
    default:
        return nodeid == OWN_BASE + owns[kind].dir;
    }
}

uint64_t own_child(const struct space *s, uint64_t dir, const char *name, bool *always)
{
    for (enum own k = OWN_NONE + 1; k < OWN_COUNT; k++) {
        if (is_parent(s, k, dir) && strcmp(owns[k].name, name) == 0) {
            *always = owns[k].always;
            return OWN_BASE + k;
        }
    }
    return 0;
}

const char *own_name(const struct space *s, uint64_t dir, uint32_t i, uint64_t *nodeid)
{
    for (enum own k = OWN_NONE + 1; k < OWN_COUNT; k++) {
        if (is_parent(s, k, dir) && i-- == 0) {
            *nodeid = OWN_BASE + k;
            return owns[k].name;
        }
    }
    return NULL;
}

void own_entry(const struct space *s, uint64_t nodeid, struct fuse_entry_out *out)
{
    enum own k = kind_of(nodeid);
    memset(out, 0, sizeof(*out));
    out->nodeid = nodeid;
    out->entry_valid = OWN_VALID_S;
    out->attr_valid = OWN_VALID_S;
    out->attr = (struct fuse_attr){
        .ino = nodeid,
        .mode = owns[k].mode,
        .nlink = S_ISDIR(owns[k].mode) ? 2 : 1,
        .uid = s->owner.uid,
        .gid = s->owner.gid,
        .blksize = 4096,
    };
}

static void remember(struct space *s, enum own k, const struct ns_stat *st)
{
    struct ns_node *old = s->below[k].node;
    ns_node_ref(st->node);
    s->below[k].node = st->node;
    attr_entry(s, st, &s->below[k].entry);
    if (old) {
        ns_node_forget(old, 1);
    }
}

bool own_looked_up(struct space *s, struct freq *r, uint64_t own, cg_err e,
                   const struct ns_stat *st)
{
    enum own k = kind_of(own);
    struct fuse_entry_out out;
    struct ns_node *n = s->below[k].node;
    if (e == CG_OK) {
        remember(s, k, st);
        return false;
    }
    if (e == CG_ENOENT) {
        own_entry(s, own, &out);
        freq_reply(r, &out, sizeof(out), NULL, 0);
        return true;
    }
    if (!n || e == CG_ECANCELED) {
        return false;
    }
    out = s->below[k].entry;
    out.entry_valid = out.attr_valid = 0;
    out.entry_valid_nsec = out.attr_valid_nsec = 0;
    ns_node_ref(n);
    ns_node_taken(n, 1);
    if (!freq_reply(r, &out, sizeof(out), NULL, 0)) {
        ns_node_given(n, 1);
        ns_node_forget(n, 1);
    }
    return true;
}

void own_fini(struct space *s)
{
    for (enum own k = OWN_NONE; k < OWN_COUNT; k++) {
        if (s->below[k].node) {
            ns_node_forget(s->below[k].node, 1);
        }
    }
}

/* ---- opening and reading: the text is taken at open ---- */

static void fill_err(struct space *s, const struct freq *r, struct cg_str *text)
{
    struct lasterr_family f = lasterr_family(space_pid(s, r->m.h.pid));
    const char *last = lasterr_get(s->adapter->errors, f);
    if (last) {
        cg_str_addf(text, "%s\n", last);
    }
}

static cg_err fill(struct space *s, const struct freq *r, enum own kind, struct cg_str *text)
{
    const struct fdev_terms *t = fdev_terms(s->dev);
    switch (kind) {
    case OWN_NS:
        return ns_text(s->ns, text);
    case OWN_ERR:
        fill_err(s, r, text);
        return CG_OK;
    case OWN_STATUS:
        cg_str_addf(text, "namespace %s kernel 7.%u handles %u locks %u\n", s->name,
                    t->kernel_minor, s->handle_count, cg_map_count(&s->locks));
        return ns_status(s->ns, text);
    default:
        return CG_OK;
    }
}

static void own_open(struct space *s, struct freq *r, enum own kind)
{
    struct fuse_open_out out = {0};
    struct handle *h = handle_new(s, &out.fh);
    if (!h) {
        face_fail(r, CG_ENFILE, "this namespace has its most files open");
        return;
    }
    h->own = (uint8_t)kind;
    h->dir = S_ISDIR(owns[kind].mode);
    out.open_flags = h->dir ? 0 : FOPEN_DIRECT_IO;
    cg_err e = fill(s, r, kind, &h->text);
    if (e != CG_OK) {
        handle_free(s, out.fh);
        face_fail(r, e, "the text cannot be made");
        return;
    }
    kept_handle(s, out.fh);
    if (!freq_reply(r, &out, sizeof(out), NULL, 0)) {
        handle_free(s, out.fh);
    }
}

/* A predecessor's text is gone with it: what is read on is as things are now. */
static void own_read(struct space *s, struct freq *r)
{
    const struct fuse_read_in *in = &r->m.in.read;
    struct handle *h = face_handle(s, r, in->fh);
    if (h && !h->text.data && !h->dir) {
        (void)fill(s, r, h->own, &h->text);
    }
    if (h) {
        size_t left = in->offset < h->text.len ? h->text.len - in->offset : 0;
        freq_reply(r, left ? h->text.data + in->offset : NULL, left < in->size ? left : in->size,
                   NULL, 0);
    }
}

/* ---- ctl ---- */

static void on_ctl_settled(void *aux, cg_err e, const char *detail)
{
    struct freq *r = aux;
    struct fuse_write_out out = {.size = r->m.in.write.size};
    (void)e; /* the lines have been executed; whoever interrupts does not wait for their sight */
    (void)detail;
    freq_reply(r, &out, sizeof(out), NULL, 0);
}

static void on_ctl_done(void *aux, cg_err first, const char *report)
{
    struct freq *r = aux;
    r->aux = NULL;
    if (first != CG_OK) {
        char text[CG_DETAIL_BYTES];
        size_t len = strcspn(report, "\n");
        len = len < sizeof(text) - 1 ? len : sizeof(text) - 1;
        memcpy(text, report, len);
        text[len] = 0;
        face_fail(r, first, text);
    } else {
        face_began(r, ns_settle(space_of(r)->ns, on_ctl_settled, r));
    }
}

static void ctl_write(struct space *s, struct freq *r)
{
    char *text = cg_strndup((const char *)r->m.data.data, r->m.data.len);
    if (!text || r->m.data.len > NS_TEXT_BYTES_MAX || strlen(text) != r->m.data.len) {
        face_fail(r, text ? CG_EINVAL : CG_ENOMEM, "ctl takes lines of text, 64 KiB at once");
        cg_free(text);
        return;
    }
    struct ns_script *job = ns_script_run(s->ns, text, false, on_ctl_done, r);
    if (job) { /* else r has been answered */
        r->aux = job;
    }
    cg_free(text);
}

static void own_write(struct space *s, struct freq *r)
{
    struct handle *h = face_handle(s, r, r->m.in.write.fh);
    if (!h) {
        return;
    }
    switch (h->own) {
    case OWN_CTL:
        ctl_write(s, r);
        break;
    case OWN_CLONE:
        clone_request(s, r);
        break;
    case OWN_TRACE:
        trace_write(s, r);
        break;
    default:
        face_fail(r, CG_EPERM, "this file is only read");
        break;
    }
}

void own_interrupt(struct freq *r)
{
    if (r->m.h.opcode != FUSE_WRITE || !r->aux) {
        return;
    }
    if (kind_of(r->m.h.nodeid) == OWN_CLONE) {
        clone_interrupt(r);
    } else {
        ns_script_cancel(r->aux);
    }
}

/* ---- the rest ---- */

static void own_lookup(struct space *s, struct freq *r)
{
    struct fuse_entry_out out;
    bool always;
    uint64_t id = own_child(s, r->m.h.nodeid, r->m.name, &always);
    if (!id) {
        face_fail(r, CG_ENOENT, NULL);
        return;
    }
    own_entry(s, id, &out);
    freq_reply(r, &out, sizeof(out), NULL, 0);
}

static void own_getattr(struct space *s, struct freq *r)
{
    struct fuse_entry_out e;
    own_entry(s, r->m.h.nodeid, &e);
    struct fuse_attr_out out = {.attr_valid = e.attr_valid, .attr = e.attr};
    freq_reply(r, &out, sizeof(out), NULL, 0);
}

static void own_setattr(struct space *s, struct freq *r)
{
    const uint32_t harmless = FATTR_SIZE | FATTR_FH | FATTR_LOCKOWNER | FATTR_MTIME |
                              FATTR_MTIME_NOW | FATTR_CTIME | FATTR_KILL_SUIDGID;
    if (r->m.in.setattr.valid & ~harmless) {
        face_fail(r, CG_EPERM, "this file belongs to the namespace");
    } else {
        own_getattr(s, r);
    }
}

static void own_statfs(struct freq *r)
{
    struct fuse_statfs_out out = {.st = {.bsize = 4096, .frsize = 4096, .namelen = 255}};
    freq_reply(r, &out, sizeof(out), NULL, 0);
}

static void own_release(struct space *s, struct freq *r)
{
    if (face_handle(s, r, r->m.in.release.fh)) {
        handle_free(s, r->m.in.release.fh);
        freq_error(r, 0);
    }
}

void own_request(struct space *s, struct freq *r)
{
    switch (r->m.h.opcode) {
    case FUSE_LOOKUP:
        own_lookup(s, r);
        break;
    case FUSE_GETATTR:
        own_getattr(s, r);
        break;
    case FUSE_SETATTR:
        own_setattr(s, r);
        break;
    case FUSE_OPEN:
    case FUSE_OPENDIR:
        own_open(s, r, kind_of(r->m.h.nodeid));
        break;
    case FUSE_READ:
        own_read(s, r);
        break;
    case FUSE_WRITE:
        own_write(s, r);
        break;
    case FUSE_READDIR:
    case FUSE_READDIRPLUS:
        face_readdir(s, r);
        break;
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
        own_release(s, r);
        break;
    case FUSE_FLUSH:
    case FUSE_FSYNC:
    case FUSE_FSYNCDIR:
        freq_error(r, 0);
        break;
    case FUSE_STATFS:
        own_statfs(r);
        break;
    case FUSE_GETXATTR:
        freq_error(r, cg_err_errno(CG_ENODATA));
        break;
    case FUSE_LISTXATTR:
    case FUSE_SETXATTR:
    case FUSE_REMOVEXATTR:
        freq_error(r, cg_err_errno(CG_EOPNOTSUPP));
        break;
    default:
        face_fail(r, CG_EPERM, "this directory belongs to the namespace");
        break;
    }
}
