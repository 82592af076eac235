/* tree: the gate's own files, for local processes.
 *
 *   nodes   one line a node: NAME KEYHEX ADDRESS STATE SINCE_S [WHY]
 *           STATE: self, connected (links are up), reached, failed (WHY), unknown
 *   events  how the nodes are, then, as it happens, who comes and goes (events.c)
 *   roster  the cell's public keys and names, as docs/security.md has them, without the signature
 *   status  this node, limits and counts; one line a link
 *   ctl     write one command; then read what it answers on the same open file:
 *             newcell [NAME]           make a cell of this node alone
 *             invite [SECONDS]         answers the invitation, one word
 *             join INVITATION          waits until this node is in the cell
 *             remove NODE              for good: its key never comes back
 *             address NODE HOST:PORT
 *             user NAME KEYHEX         let a user in
 *             removeuser NAME|KEYHEX
 *             revoke IDHEX EXPIRES_S   take a ticket back, in the whole cell
 *
 * ctl is for the user who runs the gate, and root.
 */
#include "gate.h"

#include <cognu/synth.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KIND_ROOT, KIND_NODES, KIND_STATUS, KIND_ROSTER, KIND_EVENTS, KIND_CTL, KINDS };
enum { WORDS_MAX = 4, COMMAND_BYTES_MAX = 1024 };

static struct gate *gate; /* the one of this process */

/* An open ctl: the answer of its last command. Reads go by their distance from the first one, so
 * that a shell's one offset for reads and writes does not matter. */
struct ctl {
    struct cg_str answer;
    uint64_t first_read;
    bool reading;
};

/* ---- nodes and status */

static cg_err nodes_text(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    cg_err e = CG_OK;

    (void)h;
    (void)eb;
    for (uint32_t i = 0; i < gate->roster.nodes && e == CG_OK; i++) {
        const struct secure_member *m = &gate->roster.node[i];
        const struct peer *p = peer_get(gate, m->key);
        bool self = memcmp(m->key, gate->key, 32) == 0;
        char key[65];
        secure_hex(m->key, 32, key);
        const char *state = self           ? "self"
                            : p == NULL    ? "unknown"
                            : p->links > 0 ? "connected"
                            : p->failed    ? "failed"
                            : p->reached   ? "reached"
                                           : "unknown";
        e = cg_str_addf(out, "%s %s %s %s %" PRIu64, m->name, key, m->address, state,
                        p != NULL ? p->since_s : 0);
        if (e == CG_OK && p != NULL && p->failed) {
            e = cg_str_add(out, " ", 1);
            e = e != CG_OK ? e : cg_str_add_quoted(out, p->why);
        }
        e = e != CG_OK ? e : cg_str_add(out, "\n", 1);
    }
    return e;
}

static const char *state_name(enum link_state state)
{
    static const char *const name[] = {
        [LINK_DIAL] = "dial",     [LINK_CONNECT] = "connect", [LINK_TLS] = "handshake",
        [LINK_ASKED] = "asked",   [LINK_SERVE] = "greet",     [LINK_WAIT] = "join",
        [LINK_RELAY] = "relay",   [LINK_TALK] = "talk",       [LINK_DRAIN] = "drain",
        [LINK_CLOSED] = "closed",
    };
    return name[state];
}

static cg_err link_lines(struct cg_str *out)
{
    char key[65];
    cg_err e = CG_OK;

    CG_LIST_EACH (it, &gate->links) {
        const struct link *l = CG_CONTAINER(it, struct link, list);
        secure_hex(l->dialed ? l->want : l->key, 32, key);
        if (e == CG_OK) {
            e = cg_str_addf(out, "link %s %s %s %s\n", l->dialed ? "to" : "from", key,
                            l->service[0] ? l->service : "-", state_name(l->state));
        }
    }
    return e;
}

