/* ps: the processes of nodes, by their proc trees. With options of the host's ps it is that one. */
#include "cmd.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct cmd cmd = {"ps", "[NODE...]", "lists the processes of this or other nodes"};

enum { PIDS_MAX = 1 << 16, WORDS_MAX = 12 };

static int by_number(const void *a, const void *b)
{
    long x = *(const long *)a, y = *(const long *)b;
    return x < y ? -1 : x > y;
}

static size_t list_pids(const char *node, long *pid)
{
    char path[CMD_PATH_BYTES];
    snprintf(path, sizeof path, "/n/%s/proc", node);
    DIR *d = opendir(path);
    if (d == NULL) {
        cmd_fail_at(path, node);
    }
    size_t n = 0;
    struct dirent *entry;
    while (n < PIDS_MAX && (entry = readdir(d)) != NULL) {
        if (isdigit((unsigned char)entry->d_name[0])) {
            pid[n++] = atol(entry->d_name);
        }
    }
    closedir(d);
    qsort(pid, n, sizeof *pid, by_number);
    return n;
}

/* A process may be gone between the listing and the reading: then it has no line. */
static bool read_small(const char *path, char *text, size_t cap)
{
    FILE *f = fopen(path, "re");
    size_t n = f == NULL ? 0 : fread(text, 1, cap - 1, f);
    if (f != NULL) {
        fclose(f);
    }
    text[n] = '\0';
    return n > 0;
}

/* status: name state ppid uid user_ms sys_ms rss_bytes start_ticks */
static void print_process(const char *node, long pid)
{
    char path[CMD_PATH_BYTES], status[512], args[512], *word[WORDS_MAX];
    snprintf(path, sizeof path, "/n/%s/proc/%ld/status", node, pid);
    if (!read_small(path, status, sizeof status) || cg_tokenize(status, word, WORDS_MAX) < 8) {
        return;
    }
    snprintf(path, sizeof path, "/n/%s/proc/%ld/args", node, pid);
    if (!read_small(path, args, sizeof args)) {
        snprintf(args, sizeof args, "[%s]", word[0]);
    }
    for (char *c = args; *c != '\0'; c++) {
        *c = *c == '\n' ? ' ' : isprint((unsigned char)*c) ? *c : '?';
    }
    double seconds = (atof(word[4]) + atof(word[5])) / 1000;
    printf("%-10s %7ld %7s %6s %s %8.2f %8.1fM  %s\n", node, pid, word[2], word[3], word[1],
           seconds, atof(word[6]) / (1 << 20), args);
}

static void print_node(const char *node)
{
    long *pid = cg_alloc(PIDS_MAX * sizeof *pid);
    if (pid == NULL) {
        cmd_fail("no memory");
    }
    size_t n = list_pids(node, pid);
    for (size_t i = 0; i < n; i++) {
        print_process(node, pid[i]);
    }
    cg_free(pid);
}

int main(int argc, char **argv)
{
    cmd_begin(&cmd, argc, argv);
    if (argc > 1 && (argv[1][0] == '-' || strcspn(argv[1], "/!") == 0)) {
        argv[0] = "ps";
        execv("/usr/bin/ps", argv);
        cmd_fail("the host has no /usr/bin/ps for option %s", argv[1]);
    }
    for (int i = 1; i < argc; i++) {
        cmd_need_node(argv[i]);
    }
    printf("%-10s %7s %7s %6s %s %8s %9s  %s\n", "NODE", "PID", "PPID", "UID", "S", "CPU-S", "RSS",
           "COMMAND");
    if (argc == 1) {
        print_node(cmd_node());
    }
    for (int i = 1; i < argc; i++) {
        print_node(argv[i]);
    }
    return 0;
}
