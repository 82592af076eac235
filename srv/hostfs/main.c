/* hostfs: the program. Options of its own are taken here, the common ones by secure_serve_main. */
#include "hostfs.h"
#include <cognu/book.h>
#include <cognu/keep.h>
#include <cognu/secure_uv.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char synopsis[] =
    "usage: hostfs --tree NAME=DIRECTORY[:ro][:onedev] ... SERVER-OPTIONS\n";

static int refuse(const char *why)
{
    fprintf(stderr, "hostfs: %s\n%s", why, synopsis);
    return 2;
}

static bool cut_option(char *text, const char *option)
{
    size_t len = strlen(text), n = strlen(option);
    bool found = len > n && strcmp(text + len - n, option) == 0;
    if (found) {
        text[len - n] = '\0';
    }
    return found;
}

/* NAME=DIRECTORY, then options from the end. Keeps pointers into text. */
static bool parse_tree(char *text, struct hostfs_tree *t)
{
    char *equals = strchr(text, '=');
    if (equals == NULL || equals == text) {
        return false;
    }
    *equals = '\0';
    *t = (struct hostfs_tree){.name = text, .path = equals + 1};
    for (bool more = true; more;) {
        bool ro = cut_option(equals + 1, ":ro"), one = cut_option(equals + 1, ":onedev");
        t->read_only |= ro;
        t->one_device |= one;
        more = ro || one;
    }
    return equals[1] == '/';
}

/* Takes our own options out of argv; false: one is malformed. */
static bool parse(int *argc, char **argv, struct hostfs_config *host, struct hostfs_tree *tree)
{
    int kept = 1;
    for (int i = 1; i < *argc; i++) {
        if (strcmp(argv[i], "--tree") != 0) {
            argv[kept++] = argv[i];
        } else if (i + 1 == *argc || host->trees == HOSTFS_TREES_MAX ||
                   !parse_tree(argv[i + 1], &tree[host->trees])) {
            return false;
        } else {
            host->trees++;
            i++;
        }
    }
    argv[kept] = NULL;
    *argc = kept;
    return true;
}

int main(int argc, char **argv)
{
    static struct hostfs_tree tree[HOSTFS_TREES_MAX];
    struct hostfs_config host = {.loop = uv_default_loop(), .tree = tree};
    struct cg_errbuf eb = {0};
    struct hostfs *fs = NULL;
    const struct book_config holders = NINEP_HOLDERS_BOOK;
    struct keep *keep = keep_from_args(&argc, argv);
    if (!parse(&argc, argv, &host, tree)) {
        return refuse("--tree NAME=DIRECTORY, the directory by its full path, at most 64 times");
    }
    struct ninep_server_config config = {.name = "hostfs", .ops = &hostfs_ops, .env = &cg_env_real};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(synopsis, stdout); /* secure_serve_main tells the rest, and ends */
            return secure_serve_main(argc, argv, &config);
        }
    }
    cg_log_init("hostfs");
    if (geteuid() == 0 && setgroups(0, NULL) != 0) {
        cg_log(CG_WARN, "cannot drop supplementary groups: attaches by other users are refused");
    }
    if (host.trees == 0 || hostfs_new(&host, &fs, &eb) != CG_OK) {
        return refuse(host.trees == 0 ? "name at least one tree" : eb.text);
    }
    config.aux = fs;
    if (keep_book(keep, "holders", &holders, false, &config.holders, &eb) != CG_OK) {
        cg_log(CG_WARN, "changes after a restart will not wait for lease holders: %s", eb.text);
    }
    int status = secure_serve_main(argc, argv, &config);
    hostfs_free(fs);
    book_free(config.holders);
    keep_free(keep);
    uv_run(uv_default_loop(), UV_RUN_NOWAIT);
    return status;
}
