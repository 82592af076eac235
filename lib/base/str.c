/* Growing text, and the word syntax of every text file of Cognu: words apart by blanks, quoted as
 * rc does ('it''s'). */
#include <cognu/base.h>

#include <stdio.h>
#include <string.h>

enum { STR_BYTES_MIN = 128 };

static cg_err reserve(struct cg_str *s, size_t more)
{
    if (s->cap - s->len > more) {
        return CG_OK;
    }
    size_t cap = s->cap ? s->cap : STR_BYTES_MIN;
    while (cap - s->len <= more) {
        cap *= 2;
    }
    char *data = cg_realloc(s->data, cap);
    if (!data) {
        return CG_ENOMEM;
    }
    s->data = data;
    s->cap = cap;
    return CG_OK;
}

cg_err cg_str_add(struct cg_str *s, const void *data, size_t len)
{
    cg_err e = reserve(s, len);
    if (e) {
        return e;
    }
    if (len) {
        memcpy(s->data + s->len, data, len);
    }
    s->len += len;
    s->data[s->len] = 0;
    return CG_OK;
}

cg_err cg_str_addf(struct cg_str *s, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    cg_assert(n >= 0);
    cg_err e = reserve(s, (size_t)n);
    if (!e) {
        vsnprintf(s->data + s->len, (size_t)n + 1, fmt, again);
        s->len += (size_t)n;
    }
    va_end(again);
    return e;
}

void cg_str_fini(struct cg_str *s)
{
    cg_free(s->data);
    *s = (struct cg_str){0};
}

cg_err cg_str_add_quoted(struct cg_str *s, const char *arg)
{
    if (arg[0] && !strpbrk(arg, " \t\n'#")) {
        return cg_str_add(s, arg, strlen(arg));
    }
    cg_err e = cg_str_add(s, "'", 1);
    for (; !e && *arg; arg++) {
        e = cg_str_add(s, *arg == '\'' ? "''" : arg, *arg == '\'' ? 2 : 1);
    }
    return e ? e : cg_str_add(s, "'", 1);
}

static bool blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Unquotes the word at *in into *out and moves both past it; false: a quote is not closed. */
static bool take_word(char **in, char **out)
{
    bool quoted = false;
    for (; **in && (quoted || !blank(**in)); (*in)++) {
        if (**in != '\'') {
            *(*out)++ = **in;
        } else if (quoted && (*in)[1] == '\'') {
            *(*out)++ = *++*in;
        } else {
            quoted = !quoted;
        }
    }
    return !quoted;
}

int cg_tokenize(char *line, char **argv, int argv_max)
{
    int argc = 0;
    char *in = line;
    for (;;) {
        while (blank(*in)) {
            in++;
        }
        if (!*in || *in == '#') {
            return argc;
        }
        if (argc == argv_max) {
            return -1;
        }
        char *out = in;
        argv[argc++] = out;
        if (!take_word(&in, &out)) {
            return -1;
        }
        bool end = !*in;
        *out = 0;
        if (end) {
            return argc;
        }
        in++;
    }
}
