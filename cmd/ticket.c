/* ticket: makes, shows, narrows and revokes tickets: rights to a part of a tree that are handed to
 * another user. The signature is factotum's; what a server accepts is in docs/security.md. */
#include "tickets.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const struct cmd cmd = {
    "ticket",
    "make [-g] [-r RIGHTS] [-t TIME] [-u KEY] HOLDER NODE!SERVICE[!TREE] [PATH]\n"
    "narrow [-g] [-r RIGHTS] [-t TIME] [-u KEY] HOLDER FILE [PATH]\n"
    "show FILE\n"
    "revoke FILE",
    "a right to a part of a tree, for one holder, until a time; see mount -k"};

static const uint64_t DEFAULT_S = 3600;

struct options {
    const char *key, *rights;
    uint64_t seconds; /* 0: not said */
    bool grant;
};

/* 90, 90s, 15m, 8h or 30d. */
static uint64_t seconds_of(const char *text)
{
    static const struct {
        char unit;
        uint64_t seconds;
    } units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    char number[16], *end;
    uint64_t n = 0, factor = 1;
    snprintf(number, sizeof number, "%s", text);
    end = number + strspn(number, "0123456789");
    bool ok = end > number && (end[0] == '\0' || end[1] == '\0') && end - number <= 9;
    if (ok && *end != '\0') {
        factor = 0;
        for (size_t i = 0; i < CG_COUNT(units); i++) {
            factor = units[i].unit == *end ? units[i].seconds : factor;
        }
        *end = '\0';
    }
    n = strtoull(number, NULL, 10) * factor;
    if (!ok || n == 0) {
        cmd_fail("-t %s: a time is a number of seconds, or one with s, m, h or d behind it", text);
    }
    return n;
}

/* The right to search folders goes with any other: without it no file is found. */
static uint8_t rights_of(const char *text)
{
    uint8_t rights = 0;
    for (const char *c = text; *c != '\0'; c++) {
        uint8_t bit = *c == 'r'   ? NINEP_RIGHTS_READ
                      : *c == 'w' ? NINEP_RIGHTS_WRITE
                      : *c == 'x' ? NINEP_RIGHTS_EXEC
                                  : 0;
        if (bit == 0 || (rights & bit)) {
            cmd_fail("-r %s: rights are some of r, w and x", text);
        }
        rights |= bit;
    }
    if (rights == 0) {
        cmd_fail("-r: rights are some of r, w and x");
    }
    return rights | NINEP_RIGHTS_EXEC;
}

static void parse_options(struct options *o, int argc, char **argv)
{
    int c;
    while ((c = getopt(argc, argv, "+gr:t:u:")) != -1) {
        switch (c) {
        case 'g':
            o->grant = true;
            break;
        case 'r':
            o->rights = optarg;
            break;
        case 't':
            o->seconds = seconds_of(optarg);
            break;
        case 'u':
            o->key = optarg;
            break;
        default:
            cmd_usage();
        }
    }
}

/* A ticket's path has no slash at either end. */
static void set_path(struct secure_ticket_block *b, const char *given)
{
    char path[CMD_PATH_BYTES];
    if (given[0] != '/') {
        cmd_fail("%s: the path begins with /, which is the root of the tree", given);
    }
    cmd_absolute(given, path);
    if (strlen(path + 1) >= sizeof b->path) {
        cmd_fail("%.60s...: a ticket's path has at most %zu bytes", path, sizeof b->path - 1);
    }
    memcpy(b->path, path + 1, strlen(path));
}

static void set_part(char *to, size_t cap, const char *from, size_t len, const char *what)
{
    if (len >= cap) {
        cmd_fail("%.64s: the name of a %s has at most %zu bytes", from, what, cap - 1);
    }
    memcpy(to, from, len);
}

static void set_tree(struct secure_ticket_block *b, const char *spec)
{
    char node[65] = {0};
    const char *service = strchr(spec, '!');
    const char *tree = service != NULL ? strchr(service + 1, '!') : NULL;
    if (service == NULL || service == spec || service[1] == '\0' || service[1] == '!') {
        cmd_fail("%s: a tree is named NODE!SERVICE or NODE!SERVICE!TREE, as beta!hostfs!root",
                 spec);
    }
    set_part(node, sizeof node, spec, (size_t)(service - spec), "node");
    tickets_member("node", strcmp(node, ".") == 0 ? cmd_node() : node, b->node);
    size_t len = tree != NULL ? (size_t)(tree - service - 1) : strlen(service + 1);
    set_part(b->service, sizeof b->service, service + 1, len, "service");
    if (tree != NULL) {
        set_part(b->tree, sizeof b->tree, tree + 1, strlen(tree + 1), "tree");
    }
}

