/* The parser of manifests. It is strict: whatever it does not know, it refuses, with the line and
 * the cure. Every string of the result points into one copy of the text, cut in place by
 * cg_tokenize.
 *
 * Each word of the language is one row of the table `words` and one small function. A function sees
 * the words after its own and says what is wrong; the loop puts file and line before it.
 */
#include <cognu/manifest.h>

#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>

enum { WORDS_MAX = MANIFEST_ARGS_MAX + 2 };

/* What a component may ever keep. Those that would let it leave its sandbox (sys_admin,
 * sys_module, dac_read_search with open_by_handle ...) have no row. */
const struct manifest_privilege manifest_privileges[] = {
    {"chown", CAP_CHOWN},
    {"dac_override", CAP_DAC_OVERRIDE},
    {"fowner", CAP_FOWNER},
    {"fsetid", CAP_FSETID},
    {"kill", CAP_KILL},
    {"mknod", CAP_MKNOD},
    {"net_bind_service", CAP_NET_BIND_SERVICE},
    {"setgid", CAP_SETGID},
    {"setuid", CAP_SETUID},
    {"sys_ptrace", CAP_SYS_PTRACE}, /* to look into the node's processes; of use with pids node */
    {NULL, 0},
};

struct parser {
    struct manifest *m;
    struct cg_errbuf *eb;
    uint32_t seen; /* bit N: words[N] was said */
};

typedef cg_err word_fn(struct parser *p, char **arg, uint32_t args);

struct word {
    const char *name;
    const char *form; /* for the message */
    uint32_t args_min, args_max;
    bool once;
    word_fn *fn;
};

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

bool manifest_name_ok(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len > MANIFEST_NAME_BYTES_MAX || !is_lower(name[0])) {
        return false;
    }
    for (size_t i = 1; i < len; i++) {
        if (!is_lower(name[i]) && !is_digit(name[i]) && name[i] != '-' && name[i] != '_') {
            return false;
        }
    }
    return true;
}

/* Absolute and in its simplest form, so that two texts are one path only when they are equal. */
static bool path_ok(const char *path)
{
    size_t len = strlen(path);
    if (path[0] != '/' || len < 2 || len > MANIFEST_PATH_BYTES_MAX) {
        return false;
    }
    const char *at = path;
    while (*at == '/') {
        const char *end = strchrnul(++at, '/');
        size_t n = (size_t)(end - at);
        if (n == 0 || (n == 1 && at[0] == '.') || (n == 2 && at[0] == '.' && at[1] == '.')) {
            return false;
        }
        at = end;
    }
    return true;
}

static cg_err bad_path(struct parser *p, const char *path)
{
    return cg_fail(p->eb, CG_EBADFORMAT,
                   "'%.100s' is not a path; say it absolute, below /, without '.', '..' or '//'"
                   "",
                   path);
}

static cg_err bad_name(struct parser *p, const char *name)
{
    return cg_fail(p->eb, CG_EBADFORMAT,
                   "'%.100s' is not a name; use a lower-case letter, then letters, digits, - or _",
                   name);
}

static cg_err full(struct parser *p, const char *what, uint32_t max)
{
    return cg_fail(p->eb, CG_EBADFORMAT, "too many of %s; at most %u", what, max);
}

static cg_err twice(struct parser *p, const char *what)
{
    return cg_fail(p->eb, CG_EBADFORMAT, "'%.200s' is named twice; remove one", what);
}

/* A decimal number in [min, max], no sign, no other form. */
static cg_err number(struct parser *p, const char *text, uint64_t min, uint64_t max, uint64_t *out)
{
    uint64_t v = 0;
    bool good = text[0] != '\0' && (text[0] != '0' || text[1] == '\0');
    for (const char *c = text; good && *c != '\0'; c++) {
        good = is_digit(*c) && v <= (UINT64_MAX - 9) / 10;
        v = good ? v * 10 + (uint64_t)(*c - '0') : v;
    }
    if (!good || v < min || v > max) {
        return cg_fail(p->eb, CG_EBADFORMAT, "'%.40s' is not a number from %llu to %llu", text,
                       (unsigned long long)min, (unsigned long long)max);
    }
    *out = v;
    return CG_OK;
}

