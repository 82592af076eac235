/* lock: byte ranges and whole-file locks, advisory, on the identity of a file. An owner is a number
 * within a session. The two kinds do not see each other, as on Linux.
 *
 * An owner's ranges on one file never overlap: taking a range cuts what the owner had there, and
 * neighbours of one type are joined. Who waits is tried again, in order, whenever something is let
 * go. A wait that would close a circle of owners is refused (POSIX kind, as fcntl does).
 */
#include "server__.h"
#include <string.h>

struct lock_file {
    struct ninep_xqid id;
    struct cg_list locks;
};

struct lock {
    struct cg_list by_file, by_session;
    struct lock_file *file;
    struct ninep_session *session;
    uint64_t owner, start, end; /* end is the last byte */
    uint8_t kind, type;
};

/* What is asked for. */
struct range {
    struct ninep_session *session;
    uint64_t owner, start, end;
    uint8_t kind, type;
};

static struct lock_file *file_find(struct ninep_server *s, const struct ninep_xqid *id)
{
    struct ninep__key k = ninep__key_of(id);
    return cg_map_get(&s->lock_files, &k);
}

static struct lock_file *file_get(struct ninep_server *s, const struct ninep_xqid *id)
{
    struct lock_file *lf = file_find(s, id);
    if (lf) {
        return lf;
    }
    struct ninep__key k = ninep__key_of(id);
    lf = cg_zalloc(sizeof *lf);
    if (!lf || cg_map_put(&s->lock_files, &k, lf) != CG_OK) {
        cg_free(lf);
        return NULL;
    }
    lf->id = *id;
    cg_list_init(&lf->locks);
    return lf;
}

static void file_put(struct ninep_server *s, struct lock_file *lf)
{
    if (cg_list_empty(&lf->locks)) {
        struct ninep__key k = ninep__key_of(&lf->id);
        cg_map_del(&s->lock_files, &k);
        cg_free(lf);
    }
}

/* ---- ranges ---- */

static bool make_range(struct ninep_session *ss, uint8_t kind, uint8_t type, uint64_t owner,
                       uint64_t start, uint64_t length, struct range *out)
{
    bool flock = kind == NINEP_LOCKKIND_FLOCK;
    uint64_t last = length == 0 ? UINT64_MAX : start + (length - 1);
    *out = (struct range){.session = ss,
                          .owner = owner,
                          .start = flock ? 0 : start,
                          .end = flock ? UINT64_MAX : last,
                          .kind = kind,
                          .type = type};
    return kind <= NINEP_LOCKKIND_FLOCK && type <= NINEP_LOCKTYPE_UNLOCK && out->end >= out->start;
}

static bool mine(const struct lock *l, const struct range *r)
{
    return l->session == r->session && l->owner == r->owner && l->kind == r->kind;
}

static bool conflicts(const struct lock *l, const struct range *r)
{
    return l->kind == r->kind && !mine(l, r) && l->start <= r->end && r->start <= l->end &&
           (l->type == NINEP_LOCKTYPE_EXCLUSIVE || r->type == NINEP_LOCKTYPE_EXCLUSIVE);
}

static struct lock *first_conflict(struct lock_file *lf, const struct range *r)
{
    if (r->type == NINEP_LOCKTYPE_UNLOCK || !lf) {
        return NULL;
    }
    CG_LIST_EACH (it, &lf->locks) {
        struct lock *l = CG_CONTAINER(it, struct lock, by_file);
        if (conflicts(l, r)) {
            return l;
        }
    }
    return NULL;
}

static void lock_add(struct lock *l, struct lock_file *lf, const struct range *r)
{
    l->file = lf;
    l->session = r->session;
    l->owner = r->owner;
    l->start = r->start;
    l->end = r->end;
    l->kind = r->kind;
    l->type = r->type;
    cg_list_push(&lf->locks, &l->by_file);
    cg_list_push(&r->session->locks, &l->by_session);
    r->session->lock_count++;
}

static void lock_del(struct lock *l)
{
    cg_list_del(&l->by_file);
    cg_list_del(&l->by_session);
    l->session->lock_count--;
    cg_free(l);
}

/* Cuts [start, end] out of the owner's locks; a middle cut needs a second piece, which is *spare.
 */
