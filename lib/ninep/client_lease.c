/* client_lease: what keeps leases true: the clock, the standing watch, pings, and giving back.
 *
 * The server lets a lease live for lease_ms after the last message that it heard. The client cannot
 * know when that was, but it was not before the client sent a request that was answered: it counts
 * from there, and leaves a part unused because two clocks run apart. When the clock has run out,
 * leases may have been taken away unheard: the first answer after that brings LOST before anything
 * else, because every cached state must be doubted.
 */
#include "client.h"

static uint64_t term_ns(const struct ninep_client *c)
{
    return (c->lease_ms - c->lease_ms / CLIENT_LEASE_MARGIN) * CLIENT_MS;
}

uint64_t ninep_client_lease_until_ns(const struct ninep_client *c)
{
    bool any = c->has_session && !c->fresh && c->features & NINEP_FEATURE_LEASE;
    return any && c->renewed_ns ? c->renewed_ns + term_ns(c) : 0;
}

void client__renew(struct ninep_client *c, uint64_t sent_ns)
{
    if (sent_ns <= c->renewed_ns) {
        return;
    }
    uint64_t until = ninep_client_lease_until_ns(c);
    c->renewed_ns = sent_ns;
    if (until && client__now(c) >= until && c->cfg.event) {
        c->cfg.event(c->cfg.ctx, &(struct ninep_event){.kind = NINEP_EVENT_LOST});
    }
}

void client__rtt(struct ninep_client *c, uint64_t sent_ns)
{
    uint64_t us = (client__now(c) - sent_ns) / 1000;
    us = us > UINT32_MAX / 8 ? UINT32_MAX / 8 : us;
    c->rtt_us = c->rtt_us ? (uint32_t)((c->rtt_us * UINT64_C(7) + us) / 8) : (uint32_t)us;
}

/* ---- the standing watch ---- */

static void on_watch(void *aux, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    struct ninep_client *c = aux;
    (void)detail;
    c->watch = NULL;
    if (e != CG_OK) {
        /* Without a watch no break would reach us: begin anew. */
        client__drop(c, CG_EPROTO, "%s refused the standing watch", c->name);
        return;
    }
    struct cg_buf it = ninep_list_iter(&r->watch.events);
    for (uint16_t i = 0; i < r->watch.events.count; i++) {
        struct ninep_event event;
        ninep_get_event(&it, &event);
        if (event.number > c->event_seen) {
            c->event_seen = event.number;
            if (c->cfg.event) {
                c->cfg.event(c->cfg.ctx, &event);
            }
        }
    }
    if (c->linked) {
        client__watch_start(c);
    }
}

void client__watch_start(struct ninep_client *c)
{
    if (!(c->features & NINEP_FEATURE_LEASE) || c->slots_in_force < CLIENT_SLOTS_MIN) {
        return;
    }
    client__keep_counters(c);
    union ninep_tmsg t = {.watch = {.seen = c->event_seen}};
    c->watch = client__call_own(c, NINEP_TWATCH, &t, on_watch);
    if (!c->watch) {
        client__drop(c, CG_ENOMEM, "no memory for the standing watch");
        return;
    }
    if (c->slot_frees) {
        client__send_now(c, c->watch);
    } else {
        client__queue(c, c->watch, true);
    }
}

void client__watch_adopted(struct ninep_client *c, struct call *k)
{
    c->watch = k;
    k->done = on_watch;
    k->aux = c;
}

/* ---- giving back ----
 *
 * What is given back during one entry goes together; what is given back unasked waits a moment for
 * more. But it goes before any call that is made later: a lease that such a call brings must not be
 * ended by an older Trelease. While the link is down, releases wait at the head of the queue. */

void client__releases_send(struct ninep_client *c)
{
    bool full = c->releases == CLIENT_RELEASES_MAX;
    if (c->releases == 0 || (c->state != NINEP_UP && !full)) {
        return;
    }
    uint8_t body[CLIENT_RELEASES_MAX * NINEP_RELEASE_BYTES];
    struct cg_buf b = cg_buf_writer(body, sizeof body);
    for (uint32_t i = 0; i < c->releases; i++) {
        ninep_put_release(&b, &c->release[i]);
    }
    cg_assert(!b.bad);
    union ninep_tmsg t = {.release = {.leases = {(uint16_t)c->releases, {body, (uint32_t)b.pos}}}};
    struct call *k = client__call_own(c, NINEP_TRELEASE, &t, NULL);
    if (!k) {
        c->release_due_ns = client__now(c) + CLIENT_CLUNK_MS * CLIENT_MS; /* memory may return */
        return;
    }
    c->releases = 0;
    client__queue(c, k, true);
    client__pump(c);
}

void ninep_client_release(struct ninep_client *c, const struct ninep_event *event)
{
    if (!c->has_session || c->dying) {
        return;
    }
    if (c->releases == CLIENT_RELEASES_MAX) {
        client__releases_send(c);
    }
    if (c->releases == CLIENT_RELEASES_MAX) {
        return; /* no memory: the term ends this lease */
    }
    c->release[c->releases++] = (struct ninep_release){.number = event->number, .id = event->id};
    if (event->number == 0 && c->releases == 1) {
        c->release_due_ns = client__now(c) + CLIENT_CLUNK_MS * CLIENT_MS;
        client__wake_at(c, c->release_due_ns);
    }
    if (event->number != 0 && c->depth == 0) {
        client__enter(c);
        client__releases_send(c);
        client__unwind(c);
    }
}

/* ---- pings ---- */

static uint64_t idle_ns(const struct ninep_client *c)
{
    return c->lease_ms * CLIENT_MS / 3;
}

uint64_t client__ping_due(const struct ninep_client *c)
{
    if (c->state != NINEP_UP || c->lease_ms == 0) {
        return 0;
    }
    return c->ping_ns ? c->ping_ns + c->lease_ms * CLIENT_MS / 2 : c->renewed_ns + idle_ns(c);
}

static size_t frame_left(struct ninep_client *c)
{
    size_t left;
    ninep_framer_space(&c->framer, &left);
    return left;
}

void client__ponged(struct ninep_client *c)
{
    uint64_t sent = c->ping_ns;
    c->ping_ns = 0;
    client__rtt(c, sent);
    client__renew(c, sent);
}

void client__ping(struct ninep_client *c, uint64_t now)
{
    uint64_t due = client__ping_due(c);
    if (due == 0 || now < due) {
        return;
    }
    if (!c->ping_ns) {
        c->ping_ns = now;
        c->ping_left = frame_left(c);
        client__control(c, NINEP_TPING, &(union ninep_tmsg){.ping = {0}});
    } else if (frame_left(c) != c->ping_left || c->renewed_ns > c->ping_ns) {
        c->ping_ns = now; /* the answer is behind bulk that does arrive */
        c->ping_left = frame_left(c);
    } else {
        client__drop(c, CG_ETIMEDOUT, "%s did not answer a ping within %u ms", c->name,
                     c->lease_ms / 2);
    }
}
