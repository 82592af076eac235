/* secure_impl: what the files of lib/secure share and nobody else sees.
 *
 * Strings inside statements are a u16 length and the bytes, without NUL, as on the 9P wire.
 */
#ifndef COGNU_SECURE_IMPL_H
#define COGNU_SECURE_IMPL_H

#include <cognu/secure.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>

struct secure_key {
    EVP_PKEY *pkey; /* OpenSSL keeps the private half in its secure heap, where one was made */
};

struct secure_tls_id {
    uint32_t refs;
    uint8_t node_key[SECURE_KEY_BYTES];
    uint8_t tls_public[SECURE_KEY_BYTES];
    uint64_t expires_s;
    EVP_PKEY *pkey;
    SSL_CTX *server, *client; /* NULL until finished */
};

void secure__put_str(struct cg_buf *b, const char *s);
/* A string of at most cap - 1 bytes, without NUL; anything else sets bad. */
void secure__get_str(struct cg_buf *b, char *out, size_t cap);
void secure__get_bytes(struct cg_buf *b, void *out, size_t len);
EVP_PKEY *secure__public_key(const uint8_t key[SECURE_KEY_BYTES]);
/* OpenSSL's last error as a detail; the queue is emptied. */
cg_err secure__fail(struct cg_errbuf *eb, cg_err e, const char *what);
void secure__hmac(const void *key, size_t key_len, const void *data, size_t len, uint8_t out[32]);

/* The extension that makes a certificate a node's: node key[32], expires_s u64, signature[64]. */
enum { SECURE__EXT_BYTES = 32 + 8 + 64 };
/* What the peer's certificate says; *node_key is set as soon as the signature holds. */
cg_err secure__cert_check(X509 *cert, uint64_t now_s, uint8_t node_key[32], bool *proved,
                          struct cg_errbuf *eb);
/* Configures what connections made with this identity do with a peer's certificate. */
int secure__tls_verify(X509_STORE_CTX *store, void *arg);

/* Is the proof of a->user over a in its time and right? */
cg_err secure__proof_check(const struct secure_attach *a, const uint8_t sig[64], uint64_t now_s,
                           struct cg_errbuf *eb);

bool secure__address_ok(const char *address);

#endif
