/* Names to addresses. A handle holds the answer of its last query. A resolver cannot be stopped: a
 * query that is cancelled is answered at once, and forgotten when the resolver ends. */
#include "names.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>
#include <uv.h>

enum { QUERY_BYTES_MAX = 512, WORDS_MAX = 3 };

struct names {
    struct cg_str answer;
};

struct query {
    uv_getaddrinfo_t uv;
    struct ninep_req *req; /* NULL: cancelled; names is then invalid */
    struct names *names;
    bool cs;
    char text[QUERY_BYTES_MAX];
    const char *proto, *host, *port;
};

static void add_answer(struct query *q, const struct addrinfo *a)
{
    char host[INET6_ADDRSTRLEN];
    if (getnameinfo(a->ai_addr, a->ai_addrlen, host, sizeof host, NULL, 0, NI_NUMERICHOST)) {
        return;
    }
    if (!q->cs) {
        cg_str_addf(&q->names->answer, "%s ip %s\n", q->host, host);
        return;
    }
    const struct sockaddr_in *v4 = (const void *)a->ai_addr;
    const struct sockaddr_in6 *v6 = (const void *)a->ai_addr;
    unsigned port = ntohs(a->ai_family == AF_INET ? v4->sin_port : v6->sin6_port);
    bool every = strcmp(q->host, "*") == 0;
    cg_str_addf(&q->names->answer, "/net/%s/clone %s!%u\n", q->proto, every ? "*" : host, port);
}

static void on_resolved(uv_getaddrinfo_t *uv, int status, struct addrinfo *found)
{
    struct query *q = CG_CONTAINER(uv, struct query, uv);
    struct ninep_req *r = q->req;
    if (r) {
        q->names->answer.len = 0;
    }
    for (const struct addrinfo *a = found; r && a; a = a->ai_next) {
        add_answer(q, a);
    }
    uv_freeaddrinfo(found);
    cg_err e = CG_OK;
    if (r && status < 0) {
        e = cg_fail(&r->eb, CG_ENOENT, "%s: %s", q->host, uv_strerror(status));
    }
    cg_free(q);
    if (r && e) {
        ninep_respond(r, e);
    } else if (r) {
        synth_wrote(r);
    }
}

/* cs: PROTO!HOST!PORT. dns: HOST ip. */
static bool parse(struct query *q, struct cg_span data)
{
    char *words[WORDS_MAX];
    if (!cg_span_str(data, q->text, sizeof q->text)) {
        return false;
    }
    int n = cg_tokenize(q->text, words, WORDS_MAX);
    if (!q->cs) {
        q->host = words[0];
        return n == 2 && *q->host && (strcmp(words[1], "ip") == 0 || strcmp(words[1], "ipv6") == 0);
    }
    char *host = n == 1 ? strchr(words[0], '!') : NULL;
    char *port = host ? strchr(host + 1, '!') : NULL;
    if (!port) {
        return false;
    }
    *host = *port = 0;
    q->proto = strcmp(words[0], "net") == 0 ? "tcp" : words[0];
    q->host = host + 1;
    q->port = port + 1;
    return *q->host && *q->port && (strcmp(q->proto, "tcp") == 0 || strcmp(q->proto, "udp") == 0);
}

/* `*` is every address of this node: one line, whatever families it has. */
static cg_err resolve(struct query *q, struct cg_errbuf *eb)
{
    bool udp = q->cs && strcmp(q->proto, "udp") == 0, every = q->cs && strcmp(q->host, "*") == 0;
    struct addrinfo hints = {.ai_socktype = udp ? SOCK_DGRAM : SOCK_STREAM,
                             .ai_family = every ? AF_INET : AF_UNSPEC,
                             .ai_flags = every ? AI_PASSIVE : 0};
    int rc = uv_getaddrinfo(uv_default_loop(), &q->uv, on_resolved, every ? NULL : q->host, q->port,
                            &hints);
    return rc < 0 ? cg_fail(eb, CG_EINVAL, "'%s' is no name", q->host) : CG_OK;
}

void names_ask(struct synth_handle *h, struct ninep_req *r, bool cs)
{
    h->text_made = false;
    if (!h->aux) {
        h->aux = cg_zalloc(sizeof(struct names));
    }
    struct query *q = h->aux ? cg_zalloc(sizeof *q) : NULL;
    if (!q) {
        ninep_respond(r, CG_ENOMEM);
        return;
    }
    *q = (struct query){.req = r, .names = h->aux, .cs = cs};
    cg_err e = CG_OK;
    if (!parse(q, r->t.write.data)) {
        e = cg_fail(&r->eb, CG_EBADFORMAT, "write %s",
                    cs ? "tcp!HOST!PORT, udp!HOST!PORT or net!HOST!PORT" : "HOST ip");
    }
    e = e ? e : resolve(q, &r->eb);
    if (e) {
        cg_free(q);
        ninep_respond(r, e);
        return;
    }
    r->aux = q;
}

void names_cancel(struct ninep_req *r)
{
    struct query *q = r->aux;
    uv_cancel((uv_req_t *)&q->uv);
    q->req = NULL;
    ninep_respond(r, CG_ECANCELED);
}

cg_err names_answer(const struct names *n, struct cg_str *out, struct cg_errbuf *eb)
{
    if (!n) {
        return cg_fail(eb, CG_EINVAL, "write a query first");
    }
    return cg_str_add(out, n->answer.data, n->answer.len);
}

void names_free(struct names *n)
{
    if (n) {
        cg_str_fini(&n->answer);
        cg_free(n);
    }
}