static cg_err peer_lines(struct cg_str *out)
{
    char key[65];
    uint32_t cursor = 0;
    const struct peer *p;
    cg_err e = CG_OK;

    while (e == CG_OK && (p = cg_map_next(&gate->peers, &cursor)) != NULL) {
        secure_hex(p->key, 32, key);
        e = cg_str_addf(out, "peer %s links %u received %" PRIu64 " sent %" PRIu64 "\n", key,
                        p->links, p->bytes_in, p->bytes_out);
    }
    return e;
}

static cg_err status_text(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    char key[65];

    (void)h;
    (void)eb;
    secure_hex(gate->key, 32, key);
    cg_err e = cg_str_addf(
        out, "self %s %s %s\nroster %" PRIu64 " sealed %" PRIu64 "\ntls-key-expires %" PRIu64 "\n",
        gate->self, gate->key_known ? key : "-", gate->address, gate->roster.serial,
        gate->sealed_serial, gate->tls_id != NULL ? secure_tls_id_expires_s(gate->tls_id) : 0);
    e = e != CG_OK ? e
                   : cg_str_addf(out, "links %u of %d\nguests %u of %d\n", gate->link_count,
                                 LINKS_MAX, gate->guests, GUESTS_MAX);
    e = e != CG_OK ? e : peer_lines(out);
    return e != CG_OK ? e : link_lines(out);
}

static cg_err roster_text(struct synth_handle *h, struct cg_str *out, struct cg_errbuf *eb)
{
    (void)h;
    (void)eb;
    return secure_roster_text(&gate->roster, out);
}

/* ---- commands */

static cg_err need_cell(struct cg_errbuf *eb)
{
    return gate->in_cell ? CG_OK : cg_fail(eb, CG_EUNPAIRED, "this node is in no cell");
}

static cg_err cmd_newcell(struct ctl *c, char **word, int words, struct cg_errbuf *eb)
{
    (void)c;
    return cell_new(gate, words > 1 ? word[1] : gate->self, eb);
}

static cg_err cmd_invite(struct ctl *c, char **word, int words, struct cg_errbuf *eb)
{
    char text[SECURE_INVITE_TEXT_BYTES];
    uint64_t seconds = SECURE_INVITE_SECONDS;

    if (words > 1 && !secure_number(word[1], &seconds)) {
        return cg_fail(eb, CG_EINVAL, "'%s' is no number of seconds", word[1]);
    }
    cg_err e = invite_make(gate, seconds, text, eb);
    if (e == CG_OK) {
        e = cg_str_addf(&c->answer, "%s\n", text);
        cg_wipe(text, sizeof(text));
    }
    return e;
}

static cg_err cmd_remove(struct ctl *c, char **word, int words, struct cg_errbuf *eb)
{
    const struct secure_member *m = secure_roster_node(&gate->roster, word[1]);

    (void)c;
    (void)words;
    if (m == NULL) {
        return cg_fail(eb, CG_ENOENT, "no node '%.64s' in the roster", word[1]);
    }
    if (memcmp(m->key, gate->key, 32) == 0) {
        return cg_fail(eb, CG_EINVAL, "a node does not remove itself: ask another one");
    }
    uint8_t key[32];
    memcpy(key, m->key, 32);
    cg_err e = secure_roster_remove(&gate->roster, key, eb);
    if (e == CG_OK) {
        cg_log(CG_INFO, "removed node '%s' from the cell", word[1]);
        cell_changed(gate);
    }
    return e;
}

static cg_err cmd_address(struct ctl *c, char **word, int words, struct cg_errbuf *eb)
{
    const struct secure_member *m = secure_roster_node(&gate->roster, word[1]);
    struct secure_member moved;

    (void)c;
    (void)words;
    if (m == NULL) {
        return cg_fail(eb, CG_ENOENT, "no node '%.64s' in the roster", word[1]);
    }
    moved = *m;
    memset(moved.address, 0, sizeof(moved.address));
    if (!cg_span_str(cg_span_of(word[2]), moved.address, sizeof(moved.address))) {
        return cg_fail(eb, CG_ENAMETOOLONG, "the address is too long");
    }
    cg_err e = secure_roster_add_node(&gate->roster, &moved, eb);
    if (e == CG_OK) {
        cell_changed(gate);
    }
    return e;
}

