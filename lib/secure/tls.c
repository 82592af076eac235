/* tls: one TLS connection without I/O.
 *
 * Ciphertext waits in two queues, in and out, that OpenSSL reads and writes through a BIO of ours;
 * each exists only while it holds bytes, so that an idle connection costs OpenSSL's state alone.
 * Nothing here is bounded by itself: the owner stops feeding when the out queue or its own reader
 * is full.
 */
#include "secure_impl.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <string.h>

enum {
    RECORD_OVERHEAD = 64, /* header, tag, content type: 22 bytes in TLS 1.3, rounded up */
    RECORD_BYTES = 16384,
    QUEUE_BYTES_MIN = 4096,
};

/* Bytes [head, tail) of data; data is NULL when there are none and none are expected. */
struct queue {
    uint8_t *data;
    size_t head, tail, cap;
};

struct secure_tls {
    SSL *ssl;
    struct secure_tls_config config;
    struct queue in, out;
    bool up, peer_closed, closed, shown;
    cg_err refusal; /* why the certificate was refused */
    struct cg_errbuf refusal_text;
    uint8_t expect[32], node_key[32], binding[32];
};

/* ---- queues */

static uint8_t *queue_space(struct queue *q, size_t want)
{
    if (q->cap - q->tail < want && q->head > 0) {
        memmove(q->data, q->data + q->head, q->tail - q->head);
        q->tail -= q->head;
        q->head = 0;
    }
    if (q->cap - q->tail < want) {
        size_t cap = q->cap * 2 > q->tail + want ? q->cap * 2 : q->tail + want;
        cap = cap < QUEUE_BYTES_MIN ? QUEUE_BYTES_MIN : cap;
        uint8_t *data = cg_realloc(q->data, cap);
        if (data == NULL) {
            return NULL;
        }
        q->data = data;
        q->cap = cap;
    }
    return q->data + q->tail;
}

static void queue_take(struct queue *q, size_t len)
{
    cg_assert(len <= q->tail - q->head);
    q->head += len;
    if (q->head == q->tail) {
        cg_free(q->data);
        memset(q, 0, sizeof(*q));
    }
}

/* ---- the BIO between OpenSSL and the queues */

static int bio_write(BIO *bio, const char *data, int len)
{
    struct secure_tls *t = BIO_get_data(bio);
    uint8_t *space = len < 0 ? NULL : queue_space(&t->out, (size_t)len);

    if (space == NULL) {
        return -1;
    }
    memcpy(space, data, (size_t)len);
    t->out.tail += (size_t)len;
    return len;
}

static int bio_read(BIO *bio, char *data, int len)
{
    struct secure_tls *t = BIO_get_data(bio);
    size_t have = t->in.tail - t->in.head;

    BIO_clear_retry_flags(bio);
    if (have == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t n = (size_t)len < have ? (size_t)len : have;
    memcpy(data, t->in.data + t->in.head, n);
    queue_take(&t->in, n);
    return (int)n;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method(void)
{
    static BIO_METHOD *method; /* made once, kept for the life of the process */

    if (method == NULL) {
        method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "cognu");
        if (method != NULL) {
            BIO_meth_set_write(method, bio_write);
            BIO_meth_set_read(method, bio_read);
            BIO_meth_set_ctrl(method, bio_ctrl);
        }
    }
    return method;
}

/* ---- the peer's certificate */

static int alert_for(cg_err e)
{
    switch (e) {
    case CG_EUNPAIRED:
        return X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT; /* sent as unknown_ca */
    case CG_EREVOKED:
        return X509_V_ERR_CERT_REVOKED;
    case CG_EEXPIRED:
        return X509_V_ERR_CERT_HAS_EXPIRED;
    default:
        return X509_V_ERR_CERT_REJECTED; /* sent as bad_certificate */
    }
}

static cg_err judge(struct secure_tls *t, X509 *cert)
{
    const struct cg_env *env = t->config.env;
    uint64_t now_s = env->wall_ns(env->ctx) / 1000000000u;
    cg_err e = secure__cert_check(cert, now_s, t->node_key, &t->shown, &t->refusal_text);

    if (e != CG_OK) {
        return e;
    }
    if (t->config.expect != NULL && !secure_equal(t->node_key, t->config.expect, 32)) {
        return cg_fail(&t->refusal_text, CG_EAUTH, "another node than the expected one answered");
    }
    e = t->config.accept == NULL ? CG_OK : t->config.accept(t->config.ctx, t->node_key);
    if (e != CG_OK) {
        cg_fail(&t->refusal_text, e, "%s",
                e == CG_EREVOKED ? "the node was removed from the cell" : cg_err_meaning(e));
    }
    return e;
}

int secure__tls_verify(X509_STORE_CTX *store, void *arg)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct secure_tls *t = SSL_get_app_data(ssl);

    (void)arg;
    t->refusal = judge(t, X509_STORE_CTX_get0_cert(store));
    X509_STORE_CTX_set_error(store, t->refusal == CG_OK ? X509_V_OK : alert_for(t->refusal));
    return t->refusal == CG_OK;
}