/* One of the words of a NULL-terminated list; its place. */
static cg_err choice(struct parser *p, const char *text, const char *const *list, uint32_t *out)
{
    char known[128];
    size_t len = 0;
    known[0] = '\0';
    for (uint32_t i = 0; list[i] != NULL; i++) {
        if (strcmp(text, list[i]) == 0) {
            *out = i;
            return CG_OK;
        }
        int n = snprintf(known + len, sizeof known - len, "%s%s", i == 0 ? "" : ", ", list[i]);
        cg_assert(n > 0 && (size_t)n < sizeof known - len);
        len += (size_t)n;
    }
    return cg_fail(p->eb, CG_EBADFORMAT, "'%.40s' is not one of: %s", text, known);
}

/* ---- the words ----------------------------------------------------------------------------- */

static cg_err word_program(struct parser *p, char **arg, uint32_t args)
{
    if (strchr(arg[0], '/') != NULL || !manifest_name_ok(arg[0])) {
        return cg_fail(p->eb, CG_EBADFORMAT,
                       "'%.100s' is not the file name of a program; say it without its folder",
                       arg[0]);
    }
    p->m->program = arg[0];
    for (uint32_t i = 1; i < args; i++) {
        bool variable = strcmp(arg[i], "$NODE") == 0 || strcmp(arg[i], "$LISTEN") == 0 ||
                        strcmp(arg[i], "$ADDRESS") == 0;
        if (strchr(arg[i], '$') != NULL && !variable) {
            return cg_fail(
                p->eb, CG_EBADFORMAT,
                "'%.100s' is no variable; a whole argument may be $NODE, $LISTEN, $ADDRESS",
                arg[i]);
        }
        p->m->arg[p->m->args++] = arg[i];
    }
    return CG_OK;
}

static cg_err word_offer(struct parser *p, char **arg, uint32_t args)
{
    struct manifest *m = p->m;
    if (!manifest_name_ok(arg[0])) {
        return bad_name(p, arg[0]);
    }
    if (args == 2 && strcmp(arg[1], "gate") != 0) {
        return cg_fail(p->eb, CG_EBADFORMAT, "'%.40s' is not 'gate'", arg[1]);
    }
    for (uint32_t i = 0; i < m->offers; i++) {
        if (strcmp(m->offer[i].name, arg[0]) == 0) {
            return twice(p, arg[0]);
        }
    }
    if (m->offers == MANIFEST_OFFERS_MAX) {
        return full(p, "offer", MANIFEST_OFFERS_MAX);
    }
    m->offer[m->offers++] = (struct manifest_offer){.name = arg[0], .gate = args == 2};
    return CG_OK;
}

static cg_err word_socket(struct parser *p, char **arg, uint32_t args)
{
    static const char *const kinds[] = {"stream", "seqpacket", NULL};
    struct manifest *m = p->m;
    uint32_t kind = 0;
    (void)args;
    cg_err e = choice(p, arg[0], kinds, &kind);
    if (e != CG_OK) {
        return e;
    }
    if (!path_ok(arg[1])) {
        return bad_path(p, arg[1]);
    }
    if (strncmp(arg[2], "--", 2) != 0 || !manifest_name_ok(arg[2] + 2)) {
        return cg_fail(p->eb, CG_EBADFORMAT, "'%.40s' is not an option such as --dial-fd", arg[2]);
    }
    for (uint32_t i = 0; i < m->sockets; i++) {
        if (strcmp(m->socket[i].path, arg[1]) == 0) {
            return twice(p, arg[1]);
        }
    }
    if (m->sockets == MANIFEST_SOCKETS_MAX) {
        return full(p, "socket", MANIFEST_SOCKETS_MAX);
    }
    m->socket[m->sockets++] =
        (struct manifest_socket){.path = arg[1], .option = arg[2], .seqpacket = kind == 1};
    return CG_OK;
}

