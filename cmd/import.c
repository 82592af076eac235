/* import: shows a directory of another node at a place of the caller's namespace. */
#include "cmd.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const struct cmd cmd = {"import", "[-a|-b] [-c] NODE PATH [OLD]",
                               "shows PATH of another node at OLD, or at the same path"};

/* The node's trees appear when the namespace is told of it. */
static void know_node(const char *node)
{
    char path[CMD_PATH_BYTES];
    struct stat st;
    snprintf(path, sizeof path, "/n/%s", node);
    if (stat(path, &st) != 0 && errno == ENOENT) {
        struct cmd_line line = {0};
        cmd_word(&line, "node");
        cmd_word(&line, node);
        cmd_send(&line, "/mnt/ns/ctl");
    }
}

int main(int argc, char **argv)
{
    struct cmd_line line = {0};
    char path[CMD_PATH_BYTES], from[CMD_PATH_BYTES];
    cmd_begin(&cmd, argc, argv);
    cmd_word(&line, "bind");
    int i = cmd_union_options(&line, argc, argv);
    if (argc - i < 2 || argc - i > 3 || strchr(argv[i], '/') != NULL) {
        cmd_usage();
    }
    if (argv[i + 1][0] != '/') {
        cmd_fail("%s: a path of another node begins with /", argv[i + 1]);
    }
    know_node(argv[i]);
    cmd_absolute(argv[i + 1], path);
    if ((size_t)snprintf(from, sizeof from, "/n/%s%s", argv[i], path) >= sizeof from) {
        cmd_fail("%.60s...: the path is too long", path);
    }
    cmd_word(&line, from);
    cmd_absolute(argv[argc - 1], path);
    cmd_word(&line, path);
    cmd_send(&line, "/mnt/ns/ctl");
    return 0;
}
