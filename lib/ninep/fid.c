/* fid: the handles of a session. A fid lives while its number is bound or a request or a slot holds
 * it; the file server's clunk is called when the last of these lets go.
 *
 * A fid that a request is about to make is bound at once, so that nobody else takes its number, but
 * is not ready: other requests do not find it until the file server knows it.
 */
#include "server__.h"
#include <string.h>

struct ninep__key ninep__key_of(const struct ninep_xqid *id)
{
    struct ninep__key k;
    memcpy(k.bytes, &id->volume, 8);
    memcpy(k.bytes + 8, &id->file, 8);
    memcpy(k.bytes + 16, &id->generation, 4);
    return k;
}

struct ninep__fid *ninep__fid_ref(struct ninep__fid *f)
{
    f->refs++;
    return f;
}

void ninep__fid_put(struct ninep__fid *f)
{
    if (!f || --f->refs > 0) {
        return;
    }
    struct ninep_server *s = f->pub.session->server;
    cg_assert(!f->bound && s->fids > 0);
    if (f->ready && s->cfg.ops->clunk) {
        s->cfg.ops->clunk(&f->pub);
    }
    s->fids--;
    cg_free(f);
}

struct ninep__fid *ninep__fid_find(struct ninep_session *ss, uint32_t num)
{
    struct ninep__fid *f = cg_map_get(&ss->fids, &num);
    return f && f->ready ? f : NULL;
}

cg_err ninep__fid_new(struct ninep_session *ss, uint32_t num, struct ninep__fid **out,
                      struct cg_errbuf *eb)
{
    struct ninep_server *s = ss->server;
    if (num != NINEP_NOFID && cg_map_get(&ss->fids, &num)) {
        return cg_fail(eb, CG_EFIDINUSE, "fid %u is in use", num);
    }
    if (cg_map_count(&ss->fids) >= s->cfg.fids_max || s->fids >= NINEP__FIDS_TOTAL_MAX) {
        return cg_fail(eb, CG_ELIMIT, "too many fids; clunk some");
    }
    struct ninep__fid *f = cg_zalloc(sizeof *f);
    if (!f) {
        return CG_ENOMEM;
    }
    f->pub.num = NINEP_NOFID;
    f->pub.session = ss;
    f->pub.impl = f;
    f->refs = 1;
    s->fids++;
    if (num != NINEP_NOFID && ninep__fid_bind(f, num) != CG_OK) {
        ninep__fid_put(f);
        return CG_ENOMEM;
    }
    *out = f;
    return CG_OK;
}

cg_err ninep__fid_clone(struct ninep__fid *from, uint32_t num, struct ninep__fid **out,
                        struct cg_errbuf *eb)
{
    struct ninep_session *ss = from->pub.session;
    const struct ninep_ops *ops = ss->server->cfg.ops;
    if (!ops->clone) {
        return cg_fail(eb, CG_ENOSYS, "this server has no directories");
    }
    struct ninep__fid *f;
    cg_err e = ninep__fid_new(ss, num, &f, eb);
    if (e != CG_OK) {
        return e;
    }
    f->pub.rights = from->pub.rights;
    f->pub.principal = from->pub.principal;
    f->pub.id = from->pub.id;
    f->pub.dead = from->pub.dead;
    f->mode = from->mode;
    f->expires_ns = from->expires_ns;
    e = ops->clone(&from->pub, &f->pub, eb);
    if (e != CG_OK) {
        ninep__fid_unbind(f);
        ninep__fid_put(f);
        return e;
    }
    f->ready = true;
    *out = f;
    return CG_OK;
}

cg_err ninep__fid_bind(struct ninep__fid *f, uint32_t num)
{
    struct ninep_session *ss = f->pub.session;
    cg_assert(!f->bound && num != NINEP_NOFID);
    struct ninep__fid *old = cg_map_get(&ss->fids, &num);
    if (cg_map_put(&ss->fids, &num, f) != CG_OK) {
        return CG_ENOMEM;
    }
    f->pub.num = num;
    f->bound = true;
    ninep__fid_ref(f);
    if (old) {
        old->bound = false;
        ninep__fid_put(old);
    }
    return CG_OK;
}

void ninep__fid_unbind(struct ninep__fid *f)
{
    if (f->bound) {
        f->bound = false;
        cg_map_del(&f->pub.session->fids, &f->pub.num);
        ninep__fid_put(f);
    }
}

void ninep__fids_end(struct ninep_session *ss)
{
    uint32_t at = 0;
    for (struct ninep__fid *f; (f = cg_map_next(&ss->fids, &at)) != NULL;) {
        ninep__fid_unbind(f);
    }
    cg_map_fini(&ss->fids);
    cg_map_init(&ss->fids, sizeof(uint32_t));
}

/* All that are known go, even when one is not. */
void ninep__run_clunk(struct ninep__req *req)
{
    struct ninep_list *l = &req->pub.t.clunk.fids;
    struct cg_buf it = ninep_list_iter(l);
    cg_err e = CG_OK;
    if (l->count > NINEP_CLUNK_FIDS_MAX) {
        ninep__finish(req, cg_fail(&req->pub.eb, CG_ELIMIT, "at most %d fids in one Tclunk",
                                   NINEP_CLUNK_FIDS_MAX));
        return;
    }
    for (uint16_t i = 0; i < l->count; i++) {
        struct ninep_fidref ref;
        ninep_get_fidref(&it, &ref);
        struct ninep__fid *f = ninep__fid_find(req->session, ref.fid);
        if (f) {
            if (f->attached) {
                ninep__leases_end(req->session); /* the client goes away, and says so */
                req->session->leaving = true;
            }
            ninep__fid_unbind(f);
        } else if (e == CG_OK) {
            req->index = i;
            e = cg_fail(&req->pub.eb, CG_EBADF, "fid %u is unknown", ref.fid);
        }
    }
    ninep__finish(req, e);
}
