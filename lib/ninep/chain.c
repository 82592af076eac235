/* chain: requests with one chain id run in the order in which they arrived, each when the one
 * before it is answered. After an error the rest are answered CG_ESKIPPED, until the one with LAST.
 *
 * A chain that is empty and has not failed says nothing, so it is forgotten before its LAST, too. A
 * member that is cancelled while it waits fails those behind it, not those before it.
 */
#include "server__.h"

static void forget(struct ninep__chain *c)
{
    if (!c->closed) {
        cg_map_del(&c->session->chains, &c->id);
    }
    cg_free(c);
}

static struct ninep__chain *get_chain(struct ninep_session *ss, uint32_t id)
{
    struct ninep__chain *c = cg_map_get(&ss->chains, &id);
    if (c || cg_map_count(&ss->chains) >= NINEP__CHAINS_MAX) {
        return c;
    }
    c = cg_zalloc(sizeof *c);
    if (!c) {
        return NULL;
    }
    c->session = ss;
    c->id = id;
    cg_list_init(&c->queue);
    if (cg_map_put(&ss->chains, &id, c) != CG_OK) {
        cg_free(c);
        return NULL;
    }
    return c;
}

cg_err ninep__chain_add(struct ninep__req *req, uint32_t id)
{
    if (id == 0) {
        ninep__ready(req);
        return CG_OK;
    }
    struct ninep__chain *c = get_chain(req->session, id);
    if (!c) {
        return cg_fail(&req->pub.eb, CG_ELIMIT, "too many failed chains; send their last requests");
    }
    if (req->last) {
        cg_map_del(&c->session->chains, &c->id);
        c->closed = true;
    }
    req->chain = c;
    bool first = cg_list_empty(&c->queue);
    cg_list_push(&c->queue, &req->chain_link);
    if (c->failed && req->verdict == CG_OK) {
        req->verdict = CG_ESKIPPED;
    }
    if (first || c->failed) {
        ninep__ready(req);
    }
    return CG_OK;
}

void ninep__chain_done(struct ninep__req *req, cg_err e)
{
    struct ninep__chain *c = req->chain;
    if (!c) {
        return;
    }
    req->chain = NULL;
    struct cg_list *next = req->chain_link.next;
    bool was_first = c->queue.next == &req->chain_link;
    cg_list_del(&req->chain_link);
    if (e != CG_OK) {
        c->failed = true;
        for (; next != &c->queue; next = next->next) {
            struct ninep__req *r = CG_CONTAINER(next, struct ninep__req, chain_link);
            r->verdict = r->verdict != CG_OK ? r->verdict : CG_ESKIPPED;
            ninep__ready(r);
        }
    } else if (was_first && !cg_list_empty(&c->queue)) {
        ninep__ready(CG_CONTAINER(c->queue.next, struct ninep__req, chain_link));
    }
    if (cg_list_empty(&c->queue) && (c->closed || !c->failed)) {
        forget(c);
    }
}

void ninep__chains_free(struct ninep_session *ss)
{
    uint32_t at = 0;
    for (struct ninep__chain *c; (c = cg_map_next(&ss->chains, &at)) != NULL;) {
        cg_assert(cg_list_empty(&c->queue));
        cg_free(c);
    }
    cg_map_fini(&ss->chains);
}
