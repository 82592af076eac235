/* tls_id: a short-lived TLS key, and the certificate in which the node's identity vouches for it.
 *
 * The certificate is self-signed by the fresh Ed25519 TLS key and means nothing by itself. What
 * counts is one private extension, OID 2.25.242079277249979543988705589625468073104 (a UUID arc:
 * ITU-T X.667, nobody to register with), whose value is: node key[32], expires_s u64, and the node
 * key's signature (SECURE_TLS_KEY) over TLS public key[32], expires_s u64. The TLS handshake shows
 * that the peer has the TLS key; the extension shows whose it is.
 *
 * TLS 1.3 only, Ed25519 only, X25519 (with ML-KEM-768 where OpenSSL has it), ALPN "9p-ng"; no
 * tickets, no resumption, no early data.
 */
#include "secure_impl.h"

#include <inttypes.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>
#include <string.h>

static const char oid[] = "2.25.242079277249979543988705589625468073104";
static const unsigned char alpn[] = "\x05"
                                    "9p-ng";
enum { ALPN_LEN = sizeof(alpn) - 1 };

cg_err secure_tls_id_new(const uint8_t node_key[32], uint64_t now_s, struct secure_tls_id **out)
{
    struct secure_tls_id *id = cg_zalloc(sizeof(*id));
    size_t len = SECURE_KEY_BYTES;

    if (id == NULL) {
        return CG_ENOMEM;
    }
    id->refs = 1;
    memcpy(id->node_key, node_key, SECURE_KEY_BYTES);
    id->expires_s = now_s + (uint64_t)SECURE_TLS_KEY_HOURS * 3600;
    id->pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (id->pkey == NULL || EVP_PKEY_get_raw_public_key(id->pkey, id->tls_public, &len) != 1) {
        secure_tls_id_free(id);
        return CG_ENOMEM;
    }
    *out = id;
    return CG_OK;
}

static size_t statement(const uint8_t tls_public[32], uint64_t expires_s,
                        uint8_t out[SECURE_TLS_STATEMENT_BYTES])
{
    struct cg_buf b = cg_buf_writer(out, SECURE_TLS_STATEMENT_BYTES);

    cg_put_bytes(&b, tls_public, 32);
    cg_put_u64(&b, expires_s);
    cg_assert(!b.bad);
    return b.pos;
}

void secure_tls_id_statement(const struct secure_tls_id *id,
                             uint8_t out[SECURE_TLS_STATEMENT_BYTES])
{
    statement(id->tls_public, id->expires_s, out);
}

uint64_t secure_tls_id_expires_s(const struct secure_tls_id *id)
{
    return id->expires_s;
}

void secure_tls_id_free(struct secure_tls_id *id)
{
    if (id == NULL || --id->refs > 0) {
        return;
    }
    SSL_CTX_free(id->server);
    SSL_CTX_free(id->client);
    EVP_PKEY_free(id->pkey);
    cg_free(id);
}

static bool add_extension(X509 *cert, const struct secure_tls_id *id, const uint8_t sig[64])
{
    uint8_t value[SECURE__EXT_BYTES];
    struct cg_buf b = cg_buf_writer(value, sizeof(value));

    cg_put_bytes(&b, id->node_key, 32);
    cg_put_u64(&b, id->expires_s);
    cg_put_bytes(&b, sig, 64);
    cg_assert(!b.bad && b.pos == sizeof(value));

    ASN1_OBJECT *obj = OBJ_txt2obj(oid, 1);
    ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
    X509_EXTENSION *ext = NULL;
    bool ok = obj != NULL && data != NULL && ASN1_OCTET_STRING_set(data, value, sizeof(value)) &&
              (ext = X509_EXTENSION_create_by_OBJ(NULL, obj, 1, data)) != NULL &&
              X509_add_ext(cert, ext, -1);
    X509_EXTENSION_free(ext);
    ASN1_OCTET_STRING_free(data);
    ASN1_OBJECT_free(obj);
    return ok;
}

