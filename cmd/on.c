/* on: runs a command on another node, through the files of that node's exec (srv/exec/README.md).
 *
 * The files are streams that block, so each direction has a thread of its own: standard input,
 * output and errors, and signals. The main thread waits for the command's end. Whatever ends this
 * program closes ctl, which ends the command.
 */
#include "tickets.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum {
    PIECE_BYTES = 128 * 1024,
    LINE_BYTES_MAX = 512 * 1024, /* one write to ctl, which must not be cut */
    INTERRUPTS_MAX = 3,          /* so many, and we end whatever the command does */
    LEND_SECONDS = 30 * 86400, /* the longest that a command sees our files; they go when it ends */
};

static const struct cmd cmd = {"on", "[-t | -p] [-n] [-T] NODE COMMAND [ARG...]",
                               "runs a command on another node, with our files at /mnt/term"};

extern char **environ;

/* Variables that are true of this machine, session or process only. A star stands for any end. */
static const char *const host_only[] = {
    "_",        "BASHOPTS",      "COGNU_*",        "COLUMNS",    "DBUS_*", "DISPLAY",
    "HOSTNAME", "INVOCATION_ID", "JOURNAL_STREAM", "LD_*",       "LINES",  "OLDPWD",
    "PWD",      "SHELLOPTS",     "SHLVL",          "SSH_*",      "STY",    "SYSTEMD_*",
    "TMUX*",    "WAYLAND_*",     "WINDOWID",       "XAUTHORITY", "XDG_*",  "NOTIFY_SOCKET",
};

struct job {
    char dir[CMD_PATH_BYTES]; /* of the job */
    int ctl;
    bool tty;
    char key[65]; /* of the user as whom commands run there */
};
static struct job job;
static struct termios cooked;
static bool raw;

static void restore_terminal(void)
{
    if (raw) {
        tcsetattr(0, TCSADRAIN, &cooked);
    }
}

static void make_raw(void)
{
    struct termios t;
    if (tcgetattr(0, &cooked) == 0) {
        t = cooked;
        cfmakeraw(&t);
        raw = tcsetattr(0, TCSADRAIN, &t) == 0;
    }
}

/* ---- ctl ---- */

static bool try_order(const char *text)
{
    return write(job.ctl, text, strlen(text)) == (ssize_t)strlen(text);
}

/* Takes l. */
static void order(struct cmd_line *l)
{
    char path[CMD_PATH_BYTES + 8], what[64];
    if (l->text.len > LINE_BYTES_MAX) {
        cmd_fail("%.20s...: more than %d bytes do not fit one line", l->text.data, LINE_BYTES_MAX);
    }
    if (!try_order(l->text.data)) {
        snprintf(path, sizeof path, "%s/ctl", job.dir);
        snprintf(what, sizeof what, "%.40s", l->text.data);
        cmd_fail_at(path, what);
    }
    cg_str_fini(&l->text);
}

static bool is_host_only(const char *assignment)
{
    size_t len = strcspn(assignment, "=");
    for (size_t i = 0; i < CG_COUNT(host_only); i++) {
        size_t n = strlen(host_only[i]);
        bool prefix = host_only[i][n - 1] == '*';
        if (prefix ? strncmp(assignment, host_only[i], n - 1) == 0
                   : n == len && strncmp(assignment, host_only[i], n) == 0) {
            return true;
        }
    }
    return false;
}

static void send_environment(void)
{
    for (char **at = environ; *at != NULL; at++) {
        if (!is_host_only(*at) && strchr(*at, '=') > *at) {
            struct cmd_line l = {0};
            cmd_word(&l, "env");
            cmd_word(&l, *at);
            order(&l);
        }
    }
}

static void send_dir(void)
{
    char cwd[CMD_PATH_BYTES];
    struct cmd_line l = {0};
    if (getcwd(cwd, sizeof cwd) != NULL && cwd[0] == '/') {
        cmd_word(&l, "dir");
        cmd_word(&l, cwd);
        order(&l);
    }
}

static void terminal_size(char *out, size_t cap, const char *verb)
{
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    if (ioctl(0, TIOCGWINSZ, &size) < 0) {
        ioctl(1, TIOCGWINSZ, &size);
    }
    snprintf(out, cap, "%s %u %u", verb, size.ws_row, size.ws_col);
}

/* ---- its namespace ---- */

