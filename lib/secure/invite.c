/* invite: the one word that brings a node into a cell.
 *
 * Text: "cognu1." and base64url, without padding signs, of: cell[16], inviter's node key[32],
 * secret[16], expires_s u64, address str, check[4] (the first bytes of SHA-256 over all before, so
 * that a mistyped word is told from a refused one).
 *
 * The joiner dials the address, demands the inviter's key of the TLS server, and shows that it
 * knows the secret by an HMAC over this connection's exporter value and both node keys. The inviter
 * forgets the secret when it was used or its time is over.
 */
#include "secure_impl.h"

#include <openssl/sha.h>
#include <string.h>

static const char prefix[] = "cognu1.";
enum { PREFIX_LEN = sizeof(prefix) - 1, RAW_BYTES_MAX = 16 + 32 + 16 + 8 + 2 + 127 + 4, CHECK = 4 };

static size_t to_raw(const struct secure_invite *i, uint8_t *raw, size_t cap)
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    struct cg_buf b = cg_buf_writer(raw, cap);

    cg_put_bytes(&b, i->cell, 16);
    cg_put_bytes(&b, i->inviter, 32);
    cg_put_bytes(&b, i->secret, sizeof(i->secret));
    cg_put_u64(&b, i->expires_s);
    secure__put_str(&b, i->address);
    SHA256(raw, b.pos, hash);
    cg_put_bytes(&b, hash, CHECK);
    return b.bad ? 0 : b.pos;
}

cg_err secure_invite_text(const struct secure_invite *i, char out[SECURE_INVITE_TEXT_BYTES])
{
    uint8_t raw[RAW_BYTES_MAX + 2] = {0};
    size_t len = to_raw(i, raw, RAW_BYTES_MAX);
    cg_assert(len > 0);

    memcpy(out, prefix, PREFIX_LEN);
    int coded = EVP_EncodeBlock((unsigned char *)out + PREFIX_LEN, raw, (int)len);
    cg_wipe(raw, sizeof(raw));
    cg_assert(PREFIX_LEN + coded < SECURE_INVITE_TEXT_BYTES);
    for (char *p = out + PREFIX_LEN; *p != '\0'; p++) {
        if (*p == '=') {
            *p = '\0';
            break;
        }
        *p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
    }
    return CG_OK;
}

static bool from_text(const char *text, uint8_t *raw, size_t *len)
{
    unsigned char code[SECURE_INVITE_TEXT_BYTES + 4];
    size_t n = strlen(text), pad = (4 - n % 4) % 4;

    if (n < 4 || n >= SECURE_INVITE_TEXT_BYTES || pad == 3) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        code[i] = text[i] == '-' ? '+' : text[i] == '_' ? '/' : (unsigned char)text[i];
    }
    memset(code + n, '=', pad);
    int coded = EVP_DecodeBlock(raw, code, (int)(n + pad));
    cg_wipe(code, sizeof(code));
    *len = coded < (int)pad ? 0 : (size_t)coded - pad;
    return coded > 0;
}

static bool from_raw(uint8_t *raw, size_t len, struct secure_invite *out)
{
    struct cg_buf b = cg_buf_reader(raw, len);

    secure__get_bytes(&b, out->cell, 16);
    secure__get_bytes(&b, out->inviter, 32);
    secure__get_bytes(&b, out->secret, sizeof(out->secret));
    out->expires_s = cg_get_u64(&b);
    secure__get_str(&b, out->address, sizeof(out->address));
    return !b.bad && out->expires_s <= INT64_MAX && secure__address_ok(out->address);
}

cg_err secure_invite_parse(const char *text, struct secure_invite *out, struct cg_errbuf *eb)
{
    uint8_t raw[SECURE_INVITE_TEXT_BYTES];
    char again[SECURE_INVITE_TEXT_BYTES];
    size_t len = 0;

    memset(out, 0, sizeof(*out));
    bool ok = strncmp(text, prefix, PREFIX_LEN) == 0 && from_text(text + PREFIX_LEN, raw, &len) &&
              from_raw(raw, len, out) && secure_invite_text(out, again) == CG_OK &&
              strcmp(text, again) == 0; /* the check's bytes, and no second spelling */
    cg_wipe(raw, sizeof(raw));
    cg_wipe(again, sizeof(again));
    if (!ok) {
        cg_wipe(out, sizeof(*out));
        return cg_fail(
            eb, CG_EBADFORMAT,
            "not an invitation, or mistyped: copy the whole word that the inviter shows");
    }
    return CG_OK;
}

void secure_invite_proof(const uint8_t secret[SECURE_INVITE_SECRET_BYTES],
                         const uint8_t binding[32], const uint8_t joiner[32],
                         const uint8_t inviter[32], uint8_t out[32])
{
    uint8_t message[13 + 32 + 32 + 32];
    struct cg_buf b = cg_buf_writer(message, sizeof(message));

    cg_put_bytes(&b, "cognu/join/1", 13); /* with its NUL */
    cg_put_bytes(&b, binding, 32);
    cg_put_bytes(&b, joiner, 32);
    cg_put_bytes(&b, inviter, 32);
    cg_assert(!b.bad);
    secure__hmac(secret, SECURE_INVITE_SECRET_BYTES, message, sizeof(message), out);
}
