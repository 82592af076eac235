/* What callers ask of names and attributes: each checks everything, then makes one transaction. */
#include "active__.h"

#include <string.h>

static int64_t now_of(const struct active *t, int64_t before)
{
    int64_t now = (int64_t)cg_env_real.wall_ns(NULL);
    (void)t;
    return now > before ? now : before + 1; /* the change number, which only grows */
}

enum { TOUCH_CTIME = 1, TOUCH_MTIME = 2 };
static cg_err touch(struct active *t, const struct active_node *n, int times)
{
    int64_t now = now_of(t, n->ctime_ns);
    struct meta_record m = {.mode = n->mode,
                            .uid = n->uid,
                            .gid = n->gid,
                            .mtime_ns = times & TOUCH_MTIME ? now : n->mtime_ns,
                            .ctime_ns = now};
    return act_tx_attr(t, n->ino, &m);
}

cg_err active_lookup(struct active *t, struct active_node *dir, struct cg_span name,
                     struct active_node **out, struct cg_errbuf *eb)
{
    if (!act_node_is_dir(dir)) {
        return cg_fail(eb, CG_ENOTDIR, "not a directory");
    }
    cg_err e = act_name_lookup(t, dir, name, out, eb);
    if (e == CG_ENOENT) {
        return cg_fail(eb, e, "no file '%.*s'", (int)name.len, (const char *)name.data);
    }
    if (!e) {
        active_get(*out);
    }
    return e;
}

/* dir takes new names. */
static cg_err check_dir(const struct active *t, const struct active_node *dir, struct cg_errbuf *eb)
{
    if (!act_node_is_dir(dir)) {
        return cg_fail(eb, CG_ENOTDIR, "not a directory");
    }
    if (dir != t->root && !dir->names) {
        return cg_fail(eb, CG_ENOENT, "the directory was removed");
    }
    return CG_OK;
}

static cg_err check_name(struct cg_span name, struct cg_errbuf *eb)
{
    if (name.len > STORE_NAME_BYTES_MAX) {
        return cg_fail(eb, CG_ENAMETOOLONG, "names end at %d bytes", STORE_NAME_BYTES_MAX);
    }
    return cg_name_ok(name) ? CG_OK : cg_fail(eb, CG_EINVAL, "no file has such a name");
}

/* A file that loses a name: when that is the last and somebody has it open, it goes on beside the
 * root, so that its contents are committed and collected like any other's. */
static cg_err leave_name(struct active *t, struct active_node *n)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t name[16];
    if (n->kind == STORE_FILE && n->nlink == 1 && n->fids > 1) { /* one is the caller's own */
        for (int i = 0; i < 16; i++) {
            name[i] = (uint8_t)digits[n->ino >> (60 - 4 * i) & 15];
        }
        struct cg_span span = {.data = name, .len = sizeof name};
        cg_err e = act_tx_name(t, ORPHANS_INO, span, n->ino);
        return e ? e : touch(t, n, TOUCH_CTIME);
    }
    return touch(t, n, TOUCH_CTIME);
}

/* What has a name and is to give way, held; NULL: nothing has it. */
static cg_err find_old(struct active *t, struct active_node *dir, struct cg_span name,
                       struct active_node **out, struct cg_errbuf *eb)
{
    cg_err e = act_name_lookup(t, dir, name, out, eb);
    if (e == CG_ENOENT) {
        *out = NULL;
        return CG_OK;
    }
    if (!e) {
        active_get(*out);
    }
    return e;
}

static void put_if(struct active *t, struct active_node *n)
{
    if (n) {
        active_put(t, n);
    }
}

/* ---- making ---- */

static cg_err check_make(const struct active_node *dir, const struct active_make *m,
                         struct cg_errbuf *eb)
{
    if (m->kind == STORE_DIR && dir->nlink >= ACTIVE_LINKS_MAX) {
        return cg_fail(eb, CG_EMLINK, "a directory holds at most %d directories", ACTIVE_LINKS_MAX);
    }
    if (m->kind == STORE_SYMLINK && m->target.len == 0) {
        return cg_fail(eb, CG_ENOENT, "a symbolic link needs a target");
    }
    if (m->target.len >= STORE_TARGET_BYTES_MAX) {
        return cg_fail(eb, CG_ENAMETOOLONG, "targets end at %d bytes", STORE_TARGET_BYTES_MAX - 1);
    }
    if (m->target.len && memchr(m->target.data, 0, m->target.len)) {
        return cg_fail(eb, CG_EINVAL, "a target holds no NUL");
    }
    return CG_OK;
}

