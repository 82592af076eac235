/* What the commands share: see cmd.h. */
#include "cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

static const struct cmd *the_cmd;

static void print_usage(FILE *to)
{
    const char *form = the_cmd->usage, *lead = "usage:";
    do {
        size_t len = strcspn(form, "\n");
        fprintf(to, "%s %s%s%.*s\n", lead, the_cmd->name, len > 0 ? " " : "", (int)len, form);
        form += len + (form[len] == '\n');
        lead = "      ";
    } while (*form != '\0');
}

void cmd_begin(const struct cmd *cmd, int argc, char **argv)
{
    the_cmd = cmd;
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        printf("%s: %s\n", cmd->name, cmd->about);
        print_usage(stdout);
        printf("More: man %s\n", cmd->name);
        exit(0);
    }
}

_Noreturn void cmd_usage(void)
{
    print_usage(stderr);
    fprintf(stderr, "More: %s --help\n", the_cmd->name);
    exit(2);
}

_Noreturn void cmd_fail(const char *fmt, ...)
{
    va_list ap;
    fflush(stdout);
    fprintf(stderr, "%s: ", the_cmd->name);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(1);
}

/* The namespace's own words about our last error, or an empty text. */
static void read_reason(char *out, size_t cap)
{
    int fd = open("/mnt/ns/err", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, out, cap - 1);
    if (fd >= 0) {
        close(fd);
    }
    out[n > 0 ? n : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
}

_Noreturn void cmd_fail_at(const char *path, const char *what)
{
    char reason[CMD_PATH_BYTES];
    int err = errno;
    if (access("/mnt/ns/ctl", F_OK) != 0) {
        cmd_fail("there is no /mnt/ns here: this is not in a Cognu namespace; enter one with "
                 "`make run` or cognu-enter");
    }
    /* A name that is not there has no words of its own: those would be of an error before. */
    bool plain = err == ENOENT && strncmp(path, "/mnt/", 5) != 0 && strncmp(path, "/n/", 3) != 0;
    reason[0] = '\0';
    if (!plain) {
        read_reason(reason, sizeof reason);
    }
    if (reason[0] == '\0') {
        snprintf(reason, sizeof reason, "%.3000s: %s", path, strerror(err));
    }
    if (strncmp(reason, what, strlen(what)) == 0 && what[0] != '\0') {
        cmd_fail("%s", reason); /* it begins with what was asked */
    }
    cmd_fail("%s: %s", what, reason);
}

void cmd_absolute(const char *path, char out[CMD_PATH_BYTES])
{
    char joined[CMD_PATH_BYTES];
    if (path[0] == '/') {
        joined[0] = '\0';
    } else if (getcwd(joined, sizeof joined) == NULL) {
        cmd_fail("the working directory: %s; give paths from /", strerror(errno));
    }
    size_t len = strlen(joined);
    if (len + strlen(path) + 2 > sizeof joined) {
        cmd_fail("%.60s...: the path is too long", path);
    }
    joined[len] = '/';
    memcpy(joined + len + 1, path, strlen(path) + 1);
    size_t n = 0;
    for (const char *at = joined; *at != '\0';) {
        at += strspn(at, "/");
        size_t element = strcspn(at, "/");
        if (element > 0 && !(element == 1 && at[0] == '.')) {
            out[n++] = '/';
            memcpy(out + n, at, element);
            n += element;
        }
        at += element;
    }
    if (n == 0) {
        out[n++] = '/';
    }
    out[n] = '\0';
}

void cmd_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    size_t len = strlen(text);
    if (fd < 0 || write(fd, text, len) != (ssize_t)len || close(fd) != 0) {
        char what[160];
        snprintf(what, sizeof what, "%.*s", (int)strcspn(text, "\n"), text);
        cmd_fail_at(path, what);
    }
}

char *cmd_read(const char *path)
{
    struct cg_str text = {0};
    char piece[16384];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : 1;
    while (n > 0 && text.len < CMD_TEXT_BYTES_MAX) {
        n = read(fd, piece, sizeof piece);
        if (n > 0 && cg_str_add(&text, piece, (size_t)n) != CG_OK) {
            cmd_fail("%s: no memory", path);
        }
    }
    if (n < 0) {
        cmd_fail_at(path, path);
    }
    close(fd);
    if (cg_str_add(&text, "", 0) != CG_OK) {
        cmd_fail("%s: no memory", path);
    }
    return text.data;
}

void cmd_cat(const char *path)
{
    char *text = cmd_read(path);
    fputs(text, stdout);
    cg_free(text);
    if (fflush(stdout) != 0) {
        cmd_fail("standard output: %s", strerror(errno));
    }
}

void cmd_ask(const char *path, const char *line, char *answer, size_t cap)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    size_t len = strlen(line);
    char what[16];
    snprintf(what, sizeof what, "%.*s", (int)strcspn(line, " \n"), line);
    if (fd < 0 || write(fd, line, len) != (ssize_t)len) {
        cmd_fail_at(path, what);
    }
    ssize_t n = read(fd, answer, cap - 1);
    if (n < 0) {
        cmd_fail_at(path, what);
    }
    answer[n] = '\0';
    close(fd);
}

