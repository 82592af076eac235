/* mount: /dev/fuse opened and mounted on a directory, without help of a set-uid program. */
#ifndef COGNU_FUSE_MOUNT_H
#define COGNU_FUSE_MOUNT_H

#include <cognu/base.h>
#include <sys/types.h>

/* What is shown in /proc/mounts as source, who mounts. allow_other lets everybody in; the kernel
 * checks permissions by mode bits (default_permissions). Gives the descriptor. */
cg_err fmount(const char *dir, const char *source, uid_t uid, gid_t gid, int *fd,
              struct cg_errbuf *eb);
/* Raises the read-ahead of the mount at dir, whose default of 128 KiB starves a fast or distant
 * link. Reads /proc/self/mountinfo, never the mount itself. Silent where it may not. */
void fmount_readahead(const char *dir, uint32_t kib);
cg_err funmount(const char *dir, struct cg_errbuf *eb);

#endif