static cg_err make(struct active *t, struct active_node *dir, struct cg_span name,
                   const struct active_make *m, struct active_node *old, struct cg_errbuf *eb)
{
    act_tx_begin(t);
    cg_err e = act_tx_know(t, dir);
    e = e || !old ? e : act_tx_know(t, old);
    e = e ? e : act_tx_make(t, t->ino_next, m, now_of(t, 0));
    for (uint32_t done = 0; !e && done < m->data.len; done += ACTIVE_WRITE_BYTES) {
        uint32_t left = m->data.len - done;
        struct cg_span part = {.data = m->data.data + done,
                               .len = left < ACTIVE_WRITE_BYTES ? left : ACTIVE_WRITE_BYTES};
        e = act_tx_write(t, t->ino_next, done, part);
    }
    e = e || !old ? e : leave_name(t, old);
    e = e ? e : act_tx_name(t, dir->ino, name, t->ino_next);
    e = e ? e : touch(t, dir, TOUCH_CTIME | TOUCH_MTIME);
    return e ? e : act_tx_end(t, false, eb);
}

cg_err active_create(struct active *t, struct active_node *dir, struct cg_span name,
                     const struct active_make *m, bool replace, struct active_node **out,
                     struct cg_errbuf *eb)
{
    struct active_node *old = NULL;
    uint64_t ino = t->ino_next;
    cg_err e = check_dir(t, dir, eb);
    e = e ? e : check_name(name, eb);
    e = e ? e : check_make(dir, m, eb);
    if (!e && m->data.len > STORE_JOURNAL_FRAME_BYTES_MAX / 2) {
        e = cg_fail(eb, CG_EFBIG, "a file that comes whole has at most %d bytes",
                    STORE_JOURNAL_FRAME_BYTES_MAX / 2);
    }
    e = e ? e : find_old(t, dir, name, &old, eb);
    if (!e && old && !replace) {
        e = cg_fail(eb, CG_EEXIST, "'%.*s' exists", (int)name.len, (const char *)name.data);
    } else if (!e && old && act_node_is_dir(old)) {
        e = cg_fail(eb, CG_EISDIR, "'%.*s' is a directory", (int)name.len, (const char *)name.data);
    }
    e = e ? e : make(t, dir, name, m, old, eb);
    put_if(t, old);
    if (!e) {
        *out = active_get(act_node_find(t, ino));
    }
    return e;
}

/* ---- removing, linking ---- */

static cg_err check_remove(struct active *t, struct active_node *n, bool is_dir,
                           struct cg_errbuf *eb)
{
    bool empty = true;
    if (is_dir != act_node_is_dir(n)) {
        return is_dir ? cg_fail(eb, CG_ENOTDIR, "not a directory")
                      : cg_fail(eb, CG_EISDIR, "a directory");
    }
    cg_err e = is_dir ? act_dir_empty(t, n, &empty, eb) : CG_OK;
    return e || empty ? e : cg_fail(eb, CG_ENOTEMPTY, "the directory still holds names");
}

cg_err active_remove(struct active *t, struct active_node *dir, struct cg_span name, bool is_dir,
                     struct cg_errbuf *eb)
{
    struct active_node *n;
    cg_err e = active_lookup(t, dir, name, &n, eb);
    if (e) {
        return e;
    }
    e = check_remove(t, n, is_dir, eb);
    act_tx_begin(t);
    e = e ? e : act_tx_know(t, dir);
    e = e ? e : act_tx_know(t, n);
    e = e ? e : leave_name(t, n);
    e = e ? e : act_tx_unname(t, dir->ino, name);
    e = e ? e : touch(t, dir, TOUCH_CTIME | TOUCH_MTIME);
    e = e ? e : act_tx_end(t, true, eb);
    active_put(t, n);
    return e;
}

