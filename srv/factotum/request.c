/* request: what may be signed. Never bytes that a client made: each request is read field by field
 * and the statement is built here, in the domain of its kind.
 *
 *   tls-key TLS_KEY_HEX EXPIRES_S                          by the node: vouches for a TLS key
 *   roster, and on the next lines the roster's text        by the node
 *   attach KEY BINDING_HEX SERVER_HEX EXPIRES_S NAME TREE  by a user
 *   ticket KEY CELL_HEX ID_HEX HOLDER_HEX RIGHTS GRANT NOT_BEFORE_S EXPIRES_S NODE_HEX
 * SERVICE TREE PATH [TICKET_HEX] by a user: a new ticket, or a further block of TICKET_HEX that KEY
 * holds
 *
 * KEY is a user's name or key; RIGHTS some of "rwx"; GRANT "grant" or "final". The node's key signs
 * no attach and no ticket, a user's key signs neither TLS keys nor rosters: so a stolen node key
 * acts for no user.
 */
#include "factotum.h"

#include <stdio.h>
#include <string.h>

enum { WORDS_MAX = 14, NODE = 0 };

static cg_err answer_with(const struct keyring *r, int at, enum secure_kind kind, const void *st,
                          size_t len, uint8_t sig[64], struct cg_str *answer, struct cg_errbuf *eb)
{
    char key[65], hex[129];

    cg_err e = secure_sign(r->keys[at].key, kind, st, len, sig);
    if (e != CG_OK) {
        return cg_fail(eb, e, "signing failed");
    }
    secure_hex(r->keys[at].pub, 32, key);
    secure_hex(sig, 64, hex);
    return cg_str_addf(answer, "%s %s", key, hex);
}

static cg_err bad(struct cg_errbuf *eb, const char *what)
{
    return cg_fail(eb, CG_EBADFORMAT, "not a proper %s request (srv/factotum/README.md)", what);
}

static cg_err sign_tls_key(const struct keyring *r, char **word, int words, uint64_t now_s,
                           struct cg_str *answer, struct cg_errbuf *eb)
{
    uint8_t key[32], st[SECURE_TLS_STATEMENT_BYTES], sig[64];
    uint64_t expires_s = 0;

    if (words != 3 || !secure_unhex(word[1], key, 32) || !secure_number(word[2], &expires_s)) {
        return bad(eb, "tls-key");
    }
    if (expires_s > now_s + (uint64_t)SECURE_TLS_KEY_HOURS * 3600 + SECURE_SKEW_SECONDS) {
        return cg_fail(eb, CG_EPERM, "a TLS key lives at most %d hours", SECURE_TLS_KEY_HOURS);
    }
    struct cg_buf b = cg_buf_writer(st, sizeof(st));
    cg_put_bytes(&b, key, 32);
    cg_put_u64(&b, expires_s);
    return answer_with(r, NODE, SECURE_TLS_KEY, st, b.pos, sig, answer, eb);
}

static cg_err sign_roster(const struct keyring *r, const char *text, size_t len,
                          struct cg_str *answer, struct cg_errbuf *eb)
{
    struct secure_roster roster;
    uint8_t sig[64];

    cg_err e = secure_roster_parse_body(text, len, &roster, eb);
    if (e != CG_OK) {
        return e;
    }
    bool member = secure_roster_node_by_key(&roster, r->keys[NODE].pub) != NULL;
    secure_roster_fini(&roster);
    if (!member) {
        return cg_fail(eb, CG_EPERM, "this node is not in the roster that it is asked to sign");
    }
    return answer_with(r, NODE, SECURE_ROSTER, text, len, sig, answer, eb);
}

static int find_user(const struct keyring *r, const char *name, struct cg_errbuf *eb)
{
    int at = keyring_find(r, name);

    if (at <= NODE) {
        cg_fail(eb, CG_ENOENT, "there is no user's key '%.64s'", name);
        return -1;
    }
    return at;
}

static cg_err sign_attach(const struct keyring *r, char **word, int words, uint64_t now_s,
                          struct cg_str *answer, struct cg_errbuf *eb)
{
    struct secure_attach a = {0};
    uint8_t st[SECURE_STATEMENT_BYTES_MAX], sig[64];

    if (words != 7 || !secure_unhex(word[2], a.binding, 32) ||
        !secure_unhex(word[3], a.server, 32) || !secure_number(word[4], &a.expires_s) ||
        !cg_span_str(cg_span_of(word[5]), a.name, sizeof(a.name)) ||
        !cg_span_str(cg_span_of(word[6]), a.tree, sizeof(a.tree))) {
        return bad(eb, "attach");
    }
    if (a.expires_s > now_s + SECURE_ATTACH_SECONDS + SECURE_SKEW_SECONDS) {
        return cg_fail(eb, CG_EPERM, "a user's proof lives at most %d s", SECURE_ATTACH_SECONDS);
    }
    int at = find_user(r, word[1], eb);
    if (at < 0) {
        return CG_ENOENT;
    }
    memcpy(a.user, r->keys[at].pub, 32);
    size_t len = secure_attach_statement(&a, st, sizeof(st));
    return answer_with(r, at, SECURE_ATTACH, st, len, sig, answer, eb);
}

static bool parse_rights(const char *text, uint8_t *out)
{
    static const char letter[] = "rwx";
    static const uint8_t bit[] = {NINEP_RIGHTS_READ, NINEP_RIGHTS_WRITE, NINEP_RIGHTS_EXEC};

    *out = 0;
    for (; *text != '\0'; text++) {
        const char *at = strchr(letter, *text);
        if (at == NULL || (*out & bit[at - letter]) != 0) {
            return false;
        }
        *out |= bit[at - letter];
    }
    return *out != 0;
}