static void make(int argc, char **argv)
{
    static char text[TICKET_TEXT_BYTES];
    struct options o = {.key = TICKET_KEY, .rights = "r", .seconds = DEFAULT_S};
    struct secure_ticket_block b = {0};
    parse_options(&o, argc, argv);
    if (argc - optind < 2 || argc - optind > 3) {
        cmd_usage();
    }
    tickets_member("user", argv[optind], b.holder);
    set_tree(&b, argv[optind + 1]);
    set_path(&b, argc - optind == 3 ? argv[optind + 2] : "/");
    b.rights = rights_of(o.rights);
    b.grant = o.grant;
    b.not_before_s = (uint64_t)time(NULL);
    b.expires_s = b.not_before_s + o.seconds;
    tickets_sign(o.key, &b, NULL, text);
    puts(text);
}

static void narrow(int argc, char **argv)
{
    static char before[TICKET_TEXT_BYTES], text[TICKET_TEXT_BYTES];
    struct options o = {.key = TICKET_KEY};
    struct secure_ticket t;
    parse_options(&o, argc, argv);
    if (argc - optind < 2 || argc - optind > 3) {
        cmd_usage();
    }
    tickets_read(argv[optind + 1], &t, before);
    struct secure_ticket_block b = t.block[t.blocks - 1];
    uint64_t now = (uint64_t)time(NULL);
    tickets_member("user", argv[optind], b.holder);
    if (argc - optind == 3) {
        set_path(&b, argv[optind + 2]);
    }
    b.rights = o.rights != NULL ? rights_of(o.rights) : b.rights;
    b.grant = o.grant;
    b.not_before_s = now > b.not_before_s ? now : b.not_before_s;
    b.expires_s = o.seconds != 0 ? now + o.seconds : b.expires_s;
    tickets_sign(o.key, &b, before, text);
    puts(text);
}

static void print_time(const char *label, uint64_t seconds)
{
    char text[64];
    time_t at = (time_t)seconds;
    struct tm tm;
    if (gmtime_r(&at, &tm) == NULL || strftime(text, sizeof text, "%F %T UTC", &tm) == 0) {
        snprintf(text, sizeof text, "%" PRIu64, seconds);
    }
    printf("    %-8s %s%s\n", label, text, at < time(NULL) ? " (past)" : "");
}

static void show(const char *path)
{
    static char text[TICKET_TEXT_BYTES];
    struct secure_ticket t;
    tickets_read(path, &t, text);
    for (uint32_t i = 0; i < t.blocks; i++) {
        const struct secure_ticket_block *b = &t.block[i];
        char id[33];
        secure_hex(b->id, 16, id);
        printf("%s to %s\n", tickets_name("user", secure_ticket_signer(&t, i)),
               tickets_name("user", b->holder));
        printf("    tree     %s!%s%s%s\n", tickets_name("node", b->node), b->service,
               b->tree[0] ? "!" : "", b->tree);
        printf("    path     /%s\n", b->path);
        printf("    rights   %s%s%s%s\n", b->rights & NINEP_RIGHTS_READ ? "r" : "",
               b->rights & NINEP_RIGHTS_WRITE ? "w" : "", b->rights & NINEP_RIGHTS_EXEC ? "x" : "",
               b->grant ? ", may be handed on" : "");
        print_time("from", b->not_before_s);
        print_time("until", b->expires_s);
        printf("    id       %s\n", id);
    }
}

/* The last block: what was handed on before it stays in force. */
static void take_back(const char *path)
{
    static char text[TICKET_TEXT_BYTES];
    char line[128], id[33], answer[16];
    struct secure_ticket t;
    tickets_read(path, &t, text);
    const struct secure_ticket_block *b = &t.block[t.blocks - 1];
    secure_hex(b->id, 16, id);
    snprintf(line, sizeof line, "revoke %s %" PRIu64 "\n", id, b->expires_s);
    cmd_ask("/mnt/gate/ctl", line, answer, sizeof answer);
}

int main(int argc, char **argv)
{
    cmd_begin(&cmd, argc, argv);
    const char *verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "make") == 0) {
        make(argc - 1, argv + 1);
    } else if (strcmp(verb, "narrow") == 0) {
        narrow(argc - 1, argv + 1);
    } else if (strcmp(verb, "show") == 0 && argc == 3) {
        show(argv[2]);
    } else if (strcmp(verb, "revoke") == 0 && argc == 3) {
        take_back(argv[2]);
    } else {
        cmd_usage();
    }
    return 0;
}