cg_err active_link(struct active *t, struct active_node *n, struct active_node *dir,
                   struct cg_span name, struct cg_errbuf *eb)
{
    struct active_node *old = NULL;
    cg_err e = check_dir(t, dir, eb);
    e = e ? e : check_name(name, eb);
    if (!e && act_node_is_dir(n)) {
        e = cg_fail(eb, CG_EPERM, "directories have one name only");
    } else if (!e && n->nlink == 0) {
        e = cg_fail(eb, CG_ENOENT, "the file was removed");
    } else if (!e && n->nlink >= ACTIVE_LINKS_MAX) {
        e = cg_fail(eb, CG_EMLINK, "a file has at most %d names", ACTIVE_LINKS_MAX);
    }
    e = e ? e : find_old(t, dir, name, &old, eb);
    if (!e && old) {
        e = cg_fail(eb, CG_EEXIST, "'%.*s' exists", (int)name.len, (const char *)name.data);
    }
    put_if(t, old);
    act_tx_begin(t);
    e = e ? e : act_tx_know(t, dir);
    e = e ? e : act_tx_know(t, n);
    e = e ? e : act_tx_name(t, dir->ino, name, n->ino);
    e = e ? e : touch(t, n, TOUCH_CTIME);
    e = e ? e : touch(t, dir, TOUCH_CTIME | TOUCH_MTIME);
    return e ? e : act_tx_end(t, false, eb);
}

/* ---- renaming ---- */

struct move {
    struct active_node *from, *to, *n, *old; /* old: what has the new name, or NULL */
    struct cg_span name, newname;
};

/* n may go into the directory to. */
static cg_err check_move(const struct active_node *n, const struct active_node *from,
                         const struct active_node *to, struct cg_errbuf *eb)
{
    if (!act_node_is_dir(n) || from == to) {
        return CG_OK;
    }
    if (act_name_is_in(to, n)) {
        return cg_fail(eb, CG_EINVAL, "a directory cannot move into itself");
    }
    if (to->nlink >= ACTIVE_LINKS_MAX) {
        return cg_fail(eb, CG_EMLINK, "a directory holds at most %d directories", ACTIVE_LINKS_MAX);
    }
    return CG_OK;
}

static cg_err check_replaced(struct active *t, const struct move *m, struct cg_errbuf *eb)
{
    if (act_name_is_in(m->from, m->old)) {
        return cg_fail(eb, CG_ENOTEMPTY, "the new name is above the old one");
    }
    return check_remove(t, m->old, act_node_is_dir(m->n), eb);
}

static cg_err touch_all(struct active *t, const struct move *m)
{
    cg_err e = touch(t, m->n, TOUCH_CTIME);
    e = e ? e : touch(t, m->from, TOUCH_CTIME | TOUCH_MTIME);
    return e || m->to == m->from ? e : touch(t, m->to, TOUCH_CTIME | TOUCH_MTIME);
}

static cg_err exchange(struct active *t, const struct move *m, struct cg_errbuf *eb)
{
    cg_err e = check_move(m->n, m->from, m->to, eb);
    e = e ? e : check_move(m->old, m->to, m->from, eb);
    e = e ? e : act_tx_unname(t, m->from->ino, m->name);
    e = e ? e : act_tx_unname(t, m->to->ino, m->newname);
    e = e ? e : act_tx_name(t, m->from->ino, m->name, m->old->ino);
    e = e ? e : act_tx_name(t, m->to->ino, m->newname, m->n->ino);
    e = e ? e : touch(t, m->old, TOUCH_CTIME);
    return e ? e : touch_all(t, m);
}

static cg_err move(struct active *t, const struct move *m, struct cg_errbuf *eb)
{
    cg_err e = check_move(m->n, m->from, m->to, eb);
    e = e || !m->old ? e : check_replaced(t, m, eb);
    e = e || !m->old ? e : leave_name(t, m->old);
    if (!e && m->old && act_node_is_dir(m->old)) {
        e = act_tx_unname(t, m->to->ino, m->newname);
    }
    e = e ? e : act_tx_unname(t, m->from->ino, m->name);
    e = e ? e : act_tx_name(t, m->to->ino, m->newname, m->n->ino);
    return e ? e : touch_all(t, m);
}

static cg_err rename_found(struct active *t, const struct move *m, uint32_t flags,
                           struct cg_errbuf *eb)
{
    if (m->old && (flags & ACTIVE_NOREPLACE)) {
        return cg_fail(eb, CG_EEXIST, "the new name exists");
    }
    if (!m->old && (flags & ACTIVE_EXCHANGE)) {
        return cg_fail(eb, CG_ENOENT, "there is nothing to exchange with");
    }
    if (m->old == m->n) {
        return CG_OK; /* two names of one file: POSIX leaves both */
    }
    act_tx_begin(t);
    cg_err e = act_tx_know(t, m->from);
    e = e ? e : act_tx_know(t, m->to);
    e = e ? e : act_tx_know(t, m->n);
    e = e || !m->old ? e : act_tx_know(t, m->old);
    if (!e) {
        e = flags & ACTIVE_EXCHANGE ? exchange(t, m, eb) : move(t, m, eb);
    }
    return e ? e : act_tx_end(t, false, eb);
}

