/* import: shows a directory of another node at a place of the caller's namespace. */
#include "tickets.h"

#include <stdio.h>
#include <string.h>

static const struct cmd cmd = {"import", "[-a|-b] [-c] [-k TICKET] NODE PATH [OLD]",
                               "shows PATH of another node at OLD, or at the same path"};

/* By a ticket there is nothing of the node but what the ticket names. */
static void by_ticket(struct cmd_line *line, const char *ticket, const char *node, const char *path)
{
    static char text[TICKET_TEXT_BYTES];
    char spec[256];
    uint8_t key[SECURE_KEY_BYTES];
    struct secure_ticket t;
    tickets_read(ticket, &t, text);
    const struct secure_ticket_block *b = &t.block[t.blocks - 1];
    tickets_member("node", node, key);
    if (memcmp(b->node, key, sizeof key) != 0) {
        cmd_fail("%s: the ticket is for node %s", ticket, tickets_name("node", b->node));
    }
    if (strcmp(path + 1, b->path) != 0) {
        cmd_fail("%s: the ticket is for /%s; import that, or have it narrowed to %s", ticket,
                 b->path, path);
    }
    snprintf(spec, sizeof spec, "%.64s!%s!%s", node, b->service, b->tree);
    spec[strlen(spec) - (b->tree[0] == '\0')] = '\0';
    cmd_word(line, "-k");
    cmd_word(line, text);
    cmd_word(line, spec);
}

static void by_right(struct cmd_line *line, const char *node, const char *path)
{
    char from[CMD_PATH_BYTES];
    cmd_need_node(node);
    if ((size_t)snprintf(from, sizeof from, "/n/%s%s", node, path) >= sizeof from) {
        cmd_fail("%.60s...: the path is too long", path);
    }
    cmd_word(line, from);
}

int main(int argc, char **argv)
{
    struct cmd_line line = {0}, options = {0};
    const char *ticket = NULL;
    char path[CMD_PATH_BYTES];
    cmd_begin(&cmd, argc, argv);
    int i = cmd_union_options(&options, argc, argv, &ticket);
    if (argc - i < 2 || argc - i > 3 || strchr(argv[i], '/') != NULL) {
        cmd_usage();
    }
    if (argv[i + 1][0] != '/') {
        cmd_fail("%s: a path of another node begins with /", argv[i + 1]);
    }
    cmd_word(&line, ticket != NULL ? "mount" : "bind");
    cmd_union_options(&line, argc, argv, &ticket);
    cg_str_fini(&options.text);
    cmd_absolute(argv[i + 1], path);
    if (ticket != NULL) {
        by_ticket(&line, ticket, argv[i], path);
    } else {
        by_right(&line, argv[i], path);
    }
    cmd_absolute(argv[argc - 1], path);
    cmd_word(&line, path);
    cmd_send(&line, "/mnt/ns/ctl");
    return 0;
}
