/* The host's folder behind struct store_io, and what every part does with files.
 *
 * Paths are taken relative to one descriptor of the folder, which is opened once. */
#include "store__.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct folder {
    int fd;
};
struct folder_file {
    int fd;
};

static cg_err folder_open(void *ctx, const char *path, int how, void **file)
{
    const struct folder *f = ctx;
    int flags = how == STORE_IO_READ     ? O_RDONLY
                : how == STORE_IO_CREATE ? O_RDWR | O_CREAT | O_EXCL
                                         : O_RDWR;
    struct folder_file *ff = cg_alloc(sizeof *ff);
    if (!ff) {
        return CG_ENOMEM;
    }
    ff->fd = openat(f->fd, path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (ff->fd < 0) {
        cg_free(ff);
        return cg_err_from_errno(errno);
    }
    *file = ff;
    return CG_OK;
}

static cg_err folder_read(void *ctx, void *file, uint64_t at, void *out, size_t len, size_t *got)
{
    (void)ctx;
    const struct folder_file *ff = file;
    *got = 0;
    while (*got < len) {
        ssize_t n = pread(ff->fd, (uint8_t *)out + *got, len - *got, (off_t)(at + *got));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return cg_err_from_errno(errno);
        }
        if (n == 0) {
            break;
        }
        *got += (size_t)n;
    }
    return CG_OK;
}

static cg_err folder_write(void *ctx, void *file, uint64_t at, const void *data, size_t len)
{
    (void)ctx;
    const struct folder_file *ff = file;
    for (size_t done = 0; done < len;) {
        ssize_t n = pwrite(ff->fd, (const uint8_t *)data + done, len - done, (off_t)(at + done));
        if (n < 0 && errno != EINTR) {
            return cg_err_from_errno(errno);
        }
        done += n > 0 ? (size_t)n : 0;
    }
    return CG_OK;
}

static cg_err folder_size(void *ctx, void *file, uint64_t *bytes)
{
    (void)ctx;
    const struct folder_file *ff = file;
    struct stat st;
    if (fstat(ff->fd, &st) != 0) {
        return cg_err_from_errno(errno);
    }
    *bytes = (uint64_t)st.st_size;
    return CG_OK;
}

static cg_err folder_sync(void *ctx, void *file)
{
    (void)ctx;
    const struct folder_file *ff = file;
    return fdatasync(ff->fd) == 0 ? CG_OK : cg_err_from_errno(errno);
}

static void folder_close(void *ctx, void *file)
{
    (void)ctx;
    struct folder_file *ff = file;
    close(ff->fd);
    cg_free(ff);
}

static cg_err folder_mkdir(void *ctx, const char *path)
{
    const struct folder *f = ctx;
    return mkdirat(f->fd, path, 0700) == 0 ? CG_OK : cg_err_from_errno(errno);
}

static cg_err folder_list(void *ctx, const char *path, struct cg_str *names)
{
    const struct folder *f = ctx;
    int fd = openat(f->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        int err = errno;
        if (fd >= 0) {
            close(fd);
        }
        return cg_err_from_errno(err);
    }
    cg_err e = CG_OK;
    errno = 0;
    for (struct dirent *de; !e && (de = readdir(d)) != NULL;) {
        if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0) {
            e = cg_str_add(names, de->d_name, strlen(de->d_name) + 1);
        }
        errno = 0;
    }
    e = e || errno == 0 ? e : cg_err_from_errno(errno);
    closedir(d);
    return e;
}

/* A file system without RENAME_NOREPLACE gets a link and an unlink, which refuse just as well. */
static int rename_new(int fd, const char *from, const char *to)
{
    if (renameat2(fd, from, fd, to, RENAME_NOREPLACE) == 0) {
        return 0;
    }
    if (errno != EINVAL && errno != ENOSYS) {
        return -1;
    }
    return linkat(fd, from, fd, to, 0) == 0 && unlinkat(fd, from, 0) == 0 ? 0 : -1;
}

static cg_err folder_rename(void *ctx, const char *from, const char *to, bool replace)
{
    const struct folder *f = ctx;
    int r = replace ? renameat(f->fd, from, f->fd, to) : rename_new(f->fd, from, to);
    return r == 0 ? CG_OK : cg_err_from_errno(errno);
}

static cg_err folder_remove(void *ctx, const char *path)
{
    const struct folder *f = ctx;
    return unlinkat(f->fd, path, 0) == 0 ? CG_OK : cg_err_from_errno(errno);
}

static cg_err folder_sync_dir(void *ctx, const char *path)
{
    const struct folder *f = ctx;
    int fd = openat(f->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return cg_err_from_errno(errno);
    }
    cg_err e = fsync(fd) == 0 ? CG_OK : cg_err_from_errno(errno);
    close(fd);
    return e;
}

