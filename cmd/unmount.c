/* unmount: takes away what was bound or mounted at OLD; with NEW only that part of the union. */
#include "cmd.h"

#include <string.h>

static const struct cmd cmd = {"unmount", "[NEW] OLD",
                               "takes away what was bound or mounted at OLD, or only NEW of it"};

int main(int argc, char **argv)
{
    struct cmd_line line = {0};
    char path[CMD_PATH_BYTES];
    cmd_begin(&cmd, argc, argv);
    if (argc < 2 || argc > 3 || argv[1][0] == '-') {
        cmd_usage();
    }
    cmd_word(&line, "unmount");
    if (argc == 3 && strchr(argv[1], '!') != NULL) {
        cmd_word(&line, argv[1]); /* a tree, as mount names it */
    } else if (argc == 3) {
        cmd_absolute(argv[1], path);
        cmd_word(&line, path);
    }
    cmd_absolute(argv[argc - 1], path);
    cmd_word(&line, path);
    cmd_send(&line, "/mnt/ns/ctl");
    return 0;
}