static X509 *make_cert(const struct secure_tls_id *id, const uint8_t sig[64])
{
    X509 *cert = X509_new();
    time_t end = (time_t)id->expires_s, begin = end - SECURE_TLS_KEY_HOURS * 3600;

    if (cert == NULL) {
        return NULL;
    }
    X509_NAME *name = X509_get_subject_name(cert);
    bool ok =
        X509_set_version(cert, X509_VERSION_3) &&
        ASN1_INTEGER_set_uint64(X509_get_serialNumber(cert), id->expires_s) &&
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"cognu", -1, -1, 0) &&
        X509_set_issuer_name(cert, name) &&
        X509_time_adj_ex(X509_getm_notBefore(cert), 0, 0, &begin) != NULL &&
        X509_time_adj_ex(X509_getm_notAfter(cert), 0, 0, &end) != NULL &&
        X509_set_pubkey(cert, id->pkey) && add_extension(cert, id, sig) &&
        X509_sign(cert, id->pkey, NULL) > 0;
    if (!ok) {
        X509_free(cert);
        return NULL;
    }
    return cert;
}

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned int in_len, void *arg)
{
    unsigned char *chosen = NULL;

    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto(&chosen, out_len, alpn, ALPN_LEN, in, in_len) !=
        OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static SSL_CTX *make_ctx(const struct secure_tls_id *id, X509 *cert, bool server)
{
    SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());

    if (ctx == NULL) {
        return NULL;
    }
    bool ok = SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) &&
              SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) &&
              SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:"
                                            "TLS_AES_256_GCM_SHA384") &&
              (SSL_CTX_set1_groups_list(ctx, "X25519MLKEM768:X25519") ||
               SSL_CTX_set1_groups_list(ctx, "X25519")) &&
              SSL_CTX_set1_sigalgs_list(ctx, "ed25519") && SSL_CTX_set_num_tickets(ctx, 0) &&
              SSL_CTX_use_certificate(ctx, cert) && SSL_CTX_use_PrivateKey(ctx, id->pkey) &&
              SSL_CTX_set_alpn_protos(ctx, alpn, ALPN_LEN) == 0;
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, secure__tls_verify, NULL);
    SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
    if (!ok) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

cg_err secure_tls_id_finish(struct secure_tls_id *id, const uint8_t sig[64], struct cg_errbuf *eb)
{
    uint8_t st[SECURE_TLS_STATEMENT_BYTES];

    cg_assert(id->server == NULL && id->client == NULL);
    secure_tls_id_statement(id, st);
    if (!secure_verify(id->node_key, SECURE_TLS_KEY, st, sizeof(st), sig)) {
        return cg_fail(eb, CG_EAUTH, "the signature for the TLS key is not the node key's");
    }
    X509 *cert = make_cert(id, sig);
    if (cert != NULL) {
        id->server = make_ctx(id, cert, true);
        id->client = make_ctx(id, cert, false);
    }
    X509_free(cert);
    if (id->server == NULL || id->client == NULL) {
        return secure__fail(eb, CG_ENOMEM, "making the TLS certificate");
    }
    ERR_clear_error(); /* an older OpenSSL that does not know a group left a word about it */
    return CG_OK;
}

/* The value of the private extension; NULL when there is none, or it has another length. */
static const uint8_t *find_extension(X509 *cert)
{
    ASN1_OBJECT *obj = OBJ_txt2obj(oid, 1);
    int at = obj == NULL ? -1 : X509_get_ext_by_OBJ(cert, obj, -1);
    bool twice = at >= 0 && X509_get_ext_by_OBJ(cert, obj, at) >= 0;

    ASN1_OBJECT_free(obj);
    if (at < 0 || twice) {
        return NULL;
    }
    const ASN1_OCTET_STRING *data = X509_EXTENSION_get_data(X509_get_ext(cert, at));
    return ASN1_STRING_length(data) == SECURE__EXT_BYTES ? ASN1_STRING_get0_data(data) : NULL;
}

cg_err secure__cert_check(X509 *cert, uint64_t now_s, uint8_t node_key[32], bool *proved,
                          struct cg_errbuf *eb)
{
    uint8_t tls_public[SECURE_KEY_BYTES], st[SECURE_TLS_STATEMENT_BYTES], sig[SECURE_SIG_BYTES];
    size_t len = sizeof(tls_public);
    EVP_PKEY *pkey = cert == NULL ? NULL : X509_get0_pubkey(cert);
    const uint8_t *value = pkey == NULL ? NULL : find_extension(cert);

    *proved = false;
    if (value == NULL || EVP_PKEY_get_base_id(pkey) != EVP_PKEY_ED25519 ||
        EVP_PKEY_get_raw_public_key(pkey, tls_public, &len) != 1) {
        return cg_fail(eb, CG_EAUTH, "the peer's certificate is no Cognu node's");
    }
    struct cg_buf b = cg_buf_reader(value, SECURE__EXT_BYTES);
    secure__get_bytes(&b, node_key, 32);
    uint64_t expires_s = cg_get_u64(&b);
    secure__get_bytes(&b, sig, sizeof(sig));
    statement(tls_public, expires_s, st);
    if (!secure_verify(node_key, SECURE_TLS_KEY, st, sizeof(st), sig)) {
        return cg_fail(eb, CG_EAUTH, "the peer's TLS key is not signed by its node key");
    }
    *proved = true;
    if (expires_s > INT64_MAX || expires_s + SECURE_SKEW_SECONDS < now_s) {
        return cg_fail(eb, CG_EEXPIRED, "the peer's TLS key has expired: is a clock wrong?");
    }
    if (expires_s > now_s + (uint64_t)SECURE_TLS_KEY_HOURS * 3600 + SECURE_SKEW_SECONDS) {
        return cg_fail(eb, CG_EAUTH, "the peer's TLS key lives too long: is a clock wrong?");
    }
    return CG_OK;
}
