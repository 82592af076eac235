/* client: birth and death, what may be asked, and the tick. See client.h for the whole.
 *
 * Every entry that may call back is bracketed by enter and leave: the outermost leave sends what
 * was gathered, delivers reports, and frees a client that was freed by one of its callbacks.
 */
#include "client.h"

#include <string.h>

uint64_t client__now(const struct ninep_client *c)
{
    return c->cfg.env->now_ns(c->cfg.env->ctx);
}

static uint32_t or_default(uint32_t value, uint32_t otherwise)
{
    return value ? value : otherwise;
}

static uint32_t clamp(uint32_t value, uint32_t low, uint32_t high)
{
    return value < low ? low : value > high ? high : value;
}

static void destroy(struct ninep_client *c)
{
    ninep_framer_fini(&c->framer);
    cg_free(c->slot);
    cg_free(c->slot_free);
    cg_free(c->fid_free);
    cg_free(c->fid_clunk);
    cg_free(c->fid_state);
    cg_free(c->user);
    cg_free(c->tree);
    cg_free(c);
}

static cg_err allocate(struct ninep_client *c)
{
    uint32_t slots = c->cfg.slots;
    c->slot = cg_zalloc(slots * sizeof *c->slot);
    c->slot_free = cg_zalloc(slots * sizeof *c->slot_free);
    c->user = cg_strdup(c->cfg.user ? c->cfg.user : "");
    c->tree = cg_strdup(c->cfg.tree ? c->cfg.tree : "");
    bool ok = c->slot && c->slot_free && c->user && c->tree && client__fids_init(c);
    return ok ? CG_OK : CG_ENOMEM;
}

cg_err ninep_client_new(const struct ninep_client_config *config, struct ninep_client **out)
{
    cg_assert(config->env && config->auth && config->connect && config->send && config->disconnect);
    struct ninep_client *c = cg_zalloc(sizeof *c);
    if (!c) {
        return CG_ENOMEM;
    }
    c->cfg = *config;
    c->cfg.msize = clamp(or_default(config->msize, (1 << 20) + (64 << 10)), NINEP_FRAME_BYTES_MIN,
                         NINEP_FRAME_BYTES_MAX);
    c->cfg.slots = clamp(or_default(config->slots, 128), 1, NINEP_SLOTS_MAX);
    c->cfg.deadline_ms = or_default(config->deadline_ms, 30000);
    c->msize = c->cfg.msize;
    c->why = CG_ELINKDOWN;
    const char *name = config->name ? config->name : "the server";
    memcpy(c->name, name, strnlen(name, sizeof c->name - 1));
    cg_list_init(&c->waiting);
    cg_list_init(&c->sent);
    cg_list_init(&c->stranded);
    cg_list_init(&c->reports);
    ninep_framer_init(&c->framer, c->cfg.msize);
    if (allocate(c) != CG_OK) {
        destroy(c);
        return CG_ENOMEM;
    }
    client__slots_init(c, c->cfg.slots);
    *out = c;
    return CG_OK;
}

/* Reports and frees every call; calls that are made meanwhile are refused. */
static void end_calls(struct ninep_client *c)
{
    struct cg_list *const places[] = {&c->sent, &c->stranded, &c->waiting};
    for (size_t i = 0; i < CG_COUNT(places); i++) {
        CG_LIST_EACH (it, places[i]) {
            struct call *k = CG_CONTAINER(it, struct call, link);
            cg_list_del(&k->link);
            k->place = CALL_NOWHERE;
            if (!k->reporting) {
                k->reporting = true;
                k->result = CG_ECANCELED;
                cg_list_push(&c->reports, &k->report_link);
            }
        }
    }
    client__deliver(c);
}

/* Clunks the root: that gives all leases back, so nobody waits for the end of their term. */
static void say_goodbye(struct ninep_client *c)
{
    uint8_t body[NINEP_FIDREF_BYTES];
    struct cg_buf b = cg_buf_writer(body, sizeof body);
    ninep_put_fidref(&b, &(struct ninep_fidref){ninep_client_root(c)});
    union ninep_tmsg t = {.clunk = {.fids = {1, {body, sizeof body}}}};
    struct call *k = c->slot_frees ? client__call_own(c, NINEP_TCLUNK, &t, NULL) : NULL;
    if (k) {
        client__send_now(c, k);
    }
}

void ninep_client_free(struct ninep_client *c)
{
    if (!c || c->dying) {
        return;
    }
    c->dying = true;
    client__enter(c);
    if (c->state == NINEP_UP) {
        say_goodbye(c);
    }
    if (c->state == NINEP_STARTING || c->state == NINEP_UP) {
        c->linked = false;
        c->state = NINEP_DOWN;
        c->cfg.disconnect(c->cfg.ctx);
    }
    c->state = NINEP_DEAD;
    end_calls(c);
    client__forget_session(c);
    client__leave(c);
}

void ninep_client_start(struct ninep_client *c)
{
    if (c->state == NINEP_DOWN && c->attempts == 0) {
        client__enter(c);
        client__connect(c);
        client__leave(c);
    }
}

void client__enter(struct ninep_client *c)
{
    c->depth++;
}

