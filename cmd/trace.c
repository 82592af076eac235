/* trace: runs a command and tells what became of each of its requests, from node to node.
 *
 * The command is its own Linux session, which writes a number into /mnt/ns/trace; the number
 * travels with every message that its requests cause. When it has ended, the steps that carry it
 * are read from /n/NODE/metrics/trace of all nodes and put together. Clocks of nodes differ: what a
 * step is part of follows from its kind and its order, not from when it was.
 */
#include "cmd.h"

#include <cognu/stats.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct cmd cmd = {"trace", "COMMAND [ARG...]",
                               "runs a command and shows the way of its requests as a tree"};

enum { STEPS_MAX = 1 << 16, STEP_BITS = 24, WORDS = 8, LINE_BYTES = 512, NODE_BYTES = 64 };

struct step {
    uint64_t trace, took_ns;
    int64_t start_ns;
    unsigned layer;
    cg_err error;
    char node[NODE_BYTES], component[NODE_BYTES];
    char what[24], name[64];
    bool shown;
};

static struct step *steps;
static size_t count;

static const char *const layers[CG_LAYERS] = {"program", "call", "near", "far", "server"};

/* TRACE LAYER COMPONENT START_NS TOOK_NS ERROR WHAT NAME */
static void take(const char *node, char *line, uint64_t id)
{
    char *word[WORDS];
    struct step s = {0};
    if (cg_tokenize(line, word, WORDS) != WORDS || count == STEPS_MAX) {
        return;
    }
    s.trace = strtoull(word[0], NULL, 16);
    while (s.layer < CG_LAYERS && strcmp(word[1], layers[s.layer]) != 0) {
        s.layer++;
    }
    if (s.trace >> STEP_BITS != id >> STEP_BITS || s.layer == CG_LAYERS) {
        return;
    }
    s.start_ns = strtoll(word[3], NULL, 10);
    s.took_ns = strtoull(word[4], NULL, 10);
    s.error = (cg_err)strtoul(word[5], NULL, 10);
    snprintf(s.node, sizeof s.node, "%s", node);
    snprintf(s.component, sizeof s.component, "%s", word[2]);
    snprintf(s.what, sizeof s.what, "%s", word[6]);
    snprintf(s.name, sizeof s.name, "%s", word[7]);
    steps[count++] = s;
}

static void collect(const char *node, uint64_t id)
{
    char path[CMD_PATH_BYTES], line[LINE_BYTES];
    snprintf(path, sizeof path, "/n/%s/metrics/trace", node);
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        fprintf(stderr, "trace: %s does not tell its steps: %s\n", node, strerror(errno));
        return;
    }
    while (fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        take(node, line, id);
    }
    fclose(f);
}

static int by_request(const void *a, const void *b)
{
    const struct step *x = a, *y = b;
    int d = (x->trace > y->trace) - (x->trace < y->trace);
    d = d ? d : (x->layer > y->layer) - (x->layer < y->layer);
    return d ? d : (x->start_ns > y->start_ns) - (x->start_ns < y->start_ns);
}

static void show(struct step *s)
{
    static const char *const as[CG_LAYERS] = {"", "asks", "gate", "gate", "server"};
    s->shown = true;
    fprintf(stderr, "%*s%8.3f ms  %s", 3 * (int)s->layer, "", (double)s->took_ns / 1e6, s->what);
    if (s->layer == CG_LAYER_PROGRAM) {
        fprintf(stderr, " %s", s->name);
    } else if (s->layer == CG_LAYER_CALL) {
        fprintf(stderr, " %s %s", as[s->layer], s->name);
    } else {
        fprintf(stderr, " %s %s of %s", as[s->layer], s->component, s->node);
    }
    fprintf(stderr, "%s%s\n", s->error ? ": " : "", s->error ? cg_err_name(s->error) : "");
}

/* The first step of each kind beyond a call that belongs to the same message. */
static void show_below(size_t from, size_t end, const struct step *call)
{
    for (unsigned layer = CG_LAYER_NEAR; layer < CG_LAYERS; layer++) {
        for (size_t i = from; i < end; i++) {
            struct step *s = &steps[i];
            if (s->layer == layer && !s->shown && strcmp(s->what, call->what) == 0) {
                show(s);
                break;
            }
        }
    }
}

static void show_request(size_t from, size_t end)
{
    for (size_t i = from; i < end; i++) {
        if (steps[i].layer <= CG_LAYER_CALL) {
            show(&steps[i]);
        }
        if (steps[i].layer == CG_LAYER_CALL) {
            show_below(from, end, &steps[i]);
        }
    }
    for (size_t i = from; i < end; i++) { /* what nobody waited for to its end */
        if (!steps[i].shown) {
            show(&steps[i]);
        }
    }
}

static void report(uint64_t id)
{
    size_t requests = 0, calls = 0;
    DIR *d = opendir("/n");
    steps = cg_zalloc(STEPS_MAX * sizeof *steps);
    if (d == NULL || steps == NULL) {
        cmd_fail_at("/n", "the nodes");
    }
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        if (e->d_name[0] != '.' && strlen(e->d_name) < NODE_BYTES) {
            collect(e->d_name, id);
        }
    }
    closedir(d);
    qsort(steps, count, sizeof *steps, by_request);
    for (size_t i = 0, end; i < count; i = end) {
        for (end = i + 1; end < count && steps[end].trace == steps[i].trace; end++) {
        }
        show_request(i, end);
    }
    for (size_t i = 0; i < count; i++) {
        requests += steps[i].layer == CG_LAYER_PROGRAM;
        calls += steps[i].layer == CG_LAYER_CALL;
    }
    fprintf(stderr, "%zu requests of the program, %zu messages for them\n", requests, calls);
    cg_free(steps);
}

static _Noreturn void run(char **argv, uint64_t id)
{
    char text[32];
    setsid(); /* fails for who leads a session already: then that is followed */
    snprintf(text, sizeof text, "%016" PRIx64 "\n", id);
    cmd_write("/mnt/ns/trace", text);
    execvp(argv[0], argv);
    fprintf(stderr, "trace: %s: %s\n", argv[0], strerror(errno));
    _exit(errno == ENOENT ? 127 : 126);
}

int main(int argc, char **argv)
{
    uint64_t id;
    int status;
    cmd_begin(&cmd, argc, argv);
    if (argc < 2 || argv[1][0] == '-') {
        cmd_usage();
    }
    cg_env_real.random(cg_env_real.ctx, &id, sizeof id);
    id = (id | UINT64_C(1) << 63) >> STEP_BITS << STEP_BITS; /* never 0 */
    pid_t pid = fork();
    if (pid < 0) {
        cmd_fail("no process for the command: %s", strerror(errno));
    }
    if (pid == 0) {
        run(argv + 1, id);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    report(id);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
