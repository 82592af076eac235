/* pair: brings two nodes into one cell. One side makes an invitation, the other one takes it; the
 * words go from person to person, over whatever they trust. */
#include "cmd.h"

#include <stdio.h>
#include <string.h>

static const struct cmd cmd = {"pair", "[-t SECONDS]\nINVITATION",
                               "makes an invitation into this node's cell, or accepts one"};

static const char ctl[] = "/mnt/gate/ctl";

int main(int argc, char **argv)
{
    char line[2048], answer[2048];
    cmd_begin(&cmd, argc, argv);
    bool timed = argc == 3 && strcmp(argv[1], "-t") == 0;
    if ((argc > 2 && !timed) || (argc == 2 && argv[1][0] == '-')) {
        cmd_usage();
    }
    if (argc == 2) {
        snprintf(line, sizeof line, "join %s\n", argv[1]);
    } else {
        snprintf(line, sizeof line, "invite%s%s\n", timed ? " " : "", timed ? argv[2] : "");
    }
    cmd_ask(ctl, line, answer, sizeof answer);
    if (argc == 2) {
        printf("%s is now of the cell; see: nodes\n", cmd_node());
    } else {
        printf("%s%s", answer, strchr(answer, '\n') != NULL ? "" : "\n");
        fprintf(stderr, "on the other node: pair INVITATION\n");
    }
    return 0;
}