int cmd_export(const char *wanted, const char *mode, const char *path, const char *users,
               char *name, size_t cap)
{
    static const char clone[] = "/mnt/export/clone";
    struct cmd_line l = {0};
    char *text = cmd_read("/mnt/ns/ns");
    int fd = open(clone, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        cmd_fail_at(clone, "export");
    }
    const char *word[] = {"serve", wanted, mode, path};
    for (size_t i = 0; i < CG_COUNT(word); i++) {
        cmd_word(&l, word[i]);
    }
    if (cg_str_addf(&l.text, " %s\n%s", users != NULL ? users : "", text) != CG_OK) {
        cmd_fail("no memory");
    }
    ssize_t n = write(fd, l.text.data, l.text.len) == (ssize_t)l.text.len
                    ? pread(fd, name, cap - 1, 0)
                    : -1;
    if (n < 0) {
        cmd_fail_at(clone, path);
    }
    name[n] = '\0';
    name[strcspn(name, "\n")] = '\0';
    cg_str_fini(&l.text);
    cg_free(text);
    return fd;
}

void cmd_export_end(int fd)
{
    static const char end[] = "end\n";
    ssize_t n = write(fd, end, sizeof end - 1);
    (void)n; /* a service that cannot be told has ended, and the export with it */
    close(fd);
}

const char *cmd_node(void)
{
    static struct utsname name;
    uname(&name); /* a node's host name is its own */
    return name.nodename;
}

void cmd_word(struct cmd_line *l, const char *word)
{
    cg_err e = l->text.len > 0 ? cg_str_add(&l->text, " ", 1) : CG_OK;
    if (e != CG_OK || cg_str_add_quoted(&l->text, word) != CG_OK) {
        cmd_fail("no memory");
    }
}

void cmd_send(struct cmd_line *l, const char *path)
{
    if (cg_str_add(&l->text, "\n", 1) != CG_OK) {
        cmd_fail("no memory");
    }
    cmd_write(path, l->text.data);
    cg_str_fini(&l->text);
}

/* The gate's list has a line for each node that begins with its name. */
static bool in_cell(const char *name)
{
    size_t len = strlen(name);
    char *text = cmd_read("/mnt/gate/nodes");
    bool found = false;
    for (const char *line = text; *line != '\0' && !found; line += *line == '\n') {
        found = strncmp(line, name, len) == 0 && line[len] == ' ';
        line += strcspn(line, "\n");
    }
    cg_free(text);
    return found;
}

void cmd_need_node(const char *name)
{
    char path[CMD_PATH_BYTES];
    snprintf(path, sizeof path, "/n/%s", name);
    if (access("/mnt/ns/ctl", F_OK) != 0 || access(path, F_OK) == 0 || errno != ENOENT) {
        return;
    }
    if (!in_cell(name)) {
        cmd_fail("%s: the cell has no node of that name; nodes lists them", name);
    }
    struct cmd_line line = {0};
    cmd_word(&line, "node");
    cmd_word(&line, name);
    cmd_send(&line, "/mnt/ns/ctl");
}

void cmd_process(const char *operand, const char *file, char path[CMD_PATH_BYTES])
{
    char node[64];
    const char *slash = strchr(operand, '/');
    const char *pid = slash != NULL ? slash + 1 : operand;
    if (pid[0] == '\0' || strspn(pid, "0123456789") != strlen(pid) ||
        (slash != NULL && slash - operand >= (int)sizeof node)) {
        cmd_fail("%s: not a process number, or NODE/NUMBER", operand);
    }
    snprintf(node, sizeof node, "%.*s", slash != NULL ? (int)(slash - operand) : 63,
             slash != NULL ? operand : cmd_node());
    cmd_need_node(node);
    snprintf(path, CMD_PATH_BYTES, "/n/%s/proc/%s/%s", node, pid, file);
    if (access(path, F_OK) != 0 && errno == ENOENT) {
        cmd_fail("%s: no such process", operand);
    }
}

int cmd_union_options(struct cmd_line *l, int argc, char **argv, const char **ticket)
{
    int i = 1;
    for (; i < argc && argv[i][0] == '-' && argv[i][1] != '\0'; i++) {
        if (strcmp(argv[i], "--") == 0) {
            return i + 1;
        }
        if (ticket != NULL && strcmp(argv[i], "-k") == 0 && i + 1 < argc) {
            *ticket = argv[++i];
            continue;
        }
        if (strspn(argv[i] + 1, "abc") != strlen(argv[i] + 1)) {
            cmd_usage();
        }
        for (const char *c = argv[i] + 1; *c != '\0'; c++) {
            char word[3] = {'-', *c, '\0'};
            cmd_word(l, word);
        }
    }
    return i;
}