static cg_err add_use(struct parser *p, const char *name)
{
    struct manifest *m = p->m;
    if (!manifest_name_ok(name)) {
        return bad_name(p, name);
    }
    for (uint32_t i = 0; i < m->uses; i++) {
        if (strcmp(m->use[i], name) == 0) {
            return twice(p, name);
        }
    }
    if (m->uses == MANIFEST_USES_MAX) {
        return full(p, "use", MANIFEST_USES_MAX);
    }
    m->use[m->uses++] = name;
    return CG_OK;
}

static cg_err word_use(struct parser *p, char **arg, uint32_t args)
{
    bool all = args == 1 && strcmp(arg[0], "*") == 0;
    if (p->m->use_all || (all && p->m->uses > 0)) {
        return cg_fail(p->eb, CG_EBADFORMAT, "'use *' already grants every service; keep only it");
    }
    p->m->use_all = all;
    cg_err e = CG_OK;
    for (uint32_t i = 0; !all && e == CG_OK && i < args; i++) {
        e = add_use(p, arg[i]);
    }
    return e;
}

static cg_err word_path(struct parser *p, char **arg, uint32_t args)
{
    static const char *const modes[] = {"r", "rw", NULL};
    struct manifest *m = p->m;
    uint32_t mode = 0;
    cg_err e = choice(p, arg[0], modes, &mode);
    if (e != CG_OK) {
        return e;
    }
    const char *place = args == 3 ? arg[2] : arg[1];
    if (!path_ok(arg[1]) || !path_ok(place)) {
        return bad_path(p, path_ok(arg[1]) ? place : arg[1]);
    }
    for (uint32_t i = 0; i < m->paths; i++) {
        if (strcmp(m->path[i].place, place) == 0) {
            return twice(p, place);
        }
    }
    if (m->paths == MANIFEST_PATHS_MAX) {
        return full(p, "path", MANIFEST_PATHS_MAX);
    }
    m->path[m->paths++] =
        (struct manifest_path){.source = arg[1], .place = place, .writable = mode == 1};
    return CG_OK;
}

static cg_err word_net(struct parser *p, char **arg, uint32_t args)
{
    static const char *const kinds[] = {"none", "loopback", "node", NULL};
    uint32_t kind = 0;
    (void)args;
    cg_err e = choice(p, arg[0], kinds, &kind);
    p->m->net = (enum manifest_net)kind;
    return e;
}

static cg_err word_pids(struct parser *p, char **arg, uint32_t args)
{
    static const char *const kinds[] = {"own", "node", NULL};
    uint32_t kind = 0;
    (void)args;
    cg_err e = choice(p, arg[0], kinds, &kind);
    p->m->node_pids = kind == 1;
    return e;
}

static cg_err word_uid(struct parser *p, char **arg, uint32_t args)
{
    uint64_t v = 0;
    (void)args;
    cg_err e = number(p, arg[0], 0, MANIFEST_NOBODY, &v);
    p->m->uid = (uint32_t)v;
    return e;
}

static cg_err word_privilege(struct parser *p, char **arg, uint32_t args)
{
    for (uint32_t i = 0; i < args; i++) {
        const struct manifest_privilege *row = manifest_privileges;
        while (row->name != NULL && strcmp(row->name, arg[i]) != 0) {
            row++;
        }
        if (row->name == NULL) {
            return cg_fail(p->eb, CG_EBADFORMAT, "'%.40s' is no privilege that may be granted",
                           arg[i]);
        }
        uint64_t bit = (uint64_t)1 << row->bit;
        if ((p->m->privileges & bit) != 0) {
            return twice(p, arg[i]);
        }
        p->m->privileges |= bit;
    }
    return CG_OK;
}

static cg_err word_syscalls(struct parser *p, char **arg, uint32_t args)
{
    struct manifest *m = p->m;
    if (strcmp(arg[0], "default") != 0) {
        return cg_fail(p->eb, CG_EBADFORMAT, "'%.40s' is not 'default'", arg[0]);
    }
    for (uint32_t i = 1; i < args; i++) {
        if (arg[i][0] != '+' || !manifest_name_ok(arg[i] + 1)) {
            return cg_fail(p->eb, CG_EBADFORMAT, "'%.40s' is not a plus and a system call", arg[i]);
        }
        if (m->syscalls == MANIFEST_SYSCALLS_MAX) {
            return full(p, "syscalls", MANIFEST_SYSCALLS_MAX);
        }
        m->syscall[m->syscalls++] = arg[i] + 1;
    }
    return CG_OK;
}

