/* ns: shows a namespace as the lines that would make it again. */
#include "cmd.h"

static const struct cmd cmd = {"ns", "\nPID\nNODE/PID", "shows a namespace as lines that replay"};

int main(int argc, char **argv)
{
    char path[CMD_PATH_BYTES] = "/mnt/ns/ns";
    cmd_begin(&cmd, argc, argv);
    if (argc > 2 || (argc == 2 && argv[1][0] == '-')) {
        cmd_usage();
    }
    if (argc == 2) {
        cmd_process(argv[1], "ns", path);
    }
    cmd_cat(path);
    return 0;
}
