/* A namespace's birth, end and clock, and what it says of itself. */
#include "internal.h"

enum { CACHE_BYTES_DEFAULT = 64 << 20 };

static cg_err root_new(struct ns *ns)
{
    struct ns__mount *m = ns__mount_new(ns, NULL, "/");
    ns->root = m ? ns__head_get(ns, NULL, m) : NULL;
    return ns->root ? CG_OK : CG_ENOMEM;
}

cg_err ns_new(const struct ns_config *config, struct ns **out)
{
    cg_assert(config->env && config->dial && config->undial);
    struct ns *ns = cg_zalloc(sizeof *ns);
    if (!ns) {
        return CG_ENOMEM;
    }
    ns->config = *config;
    if (ns->config.cache_bytes_max == 0) {
        ns->config.cache_bytes_max = CACHE_BYTES_DEFAULT;
    }
    ns->idle_max = NS_OBJS_IDLE_MAX;
    ns->fids_max = NS_FIDS_MAX;
    ns->rest_ns = NS_NAMES_REST_MS * UINT64_C(1000000);
    ns->self = cg_strdup(config->self ? config->self : "");
    ns->user = cg_strdup(config->user ? config->user : "");
    cg_map_init(&ns->by_id, sizeof(uint64_t));
    cg_map_init(&ns->by_view, 2 * sizeof(void *));
    struct cg_list *const lists[] = {&ns->nodes,  &ns->trees, &ns->ops,  &ns->files,
                                     &ns->mounts, &ns->lines, &ns->idle, &ns->contents,
                                     &ns->held,   &ns->limits};
    for (size_t i = 0; i < CG_COUNT(lists); i++) {
        cg_list_init(lists[i]);
    }
    if (!ns->self || !ns->user || root_new(ns) != CG_OK) {
        ns_free(ns);
        return CG_ENOMEM;
    }
    *out = ns;
    return CG_OK;
}

/* First whatever waits ends, then the sessions, then all that they were for, whoever still refers
 * to it: from here on references count no more. */
static void free_all(struct ns *ns)
{
    while (!cg_list_empty(&ns->files)) {
        struct ns_file *f = CG_CONTAINER(ns->files.next, struct ns_file, link);
        f->refs = 1;
        ns__file_put(f);
    }
    while (!cg_list_empty(&ns->mounts)) {
        struct ns__mount *m = CG_CONTAINER(ns->mounts.next, struct ns__mount, link);
        while (!cg_list_empty(&m->heads)) {
            struct ns_node *head = CG_CONTAINER(m->heads.next, struct ns_node, of);
            cg_list_del(&head->of);
            head->mount = NULL;
        }
        m->refs = 1;
        ns__mount_put(m);
    }
    while (!cg_list_empty(&ns->nodes)) {
        struct ns_node *n = CG_CONTAINER(ns->nodes.next, struct ns_node, link);
        n->view = n->parent = NULL;
        ns_node_forget(n, n->refs);
    }
    while (!cg_list_empty(&ns->trees)) {
        ns__tree_free(CG_CONTAINER(ns->trees.next, struct ns__tree, link));
    }
    CG_LIST_EACH (it, &ns->limits) {
        cg_free(CG_CONTAINER(it, struct ns__limit, link));
    }
    while (!cg_list_empty(&ns->lines)) {
        struct ns__line *l = CG_CONTAINER(ns->lines.next, struct ns__line, link);
        cg_list_del(&l->link);
        cg_free(l);
    }
}

void ns_free(struct ns *ns)
{
    if (!ns) {
        return;
    }
    while (!cg_list_empty(&ns->ops)) {
        struct ns_op *op = CG_CONTAINER(ns->ops.next, struct ns_op, link);
        ns__fail(op, CG_ECANCELED, "the namespace is ending");
    }
    ns->closing = true;
    CG_LIST_EACH (it, &ns->trees) {
        ns__tree_end(CG_CONTAINER(it, struct ns__tree, link));
    }
    free_all(ns);
    ns__unsave(ns, ns->saved_table);
    cg_map_fini(&ns->by_id);
    cg_map_fini(&ns->by_view);
    cg_free(ns->self);
    cg_free(ns->user);
    cg_free(ns);
}

