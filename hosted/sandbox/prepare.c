/* The folders of a node's own state and sockets come into being when a manifest first names them.
 */
#include "sandbox_impl.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool ours(const char *path)
{
    return strncmp(path, "/var/lib/cognu/", 15) == 0 || strncmp(path, "/run/cognu/", 11) == 0;
}

static cg_err make_folders(const char *path, struct cg_errbuf *eb)
{
    char part[MANIFEST_PATH_BYTES_MAX + 1];
    size_t len = strlen(path);
    cg_assert(len < sizeof part);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] == '/' || path[i] == '\0') {
            memcpy(part, path, i);
            part[i] = '\0';
            if (mkdir(part, 0755) != 0 && errno != EEXIST) {
                return sandbox__failed(eb, "making %s", part);
            }
        }
    }
    return CG_OK;
}

static cg_err prepare_one(const struct manifest *m, struct cg_errbuf *eb)
{
    for (uint32_t i = 0; i < m->paths; i++) {
        const char *path = m->path[i].source;
        struct stat st;
        if (!ours(path)) {
            continue;
        }
        cg_err e = make_folders(path, eb);
        if (e != CG_OK) {
            return e;
        }
        if (!m->path[i].writable || stat(path, &st) != 0 || st.st_uid == m->uid) {
            continue;
        }
        if (chmod(path, 0700) != 0 ||
            (chown(path, m->uid, m->uid) != 0 && errno != EINVAL)) { /* no such uid: see identity */
            return sandbox__failed(eb, "giving %s to uid %u", path, m->uid);
        }
    }
    return CG_OK;
}

static bool reads(const struct manifest *m, const char *path)
{
    for (uint32_t i = 0; i < m->paths; i++) {
        if (!m->path[i].writable && strcmp(m->path[i].source, path) == 0) {
            return true;
        }
    }
    return false;
}

cg_err sandbox_prepare(const struct manifest *const *m, uint32_t count, struct cg_errbuf *eb)
{
    cg_err e = CG_OK;
    for (uint32_t i = 0; e == CG_OK && i < count; i++) {
        e = prepare_one(m[i], eb);
    }
    for (uint32_t i = 0; e == CG_OK && i < count; i++) {
        for (uint32_t p = 0; p < m[i]->paths; p++) {
            const struct manifest_path *path = &m[i]->path[p];
            bool shared = false;
            for (uint32_t k = 0; path->writable && ours(path->source) && k < count; k++) {
                shared = shared || reads(m[k], path->source);
            }
            if (shared && chmod(path->source, 0755) != 0) {
                e = sandbox__failed(eb, "opening %s to its readers", path->source);
            }
        }
    }
    return e;
}
