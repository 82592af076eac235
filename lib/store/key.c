/* Keys, and the file that holds them wrapped.
 *
 * passphrase --scrypt--> wrapping key --AES-256-GCM--> store key, domain key. A recovery key is 32
 * random bytes; it wraps through HKDF alone. From the store key come those of packs, runs and
 * states (HKDF-SHA256 with the file's salt), from the domain key those of scores and of the
 * chunker. OpenSSL 3.0 has no Argon2; the slot names its parameters, so that another function can
 * be added beside.
 *
 * Slot: kind 1, scrypt log2 N 1, r 1, p 1, salt 16, sealed keys 64 + 16. Its head and the config's
 * head are authenticated with the keys. */
#include "store__.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdio.h>
#include <string.h>

enum {
    SLOT_HEAD_BYTES = 4 + SALT_BYTES,
    SCRYPT_LOG_N = 15, /* 32 MiB with r = 8: fits beside everything else in 96 MiB */
    SCRYPT_LOG_N_MAX = 20,
    SCRYPT_R = 8,
    SCRYPT_P = 1,
};

void key_derive(const uint8_t key[KEY_BYTES], const char *label, const uint8_t *salt,
                size_t salt_len, void *out, size_t len)
{
    char digest[] = "SHA256";
    union {
        const void *in;
        void *out;
    } k = {.in = key}, l = {.in = label}, st = {.in = salt_len ? (const void *)salt : ""};
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, k.out, KEY_BYTES),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, l.out, strlen(label)),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SALT, st.out, salt_len),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    int ok = ctx ? EVP_KDF_derive(ctx, out, len, params) : 0;
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    cg_assert(ok ==
              1); /* only memory can be short here, and OpenSSL has none to spare then either */
}

/* ---- recovery keys as text: 13 groups of base 32 (RFC 4648), the last 8 bits a check ---- */

static const char base32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
enum { RECOVERY_LETTERS = 53 }; /* 33 bytes */

static uint8_t recovery_check(const uint8_t key[KEY_BYTES])
{
    uint8_t check;
    key_derive(key, "cognu store recovery check", NULL, 0, &check, 1);
    return check;
}

cg_err recovery_make(const struct cg_env *env, char out[STORE_RECOVERY_CHARS])
{
    uint8_t bytes[KEY_BYTES + 2] = {0};
    env->random(env->ctx, bytes, KEY_BYTES);
    bytes[KEY_BYTES] = recovery_check(bytes);
    size_t n = 0;
    for (int i = 0; i < RECOVERY_LETTERS; i++) {
        int bit = i * 5;
        uint32_t two = (uint32_t)bytes[bit / 8] << 8 | bytes[bit / 8 + 1];
        if (i > 0 && i % 4 == 0) {
            out[n++] = '-';
        }
        out[n++] = base32[two >> (11 - bit % 8) & 31];
    }
    out[n] = 0;
    cg_assert(n < STORE_RECOVERY_CHARS);
    cg_wipe(bytes, sizeof bytes);
    return CG_OK;
}

static cg_err recovery_parse(const char *text, uint8_t key[KEY_BYTES], struct cg_errbuf *eb)
{
    uint8_t bytes[KEY_BYTES + 2] = {0};
    int i = 0;
    for (const char *c = text; *c; c++) {
        char up = *c >= 'a' && *c <= 'z' ? (char)(*c - 32) : *c;
        const char *at = strchr(base32, up);
        if (up == '-' || up == ' ' || up == '\n') {
            continue;
        }
        if (!at || i == RECOVERY_LETTERS) {
            return cg_fail(eb, CG_EBADFORMAT,
                           "this is no recovery key: it has 53 letters and digits 2-7");
        }
        int bit = i++ * 5;
        uint32_t two = (uint32_t)(at - base32) << (11 - bit % 8);
        bytes[bit / 8] |= (uint8_t)(two >> 8);
        bytes[bit / 8 + 1] |= (uint8_t)two;
    }
    bool good = i == RECOVERY_LETTERS && recovery_check(bytes) == bytes[KEY_BYTES];
    memcpy(key, bytes, KEY_BYTES);
    cg_wipe(bytes, sizeof bytes);
    return good ? CG_OK
                : cg_fail(eb, CG_EBADFORMAT, "the recovery key has a mistake: its check differs");
}

/* ---- wrapping ---- */

