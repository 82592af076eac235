/* Names that the kernel side holds, and what waits for them to run out.
 *
 * A kernel that is asked for each step of each path spends most of its time asking; one that is
 * told to forget a name takes the directory's lock, which a change of that very directory holds
 * (see hosted/fuse/INVARIANTS.md). So it is given names, there or absent, for config.names_ns and
 * never told. Each node keeps until when names in it are held. Three things wait for that: a broken
 * lease on the directory is given back then (held.c); an own change of the directory that is also
 * shown under other nodes is answered then; so is who asks whether the mount table's changes are
 * seen (ns_settle). A directory whose names somebody had to wait for gives none for a while, so
 * that nodes which change one directory in turns do not wait each time.
 *
 * Files do not matter here: what is known of them is told and forgotten at once.
 */
#include "internal.h"

static uint64_t now_ns(const struct ns *ns)
{
    return ns->config.env->now_ns(ns->config.env->ctx);
}

bool ns__hold(struct ns_node *dir, uint64_t until_ns)
{
    uint64_t now = now_ns(dir->ns), end = now + dir->ns->config.names_ns;
    if (dir->ns->config.names_ns == 0 || until_ns < end || now < dir->rest_until_ns) {
        return false;
    }
    dir->held_until_ns = dir->ns->names_until_ns = end;
    return true;
}

static void later_of(uint64_t *until, uint64_t other)
{
    *until = other > *until ? other : *until;
}

/* Calls f with each node that shows o. */
static void each_node(struct ns__obj *o, void (*f)(struct ns_node *n, void *aux), void *aux)
{
    CG_LIST_EACH (it, &o->nodes) {
        f(CG_CONTAINER(it, struct ns_node, of), aux);
    }
    CG_LIST_EACH (m, &o->members) {
        CG_LIST_EACH (h, &CG_CONTAINER(m, struct ns__member, of)->mount->heads) {
            f(CG_CONTAINER(h, struct ns_node, of), aux);
        }
    }
}

struct until {
    const struct ns_node *but;
    uint64_t ns;
};

static void look(struct ns_node *n, void *aux)
{
    struct until *u = aux;
    if (n != u->but) {
        later_of(&u->ns, n->held_until_ns);
    }
}

uint64_t ns__held_until(struct ns__obj *o, const struct ns_node *but)
{
    struct until u = {.but = but};
    each_node(o, look, &u);
    return u.ns > now_ns(o->tree->ns) ? u.ns : 0;
}

static void rest(struct ns_node *n, void *aux)
{
    n->rest_until_ns = *(uint64_t *)aux;
}

void ns__held_rest(struct ns__obj *o)
{
    uint64_t until = now_ns(o->tree->ns) + o->tree->ns->rest_ns;
    each_node(o, rest, &until);
}

/* ---- the mount table */

void ns__moved_in(struct ns_node *n)
{
    later_of(&n->ns->moved_until_ns, n->held_until_ns);
}

static void moved(struct ns_node *n, void *aux)
{
    (void)aux;
    ns__moved_in(n);
}

void ns__moved(struct ns__obj *o)
{
    CG_LIST_EACH (it, &o->aliases) {
        each_node(CG_CONTAINER(it, struct ns__name, alias)->dir, moved, NULL);
    }
    if (o->up) {
        each_node(o->up, moved, NULL);
    }
}

/* ---- own changes */

void ns__own_moved(struct ns_op *op, struct ns__obj *dir, const struct ns_node *but)
{
    uint64_t until = ns__held_until(dir, but);
    if (until) {
        later_of(&op->late_ns, until);
        ns__held_rest(dir);
    }
}

static void tell_outcome(struct ns_op *op)
{
    const struct ns__outcome *o = &op->outcome;
    switch (op->kind) {
    case NS__STAT:
        ns__finish_stat(op, &o->st);
        break;
    case NS__OPENED:
        ns__finish_open(op, o->file, &o->st, o->keep, o->direct);
        break;
    default:
        ns__finish(op);
        break;
    }
}

bool ns__late(struct ns_op *op, const struct ns__outcome *outcome)
{
    if (op->late_ns <= now_ns(op->ns)) {
        return false;
    }
    op->late = true;
    op->outcome = *outcome;
    op->outcome.st.until_ns = 0; /* what breaks meanwhile would be told too early */
    op->outcome.st.hold = op->outcome.keep = false;
    op->step = tell_outcome;
    op->deadline_ns = 0;
    ns__op_leave(op);
    return true;
}

uint64_t ns__late_tick(struct ns *ns, uint64_t now)
{
    uint64_t next = 0;
    struct ns_op *due;
    do { /* telling one may end others: begin again */
        due = NULL;
        CG_LIST_EACH (it, &ns->ops) {
            struct ns_op *op = CG_CONTAINER(it, struct ns_op, link);
            if (!op->late || op->finished) {
                continue;
            }
            if (op->late_ns <= now) {
                due = op;
                break;
            }
            next = next == 0 || op->late_ns < next ? op->late_ns : next;
        }
        if (due) {
            next = 0;
            ns__op_run(due);
        }
    } while (due);
    return next;
}
