/* face_lock: byte locks and whole-file locks, and what closing a file has to do with them.
 *
 * POSIX locks go when their owner closes any descriptor of the file: the kernel then sends FLUSH
 * with the owner. So that a close of an unlocked file costs nothing, the space remembers which
 * owners hold locks on which file. The value is the owner's process, for GETLK.
 */
#include "kept.h"

#include <fcntl.h>

static uint64_t length_of(const struct fuse_file_lock *lk)
{
    return lk->end >= INT64_MAX ? 0 : lk->end - lk->start + 1;
}

/* ---- asking ---- */

static void on_getlk(void *aux, cg_err e, const struct ninep_rgetlock *held, const char *detail)
{
    struct freq *r = aux;
    struct space *s = space_of(r);
    struct fuse_lk_out out = {.lk = {.type = F_UNLCK}};
    if (e != CG_OK) {
        face_fail(r, e, detail);
        return;
    }
    if (held->type != NINEP_LOCKTYPE_UNLOCK) {
        uint32_t pid = held->local ? kept_lock_pid(s, r->m.h.nodeid, held->owner) : 0;
        out.lk = (struct fuse_file_lock){
            .start = held->start,
            .end = held->length ? held->start + held->length - 1 : INT64_MAX,
            .type = held->type,
            .pid = pid,
        };
    }
    freq_reply(r, &out, sizeof(out), NULL, 0);
}

void face_getlk(struct space *s, struct freq *r)
{
    const struct fuse_lk_in *in = &r->m.in.lk;
    struct handle *h = face_handle(s, r, in->fh);
    if (h) {
        struct ninep_tgetlock t = {
            .kind = NINEP_LOCKKIND_POSIX,
            .type = (uint8_t)in->lk.type,
            .owner = in->owner,
            .start = in->lk.start,
            .length = length_of(&in->lk),
        };
        face_began(r, ns_getlock(s->ns, h->file, &t, on_getlk, r));
    }
}

/* ---- locking ---- */

void face_setlk(struct space *s, struct freq *r)
{
    const struct fuse_lk_in *in = &r->m.in.lk;
    bool flock = in->lk_flags & FUSE_LK_FLOCK;
    struct handle *h = face_handle(s, r, in->fh);
    if (!h) {
        return;
    }
    struct ninep_tlock t = {
        .kind = flock ? NINEP_LOCKKIND_FLOCK : NINEP_LOCKKIND_POSIX,
        .type = (uint8_t)in->lk.type,
        .flags = r->m.h.opcode == FUSE_SETLKW ? NINEP_LOCKFLAG_WAIT : 0,
        .owner = in->owner,
        .start = flock ? 0 : in->lk.start,
        .length = flock ? 0 : length_of(&in->lk),
    };
    if (!flock && in->lk.type != F_UNLCK) { /* before it is granted: better one unlock too many */
        if (!kept_lock(s, r->m.h.nodeid, in->owner, in->lk.pid ? in->lk.pid : 1)) {
            face_fail(r, CG_ELIMIT, "this namespace holds its most locks");
            return;
        }
    }
    face_began(r, ns_lock(s->ns, h->file, &t, face_done, r));
}

/* ---- closing ---- */

/* A shell opens, duplicates and closes before it writes: only the last close of a file whose create
 * is not confirmed waits, for it is the last that can tell of a failure. */
static void flush(struct space *s, struct freq *r)
{
    struct handle *h = face_handle(s, r, r->m.in.flush.fh);
    if (!h) {
        return;
    }
    if (ns_file_unborn(h->file) &&
        held_elsewhere(space_pid(s, r->m.h.pid), ns_node_ino(ns_file_node(h->file)))) {
        freq_error(r, 0);
        return;
    }
    face_began(r, ns_flush(s->ns, h->file, face_done, r));
}

static void on_flush_unlocked(void *aux, cg_err e, const char *detail)
{
    struct freq *r = aux;
    (void)detail;
    (void)e; /* a lock that cannot be given back has ended with its session */
    flush(space_of(r), r);
}

void face_flush(struct space *s, struct freq *r)
{
    const struct fuse_flush_in *in = &r->m.in.flush;
    struct handle *h = face_handle(s, r, in->fh);
    if (!h) {
        return;
    }
    if (!kept_unlock(s, r->m.h.nodeid, in->lock_owner)) {
        flush(s, r);
        return;
    }
    struct ninep_tlock t = {
        .kind = NINEP_LOCKKIND_POSIX, .type = NINEP_LOCKTYPE_UNLOCK, .owner = in->lock_owner};
    face_began(r, ns_lock(s->ns, h->file, &t, on_flush_unlocked, r));
}

static void on_release_unlocked(void *aux, cg_err e, const char *detail)
{
    struct freq *r = aux;
    struct space *s = space_of(r);
    (void)detail;
    (void)e;
    if (handle_of(s, r->m.in.release.fh)) {
        handle_free(s, r->m.in.release.fh);
    }
    freq_error(r, 0);
}

void face_release(struct space *s, struct freq *r)
{
    const struct fuse_release_in *in = &r->m.in.release;
    struct handle *h = face_handle(s, r, in->fh);
    if (!h) {
        return;
    }
    if (!(in->release_flags & FUSE_RELEASE_FLOCK_UNLOCK)) {
        on_release_unlocked(r, CG_OK, NULL);
        return;
    }
    struct ninep_tlock t = {
        .kind = NINEP_LOCKKIND_FLOCK, .type = NINEP_LOCKTYPE_UNLOCK, .owner = in->lock_owner};
    face_began(r, ns_lock(s->ns, h->file, &t, on_release_unlocked, r));
}
