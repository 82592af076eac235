/* Files of the active tree: identities, attributes, rights, the way down, listings. */
#include "live.h"

#include <string.h>
#include <sys/stat.h>

#define HOST_USER (UINT64_C(1) << 63)

enum { BLOCK_BYTES = 512, BLKSIZE = 128 << 10 };

cg_err live_node(struct storefs *fs, struct active_node *n, struct node **out)
{
    cg_err e = node_new(fs, NODE_LIVE, out);
    if (e) {
        active_put(fs->active, n);
        return e;
    }
    (*out)->live = n;
    return CG_OK;
}

cg_err live_child(struct node *dir, struct cg_span name, struct node **out, struct cg_errbuf *eb)
{
    struct active_node *n;
    cg_err e = active_lookup(dir->fs->active, dir->live, name, &n, eb);
    return e ? e : live_node(dir->fs, n, out);
}

/* Numbers of files are the tree's own, so its volume is not that of snapshots. */
static void set_id(const struct storefs *fs, const struct active_attr *a, struct ninep_xqid *id)
{
    *id = (struct ninep_xqid){
        .volume = ~fs->volume, .file = a->ino, .generation = 1, .change = a->change};
}

void live_id(const struct node *n, struct ninep_xqid *id)
{
    struct active_attr a;
    active_stat(n->live, &a);
    set_id(n->fs, &a, id);
}

bool live_admin(const struct ninep_fid *fid, const struct storefs *fs)
{
    return fid->principal == fs->owner || fid->principal == HOST_USER;
}

bool live_owns(const struct ninep_fid *fid, const struct node *n)
{
    struct active_attr a;
    active_stat(n->live, &a);
    return live_admin(fid, n->fs) || fid->principal == (HOST_USER | a.uid);
}

static uint8_t rights_of(const struct ninep_fid *fid, const struct storefs *fs,
                         const struct active_attr *a)
{
    uint32_t bits = a->mode;
    if (live_admin(fid, fs)) {
        bits = NINEP_RIGHTS_READ | NINEP_RIGHTS_WRITE;
        if (a->kind == STORE_DIR || (a->mode & 0111) != 0) {
            bits |= NINEP_RIGHTS_EXEC;
        }
    } else if (fid->principal == (HOST_USER | a->uid)) {
        bits >>= 6;
    } else if (fid->principal == (HOST_USER | a->gid)) {
        bits >>= 3;
    }
    return (uint8_t)(bits & 7);
}

static void attr_of(const struct ninep_fid *fid, const struct storefs *fs,
                    const struct active_attr *a, struct ninep_attr *out)
{
    static const uint32_t types[] = {
        [STORE_FILE] = S_IFREG, [STORE_DIR] = S_IFDIR,     [STORE_SYMLINK] = S_IFLNK,
        [STORE_FIFO] = S_IFIFO, [STORE_SOCKET] = S_IFSOCK, [STORE_CHAR] = S_IFCHR,
        [STORE_BLOCK] = S_IFBLK};
    *out = (struct ninep_attr){.mode = types[a->kind] | a->mode,
                               .nlink = a->nlink,
                               .owner = HOST_USER | a->uid,
                               .group = HOST_USER | a->gid,
                               .size = a->size,
                               .blocks = (a->bytes + BLOCK_BYTES - 1) / BLOCK_BYTES,
                               .rdev = a->rdev,
                               .atime = a->atime_ns,
                               .mtime = a->mtime_ns,
                               .ctime = a->ctime_ns,
                               .blksize = BLKSIZE,
                               .rights = rights_of(fid, fs, a),
                               .flags = NINEP_ATTRFLAG_NO_ACL};
    set_id(fs, a, &out->id);
    if (!a->xattrs) {
        out->flags |= NINEP_ATTRFLAG_NO_XATTR;
    }
}

void live_attr(const struct ninep_fid *fid, const struct node *n, struct ninep_attr *out)
{
    struct active_attr a;
    active_stat(n->live, &a);
    attr_of(fid, n->fs, &a, out);
}

cg_err live_may(const struct ninep_fid *fid, const struct node *n, uint8_t rights,
                struct cg_errbuf *eb)
{
    struct active_attr a;
    active_stat(n->live, &a);
    uint8_t has = rights_of(fid, n->fs, &a);
    return (has & rights) == rights
               ? CG_OK
               : cg_fail(eb, CG_EACCES, "mode %04o of user %u's file does not allow it", a.mode,
                         a.uid);
}

cg_err live_need(const struct node *n, struct cg_errbuf *eb)
{
    return n->kind == NODE_LIVE ? CG_OK
                                : cg_fail(eb, CG_EROFS, "what is in a store does not change");
}

/* ---- listings: a cookie is a hash of the name before it, which is looked up among those that were
 * given last ---- */

enum { SEEN_HEAD_BYTES = 9 };

static uint64_t cookie_of(struct cg_span name)
{
    uint64_t h = node_digest(name.data, name.len) >> 2; /* the adapter's own are above */
    return h ? h : 1;
}

