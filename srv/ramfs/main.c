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

static bool parse_option(struct ramfs_config *c, const char *name, const char *value)
{
    char *end;
    if (strcmp(name, "--bytes-max") == 0) {
        c->bytes_max = parse_bytes(value);
        return c->bytes_max != 0;
    }
    if (strcmp(name, "--root-mode") == 0) {
        unsigned long mode = strtoul(value, &end, 8);
        c->root_mode = (uint32_t)mode;
        return *value != '\0' && *end == '\0' && mode > 0 && mode <= 07777;
    }
    c->owner = c->group = strtoull(value, &end, 0);
    return *value != '\0' && *end == '\0';
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
    int kept = 1;
    for (int i = 1; i < argc; i++) {
        bool own = strcmp(argv[i], "--bytes-max") == 0 || strcmp(argv[i], "--root-mode") == 0 ||
                   strcmp(argv[i], "--owner") == 0;
        if (strcmp(argv[i], "--help") == 0) {
            fputs(synopsis, stdout); /* secure_serve_main tells the rest */
        }
        if (!own) {
            argv[kept++] = argv[i];
        } else if (i + 1 == argc || !parse_option(&c, argv[i], argv[i + 1])) {
            return refuse(argv[i]);
        } else {
            i++;
        }
    }
    argv[kept] = NULL;
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
    int status = secure_serve_main(kept, argv, &config);
    ramfs_free(fs);
    book_free(config.holders);
    keep_free(keep);
    return status;
}
