/* ramfs: the program. Options of its own are taken here, the common ones by secure_serve_main. */
#include "ramfs.h"
#include <cognu/book.h>
#include <cognu/keep.h>
#include <cognu/secure_uv.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* With this bit a principal is a user number of this host. */
#define HOST_USER (UINT64_C(1) << 63)

/* A number of bytes, with K, M or G for powers of 1024; 0 when it is not one. */
static uint64_t parse_bytes(const char *text)
{
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    const char *unit = *end != '\0' ? strchr("KMG", *end) : NULL;
    uint32_t shift = unit != NULL ? 10 * (uint32_t)(unit - "KMG" + 1) : 0;
    bool whole = end != text && (*end == '\0' || (unit != NULL && end[1] == '\0'));
    return whole && errno == 0 && text[0] != '-' && n <= UINT64_MAX >> shift ? n << shift : 0;
}

static const char synopsis[] =
    "usage: ramfs [--bytes-max N[K|M|G]] [--root-mode OCTAL] [--owner PRINCIPAL] SERVER-OPTIONS\n";

static int refuse(const char *why)
{
    fprintf(stderr, "ramfs: %s\n%s", why, synopsis);
    return 2;
}

/* Takes ramfs's own options; what is wrong with them, or NULL. */
static const char *take_options(struct ramfs_config *c, int *argc, char **argv)
{
    const char *bytes = NULL, *mode = NULL, *owner = NULL;
    const struct cg_option options[] = {
        {"--bytes-max", &bytes}, {"--root-mode", &mode}, {"--owner", &owner}};
    char *end = "";

    if (!cg_options_take(argc, argv, options, CG_COUNT(options))) {
        return "an option has no value";
    }
    if (bytes != NULL && (c->bytes_max = parse_bytes(bytes)) == 0) {
        return "--bytes-max is no number of bytes";
    }
    if (mode != NULL) {
        unsigned long m = strtoul(mode, &end, 8);
        if (*mode == '\0' || *end != '\0' || m == 0 || m > 07777) {
            return "--root-mode is no octal mode";
        }
        c->root_mode = (uint32_t)m;
    }
    if (owner != NULL) {
        c->owner = c->group = strtoull(owner, &end, 0);
    }
    return owner != NULL && (*owner == '\0' || *end != '\0') ? "--owner is no number" : NULL;
}

/* The tree that a predecessor left, else an empty one. */
static cg_err open_tree(struct ramfs_config *c, struct keep *k, struct ramfs **fs,
                        struct cg_errbuf *eb)
{
    const struct book_config book = {
        .kind = RAMFS_BOOK, .version = RAMFS_BOOK_VERSION, .bytes = ramfs_book_bytes(c->bytes_max)};
    cg_err e = keep_book(k, "tree", &book, false, &c->book, eb);
    bool adopted = e == CG_OK && book_adopted(c->book);
    e = e != CG_OK ? e : ramfs_new(c, fs, eb);
    if (e == CG_EBADFORMAT) {
        adopted = false;
        e = keep_book(k, "tree", &book, true, &c->book, eb);
        e = e != CG_OK ? e : ramfs_new(c, fs, eb);
    }
    if (adopted) {
        cg_log(CG_INFO, "goes on with %llu bytes of files", (unsigned long long)ramfs_bytes(*fs));
    }
    return e;
}

int main(int argc, char **argv)
{
    struct ramfs_config c = {
        .env = &cg_env_real, .owner = HOST_USER | geteuid(), .group = HOST_USER | getegid()};
    struct ramfs *fs;
    struct cg_errbuf eb = {0};
    struct keep *keep = keep_from_args(&argc, argv);
    const char *wrong = take_options(&c, &argc, argv);
    if (wrong != NULL) {
        return refuse(wrong);
    }
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(synopsis, stdout); /* secure_serve_main tells the rest */
    }
    cg_log_init("ramfs");
    cg_err e = open_tree(&c, keep, &fs, &eb);
    if (e != CG_OK) {
        cg_log(CG_ERROR_LEVEL, "cannot start: %s", eb.text);
        return 1;
    }
    struct ninep_server_config config = {
        .name = "ramfs", .ops = &ramfs_ops, .aux = fs, .env = &cg_env_real};
    const struct book_config holders = NINEP_HOLDERS_BOOK;
    if (keep_book(keep, "holders", &holders, false, &config.holders, &eb) != CG_OK) {
        cg_log(CG_WARN, "changes after a restart will not wait for lease holders: %s", eb.text);
    }
    int status = secure_serve_main(argc, argv, &config);
    ramfs_free(fs);
    book_free(config.holders);
    keep_free(keep);
    return status;
}
