/* sign: signatures over statements, each kind in a domain of its own.
 *
 * What is signed is "cognu/KIND/1", a NUL, and the statement. No domain is a prefix of another, so
 * that a statement of one kind never reads as one of another kind.
 */
#include "secure_impl.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <string.h>

static const char *const domain[] = {
    [SECURE_TLS_KEY] = "cognu/tls-key/1",
    [SECURE_ATTACH] = "cognu/attach/1",
    [SECURE_TICKET_BLOCK] = "cognu/ticket-block/1",
    [SECURE_ROSTER] = "cognu/roster/1",
};

static uint8_t *message(enum secure_kind kind, const void *statement, size_t len, size_t *out_len)
{
    cg_assert(kind >= SECURE_TLS_KEY && kind <= SECURE_ROSTER);
    cg_assert(len <= SECURE_ROSTER_BYTES_MAX);
    size_t head = strlen(domain[kind]) + 1;
    uint8_t *m = cg_alloc(head + len);
    if (m != NULL) {
        memcpy(m, domain[kind], head);
        memcpy(m + head, statement, len);
        *out_len = head + len;
    }
    return m;
}

cg_err secure_sign(const struct secure_key *k, enum secure_kind kind, const void *statement,
                   size_t len, uint8_t out[SECURE_SIG_BYTES])
{
    size_t message_len = 0, sig_len = SECURE_SIG_BYTES;
    uint8_t *m = message(kind, statement, len, &message_len);
    EVP_MD_CTX *md = m == NULL ? NULL : EVP_MD_CTX_new();

    bool ok = md != NULL && EVP_DigestSignInit(md, NULL, NULL, NULL, k->pkey) == 1 &&
              EVP_DigestSign(md, out, &sig_len, m, message_len) == 1 && sig_len == SECURE_SIG_BYTES;
    EVP_MD_CTX_free(md);
    cg_free(m);
    ERR_clear_error();
    return ok ? CG_OK : CG_ENOMEM;
}

/* The points of order 1, 2, 4 and 8, in every encoding, without the sign bit: for such a "public
 * key" signatures are easily made up, which RFC 8032 leaves to the verifier to care about. Computed
 * from the curve's equation: the y of L times any point, and y + p where that fits. */
static bool weak(const uint8_t key[SECURE_KEY_BYTES])
{
    static const char *const small_order[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    uint8_t bare[SECURE_KEY_BYTES];
    char hex[2 * SECURE_KEY_BYTES + 1];

    memcpy(bare, key, sizeof(bare));
    bare[SECURE_KEY_BYTES - 1] &= 0x7f;
    secure_hex(bare, sizeof(bare), hex);
    for (size_t i = 0; i < CG_COUNT(small_order); i++) {
        if (strcmp(hex, small_order[i]) == 0) {
            return true;
        }
    }
    return false;
}

bool secure_verify(const uint8_t key[SECURE_KEY_BYTES], enum secure_kind kind,
                   const void *statement, size_t len, const uint8_t sig[SECURE_SIG_BYTES])
{
    size_t message_len = 0;
    uint8_t *m = weak(key) ? NULL : message(kind, statement, len, &message_len);
    EVP_PKEY *pkey = m == NULL ? NULL : secure__public_key(key);
    EVP_MD_CTX *md = pkey == NULL ? NULL : EVP_MD_CTX_new();

    bool ok = md != NULL && EVP_DigestVerifyInit(md, NULL, NULL, NULL, pkey) == 1 &&
              EVP_DigestVerify(md, sig, SECURE_SIG_BYTES, m, message_len) == 1;
    EVP_MD_CTX_free(md);
    EVP_PKEY_free(pkey);
    cg_free(m);
    ERR_clear_error();
    return ok;
}

bool secure_equal(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}
