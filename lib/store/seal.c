/* AEAD (AES-256-GCM), scores (HMAC-SHA256) and plain hashes (SHA-256), by OpenSSL, with
 * contexts that are set up once and used again: setting one up costs more than hashing a small
 * file. Scores of several objects are computed side by side (lanes.c).
 *
 * HMAC-SHA256 and not a keyed BLAKE2: with the processor's SHA instructions it is the faster one
 * (docs/store-performance.md). */
#include "lanes.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <string.h>

struct aead {
    EVP_CIPHER_CTX *ctx;
    bool encrypt;
};

struct aead *aead_new(const uint8_t key[KEY_BYTES], bool encrypt)
{
    struct aead *a = cg_alloc(sizeof *a);
    EVP_CIPHER_CTX *ctx = a ? EVP_CIPHER_CTX_new() : NULL;
    if (!ctx || EVP_CipherInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, NULL, encrypt) != 1) {
        EVP_CIPHER_CTX_free(ctx);
        cg_free(a);
        return NULL;
    }
    *a = (struct aead){.ctx = ctx, .encrypt = encrypt};
    return a;
}

void aead_free(struct aead *a)
{
    if (a) {
        EVP_CIPHER_CTX_free(a->ctx);
        cg_free(a);
    }
}

static void begin(struct aead *a, uint64_t nonce, const void *aad, size_t aad_len)
{
    uint8_t iv[12] = {0};
    struct cg_buf b = cg_buf_writer(iv, sizeof iv);
    cg_put_u64(&b, nonce);
    int n;
    int ok = EVP_CipherInit_ex(a->ctx, NULL, NULL, NULL, iv, -1);
    cg_assert(ok == 1);
    ok = EVP_CipherUpdate(a->ctx, NULL, &n, aad, (int)aad_len);
    cg_assert(ok == 1);
}

static uint8_t *seal_more(struct aead *a, const void *in, size_t len, uint8_t *out)
{
    int n = 0;
    cg_assert(a->encrypt && len <= INT32_MAX);
    int ok = len ? EVP_CipherUpdate(a->ctx, out, &n, in, (int)len) : 1;
    cg_assert(ok == 1 && (size_t)n == len);
    return out + len;
}

static void seal_end(struct aead *a, uint8_t *out)
{
    int end = 0;
    int ok = EVP_CipherFinal_ex(a->ctx, out, &end);
    cg_assert(ok == 1 && end == 0);
    ok = EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, out);
    cg_assert(ok == 1);
}

void aead_seal(struct aead *a, uint64_t nonce, const void *aad, size_t aad_len, const void *in,
               size_t len, uint8_t *out)
{
    begin(a, nonce, aad, aad_len);
    seal_end(a, seal_more(a, in, len, out));
}

void aead_seal_parts(struct aead *a, uint64_t nonce, const void *aad, size_t aad_len,
                     struct cg_span head, struct cg_span body, uint8_t *out)
{
    begin(a, nonce, aad, aad_len);
    out = seal_more(a, head.data, head.len, out);
    seal_end(a, seal_more(a, body.data, body.len, out));
}

bool aead_open(struct aead *a, uint64_t nonce, const void *aad, size_t aad_len, const uint8_t *in,
               size_t len, void *out)
{
    int n = 0, end = 0;
    uint8_t tag[TAG_BYTES];
    cg_assert(!a->encrypt && len <= INT32_MAX);
    begin(a, nonce, aad, aad_len);
    memcpy(tag, in + len, TAG_BYTES);
    return EVP_CipherUpdate(a->ctx, out, &n, in, (int)len) == 1 &&
           EVP_CIPHER_CTX_ctrl(a->ctx, EVP_CTRL_AEAD_SET_TAG, TAG_BYTES, tag) == 1 &&
           EVP_CipherFinal_ex(a->ctx, (uint8_t *)out + n, &end) == 1;
}

enum { SCORER_KEYS = LANES_KEYS }; /* of data and of nodes */
struct scorer {
    EVP_MAC_CTX *mac[SCORER_KEYS];
    struct lanes *lanes; /* NULL: one by one */
};

static EVP_MAC_CTX *mac_new(EVP_MAC *mac, const uint8_t key[KEY_BYTES])
{
    char digest[] = "SHA256";
    OSSL_PARAM params[2] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                            OSSL_PARAM_construct_end()};
    EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
    if (ctx && EVP_MAC_init(ctx, key, KEY_BYTES, params) != 1) {
        EVP_MAC_CTX_free(ctx);
        ctx = NULL;
    }
    return ctx;
}

