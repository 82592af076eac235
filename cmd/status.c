/* status: what this node and this namespace are doing. */
#include "cmd.h"

#include <stdio.h>
#include <unistd.h>

static const struct cmd cmd = {"status", "",
                               "shows this node's components, its gate, and the caller's trees"};

int main(int argc, char **argv)
{
    static const struct {
        const char *title, *path;
    } part[] = {
        {"components of", "/mnt/init/components"},
        {"gate of", "/mnt/gate/status"},
        {"trees of this namespace on", "/mnt/ns/status"},
    };
    cmd_begin(&cmd, argc, argv);
    if (argc > 1) {
        cmd_usage();
    }
    for (size_t i = 0; i < CG_COUNT(part); i++) {
        if (access(part[i].path, R_OK) == 0) {
            printf("%s%s %s\n", i == 0 ? "" : "\n", part[i].title, cmd_node());
            cmd_cat(part[i].path);
        }
    }
    return 0;
}
