/* Posts: their text (post.h). */
#include "post.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES_MAX = 63, KEY_HEX_BYTES = 64, WORDS_MAX = POST_ATTRS_MAX + 2 };

static bool name_of_bytes(const char *name, size_t max)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-@");
    return len > 0 && len <= max && !name[len] && isalnum((unsigned char)name[0]);
}

bool post_name_ok(const char *name)
{
    return name_of_bytes(name, NAME_BYTES_MAX);
}

static cg_err split(struct cg_span line, struct post *out, char **words, int *count,
                    struct cg_errbuf *eb)
{
    *out = (struct post){0};
    while (line.len && line.data[line.len - 1] == '\n') {
        line.len--;
    }
    for (uint32_t i = 0; i < line.len; i++) {
        if (line.data[i] < ' ' || line.data[i] == 0x7f) {
            return cg_fail(eb, CG_EBADFORMAT, "write one line of plain text");
        }
    }
    if (!cg_span_str(line, out->text, sizeof out->text)) {
        return cg_fail(eb, CG_EBADFORMAT, "the line has more than %d bytes", POST_BYTES_MAX - 1);
    }
    *count = cg_tokenize(out->text, words, WORDS_MAX);
    return *count < 0 ? cg_fail(eb, CG_EBADFORMAT,
                                "a quote is open, or there are over %d attributes", POST_ATTRS_MAX)
                      : CG_OK;
}

static cg_err take_dial(char *word, struct post *out, struct cg_errbuf *eb)
{
    char *service = strchr(word, '!');
    char *tree = service ? strchr(service + 1, '!') : NULL;
    out->node = word;
    out->service = service ? service + 1 : "";
    out->tree = tree ? tree + 1 : NULL;
    if (service) {
        *service = 0;
    }
    if (tree) {
        *tree = 0;
    }
    bool ok = name_of_bytes(word, KEY_HEX_BYTES) && post_name_ok(out->service) &&
              (!tree || post_name_ok(out->tree));
    return ok ? CG_OK
              : cg_fail(eb, CG_EBADFORMAT, "a post begins with NODE!SERVICE or NODE!SERVICE!TREE");
}

static bool has_attr(const struct post *p, const char *name)
{
    for (uint32_t i = 0; i < p->attrs; i++) {
        if (strcmp(p->attr[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

static cg_err take_attr(char *word, struct post *out, struct cg_errbuf *eb)
{
    char *equals = strchr(word, '=');
    if (equals) {
        *equals = 0;
    }
    if (!equals || !post_name_ok(word)) {
        return cg_fail(eb, CG_EBADFORMAT, "'%s' is no NAME=VALUE", word);
    }
    if (has_attr(out, word)) {
        return cg_fail(eb, CG_EBADFORMAT, "%s is given twice", word);
    }
    if (out->attrs == POST_ATTRS_MAX) {
        return cg_fail(eb, CG_ELIMIT, "at most %d attributes", POST_ATTRS_MAX);
    }
    out->attr[out->attrs++] = (struct post_attr){word, equals + 1};
    return CG_OK;
}

static cg_err take_lease(struct post *out, struct cg_errbuf *eb)
{
    for (uint32_t i = 0; i < out->attrs; i++) {
        const char *text = out->attr[i].value;
        if (strcmp(out->attr[i].name, "lease") != 0) {
            continue;
        }
        unsigned long n = strspn(text, "0123456789") == strlen(text) ? strtoul(text, NULL, 10) : 0;
        if (n == 0 || n > POST_LEASE_S_MAX) {
            return cg_fail(eb, CG_EBADFORMAT, "lease is a number of seconds, 1 to %d",
                           POST_LEASE_S_MAX);
        }
        out->lease_s = (uint32_t)n;
    }
    return CG_OK;
}

cg_err post_parse_query(struct cg_span line, struct post *out, struct cg_errbuf *eb)
{
    char *words[WORDS_MAX];
    int n = 0;
    cg_err e = split(line, out, words, &n, eb);
    for (int i = 0; !e && i < n; i++) {
        e = take_attr(words[i], out, eb);
    }
    return e;
}

cg_err post_parse(struct cg_span line, struct post *out, struct cg_errbuf *eb)
{
    static const char *const own[] = {"name", "node", "service", "tree"};
    char *words[WORDS_MAX];
    int n = 0;
    cg_err e = split(line, out, words, &n, eb);
    e = e ? e : take_dial(n ? words[0] : out->text, out, eb);
    for (int i = 1; !e && i < n; i++) {
        e = take_attr(words[i], out, eb);
    }
    for (size_t i = 0; !e && i < CG_COUNT(own); i++) {
        if (has_attr(out, own[i])) {
            e = cg_fail(eb, CG_EBADFORMAT, "%s is said by the dial string", own[i]);
        }
    }
    return e ? e : take_lease(out, eb);
}

static cg_err print_attr(const struct post_attr *a, struct cg_str *out)
{
    struct cg_str word = {0};
    cg_err e = cg_str_addf(&word, "%s=%s", a->name, a->value);
    e = e ? e : cg_str_add(out, " ", 1);
    e = e ? e : cg_str_add_quoted(out, word.data);
    cg_str_fini(&word);
    return e;
}

cg_err post_print(const struct post *p, struct cg_str *out)
{
    cg_err e = cg_str_addf(out, "%s!%s%s%s", p->node, p->service, p->tree ? "!" : "",
                           p->tree ? p->tree : "");
    for (uint32_t i = 0; !e && i < p->attrs; i++) {
        e = print_attr(&p->attr[i], out);
    }
    return e ? e : cg_str_add(out, "\n", 1);
}

static const char *value_of(const struct post *p, const char *name, const char *attr)
{
    const struct post_attr own[] = {
        {"name", name}, {"node", p->node}, {"service", p->service}, {"tree", p->tree}};
    for (size_t i = 0; i < CG_COUNT(own); i++) {
        if (strcmp(attr, own[i].name) == 0) {
            return own[i].value;
        }
    }
    for (uint32_t i = 0; i < p->attrs; i++) {
        if (strcmp(attr, p->attr[i].name) == 0) {
            return p->attr[i].value;
        }
    }
    return NULL;
}

bool post_matches(const struct post *p, const char *name, const struct post *query)
{
    for (uint32_t i = 0; i < query->attrs; i++) {
        const char *value = value_of(p, name, query->attr[i].name);
        if (!value || strcmp(value, query->attr[i].value) != 0) {
            return false;
        }
    }
    return true;
}
