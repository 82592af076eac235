/* fuzz_client: a client at the mercy of its server (libFuzzer).
 *
 * The input is a script: each byte says what happens next: the link comes or goes, time passes, a
 * call is made or cancelled, or the server says something: either the fitting answer to a request
 * that the client sent, perhaps damaged, or raw bytes from the input. Held to be true: no access
 * out of bounds, nothing leaks, done is called exactly once for each call that was accepted, and
 * never from within the call.
 */
#include "client_peer.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct peer peer; /* large */
static uint32_t accepted;

static uint8_t next(struct cg_buf *in)
{
    return cg_get_u8(in);
}

/* Bytes through the framer, as a transport would give them. */
static void server_says(struct peer *p, const uint8_t *data, size_t len)
{
    while (len > 0 && ninep_client_state(p->client) >= NINEP_STARTING) {
        size_t used;
        struct ninep_frame *f;
        cg_err e = ninep_framer_feed(ninep_client_framer(p->client), data, len, &used, &f);
        if (e != CG_OK) {
            ninep_client_lost(p->client, e, "noise");
            return;
        }
        data += used;
        len -= used;
        if (f) {
            ninep_client_frame(p->client, f);
        }
    }
}

static void tell_event(struct peer *p, const struct sent *s, uint8_t number)
{
    uint8_t body[NINEP_EVENT_BYTES];
    struct cg_buf b = cg_buf_writer(body, sizeof body);
    struct ninep_event e = {.number = number, .kind = 1 + number % 2};
    ninep_put_event(&b, &e);
    union ninep_rmsg r = {.watch = {.events = {1, {body, sizeof body}}}};
    peer_answer(p, s, NINEP_RWATCH, &r);
}

static void answer(struct peer *p, struct cg_buf *in)
{
    const struct ninep_frame *f = p->frame[p->taken];
    struct sent s = peer_take(p, f->data[4]);
    uint8_t how = next(in);
    if (s.version) {
        peer_version(p, how < 250 ? "9P-NG" : "9P2000");
    } else if (s.h.type == NINEP_TSESSION && how < 200) {
        p->slots = (uint16_t)(1 + how % 16);
        peer_session(p, &s, how & 1);
    } else if (s.h.type == NINEP_TWATCH && how < 200) {
        tell_event(p, &s, how);
    } else if (how < 20) {
        peer_refuse(p, &s, how);
    } else if (how >= 240) {
        peer_refuse(p, &s, CG_ESESSION);
    } else if (how < 30) {
        s.h.tag ^= (uint16_t)(1 << how % 16);
        peer_ok(p, &s);
    } else if (how < 200) {
        peer_ok(p, &s);
    }
}

static void call(struct peer *p, struct cg_buf *in)
{
    static const uint8_t types[] = {NINEP_TWALK,   NINEP_TOPEN,   NINEP_TREAD,   NINEP_TWRITE,
                                    NINEP_TCREATE, NINEP_TREMOVE, NINEP_TATTACH, NINEP_TGETATTR};
    uint8_t what = next(in);
    struct ninep_call k = {.type = types[what % CG_COUNT(types)],
                           .chain = what & 0x40 ? 1 + what % 3 : 0,
                           .last = what & 0x80,
                           .deadline_ms = what & 0x20 ? 50 : 0};
    if (k.type == NINEP_TWALK) {
        k.t.walk.newfid = ninep_client_fid(p->client);
        if (what & 0x10 && k.t.walk.newfid != NINEP_NOFID) {
            ninep_client_clunk(p->client, k.t.walk.newfid);
        }
    }
    if (accepted < PEER_DONES_MAX && peer_call(p, &k, accepted) != 0) {
        accepted++;
    }
}

static void step(struct peer *p, struct cg_buf *in)
{
    uint8_t what = next(in);
    switch (what % 8) {
    case 0:
        if (what < 200) {
            peer_connect(p);
        } else {
            ninep_client_unconnected(p->client, what < 210 ? CG_EUNPAIRED : CG_EIO, "");
        }
        break;
    case 1:
        peer_lose(p);
        break;
    case 2:
        peer_pass(p, (uint64_t)next(in) * (what & 0x80 ? 100 : 1));
        break;
    case 3:
        call(p, in);
        break;
    case 4:
        ninep_client_cancel(p->client, 1 + next(in));
        break;
    case 5: {
        struct cg_span raw = cg_get_span(in, what >> 3);
        server_says(p, raw.data, raw.len);
        break;
    }
    default:
        if (peer_pending(p)) {
            answer(p, in);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct cg_buf in = cg_buf_reader(data, len);
    struct peer *p = &peer;
    peer_init(p);
    p->release_events = true;
    accepted = 0;
    if (peer_new(p) != CG_OK) {
        return 0;
    }
    ninep_client_start(p->client);
    if (len && data[0] & 1) {
        peer_up(p);
    }
    for (int i = 0; i < 1500 && cg_buf_left(&in) && !in.bad && p->states < PEER_STATES_MAX - 16 &&
                    p->frames < PEER_FRAMES_MAX - 1024;
         i++) {
        step(p, &in);
    }
    peer_fini(p);
    cg_assert(p->tolds == accepted);
    return 0;
}
