/* key: private Ed25519 keys: made, kept in PEM files of mode 0600, wiped. */
#include "secure_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_FILE_BYTES_MAX = 1024 }; /* a PKCS#8 Ed25519 key in PEM has 119 */

cg_err secure__fail(struct cg_errbuf *eb, cg_err e, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    return cg_fail(eb, e, "%s: %s", what, reason ? reason : "refused by OpenSSL");
}

static cg_err wrap(EVP_PKEY *pkey, struct secure_key **out)
{
    struct secure_key *k = cg_zalloc(sizeof(*k));

    if (k == NULL) {
        EVP_PKEY_free(pkey);
        return CG_ENOMEM;
    }
    k->pkey = pkey;
    *out = k;
    return CG_OK;
}

cg_err secure_key_new(struct secure_key **out)
{
    EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

    return pkey == NULL ? CG_ENOMEM : wrap(pkey, out);
}

static cg_err parse_pem(const char *text, size_t len, const char *path, struct secure_key **out,
                        struct cg_errbuf *eb)
{
    BIO *bio = BIO_new_mem_buf(text, (int)len);
    if (bio == NULL) {
        return CG_ENOMEM;
    }
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)"");
    BIO_free(bio);
    if (pkey == NULL) {
        return secure__fail(eb, CG_EBADFORMAT, path);
    }
    if (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_ED25519) {
        EVP_PKEY_free(pkey);
        return cg_fail(eb, CG_EBADFORMAT, "%s: not an Ed25519 key", path);
    }
    return wrap(pkey, out);
}

cg_err secure_key_load(const char *path, struct secure_key **out, struct cg_errbuf *eb)
{
    struct stat st;
    char *text = NULL;
    size_t len = 0;

    if (lstat(path, &st) != 0) {
        int err = errno;
        return cg_fail(eb, cg_err_from_errno(err), "%s: %s", path, strerror(err));
    }
    if ((st.st_mode & 077) != 0 || (st.st_uid != geteuid() && geteuid() != 0)) {
        return cg_fail(eb, CG_EPERM,
                       "%s: others may read this key: chmod 600 it, and think of it as known",
                       path);
    }
    cg_err e = secure_file_read(path, KEY_FILE_BYTES_MAX, &text, &len, eb);
    if (e != CG_OK) {
        return e;
    }
    e = parse_pem(text, len, path, out, eb);
    cg_wipe(text, len);
    cg_free(text);
    return e;
}

cg_err secure_key_save(const struct secure_key *k, const char *path, struct cg_errbuf *eb)
{
    char *text = NULL;
    BIO *bio = BIO_new(BIO_s_secmem());

    if (bio == NULL || !PEM_write_bio_PKCS8PrivateKey(bio, k->pkey, NULL, NULL, 0, NULL, NULL)) {
        BIO_free(bio);
        return secure__fail(eb, CG_ENOMEM, path);
    }
    long len = BIO_get_mem_data(bio, &text);
    cg_err e = secure_file_replace(path, text, (size_t)len, 0600, eb);
    BIO_free(bio); /* wipes */
    return e;
}

void secure_key_free(struct secure_key *k)
{
    if (k != NULL) {
        EVP_PKEY_free(k->pkey); /* wipes */
        cg_free(k);
    }
}

void secure_key_public(const struct secure_key *k, uint8_t out[SECURE_KEY_BYTES])
{
    size_t len = SECURE_KEY_BYTES;
    int ok = EVP_PKEY_get_raw_public_key(k->pkey, out, &len);

    cg_assert(ok == 1 && len == SECURE_KEY_BYTES);
}

EVP_PKEY *secure__public_key(const uint8_t key[SECURE_KEY_BYTES])
{
    return EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key, SECURE_KEY_BYTES);
}

uint64_t secure_principal(const uint8_t key[SECURE_KEY_BYTES])
{
    uint8_t hash[SHA256_DIGEST_LENGTH];

    SHA256(key, SECURE_KEY_BYTES, hash);
    struct cg_buf b = cg_buf_reader(hash, sizeof(hash));
    return cg_get_u64(&b) & ~(1ull << 63);
}
