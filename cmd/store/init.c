/* store init, store passphrase: the keys. */
#include "verbs.h"

#include <stdio.h>
#include <string.h>

static void show_recovery(const char *key)
{
    if (opt.json) {
        printf("{\"recovery_key\":\"%s\"}\n", key);
        return;
    }
    printf("recovery key: %s\n"
           "Print it and keep it apart: it opens this store when the passphrase is lost, and it is "
           "written "
           "down nowhere else.\n",
           key);
}

int verb_init(int argc, char **argv)
{
    char recovery[STORE_RECOVERY_CHARS];
    struct store_options so = {0};
    struct store_secret secret;
    struct cg_errbuf eb = {0};
    struct store *domain = opt.domain ? verb_other(opt.domain, true) : NULL;
    const struct store_io *io = verb_io(opt.store, true);
    (void)argc;
    (void)argv;
    verb_secret(&secret, "passphrase for the new store");
    if (secret.kind != STORE_PASSPHRASE || !secret.text[0]) {
        cmd_fail("a new store needs a passphrase; its recovery key is made for you");
    }
    cg_err e = store_init(io, &so, &secret, domain, recovery, &eb);
    if (e) {
        verb_fail(e, &eb, opt.store);
    }
    show_recovery(recovery);
    cg_wipe(recovery, sizeof recovery);
    return 0;
}

/* The old secret opens the store; the new one comes from --from FILE or the terminal. With
 * --recovery-file as the old one a lost passphrase is replaced. `passphrase --force` makes a new
 * recovery key instead. */
int verb_passphrase(int argc, char **argv)
{
    char recovery[STORE_RECOVERY_CHARS];
    struct cg_errbuf eb = {0};
    struct store *s = verb_store(false);
    struct store_secret secret = {.kind = STORE_RECOVERY};
    (void)argc;
    (void)argv;
    if (!opt.force) {
        opt.recovery_file = NULL;
        opt.passphrase_file = opt.copy;
        verb_secret(&secret, "new passphrase");
    }
    cg_err e = store_secret_change(s, &secret, recovery, &eb);
    if (e) {
        verb_fail(e, &eb, opt.store);
    }
    if (opt.force) {
        show_recovery(recovery);
        cg_wipe(recovery, sizeof recovery);
    } else if (!opt.quiet) {
        printf("the passphrase is changed; nothing else was rewritten\n");
    }
    return 0;
}
