/* dial: a namespace's way to file servers. A mount of this node goes to the service's own socket,
 * where the user is known by the socket's peer; any other through the gate, where the user proves
 * himself by factotum. */
#include <cognu/secure_uv.h>

#include <stdio.h>
#include <string.h>

struct secure_dialer {
    struct secure_dialer_config c;
    struct secure_signer *signer; /* NULL before the first proof */
    struct cg_list proofs;        /* of clients of other nodes */
};

/* What a client of another node needs to prove its user. */
struct proof {
    struct cg_list link;
    struct secure_dialer *dialer;
    struct ninep_client *client;
    char tree[64];
    uint8_t *ticket; /* encoded; NULL: the user's own right is proved */
    uint32_t ticket_len;
};

static bool is_local(const struct secure_dialer_config *o, const char *node)
{
    return strcmp(node, ".") == 0 || strcmp(node, o->self) == 0;
}

static void on_credential(void *ctx, const struct ninep_peer *peer)
{
    struct proof *p = ctx;
    const struct secure_dialer_config *o = &p->dialer->c;
    secure_signer_credential(p->dialer->signer, p->client, peer, o->key, o->user, p->tree,
                             (struct cg_span){p->ticket, p->ticket_len});
}

/* Lines "user KEYHEX NAME": files of our principal are shown as the mounter's. */
static void on_keys(void *aux, cg_err e, const char *text, size_t len, const char *detail)
{
    enum { WORDS = 3 };
    struct secure_dialer *a = aux;
    char *copy = e ? NULL : cg_strndup(text, len), *words[WORDS];
    if (!copy) {
        cg_log(CG_WARN, "factotum's keys: %s", detail);
        return;
    }
    for (char *line = copy, *next; line; line = next) {
        next = strchr(line, '\n');
        if (next) {
            *next++ = 0;
        }
        uint8_t key[SECURE_KEY_BYTES];
        if (cg_tokenize(line, words, WORDS) == WORDS && strcmp(words[0], "user") == 0 &&
            strcmp(words[2], a->c.key) == 0 && secure_unhex(words[1], key, sizeof key)) {
            *a->c.principal = secure_principal(key);
        }
    }
    cg_free(copy);
}

static cg_err start_signer(struct secure_dialer *a)
{
    char path[512];
    snprintf(path, sizeof path, "%s/factotum", a->c.srv);
    cg_err e = secure_signer_new(a->c.loop, path, &a->signer);
    return e ? e : secure_signer_keys(a->signer, on_keys, a);
}

void secure_dialer_identify(struct secure_dialer *a)
{
    cg_err e = CG_OK;
    if (*a->c.principal == 0 && a->c.key) {
        e = a->signer ? secure_signer_keys(a->signer, on_keys, a) : start_signer(a);
    }
    if (e) {
        cg_log(CG_WARN, "factotum's keys: %s", cg_err_meaning(e));
    }
}

static cg_err add_proof(struct secure_dialer *a, struct ninep_client_config *c, struct proof **out,
                        struct cg_errbuf *eb)
{
    if (!a->c.key) {
        return cg_fail(eb, CG_EAUTH, "no user key was named; other nodes need a proof");
    }
    cg_err e = a->signer ? CG_OK : start_signer(a);
    struct proof *p = e ? NULL : cg_zalloc(sizeof *p);
    if (!p) {
        return e ? e : CG_ENOMEM;
    }
    if (!cg_span_str(cg_span_of(c->tree ? c->tree : ""), p->tree, sizeof p->tree)) {
        cg_free(p);
        return cg_fail(eb, CG_ENAMETOOLONG, "%s: too long for a tree's name", c->tree);
    }
    p->dialer = a;
    cg_list_push(&a->proofs, &p->link);
    c->credential = on_credential;
    c->credential_ctx = p;
    *out = p;
    return CG_OK;
}

static void drop_proof(struct proof *p)
{
    if (p) {
        cg_list_del(&p->link);
        cg_free(p->ticket);
        cg_free(p);
    }
}

static cg_err find_service(const struct secure_dialer_config *o, const char *node,
                           const char *service, char *path, size_t cap, struct ninep_uv_target *t,
                           struct cg_errbuf *eb)
{
    if (!is_local(o, node)) {
        t->socket = o->dial;
        t->node = node;
        return o->dial ? CG_OK
                       : cg_fail(eb, CG_EHOSTUNREACH,
                                 "%s: no way to other nodes: no gate was named", node);
    }
    if (snprintf(path, cap, "%s/%s", o->srv, service) >= (int)cap ||
        !cg_name_ok(cg_span_of(service))) {
        return cg_fail(eb, CG_EINVAL, "%s: no service has such a name", service);
    }
    t->socket = path;
    return CG_OK;
}

/* A ticket in a mount line is hexadecimal. */
static cg_err add_ticket(struct proof *p, const char *text, struct cg_errbuf *eb)
{
    size_t len = text ? strlen(text) / 2 : 0;
    if (!text) {
        return CG_OK;
    }
    if (!p) {
        return cg_fail(eb, CG_EINVAL,
                       "a ticket is used on another node than the one that serves the tree");
    }
    p->ticket = len > 0 && len <= SECURE_TICKET_BYTES_MAX ? cg_alloc(len) : NULL;
    if (!p->ticket || !secure_unhex(text, p->ticket, len)) {
        return cg_fail(eb, CG_EBADFORMAT, "mount -k: not a ticket; make one with ticket(1)");
    }
    p->ticket_len = (uint32_t)len;
    return CG_OK;
}

cg_err secure_dial(struct secure_dialer *a, const char *node, const char *service,
                   const char *ticket, const struct ninep_client_config *config,
                   struct ninep_client **out, struct cg_errbuf *eb)
{
    struct ninep_uv_target target = {.service = service};
    struct ninep_client_config c = *config;
    struct proof *proof = NULL;
    char path[512];
    cg_err e = find_service(&a->c, node, service, path, sizeof path, &target, eb);
    if (e) {
        return e;
    }
    c.auth = &secure_auth_client;
    e = target.node ? add_proof(a, &c, &proof, eb) : CG_OK;
    e = e ? e : add_ticket(proof, ticket, eb);
    if (e) {
        drop_proof(proof);
        return e;
    }
    e = ninep_uv_client_new(a->c.loop, &target, &c, out);
    if (e) {
        drop_proof(proof);
        return cg_fail(eb, e, "%s!%s: %s", node, service, cg_err_meaning(e));
    }
    if (proof) {
        proof->client = *out;
    }
    return CG_OK;
}

void secure_undial(struct secure_dialer *a, struct ninep_client *c)
{
    CG_LIST_EACH (it, &a->proofs) {
        struct proof *p = CG_CONTAINER(it, struct proof, link);
        if (p->client == c) {
            secure_signer_forget(a->signer, c);
            drop_proof(p);
        }
    }
    ninep_uv_client_free(c);
}

cg_err secure_dialer_new(const struct secure_dialer_config *config, struct secure_dialer **out)
{
    struct secure_dialer *a = cg_zalloc(sizeof *a);
    if (!a) {
        return CG_ENOMEM;
    }
    a->c = *config;
    cg_list_init(&a->proofs);
    *out = a;
    return CG_OK;
}

void secure_dialer_free(struct secure_dialer *a)
{
    cg_assert(cg_list_empty(&a->proofs));
    if (a->signer) {
        secure_signer_free(a->signer);
    }
    cg_free(a);
}
