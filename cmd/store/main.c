/* store: keeps snapshots of trees in a content-addressed, encrypted store. This file reads the
 * options and calls the verb; the verbs stand in files of their names. */
#include "verbs.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct cmd cmd = {
    .name = "store",
    .usage = "[-s STORE] init | put NAME PATH... | get SNAPSHOT[:PATH] DEST\n"
             "[-s STORE] ls [SNAPSHOT[:PATH]] | cat SNAPSHOT:PATH | find PATTERN [SNAPSHOT]\n"
             "[-s STORE] snap [NAME [MOUNTED]] | drop SNAPSHOT... | keep [NAME] | collect\n"
             "[-s STORE] check | scrub | repair | parity [N] | copy TO [SNAPSHOT...] | stats\n"
             "[-s STORE] passphrase | dump WHAT | serve\n"
             "[-s STORE] with SNAPSHOT[:PATH] PLACE [--] COMMAND...\n"
             "[-s STORE] mount [--active] DIR | history PATH [NAME] | diff SNAPSHOT[:PATH] "
             "SNAPSHOT[:PATH]",
    .about = "snapshots of trees in a content-addressed, encrypted store",
};

struct options opt = {.level = STORE_DEFAULT, .threads = UINT32_MAX};

struct verb {
    const char *name;
    int (*run)(int argc, char **argv);
    int min, max; /* operands */
};

static const struct verb verbs[] = {
    {"init", verb_init, 0, 0},
    {"put", verb_put, 2, 1 << 20},
    {"get", verb_get, 2, 2},
    {"ls", verb_ls, 0, 1},
    {"cat", verb_cat, 1, 1},
    {"find", verb_find, 1, 2},
    {"snap", verb_snap, 0, 2},
    {"drop", verb_drop, 1, 1 << 20},
    {"keep", verb_keep, 0, 1},
    {"collect", verb_collect, 0, 0},
    {"check", verb_check, 0, 0},
    {"scrub", verb_scrub, 0, 0},
    {"repair", verb_repair, 0, 0},
    {"parity", verb_parity, 0, 1},
    {"copy", verb_copy, 1, 1 << 20},
    {"stats", verb_stats, 0, 0},
    {"passphrase", verb_passphrase, 0, 0},
    {"dump", verb_dump, 1, 2},
    {"serve", verb_serve, 0, 0},
    {"mount", verb_mount, 1, 1},
    {"with", verb_with, 3, 1 << 20},
    {"history", verb_history, 1, 2},
    {"diff", verb_diff, 2, 2},
};

enum {
    O_PASSPHRASE = 256,
    O_RECOVERY,
    O_FAST,
    O_SMALL,
    O_PLAIN,
    O_JSON,
    O_EXCLUDE,
    O_DEVICES,
    O_EVERY,
    O_DOMAIN,
    O_FROM,
    O_BUDGET,
    O_THREADS,
    O_LAST,
    O_HOURLY,
    O_DAILY,
    O_WEEKLY,
    O_MONTHLY,
    O_YEARLY,
    O_APPEND,
    O_DATA,
    O_HELP,
    O_CURSOR,
    O_ACTIVE,
    O_EXCLUDE_FROM,
    O_FORCE,
};

static const struct option longs[] = {
    {"store", 1, 0, 's'},
    {"dry-run", 0, 0, 'n'},
    {"quiet", 0, 0, 'q'},
    {"one-file-system", 0, 0, 'x'},
    {"long", 0, 0, 'l'},
    {"passphrase-file", 1, 0, O_PASSPHRASE},
    {"recovery-file", 1, 0, O_RECOVERY},
    {"fast", 0, 0, O_FAST},
    {"small", 0, 0, O_SMALL},
    {"plain", 0, 0, O_PLAIN},
    {"json", 0, 0, O_JSON},
    {"exclude", 1, 0, O_EXCLUDE},
    {"exclude-from", 1, 0, O_EXCLUDE_FROM},
    {"devices", 0, 0, O_DEVICES},
    {"every", 1, 0, O_EVERY},
    {"domain", 1, 0, O_DOMAIN},
    {"from", 1, 0, O_FROM},
    {"budget", 1, 0, O_BUDGET},
    {"threads", 1, 0, O_THREADS},
    {"last", 1, 0, O_LAST},
    {"hourly", 1, 0, O_HOURLY},
    {"daily", 1, 0, O_DAILY},
    {"weekly", 1, 0, O_WEEKLY},
    {"monthly", 1, 0, O_MONTHLY},
    {"yearly", 1, 0, O_YEARLY},
    {"append-only", 0, 0, O_APPEND},
    {"data", 0, 0, O_DATA},
    {"force", 0, 0, O_FORCE},
    {"help", 0, 0, O_HELP},
    {"cursor", 1, 0, O_CURSOR},
    {"active", 0, 0, O_ACTIVE},
    {0},
};

