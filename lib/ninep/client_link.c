/* client_link: how a client comes up, goes down, and comes back.
 *
 * A new session takes one flight: Tversion, Tsession and Tattach go out together, because a peer
 * that does not speak 9P-NG fails the first and ignores the rest, and because requests on a new
 * session can have no effect but ours. When a session is resumed, Tversion and Tsession go out
 * together and the unanswered requests follow when the server has said that it still knows the
 * session: sent blindly to a new session, their numbers would lie.
 */
#include "client.h"

#include <stdio.h>
#include <string.h>

static const char version[] = "9P-NG";

static void set_state(struct ninep_client *c, enum ninep_client_state st, bool resumed)
{
    c->state = st;
    if (c->cfg.state) {
        bool bad = st == NINEP_DOWN || st == NINEP_DEAD;
        c->cfg.state(c->cfg.ctx, st, resumed, bad ? c->why : CG_OK, bad ? c->why_text.text : "");
    }
}

/* Errors that asking again will not heal. */
bool client__final(cg_err e)
{
    static const cg_err errors[] = {CG_EPERM,      CG_EACCES,     CG_ENOENT,   CG_EAUTH,
                                    CG_EINVAL,     CG_EWIDENED,   CG_EREVOKED, CG_EUNPAIRED,
                                    CG_ENOSERVICE, CG_EBADFORMAT, CG_ENOSYS};
    for (size_t i = 0; i < CG_COUNT(errors); i++) {
        if (errors[i] == e) {
            return true;
        }
    }
    return false;
}

void client__connect(struct ninep_client *c)
{
    c->attempts++;
    c->retry_ns = 0;
    c->start_ns = client__now(c) + CLIENT_START_MS * CLIENT_MS;
    client__wake_at(c, c->start_ns);
    set_state(c, NINEP_STARTING, false);
    if (c->state == NINEP_STARTING) {
        c->cfg.connect(c->cfg.ctx);
    }
}

/* Half of the pause is random, so that the clients of a restarted server do not come back as one.
 */
static void pause_then_retry(struct ninep_client *c)
{
    uint32_t shift = c->attempts < 8 ? c->attempts : 8;
    uint64_t ms = (uint64_t)CLIENT_PAUSE_MS_MIN << (shift ? shift - 1 : 0);
    ms = ms > CLIENT_PAUSE_MS_MAX ? CLIENT_PAUSE_MS_MAX : ms;
    uint32_t r;
    c->cfg.env->random(c->cfg.env->ctx, &r, sizeof r);
    uint64_t ns = ms * CLIENT_MS / 2;
    c->retry_ns = client__now(c) + ns + (ns * (r >> 1) >> 31);
    client__wake_at(c, c->retry_ns);
}

/* The link is gone, or did not come. Sent calls stay sent: they are sent again on resume. */
static void down(struct ninep_client *c, cg_err why, const char *detail)
{
    c->reconnects += c->state == NINEP_UP;
    c->linked = false;
    c->why = why == CG_OK ? CG_ELINKDOWN : why;
    snprintf(c->why_text.text, sizeof c->why_text.text, "%s",
             detail && *detail ? detail : cg_err_meaning(c->why));
    c->ping_ns = 0;
    if (c->credential_wanted) {
        c->credential_wanted = false;
        c->credentials_stale++;
    }
    if (!c->attached) {
        /* A credential is good for its connection only. So an attach is not sent again: the next
         * connection begins a new session, and this one, which holds nothing, ends by itself. */
        c->has_session = false;
        client__strand(c);
    }
    client__cancelled_lost(c);
    pause_then_retry(c);
    set_state(c, NINEP_DOWN, false);
}

void client__drop(struct ninep_client *c, cg_err why, const char *fmt, ...)
{
    struct cg_errbuf eb;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(eb.text, sizeof eb.text, fmt, ap);
    va_end(ap);
    c->linked = false;
    c->reconnects += c->state == NINEP_UP;
    c->state = NINEP_DOWN; /* a transport may tell us of the loss: we know */
    c->cfg.disconnect(c->cfg.ctx);
    down(c, why, eb.text);
}

void client__die(struct ninep_client *c, cg_err why, const char *detail)
{
    c->why = why;
    snprintf(c->why_text.text, sizeof c->why_text.text, "%s",
             detail && *detail ? detail : cg_err_meaning(why));
    c->linked = false;
    c->credential_wanted = false;
    client__forget_session(c);
    c->state = NINEP_DEAD;
    c->cfg.disconnect(c->cfg.ctx);
    client__strand(c);
    client__report_stranded(c);
    client__report_all(c, why);
    set_state(c, NINEP_DEAD, false);
}

/* ---- the start flight ---- */