cg_err active_rename(struct active *t, struct active_node *from, struct cg_span name,
                     struct active_node *to, struct cg_span newname, uint32_t flags,
                     struct cg_errbuf *eb)
{
    struct move m = {.from = from, .to = to, .name = name, .newname = newname};
    cg_err e = check_dir(t, to, eb);
    e = e ? e : check_name(newname, eb);
    e = e ? e : active_lookup(t, from, name, &m.n, eb);
    if (e) {
        return e;
    }
    e = find_old(t, to, newname, &m.old, eb);
    e = e ? e : rename_found(t, &m, flags, eb);
    put_if(t, m.old);
    active_put(t, m.n);
    return e;
}

/* ---- attributes and contents ---- */

cg_err active_set(struct active *t, struct active_node *n, uint32_t valid,
                  const struct active_attr *a, struct cg_errbuf *eb)
{
    int64_t now = now_of(t, n->ctime_ns);
    bool sized = valid & ACTIVE_SIZE;
    if (sized && n->kind != STORE_FILE) {
        return act_node_is_dir(n) ? cg_fail(eb, CG_EISDIR, "a directory has no size to set")
                                  : cg_fail(eb, CG_EINVAL, "only regular files have a size to set");
    }
    if (sized && a->size > ACTIVE_FILE_BYTES_MAX) {
        return cg_fail(eb, CG_EFBIG, "files end at 2^48 bytes");
    }
    struct meta_record m = {.mode = valid & ACTIVE_MODE ? a->mode & 07777 : n->mode,
                            .uid = valid & ACTIVE_UID ? a->uid : n->uid,
                            .gid = valid & ACTIVE_GID ? a->gid : n->gid,
                            .mtime_ns = valid & ACTIVE_MTIME          ? a->mtime_ns
                                        : valid & ACTIVE_NOW || sized ? now
                                                                      : n->mtime_ns,
                            .ctime_ns = now};
    act_tx_begin(t);
    cg_err e = act_tx_know(t, n);
    e = e || !sized ? e : act_tx_size(t, n->ino, a->size);
    e = e ? e : act_tx_attr(t, n->ino, &m);
    e = e ? e : act_tx_end(t, sized && a->size < n->size, eb);
    if (!e && (valid & ACTIVE_ATIME)) {
        n->atime_ns = a->atime_ns;
    }
    return e;
}

cg_err active_write(struct active *t, struct active_node *n, uint64_t at, struct cg_span data,
                    uint32_t mode, uint32_t *done, struct cg_errbuf *eb)
{
    cg_err e = CG_OK;
    *done = 0;
    if (at > ACTIVE_FILE_BYTES_MAX || data.len > ACTIVE_FILE_BYTES_MAX - at) {
        return cg_fail(eb, CG_EFBIG, "files end at 2^48 bytes");
    }
    while (!e && *done < data.len) {
        uint32_t part;
        struct cg_span left = {.data = data.data + *done, .len = data.len - *done};
        int64_t now = now_of(t, n->ctime_ns);
        struct meta_record m = {.mode = mode == UINT32_MAX ? n->mode : mode & 07777,
                                .uid = n->uid,
                                .gid = n->gid,
                                .mtime_ns = now,
                                .ctime_ns = now};
        e = act_log_write(t, n, at + *done, left, &m, &part, eb);
        *done += part;
    }
    return e;
}

cg_err active_punch(struct active *t, struct active_node *n, uint64_t from, uint64_t to,
                    struct cg_errbuf *eb)
{
    act_tx_begin(t);
    cg_err e = act_tx_know(t, n);
    e = e ? e : act_tx_punch(t, n->ino, from, to);
    e = e ? e : touch(t, n, TOUCH_CTIME | TOUCH_MTIME);
    return e ? e : act_tx_end(t, true, eb);
}

cg_err active_set_xattrs(struct active *t, struct active_node *n, struct cg_span xattrs,
                         struct cg_errbuf *eb)
{
    act_tx_begin(t);
    cg_err e = act_tx_know(t, n);
    e = e ? e : act_tx_xattrs(t, n->ino, xattrs);
    e = e ? e : touch(t, n, TOUCH_CTIME);
    return e ? e : act_tx_end(t, false, eb);
}