/* ---- errors */

static cg_err received_alert(int reason, struct cg_errbuf *eb)
{
    switch (reason) {
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        return cg_fail(eb, CG_EUNPAIRED,
                       "the other node refused this one: is this node in its roster?");
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
        return cg_fail(eb, CG_EREVOKED, "this node was removed from the cell");
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        return cg_fail(eb, CG_EEXPIRED, "the other node says that this one's TLS key has expired");
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
        return cg_fail(eb, CG_EAUTH, "the other node did not accept this one's certificate");
    default:
        return CG_OK;
    }
}

/* What a failed call means; CG_OK: it only wants more bytes. */
static cg_err judge_failure(struct secure_tls *t, int ret, struct cg_errbuf *eb)
{
    int kind = SSL_get_error(t->ssl, ret);

    if (kind == SSL_ERROR_WANT_READ || kind == SSL_ERROR_WANT_WRITE) {
        return CG_OK;
    }
    if (kind == SSL_ERROR_ZERO_RETURN) {
        t->peer_closed = true;
        return cg_fail(eb, CG_ECONNRESET, "the other side closed the connection");
    }
    if (t->refusal != CG_OK) {
        ERR_clear_error();
        return cg_fail(eb, t->refusal, "%s", t->refusal_text.text);
    }
    cg_err e = received_alert(ERR_GET_REASON(ERR_peek_error()), eb);
    if (e != CG_OK) {
        ERR_clear_error();
        return e;
    }
    return secure__fail(eb, CG_EPROTO, "TLS");
}

/* ---- life */

static bool attach_ssl(struct secure_tls *t)
{
    BIO *bio = NULL;

    t->ssl = SSL_new(t->config.server ? t->config.id->server : t->config.id->client);
    if (t->ssl == NULL || bio_method() == NULL || (bio = BIO_new(bio_method())) == NULL) {
        return false;
    }
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    SSL_set_app_data(t->ssl, t);
    if (t->config.server) {
        SSL_set_accept_state(t->ssl);
    } else {
        SSL_set_connect_state(t->ssl);
    }
    return true;
}

static cg_err advance(struct secure_tls *t, struct cg_errbuf *eb)
{
    static const char label[] = "EXPORTER-cognu-9p-ng";
    const unsigned char *proto = NULL;
    unsigned int proto_len = 0;

    ERR_clear_error();
    int ret = SSL_do_handshake(t->ssl);
    if (ret != 1) {
        return judge_failure(t, ret, eb);
    }
    SSL_get0_alpn_selected(t->ssl, &proto, &proto_len);
    if (proto_len != 5 || memcmp(proto, "9p-ng", 5) != 0) {
        return cg_fail(eb, CG_EPROTO, "the peer does not speak 9p-ng");
    }
    if (!t->shown || SSL_export_keying_material(t->ssl, t->binding, sizeof(t->binding), label,
                                                sizeof(label) - 1, NULL, 0, 0) != 1) {
        return secure__fail(eb, CG_EPROTO, "TLS exporter");
    }
    t->up = true;
    return CG_OK;
}

cg_err secure_tls_new(const struct secure_tls_config *config, struct secure_tls **out)
{
    struct secure_tls *t = cg_zalloc(sizeof(*t));

    cg_assert(config->id->server != NULL);
    if (t == NULL) {
        return CG_ENOMEM;
    }
    t->config = *config;
    t->config.env = config->env != NULL ? config->env : &cg_env_real;
    t->config.id->refs++;
    if (config->expect != NULL) {
        memcpy(t->expect, config->expect, 32);
        t->config.expect = t->expect;
    }
    if (!attach_ssl(t) || (!config->server && advance(t, NULL) != CG_OK)) {
        ERR_clear_error();
        secure_tls_free(t);
        return CG_ENOMEM;
    }
    *out = t;
    return CG_OK;
}

