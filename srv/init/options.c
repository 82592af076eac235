/* The command line of init, and the manifests of the node. */
#include "init.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: cognu-init --node NAME --state DIR --bin DIR --manifests DIR [--commands DIR]\n"
    "                  [--etc DIR] [--man DIR] [--listen HOST:PORT] [--address HOST:PORT] "
    "[--console]\n";

struct option {
    const char *name;
    const char **value;
    bool needed;
};

static cg_err take_option(const struct option *options, const char *name, const char *value,
                          struct cg_errbuf *eb)
{
    for (const struct option *o = options; o->name != NULL; o++) {
        if (strcmp(o->name, name) == 0 && value != NULL) {
            *o->value = value;
            return CG_OK;
        }
    }
    return cg_fail(eb, CG_EINVAL, "'%.60s' is no option, or its value is missing\n%s", name, usage);
}

cg_err init_options(struct init *in, int argc, char **argv, struct cg_errbuf *eb)
{
    const struct option options[] = {
        {"--node", &in->node, true},         {"--state", &in->state_dir, true},
        {"--bin", &in->bin_dir, true},       {"--manifests", &in->manifest_dir, true},
        {"--commands", &in->cmd_dir, false}, {"--etc", &in->etc_dir, false},
        {"--man", &in->man_dir, false},      {"--listen", &in->listen, false},
        {"--address", &in->address, false},  {NULL, NULL, false},
    };
    in->listen = "0.0.0.0:5640";
    in->address = "-";
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--console") == 0) {
            in->console = true;
            continue;
        }
        cg_err e = take_option(options, argv[i], argv[i + 1], eb);
        if (e != CG_OK) {
            return e;
        }
        i++;
    }
    for (const struct option *o = options; o->name != NULL; o++) {
        if (o->needed && *o->value == NULL) {
            return cg_fail(eb, CG_EINVAL, "%s is missing\n%s", o->name, usage);
        }
    }
    if (!manifest_name_ok(in->node)) {
        return cg_fail(eb, CG_EINVAL,
                       "--node %.60s: a name is a lower-case letter, then letters, "
                       "digits, - or _",
                       in->node);
    }
    return CG_OK;
}

static cg_err load_one(struct init *in, const char *file, struct cg_errbuf *eb)
{
    char path[1024];
    struct component *c = &in->component[in->components];
    if ((size_t)snprintf(path, sizeof path, "%s/%s", in->manifest_dir, file) >= sizeof path) {
        return cg_fail(eb, CG_ENAMETOOLONG, "%s/%s", in->manifest_dir, file);
    }
    cg_err e = manifest_load(path, &c->manifest, eb);
    if (e == CG_OK) {
        e = sandbox_check(&c->manifest, eb);
    }
    if (e != CG_OK) {
        return e;
    }
    c->init = in;
    c->wanted = true;
    snprintf(c->program, sizeof c->program, "%s/%s", in->bin_dir, c->manifest.program);
    c->state = access(c->program, X_OK) == 0 ? COMPONENT_WAITING : COMPONENT_ABSENT;
    if (c->state == COMPONENT_ABSENT) {
        snprintf(c->why, sizeof c->why, "no program %s", c->manifest.program);
        cg_log(CG_WARN, "%s is left out: there is no %s", c->manifest.name, c->program);
    }
    in->components++;
    return CG_OK;
}

static bool is_manifest(const char *file)
{
    const char *dot = strrchr(file, '.');
    return dot != NULL && dot != file && strcmp(dot, ".manifest") == 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The files, in the order of their names: components start in that order. */
static cg_err list_manifests(const char *folder, char (*file)[NAME_MAX + 1], uint32_t *count,
                             struct cg_errbuf *eb)
{
    DIR *d = opendir(folder);
    struct dirent *entry;
    uint32_t n = 0;
    if (d == NULL) {
        return cg_fail(eb, cg_err_from_errno(errno), "manifests %s: %s", folder, strerror(errno));
    }
    while ((entry = readdir(d)) != NULL) {
        if (!is_manifest(entry->d_name)) {
            continue;
        }
        if (n == INIT_COMPONENTS_MAX) {
            closedir(d);
            return cg_fail(eb, CG_ELIMIT, "%s: more than %d manifests", folder,
                           (int)INIT_COMPONENTS_MAX);
        }
        snprintf(file[n++], NAME_MAX + 1, "%s", entry->d_name);
    }
    closedir(d);
    qsort(file, n, NAME_MAX + 1, by_name);
    *count = n;
    return CG_OK;
}

cg_err init_load(struct init *in, struct cg_errbuf *eb)
{
    static char file[INIT_COMPONENTS_MAX][NAME_MAX + 1];
    uint32_t count = 0;
    cg_err e = list_manifests(in->manifest_dir, file, &count, eb);
    for (uint32_t i = 0; e == CG_OK && i < count; i++) {
        e = load_one(in, file[i], eb);
    }
    return e;
}