static cg_err cmd_user(struct ctl *c, char **word, int words, struct cg_errbuf *eb)
{
    struct secure_member m = {0};

    (void)c;
    (void)words;
    if (!secure_unhex(word[2], m.key, 32) ||
        !cg_span_str(cg_span_of(word[1]), m.name, sizeof(m.name))) {
        return cg_fail(eb, CG_EINVAL, "user NAME KEYHEX: the key has 64 hex digits");
    }
    cg_err e = secure_roster_add_user(&gate->roster, &m, eb);
    if (e == CG_OK) {
        cell_changed(gate);
    }
    return e;
}

static cg_err cmd_removeuser(struct ctl *c, char **word, int words, struct cg_errbuf *eb)
{
    uint8_t key[32];
    bool found = strlen(word[1]) == 64 && secure_unhex(word[1], key, 32) &&
                 secure_roster_user_by_key(&gate->roster, key) != NULL;

    (void)c;
    (void)words;
    for (uint32_t i = 0; i < gate->roster.users && !found; i++) {
        found = strcmp(gate->roster.user[i].name, word[1]) == 0;
        memcpy(key, gate->roster.user[i].key, 32);
    }
    if (!found) {
        return cg_fail(eb, CG_ENOENT, "no user '%.64s' in the roster", word[1]);
    }
    cg_err e = secure_roster_remove(&gate->roster, key, eb);
    if (e == CG_OK) {
        cell_changed(gate);
    }
    return e;
}

static cg_err cmd_revoke(struct ctl *c, char **word, int words, struct cg_errbuf *eb)
{
    uint8_t id[16];
    uint64_t expires_s = 0;

    (void)c;
    (void)words;
    if (!secure_unhex(word[1], id, 16) || !secure_number(word[2], &expires_s)) {
        return cg_fail(eb, CG_EINVAL, "revoke IDHEX EXPIRES_S: the id has 32 hex digits");
    }
    cg_err e = secure_roster_revoke(&gate->roster, id, expires_s, eb);
    if (e == CG_OK) {
        cell_changed(gate);
    }
    return e;
}

static const struct command {
    const char *name;
    int words_min, words_max;
    bool cell;
    cg_err (*run)(struct ctl *c, char **word, int words, struct cg_errbuf *eb);
} command[] = {
    {"newcell", 1, 2, false, cmd_newcell}, {"invite", 1, 2, true, cmd_invite},
    {"remove", 2, 2, true, cmd_remove},    {"address", 3, 3, true, cmd_address},
    {"user", 3, 3, true, cmd_user},        {"removeuser", 2, 2, true, cmd_removeuser},
    {"revoke", 3, 3, true, cmd_revoke},
};

static cg_err run(struct ctl *c, char **word, int words, struct cg_errbuf *eb)
{
    for (size_t i = 0; i < CG_COUNT(command) && words > 0; i++) {
        const struct command *k = &command[i];
        if (strcmp(k->name, word[0]) != 0) {
            continue;
        }
        if (words < k->words_min || words > k->words_max) {
            return cg_fail(eb, CG_EINVAL, "'%s' wants other arguments", k->name);
        }
        cg_err e = k->cell ? need_cell(eb) : CG_OK;
        return e != CG_OK ? e : k->run(c, word, words, eb);
    }
    return cg_fail(eb, CG_EINVAL,
                   "the gate understands: newcell, invite, join, remove, address, "
                   "user, removeuser, revoke");
}

static void written(struct ninep_req *r, cg_err e)
{
    if (e == CG_OK) {
        r->r.write.count = r->t.write.data.len;
        synth_attr(synth_handle_of(r->fid), &r->r.write.attr);
    }
    ninep_respond(r, e);
}

static void joined(void *aux, cg_err e, const char *detail)
{
    struct ninep_req *r = aux;

    if (e != CG_OK) {
        cg_fail(&r->eb, e, "%s", detail);
    }
    written(r, e);
}