struct scorer *scorer_new(const uint8_t domain[KEY_BYTES])
{
    static const char *const label[SCORER_KEYS] = {"cognu store score data",
                                                   "cognu store score node"};
    uint8_t key[SCORER_KEYS][KEY_BYTES];
    struct scorer *c = cg_zalloc(sizeof *c);
    if (!c) {
        return NULL;
    }
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    for (int i = 0; i < SCORER_KEYS; i++) {
        key_derive(domain, label[i], NULL, 0, key[i], sizeof key[i]);
        c->mac[i] = mac_new(mac, key[i]);
    }
    c->lanes = lanes_new(key);
    cg_wipe(key, sizeof key);
    EVP_MAC_free(mac);
    if (!c->mac[0] || !c->mac[1]) {
        scorer_free(c);
        return NULL;
    }
    return c;
}

void scorer_free(struct scorer *c)
{
    if (c) {
        EVP_MAC_CTX_free(c->mac[0]);
        EVP_MAC_CTX_free(c->mac[1]);
        lanes_free(c->lanes);
        cg_free(c);
    }
}

void scorer_score(struct scorer *c, enum store_object kind, const void *data, size_t len,
                  struct store_score *out)
{
    uint8_t full[32];
    size_t n = 0;
    EVP_MAC_CTX *mac = c->mac[kind == STORE_NODE];
    int ok = EVP_MAC_init(mac, NULL, 0, NULL) == 1 && EVP_MAC_update(mac, data, len) == 1 &&
             EVP_MAC_final(mac, full, &n, sizeof full) == 1;
    cg_assert(ok && n == sizeof full);
    memcpy(out->b, full, STORE_SCORE_BYTES);
}

void scorer_scores(struct scorer *c, enum store_object kind, const struct cg_span *object,
                   uint32_t n, struct store_score *out)
{
    uint8_t full[SCORES_MAX][LANES_MAC_BYTES];
    struct cg_span fit[SCORES_MAX];
    uint32_t which[SCORES_MAX], fits = 0;
    cg_assert(n <= SCORES_MAX);
    for (uint32_t i = 0; i < n; i++) {
        if (c->lanes && lanes_fit(object[i].len)) {
            which[fits] = i;
            fit[fits++] = object[i];
        } else {
            scorer_score(c, kind, object[i].data, object[i].len, &out[i]);
        }
    }
    bool done = fits && lanes_hmac(c->lanes, kind == STORE_NODE, fit, fits, full);
    for (uint32_t i = 0; i < fits; i++) {
        if (done) {
            memcpy(out[which[i]].b, full[i], STORE_SCORE_BYTES);
        } else {
            scorer_score(c, kind, fit[i].data, fit[i].len, &out[which[i]]);
        }
    }
}

struct checker {
    EVP_CIPHER_CTX *ctx;
};

struct checker *checker_new(void)
{
    static const uint8_t zero[KEY_BYTES];
    struct checker *c = cg_alloc(sizeof *c);
    EVP_CIPHER_CTX *ctx = c ? EVP_CIPHER_CTX_new() : NULL;
    if (!ctx || EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, zero, NULL) != 1) {
        EVP_CIPHER_CTX_free(ctx);
        cg_free(c);
        return NULL;
    }
    c->ctx = ctx;
    return c;
}

void checker_free(struct checker *c)
{
    if (c) {
        EVP_CIPHER_CTX_free(c->ctx);
        cg_free(c);
    }
}

void checker_sum(struct checker *c, const void *head, size_t head_len, const void *body, size_t len,
                 uint8_t out[TAG_BYTES])
{
    static const uint8_t iv[12];
    int n;
    int ok = EVP_EncryptInit_ex(c->ctx, NULL, NULL, NULL, iv) == 1 &&
             EVP_EncryptUpdate(c->ctx, NULL, &n, head, (int)head_len) == 1 &&
             EVP_EncryptUpdate(c->ctx, NULL, &n, body, (int)len) == 1 &&
             EVP_EncryptFinal_ex(c->ctx, out, &n) == 1 &&
             EVP_CIPHER_CTX_ctrl(c->ctx, EVP_CTRL_AEAD_GET_TAG, TAG_BYTES, out) == 1;
    cg_assert(ok);
}

struct hasher {
    EVP_MD_CTX *ctx;
    EVP_MD *md;
};

struct hasher *hasher_new(void)
{
    struct hasher *h = cg_zalloc(sizeof *h);
    if (!h) {
        return NULL;
    }
    h->ctx = EVP_MD_CTX_new();
    h->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!h->ctx || !h->md) {
        hasher_free(h);
        return NULL;
    }
    return h;
}

void hasher_free(struct hasher *h)
{
    if (h) {
        EVP_MD_CTX_free(h->ctx);
        EVP_MD_free(h->md);
        cg_free(h);
    }
}

void hasher_start(struct hasher *h)
{
    int ok = EVP_DigestInit_ex(h->ctx, h->md, NULL);
    cg_assert(ok == 1);
}

void hasher_add(struct hasher *h, const void *data, size_t len)
{
    int ok = EVP_DigestUpdate(h->ctx, data, len);
    cg_assert(ok == 1);
}

void hasher_end(struct hasher *h, uint8_t out[32])
{
    int ok = EVP_DigestFinal_ex(h->ctx, out, NULL);
    cg_assert(ok == 1);
}