static cg_err folder_space(void *ctx, uint64_t *free_bytes, uint64_t *total_bytes)
{
    const struct folder *f = ctx;
    struct statvfs v;
    if (fstatvfs(f->fd, &v) != 0) {
        return cg_err_from_errno(errno);
    }
    *free_bytes = (uint64_t)v.f_bavail * v.f_frsize;
    *total_bytes = (uint64_t)v.f_blocks * v.f_frsize;
    return CG_OK;
}

static void folder_fini(void *ctx)
{
    struct folder *f = ctx;
    close(f->fd);
    cg_free(f);
}

cg_err store_io_folder(const char *path, bool create, struct store_io *out, struct cg_errbuf *eb)
{
    if (create && mkdir(path, 0700) != 0 && errno != EEXIST) {
        return cg_fail(eb, cg_err_from_errno(errno), "%s: %s", path, strerror(errno));
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return cg_fail(eb, cg_err_from_errno(errno), "%s: %s", path, strerror(errno));
    }
    struct folder *f = cg_alloc(sizeof *f);
    if (!f) {
        close(fd);
        return CG_ENOMEM;
    }
    f->fd = fd;
    *out = (struct store_io){
        .open = folder_open,
        .read = folder_read,
        .write = folder_write,
        .size = folder_size,
        .sync = folder_sync,
        .close = folder_close,
        .mkdir = folder_mkdir,
        .list = folder_list,
        .rename = folder_rename,
        .remove = folder_remove,
        .sync_dir = folder_sync_dir,
        .space = folder_space,
        .fini = folder_fini,
        .ctx = f,
    };
    return CG_OK;
}

/* ---- what every part does ---- */

bool array_room(void *array, size_t *cap, size_t count, size_t item_bytes)
{
    enum { CAP_MIN = 16 };
    void **p = array;
    if (count < *cap) {
        return true;
    }
    size_t more = *cap ? *cap * 2 : CAP_MIN;
    void *q = cg_realloc(*p, more * item_bytes);
    if (!q) {
        return false;
    }
    *p = q;
    *cap = more;
    return true;
}

cg_err file_read_all(const struct store_io *io, const char *path, size_t cap, struct cg_str *out,
                     struct cg_errbuf *eb)
{
    void *file;
    uint64_t size;
    cg_err e = io->open(io->ctx, path, STORE_IO_READ, &file);
    if (e) {
        return cg_fail(eb, e, "%s: %s", path, cg_err_meaning(e));
    }
    e = io->size(io->ctx, file, &size);
    if (!e && size > cap) {
        e = cg_fail(eb, CG_EBADFORMAT, "%s: %llu bytes are more than such a file has", path,
                    (unsigned long long)size);
    }
    char *data = e ? NULL : cg_alloc(size + 1);
    size_t got = 0;
    if (!e && !data) {
        e = CG_ENOMEM;
    }
    if (!e) {
        e = io->read(io->ctx, file, 0, data, size, &got);
    }
    io->close(io->ctx, file);
    if (e) {
        cg_free(data);
        return e;
    }
    data[got] = 0;
    cg_str_fini(out);
    *out = (struct cg_str){.data = data, .len = got, .cap = size + 1};
    return CG_OK;
}

cg_err file_publish(const struct store_io *io, const char *folder, const char *path,
                    const void *data, size_t len, bool replace, struct cg_errbuf *eb)
{
    char temp[PATH_BYTES];
    uint64_t random;
    cg_env_real.random(NULL, &random, sizeof random);
    snprintf(temp, sizeof temp, "%s%stmp-%016llx", folder, folder[0] ? "/" : "",
             (unsigned long long)random);
    void *file;
    cg_err e = io->open(io->ctx, temp, STORE_IO_CREATE, &file);
    if (e) {
        return cg_fail(eb, e, "%s: %s", temp, cg_err_meaning(e));
    }
    e = io->write(io->ctx, file, 0, data, len);
    if (!e) {
        e = io->sync(io->ctx, file);
    }
    io->close(io->ctx, file);
    if (!e) {
        e = io->rename(io->ctx, temp, path, replace);
    }
    if (e) {
        io->remove(io->ctx, temp);
        return cg_fail(eb, e, "%s: %s", path, cg_err_meaning(e));
    }
    e = io->sync_dir(io->ctx, folder[0] ? folder : ".");
    return e ? cg_fail(eb, e, "%s: %s", folder, cg_err_meaning(e)) : CG_OK;
}

void numbered_path(char out[PATH_BYTES], const char *folder, uint64_t number, int digits)
{
    snprintf(out, PATH_BYTES, "%s/%0*llx", folder, digits, (unsigned long long)number);
}

bool numbered_name(const char *name, int digits, uint64_t *number)
{
    if (strlen(name) != (size_t)digits || strspn(name, "0123456789abcdef") != (size_t)digits) {
        return false;
    }
    *number = 0;
    for (const char *c = name; *c; c++) {
        *number = *number << 4 | (uint64_t)(*c <= '9' ? *c - '0' : *c - 'a' + 10);
    }
    return true;
}
