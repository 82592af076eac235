/* kill: sends a signal to processes of any node, by their proc trees. When no operand names a node
 * it is the host's kill, which knows more forms. */
#include "cmd.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const struct cmd cmd = {"kill", "[-SIGNAL | -s SIGNAL] [NODE/]PID...",
                               "sends a signal (term) to processes of this or other nodes"};

static void lower(char *out, size_t cap, const char *text)
{
    if (strncasecmp(text, "sig", 3) == 0) {
        text += 3;
    }
    size_t n = 0;
    for (; text[n] != '\0' && n + 1 < cap; n++) {
        out[n] = (char)tolower((unsigned char)text[n]);
    }
    out[n] = '\0';
}

static void hand_on(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strchr(argv[i], '/') != NULL) {
            return;
        }
    }
    argv[0] = "kill";
    execv("/usr/bin/kill", argv);
}

int main(int argc, char **argv)
{
    char signal[16] = "term", path[CMD_PATH_BYTES];
    cmd_begin(&cmd, argc, argv);
    hand_on(argc, argv);
    int i = 1;
    if (argc > 2 && strcmp(argv[1], "-s") == 0) {
        lower(signal, sizeof signal, argv[2]);
        i = 3;
    } else if (argc > 1 && argv[1][0] == '-') {
        lower(signal, sizeof signal, argv[i++] + 1);
    }
    if (i >= argc) {
        cmd_usage();
    }
    for (; i < argc; i++) {
        cmd_process(argv[i], "note", path);
        int fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0 || write(fd, signal, strlen(signal)) < 0) {
            cmd_fail_at(path, argv[i]);
        }
        close(fd);
    }
    return 0;
}