static bool parse_block(char **word, struct secure_ticket_block *b)
{
    b->grant = strcmp(word[6], "grant") == 0;
    return secure_unhex(word[2], b->cell, 16) && secure_unhex(word[3], b->id, 16) &&
           secure_unhex(word[4], b->holder, 32) && parse_rights(word[5], &b->rights) &&
           (b->grant || strcmp(word[6], "final") == 0) &&
           secure_number(word[7], &b->not_before_s) && secure_number(word[8], &b->expires_s) &&
           secure_unhex(word[9], b->node, 32) &&
           cg_span_str(cg_span_of(word[10]), b->service, sizeof(b->service)) &&
           cg_span_str(cg_span_of(word[11]), b->tree, sizeof(b->tree)) &&
           cg_span_str(cg_span_of(word[12]), b->path, sizeof(b->path));
}

/* The ticket that is to be handed on, or an empty one of this issuer. */
static cg_err parse_before(const char *hex, const uint8_t issuer[32], struct secure_ticket *t,
                           struct cg_errbuf *eb)
{
    uint8_t raw[SECURE_TICKET_BYTES_MAX];

    if (hex == NULL) {
        memset(t, 0, sizeof(*t));
        memcpy(t->issuer, issuer, 32);
        return CG_OK;
    }
    size_t len = strlen(hex) / 2;
    if (len > sizeof(raw) || !secure_unhex(hex, raw, len)) {
        return bad(eb, "ticket");
    }
    cg_err e = secure_ticket_decode(raw, len, t, eb);
    if (e == CG_OK && t->blocks >= SECURE_TICKET_BLOCKS_MAX) {
        e = cg_fail(eb, CG_ELIMIT, "a ticket has at most %d blocks", SECURE_TICKET_BLOCKS_MAX);
    }
    return e;
}

/* Encodes and decodes, so that only what every server would accept is signed. */
static cg_err check_form(const struct secure_ticket *t, uint8_t *raw, size_t *len,
                         struct cg_errbuf *eb)
{
    struct secure_ticket again;

    *len = secure_ticket_encode(t, raw, SECURE_TICKET_BYTES_MAX);
    cg_assert(*len > 0);
    return secure_ticket_decode(raw, *len, &again, eb);
}

static cg_err sign_ticket(const struct keyring *r, char **word, int words, struct cg_str *answer,
                          struct cg_errbuf *eb)
{
    struct secure_ticket t;
    uint8_t raw[SECURE_TICKET_BYTES_MAX], st[SECURE_STATEMENT_BYTES_MAX];
    char hex[2 * SECURE_TICKET_BYTES_MAX + 1];
    size_t len = 0;

    if (words < 13) {
        return bad(eb, "ticket");
    }
    int at = find_user(r, word[1], eb);
    if (at < 0) {
        return CG_ENOENT;
    }
    cg_err e = parse_before(words > 13 ? word[13] : NULL, r->keys[at].pub, &t, eb);
    if (e != CG_OK) {
        return e;
    }
    uint32_t i = t.blocks++;
    if (!parse_block(word, &t.block[i])) {
        return bad(eb, "ticket");
    }
    if (memcmp(secure_ticket_signer(&t, i), r->keys[at].pub, 32) != 0) {
        return cg_fail(eb, CG_EPERM, "'%s' does not hold this ticket", word[1]);
    }
    e = i > 0 ? secure_ticket_narrows(&t, i, eb) : CG_OK;
    e = e != CG_OK ? e : check_form(&t, raw, &len, eb);
    if (e != CG_OK) {
        return e;
    }
    size_t st_len = secure_ticket_block_statement(&t, i, st, sizeof(st));
    e = answer_with(r, at, SECURE_TICKET_BLOCK, st, st_len, t.sig[i], answer, eb);
    len = secure_ticket_encode(&t, raw, sizeof(raw));
    secure_hex(raw, len, hex);
    return e != CG_OK ? e : cg_str_addf(answer, " %s", hex);
}

static cg_err sign_line(const struct keyring *r, char *line, uint64_t now_s, struct cg_str *answer,
                        struct cg_errbuf *eb)
{
    char *word[WORDS_MAX];
    int words = cg_tokenize(line, word, WORDS_MAX);

    if (words < 1) {
        return bad(eb, "signing");
    }
    if (strcmp(word[0], "tls-key") == 0) {
        return sign_tls_key(r, word, words, now_s, answer, eb);
    }
    if (strcmp(word[0], "attach") == 0) {
        return sign_attach(r, word, words, now_s, answer, eb);
    }
    if (strcmp(word[0], "ticket") == 0) {
        return sign_ticket(r, word, words, answer, eb);
    }
    return bad(eb, "signing");
}

cg_err request_sign(const struct keyring *r, const char *text, size_t len, uint64_t now_s,
                    struct cg_str *answer, struct cg_errbuf *eb)
{
    static const char roster[] = "roster\n";
    char line[REQUEST_LINE_BYTES_MAX];
    cg_err e;

    if (len >= sizeof(roster) - 1 && memcmp(text, roster, sizeof(roster) - 1) == 0) {
        e = sign_roster(r, text + sizeof(roster) - 1, len - (sizeof(roster) - 1), answer, eb);
    } else {
        struct cg_span span = {(const uint8_t *)text, (uint32_t)len};
        span.len -= len > 0 && text[len - 1] == '\n';
        if (len > REQUEST_BYTES_MAX || memchr(text, '\n', span.len) != NULL ||
            !cg_span_str(span, line, sizeof(line))) {
            return bad(eb, "signing");
        }
        e = sign_line(r, line, now_s, answer, eb);
    }
    return e != CG_OK ? e : cg_str_add(answer, "\n", 1);
}
