/* mount: see mount.h. */
#include "mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

enum { MAX_READ_BYTES = 1 << 20 }; /* the most that the kernel asks for at once: 256 pages */

static cg_err open_fuse(int *fd, struct cg_errbuf *eb)
{
    *fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (*fd < 0) {
        int why = errno;
        return cg_fail(eb, cg_err_from_errno(why), "/dev/fuse: %s%s", strerror(why),
                       why == ENOENT || why == ENODEV ? "; load the module: modprobe fuse" : "");
    }
    return CG_OK;
}

cg_err fmount(const char *dir, const char *source, uid_t uid, gid_t gid, int *fd,
              struct cg_errbuf *eb)
{
    char options[160];
    int dev;
    cg_err e = open_fuse(&dev, eb);
    if (e != CG_OK) {
        return e;
    }
    snprintf(options, sizeof(options),
             "fd=%d,rootmode=40000,user_id=%u,group_id=%u,default_permissions,allow_other,"
             "max_read=%d",
             dev, uid, gid, MAX_READ_BYTES);
    if (mount(source, dir, "fuse.cognu", MS_NOSUID | MS_NODEV, options) != 0) {
        int why = errno;
        close(dev);
        return cg_fail(eb, cg_err_from_errno(why), "mounting on %s: %s%s", dir, strerror(why),
                       why == EPERM ? "; it needs root, or a user and mount namespace of its own"
                                    : "");
    }
    *fd = dev;
    return CG_OK;
}

/* mountinfo: ID PARENT MAJOR:MINOR ROOT POINT ...; the last line of a point is on top. */
static bool device_of(const char *dir, unsigned *major, unsigned *minor)
{
    char line[4096], point[2048];
    unsigned a, b;
    bool found = false;
    FILE *f = fopen("/proc/self/mountinfo", "re");
    while (f && fgets(line, sizeof(line), f)) {
        if (sscanf(line, "%*u %*u %u:%u %*s %2047s", &a, &b, point) == 3 &&
            strcmp(point, dir) == 0) {
            *major = a;
            *minor = b;
            found = true;
        }
    }
    if (f) {
        fclose(f);
    }
    return found;
}

void fmount_readahead(const char *dir, uint32_t kib)
{
    char path[64], text[16];
    unsigned major, minor;
    if (!device_of(dir, &major, &minor)) {
        return;
    }
    snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", major, minor);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        int n = snprintf(text, sizeof(text), "%u\n", kib);
        if (write(fd, text, (size_t)n) < 0) {
            cg_log(CG_DEBUG, "%s: %s", path, strerror(errno));
        }
        close(fd);
    }
}

cg_err funmount(const char *dir, struct cg_errbuf *eb)
{
    if (umount2(dir, MNT_DETACH) != 0) {
        return cg_fail(eb, cg_err_from_errno(errno), "unmounting %s: %s", dir, strerror(errno));
    }
    return CG_OK;
}
