/* file: whole small files, read and replaced: keys and rosters.
 *
 * A replacement is written beside the file, synced and renamed over it, and the folder is synced:
 * a crash leaves the old or the new contents. What was read is wiped by the caller if it is secret.
 */
#include "secure_impl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

static cg_err fail_errno(struct cg_errbuf *eb, const char *what, const char *path)
{
    int err = errno;

    return cg_fail(eb, cg_err_from_errno(err), "%s: cannot %s: %s", path, what, strerror(err));
}

static cg_err read_fd(int fd, const char *path, size_t max, char **out, size_t *len,
                      struct cg_errbuf *eb)
{
    struct stat st;

    if (fstat(fd, &st) != 0) {
        return fail_errno(eb, "stat", path);
    }
    if (!S_ISREG(st.st_mode) || st.st_size < 0 || (uint64_t)st.st_size > max) {
        return cg_fail(eb, CG_EFBIG, "%s: not a regular file of at most %zu bytes", path, max);
    }
    size_t cap = (size_t)st.st_size + 1;
    char *data = cg_alloc(cap);
    if (data == NULL) {
        return cg_fail(eb, CG_ENOMEM, "%s: no memory for %zu bytes", path, cap);
    }
    size_t have = 0;
    while (have < cap - 1) {
        ssize_t n = read(fd, data + have, cap - 1 - have);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            break;
        }
        have += (size_t)n;
    }
    if (have != cap - 1) {
        cg_wipe(data, cap);
        cg_free(data);
        return cg_fail(eb, CG_EIO, "%s: changed while it was read", path);
    }
    data[have] = '\0';
    *out = data;
    *len = have;
    return CG_OK;
}

cg_err secure_file_read(const char *path, size_t max, char **out, size_t *len, struct cg_errbuf *eb)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return fail_errno(eb, "open", path);
    }
    cg_err e = read_fd(fd, path, max, out, len, eb);
    close(fd);
    return e;
}

static bool write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return false;
        }
        data += n;
        len -= (size_t)n;
    }
    return true;
}

static void sync_folder(const char *path)
{
    char folder[PATH_BYTES];
    const char *slash = strrchr(path, '/');

    snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    int fd = open(folder[0] ? folder : "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd); /* a file system that cannot has no better promise to give */
        close(fd);
    }
}

cg_err secure_file_replace(const char *path, const void *data, size_t len, unsigned mode,
                           struct cg_errbuf *eb)
{
    char tmp[PATH_BYTES];

    if (snprintf(tmp, sizeof(tmp), "%s.new", path) >= (int)sizeof(tmp)) {
        return cg_fail(eb, CG_ENAMETOOLONG, "%.64s...: the path is too long", path);
    }
    (void)unlink(tmp); /* left by a crash */
    int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0) {
        return fail_errno(eb, "create", tmp);
    }
    bool ok = fchmod(fd, mode) == 0 && write_all(fd, data, len) && fsync(fd) == 0;
    int err = errno;
    close(fd);
    if (ok && rename(tmp, path) == 0) {
        sync_folder(path);
        return CG_OK;
    }
    if (ok) {
        err = errno;
    }
    (void)unlink(tmp);
    errno = err;
    return fail_errno(eb, "write", path);
}