static uint64_t number(const char *text, bool sized)
{
    char *end;
    errno = 0;
    unsigned long long v = strtoull(text, &end, 10);
    static const char units[] = "KMGT";
    const char *unit = sized && *end ? strchr(units, *end) : NULL;
    if (unit) {
        v <<= 10 * (unit - units + 1);
        end++;
    }
    if (errno || end == text || *end || v > INT64_MAX) {
        cmd_fail("%s: a number was needed%s", text, sized ? ", perhaps with K, M, G or T" : "");
    }
    return v;
}

static void add_exclude(const char *pattern)
{
    if (opt.excludes == EXCLUDES_MAX) {
        cmd_fail("more than %d excludes", EXCLUDES_MAX);
    }
    opt.exclude[opt.excludes++] = pattern;
}

/* One pattern a line; empty lines and those that begin with # say nothing. */
static void excludes_from(const char *path)
{
    char *text = cmd_read(path); /* kept: the patterns stand in it */
    for (char *line = strtok_r(text, "\n", &text); line; line = strtok_r(NULL, "\n", &text)) {
        if (*line != '#') {
            add_exclude(line);
        }
    }
}

/* Options that only set something. */
static const struct {
    int o;
    bool *flag;
    const char **text;
    uint32_t *count;
} plain[] = {
    {'n', .flag = &opt.dry_run},
    {'q', .flag = &opt.quiet},
    {'x', .flag = &opt.one_fs},
    {'l', .flag = &opt.listing},
    {O_JSON, .flag = &opt.json},
    {O_DEVICES, .flag = &opt.devices},
    {O_APPEND, .flag = &opt.append_only},
    {O_DATA, .flag = &opt.data},
    {O_FORCE, .flag = &opt.force},
    {'s', .text = &opt.store},
    {O_PASSPHRASE, .text = &opt.passphrase_file},
    {O_RECOVERY, .text = &opt.recovery_file},
    {O_EVERY, .text = &opt.every},
    {O_DOMAIN, .text = &opt.domain},
    {O_FROM, .text = &opt.copy},
    {O_THREADS, .count = &opt.threads},
    {O_LAST, .count = &opt.last},
    {O_HOURLY, .count = &opt.hourly},
    {O_DAILY, .count = &opt.daily},
    {O_WEEKLY, .count = &opt.weekly},
    {O_MONTHLY, .count = &opt.monthly},
    {O_YEARLY, .count = &opt.yearly},
};

static bool take_plain(int o)
{
    for (size_t i = 0; i < CG_COUNT(plain); i++) {
        if (plain[i].o != o) {
            continue;
        }
        if (plain[i].flag) {
            *plain[i].flag = true;
        } else if (plain[i].text) {
            *plain[i].text = optarg;
        } else {
            *plain[i].count = (uint32_t)number(optarg, false);
        }
        return true;
    }
    return false;
}

static void take_option(int o)
{
    if (take_plain(o)) {
        return;
    }
    switch (o) {
    case O_FAST:
        opt.level = STORE_FAST;
        break;
    case O_SMALL:
        opt.level = STORE_SMALL;
        break;
    case O_PLAIN:
        opt.level = STORE_PLAIN;
        break;
    case O_EXCLUDE:
        add_exclude(optarg);
        break;
    case O_EXCLUDE_FROM:
        excludes_from(optarg);
        break;
    case O_BUDGET:
        opt.budget = number(optarg, true);
        break;
    case O_ACTIVE:
        opt.active = true;
        break;
    case O_CURSOR:
        opt.at_cursor = number(optarg, false);
        break;
    default:
        cmd_usage();
    }
}

int main(int argc, char **argv)
{
    static char help[] = "--help", *just_help[] = {NULL, help, NULL};
    cmd_begin(&cmd, argc, argv);
    opt.store = getenv("COGNU_STORE");
    opt.passphrase_file = getenv("COGNU_STORE_PASSPHRASE_FILE");
    for (int o; (o = getopt_long(argc, argv, "s:nqxl", longs, NULL)) != -1;) {
        if (o == O_HELP) {
            cmd_begin(&cmd, 2, just_help);
        }
        take_option(o);
    }
    if (optind == argc) {
        cmd_usage();
    }
    cg_alloc_keep_freed();
    const char *name = argv[optind++];
    for (size_t i = 0; i < CG_COUNT(verbs); i++) {
        if (strcmp(verbs[i].name, name) == 0) {
            int n = argc - optind;
            if (n < verbs[i].min || n > verbs[i].max) {
                cmd_usage();
            }
            int status = verbs[i].run(n, argv + optind);
            verb_close();
            if (fflush(stdout) != 0) {
                cmd_fail("standard output: %s", strerror(errno));
            }
            return status;
        }
    }
    cmd_fail("%s: no such verb; `store --help` lists them", name);
}
