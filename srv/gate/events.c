/* events: nodes that come and go, for who reads /mnt/gate/events.
 *
 * What is told is the difference between the roster with its peers now and as it was last looked
 * at: at each tick of the clock, and whenever a peer is reached or not. Each line has a number; the
 * last EVENTS_KEPT are kept. A file that is opened begins with how things are; then its reads wait.
 * Who falls behind is told so. While somebody listens, nodes are asked for more often (peers.c).
 *
 *   TIME_S NAME online|offline|joined|removed|moved ADDRESS [WHY]
 */
#include "gate.h"

#include <cognu/synth.h>
#include <inttypes.h>
#include <string.h>

enum { EVENTS_KEPT = 256, LISTENERS_MAX = 64 };

struct seen { /* of a node, as last told */
    struct secure_member member;
    bool online, marked;
};

struct listener {
    struct cg_list link;
    struct ninep_req *waits; /* NULL: nobody reads now */
    struct cg_str text;      /* to be read first */
    uint64_t next;           /* event */
};

static struct cg_map seen; /* key -> struct seen */
static char *event[EVENTS_KEPT];
static uint64_t events; /* the number of the next */
static struct cg_list listeners;
static uint32_t listener_count;
static bool begun;

static void begin(void)
{
    if (!begun) {
        cg_map_init(&seen, 32);
        cg_list_init(&listeners);
        begun = true;
    }
}

static cg_err add_line(struct cg_str *out, const struct secure_member *m, const char *what,
                       const char *why)
{
    cg_err e = cg_str_addf(out, "%" PRIu64 " %s %s %s", gate_now_s(), m->name, what, m->address);
    if (e == CG_OK && why[0] != '\0') {
        e = cg_str_add(out, " ", 1);
        e = e != CG_OK ? e : cg_str_add_quoted(out, why);
    }
    return e != CG_OK ? e : cg_str_add(out, "\n", 1);
}

static void happened(const struct secure_member *m, const char *what, const char *why)
{
    struct cg_str line = {0};
    if (add_line(&line, m, what, why) == CG_OK) {
        cg_free(event[events % EVENTS_KEPT]);
        event[events++ % EVENTS_KEPT] = line.data;
    } else {
        cg_str_fini(&line);
    }
}

static bool online(struct gate *g, const struct secure_member *m)
{
    const struct peer *p = cg_map_get(&g->peers, m->key);
    return memcmp(m->key, g->key, 32) == 0 || (p != NULL && (p->links > 0 || p->reached));
}

/* A node that nobody has reached or missed yet is not offline: nothing is told of it. */
static bool missed(struct gate *g, const struct secure_member *m)
{
    const struct peer *p = cg_map_get(&g->peers, m->key);
    return p != NULL && p->failed && p->links == 0;
}

static void look_at(struct gate *g, const struct secure_member *m)
{
    struct seen *s = cg_map_get(&seen, m->key);
    const struct peer *p = cg_map_get(&g->peers, m->key);
    if (s == NULL) {
        s = cg_zalloc(sizeof *s);
        if (s == NULL || cg_map_put(&seen, m->key, s) != CG_OK) {
            cg_free(s);
            return; /* no memory: at the next look */
        }
        s->online = online(g, m);
        happened(m, "joined", "");
    } else if (strcmp(s->member.address, m->address) != 0) {
        happened(m, "moved", "");
    }
    if (s->online && missed(g, m)) {
        s->online = false;
        happened(m, "offline", p->why);
    } else if (!s->online && online(g, m)) {
        s->online = true;
        happened(m, "online", "");
    }
    s->member = *m;
    s->marked = true;
}

/* ---- readers ---- */

static void give(struct listener *l)
{
    struct ninep_req *r = l->waits;
    while (l->next < events && l->text.len < 65536) {
        if (events - l->next > EVENTS_KEPT) {
            static const char lost[] = "0 - lost -\n"; /* read nodes again */
            cg_str_add(&l->text, lost, sizeof lost - 1);
            l->next = events - EVENTS_KEPT;
        }
        const char *line = event[l->next++ % EVENTS_KEPT];
        cg_str_add(&l->text, line, strlen(line));
    }
    if (r == NULL || l->text.len == 0) {
        return;
    }
    uint32_t n = l->text.len < r->data_cap ? (uint32_t)l->text.len : r->data_cap;
    memcpy(r->data, l->text.data, n);
    memmove(l->text.data, l->text.data + n, l->text.len - n);
    l->text.len -= n;
    l->waits = NULL;
    r->r.read.data.len = n;
    ninep_respond(r, CG_OK);
}

void events_look(struct gate *g)
{
    uint64_t before = events;
    uint32_t cursor = 0;
    struct seen *s;
    begin();
    for (uint32_t i = 0; i < g->roster.nodes; i++) {
        look_at(g, &g->roster.node[i]);
    }
    while ((s = cg_map_next(&seen, &cursor)) != NULL) {
        if (!s->marked) {
            happened(&s->member, "removed", "");
            cg_map_del(&seen, s->member.key);
            cg_free(s);
        } else {
            s->marked = false;
        }
    }
    if (events != before) {
        CG_LIST_EACH (it, &listeners) {
            give(CG_CONTAINER(it, struct listener, link));
        }
    }
}

bool events_watched(void)
{
    return listener_count > 0;
}

cg_err events_open(struct synth_handle *h, uint32_t flags, struct cg_errbuf *eb)
{
    uint32_t cursor = 0;
    const struct seen *s;
    (void)flags;
    begin();
    struct listener *l = listener_count < LISTENERS_MAX ? cg_zalloc(sizeof *l) : NULL;
    if (l == NULL) {
        return cg_fail(eb, CG_ELIMIT, "too many listen to the events of nodes");
    }
    while ((s = cg_map_next(&seen, &cursor)) != NULL) {
        cg_err e = add_line(&l->text, &s->member, s->online ? "online" : "offline", "");
        if (e != CG_OK) {
            cg_str_fini(&l->text);
            cg_free(l);
            return cg_fail(eb, e, "no memory for an open file");
        }
    }
    l->next = events;
    cg_list_push(&listeners, &l->link);
    listener_count++;
    h->aux = l;
    return CG_OK;
}

void events_close(struct synth_handle *h)
{
    struct listener *l = h->aux;
    cg_list_del(&l->link);
    listener_count--;
    cg_str_fini(&l->text);
    cg_free(l);
    h->aux = NULL;
}

void events_read(struct synth_handle *h, struct ninep_req *r)
{
    struct listener *l = h->aux;
    if (l->waits != NULL) {
        ninep_respond(r, cg_fail(&r->eb, CG_EBUSY, "another read of this open file waits"));
        return;
    }
    l->waits = r;
    give(l);
}

void events_cancel(struct synth_handle *h, struct ninep_req *r)
{
    struct listener *l = h->aux;
    if (l->waits == r) {
        l->waits = NULL;
        ninep_respond(r, CG_ECANCELED);
    }
}
