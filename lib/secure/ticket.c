/* ticket: a right to a part of a tree, signed, narrowed and handed on without asking anyone.
 *
 * Encoded: u8 1, issuer[32], u8 blocks, then each block: cell[16], id[16], holder[32], rights u8,
 * grant u8, not_before_s u64, expires_s u64, node[32], service str, tree str, path str,
 * signature[64].
 *
 * Block 0 is signed by the issuer, block i by the holder that block i-1 names. A signature covers
 * the issuer, the block's index and the signature before it, so that blocks cannot be dropped from
 * the middle, reordered or moved to another ticket. Dropping blocks from the end gives the wider
 * ticket of an earlier holder, whose private key is then needed: only the last block's holder can
 * use a ticket.
 */
#include "secure_impl.h"

#include <inttypes.h>
#include <string.h>

enum { TICKET_VERSION = 1, CREDENTIAL_TICKET = 2, RIGHTS_ALL = 7 };

static void put_block(struct cg_buf *b, const struct secure_ticket_block *k)
{
    cg_put_bytes(b, k->cell, 16);
    cg_put_bytes(b, k->id, 16);
    cg_put_bytes(b, k->holder, 32);
    cg_put_u8(b, k->rights);
    cg_put_u8(b, k->grant ? 1 : 0);
    cg_put_u64(b, k->not_before_s);
    cg_put_u64(b, k->expires_s);
    cg_put_bytes(b, k->node, 32);
    secure__put_str(b, k->service);
    secure__put_str(b, k->tree);
    secure__put_str(b, k->path);
}

static bool path_ok(const char *path)
{
    for (const char *p = path; *p != '\0';) {
        const char *end = strchrnul(p, '/');
        struct cg_span name = {(const uint8_t *)p, (uint32_t)(end - p)};
        if (!cg_name_ok(name) || (*end == '/' && end[1] == '\0')) {
            return false;
        }
        p = *end == '/' ? end + 1 : end;
    }
    return true;
}

static void get_block(struct cg_buf *b, struct secure_ticket_block *k)
{
    secure__get_bytes(b, k->cell, 16);
    secure__get_bytes(b, k->id, 16);
    secure__get_bytes(b, k->holder, 32);
    k->rights = cg_get_u8(b);
    uint8_t grant = cg_get_u8(b);
    k->grant = grant == 1;
    k->not_before_s = cg_get_u64(b);
    k->expires_s = cg_get_u64(b);
    secure__get_bytes(b, k->node, 32);
    secure__get_str(b, k->service, sizeof(k->service));
    secure__get_str(b, k->tree, sizeof(k->tree));
    secure__get_str(b, k->path, sizeof(k->path));
    if (grant > 1 || k->rights == 0 || k->rights > RIGHTS_ALL || k->expires_s > INT64_MAX ||
        k->not_before_s > k->expires_s || !path_ok(k->path)) {
        b->bad = true;
    }
}

size_t secure_ticket_block_statement(const struct secure_ticket *t, uint32_t block, uint8_t *out,
                                     size_t cap)
{
    struct cg_buf b = cg_buf_writer(out, cap);

    cg_assert(block < SECURE_TICKET_BLOCKS_MAX);
    cg_put_bytes(&b, t->issuer, 32);
    cg_put_u32(&b, block);
    if (block > 0) {
        cg_put_bytes(&b, t->sig[block - 1], SECURE_SIG_BYTES);
    }
    put_block(&b, &t->block[block]);
    return b.bad ? 0 : b.pos;
}

size_t secure_ticket_encode(const struct secure_ticket *t, uint8_t *out, size_t cap)
{
    struct cg_buf b = cg_buf_writer(out, cap);

    cg_assert(t->blocks >= 1 && t->blocks <= SECURE_TICKET_BLOCKS_MAX);
    cg_put_u8(&b, TICKET_VERSION);
    cg_put_bytes(&b, t->issuer, 32);
    cg_put_u8(&b, (uint8_t)t->blocks);
    for (uint32_t i = 0; i < t->blocks; i++) {
        put_block(&b, &t->block[i]);
        cg_put_bytes(&b, t->sig[i], SECURE_SIG_BYTES);
    }
    return b.bad ? 0 : b.pos;
}

cg_err secure_ticket_decode(const void *data, size_t len, struct secure_ticket *out,
                            struct cg_errbuf *eb)
{
    struct cg_buf b = cg_buf_reader(data, len);

    memset(out, 0, sizeof(*out));
    if (cg_get_u8(&b) != TICKET_VERSION) {
        return cg_fail(eb, CG_EBADFORMAT, "not a ticket of version %d", TICKET_VERSION);
    }
    secure__get_bytes(&b, out->issuer, 32);
    out->blocks = cg_get_u8(&b);
    if (b.bad || out->blocks < 1 || out->blocks > SECURE_TICKET_BLOCKS_MAX) {
        return cg_fail(eb, CG_EBADFORMAT, "a ticket has 1 to %d blocks, this one %u",
                       SECURE_TICKET_BLOCKS_MAX, out->blocks);
    }
    for (uint32_t i = 0; i < out->blocks && !b.bad; i++) {
        get_block(&b, &out->block[i]);
        secure__get_bytes(&b, out->sig[i], SECURE_SIG_BYTES);
    }
    if (b.bad || cg_buf_left(&b) != 0) {
        return cg_fail(eb, CG_EBADFORMAT, "the ticket is cut short, padded or malformed");
    }
    return CG_OK;
}

