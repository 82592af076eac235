#include "client_peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t now_ns(void *ctx)
{
    return ((struct peer *)ctx)->now_ns;
}

static void random_bytes(void *ctx, void *out, size_t bytes)
{
    struct peer *p = ctx;
    for (size_t i = 0; i < bytes; i++) {
        p->random = p->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        ((uint8_t *)out)[i] = (uint8_t)(p->random >> 56);
    }
}

static void on_connect(void *ctx)
{
    ((struct peer *)ctx)->connects++;
}

static void on_send(void *ctx, struct ninep_frame *f)
{
    struct peer *p = ctx;
    cg_assert(p->frames < PEER_FRAMES_MAX);
    p->frame[p->frames++] = f;
}

static void forget_frames(struct peer *p)
{
    for (uint32_t i = 0; i < p->frames; i++) {
        ninep_frame_free(p->frame[i]);
    }
    p->frames = p->taken = 0;
}

static void on_disconnect(void *ctx)
{
    struct peer *p = ctx;
    p->disconnects++;
    forget_frames(p);
}

static void on_state(void *ctx, enum ninep_client_state st, bool resumed, cg_err why,
                     const char *detail)
{
    struct peer *p = ctx;
    cg_assert(p->states < PEER_STATES_MAX);
    p->state[p->states].st = st;
    p->state[p->states].resumed = resumed;
    p->state[p->states].why = why;
    snprintf(p->state[p->states++].detail, CG_DETAIL_BYTES, "%s", detail);
}

static void on_event(void *ctx, const struct ninep_event *event)
{
    struct peer *p = ctx;
    p->event[p->events++ % 64] = *event;
    if (p->release_events && event->kind == NINEP_EVENT_BREAK) {
        ninep_client_release(p->client, event);
    }
}

static void on_wake(void *ctx)
{
    ((struct peer *)ctx)->wakes++;
}

void peer_init(struct peer *p)
{
    memset(p, 0, sizeof *p);
    p->now_ns = UINT64_C(1000000000000);
    p->env = (struct cg_env){.now_ns = now_ns, .wall_ns = now_ns, .random = random_bytes, .ctx = p};
    p->epoch = 7;
    p->slots = 16;
    p->lease_ms = 15000;
    p->msize = 65536;
    p->features = UINT64_MAX;
    p->config = (struct ninep_client_config){.env = &p->env,
                                             .auth = &ninep_auth_local,
                                             .msize = 65536,
                                             .slots = 16,
                                             .user = "glenda",
                                             .tree = "main",
                                             .name = "castor!fs",
                                             .connect = on_connect,
                                             .send = on_send,
                                             .disconnect = on_disconnect,
                                             .state = on_state,
                                             .event = on_event,
                                             .wake = on_wake,
                                             .ctx = p};
}

cg_err peer_new(struct peer *p)
{
    return ninep_client_new(&p->config, &p->client);
}

void peer_fini(struct peer *p)
{
    ninep_client_free(p->client);
    forget_frames(p);
}

void peer_connect(struct peer *p)
{
    struct ninep_peer end = {.local = true, .uid = 1000};
    ninep_client_connected(p->client, &end);
}

void peer_lose(struct peer *p)
{
    forget_frames(p);
    ninep_client_lost(p->client, CG_ECONNRESET, "cable cut");
}

void peer_pass(struct peer *p, uint64_t ms)
{
    uint64_t end = p->now_ns + ms * 1000000;
    for (int i = 0; i < 100000; i++) {
        uint64_t next = ninep_client_tick(p->client);
        if (next == 0 || next > end) {
            break;
        }
        p->now_ns = next > p->now_ns ? next : p->now_ns;
        cg_assert(i < 99999); /* a tick that is always due */
    }
    p->now_ns = end;
    ninep_client_tick(p->client);
}

uint32_t peer_pending(const struct peer *p)
{
    return p->frames - p->taken;
}

struct sent peer_take(struct peer *p, uint8_t type)
{
    if (p->taken == p->frames) {
        fprintf(stderr, "nothing was sent; %s was due\n", ninep_type_name(type, NINEP_DIALECT_NG));
        abort();
    }
    struct sent s = {.frame = p->frame[p->taken++]};
    struct cg_buf b = cg_buf_reader(s.frame->data, s.frame->len);
    if (s.frame->data[4] == NINEP_TVERSION) {
        s.version = true;
        cg_assert(type == NINEP_TVERSION);
        return s;
    }
    ninep_get_thead(&b, &s.h);
    cg_assert(s.h.size == s.frame->len);
    if (s.h.type != type) {
        fprintf(stderr, "%s was sent; %s was due\n", ninep_type_name(s.h.type, NINEP_DIALECT_NG),
                ninep_type_name(type, NINEP_DIALECT_NG));
        abort();
    }
    bool ok = ninep_get_tmsg(type, &b, &s.t);
    cg_assert(ok);
    return s;
}

