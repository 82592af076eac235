/* cell: the roster of this node: its file, its changes, and what other nodes tell.
 *
 * The roster in memory counts at once. A change raises its serial and asks factotum for this node's
 * signature; then the sealed text is written to the file, shown to joiners that wait, and told to
 * the other nodes (peers.c). A change made while one is being signed is signed after it.
 */
#include "gate.h"

#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

/* ---- the file */

static bool stat_file(struct gate *g, int64_t *ns, uint64_t *ino)
{
    struct stat st;

    if (stat(g->roster_path, &st) != 0) {
        return false;
    }
    *ns = st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec;
    *ino = st.st_ino;
    return true;
}

static void take_sealed(struct gate *g, const char *text, size_t len, uint64_t serial)
{
    g->sealed.len = 0;
    if (cg_str_add(&g->sealed, text, len) == CG_OK) {
        g->sealed_serial = serial;
    }
}

/* The first reading; later ones are merged like what another node tells. */
static cg_err take_file(struct gate *g, const char *text, size_t len, struct cg_errbuf *eb)
{
    struct secure_roster r;

    if (g->in_cell) {
        return cell_receive(g, text, len, NULL, eb);
    }
    cg_err e = secure_roster_parse(text, len, &r, eb);
    if (e != CG_OK) {
        return e;
    }
    take_sealed(g, text, len, r.serial);
    g->roster = r;
    g->in_cell = true;
    cg_log(CG_INFO, "roster %" PRIu64 ": %u nodes, %u users", r.serial, r.nodes, r.users);
    return CG_OK;
}

void cell_load(struct gate *g)
{
    struct cg_errbuf eb = {0};
    int64_t ns = 0;
    uint64_t ino = 0;
    char *text = NULL;
    size_t len = 0;

    if (!stat_file(g, &ns, &ino) || (ns == g->seen_ns && ino == g->seen_ino)) {
        return;
    }
    g->seen_ns = ns;
    g->seen_ino = ino;
    cg_err e = secure_file_read(g->roster_path, SECURE_ROSTER_BYTES_MAX + 256, &text, &len, &eb);
    if (e == CG_OK) {
        e = take_file(g, text, len, &eb);
        cg_free(text);
    }
    if (e != CG_OK) {
        cg_log(CG_ERROR_LEVEL, "%s: %s", g->roster_path, eb.text);
    }
}

static void save(struct gate *g)
{
    struct cg_errbuf eb = {0};

    if (secure_file_replace(g->roster_path, g->sealed.data, g->sealed.len, 0644, &eb) != CG_OK) {
        cg_log(CG_ERROR_LEVEL, "the roster is not saved: %s", eb.text);
    }
    (void)stat_file(g, &g->seen_ns, &g->seen_ino);
}

/* ---- signatures */

static void on_signed(void *aux, cg_err e, const uint8_t key[32], const uint8_t sig[64],
                      const char *detail)
{
    static const char head[] = "roster\n";
    struct gate *g = aux;
    size_t len = sizeof(head) - 1;

    g->signing_now = false;
    if (e == CG_OK) {
        memmove(g->signing.data, g->signing.data + len, g->signing.len - len);
        g->signing.len -= len;
        e = secure_roster_seal(&g->signing, key, sig);
    }
    if (e != CG_OK) {
        cg_log(CG_WARN, "the roster is not signed yet: %s", detail);
        g->retry_sign_ms = gate_now_ms() + RETRY_MS;
        return;
    }
    take_sealed(g, g->signing.data, g->signing.len, g->signing_serial);
    save(g);
    cg_log(CG_INFO, "roster %" PRIu64 " signed: %u nodes, %u users", g->sealed_serial,
           g->roster.nodes, g->roster.users);
    serve_roster_saved(g);
    cell_tick(g);
}

void cell_tick(struct gate *g)
{
    if (!g->in_cell || g->signing_now || g->sealed_serial == g->roster.serial || !g->key_known ||
        gate_now_ms() < g->retry_sign_ms || secure_roster_node_by_key(&g->roster, g->key) == NULL) {
        return;
    }
    g->signing.len = 0;
    g->signing_serial = g->roster.serial;
    cg_err e = cg_str_addf(&g->signing, "roster\n");
    e = e != CG_OK ? e : secure_roster_text(&g->roster, &g->signing);
    e = e != CG_OK ? e
                   : secure_signer_sign(g->signer, g->signing.data, g->signing.len, on_signed, g);
    g->signing_now = e == CG_OK;
    if (e != CG_OK) {
        g->retry_sign_ms = gate_now_ms() + RETRY_MS;
    }
}