static void send_version(struct ninep_client *c)
{
    struct ninep_tversion t = {.msize = c->cfg.msize, .version = cg_span_of(version)};
    struct ninep_frame *f =
        ninep_frame_new(NINEP_P_HEADER_BYTES + (uint32_t)ninep_size_tversion(&t));
    if (!f) {
        client__drop(c, CG_ENOMEM, "no memory for a greeting");
        return;
    }
    struct cg_buf b = cg_buf_writer(f->data, f->cap);
    cg_put_u32(&b, f->cap);
    cg_put_u8(&b, NINEP_TVERSION);
    cg_put_u16(&b, NINEP_VERSION_TAG);
    ninep_put_tversion(&b, &t);
    cg_assert(!b.bad && b.pos == f->cap);
    f->len = f->cap;
    c->bytes_out += f->len;
    c->cfg.send(c->cfg.ctx, f);
}

static void send_session(struct ninep_client *c)
{
    union ninep_tmsg t = {.session = {.features = NINEP_FEATURE_CHAIN | NINEP_FEATURE_COMPOUND |
                                                  NINEP_FEATURE_LEASE | NINEP_FEATURE_LOCK |
                                                  NINEP_FEATURE_XATTR | NINEP_FEATURE_SPARSE |
                                                  NINEP_FEATURE_CANCEL | NINEP_FEATURE_TICKET,
                                      .msize = c->cfg.msize,
                                      .slots = (uint16_t)c->cfg.slots}};
    uint8_t proof[32];
    if (c->has_session) {
        memcpy(t.session.id, c->id, sizeof c->id);
        t.session.epoch = c->epoch;
        c->cfg.auth->proof(c->cfg.auth->ctx, c->first_binding, c->id, c->peer.binding, proof);
        t.session.proof = (struct cg_span){proof, sizeof proof};
    } else {
        memcpy(c->first_binding, c->peer.binding, sizeof c->first_binding);
    }
    c->session_sent_ns = client__now(c);
    client__control(c, NINEP_TSESSION, &t);
}

static void on_attach(void *aux, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    struct ninep_client *c = aux;
    if (e == CG_OK) {
        c->attached = true;
        c->root_attr = r->attach.attr;
        client__up(c);
    } else if (client__final(e)) {
        client__die(c, e, detail);
    } else {
        client__drop(c, e, "attach: %s", detail);
    }
}

static void send_attach(struct ninep_client *c, const void *credential, uint32_t len)
{
    union ninep_tmsg t = {.attach = {.fid = ninep_client_root(c),
                                     .user = cg_span_of(c->user),
                                     .tree = cg_span_of(c->tree),
                                     .credential = {credential, len}}};
    struct call *k = client__call_own(c, NINEP_TATTACH, &t, on_attach);
    if (k) {
        client__send_now(c, k);
    } else {
        client__drop(c, CG_ENOMEM, "no memory for an attach");
    }
}

static void begin_attach(struct ninep_client *c)
{
    if (c->cfg.credential) {
        c->credential_wanted = true;
        void *ctx = c->cfg.credential_ctx ? c->cfg.credential_ctx : c->cfg.ctx;
        c->cfg.credential(ctx, &c->peer);
    } else {
        send_attach(c, NULL, 0);
    }
}

void ninep_client_credential(struct ninep_client *c, cg_err e, const void *data, uint32_t len)
{
    if (c->credentials_stale) {
        c->credentials_stale--;
        return;
    }
    if (!c->credential_wanted || c->dying) {
        return;
    }
    client__enter(c);
    c->credential_wanted = false;
    if (e == CG_OK && len > CLIENT_CREDENTIAL_BYTES_MAX) {
        e = CG_EINVAL;
    }
    if (e == CG_OK) {
        send_attach(c, data, len);
    } else if (client__final(e)) {
        client__die(c, e, "no credential could be made");
    } else {
        client__drop(c, e, "no credential could be made: %s", cg_err_meaning(e));
    }
    client__leave(c);
}

void ninep_client_connected(struct ninep_client *c, const struct ninep_peer *peer)
{
    if (c->state != NINEP_STARTING || c->linked) {
        return;
    }
    client__enter(c);
    c->linked = true;
    c->got_version = c->got_session = false;
    c->peer = *peer;
    ninep_framer_fini(&c->framer);
    ninep_framer_init(&c->framer, c->cfg.msize);
    c->start_ns = client__now(c) + CLIENT_START_MS * CLIENT_MS;
    c->round_trips++;
    send_version(c);
    if (c->linked) {
        send_session(c);
    }
    if (c->linked && !c->has_session) {
        client__slots_init(c, c->cfg.slots);
        begin_attach(c);
    }
    client__leave(c);
}

void ninep_client_unconnected(struct ninep_client *c, cg_err why, const char *detail)
{
    if (c->state != NINEP_STARTING || c->linked) {
        return;
    }
    client__enter(c);
    down(c, why, detail);
    if (!c->was_up && client__final(why)) {
        /* A refusal, not an outage: those who wait are told now, though we go on trying. */
        client__report_all(c, why);
    }
    client__leave(c);
}

