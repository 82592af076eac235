/* db: a debugger for a process of any node, through the files of that node's proc alone: ctl holds,
 * stops and starts it, mem and regs are what it is made of, text has its names, segment says where
 * they lie.
 *
 * Breakpoints are a byte in the program's memory; they are taken out before the process is let go.
 */
#include "cmd.h"
#include "elf.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct cmd cmd = {"db", "[-c COMMANDS] [NODE/]PID",
                               "debugs a process of a node; commands come from standard input"};

enum {
    PATH_BYTES = 256,
    TEXT_BYTES_MAX = 256 << 20, /* a program's file */
    PIECE_BYTES = 1 << 20,
    BREAKS_MAX = 64,
    FRAMES_MAX = 64,
    WORDS_MAX = 5,
    WORDS_SHOWN_MAX = 512, /* of memory at once */
    SIGNAL_TRAP = 5,
    TRAP = 0xcc, /* int3 */
};

struct breakpoint {
    uint64_t at;
    uint8_t was; /* the byte that the trap stands for */
};

static char dir[PATH_BYTES];
static int ctl = -1, mem = -1;
static char *program; /* the bytes of its file */
static struct elf elf;
static uint64_t slide; /* add to a name's value */
static struct breakpoint breaks[BREAKS_MAX];
static size_t break_count;
static volatile sig_atomic_t interrupted;

static void path_of(char out[PATH_BYTES + 16], const char *file)
{
    snprintf(out, PATH_BYTES + 16, "%s/%s", dir, file);
}

static char *read_file(const char *file)
{
    char path[PATH_BYTES + 16];
    path_of(path, file);
    return cmd_read(path);
}

/* What failed, with the namespace's reason; the session goes on. */
static bool complain(const char *what)
{
    char reason[CG_DETAIL_BYTES] = "";
    int err = errno, fd = open("/mnt/ns/err", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, reason, sizeof reason - 1);
    if (fd >= 0) {
        close(fd);
    }
    reason[n > 0 ? n : 0] = '\0';
    reason[strcspn(reason, "\n")] = '\0';
    printf("%s: %s\n", what, reason[0] != '\0' ? reason : strerror(err));
    return false;
}

/* ---- names ---- */

/* The last name at or before an address; NULL: none. */
static const struct elf_symbol *name_at(uint64_t at)
{
    const struct elf_symbol *best = NULL;
    for (size_t i = 0; i < elf.symbols && elf.symbol[i].value + slide <= at; i++) {
        best = &elf.symbol[i];
    }
    return best != NULL && at - slide - best->value < (best->size ? best->size : 4096) ? best
                                                                                       : NULL;
}

static const char *place(uint64_t at)
{
    static char out[256];
    const struct elf_symbol *s = name_at(at);
    uint64_t off = s != NULL ? at - slide - s->value : 0;
    if (s == NULL) {
        snprintf(out, sizeof out, "0x%" PRIx64, at);
    } else if (off == 0) {
        snprintf(out, sizeof out, "%.200s", s->name);
    } else {
        snprintf(out, sizeof out, "%.200s+0x%" PRIx64, s->name, off);
    }
    return out;
}

/* The program's first mapping, of the file that text is. */
static uint64_t loaded_at(void)
{
    char *maps = read_file("segment"), *exe = NULL;
    uint64_t lowest = 0;
    for (char *line = maps, *next; line != NULL; line = next) {
        uint64_t from, offset;
        int used = 0;
        next = strchr(line, '\n');
        if (next != NULL) {
            *next++ = '\0';
        }
        if (sscanf(line, "%" SCNx64 "-%*x %*s %" SCNx64 " %*s %*s %n", &from, &offset, &used) ==
                2 &&
            used > 0 && line[used] == '/' && exe == NULL) {
            exe = line + used;
            lowest = from - offset;
        }
    }
    cg_free(maps);
    return lowest;
}

static void load_names(void)
{
    char path[PATH_BYTES + 16];
    struct cg_errbuf eb = {0};
    struct cg_str all = {0};
    path_of(path, "text");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *piece = cg_alloc(PIECE_BYTES);
    ssize_t n = fd < 0 || piece == NULL ? -1 : 1;
    while (n > 0 && all.len < TEXT_BYTES_MAX) {
        n = read(fd, piece, PIECE_BYTES);
        if (n > 0 && cg_str_add(&all, piece, (size_t)n) != CG_OK) {
            n = -1;
        }
    }
    if (n < 0) {
        complain("the program's names");
    } else if (elf_read(all.data, all.len, &elf, &eb) != CG_OK) {
        printf("the program's names: %s\n", eb.text);
    }
    if (fd >= 0) {
        close(fd);
    }
    cg_free(piece);
    program = all.data;
    slide = elf.relocated ? loaded_at() - elf.base : 0;
}

