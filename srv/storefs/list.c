/* Listings of storefs. A cookie counts entries. Below a snapshot the order never changes, and a
 * listing that goes on where it stopped, as nearly all do, goes on for nothing. */
#include "live.h"

#include <string.h>
#include <sys/stat.h>

/* An entry of a directory that may be read but not searched shows its name and kind alone. */
static bool add(struct ninep_req *r, uint64_t cookie, struct cg_span name, struct ninep_attr *a,
                struct cg_span contents)
{
    if (node_may(r->fid, node_of(r->fid), NINEP_RIGHTS_EXEC, NULL) != CG_OK) {
        *a = (struct ninep_attr){.mode = a->mode & S_IFMT, .id = a->id};
        a->id.type = NINEP_QTYPE_NOCACHE;
        contents = (struct cg_span){0};
    }
    return ninep_dir_add(r, cookie, name, a, contents.data, contents.len);
}

/* ---- the fixed directories ---- */

static cg_err list_root(struct ninep_req *r, struct node *root)
{
    static const char *const fixed[] = {"snap", "score", "stats", "active", "ctl"};
    uint64_t i = r->t.readdir.cookie;
    for (; i < CG_COUNT(fixed); i++) {
        struct node *n;
        struct ninep_attr a;
        cg_err e = node_child(root, cg_span_of(fixed[i]), &n, NULL);
        if (e == CG_ENOENT) {
            continue; /* no active tree is served */
        }
        if (e) {
            return e;
        }
        node_own_attr(r->fid, n, &a);
        node_put(n);
        if (!add(r, i + 1, cg_span_of(fixed[i]), &a, (struct cg_span){0})) {
            break;
        }
    }
    r->r.readdir.eof = i >= CG_COUNT(fixed);
    return CG_OK;
}

static cg_err list_snaps(struct ninep_req *r, struct node *snaps)
{
    struct store *s = snaps->fs->store;
    cg_err e = r->t.readdir.cookie == 0 ? store_refresh(s, &r->eb) : CG_OK;
    uint64_t i = r->t.readdir.cookie;
    for (; !e && i < store_ref_count(s); i++) {
        struct store_refinfo ref;
        struct node *n;
        struct ninep_attr a;
        store_ref_at(s, (uint32_t)i, &ref);
        if (strcmp(ref.name, ACTIVE_REF) == 0) {
            continue;
        }
        e = node_of_score(snaps->fs, &ref.score, &n, &r->eb);
        if (e) {
            break;
        }
        node_own_attr(r->fid, n, &a);
        node_put(n);
        if (!add(r, i + 1, cg_span_of(ref.name), &a, (struct cg_span){0})) {
            break;
        }
    }
    r->r.readdir.eof = i >= store_ref_count(s);
    return e;
}

/* ---- directories of a snapshot ---- */

/* Puts the listing before entry number cookie. */
static cg_err stand_at(struct node *d, uint64_t cookie, struct cg_errbuf *eb)
{
    struct store_entry skipped;
    cg_err e = CG_OK;
    if (d->dir && d->at > cookie) {
        store_dir_close(d->dir);
        d->dir = NULL;
    }
    if (!d->dir) {
        d->at = 0;
        e = store_dir_open(d->fs->store, &d->entry.score, &d->dir, eb);
    }
    while (!e && d->at < cookie) {
        e = store_dir_next(d->dir, &skipped, eb);
        d->at += e == CG_OK;
    }
    return e;
}

/* Whole contents, where they are wanted, fit and may be read; *wait: the next reply has room. */
static cg_err contents_of(struct ninep_req *r, struct node *d, const struct store_entry *file,
                          const struct ninep_attr *a, uint32_t first_room, struct cg_span *out,
                          bool *wait)
{
    uint32_t room = ninep_dir_inline_room(r);
    size_t got;
    *out = (struct cg_span){0};
    if (file->kind != STORE_FILE || !(a->rights & NINEP_RIGHTS_READ) || room == 0 ||
        file->size > room) {
        *wait = file->kind == STORE_FILE && room < file->size && file->size <= first_room;
        return CG_OK;
    }
    cg_err e = store_read(d->fs->store, file, 0, d->fs->scratch, file->size, &got, &r->eb);
    *out = (struct cg_span){.data = d->fs->scratch, .len = (uint32_t)file->size};
    return e;
}

/* *more: it went in. The names that did not are given again. */
static cg_err list_one(struct ninep_req *r, struct node *d, const struct store_entry *file,
                       uint32_t first_room, bool *more)
{
    struct ninep_xqid id;
    struct ninep_attr a;
    struct cg_span contents;
    uint8_t name[STORE_NAME_BYTES_MAX];
    bool wait = false;
    struct cg_span n = {.data = name, .len = file->name.len};
    memcpy(name, file->name.data, file->name.len);
    node_id(d->fs, d->top, d->file, file, &id);
    node_attr(r->fid, d->fs, &id, file, &a);
    cg_err e = contents_of(r, d, file, &a, first_room, &contents, &wait);
    *more = e == CG_OK && !wait && add(r, d->at + 1, n, &a, contents);
    if (*more) {
        d->at++;
        return CG_OK;
    }
    return e ? e : store_dir_seek(d->dir, n, &r->eb);
}

static cg_err list_entries(struct ninep_req *r, struct node *d)
{
    uint32_t first_room = ninep_dir_inline_room(r);
    struct store_entry file;
    bool more = true;
    cg_err e = stand_at(d, r->t.readdir.cookie, &r->eb);
    while (!e && more) {
        e = store_dir_next(d->dir, &file, &r->eb);
        e = e ? e : list_one(r, d, &file, first_room, &more);
    }
    r->r.readdir.eof = e == CG_ENOENT;
    return e == CG_ENOENT ? CG_OK : e;
}

void storefs_readdir(struct ninep_req *r)
{
    struct node *d = node_of(r->fid);
    cg_err e = node_may(r->fid, d, NINEP_RIGHTS_READ, &r->eb);
    if (e) {
        ninep_respond(r, e);
        return;
    }
    switch (d->kind) {
    case NODE_ROOT:
        e = list_root(r, d);
        break;
    case NODE_SNAPS:
        e = list_snaps(r, d);
        break;
    case NODE_ENTRY:
        e = list_entries(r, d);
        break;
    case NODE_LIVE:
        e = live_readdir(r, d);
        break;
    case NODE_CTL:
    case NODE_SCORES: /* any score may be named: none is listed */
    case NODE_STATS:
        r->r.readdir.eof = 1;
        break;
    }
    if (e && d->kind == NODE_ENTRY) {
        store_dir_close(d->dir); /* where it stands is not known */
        d->dir = NULL;
    }
    node_own_attr(r->fid, d, &r->r.readdir.dir);
    ninep_respond(r, e);
}
