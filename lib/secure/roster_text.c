/* roster_text: the roster's text form, read strictly: what does not give the same bytes again when
 * it is written is refused, so that a signature covers one meaning only.
 */
#include "roster_impl.h"

#include <inttypes.h>
#include <string.h>

enum { LINE_BYTES_MAX = 512, WORDS_MAX = 5 };

static cg_err add_members(struct cg_str *out, const struct secure_member *m, uint32_t count,
                          const char *word)
{
    cg_err e = CG_OK;

    for (uint32_t i = 0; i < count && e == CG_OK; i++) {
        char key[65];
        secure_hex(m[i].key, 32, key);
        bool node = word[0] == 'n';
        e = cg_str_addf(out, "%s %s %s%s%s\n", word, key, m[i].name, node ? " " : "",
                        node ? m[i].address : "");
    }
    return e;
}

cg_err secure_roster_text(const struct secure_roster *r, struct cg_str *out)
{
    char hex[65];

    secure_hex(r->cell, 16, hex);
    cg_err e = cg_str_addf(out, "cell %s\nserial %" PRIu64 "\n", hex, r->serial);
    if (e == CG_OK) {
        e = add_members(out, r->node, r->nodes, "node");
    }
    if (e == CG_OK) {
        e = add_members(out, r->user, r->users, "user");
    }
    for (uint32_t i = 0; i < r->gones && e == CG_OK; i++) {
        secure_hex(r->gone[i], 32, hex);
        e = cg_str_addf(out, "gone %s\n", hex);
    }
    for (uint32_t i = 0; i < r->revokeds && e == CG_OK; i++) {
        secure_hex(r->revoked[i].id, 16, hex);
        e = cg_str_addf(out, "revoked %s %" PRIu64 "\n", hex, r->revoked[i].expires_s);
    }
    return e;
}

cg_err secure_roster_seal(struct cg_str *text, const uint8_t signer[32], const uint8_t sig[64])
{
    char key[65], hex[129];

    secure_hex(signer, 32, key);
    secure_hex(sig, 64, hex);
    return cg_str_addf(text, "signed %s %s\n", key, hex);
}

static bool copy_word(char *out, size_t cap, const char *word)
{
    return cg_span_str(cg_span_of(word), out, cap);
}

static cg_err parse_member(struct secure_roster *r, char **word, int words, struct cg_errbuf *eb)
{
    struct secure_member m = {0};
    bool node = strcmp(word[0], "node") == 0;

    if (words != (node ? 4 : 3) || !secure_unhex(word[1], m.key, 32) ||
        !copy_word(m.name, sizeof(m.name), word[2]) ||
        (node && !copy_word(m.address, sizeof(m.address), word[3]))) {
        return cg_fail(eb, CG_EBADFORMAT, "a malformed %s line", word[0]);
    }
    if (secure_roster_node_by_key(r, m.key) || secure_roster_user_by_key(r, m.key)) {
        return cg_fail(eb, CG_EBADFORMAT, "the key of '%s' stands there twice", m.name);
    }
    return node ? secure_roster_add_node(r, &m, eb) : secure_roster_add_user(r, &m, eb);
}

static cg_err parse_line(struct secure_roster *r, char *line, struct cg_errbuf *eb)
{
    char *word[WORDS_MAX];
    uint8_t key[32];
    uint64_t number = 0;
    int words = cg_tokenize(line, word, WORDS_MAX);
    const char *what = words < 1 ? "" : word[0];

    if (strcmp(what, "cell") == 0 && words == 2 && secure_unhex(word[1], r->cell, 16)) {
        return CG_OK;
    }
    if (strcmp(what, "serial") == 0 && words == 2 && secure_number(word[1], &r->serial)) {
        return CG_OK;
    }
    if (strcmp(what, "node") == 0 || strcmp(what, "user") == 0) {
        return parse_member(r, word, words, eb);
    }
    if (strcmp(what, "gone") == 0 && words == 2 && secure_unhex(word[1], key, 32)) {
        return secure_roster_remove(r, key, eb);
    }
    if (strcmp(what, "revoked") == 0 && words == 3 && secure_unhex(word[1], key, 16) &&
        secure_number(word[2], &number)) {
        return secure_roster_revoke(r, key, number, eb);
    }
    return cg_fail(eb, CG_EBADFORMAT, "a roster has no line '%.32s'", what);
}

