/* signer: requests to the node's factotum.
 *
 * Each job is one chain on a fid of its own: walk to the file, open, write the request, read the
 * answer. Jobs that come while factotum is away wait in a list of their own, since the root fid is
 * known only when the session is up; a timer ends those that wait too long.
 */
#include <cognu/secure_uv.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { WAIT_MS_MAX = 20000, ANSWER_BYTES_MAX = 65536, STEPS = 4 };

struct secure_signer {
    uv_loop_t *loop;
    uv_timer_t timer;
    struct ninep_client *client;
    struct cg_list waiting; /* jobs not yet sent */
    struct cg_list proving; /* credentials under way */
    uint32_t jobs;
    bool freed;
};

struct job {
    struct cg_list link;
    struct secure_signer *signer;
    const char *file;
    struct cg_str request; /* empty: only read */
    uint64_t until_ms;
    uint32_t fid;
    int left; /* answers still to come */
    cg_err e;
    struct cg_errbuf eb;
    struct cg_str answer;
    secure_text_done *done;
    void *aux;
};

static void job_end(struct job *j)
{
    j->signer->jobs--;
    cg_list_del(&j->link);
    j->done(j->aux, j->e, j->answer.data != NULL ? j->answer.data : "", j->answer.len, j->eb.text);
    cg_str_fini(&j->request);
    cg_str_fini(&j->answer);
    cg_free(j);
}

static void on_step(void *aux, cg_err e, const union ninep_rmsg *r, const char *detail)
{
    struct job *j = aux;

    if (e != CG_OK && j->e == CG_OK) {
        j->e = cg_fail(&j->eb, e, "factotum: %s", detail);
    }
    if (--j->left > 0) {
        return;
    }
    if (j->e == CG_OK && (r->read.data.len > ANSWER_BYTES_MAX ||
                          cg_str_add(&j->answer, r->read.data.data, r->read.data.len) != CG_OK)) {
        j->e = cg_fail(&j->eb, CG_ENOMEM, "factotum: an answer too large");
    }
    if (!j->signer->freed) {
        ninep_client_clunk(j->signer->client, j->fid);
    }
    job_end(j);
}

static bool step(struct job *j, uint32_t chain, uint8_t type, const union ninep_tmsg *t, bool last)
{
    struct ninep_call call = {
        .type = type, .t = *t, .chain = chain, .last = last, .done = on_step, .aux = j};

    return ninep_client_call(j->signer->client, &call) != 0;
}

static void job_send(struct job *j)
{
    struct ninep_client *c = j->signer->client;
    uint32_t chain = ninep_client_chain(c), fid = ninep_client_fid(c);
    union ninep_tmsg walk = {.walk = {.fid = ninep_client_root(c), .newfid = fid}};
    union ninep_tmsg open = {.open = {.fid = fid, .flags = NINEP_OPEN_RDWR}};
    union ninep_tmsg write = {.write = {.fid = fid}};
    union ninep_tmsg read = {.read = {.fid = fid, .count = ANSWER_BYTES_MAX}};

    cg_list_del(&j->link);
    j->fid = fid;
    walk.walk.names.count = 1;
    walk.walk.names.name[0] = cg_span_of(j->file);
    write.write.data.data = (const uint8_t *)j->request.data;
    write.write.data.len = (uint32_t)j->request.len;
    if (j->request.len == 0) {
        open.open.flags = NINEP_OPEN_READ;
    }
    /* Done is never called from within a call: what is left is set when all are under way. */
    int sent = fid != NINEP_NOFID && step(j, chain, NINEP_TWALK, &walk, false);
    sent += sent == 1 && step(j, chain, NINEP_TOPEN, &open, false);
    if (j->request.len > 0) {
        sent += sent == 2 && step(j, chain, NINEP_TWRITE, &write, false);
    }
    int want = j->request.len > 0 ? STEPS : STEPS - 1;
    sent += sent == want - 1 && step(j, chain, NINEP_TREAD, &read, true);
    j->left = sent;
    if (sent < want) {
        j->e = cg_fail(&j->eb, CG_ENOMEM, "no memory to ask factotum");
    }
    if (sent == 0) {
        job_end(j);
    }
}

static void flush(struct secure_signer *s)
{
    uint64_t now_ms = cg_now_ms(&cg_env_real);
    bool up = ninep_client_state(s->client) == NINEP_UP;

    CG_LIST_EACH (it, &s->waiting) {
        struct job *j = CG_CONTAINER(it, struct job, link);
        if (up) {
            job_send(j);
        } else if (now_ms >= j->until_ms) {
            j->e = cg_fail(&j->eb, CG_ELINKDOWN, "factotum does not answer: is it running?");
            job_end(j);
        }
    }
}