/* ---- changes */

void cell_changed(struct gate *g)
{
    g->roster.serial++;
    link_check_all(g);
    cell_tick(g);
}

cg_err cell_new(struct gate *g, const char *name, struct cg_errbuf *eb)
{
    struct secure_roster r = {.serial = 1};
    struct secure_member self = {0};

    if (g->in_cell) {
        return cg_fail(eb, CG_EEXIST, "this node is in a cell already");
    }
    if (!g->key_known) {
        return cg_fail(eb, CG_EAGAIN, "this node's key is not known yet: is factotum running?");
    }
    cg_env_real.random(cg_env_real.ctx, r.cell, sizeof(r.cell));
    memcpy(self.key, g->key, 32);
    if (!cg_span_str(cg_span_of(name), self.name, sizeof(self.name)) ||
        !cg_span_str(cg_span_of(g->address), self.address, sizeof(self.address))) {
        return cg_fail(eb, CG_ENAMETOOLONG, "the name or address is too long");
    }
    cg_err e = secure_roster_add_node(&r, &self, eb);
    for (uint32_t i = 0; i < g->users && e == CG_OK; i++) {
        e = secure_roster_add_user(&r, &g->user[i], eb);
    }
    if (e != CG_OK) {
        secure_roster_fini(&r);
        return e;
    }
    g->roster = r;
    g->in_cell = true;
    g->roster.serial = 0;
    cg_log(CG_INFO, "a new cell: this is its first node, '%s'", name);
    cell_changed(g);
    return CG_OK;
}

/* ---- what others tell */

static void replace(struct gate *g, struct secure_roster *r)
{
    bool was = secure_roster_node_by_key(&g->roster, g->key) != NULL;
    bool is = secure_roster_node_by_key(r, g->key) != NULL;

    if (was && !is) {
        cg_log(CG_ERROR_LEVEL, "this node was removed from its cell");
    }
    secure_roster_fini(&g->roster);
    g->roster = *r;
    link_check_all(g);
    cell_tick(g);
}

cg_err cell_receive(struct gate *g, const char *text, size_t len, const uint8_t sender[32],
                    struct cg_errbuf *eb)
{
    struct secure_roster theirs, merged;
    cg_err e = secure_roster_parse(text, len, &theirs, eb);

    if (e != CG_OK) {
        return e;
    }
    if (sender != NULL && memcmp(theirs.signer, sender, 32) != 0) {
        e = cg_fail(eb, CG_EAUTH, "the roster is not sealed by the node that shows it");
    } else if (secure_roster_node_by_key(&g->roster, theirs.signer) == NULL) {
        e = cg_fail(eb, CG_EUNPAIRED, "the roster is sealed by a node that this one does not know");
    } else {
        e = secure_roster_merge(&g->roster, &theirs, gate_now_s(), &merged, eb);
    }
    secure_roster_fini(&theirs);
    if (e != CG_OK) {
        return e;
    }
    if (merged.serial == g->roster.serial && secure_roster_same(&merged, &g->roster)) {
        secure_roster_fini(&merged);
    } else {
        replace(g, &merged);
    }
    return CG_OK;
}

cg_err cell_adopt(struct gate *g, const char *text, size_t len, const uint8_t cell[16],
                  const uint8_t inviter[32], struct cg_errbuf *eb)
{
    struct secure_roster r;
    cg_err e = secure_roster_parse(text, len, &r, eb);

    if (e != CG_OK) {
        return e;
    }
    if (memcmp(r.cell, cell, 16) != 0 || memcmp(r.signer, inviter, 32) != 0 ||
        secure_roster_node_by_key(&r, g->key) == NULL) {
        secure_roster_fini(&r);
        return cg_fail(eb, CG_EAUTH, "the inviter's roster is not the one that was promised");
    }
    g->in_cell = true;
    g->sealed_serial = 0; /* to be sealed by this node's own key */
    replace(g, &r);
    cg_log(CG_INFO, "joined the cell: %u nodes", g->roster.nodes);
    return CG_OK;
}
