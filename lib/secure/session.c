/* session: the proof with which a session is taken up again on a new connection.
 *
 * The session's key is HKDF-SHA-256 (RFC 5869, no salt, info "cognu/session/1") of the exporter
 * value of the session's first connection, which only its two ends know; the proof is HMAC-SHA-256
 * under it over the session's id and the new connection's exporter value. Between processes of one
 * machine both values are zero and there is nothing to prove but the id, which only its owner and
 * the server have seen: the proof is then that of ninep_auth_local.
 */
#include "secure_impl.h"

#include <openssl/hmac.h>
#include <string.h>

void secure__hmac(const void *key, size_t key_len, const void *data, size_t len, uint8_t out[32])
{
    unsigned int out_len = 0;

    const void *done = HMAC(EVP_sha256(), key, (int)key_len, data, len, out, &out_len);
    cg_assert(done != NULL && out_len == 32);
}

void secure_session_proof(void *ctx, const uint8_t first[32], const uint8_t id[16],
                          const uint8_t now[32], uint8_t out[32])
{
    static const uint8_t no_salt[32];                 /* zeroes: RFC 5869's default */
    static const char info[] = "cognu/session/1\x01"; /* one block: its counter stands last */
    uint8_t key[32], message[48];

    (void)ctx;
    if (secure_equal(first, no_salt, 32) && secure_equal(now, no_salt, 32)) {
        memcpy(out, id, 16);
        memcpy(out + 16, id, 16);
        return;
    }
    secure__hmac(no_salt, sizeof(no_salt), first, 32, key);
    secure__hmac(key, 32, info, sizeof(info) - 1, key);
    memcpy(message, id, 16);
    memcpy(message + 16, now, 32);
    secure__hmac(key, 32, message, sizeof(message), out);
    cg_wipe(key, sizeof(key));
}

const struct ninep_auth secure_auth_client = {.attach = NULL, .proof = secure_session_proof};