void peer_bytes(struct peer *p, const void *data, size_t len)
{
    struct ninep_frame *f = ninep_frame_new((uint32_t)len);
    if (!f) {
        peer_lose(p); /* as a transport would that cannot receive */
        return;
    }
    memcpy(f->data, data, len);
    f->len = (uint32_t)len;
    ninep_client_frame(p->client, f);
}

void peer_answer(struct peer *p, const struct sent *s, uint8_t type, const union ninep_rmsg *r)
{
    uint8_t data[65536];
    struct cg_buf b = cg_buf_writer(data, sizeof data);
    struct ninep_rhead h = {
        .size = NINEP_R_HEADER_BYTES + ninep_rmsg_size(type, r), .type = type, .tag = s->h.tag};
    ninep_put_rhead(&b, &h);
    ninep_put_rmsg(type, &b, r);
    cg_assert(!b.bad && b.pos == h.size);
    peer_bytes(p, data, b.pos);
}

void peer_ok(struct peer *p, const struct sent *s)
{
    union ninep_rmsg r;
    memset(&r, 0, sizeof r);
    peer_answer(p, s, s->h.type + 1, &r);
}

void peer_refuse(struct peer *p, const struct sent *s, cg_err e)
{
    union ninep_rmsg r = {.error = {.code = e, .detail = cg_span_of("because")}};
    peer_answer(p, s, NINEP_RERROR, &r);
}

void peer_version(struct peer *p, const char *version)
{
    struct ninep_rversion r = {.msize = p->msize, .version = cg_span_of(version)};
    uint8_t data[64];
    struct cg_buf b = cg_buf_writer(data, sizeof data);
    cg_put_u32(&b, NINEP_P_HEADER_BYTES + (uint32_t)ninep_size_rversion(&r));
    cg_put_u8(&b, NINEP_RVERSION);
    cg_put_u16(&b, NINEP_VERSION_TAG);
    ninep_put_rversion(&b, &r);
    peer_bytes(p, data, b.pos);
}

void peer_session(struct peer *p, const struct sent *s, bool resumed)
{
    union ninep_rmsg r = {.session = {.epoch = p->epoch,
                                      .features = p->features & s->t.session.features,
                                      .msize = p->msize,
                                      .slots = p->slots,
                                      .lease_ms = p->lease_ms,
                                      .linger_ms = 300000,
                                      .resumed = resumed}};
    if (resumed) {
        memcpy(r.session.id, s->t.session.id, 16);
    } else {
        random_bytes(p, r.session.id, 16);
    }
    peer_answer(p, s, NINEP_RSESSION, &r);
}

void peer_up(struct peer *p)
{
    ninep_client_start(p->client);
    peer_connect(p);
    peer_take(p, NINEP_TVERSION);
    struct sent session = peer_take(p, NINEP_TSESSION), attach = peer_take(p, NINEP_TATTACH);
    peer_version(p, "9P-NG");
    peer_session(p, &session, false);
    peer_ok(p, &attach);
    cg_assert(ninep_client_state(p->client) == NINEP_UP);
}

struct note {
    struct peer *p;
    uint64_t aux;
};

static void on_done(void *aux, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    struct note *n = aux;
    struct peer *p = n->p;
    cg_assert(r && detail && p->tolds < PEER_DONES_MAX);
    struct told *t = &p->told[p->tolds++];
    *t = (struct told){.aux = n->aux, .e = e, .states = p->states};
    snprintf(t->detail, sizeof t->detail, "%s", detail);
    cg_free(n);
}

uint64_t peer_call(struct peer *p, const struct ninep_call *call, uint64_t aux)
{
    struct ninep_call k = *call;
    struct note *n = cg_alloc(sizeof *n);
    if (!n) {
        return 0;
    }
    *n = (struct note){p, aux};
    k.done = on_done;
    k.aux = n;
    uint32_t before = p->tolds;
    uint64_t id = ninep_client_call(p->client, &k);
    cg_assert(p->tolds == before); /* never from within */
    if (id == 0) {
        cg_free(n);
    }
    return id;
}

uint64_t peer_getattr(struct peer *p, uint32_t fid, uint64_t aux)
{
    return peer_call(p, &(struct ninep_call){.type = NINEP_TGETATTR, .t.getattr.fid = fid}, aux);
}

uint64_t peer_remove(struct peer *p, const char *name, uint64_t aux)
{
    return peer_call(
        p, &(struct ninep_call){.type = NINEP_TREMOVE, .t.remove.name = cg_span_of(name)}, aux);
}

const struct told *peer_told(const struct peer *p, uint64_t aux)
{
    for (uint32_t i = 0; i < p->tolds; i++) {
        if (p->told[i].aux == aux) {
            return &p->told[i];
        }
    }
    return NULL;
}