static void namespace_line(const char *verb, const char *lines)
{
    struct cmd_line l = {0};
    cmd_word(&l, verb);
    cmd_word(&l, lines);
    order(&l);
}

static void own_namespace(void)
{
    char *text = cmd_read("/mnt/ns/ns");
    namespace_line("cleanns", text);
    cg_free(text);
}

/* A namespace without these files, a small one or one that covers /mnt, has nothing to lend by. */
static bool may_lend(void)
{
    static const char *const files[] = {"/mnt/export/clone", "/mnt/factotum/sign",
                                        "/mnt/gate/roster"};
    for (size_t i = 0; i < CG_COUNT(files); i++) {
        if (access(files[i], F_OK) != 0) {
            return false;
        }
    }
    return true;
}

/* Our own tree at the other side's /mnt/term: an export that ends with us, and a ticket for it that
 * only the other node's user can use. */
static void lend_tree(const char *node)
{
    static char text[TICKET_TEXT_BYTES];
    char name[128];
    struct secure_ticket_block b = {.rights = 7, .service = "export"};
    struct cg_str line = {0};
    bool here = strcmp(node, cmd_node()) == 0;
    int fd = cmd_export("-", "rw", "/", NULL, name, sizeof name); /* open until we end */
    cg_assert(fd >= 0);
    if (!here) {
        if (!secure_unhex(job.key, b.holder, sizeof b.holder)) {
            cmd_fail("%s: does not say yet whose files it would see; try again, or give -T", node);
        }
        tickets_member("node", cmd_node(), b.node);
        snprintf(b.tree, sizeof b.tree, "%s", name);
        b.not_before_s = (uint64_t)time(NULL);
        b.expires_s = b.not_before_s + LEND_SECONDS;
        tickets_sign(TICKET_KEY, &b, NULL, text);
    }
    if (cg_str_addf(&line, "mount -c %s %s %s!export!%s /mnt/term", here ? "" : "-k", text,
                    cmd_node(), name) != CG_OK) {
        cmd_fail("no memory");
    }
    namespace_line("ns", line.data);
    cg_str_fini(&line);
}

/* ---- the command ---- */

static void start(char **words)
{
    char size[64];
    struct cmd_line exec = {0};
    send_dir();
    send_environment();
    if (job.tty) {
        terminal_size(size, sizeof size, "tty");
        struct cmd_line l = {0};
        if (cg_str_addf(&l.text, "%s", size) != CG_OK) {
            cmd_fail("no memory");
        }
        order(&l);
    }
    cmd_word(&exec, "exec");
    for (; *words != NULL; words++) {
        cmd_word(&exec, *words);
    }
    order(&exec);
}

/* node is a name, or the path of an exec tree that is mounted somewhere. */
static void open_job(const char *node)
{
    char tree[CMD_PATH_BYTES - 32], path[CMD_PATH_BYTES], number[128];
    if (strchr(node, '/') != NULL) {
        snprintf(tree, sizeof tree, "%s", node);
    } else {
        cmd_need_node(node);
        snprintf(tree, sizeof tree, "/n/%s/exec", node);
    }
    snprintf(path, sizeof path, "%s/clone", tree);
    job.ctl = open(path, O_RDWR | O_CLOEXEC);
    ssize_t n = job.ctl < 0 ? -1 : read(job.ctl, number, sizeof number - 1);
    if (n <= 0) {
        cmd_fail_at(path, node);
    }
    number[n] = '\0';
    char *key = number + strcspn(number, " \n");
    snprintf(job.key, sizeof job.key, "%.64s", *key == ' ' ? key + 1 : "");
    *key = '\0';
    snprintf(job.dir, sizeof job.dir, "%s/%s", tree, number);
}

static int open_stream(const char *name, int flags)
{
    char path[CMD_PATH_BYTES + 16];
    snprintf(path, sizeof path, "%s/%s", job.dir, name);
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0) {
        cmd_fail_at(path, path);
    }
    return fd;
}

/* ---- the threads ---- */

struct copy {
    pthread_t thread;
    int from, to;
    bool input; /* its end is told to the command */
};

static bool write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno != EINTR) {
            return false;
        }
        data += n > 0 ? n : 0;
        len -= n > 0 ? (size_t)n : 0;
    }
    return true;
}

