/* Leases that are given back as soon as the kernel side has forgotten.
 *
 * When a lease breaks, config.invalidate tells what to forget, and config.settled asks whether that
 * has been done; names are never told of, they run out (hold.c). If not, the event is held here
 * until ns_invalidated; the other session's change waits meanwhile, at most until the lease ends by
 * itself. A held event is named by number, so one that outlives its session is simply not found.
 *
 * The change may take the file's name away. Handles that are not open on the server need a fid
 * then, so the event also waits for the walk to it (ns__pin).
 */
#include "internal.h"

struct held {
    struct cg_list link; /* ns->held */
    uintptr_t number;
    struct ns__tree *tree;
    uint32_t session;
    bool whole; /* all that the tree's lost session allowed; else what one lease did: */
    struct ninep_event event;
    struct ns__obj *walking; /* counted; NULL: no walk is waited for */
    uint64_t due_ns;         /* names have run out */
    bool forgotten;
};

static void drop(struct held *h)
{
    cg_list_del(&h->link);
    if (h->walking) {
        ns__obj_put(h->walking);
    }
    cg_free(h);
}

static void give_back(struct held *h)
{
    if (!h->forgotten || h->walking || h->due_ns) {
        return;
    }
    struct ninep_client *c = h->session == h->tree->session ? h->tree->client : NULL;
    bool whole = h->whole;
    struct ninep_event event = h->event;
    drop(h);
    if (c && whole) {
        ninep_client_forgotten(c);
    } else if (c) {
        ninep_client_release(c, &event);
    }
}

void ns__release(struct ns__obj *o, const struct ninep_event *event)
{
    struct ns__tree *t = o->tree;
    struct ns *ns = t->ns;
    struct held *h = cg_zalloc(sizeof *h);
    if (!h) { /* no memory to wait in: the lease's end is then the fence */
        ninep_client_release(t->client, event);
        return;
    }
    *h = (struct held){.number = ++ns->held_numbers,
                       .tree = t,
                       .session = t->session,
                       .event = *event,
                       .due_ns = ns__held_until(o, NULL)};
    if (h->due_ns) {
        ns__held_rest(o);
    }
    cg_list_push(&ns->held, &h->link);
    if (ns__pin(o)) {
        ns__obj_ref(o);
        h->walking = o;
    }
    h->forgotten = !ns->config.settled || ns->config.settled(ns->config.ctx, (void *)h->number);
    give_back(h);
}

bool ns__forgotten(struct ns__tree *t)
{
    struct ns *ns = t->ns;
    uint64_t now = ns->config.env->now_ns(ns->config.env->ctx);
    struct held *h = cg_zalloc(sizeof *h);
    if (!h) {
        return false; /* the term is then the end */
    }
    *h = (struct held){.number = ++ns->held_numbers,
                       .tree = t,
                       .session = t->session,
                       .whole = true,
                       .due_ns = ns->names_until_ns > now ? ns->names_until_ns : 0};
    cg_list_push(&ns->held, &h->link);
    h->forgotten = !ns->config.settled || ns->config.settled(ns->config.ctx, (void *)h->number);
    give_back(h);
    return false;
}

void ns__held_walked(struct ns__obj *o)
{
    CG_LIST_EACH (it, &o->tree->ns->held) {
        struct held *h = CG_CONTAINER(it, struct held, link);
        if (h->walking == o) {
            h->walking = NULL;
            ns__obj_put(o);
            give_back(h);
        }
    }
}

void ns_invalidated(struct ns *ns, void *token)
{
    CG_LIST_EACH (it, &ns->held) {
        struct held *h = CG_CONTAINER(it, struct held, link);
        if (h->number == (uintptr_t)token) {
            h->forgotten = true;
            give_back(h);
            return;
        }
    }
}

uint64_t ns__held_tick(struct ns *ns, uint64_t now)
{
    uint64_t next = 0;
    CG_LIST_EACH (it, &ns->held) {
        struct held *h = CG_CONTAINER(it, struct held, link);
        if (h->due_ns > now) {
            next = next == 0 || h->due_ns < next ? h->due_ns : next;
        } else if (h->due_ns) {
            h->due_ns = 0;
            give_back(h);
        }
    }
    return next;
}

void ns__held_drop(struct ns *ns, const struct ns__tree *t)
{
    CG_LIST_EACH (it, &ns->held) {
        struct held *h = CG_CONTAINER(it, struct held, link);
        if (h->tree == t) {
            drop(h);
        }
    }
}