static cg_err wrapping_key(const uint8_t slot[SLOT_BYTES], const struct store_secret *secret,
                           uint8_t out[KEY_BYTES], struct cg_errbuf *eb)
{
    const uint8_t *salt = slot + 4;
    if (slot[0] == STORE_RECOVERY) {
        uint8_t key[KEY_BYTES];
        cg_err e = recovery_parse(secret->text, key, eb);
        if (!e) {
            key_derive(key, "cognu store recovery", salt, SALT_BYTES, out, KEY_BYTES);
        }
        cg_wipe(key, sizeof key);
        return e;
    }
    if (slot[1] < 1 || slot[1] > SCRYPT_LOG_N_MAX || slot[2] != SCRYPT_R || slot[3] < 1 ||
        slot[3] > 16) {
        return cg_fail(eb, CG_EBADFORMAT, "config: scrypt parameters out of range");
    }
    uint64_t n = 1ull << slot[1], memory = 128ull * slot[2] * n + (1 << 20);
    int ok = EVP_PBE_scrypt(secret->text, strlen(secret->text), salt, SALT_BYTES, n, slot[2],
                            slot[3], memory, out, KEY_BYTES);
    return ok == 1 ? CG_OK : cg_fail(eb, CG_ENOMEM, "no memory for scrypt");
}

static uint8_t *config_slot(struct config *c, enum store_secret_kind kind)
{
    return c->bytes + CONFIG_HEAD_BYTES + (kind - 1) * SLOT_BYTES;
}

/* What is authenticated beside the keys: the config's head and the slot's. */
static void slot_aad(const struct config *c, const uint8_t *slot,
                     uint8_t aad[CONFIG_HEAD_BYTES + SLOT_HEAD_BYTES])
{
    memcpy(aad, c->bytes, CONFIG_HEAD_BYTES);
    memcpy(aad + CONFIG_HEAD_BYTES, slot, SLOT_HEAD_BYTES);
}

static void config_hash(const struct config *c, uint8_t out[32])
{
    EVP_Digest(c->bytes, CONFIG_BYTES - 32, out, NULL, EVP_sha256(), NULL);
}

cg_err config_make(struct config *c, const uint8_t id[ID_BYTES])
{
    struct cg_buf b = cg_buf_writer(c->bytes, sizeof c->bytes);
    memset(c, 0, sizeof *c);
    cg_put_bytes(&b, CONFIG_MAGIC, 8);
    cg_put_u16(&b, FORMAT_VERSION);
    cg_put_u16(&b, 0);
    cg_put_bytes(&b, id, ID_BYTES);
    return b.bad ? CG_EINVAL : CG_OK;
}

cg_err config_wrap(struct config *c, const struct store_options *o,
                   const struct store_secret *secret, const struct keys *k, struct cg_errbuf *eb)
{
    uint8_t slot[SLOT_BYTES] = {(uint8_t)secret->kind}, key[KEY_BYTES], plain[2 * KEY_BYTES];
    uint8_t aad[CONFIG_HEAD_BYTES + SLOT_HEAD_BYTES];
    if (secret->kind == STORE_PASSPHRASE) {
        slot[1] = o->scrypt_log_n ? o->scrypt_log_n : SCRYPT_LOG_N;
        slot[2] = SCRYPT_R;
        slot[3] = SCRYPT_P;
    }
    cg_env_real.random(NULL, slot + 4, SALT_BYTES);
    cg_err e = wrapping_key(slot, secret, key, eb);
    struct aead *a = e ? NULL : aead_new(key, true);
    cg_wipe(key, sizeof key);
    if (!a) {
        return e ? e : CG_ENOMEM;
    }
    memcpy(plain, k->store, KEY_BYTES);
    memcpy(plain + KEY_BYTES, k->domain, KEY_BYTES);
    slot_aad(c, slot, aad);
    aead_seal(a, 0, aad, sizeof aad, plain, sizeof plain, slot + SLOT_HEAD_BYTES);
    cg_wipe(plain, sizeof plain);
    aead_free(a);
    memcpy(config_slot(c, secret->kind), slot, SLOT_BYTES);
    config_hash(c, c->bytes + CONFIG_BYTES - 32);
    return CG_OK;
}

