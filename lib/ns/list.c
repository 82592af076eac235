/* Listings for the cache: pages of a directory with attributes and small contents.
 *
 * A directory's names are complete when its pages followed one another, each fresh, under one
 * unbroken lease. Nothing here is waited for, except that who wants a listing which is under way
 * waits for it.
 */
#include "internal.h"

#include <string.h>

/* One page into the cache. Says whether it could be kept whole. */
static bool learn_entries(struct ns__call *c, struct ns__obj *dir, const struct ninep_rreaddir *r,
                          uint64_t *cookie)
{
    bool kept = true;
    bool names = ns__leased(dir) && ns__fresh(c, dir);
    struct cg_buf it = ninep_list_iter(&r->entries);
    for (uint32_t i = 0; i < r->entries.count; i++) {
        struct ninep_entry entry;
        char name[NINEP_NAME_BYTES_MAX + 1];
        ninep_get_entry(&it, &entry);
        *cookie = entry.cookie;
        if (!cg_name_ok(entry.name) || !cg_span_str(entry.name, name, sizeof name)) {
            continue; /* a server that lists what no path can name */
        }
        struct ns__obj *o = ns__learn(c, &entry.attr, entry.lease == NINEP_LEASE_READ);
        if (!o) {
            return false;
        }
        if (entry.whole) {
            ns__learn_contents(c, o, entry.inline_);
        }
        ns__obj_path(o, dir, name);
        kept = names && dir->name_count < NS_NAMES_MAX && ns__name_put(dir, name, o) && kept;
    }
    return kept && names;
}

void ns__learn_page(struct ns__call *c, struct ns__obj *dir, const struct ninep_rreaddir *r)
{
    bool follows = c->offset == dir->cookie;
    uint64_t cookie = c->offset;
    if (learn_entries(c, dir, r, &cookie) && follows) {
        dir->cookie = cookie;
        dir->complete = r->eof;
    }
}

/* ---- contents ahead: who reads small files of one directory one after the other, whatever their
 * order, is given the contents of the others by pages, from where the first listing stopped to
 * bring them. */

static void contents_came(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    struct ns__obj *dir = c->obj;
    uint64_t cookie = c->offset;
    dir->ahead_busy = false;
    if (e || c->offset != dir->ahead_cookie) {
        return;
    }
    learn_entries(c, dir, &r->readdir, &cookie);
    dir->ahead_cookie = cookie;
    dir->ahead_bytes += r->readdir.entries.body.len;
    dir->ahead_done = r->readdir.eof || dir->ahead_bytes >= NS_CONTENTS_AHEAD;
}

/* The small file o is about to be read from the server. */
void ns__contents_ahead(struct ns_op *op, struct ns__obj *o)
{
    struct ns__obj *dir = o->up;
    struct ns__flight f;
    struct ns__call *c;
    uint32_t fid;
    if (o->attr.size > NS_INLINE_BYTES || !dir || !dir->complete || !ns__leased(dir) ||
        dir->ahead_busy || dir->ahead_done || !ns__fid_live(dir)) {
        return;
    }
    ns__flight_init(&f, op, dir->tree);
    bool ok = ns__fid(&f, dir, false, &fid);
    union ninep_tmsg *m =
        ok ? ns__flight_add(&f, NINEP_TREADDIR, dir, NULL, contents_came, &c) : NULL;
    if (!m) {
        op->err = CG_OK; /* then without */
        return;
    }
    m->readdir.fid = fid;
    m->readdir.cookie = c->offset = dir->ahead_cookie;
    m->readdir.count =
        ns__page_bytes(dir->tree, dir->ahead_bytes < NS_PAGE_BYTES ? NS_PAGE_BYTES : UINT32_MAX);
    m->readdir.want = NINEP_WANT_LEASE | NINEP_WANT_INLINE;
    m->readdir.inline_max = NS_INLINE_BYTES;
    dir->ahead_busy = true;
    ns__flight_send(&f);
}