static cg_err word_memory(struct parser *p, char **arg, uint32_t args)
{
    (void)args;
    size_t len = strlen(arg[0]);
    uint32_t shift = 0;
    if (len > 1) {
        char last = arg[0][len - 1];
        shift = last == 'K' ? 10 : last == 'M' ? 20 : last == 'G' ? 30 : 0;
    }
    if (shift == 0) {
        return cg_fail(p->eb, CG_EBADFORMAT, "'%.40s' has no suffix K, M or G", arg[0]);
    }
    arg[0][len - 1] = '\0';
    uint64_t v = 0;
    cg_err e = number(p, arg[0], 1, (uint64_t)1 << 40 >> shift, &v);
    p->m->memory_bytes = v << shift;
    return e;
}

static cg_err word_files(struct parser *p, char **arg, uint32_t args)
{
    uint64_t v = 0;
    (void)args;
    cg_err e = number(p, arg[0], 16, 1048576, &v);
    p->m->files = (uint32_t)v;
    return e;
}

static cg_err word_keep(struct parser *p, char **arg, uint32_t args)
{
    uint64_t v = 0;
    (void)args;
    cg_err e = number(p, arg[0], 1, MANIFEST_KEEP_MAX, &v);
    p->m->keep = (uint32_t)v;
    return e;
}

static cg_err word_restart(struct parser *p, char **arg, uint32_t args)
{
    static const char *const kinds[] = {"never", "always", NULL};
    uint32_t kind = 0;
    (void)args;
    cg_err e = choice(p, arg[0], kinds, &kind);
    p->m->restart = kind == 1;
    return e;
}

static cg_err word_walls(struct parser *p, char **arg, uint32_t args)
{
    static const char *const kinds[] = {"none", "all", NULL};
    uint32_t kind = 0;
    (void)args;
    cg_err e = choice(p, arg[0], kinds, &kind);
    p->m->walled = kind == 1;
    return e;
}

static const struct word words[] = {
    {"program", "program FILE ARG...", 1, MANIFEST_ARGS_MAX + 1, true, word_program},
    {"offer", "offer NAME [gate]", 1, 2, false, word_offer},
    {"socket", "socket stream|seqpacket PATH OPTION", 3, 3, false, word_socket},
    {"use", "use NAME... or use *", 1, MANIFEST_USES_MAX, false, word_use},
    {"path", "path r|rw SOURCE [PLACE]", 2, 3, false, word_path},
    {"net", "net none|loopback|node", 1, 1, true, word_net},
    {"pids", "pids own|node", 1, 1, true, word_pids},
    {"uid", "uid N", 1, 1, true, word_uid},
    {"privilege", "privilege NAME...", 1, WORDS_MAX, false, word_privilege},
    {"syscalls", "syscalls default [+NAME...]", 1, WORDS_MAX, true, word_syscalls},
    {"memory", "memory SIZE", 1, 1, true, word_memory},
    {"files", "files N", 1, 1, true, word_files},
    {"keep", "keep N", 1, 1, true, word_keep},
    {"restart", "restart always|never", 1, 1, true, word_restart},
    {"walls", "walls all|none", 1, 1, true, word_walls},
};

/* ---- the loop ------------------------------------------------------------------------------ */

static cg_err parse_words(struct parser *p, char **word, uint32_t count)
{
    for (uint32_t i = 0; i < CG_COUNT(words); i++) {
        const struct word *w = &words[i];
        if (strcmp(word[0], w->name) != 0) {
            continue;
        }
        if (w->once && (p->seen & 1u << i) != 0) {
            return cg_fail(p->eb, CG_EBADFORMAT, "%s is said twice; keep one line", w->name);
        }
        p->seen |= 1u << i;
        if (count - 1 < w->args_min || count - 1 > w->args_max) {
            return cg_fail(p->eb, CG_EBADFORMAT, "the form is: %s", w->form);
        }
        return w->fn(p, word + 1, count - 1);
    }
    return cg_fail(p->eb, CG_EBADFORMAT,
                   "unknown word '%.40s'; known are program offer socket use path net pids uid "
                   "privilege syscalls memory files keep restart walls",
                   word[0]);
}

