/* client_reply: frames from the server. A frame that breaks the protocol ends the connection, not
 * the client: it may be the link that is bad, and a restarted server may do better. */
#include "client.h"
#include <cognu/stats.h>

#include <stdio.h>

enum { TAIL_MUST_UNDERSTAND = 0x8000 };

/* Tail items are extensions: none are known yet, and some may not be ignored. */
static bool tail_ok(struct cg_buf *b, uint16_t bytes)
{
    struct cg_span tail = cg_get_span(b, bytes);
    struct cg_buf t = cg_buf_reader(tail.data, tail.len);
    while (cg_buf_left(&t) && !t.bad) {
        struct ninep_tailitem item;
        ninep_get_tailitem(&t, &item);
        if (item.type & TAIL_MUST_UNDERSTAND) {
            return false;
        }
    }
    return !t.bad && !b->bad;
}

static void error_text(const union ninep_rmsg *r, struct cg_errbuf *eb)
{
    if (r->error.detail.len == 0 || !cg_span_str(r->error.detail, eb->text, sizeof eb->text)) {
        snprintf(eb->text, sizeof eb->text, "%s", cg_err_meaning(r->error.code));
    }
}

static void on_control(struct ninep_client *c, uint8_t type, const union ninep_rmsg *r)
{
    struct cg_errbuf eb;
    if (type == NINEP_RPING && c->ping_ns) {
        client__ponged(c);
    } else if (type == NINEP_RSESSION) {
        client__session(c, &r->session);
    } else if (type == NINEP_RERROR && !c->got_session) {
        error_text(r, &eb);
        client__session_refused(c, r->error.code, eb.text);
    } else if (type != NINEP_RCANCEL && type != NINEP_RERROR) {
        client__drop(c, CG_EPROTO, "%s sent an unasked %s", c->name,
                     ninep_type_name(type, NINEP_DIALECT_NG));
    }
    /* Rcancel, or its refusal, needs no look: the call itself is answered too. */
}

/* Answers that a server gives at once: they measure the way. */
static bool quick(uint8_t type)
{
    return type == NINEP_TWALK || type == NINEP_TGETATTR;
}

static void complete(struct ninep_client *c, struct call *k, uint8_t type,
                     const union ninep_rmsg *r)
{
    struct cg_errbuf eb = {0};
    cg_err e = CG_OK;
    if (type == NINEP_RERROR) {
        e = r->error.code ? r->error.code : CG_EPROTO;
        error_text(r, &eb);
    }
    uint64_t sent_ns = k->sent_ns;
    bool sample = quick(k->asked);
    cg_stats_step(k->trace, CG_LAYER_CALL, client__now(c) - k->sent_ns, e,
                  ninep_type_name(k->asked, NINEP_DIALECT_NG), c->name);
    client__answered(c, k);
    if (k->internal && k->type == NINEP_TCLUNK) {
        client__clunked(c, k);
    }
    ninep_done *done = k->ghost ? NULL : k->done;
    void *aux = k->aux;
    uint32_t clunk = k->clunk ? k->newfid : NINEP_NOFID;
    if (!k->reporting) {
        client__call_free(c, k);
    }
    client__renew(c, sent_ns);
    if (sample) {
        client__rtt(c, sent_ns);
    }
    if (clunk != NINEP_NOFID) {
        client__clunk(c, clunk);
    }
    if (done) {
        done(aux, e, r, eb.text);
    }
    client__pump(c);
}

static void on_reply(struct ninep_client *c, const struct ninep_rhead *h, const union ninep_rmsg *r)
{
    struct call *k = h->tag < c->cfg.slots && c->got_session ? c->slot[h->tag].call : NULL;
    bool fits = k && (k->ghost || h->type == NINEP_RERROR || h->type == k->type + 1);
    if (fits) {
        complete(c, k, h->type, r);
    } else {
        client__drop(c, CG_EPROTO, "%s answered with %s, which nobody asked for", c->name,
                     ninep_type_name(h->type, NINEP_DIALECT_NG));
    }
}

static void on_frame(struct ninep_client *c, struct ninep_frame *f)
{
    struct cg_buf b = cg_buf_reader(f->data, f->len);
    struct ninep_rhead h;
    union ninep_rmsg r;
    ninep_get_rhead(&b, &h);
    if (b.bad || h.size != f->len || !tail_ok(&b, h.tail) || !ninep_get_rmsg(h.type, &b, &r)) {
        client__drop(c, CG_EPROTO, "%s sent a malformed %s", c->name,
                     ninep_type_name(h.type, NINEP_DIALECT_NG));
    } else if (h.tag == NINEP_VERSION_TAG) {
        on_control(c, h.type, &r);
    } else {
        on_reply(c, &h, &r);
    }
}

void ninep_client_frame(struct ninep_client *c, struct ninep_frame *f)
{
    if (!c->linked) {
        ninep_frame_free(f);
        return;
    }
    client__enter(c);
    c->bytes_in += f->len;
    struct ninep_frame *outer = c->frame;
    c->frame = f;
    if (c->got_version) {
        on_frame(c, f);
    } else {
        client__version(c, f);
    }
    c->frame = outer;
    ninep_frame_free(f);
    client__leave(c);
}
