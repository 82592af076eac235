/* client_fid: numbers for fids, and their clunks, which are gathered.
 *
 * A number is used again only after the server has said that it let go of it (Rclunk), and never
 * after its session was lost: a late clunk by a holder that has not yet heard of the loss must not
 * hit a new file. The two lists grow when a number is given out, so that clunking cannot fail.
 */
#include "client.h"

#include <string.h>

enum { FIDS_FIRST = 64 };

bool client__fids_grow(struct ninep_client *c, uint32_t cap)
{
    uint32_t *frees = cg_realloc(c->fid_free, cap * sizeof *frees);
    c->fid_free = frees ? frees : c->fid_free;
    uint32_t *clunks = cg_realloc(c->fid_clunk, cap * sizeof *clunks);
    c->fid_clunk = clunks ? clunks : c->fid_clunk;
    uint8_t *states = cg_realloc(c->fid_state, cap);
    c->fid_state = states ? states : c->fid_state;
    if (frees && clunks && states) {
        c->fid_cap = cap;
        return true;
    }
    return false;
}

/* Number 0 is the root of every session. */
bool client__fids_init(struct ninep_client *c)
{
    c->fid_base = c->fid_next = 1;
    return client__fids_grow(c, FIDS_FIRST);
}

void client__fids_lost(struct ninep_client *c)
{
    c->fid_base = c->fid_next;
    c->fid_frees = c->fid_clunks = 0;
}

uint32_t ninep_client_fid(struct ninep_client *c)
{
    uint32_t fid, given = c->fid_next - c->fid_base;
    if (c->fid_frees) {
        fid = c->fid_free[--c->fid_frees];
    } else if (given >= CLIENT_FIDS_MAX || c->fid_next == NINEP_NOFID ||
               (given == c->fid_cap && !client__fids_grow(c, c->fid_cap * 2))) {
        return NINEP_NOFID;
    } else {
        fid = c->fid_next++;
        client__keep_counters(c);
    }
    c->fid_state[fid - c->fid_base] = FID_USED;
    return fid;
}

/* The request that makes this fid was given up, but the server may still be at it. */
static struct call *ghost_of(struct ninep_client *c, uint32_t fid)
{
    if (c->ghosts == 0) {
        return NULL;
    }
    CG_LIST_EACH (it, &c->sent) {
        struct call *k = CG_CONTAINER(it, struct call, link);
        if (k->ghost && k->newfid == fid) {
            return k;
        }
    }
    return NULL;
}

void ninep_client_clunk(struct ninep_client *c, uint32_t fid)
{
    if (fid < c->fid_base || fid == NINEP_NOFID || c->dying) {
        return; /* it went with its session */
    }
    cg_assert(fid < c->fid_next && c->fid_state[fid - c->fid_base] == FID_USED);
    c->fid_state[fid - c->fid_base] = FID_CLUNKING;
    struct call *ghost = ghost_of(c, fid);
    if (ghost) {
        ghost->clunk = true;
    } else {
        client__clunk(c, fid);
    }
}

/* When the gathered clunks go even without a call. */
uint64_t client__clunks_alone(const struct ninep_client *c)
{
    return c->clunk_due_ns + (CLIENT_CLUNK_MS_MAX - CLIENT_CLUNK_MS) * CLIENT_MS;
}

void client__clunk(struct ninep_client *c, uint32_t fid)
{
    c->fid_clunk[c->fid_clunks++] = fid;
    if (c->fid_clunks == 1) {
        c->clunk_due_ns = client__now(c) + CLIENT_CLUNK_MS * CLIENT_MS;
        client__wake_at(c, client__clunks_alone(c));
    }
}

void client__clunks_send(struct ninep_client *c)
{
    uint8_t body[NINEP_CLUNK_FIDS_MAX * NINEP_FIDREF_BYTES];
    while (c->fid_clunks && c->state == NINEP_UP) {
        uint32_t n = c->fid_clunks < NINEP_CLUNK_FIDS_MAX ? c->fid_clunks : NINEP_CLUNK_FIDS_MAX;
        struct cg_buf b = cg_buf_writer(body, sizeof body);
        for (uint32_t i = 0; i < n; i++) {
            ninep_put_fidref(&b, &(struct ninep_fidref){c->fid_clunk[c->fid_clunks - n + i]});
        }
        union ninep_tmsg t = {.clunk = {.fids = {(uint16_t)n, {body, (uint32_t)b.pos}}}};
        struct call *k = client__call_own(c, NINEP_TCLUNK, &t, NULL);
        if (!k) {
            c->clunk_due_ns = client__now(c) + CLIENT_CLUNK_MS * CLIENT_MS; /* memory may return */
            return;
        }
        c->fid_clunks -= n;
        k->frame->lazy = true;
        client__queue(c, k, false);
        client__pump(c);
    }
}

/* An error makes no difference: a fid that the server did not know is free as well. */
void client__clunked(struct ninep_client *c, const struct call *k)
{
    struct cg_buf b = cg_buf_reader(k->frame->data, k->frame->len);
    cg_get_span(&b, NINEP_T_HEADER_BYTES);
    struct ninep_tclunk t;
    ninep_get_tclunk(&b, &t);
    struct cg_buf it = ninep_list_iter(&t.fids);
    for (uint16_t i = 0; i < t.fids.count; i++) {
        struct ninep_fidref ref;
        ninep_get_fidref(&it, &ref);
        c->fid_state[ref.fid - c->fid_base] = FID_FREE;
        c->fid_free[c->fid_frees++] = ref.fid;
    }
}
