/* held: does a process still hold a file open? The kernel sends a flush for every close, and only
 * the process's descriptors tell whether it was the last. What fdinfo says comes from the kernel's
 * own inode, so looking asks nothing of us. */
#include "adapter.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOOKED_AT_MAX = 64 }; /* descriptors: a shell has few; with more it is not worth the look */

static uint64_t ino_of(int dir, const char *name)
{
    char text[512], *line;
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0) {
        close(fd);
    }
    text[n > 0 ? n : 0] = 0;
    line = strstr(text, "ino:");
    return line ? strtoull(line + 4, NULL, 10) : 0;
}

/* Where a shell puts what a command's output goes to: three cheap looks before the long one, which
 * makes the kernel build a directory. */
static bool held_as_standard(uint32_t pid, uint64_t ino)
{
    static const int usual[] = {STDOUT_FILENO, STDERR_FILENO, STDIN_FILENO};
    char path[40];
    bool held = false;
    for (size_t i = 0; i < CG_COUNT(usual) && !held; i++) {
        snprintf(path, sizeof path, "/proc/%u/fdinfo/%d", pid, usual[i]);
        held = ino_of(AT_FDCWD, path) == ino;
    }
    return held;
}

bool held_elsewhere(uint32_t pid, uint64_t ino)
{
    char path[32];
    if (held_as_standard(pid, ino)) {
        return true;
    }
    snprintf(path, sizeof path, "/proc/%u/fdinfo", pid);
    DIR *d = opendir(path);
    bool held = false;
    int left = LOOKED_AT_MAX;
    for (struct dirent *e = d ? readdir(d) : NULL; e && !held && left-- > 0; e = readdir(d)) {
        held = e->d_name[0] != '.' && ino_of(dirfd(d), e->d_name) == ino;
    }
    if (d) {
        closedir(d);
    }
    return held;
}
