/* Names to addresses. A handle holds the answer of its last query; a query that is under way when
 * its handle closes is forgotten when it ends. */
#include "names.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <string.h>
#include <uv.h>

enum { QUERY_BYTES_MAX = 512, WORDS_MAX = 3 };

struct names {
    struct cg_str answer;
    uint32_t asking; /* queries under way */
    bool closed;
};

struct query {
    uv_getaddrinfo_t uv;
    struct ninep_req *req;
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
    cg_str_addf(&q->names->answer, "/net/%s/clone %s!%u\n", q->proto, host, port);
}

static void on_resolved(uv_getaddrinfo_t *uv, int status, struct addrinfo *found)
{
    struct query *q = CG_CONTAINER(uv, struct query, uv);
    struct ninep_req *r = q->req;
    cg_err e = CG_OK;
    q->names->asking--;
    q->names->answer.len = 0;
    for (const struct addrinfo *a = found; a; a = a->ai_next) {
        add_answer(q, a);
    }
    uv_freeaddrinfo(found);
    if (status < 0) {
        e = cg_fail(&r->eb, CG_ENOENT, "%s: %s", q->host, uv_strerror(status));
    }
    r->r.write.count = r->t.write.data.len;
    bool last = q->names->closed && q->names->asking == 0;
    struct names *n = q->names;
    cg_free(q);
    ninep_respond(r, e);
    if (last) {
        n->closed = false;
        names_free(n);
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
        return n == 2 && (strcmp(words[1], "ip") == 0 || strcmp(words[1], "ipv6") == 0);
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
    return strcmp(q->proto, "tcp") == 0 || strcmp(q->proto, "udp") == 0;
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
        e = cg_fail(&r->eb, CG_EBADFORMAT, "write %s", cs ? "PROTO!HOST!PORT" : "HOST ip");
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    if (!e &&
        uv_getaddrinfo(uv_default_loop(), &q->uv, on_resolved, q->host, q->port, &hints) < 0) {
        e = cg_fail(&r->eb, CG_EINVAL, "'%s' is no name", q->host);
    }
    if (e) {
        cg_free(q);
        ninep_respond(r, e);
        return;
    }
    q->names->asking++;
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
    if (!n) {
        return;
    }
    n->closed = n->asking > 0;
    if (!n->closed) {
        cg_str_fini(&n->answer);
        cg_free(n);
    }
}
