/* profile: see profile.h. Files are looked up as the node's users see them: a link leads to where
 * it would lead in the node's tree. */
#include "profile.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { WORDS_MAX = 16, PATH_BYTES = 1024 };

struct reading {
    const struct profile *p;
    struct cg_str *out;
    struct cg_errbuf *eb;
    int root;
    int depth;
};

/* CG_ENOENT: there is no such file. */
static cg_err read_file(const struct reading *r, const char *path, struct cg_str *text)
{
    const struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK,
                                 .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
    char piece[4096];
    int fd = (int)syscall(SYS_openat2, r->root, path, &how, sizeof how);
    if (fd < 0) {
        return errno == ENOENT || errno == ENOTDIR
                   ? CG_ENOENT
                   : cg_fail(r->eb, cg_err_from_errno(errno), "%s: %s", path, strerror(errno));
    }
    ssize_t n;
    cg_err e = CG_OK;
    while (!e && (n = read(fd, piece, sizeof piece)) > 0) {
        e = text->len + (size_t)n > PROFILE_BYTES_MAX
                ? cg_fail(r->eb, CG_EFBIG, "%s: more than %d bytes", path, PROFILE_BYTES_MAX)
                : cg_str_add(text, piece, (size_t)n);
    }
    if (!e && n < 0) {
        e = cg_fail(r->eb, cg_err_from_errno(errno), "%s: %s", path, strerror(errno));
    }
    close(fd);
    return e ? e : cg_str_add(text, "", 0);
}

static const char *variable(const struct profile *p, const char *name, size_t len)
{
    const struct {
        const char *name, *value;
    } all[] = {{"user", p->user}, {"service", p->service}, {"node", p->node}, {"home", p->home}};
    for (size_t i = 0; i < CG_COUNT(all); i++) {
        if (strlen(all[i].name) == len && strncmp(all[i].name, name, len) == 0) {
            return all[i].value;
        }
    }
    return NULL;
}

/* A word with its variables replaced. */
static cg_err expand(const struct reading *r, const char *word, struct cg_str *out)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    cg_err e = cg_str_add(out, "", 0);
    while (!e && *word != '\0') {
        size_t plain = strcspn(word, "$");
        e = cg_str_add(out, word, plain);
        word += plain;
        if (e || *word == '\0') {
            break;
        }
        size_t len = strspn(word + 1, letters);
        const char *value = variable(r->p, word + 1, len);
        if (!value) {
            return cg_fail(r->eb, CG_EBADFORMAT,
                           "$%.*s is not known; known are $user $service $node $home", (int)len,
                           word + 1);
        }
        e = cg_str_add(out, value, strlen(value));
        word += 1 + len;
    }
    return e;
}

static cg_err add_file(struct reading *r, const char *path);

static cg_err add_line(struct reading *r, char **word, int words)
{
    struct cg_str one = {0}, line = {0};
    cg_err e = CG_OK;
    if (words == 1 && strcmp(word[0], "clear") == 0) {
        r->out->len = 0;
        return CG_OK;
    }
    if (strcmp(word[0], ".") == 0) {
        e = words == 2 ? expand(r, word[1], &one)
                       : cg_fail(r->eb, CG_EBADFORMAT, ". takes one file");
        e = e ? e : add_file(r, one.data);
        e = e == CG_ENOENT ? cg_fail(r->eb, e, "there is no file %s", one.data) : e;
        cg_str_fini(&one);
        return e;
    }
    for (int i = 0; i < words && !e; i++) {
        one.len = 0;
        e = expand(r, word[i], &one);
        e = !e && i > 0 ? cg_str_add(&line, " ", 1) : e;
        e = e ? e : cg_str_add_quoted(&line, one.data);
    }
    e = e ? e : cg_str_addf(r->out, "%s\n", line.data);
    if (!e && r->out->len > PROFILE_BYTES_MAX) {
        e = cg_fail(r->eb, CG_EFBIG, "the namespace has more than %d bytes", PROFILE_BYTES_MAX);
    }
    cg_str_fini(&one);
    cg_str_fini(&line);
    return e;
}

static cg_err add_file(struct reading *r, const char *path)
{
    struct cg_str text = {0};
    char *word[WORDS_MAX];
    int number = 0;
    if (r->depth == PROFILE_DEPTH_MAX) {
        return cg_fail(r->eb, CG_ELIMIT, "over %d files name one another", PROFILE_DEPTH_MAX);
    }
    cg_err e = read_file(r, path, &text);
    r->depth++;
    for (char *line = e ? NULL : text.data, *next; !e && line; line = next) {
        next = strchr(line, '\n');
        if (next) {
            *next++ = '\0';
        }
        number++;
        line += strspn(line, " \t\r");
        int words = *line == '#' ? 0 : cg_tokenize(line, word, WORDS_MAX);
        if (words < 0) {
            e = cg_fail(r->eb, CG_EBADFORMAT, "a quote is open, or there are too many words");
        } else if (words > 0) {
            e = add_line(r, word, words);
        }
        if (e) {
            cg_context(r->eb, e, "%s:%d", path, number);
            e = e == CG_ENOENT ? CG_EBADFORMAT : e; /* this one is there */
        }
    }
    r->depth--;
    cg_str_fini(&text);
    return e;
}

cg_err profile_add(const struct profile *p, struct cg_str *text, struct cg_errbuf *eb)
{
    struct cg_str all = {0};
    struct reading r = {.p = p, .out = &all, .eb = eb};
    char path[3][PATH_BYTES];
    r.root = open(p->root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (r.root < 0) {
        return errno == ENOENT
                   ? CG_OK
                   : cg_fail(eb, cg_err_from_errno(errno), "%s: %s", p->root, strerror(errno));
    }
    snprintf(path[0], PATH_BYTES, "%s/lib/namespace.%s.%s", p->home, p->service, p->user);
    snprintf(path[1], PATH_BYTES, "%s/lib/namespace.%s", p->home, p->service);
    snprintf(path[2], PATH_BYTES, "%s/lib/namespace", p->home);
    cg_err e = cg_str_add(&all, text->data ? text->data : "", text->len);
    cg_err found = e ? e : CG_ENOENT;
    for (size_t i = 0; i < CG_COUNT(path) && found == CG_ENOENT; i++) {
        found = add_file(&r, path[i]);
    }
    close(r.root);
    if (found) {
        cg_str_fini(&all);
        return found == CG_ENOENT ? CG_OK : found;
    }
    cg_str_fini(text);
    *text = all;
    return CG_OK;
}