cg_err config_unwrap(const struct config *c, const struct store_secret *secret, struct keys *k,
                     struct cg_errbuf *eb)
{
    uint8_t slot[SLOT_BYTES], key[KEY_BYTES], plain[2 * KEY_BYTES];
    uint8_t aad[CONFIG_HEAD_BYTES + SLOT_HEAD_BYTES];
    memcpy(slot, c->bytes + CONFIG_HEAD_BYTES + (secret->kind - 1) * SLOT_BYTES, SLOT_BYTES);
    if (slot[0] != secret->kind) {
        return cg_fail(eb, CG_EAUTH, "this store has no key of that kind");
    }
    cg_err e = wrapping_key(slot, secret, key, eb);
    struct aead *a = e ? NULL : aead_new(key, false);
    cg_wipe(key, sizeof key);
    if (!a) {
        return e ? e : CG_ENOMEM;
    }
    slot_aad(c, slot, aad);
    if (aead_open(a, 0, aad, sizeof aad, slot + SLOT_HEAD_BYTES, sizeof plain, plain)) {
        memcpy(k->store, plain, KEY_BYTES);
        memcpy(k->domain, plain + KEY_BYTES, KEY_BYTES);
    } else {
        e = cg_fail(eb, CG_EAUTH,
                    secret->kind == STORE_PASSPHRASE
                        ? "the passphrase is wrong (a recovery key opens the store too)"
                        : "the recovery key is not this store's");
    }
    cg_wipe(plain, sizeof plain);
    aead_free(a);
    return e;
}

/* ---- the file ---- */

static cg_err config_decode(const struct cg_str *text, const char *path, struct config *c,
                            struct cg_errbuf *eb)
{
    uint8_t hash[32];
    if (text->len != CONFIG_BYTES || memcmp(text->data, CONFIG_MAGIC, 8) != 0) {
        return cg_fail(eb, CG_EBADFORMAT, "%s: this is no store of Cognu", path);
    }
    memcpy(c->bytes, text->data, CONFIG_BYTES);
    config_hash(c, hash);
    if (memcmp(hash, c->bytes + CONFIG_BYTES - 32, 32) != 0) {
        return cg_fail(eb, CG_EIO, "%s: damaged", path);
    }
    struct cg_buf b = cg_buf_reader(c->bytes + 8, 4);
    uint16_t version = cg_get_u16(&b), features = cg_get_u16(&b);
    if (version != FORMAT_VERSION || features != 0) {
        return cg_fail(eb, CG_EBADFORMAT,
                       "%s: format %u with features %x is newer than this program", path, version,
                       features);
    }
    return CG_OK;
}

cg_err config_load(const struct store_io *io, struct config *c, struct cg_errbuf *eb)
{
    static const char *const paths[] = {"config", "config.copy"};
    cg_err first = CG_OK;
    for (size_t i = 0; i < CG_COUNT(paths); i++) {
        struct cg_str text = {0};
        cg_err e = file_read_all(io, paths[i], CONFIG_BYTES, &text, first ? NULL : eb);
        if (!e) {
            e = config_decode(&text, paths[i], c, first ? NULL : eb);
        }
        cg_str_fini(&text);
        if (!e) {
            return CG_OK;
        }
        first = first ? first : e;
    }
    return first == CG_ENOENT ? cg_fail(eb, first,
                                        "there is no store here: no file `config`; `store init` "
                                        "makes one in an empty folder")
                              : first;
}

cg_err config_save(const struct store_io *io, struct config *c, bool replace, struct cg_errbuf *eb)
{
    cg_err e = file_publish(io, "", "config.copy", c->bytes, CONFIG_BYTES, true, eb);
    return e ? e : file_publish(io, "", "config", c->bytes, CONFIG_BYTES, replace, eb);
}

cg_err config_dump(const struct config *c, struct cg_str *out)
{
    cg_err e = cg_str_addf(out, "format %d\nid ", FORMAT_VERSION);
    for (int i = 0; i < ID_BYTES && !e; i++) {
        e = cg_str_addf(out, "%02x", c->bytes[12 + i]);
    }
    for (int i = 0; i < CONFIG_SLOTS && !e; i++) {
        const uint8_t *slot = c->bytes + CONFIG_HEAD_BYTES + i * SLOT_BYTES;
        if (slot[0] == STORE_PASSPHRASE) {
            e = cg_str_addf(out, "\nslot %d passphrase scrypt N=2^%d r=%d p=%d", i, slot[1],
                            slot[2], slot[3]);
        } else if (slot[0] == STORE_RECOVERY) {
            e = cg_str_addf(out, "\nslot %d recovery key", i);
        }
    }
    return e ? e : cg_str_addf(out, "\n");
}