static void listed(struct ns__call *c, cg_err e, const union ninep_rmsg *r)
{
    struct ns__obj *o = c->obj;
    if (e == CG_OK) {
        struct ns__obj *dir = ns__learn(c, &r->readdir.dir, r->readdir.lease == NINEP_LEASE_READ);
        if (dir) {
            ns__learn_page(c, dir, &r->readdir);
        }
    }
    if (c->other) { /* the guess was right */
        o = c->other;
    }
    if (c->other || c->len) {
        o->loading = false;
        ns__wake(&o->waiters);
    }
}

uint32_t ns__page_bytes(const struct ns__tree *t, uint32_t most)
{
    uint32_t room = ninep_client_msize(t->client) - 512; /* header and the directory's record */
    return most < room ? most : room;
}

/* guess: fid will be of a child whose kind is not known. */
static bool add(struct ns__flight *f, struct ns__obj *o, uint32_t fid, uint64_t cookie, bool guess)
{
    struct ns__call *c;
    union ninep_tmsg *m = ns__flight_add(f, NINEP_TREADDIR, o, NULL, listed, &c);
    if (!m) {
        return false;
    }
    m->readdir.fid = fid;
    m->readdir.cookie = cookie;
    m->readdir.count = ns__page_bytes(f->tree, NS_PAGE_BYTES);
    m->readdir.want = NINEP_WANT_LEASE | NINEP_WANT_INLINE;
    m->readdir.inline_max = NS_INLINE_BYTES;
    c->offset = cookie;
    c->len = !guess;
    return true;
}

/* Behind the flight's last call, a walk to fid. It may be left out. */
void ns__list_guess(struct ns__flight *f, struct ns__obj *parent, uint32_t fid)
{
    struct ns__call *walk = f->calls[f->n - 1];
    if (add(f, parent, fid, 0, true)) {
        walk->guess = f->calls[f->n - 1];
        walk->guess->guess = walk;
    }
}

/* The walk led to o: who looks into o now waits for the listing. */
void ns__list_guessed(struct ns__call *walk, struct ns__obj *o)
{
    struct ns__call *c = walk->guess;
    if (c && (o->attr.mode & S_IFMT) == S_IFDIR && !o->loading) {
        ns__obj_ref(o);
        o->calls++;
        c->other = o;
        o->tried = o->loading = true;
    }
}

bool ns__list_add(struct ns__flight *f, struct ns__obj *dir, uint32_t fid)
{
    dir->tried = dir->loading = true;
    dir->misses = dir->answers = 0;
    if (!add(f, dir, fid, ns__leased(dir) ? dir->cookie : 0, false)) {
        dir->loading = false;
        return false;
    }
    return true;
}

/* Listings did not pay: others change it all the time, or its lease cannot be kept. */
static bool weary(const struct ns__obj *dir)
{
    return dir->wasted > 0 && dir->misses <= (uint32_t)NS_MISSES_MAX << dir->wasted;
}

bool ns__guess_wanted(struct ns__obj *dir)
{
    if (!ns__cacheable(dir) || !ns__wide(dir->tree) || weary(dir)) {
        return false;
    }
    dir->guessed = true;
    dir->misses = dir->wasted > 0 ? 0 : dir->misses;
    return true;
}

/* Is a lookup that must ask the server worth a page of the listing? */
bool ns__list_wanted(struct ns__obj *dir)
{
    if (!ns__cacheable(dir) || dir->complete || dir->loading || dir->pending ||
        !(dir->attr.rights & NINEP_RIGHTS_READ) || dir->name_count >= NS_NAMES_MAX) {
        return false;
    }
    dir->misses++;
    if (weary(dir)) {
        return false;
    }
    if (dir->tried && dir->cookie == 0 && dir->misses <= NS_MISSES_MAX) {
        return false; /* it came, and could not be kept */
    }
    return ns__wide(dir->tree) || dir->misses > NS_MISSES_MAX;
}
