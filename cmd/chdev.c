/* chdev: limits the services that the caller's namespace reaches, for good. */
#include "cmd.h"

#include <string.h>

static const struct cmd cmd = {"chdev", "[-r] SERVICE...",
                               "from now on the namespace reaches only these services, or (-r) all "
                               "but these"};

int main(int argc, char **argv)
{
    struct cmd_line line = {0};
    cmd_begin(&cmd, argc, argv);
    bool remove = argc > 1 && strcmp(argv[1], "-r") == 0;
    if (argc < 2 + remove || argv[1 + remove][0] == '-') {
        cmd_usage();
    }
    cmd_word(&line, "chdev");
    for (int i = 1; i < argc; i++) {
        cmd_word(&line, argv[i]);
    }
    cmd_send(&line, "/mnt/ns/ctl");
    return 0;
}