/* Writes it again and compares: order, blanks, quotes and repetitions are thereby checked. */
static cg_err check_canonical(const struct secure_roster *r, const char *text, size_t len,
                              struct cg_errbuf *eb)
{
    struct cg_str again = {0};
    cg_err e = secure_roster_text(r, &again);

    if (e == CG_OK && (again.len != len || memcmp(again.data, text, len) != 0)) {
        e = cg_fail(eb, CG_EBADFORMAT, "the roster's lines are not in their one proper form");
    }
    cg_str_fini(&again);
    return e;
}

cg_err secure_roster_parse_body(const char *text, size_t len, struct secure_roster *out,
                                struct cg_errbuf *eb)
{
    char line[LINE_BYTES_MAX];
    uint32_t number = 1;
    cg_err e = CG_OK;

    memset(out, 0, sizeof(*out));
    if (len > SECURE_ROSTER_BYTES_MAX) {
        return cg_fail(eb, CG_EFBIG, "a roster has at most %d bytes", SECURE_ROSTER_BYTES_MAX);
    }
    for (size_t pos = 0; pos < len && e == CG_OK; number++) {
        const char *end = memchr(text + pos, '\n', len - pos);
        size_t n = end == NULL ? 0 : (size_t)(end - (text + pos));
        struct cg_span span = {(const uint8_t *)text + pos, (uint32_t)n};
        if (end == NULL || !cg_span_str(span, line, sizeof(line))) {
            e = cg_fail(eb, CG_EBADFORMAT, "a line without end, too long, or with a NUL");
        } else {
            e = parse_line(out, line, eb);
        }
        pos += n + 1;
    }
    if (e != CG_OK) {
        e = cg_context(eb, e, "roster, line %u", number - 1);
    } else {
        e = check_canonical(out, text, len, eb);
    }
    if (e != CG_OK) {
        secure_roster_fini(out);
    }
    return e;
}

/* Cuts the signed line off: gives the length of what it covers. */
static cg_err parse_seal(const char *text, size_t len, size_t *body_len, uint8_t signer[32],
                         uint8_t sig[64], struct cg_errbuf *eb)
{
    enum { SEAL_BYTES = 7 + 64 + 1 + 128 + 1 };
    char line[SEAL_BYTES];

    if (len > SEAL_BYTES && text[len - SEAL_BYTES - 1] == '\n' && text[len - 1] == '\n') {
        const char *seal = text + len - SEAL_BYTES;
        memcpy(line, seal, SEAL_BYTES - 1);
        line[SEAL_BYTES - 1] = '\0';
        if (memcmp(line, "signed ", 7) == 0 && line[7 + 64] == ' ') {
            line[7 + 64] = '\0';
            if (secure_unhex(line + 7, signer, 32) && secure_unhex(line + 7 + 65, sig, 64)) {
                *body_len = len - SEAL_BYTES;
                return CG_OK;
            }
        }
    }
    return cg_fail(eb, CG_EBADFORMAT, "the roster does not end with a signed line");
}

cg_err secure_roster_parse(const char *text, size_t len, struct secure_roster *out,
                           struct cg_errbuf *eb)
{
    uint8_t signer[32], sig[64];
    size_t body_len = 0;

    memset(out, 0, sizeof(*out));
    cg_err e = parse_seal(text, len, &body_len, signer, sig, eb);
    if (e == CG_OK) {
        e = secure_roster_parse_body(text, body_len, out, eb);
    }
    if (e != CG_OK) {
        return e;
    }
    memcpy(out->signer, signer, 32);
    if (secure_roster_node_by_key(out, signer) == NULL) {
        e = cg_fail(eb, CG_EAUTH, "the roster's signer is no node of it");
    } else if (!secure_verify(signer, SECURE_ROSTER, text, body_len, sig)) {
        e = cg_fail(eb, CG_EAUTH, "the roster's signature is wrong");
    }
    if (e != CG_OK) {
        secure_roster_fini(out);
    }
    return e;
}
