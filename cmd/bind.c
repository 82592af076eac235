/* bind: shows one directory or file at the place of another, in the caller's namespace only. */
#include "cmd.h"

static const struct cmd cmd = {"bind", "[-a|-b] [-c] NEW OLD",
                               "shows NEW at the place of OLD, in its stead, after it (-a) or "
                               "before it (-b)"};

int main(int argc, char **argv)
{
    struct cmd_line line = {0};
    char path[CMD_PATH_BYTES];
    cmd_begin(&cmd, argc, argv);
    cmd_word(&line, "bind");
    int i = cmd_union_options(&line, argc, argv, NULL);
    if (argc - i != 2) {
        cmd_usage();
    }
    for (; i < argc; i++) {
        cmd_absolute(argv[i], path);
        cmd_word(&line, path);
    }
    cmd_send(&line, "/mnt/ns/ctl");
    return 0;
}