static void ctl_write(struct synth_handle *h, struct ninep_req *r)
{
    struct ctl *c = h->aux;
    char line[COMMAND_BYTES_MAX], *word[WORDS_MAX];
    struct cg_span data = r->t.write.data;

    c->answer.len = 0;
    c->reading = false;
    data.len -= data.len > 0 && data.data[data.len - 1] == '\n';
    int words = cg_span_str(data, line, sizeof(line)) ? cg_tokenize(line, word, WORDS_MAX) : -1;
    if (words == 2 && strcmp(word[0], "join") == 0) {
        invite_join(gate, word[1], joined, r);
    } else {
        written(r, run(c, word, words, &r->eb));
    }
    cg_wipe(line, sizeof(line));
}

static void ctl_read(struct synth_handle *h, struct ninep_req *r)
{
    struct ctl *c = h->aux;
    uint64_t offset = r->t.read.offset;

    if (!c->reading) {
        c->reading = true;
        c->first_read = offset;
    }
    uint64_t at = offset >= c->first_read ? offset - c->first_read : offset;
    uint64_t left = at < c->answer.len ? c->answer.len - at : 0;
    uint32_t n = left < r->data_cap ? (uint32_t)left : r->data_cap;
    if (n > 0) {
        memcpy(r->data, c->answer.data + at, n);
    }
    r->r.read.data.len = n;
    r->r.read.eof = n == left;
    ninep_respond(r, CG_OK);
}

static cg_err ctl_open(struct synth_handle *h, uint32_t flags, struct cg_errbuf *eb)
{
    const uint64_t local = 1ull << 63, who = h->fid->principal;

    (void)flags;
    if (who != local && who != (local | geteuid())) {
        return cg_fail(eb, CG_EPERM, "only the user who runs the gate, and root, may command it");
    }
    h->aux = cg_zalloc(sizeof(struct ctl));
    return h->aux != NULL ? CG_OK : cg_fail(eb, CG_ENOMEM, "no memory for an open file");
}

static void ctl_close(struct synth_handle *h)
{
    struct ctl *c = h->aux;

    if (c != NULL) {
        if (c->answer.data != NULL) {
            cg_wipe(c->answer.data, c->answer.cap); /* an invitation */
        }
        cg_str_fini(&c->answer);
        cg_free(c);
        h->aux = NULL;
    }
}

static const struct synth_kind kinds[KINDS] = {
    [KIND_ROOT] = {.mode = S_IFDIR | 0555},
    [KIND_NODES] = {.name = "nodes", .mode = S_IFREG | 0444, .text = nodes_text},
    [KIND_STATUS] = {.name = "status", .mode = S_IFREG | 0444, .text = status_text},
    [KIND_ROSTER] = {.name = "roster", .mode = S_IFREG | 0444, .text = roster_text},
    [KIND_EVENTS] = {.name = "events",
                     .mode = S_IFREG | 0444,
                     .qtype = NINEP_QTYPE_STREAM,
                     .open = events_open,
                     .close = events_close,
                     .read = events_read,
                     .cancel = events_cancel},
    [KIND_CTL] = {.name = "ctl",
                  .mode = S_IFREG | 0600,
                  .qtype = NINEP_QTYPE_STREAM,
                  .open = ctl_open,
                  .close = ctl_close,
                  .read = ctl_read,
                  .write = ctl_write},
};

int tree_serve(struct gate *g, int argc, char **argv)
{
    struct ninep_server_config config = {.name = "gate",
                                         .ops = &synth_ops,
                                         .env = &cg_env_real,
                                         .auth = &ninep_auth_local,
                                         .foreign = true};
    struct synth *s = NULL;

    gate = g;
    if (synth_new(kinds, KINDS, &cg_env_real, NULL, &s) != CG_OK) {
        cg_log(CG_ERROR_LEVEL, "no memory to start");
        return 1;
    }
    config.aux = s;
    int status = ninep_serve_main(argc, argv, &config);
    synth_free(s);
    return status;
}
