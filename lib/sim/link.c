/* link: two ends and the bytes between them.
 *
 * A piece that is sent arrives a delay later, never before the one sent before it. A cut loses what
 * is under way. Each end hears of the end of the link once, and may leave at any time; the link
 * goes when both have left and nothing that is planned refers to it any more.
 */
#include "sim__.h"
#include <string.h>

enum { PIECE_BYTES_MAX = 4000 };

struct end {
    struct sim_end_ops ops;
    void *ctx;
    bool left, told;  /* told: knows that the link is closed */
    bool closing;     /* its planned cut has come: nothing more is sent */
    uint64_t sent;    /* bytes */
    uint64_t cut_at;  /* when so many were sent; UINT64_MAX: never */
    uint64_t last_ns; /* arrival of the last piece */
};

struct sim_link {
    struct sim *sim;
    uint64_t delay_ns;
    bool cut;
    uint32_t planned; /* events that refer to it */
    struct end end[2];
};

struct piece {
    struct sim_link *link;
    int to;
    size_t len;
    uint8_t data[];
};

struct sim_link *sim_link_new(struct sim *s, uint64_t delay_ns)
{
    struct sim_link *l = cg_zalloc(sizeof *l);
    cg_assert(l);
    l->sim = s;
    l->delay_ns = delay_ns;
    l->end[0].cut_at = l->end[1].cut_at = UINT64_MAX;
    return l;
}

void sim_link_end(struct sim_link *l, int end, const struct sim_end_ops *ops, void *ctx)
{
    l->end[end].ops = *ops;
    l->end[end].ctx = ctx;
}

static void free_if_done(struct sim_link *l)
{
    if (l->planned == 0 && l->end[0].left && l->end[1].left) {
        cg_free(l);
    }
}

static void tell(struct sim_link *l, int end)
{
    struct end *e = &l->end[end];
    if (!e->left && !e->told) {
        e->told = true;
        e->ops.closed(e->ctx);
    }
}

static void tell_0(void *aux)
{
    struct sim_link *l = aux;
    l->planned--;
    tell(l, 0);
    free_if_done(l);
}

static void tell_1(void *aux)
{
    struct sim_link *l = aux;
    l->planned--;
    tell(l, 1);
    free_if_done(l);
}

void sim_link_cut(struct sim_link *l)
{
    if (l->cut) {
        return;
    }
    l->cut = true;
    l->planned += 2;
    sim_after(l->sim, l->delay_ns + sim_random(l->sim, l->delay_ns + 1), tell_0, l);
    sim_after(l->sim, l->delay_ns + sim_random(l->sim, l->delay_ns + 1), tell_1, l);
}

void sim_link_cut_after(struct sim_link *l, int end, uint64_t bytes)
{
    l->end[end].cut_at = l->end[end].sent + bytes;
}

static void arrive(void *aux)
{
    struct piece *p = aux;
    struct sim_link *l = p->link;
    struct end *e = &l->end[p->to];
    if (!l->cut && !e->left && !e->told) {
        e->ops.data(e->ctx, p->data, p->len);
    }
    cg_free(p);
    l->planned--;
    free_if_done(l);
}

static void send_piece(struct sim_link *l, int from, const uint8_t *data, size_t len)
{
    struct piece *p = cg_alloc(sizeof *p + len);
    cg_assert(p);
    p->link = l;
    p->to = !from;
    p->len = len;
    memcpy(p->data, data, len);
    uint64_t at = l->sim->now_ns + l->delay_ns + sim_random(l->sim, l->delay_ns / 4 + 1);
    struct end *e = &l->end[from];
    e->last_ns = at > e->last_ns ? at : e->last_ns;
    l->planned++;
    sim_after(l->sim, e->last_ns - l->sim->now_ns, arrive, p);
}

static void cut_now(void *aux)
{
    struct sim_link *l = aux;
    l->planned--;
    sim_link_cut(l);
    free_if_done(l);
}

/* The bytes before a planned cut still arrive; then the link is cut both ways. */
void sim_link_send(struct sim_link *l, int end, const uint8_t *data, size_t len)
{
    struct end *e = &l->end[end];
    while (len > 0 && !l->cut && !e->left && !e->closing) {
        size_t n = 1 + sim_random(l->sim, PIECE_BYTES_MAX);
        n = n < len ? n : len;
        if (e->cut_at - e->sent < n) {
            n = e->cut_at - e->sent;
        }
        if (n > 0) {
            send_piece(l, end, data, n);
        }
        e->sent += n;
        data += n;
        len -= n;
        if (e->sent == e->cut_at) {
            e->cut_at = UINT64_MAX;
            e->closing = true;
            l->planned++;
            sim_after(l->sim, e->last_ns > l->sim->now_ns ? e->last_ns - l->sim->now_ns : 0,
                      cut_now, l);
        }
    }
}

/* What it has sent still arrives. */
void sim_link_leave(struct sim_link *l, int end)
{
    struct end *e = &l->end[end];
    e->left = true;
    l->planned++;
    sim_after(l->sim, e->last_ns > l->sim->now_ns ? e->last_ns - l->sim->now_ns : 0, cut_now, l);
}