void secure_tls_free(struct secure_tls *t)
{
    if (t != NULL) {
        SSL_free(t->ssl);
        secure_tls_id_free(t->config.id);
        cg_free(t->in.data);
        cg_free(t->out.data);
        cg_wipe(t, sizeof(*t));
        cg_free(t);
    }
}

/* ---- bytes */

uint8_t *secure_tls_space(struct secure_tls *t, size_t want)
{
    return queue_space(&t->in, want);
}

cg_err secure_tls_commit(struct secure_tls *t, size_t len, struct cg_errbuf *eb)
{
    cg_assert(len <= t->in.cap - t->in.tail);
    t->in.tail += len;
    queue_take(&t->in, 0);
    return t->up ? CG_OK : advance(t, eb);
}

cg_err secure_tls_input(struct secure_tls *t, const void *data, size_t len, struct cg_errbuf *eb)
{
    uint8_t *space = secure_tls_space(t, len);

    if (space == NULL) {
        return cg_fail(eb, CG_ENOMEM, "no memory for received bytes");
    }
    memcpy(space, data, len);
    return secure_tls_commit(t, len, eb);
}

cg_err secure_tls_read(struct secure_tls *t, void *out, size_t cap, size_t *len,
                       struct cg_errbuf *eb)
{
    size_t have = 0;
    cg_err e = CG_OK;

    *len = 0;
    if (!t->up) {
        return CG_OK;
    }
    ERR_clear_error();
    while (have < cap && !t->peer_closed) {
        size_t n = 0;
        int ret = SSL_read_ex(t->ssl, (char *)out + have, cap - have, &n);
        if (ret != 1) {
            e = judge_failure(t, ret, eb);
            break;
        }
        have += n;
    }
    *len = have;
    if (t->peer_closed) { /* what came before the close is given first */
        e = have > 0 ? CG_OK : cg_fail(eb, CG_ECONNRESET, "the other side closed the connection");
    }
    return e;
}

cg_err secure_tls_write(struct secure_tls *t, const void *data, size_t len, struct cg_errbuf *eb)
{
    size_t records = len / RECORD_BYTES + 1;

    cg_assert(t->up && !t->closed);
    if (len == 0) {
        return CG_OK;
    }
    if (queue_space(&t->out, len + records * RECORD_OVERHEAD) == NULL) {
        return cg_fail(eb, CG_ENOMEM, "no memory for bytes to send");
    }
    ERR_clear_error();
    for (size_t done = 0; done < len;) {
        size_t n = 0;
        int ret = SSL_write_ex(t->ssl, (const char *)data + done, len - done, &n);
        if (ret != 1) {
            cg_err e = judge_failure(t, ret, eb);
            return e != CG_OK ? e : cg_fail(eb, CG_EPROTO, "TLS took no bytes");
        }
        done += n;
    }
    return CG_OK;
}

const uint8_t *secure_tls_output(const struct secure_tls *t, size_t *len)
{
    *len = t->out.tail - t->out.head;
    return t->out.data == NULL ? NULL : t->out.data + t->out.head;
}

void secure_tls_sent(struct secure_tls *t, size_t len)
{
    queue_take(&t->out, len);
}

bool secure_tls_up(const struct secure_tls *t)
{
    return t->up;
}

void secure_tls_peer(const struct secure_tls *t, uint8_t node_key[32], uint8_t binding[32])
{
    cg_assert(t->up);
    memcpy(node_key, t->node_key, 32);
    memcpy(binding, t->binding, 32);
}

bool secure_tls_shown(const struct secure_tls *t, uint8_t node_key[32])
{
    memcpy(node_key, t->node_key, 32);
    return t->shown;
}

void secure_tls_close(struct secure_tls *t)
{
    if (t->up && !t->closed) {
        ERR_clear_error();
        (void)SSL_shutdown(t->ssl); /* queues close_notify; the peer's own may still come */
        ERR_clear_error();
        t->closed = true;
    }
}