/* When a link has been down for as long as others wait, who waits without an end has waited enough.
 */
static void expire_endless(struct ns_op *op, uint64_t now, uint64_t *next)
{
    CG_LIST_EACH (it, &op->calls) {
        struct ns__call *c = CG_CONTAINER(it, struct ns__call, link);
        uint64_t end = c->tree->lost_ns + NS_DEADLINE_MS * UINT64_C(1000000);
        if (c->tree->lost_ns == 0) {
            continue;
        }
        if (end <= now) {
            op->endless = false; /* once */
            ns__note(op, CG_ELINKDOWN, "the link has been down for too long");
            ninep_client_cancel(c->tree->client, c->handle);
            return; /* op may be gone */
        }
        *next = *next == 0 || end < *next ? end : *next;
    }
}

/* An operation whose calls are under way ends with them: they have its deadline. */
static uint64_t expire_ops(struct ns *ns, uint64_t now)
{
    uint64_t next = 0;
    CG_LIST_EACH (it, &ns->ops) {
        struct ns_op *op = CG_CONTAINER(it, struct ns_op, link);
        if (op->endless) {
            expire_endless(op, now, &next);
        } else if (op->deadline_ns && cg_list_empty(&op->calls) && !op->starting && !op->expired) {
            if (op->deadline_ns <= now) {
                op->expired = true;
                ns__note(op, CG_ETIME, "no answer before the deadline");
            } else if (next == 0 || op->deadline_ns < next) {
                next = op->deadline_ns;
            }
        }
    }
    for (;;) { /* ending one may end others: begin again */
        struct ns_op *due = NULL;
        CG_LIST_EACH (it, &ns->ops) {
            struct ns_op *op = CG_CONTAINER(it, struct ns_op, link);
            due = !due && op->expired && !op->finished ? op : due;
        }
        if (!due) {
            return next;
        }
        ns__fail(due, CG_ETIME, NULL);
    }
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a == 0 || (b != 0 && b < a) ? b : a;
}

uint64_t ns_tick(struct ns *ns)
{
    uint64_t now = ns->config.env->now_ns(ns->config.env->ctx);
    uint64_t next = sooner(expire_ops(ns, now), ns__late_tick(ns, now));
    next = sooner(next, ns__held_tick(ns, now));
    CG_LIST_EACH (it, &ns->trees) {
        next = sooner(next, ns__tree_tick(CG_CONTAINER(it, struct ns__tree, link)));
    }
    ns__trim(ns);
    return next;
}

cg_err ns_status(struct ns *ns, struct cg_str *out)
{
    static const char *const states[] = {"idle", "starting", "up", "failed"};
    cg_err e = cg_str_addf(out,
                           "cache bytes %llu max %llu idle %u ahead %llu hits %llu misses %llu\n"
                           "nodes %u trees %u mounts %u%s\n",
                           (unsigned long long)ns->contents_bytes,
                           (unsigned long long)ns->config.cache_bytes_max, ns->idle_count,
                           (unsigned long long)ns->ahead_bytes, (unsigned long long)ns->hits,
                           (unsigned long long)ns->misses, cg_map_count(&ns->by_id), ns->tree_count,
                           ns->mount_count, ns->jail ? " jail" : "");
    CG_LIST_EACH (it, &ns->trees) {
        struct ns__tree *t = CG_CONTAINER(it, struct ns__tree, link);
        e = e ? e
              : cg_str_addf(out, "tree %s!%s!%s %s objects %u names %u fids %u", t->node,
                            t->service, t->name, states[t->state], cg_map_count(&t->objs),
                            cg_map_count(&t->names), t->fid_count);
        if (t->state == NS__TREE_FAILED) {
            e = e ? e : cg_str_addf(out, " because %s", t->detail);
        }
        e = e ? e : cg_str_add(out, "\n", 1);
        if (t->client) {
            e = e ? e : ninep_client_status(t->client, out);
        }
    }
    return e;
}