/* ---- registers and memory ---- */

static bool reg(const char *name, uint64_t *out)
{
    char path[PATH_BYTES + 16], text[2048], line[64];
    path_of(path, "regs");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) {
        close(fd);
    }
    if (n < 0) {
        return complain(name);
    }
    text[n] = '\0';
    snprintf(line, sizeof line, "%s 0x", name);
    for (char *at = text; at != NULL && *at != '\0'; at = strchr(at, '\n')) {
        at += *at == '\n';
        if (strncmp(at, line, strlen(line)) == 0) {
            *out = strtoull(at + strlen(line), NULL, 16);
            return true;
        }
    }
    printf("%s: no such register\n", name);
    return false;
}

static bool set_reg(const char *name, uint64_t value)
{
    char path[PATH_BYTES + 16], line[96];
    path_of(path, "regs");
    snprintf(line, sizeof line, "%s 0x%" PRIx64 "\n", name, value);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool ok = fd >= 0 && write(fd, line, strlen(line)) > 0;
    if (fd >= 0) {
        close(fd);
    }
    return ok || complain(name);
}

static bool peek(uint64_t at, void *out, size_t n)
{
    return pread(mem, out, n, (off_t)at) == (ssize_t)n;
}

static bool poke(uint64_t at, const void *data, size_t n)
{
    return pwrite(mem, data, n, (off_t)at) == (ssize_t)n;
}

/* NAME[+N], $REGISTER[+N], 0xN, N */
static bool address(const char *text, uint64_t *out)
{
    char name[256], *end;
    const char *plus = strchr(text, '+');
    size_t len = plus != NULL ? (size_t)(plus - text) : strlen(text);
    uint64_t add = plus != NULL ? strtoull(plus + 1, NULL, 0) : 0;
    snprintf(name, sizeof name, "%.*s", (int)len, text);
    *out = strtoull(name, &end, 0);
    if (*end == '\0' && end != name) {
        *out += add;
        return true;
    }
    if (name[0] == '$') {
        bool ok = reg(name + 1, out);
        *out += add;
        return ok;
    }
    for (size_t i = 0; i < elf.symbols; i++) {
        if (strcmp(elf.symbol[i].name, name) == 0) {
            *out = elf.symbol[i].value + slide + add;
            return true;
        }
    }
    printf("%s: the program has no such name\n", name);
    return false;
}

/* ---- stopping and starting ---- */

static bool order(const char *word)
{
    return write(ctl, word, strlen(word)) == (ssize_t)strlen(word);
}

static size_t break_at(uint64_t at)
{
    size_t i = 0;
    while (i < break_count && breaks[i].at != at) {
        i++;
    }
    return i;
}

static bool put_trap(const struct breakpoint *b, bool on)
{
    const uint8_t trap = TRAP;
    return poke(b->at, on ? &trap : &b->was, 1) || complain(place(b->at));
}

/* Where it is now, and by what; false: it is gone. A trap of ours has run: it goes back to where
 * the byte belongs. */
static bool report(void)
{
    uint64_t rip;
    char *state = read_file("debug");
    int signo = 0;
    bool here = sscanf(state, "stopped %d", &signo) == 1;
    state[strcspn(state, "\n")] = '\0';
    if (!here) {
        printf("the process is %s\n", state);
    }
    cg_free(state);
    if (!here || !reg("rip", &rip)) {
        return false;
    }
    bool trapped = signo == SIGNAL_TRAP && break_at(rip - 1) < break_count;
    if (trapped && !set_reg("rip", --rip)) {
        return false;
    }
    if (trapped) {
        printf("breakpoint at %s\n", place(rip));
    } else if (signo == SIGNAL_TRAP) {
        printf("stopped at %s\n", place(rip));
    } else {
        printf("stopped at %s by signal %d (%s)\n", place(rip), signo, strsignal(signo));
    }
    return true;
}

/* Until it is stopped. A request has its time; what it asked for goes on. */
static bool wait_for(const char *word)
{
    while (!order(word)) {
        if (interrupted) {
            interrupted = 0;
            return order("stop") || complain("stop");
        }
        if (errno != ETIMEDOUT && errno != ETIME) {
            return complain(word);
        }
        word = "waitstop";
    }
    return true;
}

/* One instruction; a breakpoint in its place is lifted meanwhile. */
static bool step_over(void)
{
    uint64_t rip;
    if (!reg("rip", &rip)) {
        return false;
    }
    size_t i = break_at(rip);
    bool lifted = i < break_count;
    if (lifted && !put_trap(&breaks[i], false)) {
        return false;
    }
    bool ok = wait_for("step");
    return (!lifted || put_trap(&breaks[i], true)) && ok;
}

