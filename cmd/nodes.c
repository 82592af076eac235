/* nodes: the nodes of the cell, as this node's gate knows them. */
#include "cmd.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct cmd cmd = {
    "nodes", "[-l | -w]",
    "lists the nodes of the cell; -l with their keys; -w: and who comes and goes"};

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

/* TIME_S NAME WHAT ADDRESS [WHY] */
static void print_event(char *line)
{
    char *word[WORDS_MAX], when[32];
    int n = cg_tokenize(line, word, WORDS_MAX);
    if (n < 4) {
        return;
    }
    time_t t = (time_t)strtoll(word[0], NULL, 10);
    struct tm tm;
    strftime(when, sizeof when, "%H:%M:%S", localtime_r(&t, &tm));
    printf("%s %-16s %-8s %s%s%s\n", when, word[1], word[2], word[3], n > 4 ? " " : "",
           n > 4 ? word[4] : "");
    fflush(stdout);
}

static int watch(void)
{
    char line[1024];
    FILE *f = fopen("/mnt/gate/events", "re");
    if (f == NULL) {
        cmd_fail_at("/mnt/gate/events", "the events of nodes");
    }
    while (fgets(line, sizeof line, f) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        print_event(line);
    }
    cmd_fail_at("/mnt/gate/events", "the events of nodes");
}

int main(int argc, char **argv)
{
    cmd_begin(&cmd, argc, argv);
    if (argc == 2 && strcmp(argv[1], "-w") == 0) {
        return watch();
    }
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