static void on_timer(uv_timer_t *t)
{
    flush(t->data);
}

static void on_state(void *ctx, enum ninep_client_state st, bool resumed, cg_err why,
                     const char *detail)
{
    struct secure_signer *s = ctx;

    (void)resumed;
    if (st == NINEP_UP) {
        uv_timer_start(&s->timer, on_timer, 0, 500); /* not from within the client's own call */
    } else if (st == NINEP_DEAD) {
        cg_log(CG_WARN, "factotum: %s: %s", cg_err_name(why), detail);
    }
}

cg_err secure_signer_new(uv_loop_t *loop, const char *socket, struct secure_signer **out)
{
    struct secure_signer *s = cg_zalloc(sizeof(*s));
    const struct ninep_uv_target target = {.socket = socket, .service = "factotum"};
    const struct ninep_client_config config = {.env = &cg_env_real,
                                               .auth = &secure_auth_client,
                                               .slots = 16,
                                               .user = "",
                                               .tree = "",
                                               .state = on_state,
                                               .ctx = s};

    if (s == NULL) {
        return CG_ENOMEM;
    }
    s->loop = loop;
    cg_list_init(&s->waiting);
    cg_list_init(&s->proving);
    cg_err e = ninep_uv_client_new(loop, &target, &config, &s->client);
    if (e != CG_OK) {
        cg_free(s);
        return e;
    }
    uv_timer_init(loop, &s->timer);
    s->timer.data = s;
    uv_timer_start(&s->timer, on_timer, 500, 500);
    ninep_client_start(s->client);
    *out = s;
    return CG_OK;
}

static void on_timer_closed(uv_handle_t *h)
{
    cg_free(h->data);
}

void secure_signer_free(struct secure_signer *s)
{
    if (s == NULL) {
        return;
    }
    s->freed = true;
    CG_LIST_EACH (it, &s->waiting) {
        struct job *j = CG_CONTAINER(it, struct job, link);
        j->e = cg_fail(&j->eb, CG_ECANCELED, "the program ends");
        job_end(j);
    }
    ninep_uv_client_free(s->client);
    uv_close((uv_handle_t *)&s->timer, on_timer_closed);
}

static cg_err job_new(struct secure_signer *s, const char *file, const char *request, size_t len,
                      secure_text_done *done, void *aux)
{
    struct job *j = s->jobs >= SECURE_SIGNER_JOBS_MAX ? NULL : cg_zalloc(sizeof(*j));

    if (j == NULL) {
        return CG_ELIMIT;
    }
    if (len > 0 && cg_str_add(&j->request, request, len) != CG_OK) {
        cg_free(j);
        return CG_ENOMEM;
    }
    j->signer = s;
    j->file = file;
    j->done = done;
    j->aux = aux;
    j->until_ms = cg_now_ms(&cg_env_real) + WAIT_MS_MAX;
    s->jobs++;
    cg_list_push(&s->waiting, &j->link);
    if (ninep_client_state(s->client) == NINEP_UP) {
        uv_timer_start(&s->timer, on_timer, 0, 500);
    }
    return CG_OK;
}

cg_err secure_signer_keys(struct secure_signer *s, secure_text_done *done, void *aux)
{
    return job_new(s, "keys", NULL, 0, done, aux);
}

/* ---- signatures */

struct signing {
    secure_sign_done *done;
    void *aux;
};

static void on_signed(void *aux, cg_err e, const char *text, size_t len, const char *detail)
{
    struct signing *g = aux;
    char line[64 + 1 + 128 + 1];
    uint8_t key[32] = {0}, sig[64] = {0};

    if (e == CG_OK) {
        snprintf(line, sizeof(line), "%s", text);
        line[64] = '\0';
        if (len < sizeof(line) || !secure_unhex(line, key, 32) ||
            !secure_unhex(line + 65, sig, 64)) {
            e = CG_EPROTO;
            detail = "factotum's answer is not understood";
        }
    }
    g->done(g->aux, e, key, sig, detail);
    cg_free(g);
}

