/* Leases that are given back as soon as the kernel side has forgotten.
 *
 * When a lease breaks, config.invalidate tells what to forget, and config.settled asks whether that
 * has been done. If not, the event is held here until ns_invalidated; the other session's change
 * waits meanwhile, at most until the lease ends by itself. A held event is named by number, so one
 * that outlives its session is simply not found.
 */
#include "internal.h"

struct held {
    struct cg_list link; /* ns->held */
    uintptr_t number;
    struct ns__tree *tree;
    uint32_t session;
    struct ninep_event event;
};

void ns__release(struct ns__tree *t, const struct ninep_event *event)
{
    struct ns *ns = t->ns;
    struct held *h = ns->config.settled ? cg_zalloc(sizeof *h) : NULL;
    if (!h) { /* nobody to wait for, or no memory to wait in: the lease's end is then the fence */
        ninep_client_release(t->client, event);
        return;
    }
    *h = (struct held){
        .number = ++ns->held_numbers, .tree = t, .session = t->session, .event = *event};
    cg_list_push(&ns->held, &h->link);
    if (ns->config.settled(ns->config.ctx, (void *)h->number)) {
        ns_invalidated(ns, (void *)h->number);
    }
}

void ns_invalidated(struct ns *ns, void *token)
{
    CG_LIST_EACH (it, &ns->held) {
        struct held *h = CG_CONTAINER(it, struct held, link);
        if (h->number != (uintptr_t)token) {
            continue;
        }
        cg_list_del(&h->link);
        if (h->tree->client && h->session == h->tree->session) {
            ninep_client_release(h->tree->client, &h->event);
        }
        cg_free(h);
        return;
    }
}

void ns__held_drop(struct ns *ns, const struct ns__tree *t)
{
    CG_LIST_EACH (it, &ns->held) {
        struct held *h = CG_CONTAINER(it, struct held, link);
        if (h->tree == t) {
            cg_list_del(&h->link);
            cg_free(h);
        }
    }
}
