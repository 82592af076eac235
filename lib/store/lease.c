/* Leases: who may add to the store, until when, with which numbers. There are no locks: a writer
 * that stays away past its time is forgotten by the next change that anyone makes, and what it
 * brings later is refused, for its fencing number is in the state no more. */
#include "store__.h"

#include <stdio.h>
#include <string.h>

static void forget_expired(struct store *s, struct state *next)
{
    uint64_t now = s->env.wall_ns(s->env.ctx);
    size_t kept = 0;
    for (size_t i = 0; i < next->leases; i++) {
        if (next->lease[i].expires_ns >= now) {
            next->lease[kept++] = next->lease[i];
        }
    }
    next->leases = kept;
}

/* A collector goes through the whole index without another look at the state. */
static uint64_t expiry(const struct store *s, const struct state *next, uint8_t role)
{
    uint64_t ms = LEASE_MS;
    for (size_t i = 0; role == LEASE_COLLECTOR && i < next->runs; i++) {
        ms += next->run[i].entries / LEASE_ENTRIES_A_MS;
    }
    return s->env.wall_ns(s->env.ctx) + ms * 1000000;
}

static void give_numbers(struct state *next, struct lease_record *l)
{
    if (l->pack_end - l->pack_next < LEASE_FEW) {
        l->pack_next = next->pack_next;
        l->pack_end = next->pack_next += LEASE_PACKS;
    }
    if (l->run_end - l->run_next < LEASE_FEW) {
        l->run_next = next->run_next;
        l->run_end = next->run_next += LEASE_RUNS;
    }
}

struct taking {
    const char *holder;
    enum lease_role role;
    struct lease_record *out;
};

cg_err lease_add(struct store *s, struct state *next, const char *holder, enum lease_role role,
                 struct lease_record *out)
{
    if (!array_room(&next->lease, &next->leases_cap, next->leases, sizeof *next->lease)) {
        return CG_ENOMEM;
    }
    struct lease_record *l = &next->lease[next->leases++];
    *l = (struct lease_record){
        .fence = ++next->fence_next,
        .epoch = next->epoch,
        .expires_ns = expiry(s, next, role),
        .role = (uint8_t)role,
        .pack_low = UINT32_MAX,
        .run_low = UINT32_MAX,
    };
    snprintf(l->holder, sizeof l->holder, "%s", holder);
    if (role != LEASE_HOLD) {
        give_numbers(next, l);
        l->pack_low = l->pack_next;
        l->run_low = l->run_next;
    }
    *out = *l;
    return CG_OK;
}

static cg_err take_edit(struct store *s, struct state *next, void *arg, struct cg_errbuf *eb)
{
    const struct taking *t = arg;
    forget_expired(s, next);
    for (size_t i = 0; t->role == LEASE_COLLECTOR && i < next->leases; i++) {
        if (next->lease[i].role == LEASE_COLLECTOR) {
            return cg_fail(eb, CG_EBUSY, "%s collects already", next->lease[i].holder);
        }
    }
    return lease_add(s, next, t->holder, t->role, t->out);
}

cg_err lease_take(struct store *s, const char *holder, enum lease_role role,
                  struct lease_record *out, struct cg_errbuf *eb)
{
    struct taking t = {.holder = holder, .role = role, .out = out};
    return state_commit(s, take_edit, &t, eb);
}

cg_err lease_check(struct store *s, struct state *next, uint64_t fence, struct lease_record **out,
                   struct cg_errbuf *eb)
{
    forget_expired(s, next);
    struct lease_record *l = state_lease(next, fence);
    if (!l) {
        return cg_fail(eb, CG_EEXPIRED,
                       "this writer's lease is over: it was away for more than %d s; start again",
                       LEASE_MS / 1000);
    }
    l->expires_ns = expiry(s, next, l->role);
    *out = l;
    return CG_OK;
}

struct renewal {
    uint64_t fence;
    const struct lease_record *used; /* its next numbers */
    struct lease_record *out;
};

static cg_err renew_edit(struct store *s, struct state *next, void *arg, struct cg_errbuf *eb)
{
    const struct renewal *r = arg;
    struct lease_record *l;
    cg_err e = lease_check(s, next, r->fence, &l, eb);
    if (!e) {
        l->pack_next = r->used->pack_next;
        l->run_next = r->used->run_next;
        give_numbers(next, l);
        *r->out = *l;
    }
    return e;
}

cg_err lease_renew(struct store *s, uint64_t fence, struct lease_record *now, struct cg_errbuf *eb)
{
    struct lease_record given = *now;
    struct renewal r = {.fence = fence, .used = now, .out = &given};
    cg_err e = state_commit(s, renew_edit, &r, eb);
    if (!e) {
        *now = given;
    }
    return e;
}

void lease_end(struct state *next, uint64_t fence, uint32_t pack_next, uint32_t run_next)
{
    struct lease_record *l = state_lease(next, fence);
    if (!l) {
        return;
    }
    if (l->pack_end == next->pack_next && pack_next >= l->pack_next) {
        next->pack_next = pack_next;
    }
    if (l->run_end == next->run_next && run_next >= l->run_next) {
        next->run_next = run_next;
    }
    *l = next->lease[--next->leases];
}

struct dropping {
    uint64_t fence;
    uint32_t pack_next, run_next;
};

static cg_err drop_edit(struct store *s, struct state *next, void *arg, struct cg_errbuf *eb)
{
    (void)s;
    (void)eb;
    const struct dropping *d = arg;
    lease_end(next, d->fence, d->pack_next, d->run_next);
    return CG_OK;
}

void lease_drop(struct store *s, uint64_t fence, uint32_t pack_next, uint32_t run_next)
{
    struct dropping d = {.fence = fence, .pack_next = pack_next, .run_next = run_next};
    struct cg_errbuf eb = {0};
    state_commit(s, drop_edit, &d, &eb); /* when it fails the lease ends by itself */
}