static void remember(struct node *d, uint64_t cookie, struct cg_span name)
{
    uint8_t head[SEEN_HEAD_BYTES];
    struct cg_buf b = cg_buf_writer(head, sizeof head);
    cg_put_u64(&b, cookie);
    cg_put_u8(&b, (uint8_t)name.len);
    if (cg_str_add(&d->seen[0], head, sizeof head) ||
        cg_str_add(&d->seen[0], name.data, name.len)) {
        d->seen[0].len = 0; /* it will be looked for in the directory */
    }
}

static bool recall(const struct cg_str *seen, uint64_t cookie, uint8_t out[STORE_NAME_BYTES_MAX],
                   struct cg_span *name)
{
    struct cg_buf b = cg_buf_reader(seen->data, seen->len);
    while (cg_buf_left(&b)) {
        uint64_t c = cg_get_u64(&b);
        struct cg_span s = cg_get_span(&b, cg_get_u8(&b));
        if (c == cookie && !b.bad) {
            memcpy(out, s.data, s.len);
            *name = (struct cg_span){.data = out, .len = s.len};
            return true;
        }
    }
    return false;
}

struct searching {
    uint64_t cookie;
    uint8_t *out;
    struct cg_span name;
};

static bool search_one(void *aux, struct cg_span name, const struct active_attr *a,
                       const struct store_entry *clean, struct active_node *n)
{
    struct searching *s = aux;
    (void)a;
    (void)clean;
    (void)n;
    if (cookie_of(name) != s->cookie) {
        return true;
    }
    memcpy(s->out, name.data, name.len);
    s->name = (struct cg_span){.data = s->out, .len = name.len};
    return false;
}

/* The name behind which a listing goes on. */
static cg_err stands_behind(struct node *d, uint64_t cookie, uint8_t out[STORE_NAME_BYTES_MAX],
                            struct cg_span *name, struct cg_errbuf *eb)
{
    bool end;
    *name = (struct cg_span){.data = out};
    if (cookie == 0 || recall(&d->seen[0], cookie, out, name) ||
        recall(&d->seen[1], cookie, out, name)) {
        return CG_OK;
    }
    struct searching s = {.cookie = cookie, .out = out};
    cg_err e = active_list(d->fs->active, d->live, *name, search_one, &s, &end, eb);
    *name = s.name;
    return e || s.name.len ? e : cg_fail(eb, CG_ESTALE, "the listing stood at a name that is gone");
}

struct listing {
    struct ninep_req *r;
    struct node *d;
    uint32_t first_room;
    bool search; /* the directory may be searched: more than names and kinds is shown */
};

/* Whole contents into scratch; false: they stay out, or wait for the next reply. */
static bool contents(struct listing *l, const struct ninep_attr *a, const struct store_entry *clean,
                     struct active_node *n, bool *wait)
{
    uint32_t room = ninep_dir_inline_room(l->r);
    struct storefs *fs = l->d->fs;
    size_t got = 0;
    *wait = false;
    if (!S_ISREG(a->mode) || !(a->rights & NINEP_RIGHTS_READ) || room == 0) {
        return false;
    }
    if (a->size > room) {
        *wait = a->size <= l->first_room;
        return false;
    }
    cg_err e = n ? active_read(fs->active, n, 0, fs->scratch, a->size, &got, NULL)
                 : store_read(fs->store, clean, 0, fs->scratch, a->size, &got, NULL);
    return e == CG_OK && got == a->size;
}

static bool list_one(void *aux, struct cg_span name, const struct active_attr *attr,
                     const struct store_entry *clean, struct active_node *n)
{
    struct listing *l = aux;
    struct ninep_attr a;
    uint64_t cookie = cookie_of(name);
    bool wait, whole;
    attr_of(l->r->fid, l->d->fs, attr, &a);
    if (!l->search) {
        a = (struct ninep_attr){.mode = a.mode & S_IFMT, .id = a.id};
        a.id.type = NINEP_QTYPE_NOCACHE;
    }
    whole = contents(l, &a, clean, n, &wait);
    if (wait || !ninep_dir_add(l->r, cookie, name, &a, whole ? l->d->fs->scratch : NULL,
                               whole ? (uint32_t)a.size : 0)) {
        return false;
    }
    remember(l->d, cookie, name);
    return true;
}

cg_err live_readdir(struct ninep_req *r, struct node *d)
{
    uint8_t bytes[STORE_NAME_BYTES_MAX];
    struct cg_span after;
    struct listing l = {.r = r,
                        .d = d,
                        .first_room = ninep_dir_inline_room(r),
                        .search = live_may(r->fid, d, NINEP_RIGHTS_EXEC, NULL) == CG_OK};
    bool end = false;
    cg_err e = stands_behind(d, r->t.readdir.cookie, bytes, &after, &r->eb);
    struct cg_str old = d->seen[1];
    d->seen[1] = d->seen[0];
    d->seen[0] = old;
    d->seen[0].len = 0;
    e = e ? e : active_list(d->fs->active, d->live, after, list_one, &l, &end, &r->eb);
    r->r.readdir.eof = end;
    return e;
}