void ninep_client_lost(struct ninep_client *c, cg_err why, const char *detail)
{
    if (!c->linked) {
        return;
    }
    client__enter(c);
    down(c, why, detail);
    client__leave(c);
}

/* ---- the answers ---- */

void client__version(struct ninep_client *c, struct ninep_frame *f)
{
    struct cg_buf b = cg_buf_reader(f->data, f->len);
    cg_get_u32(&b);
    uint8_t type = cg_get_u8(&b);
    uint16_t tag = cg_get_u16(&b);
    struct ninep_rversion r;
    ninep_get_rversion(&b, &r);
    char said[32];
    if (type != NINEP_RVERSION || tag != NINEP_VERSION_TAG || b.bad || cg_buf_left(&b)) {
        client__drop(c, CG_EPROTO, "%s did not answer the greeting with Rversion", c->name);
    } else if (!cg_span_is(r.version, version)) {
        if (!cg_span_str(r.version, said, sizeof said)) {
            snprintf(said, sizeof said, "?");
        }
        struct cg_errbuf eb;
        cg_fail(&eb, CG_EPROTO, "%s speaks '%s', not %s: use a 9P client of that dialect", c->name,
                said, version);
        client__die(c, CG_EPROTO, eb.text);
    } else {
        c->got_version = true;
    }
}

static void session_lost(struct ninep_client *c)
{
    c->has_session = c->attached = false;
    client__forget_session(c);
    client__strand(c);
    c->clunk_rest = false;
    c->adopted = 0;
    client__slots_init(c, c->cfg.slots);
    client__fids_lost(c);
    c->releases = 0;
    c->event_seen = 0;
}

void client__session(struct ninep_client *c, const struct ninep_rsession *r)
{
    bool asked_resume = c->has_session;
    if (c->got_session || r->slots == 0 || r->msize < NINEP_FRAME_BYTES_MIN ||
        r->msize > c->cfg.msize || (r->resumed && memcmp(r->id, c->id, sizeof c->id) != 0)) {
        client__drop(c, CG_EPROTO, "%s answered Tsession with values out of range", c->name);
        return;
    }
    c->got_session = true;
    c->msize = r->msize;
    c->lease_ms = r->lease_ms;
    c->features = r->features;
    c->epoch = r->epoch;
    client__rtt(c, c->session_sent_ns);
    if (asked_resume && r->resumed) {
        client__resend(c);
        if (c->linked) {
            client__up(c);
        }
        return;
    }
    if (asked_resume) {
        session_lost(c);
    }
    c->has_session = true;
    c->fresh = true;
    c->renewed_ns = 0;
    memcpy(c->id, r->id, sizeof c->id);
    memcpy(c->first_binding, c->peer.binding, sizeof c->first_binding);
    client__slots_limit(c, r->slots);
    if (asked_resume) {
        begin_attach(c);
    }
}

void client__session_refused(struct ninep_client *c, cg_err e, const char *detail)
{
    if (c->has_session && e == CG_ESESSION) {
        session_lost(c);
        send_session(c);
        begin_attach(c);
    } else if (client__final(e)) {
        client__die(c, e, detail);
    } else {
        client__drop(c, e, "session: %s", detail);
    }
}

/* The first watch of a session says that nothing is remembered of the one before. */
void ninep_client_forgotten(struct ninep_client *c)
{
    if (!c->forgetting || c->dying) {
        return;
    }
    c->forgetting = false;
    if (c->state == NINEP_UP && !c->watch) {
        client__enter(c);
        client__watch_start(c);
        client__unwind(c);
    }
}

void client__up(struct ninep_client *c)
{
    bool lost = c->was_up && c->fresh;
    c->attempts = 0;
    c->why = CG_OK;
    c->why_text.text[0] = 0;
    if (lost) {
        client__report_stranded(c);
        client__report_all(c, CG_ESESSION);
    }
    bool resumed = c->was_up && !c->fresh;
    bool fresh = c->fresh;
    c->was_up = true;
    c->fresh = false;
    if (fresh) {
        c->renewed_ns = c->session_sent_ns;
        client__keep_session(c);
    }
    c->forgetting = c->forgetting || lost;
    if (!c->watch && !c->forgetting) {
        client__watch_start(c);
    }
    set_state(c, NINEP_UP, resumed);
    if (lost && (!c->cfg.forgotten || c->cfg.forgotten(c->cfg.ctx))) {
        ninep_client_forgotten(c);
    }
    client__clunk_rest(c);
    client__releases_send(c);
    client__deliver(c);
    client__clunks_send(c);
    client__pump(c);
    client__wake_at(c, client__ping_due(c));
}
