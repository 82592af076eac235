/* attach: a user's proof on a connection: "I, this key, attach this tree of that node over this
 * very TLS connection, until then". Seen by the server alone; worthless on any other connection.
 */
#include "secure_impl.h"

#include <inttypes.h>
#include <string.h>

enum { CREDENTIAL_USER = 1, CREDENTIAL_BYTES = 1 + 8 + 32 + 64 };

size_t secure_attach_statement(const struct secure_attach *a, uint8_t *out, size_t cap)
{
    struct cg_buf b = cg_buf_writer(out, cap);

    cg_put_bytes(&b, a->binding, 32);
    cg_put_bytes(&b, a->server, 32);
    cg_put_bytes(&b, a->user, 32);
    cg_put_u64(&b, a->expires_s);
    secure__put_str(&b, a->name);
    secure__put_str(&b, a->tree);
    return b.bad ? 0 : b.pos;
}

size_t secure_attach_credential(const struct secure_attach *a, const uint8_t sig[64], uint8_t *out,
                                size_t cap)
{
    struct cg_buf b = cg_buf_writer(out, cap);

    cg_put_u8(&b, CREDENTIAL_USER);
    cg_put_u64(&b, a->expires_s);
    cg_put_bytes(&b, a->user, 32);
    cg_put_bytes(&b, sig, 64);
    return b.bad ? 0 : b.pos;
}

/* Is the proof that a signs, by a->user, in its time and right? */
cg_err secure__proof_check(const struct secure_attach *a, const uint8_t sig[64], uint64_t now_s,
                           struct cg_errbuf *eb)
{
    uint8_t statement[SECURE_STATEMENT_BYTES_MAX];

    if (a->expires_s + SECURE_SKEW_SECONDS < now_s) {
        return cg_fail(eb, CG_EEXPIRED, "the proof ended %" PRIu64 " s ago", now_s - a->expires_s);
    }
    if (a->expires_s > now_s + SECURE_ATTACH_SECONDS + SECURE_SKEW_SECONDS) {
        return cg_fail(eb, CG_EAUTH, "the proof claims a longer life than %d s: is a clock wrong?",
                       SECURE_ATTACH_SECONDS);
    }
    size_t len = secure_attach_statement(a, statement, sizeof(statement));
    cg_assert(len > 0);
    if (!secure_verify(a->user, SECURE_ATTACH, statement, len, sig)) {
        return cg_fail(eb, CG_EAUTH,
                       "the signature does not fit this user, node, connection and tree");
    }
    return CG_OK;
}

cg_err secure_attach_check(struct cg_span credential, const struct secure_attach *expect,
                           uint64_t now_s, uint8_t user_out[32], uint64_t *expires_s,
                           struct cg_errbuf *eb)
{
    struct secure_attach a = *expect;
    struct cg_buf b = cg_buf_reader(credential.data, credential.len);
    uint8_t kind = cg_get_u8(&b);
    uint8_t sig[SECURE_SIG_BYTES];

    a.expires_s = cg_get_u64(&b);
    secure__get_bytes(&b, a.user, 32);
    secure__get_bytes(&b, sig, sizeof(sig));
    if (b.bad || kind != CREDENTIAL_USER || credential.len != CREDENTIAL_BYTES ||
        a.expires_s > INT64_MAX) {
        return cg_fail(eb, CG_EBADFORMAT, "not a user's credential");
    }
    cg_err e = secure__proof_check(&a, sig, now_s, eb);
    if (e == CG_OK) {
        memcpy(user_out, a.user, 32);
        *expires_s = a.expires_s;
    }
    return e;
}
