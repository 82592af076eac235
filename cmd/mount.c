/* mount: attaches a file server's tree to the caller's namespace. Any other form of arguments is
 * meant for the host's command of the same name and goes there. */
#include "tickets.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static const struct cmd cmd = {"mount", "[-a|-b] [-c] [-k TICKET] NODE!SERVICE[!TREE] OLD",
                               "attaches a file server's tree at OLD; as NODE, `.` is this node"};

/* Ours names a service with '!' as the last operand but one; the host's names a device or has
 * options. */
static void hand_on(int argc, char **argv)
{
    bool help = argc == 2 && strcmp(argv[1], "--help") == 0;
    if (help || (argc >= 3 && strchr(argv[argc - 2], '!') != NULL)) {
        return;
    }
    if (argc == 3 && argv[1][0] != '-' && strpbrk(argv[1], "/=") == NULL) {
        cmd_fail("%s names no service: say NODE!SERVICE[!TREE], such as %s!hostfs", argv[1],
                 argv[1]);
    }
    argv[0] = "mount";
    execv("/usr/bin/mount", argv);
    cmd_usage();
}

int main(int argc, char **argv)
{
    static char text[TICKET_TEXT_BYTES];
    struct secure_ticket t;
    struct cmd_line line = {0};
    const char *ticket = NULL;
    char path[CMD_PATH_BYTES];
    cmd_begin(&cmd, argc, argv);
    hand_on(argc, argv);
    cmd_word(&line, "mount");
    int i = cmd_union_options(&line, argc, argv, &ticket);
    if (argc - i != 2) {
        cmd_usage();
    }
    if (ticket != NULL) {
        tickets_read(ticket, &t, text);
        cmd_word(&line, "-k");
        cmd_word(&line, text);
    }
    cmd_word(&line, argv[i]);
    cmd_absolute(argv[i + 1], path);
    cmd_word(&line, path);
    cmd_send(&line, "/mnt/ns/ctl");
    return 0;
}