static void *copy_bytes(void *arg)
{
    struct copy *c = arg;
    char *piece = cg_alloc(PIECE_BYTES);
    ssize_t n = 0;
    bool taken = piece != NULL;
    while (taken && ((n = read(c->from, piece, PIECE_BYTES)) > 0 || (n < 0 && errno == EINTR))) {
        taken = n < 0 || write_all(c->to, piece, (size_t)n);
    }
    cg_free(piece);
    if (c->input && taken) {
        try_order("eof"); /* the command may be over */
    } else if (!c->input && !taken) {
        exit(128 + SIGPIPE); /* nobody reads us any more */
    }
    return NULL;
}

static void begin(struct copy *c, int from, int to, bool input)
{
    *c = (struct copy){.from = from, .to = to, .input = input};
    if (pthread_create(&c->thread, NULL, copy_bytes, c) != 0) {
        cmd_fail("no thread to copy bytes with");
    }
}

/* SIGTSTP stops the command, then us; when we go on, it does. What the command gets is SIGSTOP: it
 * leads a session of its own, in which the system ignores the other. */
static void forward(int signo)
{
    static int interrupts;
    char text[64] = "note start";
    if (signo == SIGWINCH) {
        terminal_size(text, sizeof text, "size");
    } else if (signo == SIGTSTP) {
        snprintf(text, sizeof text, "note stop");
    } else if (signo != SIGCONT) {
        snprintf(text, sizeof text, "note %s", sigabbrev_np(signo));
    }
    if (signo == SIGINT && ++interrupts == INTERRUPTS_MAX) {
        exit(128 + SIGINT);
    }
    try_order(text);
    if (signo == SIGTSTP) {
        kill(getpid(), SIGSTOP);
    }
}

static sigset_t forwarded;

static void *forward_signals(void *arg)
{
    (void)arg;
    for (int signo; sigwait(&forwarded, &signo) == 0;) {
        forward(signo);
    }
    return NULL;
}

/* Before the first thread is made: all inherit the mask. */
static void block_signals(void)
{
    sigemptyset(&forwarded);
    static const int list[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT, SIGWINCH};
    for (size_t i = 0; i < CG_COUNT(list); i++) {
        if (list[i] != SIGWINCH || job.tty) {
            sigaddset(&forwarded, list[i]);
        }
    }
    pthread_sigmask(SIG_BLOCK, &forwarded, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* `exit STATUS` or `signal NUMBER`: as a shell tells it. */
static int wait_for_end(int fd)
{
    char text[64];
    ssize_t n;
    while ((n = read(fd, text, sizeof text - 1)) < 0 && errno == EINTR) {
    }
    int number;
    text[n > 0 ? n : 0] = '\0';
    if (sscanf(text, "exit %d", &number) == 1) {
        return number;
    }
    if (sscanf(text, "signal %d", &number) == 1) {
        return 128 + number;
    }
    restore_terminal();
    cmd_fail_at(job.dir, "the command's end is not known");
}

static int run(void)
{
    pthread_t signals;
    struct copy in, out, err;
    int end = open_stream("wait", O_RDONLY);
    begin(&out, open_stream("stdout", O_RDONLY), 1, false);
    begin(&err, open_stream("stderr", O_RDONLY), 2, false);
    begin(&in, 0, open_stream("stdin", O_WRONLY), true);
    if (pthread_create(&signals, NULL, forward_signals, NULL) != 0) {
        cmd_fail("no thread to wait for signals with");
    }
    int status = wait_for_end(end);
    pthread_join(out.thread, NULL);
    pthread_join(err.thread, NULL);
    return status;
}

int main(int argc, char **argv)
{
    bool same = false, lend = true;
    int c;
    cmd_begin(&cmd, argc, argv);
    job.tty = isatty(0) && isatty(1);
    while ((c = getopt(argc, argv, "+tpTn")) != -1) {
        if (c == 't' || c == 'p') {
            job.tty = c == 't';
        } else if (c == 'T') {
            lend = false;
        } else if (c == 'n') {
            same = true;
        } else {
            cmd_usage();
        }
    }
    if (argc - optind < 2) {
        cmd_usage();
    }
    open_job(argv[optind]);
    if (same) {
        own_namespace();
    }
    if (lend && strchr(argv[optind], '/') == NULL && may_lend()) {
        lend_tree(argv[optind]);
    }
    block_signals();
    atexit(restore_terminal);
    start(argv + optind + 1);
    if (job.tty && isatty(0)) {
        make_raw();
    }
    exit(run());
}