cg_err secure_signer_sign(struct secure_signer *s, const char *request, size_t len,
                          secure_sign_done *done, void *aux)
{
    struct signing *g = cg_zalloc(sizeof(*g));

    if (g == NULL) {
        return CG_ENOMEM;
    }
    g->done = done;
    g->aux = aux;
    cg_err e = job_new(s, "sign", request, len, on_signed, g);
    if (e != CG_OK) {
        cg_free(g);
    }
    return e;
}

/* ---- credentials */

struct proving {
    struct cg_list link;
    struct ninep_client *client; /* NULL: it no longer wants this one */
    struct secure_attach attach;
    struct cg_str ticket;
};

static void proving_free(struct proving *p)
{
    cg_list_del(&p->link);
    cg_str_fini(&p->ticket);
    cg_free(p);
}

void secure_signer_forget(struct secure_signer *s, struct ninep_client *c)
{
    CG_LIST_EACH (it, &s->proving) {
        struct proving *p = CG_CONTAINER(it, struct proving, link);
        if (p->client == c) {
            p->client = NULL;
        }
    }
}

static void on_proved(void *aux, cg_err e, const uint8_t key[32], const uint8_t sig[64],
                      const char *detail)
{
    struct proving *p = aux;
    uint8_t credential[SECURE_CREDENTIAL_BYTES_MAX];
    struct secure_ticket t;
    size_t len = 0;

    memcpy(p->attach.user, key, 32);
    if (e == CG_OK && p->ticket.len == 0) {
        len = secure_attach_credential(&p->attach, sig, credential, sizeof(credential));
    } else if (e == CG_OK) {
        e = secure_ticket_decode(p->ticket.data, p->ticket.len, &t, NULL);
        len = e == CG_OK ? secure_ticket_credential(&t, p->attach.expires_s, sig, credential,
                                                    sizeof(credential))
                         : 0;
    }
    if (e != CG_OK && e != CG_ECANCELED) {
        cg_log(CG_WARN, "no credential: %s: %s", cg_err_name(e), detail);
    }
    if (p->client != NULL) {
        ninep_client_credential(p->client, e, credential, (uint32_t)len);
    }
    proving_free(p);
}

static cg_err ask_proof(struct secure_signer *s, struct proving *p, const char *key_name)
{
    struct cg_str request = {0};
    char binding[65], server[65];
    const struct secure_attach *a = &p->attach;

    secure_hex(a->binding, 32, binding);
    secure_hex(a->server, 32, server);
    cg_err e = cg_str_addf(&request, "attach ");
    e = e != CG_OK ? e : cg_str_add_quoted(&request, key_name);
    e = e != CG_OK ? e
                   : cg_str_addf(&request, " %s %s %" PRIu64 " ", binding, server, a->expires_s);
    e = e != CG_OK ? e : cg_str_add_quoted(&request, a->name);
    e = e != CG_OK ? e : cg_str_addf(&request, " ");
    e = e != CG_OK ? e : cg_str_add_quoted(&request, a->tree);
    if (e == CG_OK) {
        e = secure_signer_sign(s, request.data, request.len, on_proved, p);
    }
    cg_str_fini(&request);
    return e;
}

void secure_signer_credential(struct secure_signer *s, struct ninep_client *c,
                              const struct ninep_peer *peer, const char *key_name, const char *user,
                              const char *tree, struct cg_span ticket)
{
    struct proving *p = peer->local ? NULL : cg_zalloc(sizeof(*p));
    cg_err e = CG_OK;

    if (p == NULL) {
        ninep_client_credential(c, peer->local ? CG_OK : CG_ENOMEM, NULL, 0);
        return;
    }
    secure_signer_forget(s, c); /* an older connection's proof would be refused on this one */
    p->client = c;
    cg_list_push(&s->proving, &p->link);
    memcpy(p->attach.binding, peer->binding, 32);
    memcpy(p->attach.server, peer->node_key, 32);
    p->attach.expires_s =
        cg_env_real.wall_ns(cg_env_real.ctx) / 1000000000u + SECURE_ATTACH_SECONDS;
    if (!cg_span_str(cg_span_of(user), p->attach.name, sizeof(p->attach.name)) ||
        !cg_span_str(cg_span_of(tree), p->attach.tree, sizeof(p->attach.tree))) {
        e = CG_ENAMETOOLONG;
    }
    if (e == CG_OK && ticket.len > 0) {
        e = cg_str_add(&p->ticket, ticket.data, ticket.len);
    }
    e = e != CG_OK ? e : ask_proof(s, p, key_name);
    if (e != CG_OK) {
        proving_free(p);
        ninep_client_credential(c, e, NULL, 0);
    }
}
