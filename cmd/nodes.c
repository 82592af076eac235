/* nodes: the nodes of the cell, as this node's gate knows them. */
#include "cmd.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct cmd cmd = {"nodes", "[-l]", "lists the nodes of the cell; -l with their keys"};

enum { WORDS_MAX = 8 };

/* NAME KEYHEX ADDRESS STATE SINCE_S [WHY] */
static void print_node(char *line, bool keys)
{
    char *word[WORDS_MAX];
    int n = cg_tokenize(line, word, WORDS_MAX);
    if (n < 5) {
        return;
    }
    printf("%-16s %-10s %-22s", word[0], word[3], word[2]);
    if (keys) {
        printf(" %s", word[1]);
    }
    printf("%s%s\n", n > 5 ? " " : "", n > 5 ? word[5] : "");
}

int main(int argc, char **argv)
{
    cmd_begin(&cmd, argc, argv);
    bool keys = argc == 2 && strcmp(argv[1], "-l") == 0;
    if (argc > 1 + keys) {
        cmd_usage();
    }
    char *text = cmd_read("/mnt/gate/nodes");
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        print_node(line, keys);
    }
    cg_free(text);
    return 0;
}