static void cut(struct lock_file *lf, const struct range *r, struct lock **spare)
{
    CG_LIST_EACH (it, &lf->locks) {
        struct lock *l = CG_CONTAINER(it, struct lock, by_file);
        if (!mine(l, r) || l->start > r->end || r->start > l->end) {
            continue;
        }
        if (l->start < r->start && l->end > r->end) {
            struct range tail = {.session = l->session,
                                 .owner = l->owner,
                                 .start = r->end + 1,
                                 .end = l->end,
                                 .kind = l->kind,
                                 .type = l->type};
            cg_assert(*spare);
            lock_add(*spare, lf, &tail);
            *spare = NULL;
            l->end = r->start - 1;
        } else if (l->start < r->start) {
            l->end = r->start - 1;
        } else if (l->end > r->end) {
            l->start = r->end + 1;
        } else {
            lock_del(l);
        }
    }
}

/* Joins the owner's neighbours of the same type to r. */
static void join(struct lock_file *lf, struct range *r)
{
    CG_LIST_EACH (it, &lf->locks) {
        struct lock *l = CG_CONTAINER(it, struct lock, by_file);
        if (!mine(l, r) || l->type != r->type) {
            continue;
        }
        if (l->end != UINT64_MAX && l->end + 1 == r->start) {
            r->start = l->start;
            lock_del(l);
        } else if (r->end != UINT64_MAX && r->end + 1 == l->start) {
            r->end = l->end;
            lock_del(l);
        }
    }
}

/* Takes or lets go what nothing is in the way of. */
static cg_err apply(struct ninep_server *s, const struct ninep_xqid *id, const struct range *asked)
{
    struct range r = *asked;
    bool unlock = r.type == NINEP_LOCKTYPE_UNLOCK;
    struct lock_file *lf = unlock ? file_find(s, id) : file_get(s, id);
    if (!lf) {
        return unlock ? CG_OK : CG_ENOMEM;
    }
    if (r.session->lock_count + 2 > NINEP__LOCKS_MAX && !unlock) {
        file_put(s, lf);
        return CG_ELIMIT;
    }
    struct lock *spare = cg_zalloc(sizeof *spare);
    struct lock *whole = unlock ? NULL : cg_zalloc(sizeof *whole);
    if (!spare || (!unlock && !whole)) {
        cg_free(spare);
        cg_free(whole);
        file_put(s, lf);
        return CG_ENOMEM;
    }
    cut(lf, &r, &spare);
    if (!unlock) {
        join(lf, &r);
        lock_add(whole, lf, &r);
    }
    cg_free(spare);
    file_put(s, lf);
    return CG_OK;
}

/* ---- waiting ---- */

static void range_of(const struct ninep__req *req, struct range *out)
{
    const struct ninep_tlock *t = &req->pub.t.lock;
    make_range(req->session, t->kind, t->type, t->owner, t->start, t->length, out);
}

static bool waits_for_owner(const struct ninep__req *req, const struct lock *l)
{
    const struct ninep_tlock *t = &req->pub.t.lock;
    return req->session == l->session && t->owner == l->owner && t->kind == l->kind;
}

/* Would asked, by waiting, close a circle? Follows: who holds what is in the way, what do they wait
 * for? Each waiting request is looked at once; marked with the number of this search. */
static bool closes_circle(struct ninep_server *s, const struct ninep_xqid *id,
                          const struct range *asked)
{
    struct cg_list todo;
    cg_list_init(&todo);
    uint32_t steps = 0;
    CG_LIST_EACH (it, &s->lock_waiting) {
        CG_CONTAINER(it, struct ninep__req, queue_link)->lock_seen = false;
    }
    struct range r = *asked;
    struct lock_file *lf = file_find(s, id);
    bool found = false;
    while (lf) {
        CG_LIST_EACH (it, &lf->locks) {
            struct lock *l = CG_CONTAINER(it, struct lock, by_file);
            if (++steps > NINEP__DEADLOCK_STEPS_MAX || !conflicts(l, &r)) {
                continue;
            }
            found = found || mine(l, asked);
            CG_LIST_EACH (w, &s->lock_waiting) {
                struct ninep__req *req = CG_CONTAINER(w, struct ninep__req, queue_link);
                if (!req->lock_seen && waits_for_owner(req, l)) {
                    req->lock_seen = true;
                    cg_list_push(&todo, &req->lock_link);
                }
            }
        }
        if (found || cg_list_empty(&todo)) {
            break;
        }
        struct ninep__req *next = CG_CONTAINER(todo.next, struct ninep__req, lock_link);
        cg_list_del(&next->lock_link);
        range_of(next, &r);
        lf = file_find(s, &next->pub.fid->id);
    }
    CG_LIST_EACH (it, &todo) {
        cg_list_del(it);
    }
    return found;
}

