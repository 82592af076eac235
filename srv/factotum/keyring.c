/* keyring: the keys, and their files: FOLDER/node.key and FOLDER/user.NAME.key, PEM, mode 0600, in
 * a folder of mode 0700. */
#include "factotum.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };
static const char node_file[] = "node.key", prefix[] = "user.", suffix[] = ".key";

static cg_err path_of(const struct keyring *r, const char *user, char out[PATH_BYTES],
                      struct cg_errbuf *eb)
{
    int n = user == NULL ? snprintf(out, PATH_BYTES, "%s/%s", r->folder, node_file)
                         : snprintf(out, PATH_BYTES, "%s/%s%s%s", r->folder, prefix, user, suffix);

    return n < PATH_BYTES ? CG_OK : cg_fail(eb, CG_ENAMETOOLONG, "%.64s...: too long", r->folder);
}

static void append(struct keyring *r, const char *name, struct secure_key *key)
{
    cg_assert(r->count < KEYS_MAX);
    snprintf(r->keys[r->count].name, sizeof(r->keys[0].name), "%s", name);
    r->keys[r->count].key = key;
    secure_key_public(key, r->keys[r->count].pub);
    r->count++;
}

/* Loads the key of a user (NULL: the node), or makes it when it is not there and make says so. */
static cg_err add_key(struct keyring *r, const char *user, bool make, struct cg_errbuf *eb)
{
    char path[PATH_BYTES];
    struct secure_key *key = NULL;

    if (r->count >= KEYS_MAX) {
        return cg_fail(eb, CG_ELIMIT, "factotum holds at most %d keys", KEYS_MAX);
    }
    cg_err e = path_of(r, user, path, eb);
    if (e != CG_OK) {
        return e;
    }
    e = secure_key_load(path, &key, eb);
    if (e == CG_ENOENT && make) {
        e = secure_key_new(&key);
        e = e != CG_OK ? e : secure_key_save(key, path, eb);
    }
    if (e != CG_OK) {
        secure_key_free(key);
        return e;
    }
    append(r, user == NULL ? "node" : user, key);
    return CG_OK;
}

/* The NAME of a file user.NAME.key; false for other files. */
static bool user_of(const char *file, char name[64])
{
    size_t len = strlen(file), cut = sizeof(prefix) - 1 + sizeof(suffix) - 1;

    if (len <= cut || len - cut > 63 || strncmp(file, prefix, sizeof(prefix) - 1) != 0 ||
        strcmp(file + len - (sizeof(suffix) - 1), suffix) != 0) {
        return false;
    }
    memcpy(name, file + sizeof(prefix) - 1, len - cut);
    name[len - cut] = '\0';
    return secure_name_ok(name);
}

static cg_err load_users(struct keyring *r, struct cg_errbuf *eb)
{
    char name[64];
    const struct dirent *d;
    cg_err e = CG_OK;
    DIR *dir = opendir(r->folder);

    if (dir == NULL) {
        int err = errno;
        return cg_fail(eb, cg_err_from_errno(err), "%s: %s", r->folder, strerror(err));
    }
    while (e == CG_OK && (d = readdir(dir)) != NULL) {
        if (user_of(d->d_name, name)) {
            e = add_key(r, name, false, eb);
        }
    }
    closedir(dir);
    return e;
}

static cg_err check_folder(const char *folder, struct cg_errbuf *eb)
{
    struct stat st;

    if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
        int err = errno;
        return cg_fail(eb, cg_err_from_errno(err), "%s: cannot make it: %s", folder, strerror(err));
    }
    if (lstat(folder, &st) != 0 || !S_ISDIR(st.st_mode)) {
        return cg_fail(eb, CG_ENOTDIR, "%s: not a folder", folder);
    }
    if ((st.st_mode & 077) != 0) {
        return cg_fail(eb, CG_EPERM, "%s: others may enter it: chmod 700 it", folder);
    }
    return CG_OK;
}

cg_err keyring_open(struct keyring *r, const char *folder, const char *first_user,
                    struct cg_errbuf *eb)
{
    memset(r, 0, sizeof(*r));
    r->folder = folder;
    cg_err e = check_folder(folder, eb);
    if (e == CG_OK) {
        e = add_key(r, NULL, true, eb);
    }
    if (e == CG_OK) {
        e = load_users(r, eb);
    }
    if (e == CG_OK && r->count == 1) {
        e = keyring_new_user(r, first_user, eb);
    }
    if (e != CG_OK) {
        keyring_fini(r);
    }
    return e;
}

void keyring_fini(struct keyring *r)
{
    for (uint32_t i = 0; i < r->count; i++) {
        secure_key_free(r->keys[i].key);
    }
    r->count = 0;
}

cg_err keyring_new_user(struct keyring *r, const char *name, struct cg_errbuf *eb)
{
    if (!secure_name_ok(name) || strcmp(name, "node") == 0) {
        return cg_fail(eb, CG_EINVAL, "'%.64s' is no name for a user's key", name);
    }
    if (keyring_find(r, name) >= 0) {
        return cg_fail(eb, CG_EEXIST, "there is a key '%s' already", name);
    }
    return add_key(r, name, true, eb);
}

cg_err keyring_delete(struct keyring *r, const char *name, struct cg_errbuf *eb)
{
    char path[PATH_BYTES];
    int at = keyring_find(r, name);

    if (at < 0) {
        return cg_fail(eb, CG_ENOENT, "there is no key '%.64s'", name);
    }
    if (at == 0) {
        return cg_fail(eb, CG_EPERM,
                       "the node's own key is not deleted here: remove the node from "
                       "its cell, then its state folder");
    }
    cg_err e = path_of(r, r->keys[at].name, path, eb);
    if (e == CG_OK && unlink(path) != 0 && errno != ENOENT) {
        int err = errno;
        e = cg_fail(eb, cg_err_from_errno(err), "%s: %s", path, strerror(err));
    }
    if (e == CG_OK) {
        secure_key_free(r->keys[at].key);
        r->count--;
        memmove(&r->keys[at], &r->keys[at + 1], (r->count - (uint32_t)at) * sizeof(r->keys[0]));
    }
    return e;
}

cg_err keyring_text(const struct keyring *r, struct cg_str *out)
{
    char hex[65];
    cg_err e = CG_OK;

    for (uint32_t i = 0; i < r->count && e == CG_OK; i++) {
        secure_hex(r->keys[i].pub, 32, hex);
        e = i == 0 ? cg_str_addf(out, "node %s\n", hex)
                   : cg_str_addf(out, "user %s %s\n", hex, r->keys[i].name);
    }
    return e;
}

int keyring_find(const struct keyring *r, const char *name_or_keyhex)
{
    uint8_t pub[32];
    bool hex = strlen(name_or_keyhex) == 64 && secure_unhex(name_or_keyhex, pub, 32);

    for (uint32_t i = 0; i < r->count; i++) {
        if (hex ? memcmp(r->keys[i].pub, pub, 32) == 0
                : strcmp(r->keys[i].name, name_or_keyhex) == 0) {
            return (int)i;
        }
    }
    return -1;
}