static cg_err parse_line(struct parser *p, char *line)
{
    char *word[WORDS_MAX];
    int count = cg_tokenize(line, word, WORDS_MAX);
    if (count < 0) {
        return cg_fail(p->eb, CG_EBADFORMAT, "a quote is not closed, or there are over %d words",
                       (int)WORDS_MAX);
    }
    return count == 0 ? CG_OK : parse_words(p, word, (uint32_t)count);
}

/* Text only: a byte that a terminal would not show plainly has no business in a manifest. */
static bool text_ok(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c < ' ' && c != '\n' && c != '\t') || c > '~') {
            return false;
        }
    }
    return true;
}

static cg_err parse_text(struct parser *p, const char *origin)
{
    uint32_t line = 1;
    for (char *at = p->m->text; at != NULL; line++) {
        char *end = strchr(at, '\n');
        if (end != NULL) {
            *end++ = '\0';
        }
        cg_err e = parse_line(p, at);
        if (e != CG_OK) {
            return cg_context(p->eb, e, "%s:%u", origin, line);
        }
        at = end;
    }
    if (p->m->program == NULL) {
        return cg_fail(p->eb, CG_EBADFORMAT, "%s: no program; add a line `program FILE ARG...`",
                       origin);
    }
    return CG_OK;
}

cg_err manifest_parse(const char *name, const char *origin, const void *text, size_t len,
                      struct manifest *out, struct cg_errbuf *eb)
{
    *out = (struct manifest){.uid = MANIFEST_NOBODY,
                             .files = 1024,
                             .memory_bytes = (uint64_t)256 << 20,
                             .restart = true,
                             .walled = true};
    if (!manifest_name_ok(name)) {
        return cg_fail(eb, CG_EBADFORMAT, "%s: '%.100s' is not a component's name", origin, name);
    }
    if (len > MANIFEST_BYTES_MAX || !text_ok(text, len)) {
        return cg_fail(eb, CG_EBADFORMAT, "%s: not a text of at most %d bytes of ASCII", origin,
                       (int)MANIFEST_BYTES_MAX);
    }
    memcpy(out->name, name, strlen(name) + 1);
    out->text = cg_strndup(text, len);
    if (out->text == NULL) {
        return cg_fail(eb, CG_ENOMEM, "%s: no memory for its text", origin);
    }
    struct parser p = {.m = out, .eb = eb};
    cg_err e = parse_text(&p, origin);
    if (e != CG_OK) {
        manifest_fini(out);
    }
    return e;
}

cg_err manifest_load(const char *path, struct manifest *out, struct cg_errbuf *eb)
{
    static const char suffix[] = ".manifest";
    *out = (struct manifest){0};
    const char *slash = strrchr(path, '/');
    const char *file = slash == NULL ? path : slash + 1;
    size_t len = strlen(file);
    size_t tail = sizeof suffix - 1;
    char name[MANIFEST_NAME_BYTES_MAX + 1];
    if (len <= tail || strcmp(file + len - tail, suffix) != 0 || len - tail >= sizeof name) {
        return cg_fail(eb, CG_EBADFORMAT, "%s: the file's name is not NAME.manifest", path);
    }
    memcpy(name, file, len - tail);
    name[len - tail] = '\0';
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return cg_fail(eb, cg_err_from_errno(errno), "%s: %s", path, strerror(errno));
    }
    char text[MANIFEST_BYTES_MAX + 1]; /* one more than allowed: a longer file is seen as such */
    size_t got = fread(text, 1, sizeof text, f);
    bool failed = ferror(f) != 0;
    fclose(f);
    if (failed) {
        return cg_fail(eb, CG_EIO, "%s: cannot be read", path);
    }
    return manifest_parse(name, path, text, got, out, eb);
}

void manifest_fini(struct manifest *m)
{
    cg_free(m->text);
    *m = (struct manifest){0};
}