/* Something was let go: whoever waits for that file tries again. */
static void retry(struct ninep_server *s, const struct ninep_xqid *id)
{
    CG_LIST_EACH (it, &s->lock_waiting) {
        struct ninep__req *req = CG_CONTAINER(it, struct ninep__req, queue_link);
        struct ninep__key a = ninep__key_of(&req->pub.fid->id), b = ninep__key_of(id);
        if (memcmp(&a, &b, sizeof a) == 0) {
            ninep__ready(req);
        }
    }
}

static cg_err check(struct ninep__req *req, const struct range *r, bool valid)
{
    uint8_t need = r->type == NINEP_LOCKTYPE_EXCLUSIVE ? NINEP_RIGHTS_WRITE
                   : r->type == NINEP_LOCKTYPE_SHARED  ? NINEP_RIGHTS_READ
                                                       : 0;
    if (!valid) {
        return CG_EINVAL;
    }
    if (need & ~req->pub.fid->rights) {
        return cg_fail(&req->pub.eb, CG_EPERM, "the attach does not grant this lock");
    }
    return CG_OK;
}

void ninep__run_lock(struct ninep__req *req)
{
    struct ninep_server *s = req->session->server;
    const struct ninep_tlock *t = &req->pub.t.lock;
    const struct ninep_xqid id = req->pub.fid->id;
    struct range r;
    bool valid = make_range(req->session, t->kind, t->type, t->owner, t->start, t->length, &r);
    cg_err e = check(req, &r, valid);
    bool free = e == CG_OK && !first_conflict(file_find(s, &id), &r);
    if (free) {
        e = apply(s, &id, &r);
        req->pub.r.lock.granted = e == CG_OK;
    } else if (e == CG_OK && (t->flags & NINEP_LOCKFLAG_WAIT)) {
        if (t->kind != NINEP_LOCKKIND_POSIX || !closes_circle(s, &id, &r)) {
            req->state = NINEP__LOCKING;
            cg_list_push(&s->lock_waiting, &req->queue_link);
            return;
        }
        e = CG_EDEADLK;
    }
    ninep__finish(req, e);
    if (free) {
        retry(s, &id); /* an unlock, or a change from exclusive to shared */
    }
}

void ninep__run_getlock(struct ninep__req *req)
{
    struct ninep_server *s = req->session->server;
    const struct ninep_tgetlock *t = &req->pub.t.getlock;
    struct ninep_rgetlock *out = &req->pub.r.getlock;
    struct range r;
    if (!make_range(req->session, t->kind, t->type, t->owner, t->start, t->length, &r)) {
        ninep__finish(req, CG_EINVAL);
        return;
    }
    struct lock *l = first_conflict(file_find(s, &req->pub.fid->id), &r);
    out->type = NINEP_LOCKTYPE_UNLOCK;
    if (l) {
        *out = (struct ninep_rgetlock){.type = l->type,
                                       .local = l->session == req->session,
                                       .owner = l->owner,
                                       .start = l->start,
                                       .length = l->end == UINT64_MAX ? 0 : l->end - l->start + 1};
    }
    ninep__finish(req, CG_OK);
}

void ninep__locks_end(struct ninep_session *ss)
{
    struct ninep_server *s = ss->server;
    CG_LIST_EACH (it, &ss->locks) {
        struct lock *l = CG_CONTAINER(it, struct lock, by_session);
        struct lock_file *lf = l->file;
        struct ninep_xqid id = lf->id;
        lock_del(l);
        file_put(s, lf);
        retry(s, &id);
    }
}
