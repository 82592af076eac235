/* Who may run commands: see secure_allow.h. */
#include <cognu/secure_allow.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct allow_config config;
static struct secure_signer *signer;
static char key[2 * SECURE_KEY_BYTES + 1];
static uint64_t owner; /* the principal of key; 0: not known */

/* Lines "user KEYHEX NAME". */
static void on_keys(void *aux, cg_err e, const char *text, size_t len, const char *detail)
{
    enum { WORDS = 3 };
    char *copy = e ? NULL : cg_strndup(text, len), *words[WORDS];
    (void)aux;
    if (!copy) {
        cg_log(CG_WARN, "factotum's keys: %s", detail);
        return;
    }
    for (char *line = copy, *next; line; line = next) {
        uint8_t raw[SECURE_KEY_BYTES];
        next = strchr(line, '\n');
        if (next) {
            *next++ = '\0';
        }
        if (cg_tokenize(line, words, WORDS) == WORDS && strcmp(words[0], "user") == 0 &&
            strcmp(words[2], config.key) == 0 && secure_unhex(words[1], raw, sizeof raw)) {
            memcpy(key, words[1], sizeof key);
            owner = secure_principal(raw);
        }
    }
    cg_free(copy);
}

bool allow_take_options(int *argc, char **argv, struct allow_config *c)
{
    const struct cg_option options[] = {{"--allow", &c->file},
                                        {"--factotum", &c->factotum},
                                        {"--key", &c->key},
                                        {"--roster", &c->roster}};
    const char *roster = getenv("COGNU_ROSTER");
    *c = (struct allow_config){.key = "owner", .roster = roster ? roster : "/var/lib/cognu/roster"};
    return cg_options_take(argc, argv, options, CG_COUNT(options));
}

cg_err allow_start(uv_loop_t *loop, const struct allow_config *c)
{
    config = *c;
    if (!config.factotum) {
        return CG_OK;
    }
    cg_err e = secure_signer_new(loop, config.factotum, &signer);
    return e ? e : secure_signer_keys(signer, on_keys, NULL);
}

void allow_stop(void)
{
    secure_signer_free(signer);
    signer = NULL;
}

const char *allow_key(void)
{
    return owner ? key : NULL;
}

/* ---- the rule ---- */

cg_err allow_text(struct cg_str *out, struct cg_errbuf *eb)
{
    char *text = NULL;
    size_t len = 0;
    if (!config.file || access(config.file, F_OK) != 0) {
        return CG_OK;
    }
    cg_err e = secure_file_read(config.file, ALLOW_BYTES_MAX, &text, &len, eb);
    e = e ? e : cg_str_add(out, text, len);
    cg_free(text);
    return e;
}

/* The next line's word, without comment and blanks; false at the end. */
static bool next_word(char **at, char **word)
{
    while (**at != '\0') {
        char *line = *at;
        size_t len = strcspn(line, "\n");
        *at += len + (line[len] == '\n');
        line[len] = '\0';
        line[strcspn(line, "#")] = '\0';
        line += strspn(line, " \t\r");
        line[strcspn(line, " \t\r")] = '\0';
        if (*line != '\0') {
            *word = line;
            return true;
        }
    }
    return false;
}

cg_err allow_set(struct cg_span text, bool append, struct cg_errbuf *eb)
{
    struct cg_str all = {0};
    uint8_t raw[SECURE_KEY_BYTES];
    char *word;
    if (!config.file) {
        return cg_fail(eb, CG_EROFS, "the server was started without a file for the rule");
    }
    cg_err e = append ? allow_text(&all, eb) : CG_OK;
    if (!e && all.len > 0 && all.data[all.len - 1] != '\n') {
        e = cg_str_add(&all, "\n", 1);
    }
    e = e ? e : cg_str_add(&all, text.data, text.len);
    if (!e && (all.len > ALLOW_BYTES_MAX || (text.len > 0 && memchr(text.data, '\0', text.len)))) {
        e = cg_fail(eb, CG_EFBIG, "the rule is text of at most %d bytes", ALLOW_BYTES_MAX);
    }
    e = e ? e : cg_str_add(&all, "", 0);
    char *copy = e ? NULL : cg_strndup(all.data, all.len);
    e = e || copy ? e : CG_ENOMEM;
    for (char *at = copy; !e && next_word(&at, &word);) {
        if (strcmp(word, "*") != 0 && !secure_name_ok(word) &&
            !secure_unhex(word, raw, sizeof raw)) {
            e = cg_fail(eb, CG_EBADFORMAT, "'%.64s' is neither a user's name, nor a key, nor *",
                        word);
        }
    }
    e = e ? e : secure_file_replace(config.file, all.data, all.len, 0644, eb);
    cg_free(copy);
    cg_str_fini(&all);
    return e;
}

/* ---- who comes ---- */

static cg_err load_roster(struct secure_roster *out, struct cg_errbuf *eb)
{
    char *text = NULL;
    size_t len = 0;
    cg_err e = secure_file_read(config.roster, SECURE_ROSTER_BYTES_MAX + 256, &text, &len, eb);
    e = e ? e : secure_roster_parse(text, len, out, eb);
    cg_free(text);
    return e;
}

static const struct secure_member *member(const struct secure_roster *r, uint64_t principal)
{
    for (uint32_t i = 0; i < r->users; i++) {
        if (r->user[i].principal == principal) {
            return &r->user[i];
        }
    }
    return NULL;
}

static bool named(char *rule, const struct secure_member *m)
{
    char hex[2 * SECURE_KEY_BYTES + 1], *word;
    bool found = false;
    secure_hex(m->key, sizeof m->key, hex);
    for (char *at = rule; next_word(&at, &word);) {
        found =
            found || strcmp(word, "*") == 0 || strcmp(word, m->name) == 0 || strcmp(word, hex) == 0;
    }
    return found;
}

/* A user of the roster whom the rule names? name is set to what he is called. */
static bool by_rule(uint64_t principal, char name[64])
{
    struct secure_roster r = {0};
    struct cg_str rule = {0};
    struct cg_errbuf eb = {0};
    bool may = false;
    cg_err e = load_roster(&r, &eb);
    const struct secure_member *m = e ? NULL : member(&r, principal);
    if (m) {
        memcpy(name, m->name, sizeof m->name);
        e = allow_text(&rule, &eb);
        e = e ? e : cg_str_add(&rule, "", 1);
        may = !e && named(rule.data, m);
    }
    if (e) {
        cg_log(CG_WARN, "the rule is not applied: %s", eb.text);
    }
    secure_roster_fini(&r);
    cg_str_fini(&rule);
    return may;
}

cg_err allow_check(const struct ninep_fid *fid, const char *what, char name[64],
                   struct cg_errbuf *eb)
{
    const uint64_t local = UINT64_C(1) << 63, who = fid->principal;
    if (who == local || who == (local | geteuid()) || (owner && who == owner)) {
        snprintf(name, 64, "%s", config.key);
        return CG_OK;
    }
    snprintf(name, 64, "%016" PRIx64, who);
    if (who & local) {
        snprintf(name, 64, "%u of this machine", (unsigned)who);
    } else if (by_rule(who, name)) {
        return CG_OK;
    }
    cg_log(CG_WARN, "refused: user %s wants to %s", name, what);
    return cg_fail(eb, CG_EPERM,
                   "user %s may not %s on this node; its user can let him, by a line in the "
                   "file allow of exec",
                   name, what);
}
