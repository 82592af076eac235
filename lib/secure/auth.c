/* auth: the judge of attaches in every file server that other nodes may reach.
 *
 * The roster file is looked at (one stat) at each attach and read again when it changed. If what is
 * there cannot be read, nobody from afar may attach: an unreadable roster must not leave a removed
 * user in.
 */
#include "secure_impl.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { CREDENTIAL_TICKET = 2 }; /* its first byte */

struct auth {
    struct ninep_auth face;
    char *roster_path;
    const char *service;
    const struct cg_env *env;
    struct secure_roster roster;
    struct stat seen;
    bool loaded;
};

static bool file_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static cg_err refresh(struct auth *a, struct cg_errbuf *eb)
{
    struct stat st;
    char *text = NULL;
    size_t len = 0;

    if (stat(a->roster_path, &st) != 0) {
        return cg_fail(eb, CG_EUNPAIRED, "%s: no roster: this node is in no cell", a->roster_path);
    }
    if (a->loaded && file_same(&st, &a->seen)) {
        return CG_OK;
    }
    secure_roster_fini(&a->roster);
    a->loaded = false;
    cg_err e = secure_file_read(a->roster_path, SECURE_ROSTER_BYTES_MAX + 256, &text, &len, eb);
    if (e == CG_OK) {
        e = secure_roster_parse(text, len, &a->roster, eb);
        cg_free(text);
    }
    if (e == CG_OK) {
        a->seen = st;
        a->loaded = true;
    }
    return e;
}

static bool is_revoked(void *ctx, const uint8_t id[16])
{
    return secure_roster_revoked(ctx, id);
}

static cg_err fill_expect(struct secure_attach *x, const struct ninep_peer *peer,
                          const uint8_t self[32], struct cg_span user, struct cg_span tree,
                          struct cg_errbuf *eb)
{
    memset(x, 0, sizeof(*x));
    memcpy(x->binding, peer->binding, 32);
    memcpy(x->server, self, 32);
    if (!cg_span_str(user, x->name, sizeof(x->name)) ||
        !cg_span_str(tree, x->tree, sizeof(x->tree))) {
        return cg_fail(eb, CG_EBADFORMAT, "names of users and trees have at most 63 bytes");
    }
    return CG_OK;
}

static cg_err by_user(const struct auth *a, const struct secure_attach *expect,
                      struct cg_span credential, uint64_t now_s, struct ninep_grant *grant,
                      struct cg_errbuf *eb)
{
    uint8_t user[32];
    uint64_t expires_s = 0;
    cg_err e = secure_attach_check(credential, expect, now_s, user, &expires_s, eb);
    if (e != CG_OK) {
        return e;
    }
    const struct secure_member *m = secure_roster_user_by_key(&a->roster, user);
    if (m == NULL) {
        return cg_fail(eb, CG_EAUTH, "the user's key is not in the roster");
    }
    grant->principal = m->principal;
    grant->rights = NINEP_RIGHTS_READ | NINEP_RIGHTS_WRITE | NINEP_RIGHTS_EXEC;
    grant->expires_ns = expires_s * 1000000000u;
    return CG_OK;
}

static cg_err by_ticket(struct auth *a, const struct secure_attach *expect,
                        struct cg_span credential, uint64_t now_s, struct ninep_grant *grant,
                        struct cg_errbuf *eb)
{
    struct secure_ticket t;
    uint64_t expires_s = 0;
    cg_err e = secure_ticket_proof_check(credential, expect, now_s, &t, &expires_s, eb);
    if (e == CG_OK) {
        e = secure_ticket_check(&t, a->roster.cell, now_s, is_revoked, &a->roster, eb);
    }
    if (e != CG_OK) {
        return e;
    }
    const struct secure_ticket_block *last = &t.block[t.blocks - 1];
    const struct secure_member *issuer = secure_roster_user_by_key(&a->roster, t.issuer);
    if (issuer == NULL) {
        return cg_fail(eb, CG_EAUTH, "the ticket's issuer is no user of the roster");
    }
    if (memcmp(last->node, expect->server, 32) != 0) {
        return cg_fail(eb, CG_EWIDENED, "the ticket is for another node");
    }
    if (strcmp(last->service, a->service) != 0 || strcmp(last->tree, expect->tree) != 0) {
        return cg_fail(eb, CG_EWIDENED, "the ticket is for %s!%s, this is %s!%s", last->service,
                       last->tree, a->service, expect->tree);
    }
    if (last->expires_s < expires_s) {
        expires_s = last->expires_s;
    }
    grant->principal = issuer->principal;
    grant->rights = last->rights;
    grant->expires_ns = expires_s * 1000000000u;
    memcpy(grant->path, last->path, sizeof(grant->path));
    return CG_OK;
}

