/* What the verbs share: see verbs.h. */
#include "verbs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

enum { OPENED_MAX = 4, SECRET_BYTES_MAX = 1024 };

static struct opened {
    struct store_io io;
    struct store *store;
    pid_t server; /* of a pipe, with our ends of it: */
    int to, from;
} opened[OPENED_MAX];
static int opened_count;

_Noreturn void verb_fail(cg_err e, const struct cg_errbuf *eb, const char *what)
{
    const char *detail = eb && eb->text[0] ? eb->text : cg_err_meaning(e);
    verb_progress_end();
    if (what) {
        cmd_fail("%s: %s", what, detail);
    }
    cmd_fail("%s", detail);
}

/* ---- secrets ---- */

static void read_secret_file(const char *path, char out[SECRET_BYTES_MAX])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, out, SECRET_BYTES_MAX - 1);
    if (n < 0) {
        cmd_fail("%s: %s", path, strerror(errno));
    }
    close(fd);
    out[n] = 0;
    out[strcspn(out, "\r\n")] = 0;
}

static void ask_terminal(const char *prompt, char out[SECRET_BYTES_MAX])
{
    struct termios was, silent;
    FILE *tty = fopen("/dev/tty", "r+e");
    if (!tty) {
        cmd_fail("no terminal to ask for the passphrase: use --passphrase-file FILE or "
                 "COGNU_STORE_PASSPHRASE_FILE");
    }
    fprintf(tty, "%s: ", prompt);
    fflush(tty);
    tcgetattr(fileno(tty), &was);
    silent = was;
    silent.c_lflag &= ~(tcflag_t)ECHO;
    tcsetattr(fileno(tty), TCSAFLUSH, &silent);
    bool got = fgets(out, SECRET_BYTES_MAX, tty) != NULL;
    tcsetattr(fileno(tty), TCSAFLUSH, &was);
    fputc('\n', tty);
    fclose(tty);
    if (!got) {
        cmd_fail("no passphrase");
    }
    out[strcspn(out, "\r\n")] = 0;
}

void verb_secret(struct store_secret *out, const char *prompt)
{
    static char text[SECRET_BYTES_MAX];
    *out = (struct store_secret){.kind = STORE_PASSPHRASE, .text = text};
    if (opt.recovery_file) {
        out->kind = STORE_RECOVERY;
        read_secret_file(opt.recovery_file, text);
    } else if (opt.passphrase_file) {
        read_secret_file(opt.passphrase_file, text);
    } else {
        ask_terminal(prompt, text);
    }
}

/* ---- opening ---- */

/* What fails ends after the commands at the other ends, as what does well: they see their input
 * end, and what they have still to do or to say is done then. One that does not end is left alone.
 */
static void end_pipes(void)
{
    enum { WAIT_MS = 10000, LOOK_MS = 5 };
    int left = WAIT_MS;
    for (int i = 0; i < opened_count; i++) {
        if (opened[i].server <= 0) {
            continue;
        }
        close(opened[i].to);
        close(opened[i].from);
        while (waitpid(opened[i].server, NULL, WNOHANG) == 0 && (left -= LOOK_MS) > 0) {
            usleep(LOOK_MS * 1000);
        }
        opened[i].server = 0;
    }
}

/* `|COMMAND`: the command's standard input and output are the other end of the table of I/O calls.
 */
static void open_pipe(const char *command, struct opened *o)
{
    int to[2], from[2];
    struct cg_errbuf eb = {0};
    if (pipe2(to, O_CLOEXEC) != 0 || pipe2(from, O_CLOEXEC) != 0) {
        cmd_fail("pipe: %s", strerror(errno));
    }
    o->server = fork();
    if (o->server < 0) {
        cmd_fail("fork: %s", strerror(errno));
    }
    o->to = to[1];
    o->from = from[0];
    if (o->server == 0) {
        dup2(to[0], STDIN_FILENO);
        dup2(from[1], STDOUT_FILENO);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    close(to[0]);
    close(from[1]);
    signal(SIGPIPE, SIG_IGN);
    atexit(end_pipes);
    cg_err e = store_io_pipe(from[0], to[1], &o->io, &eb);
    if (e) {
        verb_fail(e, &eb, command);
    }
}

static struct opened *open_io(const char *where, bool create)
{
    struct cg_errbuf eb = {0};
    if (!where) {
        cmd_fail("no store was named: use -s STORE or COGNU_STORE");
    }
    cg_assert(opened_count < OPENED_MAX);
    struct opened *o = &opened[opened_count++];
    if (where[0] == '|') {
        open_pipe(where + 1, o);
        return o;
    }
    cg_err e = store_io_folder(where, create, &o->io, &eb);
    if (e) {
        verb_fail(e, &eb, NULL);
    }
    return o;
}

const struct store_io *verb_io(const char *where, bool create)
{
    return &open_io(where, create)->io;
}

/* A command that ended at once did not find, or was not let to, the store: it may say so by its
 * status alone. */
static void say_how_it_ended(const struct opened *o, const char *command)
{
    enum { WAIT_MS = 1000 };
    int status;
    for (int ms = 0; ms < WAIT_MS; ms += 10) {
        if (waitpid(o->server, &status, WNOHANG) == o->server) {
            cmd_fail("`%s` ended with status %d before it had answered", command,
                     WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
        }
        usleep(10 * 1000);
    }
}

static struct store *open_store(const char *where, bool read_only, bool repair)
{
    struct opened *o = open_io(where, false);
    struct cg_errbuf eb = {0};
    struct store_secret secret;
    char prompt[128];
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    struct store_options so = {
        .read_only = read_only,
        .repair = repair,
        .threads = opt.threads != UINT32_MAX ? opt.threads
                   : cpus > 1                ? (uint32_t)cpus - 1
                                             : 0,
    };
    snprintf(prompt, sizeof prompt, "passphrase of %.80s", where);
    verb_secret(&secret, prompt);
    cg_err e = store_open(&o->io, &so, &secret, &o->store, &eb);
    if (e == CG_ECONNRESET && o->server > 0) {
        say_how_it_ended(o, where + 1);
    }
    if (e) {
        verb_fail(e, &eb, where[0] == '|' ? NULL : where);
    }
    return o->store;
}

struct store *verb_other(const char *where, bool read_only)
{
    return open_store(where, read_only, false);
}

struct store *verb_store_for_repair(void)
{
    return open_store(opt.store, false, true);
}

struct store *verb_store(bool read_only)
{
    return verb_other(opt.store, read_only);
}

void verb_close(void)
{
    verb_progress_end();
    for (int i = 0; i < opened_count; i++) {
        store_close(opened[i].store);
        if (opened[i].io.fini) {
            opened[i].io.fini(opened[i].io.ctx);
        }
        if (opened[i].server > 0) {
            waitpid(opened[i].server, NULL, 0);
        }
    }
    opened_count = 0;
}