static void go(void)
{
    uint64_t rip;
    if (!reg("rip", &rip) || (break_at(rip) < break_count && !step_over())) {
        return;
    }
    if (wait_for("startstop")) {
        report();
    }
}

/* ---- commands ---- */

static void c_break(char **word, int words)
{
    struct breakpoint b;
    if (words < 2) {
        for (size_t i = 0; i < break_count; i++) {
            printf("0x%" PRIx64 " %s\n", breaks[i].at, place(breaks[i].at));
        }
        return;
    }
    if (!address(word[1], &b.at) || break_at(b.at) < break_count) {
        return;
    }
    if (break_count == BREAKS_MAX) {
        printf("at most %d breakpoints\n", BREAKS_MAX);
    } else if (!peek(b.at, &b.was, 1)) {
        complain(word[1]);
    } else if (put_trap(&b, true)) {
        breaks[break_count++] = b;
    }
}

static void c_clear(char **word, int words)
{
    uint64_t at;
    if (words == 2 && address(word[1], &at)) {
        size_t i = break_at(at);
        if (i == break_count) {
            printf("no breakpoint there\n");
        } else if (put_trap(&breaks[i], false)) {
            breaks[i] = breaks[--break_count];
        }
    }
}

static void c_go(char **word, int words)
{
    (void)word;
    (void)words;
    go();
}

static void c_step(char **word, int words)
{
    unsigned long n = words > 1 ? strtoul(word[1], NULL, 0) : 1;
    bool ok = true;
    while (ok && n-- > 0) {
        ok = step_over();
    }
    if (ok) {
        report();
    }
}

static void c_stop(char **word, int words)
{
    (void)word;
    (void)words;
    if (wait_for("stop")) {
        report();
    }
}

static void c_regs(char **word, int words)
{
    uint64_t value;
    if (words > 2 && address(word[2], &value)) {
        set_reg(word[1], value);
    } else if (words == 2 && reg(word[1], &value)) {
        printf("%s 0x%" PRIx64 " %s\n", word[1], value, place(value));
    } else if (words == 1) {
        char path[PATH_BYTES + 16];
        path_of(path, "regs");
        cmd_cat(path);
    }
}

static void c_mem(char **word, int words)
{
    uint64_t at, value;
    unsigned long n = words > 2 ? strtoul(word[2], NULL, 0) : 1;
    n = n < WORDS_SHOWN_MAX ? n : WORDS_SHOWN_MAX;
    if (words < 2 || !address(word[1], &at)) {
        return;
    }
    for (; n > 0; n--, at += sizeof value) {
        if (!peek(at, &value, sizeof value)) {
            complain(word[1]);
            return;
        }
        printf("0x%" PRIx64 " 0x%016" PRIx64 "\n", at, value);
    }
}

/* put ADDRESS VALUE [BYTES] */
static void c_put(char **word, int words)
{
    uint64_t at, value;
    unsigned long n = words > 3 ? strtoul(word[3], NULL, 0) : sizeof value;
    if (words < 3 || n < 1 || n > sizeof value) {
        printf("put ADDRESS VALUE [BYTES]\n");
    } else if (address(word[1], &at) && address(word[2], &value) && !poke(at, &value, n)) {
        complain(word[1]);
    }
}

/* A byte of the program, without our traps. */
static uint8_t code(uint64_t at)
{
    uint8_t byte = 0;
    size_t i = break_at(at);
    (void)peek(at, &byte, 1);
    return i < break_count ? breaks[i].was : byte;
}

/* At the beginning of a function its frame is not made yet: where it returns to is on the stack,
 * below what it has pushed. False: it has a frame. */
static bool without_frame(uint64_t rip, uint64_t rsp, uint64_t *back)
{
    static const uint8_t landing[] = {0xf3, 0x0f, 0x1e, 0xfa}; /* endbr64 */
    enum { PUSH_RBP = 0x55 };
    const struct elf_symbol *s = name_at(rip);
    uint64_t start = s != NULL ? s->value + slide : 0, push = start;
    if (s == NULL || rip - start > sizeof landing + 1) {
        return false;
    }
    for (size_t i = 0; i < sizeof landing && code(start + i) == landing[i]; i++) {
        push += i + 1 == sizeof landing ? sizeof landing : 0;
    }
    bool pushed = rip == push + 1 && code(push) == PUSH_RBP;
    return (rip <= push || pushed) && peek(rsp + (pushed ? 8 : 0), back, sizeof *back);
}

