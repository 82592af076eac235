/* Holds: one process at a time for one thing of the store, such as its active tree. A hold is a
 * lease that refuses a second one of its kind; what it protects is acknowledged only while it lasts
 * for certain, so a holder that was stopped for too long acknowledges nothing more. */
#include "store__.h"

#include <stdio.h>
#include <string.h>

struct store_hold {
    struct store *s;
    uint64_t fence, until_ns; /* of the monotonic clock */
};

struct hold_taking {
    const char *kind, *who;
    store_gone_fn *gone;
    void *aux;
    struct lease_record *out;
};

/* The words behind the kind, or NULL: the lease is not one of that kind. */
static const char *holder_of(const char *kind, const struct lease_record *l)
{
    size_t len = strlen(kind);
    bool same =
        l->role == LEASE_HOLD && strncmp(l->holder, kind, len) == 0 && l->holder[len] == ' ';
    return same ? l->holder + len + 1 : NULL;
}

static cg_err hold_edit(struct store *s, struct state *next, void *arg, struct cg_errbuf *eb)
{
    const struct hold_taking *t = arg;
    char holder[sizeof t->out->holder];
    for (size_t i = 0; i < next->leases; i++) {
        const char *who = holder_of(t->kind, &next->lease[i]);
        if (who && t->gone && t->gone(t->aux, who)) {
            next->lease[i--] = next->lease[--next->leases];
        } else if (who && next->lease[i].expires_ns >= s->env.wall_ns(s->env.ctx)) {
            return cg_fail(eb, CG_EBUSY, "the %s is held by %s", t->kind, who);
        }
    }
    snprintf(holder, sizeof holder, "%s %s", t->kind, t->who);
    return lease_add(s, next, holder, LEASE_HOLD, t->out);
}

cg_err store_hold_take(struct store *s, const char *kind, const char *who, store_gone_fn *gone,
                       void *aux, struct store_hold **out, struct cg_errbuf *eb)
{
    struct lease_record lease;
    struct hold_taking t = {.kind = kind, .who = who, .gone = gone, .aux = aux, .out = &lease};
    struct store_hold *h = cg_zalloc(sizeof *h);
    if (!h) {
        return CG_ENOMEM;
    }
    uint64_t now = s->env.now_ns(s->env.ctx);
    cg_err e = state_commit(s, hold_edit, &t, eb);
    if (e) {
        cg_free(h);
        return e;
    }
    *h = (struct store_hold){.s = s, .fence = lease.fence, .until_ns = now + LEASE_MS * 1000000ull};
    *out = h;
    return CG_OK;
}

struct hold_renewal {
    uint64_t fence, epoch;
    const char *ref;
};

static cg_err hold_renew_edit(struct store *s, struct state *next, void *arg, struct cg_errbuf *eb)
{
    const struct hold_renewal *r = arg;
    const struct ref_record *ref = r->ref ? state_ref(next, r->ref) : NULL;
    struct lease_record *l;
    cg_err e = lease_check(s, next, r->fence, &l, eb);
    if (!e && r->ref && (ref ? ref->epoch : 0) == r->epoch) {
        l->epoch = next->epoch;
    }
    return e;
}

cg_err store_hold_renew(struct store_hold *h, const char *ref, uint64_t epoch, struct cg_errbuf *eb)
{
    struct hold_renewal r = {.fence = h->fence, .epoch = epoch, .ref = ref};
    uint64_t now = h->s->env.now_ns(h->s->env.ctx);
    cg_err e = state_commit(h->s, hold_renew_edit, &r, eb);
    if (!e) {
        h->until_ns = now + LEASE_MS * 1000000ull;
    }
    return e;
}

bool store_hold_lasts(const struct store_hold *h, uint64_t ns)
{
    return h->s->env.now_ns(h->s->env.ctx) + ns < h->until_ns;
}

void store_hold_drop(struct store_hold *h)
{
    if (h) {
        lease_drop(h->s, h->fence, 0, 0);
        cg_free(h);
    }
}
