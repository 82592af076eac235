/* why: the text behind the last error that a command of this shell met in the namespace. */
#include "cmd.h"

#include <stdio.h>
#include <string.h>

static const struct cmd cmd = {"why", "", "says why the last command failed, in full"};

int main(int argc, char **argv)
{
    cmd_begin(&cmd, argc, argv);
    if (argc > 1) {
        cmd_usage();
    }
    char *text = cmd_read("/mnt/ns/err");
    size_t len = strlen(text);
    text[len - (len > 0 && text[len - 1] == '\n')] = '\0';
    puts(text[0] != '\0'
             ? text
             : "nothing has failed here lately of which more is known than the error itself");
    cg_free(text);
    return 0;
}
