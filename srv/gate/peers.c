/* peers: what is known of each node, and with whom to compare rosters next.
 *
 * A node that has not yet been told the present roster is talked to at once, the others every
 * TALK_EVERY_MS, or TALK_WATCHED_MS while somebody reads events; after a failure with growing
 * pauses. A few talks at a time.
 */
#include "gate.h"

#include <stdio.h>
#include <string.h>

struct peer *peer_get(struct gate *g, const uint8_t key[32])
{
    struct peer *p = cg_map_get(&g->peers, key);

    if (p == NULL && cg_map_count(&g->peers) < SECURE_NODES_MAX + SECURE_GONES_MAX) {
        p = cg_zalloc(sizeof(*p));
        if (p != NULL) {
            memcpy(p->key, key, 32);
            p->since_s = gate_now_s();
            if (cg_map_put(&g->peers, key, p) != CG_OK) {
                cg_free(p);
                p = NULL;
            }
        }
    }
    return p;
}

void peer_reached(struct gate *g, const uint8_t key[32])
{
    struct peer *p = peer_get(g, key);

    if (p != NULL) {
        if (!p->reached || p->failed) {
            p->since_s = gate_now_s();
        }
        p->reached = true;
        p->failed = false;
        p->why[0] = '\0';
        events_look(g);
    }
}

void peer_failed(struct gate *g, const uint8_t key[32], const char *why)
{
    struct peer *p = secure_roster_node_by_key(&g->roster, key) == NULL ? NULL : peer_get(g, key);

    if (p != NULL) {
        if (!p->failed) {
            p->since_s = gate_now_s();
        }
        p->failed = true;
        p->reached = false;
        snprintf(p->why, sizeof(p->why), "%s", why);
        events_look(g);
    }
}

void peer_doubted(struct gate *g, const uint8_t key[32])
{
    struct peer *p = cg_map_get(&g->peers, key);

    if (p != NULL && p->retry_ms == 0) {
        p->next_talk_ms = gate_now_ms();
    }
}

static void talked(void *aux, cg_err e, const char *detail)
{
    struct peer *p = aux;

    (void)detail;
    p->talking = false;
    if (e != CG_OK) {
        p->retry_ms = p->retry_ms == 0 ? RETRY_MS : p->retry_ms * 2;
        uint64_t most = events_watched() ? TALK_WATCHED_MS : RETRY_MS_MAX;
        p->retry_ms = p->retry_ms > most ? most : p->retry_ms;
        p->next_talk_ms = gate_now_ms() + p->retry_ms;
    }
}

static bool due(const struct gate *g, const struct peer *p)
{
    uint64_t now_ms = gate_now_ms();

    if (p->talking) {
        return false;
    }
    if (p->retry_ms == 0 && p->told != g->sealed_serial) {
        return true;
    }
    uint64_t sooner_ms = events_watched() ? TALK_EVERY_MS - TALK_WATCHED_MS : 0;
    return now_ms + (p->retry_ms == 0 ? sooner_ms : 0) >= p->next_talk_ms;
}

static uint32_t talking(const struct gate *g)
{
    uint32_t cursor = 0, count = 0;
    const struct peer *p;

    while ((p = cg_map_next(&g->peers, &cursor)) != NULL) {
        count += p->talking;
    }
    return count;
}

void peers_tick(struct gate *g)
{
    uint32_t now = talking(g);

    if (!g->in_cell || g->tls_id == NULL || g->sealed_serial == 0) {
        return;
    }
    for (uint32_t i = 0; i < g->roster.nodes && now < TALKS_OURS_MAX; i++) {
        const struct secure_member *m = &g->roster.node[i];
        struct peer *p = memcmp(m->key, g->key, 32) == 0 || strcmp(m->address, "-") == 0
                             ? NULL
                             : peer_get(g, m->key);
        if (p != NULL && due(g, p)) {
            p->talking = true;
            now++;
            dial_node(g, m->address, m->key, NULL, talked, p);
        }
    }
}

void peers_try_all(struct gate *g)
{
    uint32_t cursor = 0;
    struct peer *p;

    while ((p = cg_map_next(&g->peers, &cursor)) != NULL) {
        p->retry_ms = p->next_talk_ms = 0;
    }
}

void peers_free(struct gate *g)
{
    uint32_t cursor = 0;
    struct peer *p;

    while ((p = cg_map_next(&g->peers, &cursor)) != NULL) {
        cg_map_del(&g->peers, p->key);
        cg_free(p);
    }
    cg_map_fini(&g->peers);
}
