/* invite: invitations that this node gave out, and its own way into a cell.
 *
 * An invitation's secret stays in this process and in the word that a person carries. It is gone
 * when it was used, when its time is over, and when the gate ends. The proof covers the TLS
 * connection, so that one seen is worth nothing, and the server is pinned by its key, so that a
 * joiner gives its proof to nobody else.
 */
#include "gate.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void drop(struct invite *i)
{
    cg_wipe(i, sizeof(*i));
}

static void drop_expired(struct gate *g)
{
    for (int i = 0; i < INVITES_MAX; i++) {
        if (g->invite[i].live && g->invite[i].made.expires_s < gate_now_s()) {
            drop(&g->invite[i]);
        }
    }
}

bool invite_any(struct gate *g)
{
    drop_expired(g);
    for (int i = 0; i < INVITES_MAX; i++) {
        if (g->invite[i].live) {
            return true;
        }
    }
    return false;
}

void invite_fini(struct gate *g)
{
    cg_wipe(g->invite, sizeof(g->invite));
}

static struct invite *free_place(struct gate *g)
{
    drop_expired(g);
    for (int i = 0; i < INVITES_MAX; i++) {
        if (!g->invite[i].live) {
            return &g->invite[i];
        }
    }
    return NULL;
}

cg_err invite_make(struct gate *g, uint64_t seconds, char text[SECURE_INVITE_TEXT_BYTES],
                   struct cg_errbuf *eb)
{
    const struct secure_member *self =
        g->in_cell ? secure_roster_node_by_key(&g->roster, g->key) : NULL;
    struct invite *i = free_place(g);

    if (self == NULL) {
        return cg_fail(eb, CG_EUNPAIRED, "this node is in no cell: make one first (newcell NAME)");
    }
    if (strcmp(self->address, "-") == 0) {
        return cg_fail(eb, CG_EINVAL,
                       "this node has no address at which it can be joined: give "
                       "it one (address NODE HOST:PORT)");
    }
    if (seconds == 0 || seconds > SECURE_INVITE_SECONDS_MAX) {
        return cg_fail(eb, CG_ERANGE, "an invitation lives 1 to %d seconds",
                       SECURE_INVITE_SECONDS_MAX);
    }
    if (i == NULL) {
        return cg_fail(eb, CG_ELIMIT, "%d invitations are out already", INVITES_MAX);
    }
    i->live = true;
    memcpy(i->made.cell, g->roster.cell, 16);
    memcpy(i->made.inviter, g->key, 32);
    cg_env_real.random(cg_env_real.ctx, i->made.secret, sizeof(i->made.secret));
    i->made.expires_s = gate_now_s() + seconds;
    memcpy(i->made.address, self->address, sizeof(i->made.address));
    cg_log(CG_INFO, "an invitation was made, for %" PRIu64 " s", seconds);
    return secure_invite_text(&i->made, text);
}

/* ---- the inviter's side */

static struct invite *matching(struct link *l, const uint8_t proof[32])
{
    struct gate *g = l->gate;
    uint8_t expected[32];
    struct invite *found = NULL;

    drop_expired(g);
    for (int i = 0; i < INVITES_MAX; i++) {
        secure_invite_proof(g->invite[i].made.secret, l->binding, l->key, g->key, expected);
        if (g->invite[i].live && secure_equal(expected, proof, 32)) {
            found = &g->invite[i];
        }
    }
    cg_wipe(expected, sizeof(expected));
    return found;
}

static cg_err admit(struct gate *g, const uint8_t key[32], const struct line_ask *ask,
                    struct cg_errbuf *eb)
{
    struct secure_roster r;
    struct secure_member node = ask->node;
    cg_err e = secure_roster_copy(&g->roster, &r);

    if (e != CG_OK) {
        return cg_fail(eb, e, "no memory for the roster");
    }
    memcpy(node.key, key, 32);
    e = secure_roster_add_node(&r, &node, eb);
    if (e == CG_OK && ask->user.name[0] != '\0') {
        struct secure_member user = ask->user;
        const struct secure_member *known = secure_roster_user_by_key(&r, user.key);
        if (known != NULL) {
            user = *known;
        }
        e = secure_roster_add_user(&r, &user, eb);
        if (e == CG_EEXIST) { /* two nodes, each with its "owner": told apart by the node's name */
            snprintf(user.name, sizeof(user.name), "%.31s@%.31s", ask->user.name, node.name);
            e = secure_roster_add_user(&r, &user, eb);
        }
    }
    if (e != CG_OK) {
        secure_roster_fini(&r);
        return e;
    }
    secure_roster_fini(&g->roster);
    g->roster = r;
    return CG_OK;
}

cg_err invite_admit(struct link *l, const struct line_ask *ask, struct cg_errbuf *eb)
{
    struct gate *g = l->gate;

    if (secure_roster_node_by_key(&g->roster, l->key) != NULL) {
        return CG_OK; /* its earlier answer was lost: it may have the roster, without a secret */
    }
    struct invite *i = matching(l, ask->proof);
    if (i == NULL) {
        return cg_fail(eb, CG_EAUTH, "no such invitation: used, expired, or never made here");
    }
    drop(i); /* once, whatever comes of it */
    cg_err e = admit(g, l->key, ask, eb);
    if (e != CG_OK) {
        return e;
    }
    cg_log(CG_INFO, "node '%s' joined the cell by invitation", ask->node.name);
    cell_changed(g);
    return CG_OK;
}

/* ---- the joiner's side */

void invite_join(struct gate *g, const char *text,
                 void (*done)(void *aux, cg_err e, const char *detail), void *aux)
{
    struct secure_invite i;
    struct cg_errbuf eb = {0};
    cg_err e = secure_invite_parse(text, &i, &eb);

    if (e == CG_OK && g->in_cell && g->roster.nodes > 1) {
        e = cg_fail(&eb, CG_EEXIST, "this node shares a cell with others already");
    }
    if (e == CG_OK && g->tls_id == NULL) {
        e = cg_fail(&eb, CG_EAGAIN, "this node has no TLS key yet: is factotum running?");
    }
    if (e == CG_OK && i.expires_s + SECURE_SKEW_SECONDS < gate_now_s()) {
        e = cg_fail(&eb, CG_EEXPIRED, "the invitation has expired: ask for a new one");
    }
    if (e != CG_OK) {
        done(aux, e, eb.text);
    } else {
        dial_node(g, i.address, i.inviter, &i, done, aux);
    }
    cg_wipe(&i, sizeof(i));
}