static cg_err remote_attach(struct auth *a, const struct ninep_peer *peer, struct cg_span user,
                            struct cg_span tree, struct cg_span credential,
                            struct ninep_grant *grant, struct cg_errbuf *eb)
{
    struct secure_attach expect;
    uint64_t now_s = a->env->wall_ns(a->env->ctx) / 1000000000u;
    cg_err e = refresh(a, eb);
    if (e != CG_OK) {
        return e;
    }
    if (secure_roster_node_by_key(&a->roster, peer->node_key) == NULL) {
        return cg_fail(eb, CG_EUNPAIRED, "the peer's node is not in the roster");
    }
    e = fill_expect(&expect, peer, a->roster.signer, user, tree, eb);
    if (e != CG_OK) {
        return e;
    }
    if (credential.len == 0) {
        return cg_fail(eb, CG_EAUTH, "a user's proof or a ticket is needed from another node");
    }
    return credential.data[0] == CREDENTIAL_TICKET
               ? by_ticket(a, &expect, credential, now_s, grant, eb)
               : by_user(a, &expect, credential, now_s, grant, eb);
}

static cg_err attach(void *ctx, const struct ninep_peer *peer, struct cg_span user,
                     struct cg_span tree, struct cg_span credential, struct ninep_grant *grant,
                     struct cg_errbuf *eb)
{
    struct cg_errbuf why = {0};
    char node[65];

    memset(grant, 0, sizeof(*grant));
    if (peer->local && credential.len > 0 && credential.data[0] == CREDENTIAL_TICKET) {
        return cg_fail(eb, CG_EOPNOTSUPP, /* and not more than it grants, by the peer's uid */
                       "a ticket is used through the gate: a local connection has no binding");
    }
    if (peer->local) {
        grant->principal = 1ull << 63 | peer->uid;
        grant->rights = NINEP_RIGHTS_READ | NINEP_RIGHTS_WRITE | NINEP_RIGHTS_EXEC;
        return CG_OK;
    }
    cg_err e = remote_attach(ctx, peer, user, tree, credential, grant, &why);
    if (e != CG_OK) {
        memset(grant, 0, sizeof(*grant));
        secure_hex(peer->node_key, 32, node);
        cg_log(CG_WARN, "attach refused: node %s user '%.*s' tree '%.*s': %s: %s", node,
               (int)(user.len < 64 ? user.len : 64), (const char *)user.data,
               (int)(tree.len < 64 ? tree.len : 64), (const char *)tree.data, cg_err_name(e),
               why.text);
        return cg_fail(eb, e, "%s", why.text);
    }
    return CG_OK;
}

static const char *roster_path(const char *given)
{
    const char *named = given != NULL ? given : getenv("COGNU_ROSTER");

    return named != NULL ? named : "/var/lib/cognu/roster";
}

cg_err secure_auth_new(const struct secure_auth_config *config, struct ninep_auth **out)
{
    struct auth *a = cg_zalloc(sizeof(*a));

    if (a == NULL) {
        return CG_ENOMEM;
    }
    a->face = (struct ninep_auth){attach, secure_session_proof, a};
    a->env = config->env != NULL ? config->env : &cg_env_real;
    a->service = config->service;
    a->roster_path = cg_strdup(roster_path(config->roster));
    if (a->roster_path == NULL) {
        secure_auth_free(&a->face);
        return CG_ENOMEM;
    }
    *out = &a->face;
    return CG_OK;
}

void secure_auth_free(struct ninep_auth *auth)
{
    if (auth != NULL) {
        struct auth *a = CG_CONTAINER(auth, struct auth, face);
        secure_roster_fini(&a->roster);
        cg_free(a->roster_path);
        cg_free(a);
    }
}
