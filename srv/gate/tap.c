/* tap: the traced requests among the bytes that pass (stats.h). A relay knows no messages; this
 * reads the heads of frames as they go by, and nothing else: size, type, tag and trace. What is not
 * 9P-NG, or lies about its size, is looked at no further.
 */
#include "gate.h"
#include <cognu/ninep.h>
#include <cognu/stats.h>

#include <string.h>

enum { NG_TYPES = 128 }; /* lower ones are 9P2000's and 9P2000.L's, whose requests have no trace */

static uint64_t now_ns(void)
{
    return cg_env_real.now_ns(cg_env_real.ctx);
}

static void request(struct tap *t, const struct ninep_thead *h)
{
    struct tap_call *free = NULL;
    for (int i = 0; i < TAP_CALLS_MAX; i++) {
        struct tap_call *c = &t->call[i];
        free = c->trace == 0 || c->tag == h->tag ? c : free;
    }
    if (free) {
        *free = (struct tap_call){
            .trace = h->trace, .began_ns = now_ns(), .tag = h->tag, .type = h->type};
    }
}

static void reply(struct tap *t, const struct link *l, const struct ninep_rhead *h)
{
    for (int i = 0; i < TAP_CALLS_MAX; i++) {
        struct tap_call *c = &t->call[i];
        if (c->trace != 0 && c->tag == h->tag) {
            cg_stats_step(c->trace, l->dialed ? CG_LAYER_NEAR : CG_LAYER_FAR,
                          now_ns() - c->began_ns, CG_OK, ninep_type_name(c->type, NINEP_DIALECT_NG),
                          l->service);
            c->trace = 0;
        }
    }
}

static void head(struct tap *t, const struct link *l, const struct tap_way *w)
{
    struct cg_buf b = cg_buf_reader(w->head, w->have);
    if (w->head[4] % 2 == 0 && w->have == NINEP_T_HEADER_BYTES) {
        struct ninep_thead h;
        ninep_get_thead(&b, &h);
        if (h.trace != 0) {
            request(t, &h);
        }
    } else if (w->head[4] % 2 == 1 && w->have >= NINEP_R_HEADER_BYTES) {
        struct ninep_rhead h;
        ninep_get_rhead(&b, &h);
        reply(t, l, &h);
    }
}

static uint32_t size_of(const struct tap_way *w)
{
    struct cg_buf b = cg_buf_reader(w->head, 4);
    return cg_get_u32(&b);
}

void tap(struct link *l, bool to_net, const uint8_t *data, size_t len)
{
    struct tap_way *w = &l->tap.way[to_net];
    while (len > 0 && !w->blind) {
        if (w->skip > 0) {
            size_t n = len < w->skip ? len : w->skip;
            w->skip -= (uint32_t)n;
            data += n;
            len -= n;
            continue;
        }
        /* First size and type, which every frame has; then the rest of the head, if there is one.
         */
        uint32_t size = w->have < 5 ? 5 : size_of(w);
        uint32_t want = size < sizeof w->head ? size : sizeof w->head;
        size_t n = want - w->have < len ? want - w->have : len;
        memcpy(w->head + w->have, data, n);
        w->have += (uint32_t)n;
        data += n;
        len -= n;
        if (w->have < 5) {
            continue;
        }
        size = size_of(w);
        if (size < 7 || size > NINEP_FRAME_BYTES_MAX) {
            w->blind = true;
        } else if (w->head[4] < NG_TYPES || w->have == size || w->have == sizeof w->head) {
            if (w->head[4] >= NG_TYPES) {
                head(&l->tap, l, w);
            }
            w->skip = size - w->have;
            w->have = 0;
        }
    }
}
