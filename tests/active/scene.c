/* Leaves a store whose active tree has much in its journal, as a killed server does: random changes
 * in the tree, commits between them, a segment that has its end and one that has not. Prints what
 * is in the tree as tests/store/reader.py does.
 *
 *   active_scene FOLDER PASSPHRASE SEED     FOLDER holds a store, whose tree was never used */
#include "shadow_testkit.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROUNDS = 3, STEPS = 120, DIGEST_BYTES = 32 };

static void check(cg_err e, const char *what)
{
    if (e) {
        fprintf(stderr, "active_scene: %s: %s\n", what, cg_err_name(e));
        exit(1);
    }
}

static void print_file(const struct sh_file *f, const char *path)
{
    uint8_t digest[DIGEST_BYTES];
    size_t size = f->kind == STORE_FILE ? f->size : 0;
    if (!EVP_Q_digest(NULL, "SHA256", NULL, f->data, size, digest, NULL)) {
        check(CG_ENOMEM, "SHA-256");
    }
    printf("%s %d %o %u %zu ", path, (int)f->kind, f->mode, f->nlink, size);
    for (size_t i = 0; i < sizeof digest; i++) {
        printf("%02x", digest[i]);
    }
    printf(" %s%s %s\n", f->xattr[0] ? "user.x=" : "", f->xattr, f->target);
}

static void print_below(const struct shadow_tree *s, int dir, const char *above)
{
    const char *last = "";
    for (;;) {
        const struct sh_name *next = NULL;
        for (int i = 0; i < s->names; i++) {
            const struct sh_name *n = &s->name[i];
            bool after = n->dir == dir && strcmp(n->name, last) > 0;
            next = after && (!next || strcmp(n->name, next->name) < 0) ? n : next;
        }
        if (!next) {
            return;
        }
        char path[1024];
        snprintf(path, sizeof path, "%s/%s", above, next->name);
        print_file(&s->file[next->file], path);
        if (s->file[next->file].kind == STORE_DIR) {
            print_below(s, next->file, path);
        }
        last = next->name;
    }
}

static void steps(struct shadow_tree *s, struct active *t, uint64_t *seed)
{
    for (int i = 0; i < STEPS; i++) {
        check(shadow_step(s, t, seed), "a step");
    }
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: active_scene FOLDER PASSPHRASE SEED\n");
        return 2;
    }
    const struct store_secret secret = {.kind = STORE_PASSPHRASE, .text = argv[2]};
    const struct store_options o = {0};
    uint64_t seed = strtoull(argv[3], NULL, 10);
    struct shadow_tree *s = shadow_new();
    struct active_config c = {.who = "scene"};
    struct active_job *j;
    struct active *t;
    struct store_io io;
    check(store_io_folder(argv[1], false, &io, NULL), argv[1]);
    check(store_open(&io, &o, &secret, &c.reads, NULL), argv[1]);
    check(store_open(&io, &o, &secret, &c.writes, NULL), argv[1]);
    check(active_open(&c, &t, NULL), "the tree");
    for (int i = 0; i < ROUNDS; i++) {
        steps(s, t, &seed);
        check(i + 1 < ROUNDS ? active_commit(t, NULL, NULL) : active_freeze(t, NULL, &j, NULL),
              "a commit");
    }
    steps(s, t, &seed);
    check(active_sync(t, NULL), "a sync");
    print_below(s, 0, "");
    fflush(stdout);
    _exit(0);
}