/* By frame pointers: each frame begins with the caller's, and where it returns to. */
static void c_where(char **word, int words)
{
    uint64_t rip, rbp, rsp, frame[2];
    int depth = 0;
    (void)word;
    (void)words;
    if (!reg("rip", &rip) || !reg("rbp", &rbp) || !reg("rsp", &rsp)) {
        return;
    }
    printf("#%d %s\n", depth++, place(rip));
    if (without_frame(rip, rsp, &rip)) {
        printf("#%d %s\n", depth++, place(rip));
    }
    while (depth < FRAMES_MAX && rbp != 0 && peek(rbp, frame, sizeof frame) && frame[1] != 0) {
        printf("#%d %s\n", depth++, place(frame[1]));
        if (frame[0] <= rbp) {
            return;
        }
        rbp = frame[0];
    }
}

static void c_sym(char **word, int words)
{
    uint64_t at;
    if (words == 2 && address(word[1], &at)) {
        printf("0x%" PRIx64 " %s\n", at, place(at));
    }
}

static void c_help(char **word, int words);

static const struct {
    const char *name, *arguments, *about;
    void (*run)(char **word, int words);
} commands[] = {
    {"break", "[ADDRESS]", "stop there; without an address: where it stops", c_break},
    {"clear", "ADDRESS", "no longer stop there", c_clear},
    {"go", "", "go on until it stops; ^C stops it", c_go},
    {"step", "[N]", "go on for one instruction, or N", c_step},
    {"stop", "", "stop it", c_stop},
    {"where", "", "the functions that it is in, by frame pointers", c_where},
    {"regs", "[NAME [VALUE]]", "the registers, or one; or set it", c_regs},
    {"mem", "ADDRESS [N]", "N words of its memory", c_mem},
    {"put", "ADDRESS VALUE [BYTES]", "change its memory", c_put},
    {"sym", "ADDRESS", "the name and the number of an address", c_sym},
    {"help", "", "this list", c_help},
};

static void c_help(char **word, int words)
{
    (void)word;
    (void)words;
    for (size_t i = 0; i < CG_COUNT(commands); i++) {
        printf("%-6s %-22s %s\n", commands[i].name, commands[i].arguments, commands[i].about);
    }
    printf("quit: let the process go on. ADDRESS: NAME[+N], $REGISTER[+N] or a number\n");
}

/* False: quit. */
static bool command(char *line)
{
    char *word[WORDS_MAX];
    int words = cg_tokenize(line, word, WORDS_MAX);
    if (words > 0 && strcmp(word[0], "quit") == 0) {
        return false;
    }
    for (size_t i = 0; i < CG_COUNT(commands) && words > 0; i++) {
        if (strcmp(commands[i].name, word[0]) == 0) {
            commands[i].run(word, words);
            fflush(stdout);
            return true;
        }
    }
    if (words != 0) {
        printf("no such command; there is: help\n");
    }
    return true;
}

static void run_commands(char *text)
{
    for (char *line; text != NULL && (line = strsep(&text, ";\n")) != NULL;) {
        if (!command(line)) {
            return;
        }
    }
}

static void run_input(void)
{
    char line[1024];
    bool prompt = isatty(0);
    for (;;) {
        if (prompt) {
            printf("db> ");
            fflush(stdout);
        }
        interrupted = 0;
        if (fgets(line, sizeof line, stdin) == NULL) {
            if (!interrupted) {
                return;
            }
            clearerr(stdin);
            continue;
        }
        line[strcspn(line, "\n")] = '\0';
        if (!command(line)) {
            return;
        }
    }
}

static void on_interrupt(int signo)
{
    interrupted = signo;
}

static void open_process(const char *operand)
{
    char path[CMD_PATH_BYTES];
    cmd_process(operand, "ctl", path);
    snprintf(dir, sizeof dir, "%.*s", (int)(strlen(path) - strlen("/ctl")), path);
    ctl = open(path, O_RDWR | O_CLOEXEC);
    if (ctl < 0) {
        cmd_fail_at(path, operand);
    }
    if (!order("attach") || !order("stop")) {
        cmd_fail_at(path, operand);
    }
    path_of(path, "mem");
    mem = open(path, O_RDWR | O_CLOEXEC);
    if (mem < 0) {
        cmd_fail_at(path, operand);
    }
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_interrupt}; /* writes that wait return */
    char *lines = NULL;
    int c;
    cmd_begin(&cmd, argc, argv);
    while ((c = getopt(argc, argv, "+c:")) != -1) {
        if (c != 'c') {
            cmd_usage();
        }
        lines = optarg;
    }
    if (argc - optind != 1) {
        cmd_usage();
    }
    open_process(argv[optind]);
    sigaction(SIGINT, &action, NULL);
    load_names();
    report();
    if (lines != NULL) {
        run_commands(lines);
    } else {
        run_input();
    }
    if (break_count > 0 && !order("stop") &&
        errno != ESTALE) { /* so that its memory can be mended */
        complain("stop");
    }
    while (break_count > 0) {
        put_trap(&breaks[--break_count], false);
    }
    close(ctl); /* it goes on */
    elf_fini(&elf);
    cg_free(program);
    return 0;
}
