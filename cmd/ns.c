/* ns: shows a namespace as the lines that would make it again. */
#include "cmd.h"

#include <stdio.h>
#include <string.h>

static const struct cmd cmd = {"ns", "\nPID\nNODE/PID", "shows a namespace as lines that replay"};

int main(int argc, char **argv)
{
    char path[CMD_PATH_BYTES] = "/mnt/ns/ns";
    cmd_begin(&cmd, argc, argv);
    if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
        cmd_usage();
    }
    if (argc == 2) {
        const char *slash = strchr(argv[1], '/');
        int len = slash != NULL ? (int)(slash - argv[1]) : (int)strlen(cmd_node());
        const char *node = slash != NULL ? argv[1] : cmd_node();
        snprintf(path, sizeof path, "/n/%.*s/proc/%s/ns", len, node,
                 slash != NULL ? slash + 1 : argv[1]);
    }
    cmd_cat(path);
    return 0;
}