const uint8_t *secure_ticket_signer(const struct secure_ticket *t, uint32_t block)
{
    return block == 0 ? t->issuer : t->block[block - 1].holder;
}

static bool below(const char *path, const char *root)
{
    size_t len = strlen(root);

    return len == 0 || (strncmp(path, root, len) == 0 && (path[len] == '\0' || path[len] == '/'));
}

cg_err secure_ticket_narrows(const struct secure_ticket *t, uint32_t i, struct cg_errbuf *eb)
{
    cg_assert(i > 0 && i < SECURE_TICKET_BLOCKS_MAX);
    const struct secure_ticket_block *old = &t->block[i - 1], *new = &t->block[i];

    if (!old->grant) {
        return cg_fail(eb, CG_EWIDENED, "block %u may not be handed on", i - 1);
    }
    if (memcmp(old->cell, new->cell, 16) != 0 || memcmp(old->node, new->node, 32) != 0 ||
        strcmp(old->service, new->service) != 0 || strcmp(old->tree, new->tree) != 0) {
        return cg_fail(eb, CG_EWIDENED, "block %u names another cell, node, service or tree", i);
    }
    if ((new->rights & ~old->rights) != 0) {
        return cg_fail(eb, CG_EWIDENED, "block %u claims more rights than block %u", i, i - 1);
    }
    if (new->expires_s > old->expires_s || new->not_before_s < old->not_before_s) {
        return cg_fail(eb, CG_EWIDENED, "block %u claims more time than block %u", i, i - 1);
    }
    if (!below(new->path, old->path)) {
        return cg_fail(eb, CG_EWIDENED, "block %u leaves the path of block %u", i, i - 1);
    }
    return CG_OK;
}

static cg_err check_time(const struct secure_ticket_block *k, uint64_t now_s, struct cg_errbuf *eb)
{
    if (k->expires_s + SECURE_SKEW_SECONDS < now_s) {
        return cg_fail(eb, CG_EEXPIRED, "the ticket ended %" PRIu64 " s ago", now_s - k->expires_s);
    }
    if (k->not_before_s > now_s + SECURE_SKEW_SECONDS) {
        return cg_fail(eb, CG_EEXPIRED, "the ticket begins in %" PRIu64 " s",
                       k->not_before_s - now_s);
    }
    return CG_OK;
}

cg_err secure_ticket_check(const struct secure_ticket *t, const uint8_t cell[16], uint64_t now_s,
                           bool (*revoked)(void *ctx, const uint8_t id[16]), void *ctx,
                           struct cg_errbuf *eb)
{
    uint8_t statement[SECURE_STATEMENT_BYTES_MAX];

    cg_assert(t->blocks >= 1 && t->blocks <= SECURE_TICKET_BLOCKS_MAX);
    if (memcmp(t->block[0].cell, cell, 16) != 0) {
        return cg_fail(eb, CG_EAUTH, "the ticket is of another cell");
    }
    for (uint32_t i = 0; i < t->blocks; i++) {
        const struct secure_ticket_block *k = &t->block[i];
        cg_err e = i > 0 ? secure_ticket_narrows(t, i, eb) : CG_OK;
        if (e == CG_OK) {
            e = check_time(k, now_s, eb);
        }
        if (e != CG_OK) {
            return e;
        }
        if (revoked != NULL && revoked(ctx, k->id)) {
            return cg_fail(eb, CG_EREVOKED, "block %u of the ticket was revoked", i);
        }
        size_t len = secure_ticket_block_statement(t, i, statement, sizeof(statement));
        cg_assert(len > 0);
        if (!secure_verify(secure_ticket_signer(t, i), SECURE_TICKET_BLOCK, statement, len,
                           t->sig[i])) {
            return cg_fail(eb, CG_EAUTH, "the signature of block %u is wrong", i);
        }
    }
    return CG_OK;
}

size_t secure_ticket_credential(const struct secure_ticket *t, uint64_t expires_s,
                                const uint8_t sig[64], uint8_t *out, size_t cap)
{
    struct cg_buf b = cg_buf_writer(out, cap);

    cg_put_u8(&b, CREDENTIAL_TICKET);
    cg_put_u64(&b, expires_s);
    cg_put_bytes(&b, sig, SECURE_SIG_BYTES);
    if (b.bad) {
        return 0;
    }
    size_t len = secure_ticket_encode(t, out + b.pos, cap - b.pos);
    return len == 0 ? 0 : b.pos + len;
}

cg_err secure_ticket_proof_check(struct cg_span credential, const struct secure_attach *expect,
                                 uint64_t now_s, struct secure_ticket *ticket, uint64_t *expires_s,
                                 struct cg_errbuf *eb)
{
    struct secure_attach a = *expect;
    struct cg_buf b = cg_buf_reader(credential.data, credential.len);
    uint8_t kind = cg_get_u8(&b);
    uint8_t sig[SECURE_SIG_BYTES];

    a.expires_s = cg_get_u64(&b);
    secure__get_bytes(&b, sig, sizeof(sig));
    if (b.bad || kind != CREDENTIAL_TICKET || a.expires_s > INT64_MAX) {
        return cg_fail(eb, CG_EBADFORMAT, "not a ticket's credential");
    }
    cg_err e = secure_ticket_decode(credential.data + b.pos, cg_buf_left(&b), ticket, eb);
    if (e != CG_OK) {
        return e;
    }
    memcpy(a.user, ticket->block[ticket->blocks - 1].holder, 32);
    e = secure__proof_check(&a, sig, now_s, eb);
    *expires_s = a.expires_s;
    return e;
}