bool client__leave(struct ninep_client *c)
{
    if (c->depth == 1 && !c->dying) {
        client__releases_send(c);
        client__deliver(c);
        if (!cg_list_empty(&c->reports)) {
            client__wake_at(c, client__now(c));
        }
    }
    bool gone = --c->depth == 0 && c->dying;
    if (gone) {
        destroy(c);
    }
    return !gone;
}

void client__unwind(struct ninep_client *c)
{
    if (--c->depth == 0 && c->dying) {
        destroy(c);
    }
}

/* ---- the tick ---- */

void client__wake_at(struct ninep_client *c, uint64_t ns)
{
    if (c->tick_ns == 0 || ns < c->tick_ns) {
        c->tick_ns = ns;
        if (c->cfg.wake && !c->dying) {
            c->cfg.wake(c->cfg.ctx);
        }
    }
}

static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a == 0 ? b : b == 0 || a < b ? a : b;
}

static uint64_t due(const struct ninep_client *c)
{
    if (!cg_list_empty(&c->reports)) {
        return client__now(c);
    }
    uint64_t next = sooner(c->deadlines_ns, client__ping_due(c));
    if (c->state == NINEP_DOWN) {
        next = sooner(next, c->retry_ns);
    } else if (c->state == NINEP_STARTING) {
        next = sooner(next, c->start_ns);
    } else if (c->state == NINEP_UP) {
        next = c->fid_clunks ? sooner(next, client__clunks_alone(c)) : next;
        next = c->releases ? sooner(next, c->release_due_ns) : next;
    }
    return next;
}

static void tick_link(struct ninep_client *c, uint64_t now)
{
    if (c->state == NINEP_DOWN && c->retry_ns && now >= c->retry_ns) {
        client__connect(c);
    } else if (c->state == NINEP_STARTING && now >= c->start_ns) {
        client__drop(c, CG_ETIMEDOUT, "%s within %d ms",
                     c->linked ? "no answer to the greeting" : "no connection", CLIENT_START_MS);
    }
}

uint64_t ninep_client_tick(struct ninep_client *c)
{
    uint64_t now = client__now(c);
    client__enter(c);
    c->tick_ns = 1; /* nobody needs to wake us: what becomes due now is told at the end */
    tick_link(c, now);
    if (c->fid_clunks && now >= c->clunk_due_ns) {
        client__clunks_send(c);
    }
    client__ping(c, now);
    client__deadlines(c, now);
    if (!client__leave(c)) {
        return 0;
    }
    c->tick_ns = due(c);
    return c->tick_ns;
}

/* ---- what may be asked ---- */

struct ninep_framer *ninep_client_framer(struct ninep_client *c)
{
    return &c->framer;
}

uint32_t ninep_client_root(struct ninep_client *c)
{
    (void)c;
    return 0;
}

const struct ninep_attr *ninep_client_root_attr(struct ninep_client *c)
{
    return &c->root_attr;
}

uint32_t ninep_client_rtt_us(const struct ninep_client *c)
{
    return c->rtt_us;
}

uint32_t ninep_client_msize(const struct ninep_client *c)
{
    return c->msize;
}

enum ninep_client_state ninep_client_state(const struct ninep_client *c)
{
    return c->state;
}

uint64_t ninep_client_round_trips(const struct ninep_client *c)
{
    return c->round_trips;
}

uint32_t ninep_client_chain(struct ninep_client *c)
{
    c->chain_last = c->chain_last == UINT32_MAX ? 1 : c->chain_last + 1;
    client__keep_counters(c);
    return c->chain_last;
}

struct ninep_frame *ninep_client_keep_frame(struct ninep_client *c)
{
    cg_assert(c->frame);
    return ninep_frame_ref(c->frame);
}

cg_err ninep_client_status(struct ninep_client *c, struct cg_str *out)
{
    static const char *const names[] = {"down", "starting", "up", "dead"};
    cg_err e = cg_str_addf(out, "%s %s session ", c->name, names[c->state]);
    for (size_t i = 0; i < sizeof c->id && e == CG_OK; i++) {
        e = cg_str_addf(out, "%02x", c->id[i]);
    }
    uint64_t now = client__now(c), until = ninep_client_lease_until_ns(c);
    uint32_t used = c->slots_in_force - (c->has_session ? c->slot_frees : c->slots_in_force);
    if (e == CG_OK) {
        e = cg_str_addf(out,
                        " epoch %llu slots %u/%u calls %u rtt_us %u round_trips %llu in %llu "
                        "out %llu reconnects %llu lease_ms %llu",
                        (unsigned long long)c->epoch, used, c->slots_in_force, c->calls, c->rtt_us,
                        (unsigned long long)c->round_trips, (unsigned long long)c->bytes_in,
                        (unsigned long long)c->bytes_out, (unsigned long long)c->reconnects,
                        (unsigned long long)(until > now ? (until - now) / CLIENT_MS : 0));
    }
    if (e == CG_OK && c->state != NINEP_UP && c->why_text.text[0]) {
        e = cg_str_addf(out, " because %s", c->why_text.text);
    }
    return e == CG_OK ? cg_str_add(out, "\n", 1) : e;
}
